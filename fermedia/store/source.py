"""The state of an item's source files, to detect changes."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, replace

from fermedia.files import shown
from fermedia.store.fingerprints import digest, file_states, size, stamp
from fermedia.types import MediaItem

#: Size in bytes of an item from which on reading it again is announced: about a minute from a slow disk.
_LONG = 4 << 30

_log = logging.getLogger("fermedia")


@dataclass(frozen=True)
class SourceState:
    """The state of an item's files before they were analysed.

    Attributes:
        path: The item's absolute path.
        size: Total size of the files in bytes.
        stamp: SHA-256 of names, sizes and modification times.
        digest: SHA-256 of the contents, and for photos of the names, which are in the tables; a renamed video is still
            the same. Empty if the contents were not read.
    """

    path: str
    size: int
    stamp: str
    digest: str

    @classmethod
    def of(cls, item: MediaItem) -> SourceState:
        """Take the state of ``item``, reading its files. Unreadable files are not reported here but when analysed."""
        return replace(cls.seen(item), digest=_digest(item))

    @classmethod
    def seen(cls, item: MediaItem) -> SourceState:
        """Take the state of ``item`` from sizes and times only, without a digest."""
        return cls(os.path.abspath(item.path), size(item.files), _stamp(item), "")

    def renewed(self, item: MediaItem) -> SourceState | None:
        """Return the current state if ``item`` is unchanged, or else None.

        It is unchanged if sizes and times agree, or else if the contents, read again, agree.
        """
        path, now = os.path.abspath(item.path), _stamp(item)
        if now == self.stamp or self.is_content_of(item):
            return self if (path, now) == (self.path, self.stamp) else replace(self, path=path, stamp=now)
        return None

    def is_content_of(self, item: MediaItem) -> bool:
        """Whether the files of ``item`` have the same contents; they are only read if the sizes agree."""
        if not self.digest or size(item.files) != self.size:
            return False
        if self.size > _LONG:
            _log.warning("%s is read, for its name or time is new: is it known?", shown(item.path, whole=True))
        return _digest(item) == self.digest


def _stamp(item: MediaItem) -> str:
    return stamp(_names(item), file_states(item.files))


def _digest(item: MediaItem) -> str:
    # A folder that cannot be read has no files, and equals no other.
    return digest(_names(item), item.files) if item.files else ""


def _names(item: MediaItem) -> list[str]:
    return [""] if item.kind == "video" else [file.name for file in item.files]
