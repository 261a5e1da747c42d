"""Names of items as users and other programs write them: which items they mean, and which are similar."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath

from fermedia.errors import UsageError
from fermedia.files import few, printable

#: Number of similar names that a message offers, and how similar (``difflib``: 0..1) paths and last parts must be. The
#: latter are short: p1 and q1 are similar by a half.
_OFFERED, _SIMILAR = 2, (0.6, 0.5)

#: Number of items between which a message lets choose.
_CHOICE = 5


class ItemNames:
    """The names of the items of a folder of results.

    An item is called by its name in items.csv, also with the backslashes of Windows paths, with accents composed or, as
    by macOS, apart, and with "./" before or a slash after it; or by the last parts of its path or of its recording's,
    such as the file name, with or without suffix, if no other item has these.

    Args:
        sources: The path of each item's recording by the item's name; "" if unknown.
    """

    def __init__(self, sources: Mapping[str, str]) -> None:
        self._exact = {_composed(key): key for key in sources}
        self._ends: dict[str, set[str]] = {}
        self._stems: dict[str, set[str]] = {}
        for key, source in sources.items():
            for name in (_composed(key), _composed(source.replace("\\", "/"))):
                for path in (name, name.removesuffix("/photos")):
                    for end in _ends(path):
                        self._ends.setdefault(end, set()).add(key)
                        self._stems.setdefault(_stem(end), set()).add(key)

    @classmethod
    def of(cls, keys: Iterable[str]) -> ItemNames:
        """Make it from the items' names alone."""
        return cls(dict.fromkeys(keys, ""))

    def exact(self, name: str) -> str | None:
        """The item whose whole name this is, however it is spelled."""
        return next((self._exact[text] for text in map(_composed, spellings(name)) if text in self._exact), None)

    def meant(self, names: Iterable[str]) -> dict[str, str]:
        """The item that each name means, without names that mean none or several.

        A part of a name does not mean an item whose whole name is among ``names``, too.
        """
        names = list(dict.fromkeys(names))
        whole = {name: key for name in names if (key := self.exact(name)) is not None}
        named = set(whole.values())
        parts = {name: self.matches([name]) for name in names if name not in whole}
        return whole | {name: keys[0] for name, keys in parts.items() if len(keys) == 1 and keys[0] not in named}

    def matches(self, names: Iterable[str], elsewhere: bool = False) -> list[str]:
        """The items that the first of the names that means any may mean.

        Args:
            names: Names of one item.
            elsewhere: Whether they may be of its recording in another folder, or on another computer, so that the
                file name counts although the folders differ, and if there is none its stem although the suffixes do.
        """
        for name in names:
            if found := next(filter(None, self._matches(name, elsewhere)), None):
                return sorted(found)
        return []

    def find(self, names: Iterable[str]) -> str | None:
        """The item of a recording elsewhere, by the first of its names that means any; None if none does.

        Raises:
            UsageError: It may be one of several.
        """
        names = list(names)
        found = self.matches(names, elsewhere=True)
        if len(found) > 1:
            name = next(name for name in names if self.matches([name], elsewhere=True))
            choice = few(found, _CHOICE, " or ")
            raise UsageError(printable(f"{name} may be {choice}; write one of these"))
        return found[0] if found else None

    def hint(self, name: str, among: Iterable[str] = ()) -> str:
        """What a message says after a name that means no item: which items are most like it; "" if none are.

        Args:
            name: The name.
            among: The items that it may mean; all if there are none.
        """
        similar = self.matches([name]) or nearest(name, list(among) or self._exact.values())
        near = " or ".join(map(printable, similar[:_OFFERED]))
        return f" (did you mean {near}?)" if near else ""

    def _matches(self, name: str, elsewhere: bool) -> Iterator[set[str]]:
        whole = self.exact(name)
        yield set() if whole is None else {whole}
        texts = (_composed(name), _composed(name.replace("\\", "/")))
        for known in (self._ends, self._stems):
            for text in texts:
                yield known.get(text, set())
        if elsewhere:
            ends = list(_ends(texts[-1])) or [""]
            for end in ends:
                yield self._ends.get(end, set())
            for end in (ends[-1], _stem(ends[-1])):
                yield self._stems.get(end, set())


def plain(item: str) -> str:
    """An item's name without the prefix that makes it safe in a cell, and without a slash that a shell adds."""
    return item.removeprefix("./").rstrip("/")


def spellings(name: str) -> list[str]:
    """The whole names of items that a name may mean: with its backslashes or without, its accents composed or apart."""
    texts = [plain(name), plain(name.replace("\\", "/"))]
    forms = [unicodedata.normalize(form, text) for text in texts for form in ("NFC", "NFD")]
    return list(dict.fromkeys([*texts, *forms]))


def nearest(name: str, names: Iterable[str]) -> list[str]:
    """Those of ``names`` that are most like ``name``, which is none of them, by their paths or by their last parts.

    Capitals and suffixes do not count, since ".mp4" would make any two names similar.
    """
    known: dict[str, str] = {}
    for other in names:
        for part in (*_parts(other), *_parts(other.removesuffix("/photos"))):
            known.setdefault(part, other)
    parts = zip(_parts(name), _SIMILAR, strict=True)
    found = [match for part, least in parts for match in difflib.get_close_matches(part, known, _OFFERED, least)]
    return list(dict.fromkeys(known[match] for match in found))[:_OFFERED]


def _parts(name: str) -> tuple[str, str]:
    """The path and the last part of a name, without suffix and capitals."""
    path = PurePosixPath(_composed(name.replace("\\", "/")).casefold())
    path = path.with_suffix("") if path.name else path
    return str(path), path.name


def _composed(name: str) -> str:
    """A name in the form in which names are compared."""
    return unicodedata.normalize("NFC", plain(name))


def _ends(path: str) -> Iterator[str]:
    """The last parts of a path, from the whole path to its last name."""
    parts = path.split("/")
    yield from filter(None, ("/".join(parts[at:]) for at in range(len(parts))))


def _stem(path: str) -> str:
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}{PurePosixPath(name).stem or name}"
