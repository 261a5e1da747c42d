"""The table of ``--people``: which faces are which person."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fermedia.errors import UsageError
from fermedia.files import few, shown
from fermedia.study.given import GivenTable
from fermedia.study.item_names import ItemNames, plain
from fermedia.tables.cells import name_cell

if TYPE_CHECKING:
    import pandas as pd

#: The option that names the table.
OPTION = "--people"

#: The columns with the times at which a face was seen first and last when it was named.
_SEEN = ("first", "last")

#: Number of names that a message lists; further ones are only counted.
_NAMED = 3

#: By how many seconds those times may differ before a face counts as another one: more than tables round.
_APART = 1.0

Names = dict[int, str]
"""The names of an item's faces, as safe cells, by ``face_id``."""


@dataclass(frozen=True)
class People:
    """Which faces are which person.

    Attributes:
        path: The file.
        table: A row per face: ``item`` and ``person`` (text), ``face_id`` (int), ``first`` and ``last`` (seconds, NaN
            if unknown).
    """

    path: Path
    table: pd.DataFrame

    @classmethod
    def read(cls, path: Path) -> People:
        """Read a table (``study.given``) with the columns item, face_id and person, as the run's page saves it.

        ``item`` is the name in items.csv, or a part of it (``study.item_names``). Rows without a person are left out,
        and so are other columns, but for ``first`` and ``last``: the times at which the face was seen first and last.

        Raises:
            UsageError: The file is wrong; the message says how, and in which row.
            MissingExtraError: It is an .xlsx file, and openpyxl is not installed.
        """
        given = GivenTable.read(path, OPTION, ("item", "face_id", "person"), _SEEN)
        rows, where = given.rows[given.rows["person"] != ""], given.where
        if rows.empty:
            raise UsageError(f"{where}: names nobody; the column person is empty")
        for number, row in rows.iterrows():
            if not row["item"]:
                raise UsageError(f"{where}: row {number} has no item")
            if not (row["face_id"].isascii() and row["face_id"].isdigit() and len(row["face_id"]) < 19):
                raise UsageError(f"{where}: row {number}: face_id must be a number, got {row['face_id']!r}")
        times = {name: given.times(name)[rows.index] if name in rows else float("nan") for name in _SEEN}
        persons = rows["person"].map(name_cell)
        table = rows[["item"]].assign(face_id=rows["face_id"].astype("int64"), person=persons, **times)
        keys = [table["item"].map(plain), table["face_id"]]
        for (item, face_id), same in table.groupby(keys, sort=False):
            if same["person"].nunique() > 1:
                (first, one), (second, other) = list(same["person"].drop_duplicates().items())[:2]
                what = f"face {face_id} of {item} is {one} in row {first} and {other} in row {second}"
                raise UsageError(f"{where}: {what}; give each face one name")
        return cls(path, table)

    @property
    def persons(self) -> list[str]:
        """The names, in the order of the file."""
        return list(dict.fromkeys(self.table["person"]))

    def of(self, items: Mapping[str, str]) -> tuple[dict[str, Names], list[str]]:
        """The names of the faces of each item that has any, and what is to be said, on one line each.

        Args:
            items: The kind of each item by its key. Faces of photos cannot be named: their ids are no persons.
        """
        names = ItemNames.of(items)
        meant = names.meant(self.table["item"])
        found: dict[str, Names] = {}
        lost: dict[str, None] = {}
        photos: dict[str, None] = {}
        twice: dict[str, None] = {}
        for item, face_id, person in self.table[["item", "face_id", "person"]].itertuples(index=False, name=None):
            key = meant.get(item)
            if key is None:
                lost[item] = None
            elif items[key] == "photos":
                photos[key] = None
            elif (first := found.setdefault(key, {}).setdefault(face_id, person)) != person:
                twice[f"{key} face {face_id} ({first}, {person})"] = None
        said = []
        if lost:
            unknown = [item + names.hint(item) for item in list(lost)[:_NAMED]] + list(lost)[_NAMED:]
            said.append(f"{shown(self.path)} names what the results do not hold: {few(unknown, _NAMED)}")
        spelled: dict[str, list[str]] = {}
        for person in self.persons:
            spelled.setdefault(person.casefold(), []).append(person)
        if alike := [" and ".join(names) for names in spelled.values() if len(names) > 1]:
            said.append(f"{shown(self.path)}: {few(alike, _NAMED)} are different people by their spelling; is it one?")
        if twice:
            what = "gives a face two names, of which the first one counts"
            said.append(f"{shown(self.path)} {what}: {few(list(twice), _NAMED)}")
        if photos:
            said.append(
                f"{shown(self.path)}: the faces of {few(list(photos), _NAMED)} stay without names, since a face_id in "
                "photos is no person"
            )
        return found, said

    def doubts(self, summary: pd.DataFrame) -> list[str]:
        """What does not fit the faces of the results, on one line each.

        Args:
            summary: The rows of faces.csv: ``item``, ``face_id``, and ``first`` and ``last`` in seconds.
        """
        names = ItemNames.of(dict.fromkeys(map(plain, summary["item"])))
        meant = names.meant(self.table["item"])
        seen = {
            (plain(item), int(face_id)): (first, last)
            for item, face_id, first, last in summary[["item", "face_id", *_SEEN]].itertuples(index=False, name=None)
        }
        items = {item for item, _ in seen}
        gone, other = [], []
        for row in self.table.to_dict("records"):
            item = meant.get(row["item"])
            if item is None or item not in items:
                continue
            now = seen.get((item, row["face_id"]))
            if now is None:
                gone.append(f"{item} face {row['face_id']}")
            elif any(abs(row[name] - time) > _APART for name, time in zip(_SEEN, now, strict=True)):
                other.append(f"{item} face {row['face_id']} ({row['person']})")
        said = []
        if gone:
            said.append(f"{shown(self.path)} names faces that are not there: {few(gone, _NAMED)}")
        if other:
            said.append(
                f"{shown(self.path)} may be of other results: when it was written, {few(other, _NAMED)} "
                f"{'was' if len(other) == 1 else 'were'} seen at other times; check the names on report.html"
            )
        return said

    def check(self, flag: str, text: str) -> None:
        """Raise UsageError if a list of names and ids, the value of ``flag``, has a word that is neither, or may mean
        one person or several."""
        if words(text, self.persons) != parts(text) and any(p in self.persons or p.isdecimal() for p in parts(text)):
            what = "may be one person or several; call them otherwise"
            raise UsageError(f"{flag} {text}: {what} in {shown(self.path)}")
        unknown = [word for word in words(text, self.persons) if word not in self.persons and not word.isdecimal()]
        if unknown:
            near = f"there are {few(self.persons, 5)}"
            raise UsageError(f"{flag} {text}: {shown(self.path)} names nobody {few(unknown, 3, ' or ')}; {near}")


def words(text: str, persons: Iterable[str]) -> list[str]:
    """The parts of a list with commas; of a person's name with commas in it none."""
    return [name_cell(text.strip())] if name_cell(text.strip()) in set(persons) else parts(text)


def parts(text: str) -> list[str]:
    """The names and ids in a list with commas."""
    return [name_cell(word.strip()) for word in text.split(",")]


def faces_of(text: str, names: Mapping[int, str]) -> set[int]:
    """The ids of the faces that a list of names and ids means in an item; a name counts before an id.

    Args:
        text: The list, with commas.
        names: The names of the item's faces by ``face_id``.
    """
    meant = words(text, names.values())
    named = {face_id for face_id, name in names.items() if name in meant}
    return named | {int(word) for word in meant if word.isdecimal() and word not in set(names.values())}


def at_once(timeline: pd.DataFrame) -> list[str]:
    """The people of a video who are named in two faces of one frame, in order."""
    named = timeline.loc[timeline["person"].notna(), ["frame", "person"]]
    return list(dict.fromkeys(named.loc[named.duplicated(), "person"]))
