"""What an item is made from, and whether it is still the same."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fermedia.types import MediaItem

#: Bytes that are read at the beginning, in the middle and at the end of a file; what is no longer is read whole.
_BLOCK = 1 << 20

#: A file's (size, time of change in nanoseconds); None where it cannot be found.
Look = tuple[int, int] | None


@dataclass(frozen=True)
class Source:
    """The files of an item as they were before they were read.

    ``path`` is the item's, absolute. ``size`` is the files' sum in bytes. ``stamp`` is a SHA-256 over their names,
    sizes and times of change, ``digest`` one over their names, sizes and content: all of it up to 3 MiB, of longer
    files a MiB at the beginning, in the middle and at the end, so that a folder of long films is not read twice.
    """

    path: str
    size: int
    stamp: str
    digest: str

    @classmethod
    def of(cls, item: MediaItem) -> Source:
        """Look at the files of ``item`` now. What cannot be read counts as such: whoever reads it says why."""
        looks = look(item.files)
        total = sum(seen[0] for seen in looks if seen)
        return cls(os.path.abspath(item.path), total, _stamp(item.files, looks), _digest(item.files))

    def renewed(self, item: MediaItem) -> Source | None:
        """As ``item`` stands now, if it is unchanged; else None.

        It is where the sizes and times of its files agree, or else, when it is read again, its content.
        """
        stamp = _stamp(item.files, look(item.files))
        if stamp == self.stamp:
            return self
        return replace(self, stamp=stamp) if _digest(item.files) == self.digest else None


def look(files: Sequence[Path]) -> list[Look]:
    """The size and time of each file."""
    return [_look(file) for file in files]


def size(files: Sequence[Path]) -> int:
    """The sum of their sizes, in bytes."""
    return sum(seen[0] for seen in look(files) if seen)


def _look(file: Path) -> Look:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _stamp(files: Sequence[Path], looks: Sequence[Look]) -> str:
    rows = ((os.fsencode(file.name), seen) for file, seen in zip(files, looks, strict=True))
    return hashlib.sha256(repr(list(rows)).encode()).hexdigest()


def _digest(files: Sequence[Path]) -> str:
    rows = [(os.fsencode(file.name), *_content(file)) for file in files]
    return hashlib.sha256(repr(rows).encode()).hexdigest()


def _content(path: Path) -> tuple[int, str]:
    digest, size = hashlib.sha256(), -1
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            whole = size <= 3 * _BLOCK
            for place in [0] if whole else [0, (size - _BLOCK) // 2, size - _BLOCK]:
                file.seek(place)
                digest.update(file.read(size if whole else _BLOCK))
    except OSError:
        return -1, ""
    return size, digest.hexdigest()
