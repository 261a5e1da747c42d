"""Give each item its key: the path of its results below ``items/``."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

from fermedia.types import MediaItem

Kind = Literal["video", "photos", "sequence", "folder"]


@dataclass
class FoundMedia:
    """An item without a key yet: ``below`` is its path below ``root``, an absolute folder."""

    kind: Kind
    root: Path
    below: PurePosixPath
    path: Path
    files: list[Path] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)

    @property
    def source(self) -> str:
        """The item's absolute path."""
        return os.path.abspath(self.path)

    def key(self, level: int) -> PurePosixPath:
        """The key with ``level`` folder names of the root before ``below``."""
        names = self.root.parts[1:]
        return PurePosixPath(*names[len(names) - level :], self.below)

    def item(self, key: PurePosixPath) -> MediaItem:
        """The item that has this key."""
        return MediaItem(self.kind, key, self.path, tuple(self.files), tuple(self.numbers))


def named(
    found: Sequence[FoundMedia], given: Mapping[int, str] | None = None, taken: Mapping[str, str] | None = None
) -> list[MediaItem]:
    """Give each item a key.

    A new key is the item's path below its input. Where it collides with that of another input, the names of the
    input's parent folders are prepended; a remaining collision gets a ``~2``. No new key equals another key or is a
    parent or child of one, ignoring case.

    Args:
        found: The items.
        given: Known keys, by the item's index in ``found``.
        taken: Keys that no new item may have, with the absolute path of the item that has each.

    Returns:
        The items with their keys, in the same order.
    """
    given, taken = given or {}, taken or {}
    new = [index for index in range(len(found)) if index not in given]
    held = {**taken, **{given[index]: found[index].source for index in given}}
    keys = _new_keys([found[index] for index in new], held)
    settled = {**{index: PurePosixPath(key) for index, key in given.items()}, **dict(zip(new, keys, strict=True))}
    return [item.item(settled[index]) for index, item in enumerate(found)]


def _new_keys(found: Sequence[FoundMedia], held: Mapping[str, str]) -> list[PurePosixPath]:
    """New keys for ``found``; ``held`` are the existing keys with their items' absolute paths."""
    fixed = [PurePosixPath(key) for key in held]
    sources = [item.source for item in found] + list(held.values())
    levels = dict.fromkeys((item.root for item in found), 0)
    while True:
        keys = [item.key(levels[item.root]) for item in found]
        clashing = {
            found[i].root
            for clash in _clashes([*keys, *fixed])
            for i in clash
            if i < len(found) and levels[found[i].root] < len(found[i].root.parts) - 1
            if any(not _is_below(sources[other], found[i].root) for other in clash)
        }
        if not clashing:
            return _numbered(keys, fixed)
        for root in clashing:
            levels[root] += 1


def _is_below(source: str, root: Path) -> bool:
    return os.path.join(source, "").startswith(os.path.join(root, ""))


def _clashes(keys: Sequence[PurePosixPath]) -> Iterator[list[int]]:
    """Groups of indices that collide: equal keys, and keys together with their parents."""
    holders: dict[tuple[str, ...], list[int]] = {}
    for index, key in enumerate(keys):
        holders.setdefault(_folded(key), []).append(index)
    for index, key in enumerate(keys):
        parts = _folded(key)
        for length in range(1, len(parts)):
            if parts[:length] in holders:
                yield [*holders[parts[:length]], index]
    yield from (group for group in holders.values() if len(group) > 1)


def _numbered(keys: Sequence[PurePosixPath], fixed: Sequence[PurePosixPath]) -> list[PurePosixPath]:
    """Keep keys without a collision; number the others, the deepest first, so that their folders' names stay free."""
    clashes = {index for clash in _clashes([*keys, *fixed]) for index in clash if index < len(keys)}
    clashing = sorted(clashes, key=lambda i: (-len(keys[i].parts), i))
    taken = _Taken()
    for key in (*fixed, *(key for index, key in enumerate(keys) if index not in clashes)):
        taken.add(key)
    result = list(keys)
    for index in clashing:
        result[index] = taken.free(keys[index])
        taken.add(result[index])
    return result


class _Taken:
    """The keys in use."""

    def __init__(self) -> None:
        self._keys: set[tuple[str, ...]] = set()
        self._folders: set[tuple[str, ...]] = set()  # all parents of the keys

    def add(self, key: PurePosixPath) -> None:
        parts = _folded(key)
        self._keys.add(parts)
        self._folders.update(parts[:length] for length in range(1, len(parts)))

    def free(self, key: PurePosixPath) -> PurePosixPath:
        """``key``, or a free variant with a number in the part that collides: its name or that of a folder."""
        parts, numbers = list(key.parts), dict.fromkeys(range(len(key.parts)), 1)
        while (at := self._in_the_way(_folded(PurePosixPath(*parts)))) is not None:
            numbers[at] += 1
            name = PurePosixPath(key.parts[at])
            parts[at] = f"{name.stem}~{numbers[at]}{name.suffix}"
        return PurePosixPath(*parts)

    def _in_the_way(self, parts: tuple[str, ...]) -> int | None:
        for length in range(1, len(parts)):
            if parts[:length] in self._keys:
                return length - 1
        return len(parts) - 1 if parts in self._keys or parts in self._folders else None


def _folded(key: PurePosixPath) -> tuple[str, ...]:
    return tuple(unicodedata.normalize("NFC", part).casefold() for part in key.parts)
