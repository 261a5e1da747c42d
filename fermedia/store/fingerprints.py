"""Fingerprints of files and folders, to detect changes."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

#: Bytes of each of the three blocks (beginning, middle, end) that form the sample of a longer file.
_BLOCK = 1 << 16

#: A file's (size in bytes, modification time in nanoseconds); None if it is missing or not a regular file.
FileState = tuple[int, int] | None


def file_states(files: Sequence[Path]) -> list[FileState]:
    """The size and modification time of each file."""
    return [_file_state(file) for file in files]


def size(files: Sequence[Path]) -> int:
    """The total size of files, in bytes."""
    return sum(seen[0] for seen in file_states(files) if seen)


def stamp(names: Sequence[str], states: Sequence[FileState]) -> str:
    """A SHA-256 over names, sizes and modification times."""
    rows = [(os.fsencode(name), seen) for name, seen in zip(names, states, strict=True)]
    return hashlib.sha256(repr(rows).encode()).hexdigest()


def digest(names: Sequence[str], files: Sequence[Path], sampled: bool = False) -> str:
    """A SHA-256 over names, sizes and contents (or a sample of the contents). Unreadable files count as such."""
    rows = [(os.fsencode(name), *_content(file, sampled)) for name, file in zip(names, files, strict=True)]
    return hashlib.sha256(repr(rows).encode()).hexdigest()


@dataclass(frozen=True)
class Fingerprint:
    """The recorded state of a file, or of a folder with its files.

    Attributes:
        size: Total size in bytes.
        stamp: SHA-256 of names, sizes and modification times (``stamp``).
        sample: SHA-256 of a sample of the contents: all of a file of up to 192 KiB, three blocks of 64 KiB of a longer.
        whole: SHA-256 of the contents.
    """

    size: int
    stamp: str
    sample: str
    whole: str

    @classmethod
    def of(cls, path: Path) -> Fingerprint:
        """Take the fingerprint of ``path``, reading all of it. Raises OSError if it does not exist."""
        names, files = _within(path)
        states = file_states(files)
        total = sum(seen[0] for seen in states if seen)
        return cls(total, stamp(names, states), digest(names, files, sampled=True), digest(names, files))

    def renewed(self, path: Path, thorough: bool = False) -> Fingerprint | None:
        """Check whether ``path`` is unchanged.

        If sizes and times are unchanged, only the sample is read, unless ``thorough``. It is read because a crash of
        the machine may leave zeros from some position on, or everywhere, with unchanged times.

        Returns:
            The fingerprint with the current times, or None if the contents have changed.

        Raises:
            OSError: ``path`` does not exist.
        """
        names, files = _within(path)
        states = file_states(files)
        if sum(seen[0] for seen in states if seen) != self.size:
            return None
        now = stamp(names, states)
        if thorough or now != self.stamp:
            return replace(self, stamp=now) if digest(names, files) == self.whole else None
        return self if digest(names, files, sampled=True) == self.sample else None

    def has_size_of(self, path: Path) -> bool:
        """Whether ``path`` has this size. Raises OSError if it does not exist."""
        return size(_within(path)[1]) == self.size


#: Fingerprints by name; None for files and folders of which only the existence is known.
Fingerprints = Mapping[str, Fingerprint | None]


def check(
    folder: Path, outputs: Fingerprints, thorough: bool = False
) -> tuple[dict[str, Fingerprint | None], dict[str, str]]:
    """Check the outputs in a folder as ``Fingerprint.renewed`` does.

    Returns:
        The current fingerprints of the unchanged outputs, and descriptions of what is wrong with the others, by name.
    """
    intact: dict[str, Fingerprint | None] = {}
    broken: dict[str, str] = {}
    for name, was in outputs.items():
        path = folder / name
        try:
            if now := was.renewed(path, thorough) if was else Fingerprint.of(path):
                intact[name] = now
            else:
                broken[name] = "is not what was made" if size(_within(path)[1]) else "is empty"
        except OSError as error:
            broken[name] = _reason(error)
    return intact, broken


def glance(folder: Path, outputs: Fingerprints) -> dict[str, str]:
    """Check existence and sizes only. Returns descriptions of what is wrong, by name."""
    broken: dict[str, str] = {}
    for name, was in outputs.items():
        try:
            if was and not was.has_size_of(folder / name):
                broken[name] = "is not what was made"
            elif not was:
                os.stat(folder / name)
        except OSError as error:
            broken[name] = _reason(error)
    return broken


def in_words(broken: Mapping[str, str]) -> str:
    """Describe the broken outputs in one phrase."""
    if len(broken) > 1 and set(broken.values()) == {_MISSING}:
        return f"{', '.join(sorted(broken))} are missing"
    return ", ".join(f"{name} {what}" for name, what in sorted(broken.items()))


_MISSING = "is missing"


def _reason(error: OSError) -> str:
    gone = isinstance(error, FileNotFoundError | NotADirectoryError)
    return _MISSING if gone else f"cannot be read ({error.strerror})"


def _within(path: Path) -> tuple[list[str], list[Path]]:
    """The names and paths of the files at or in ``path``, without hidden files and those of file managers."""
    if not stat.S_ISDIR(path.stat().st_mode):
        return [""], [path]
    names = sorted(name for name in os.listdir(path) if not _is_by_the_way(name))
    return names, [path / name for name in names]


def _is_by_the_way(name: str) -> bool:
    return name.startswith(".") or name.lower() in ("thumbs.db", "desktop.ini")


def _file_state(file: Path) -> FileState:
    try:
        status = file.stat()
    except OSError:
        return None
    return (status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else None


def _content(path: Path, sampled: bool) -> tuple[int, str]:
    if _file_state(path) is None:  # reading a pipe would block
        return -1, ""
    found, length = hashlib.sha256(), -1
    try:
        with path.open("rb") as file:
            length = os.fstat(file.fileno()).st_size
            if sampled and length > 3 * _BLOCK:
                for place in (0, (length - _BLOCK) // 2, length - _BLOCK):
                    file.seek(place)
                    found.update(file.read(_BLOCK))
            else:
                found = hashlib.file_digest(file, "sha256")
    except OSError:
        return -1, ""
    return length, found.hexdigest()
