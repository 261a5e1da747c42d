"""The table of ``--participants``: who is seen in each item, and the levels of the factors of a study."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fermedia.columns import FACE, FACTOR, ITEM, SUMMARY, TABLES, Column, given_columns
from fermedia.errors import UsageError
from fermedia.files import few, shown
from fermedia.study.given import GivenTable
from fermedia.study.item_names import ItemNames, plain
from fermedia.tables.cells import cell, name_cell

if TYPE_CHECKING:
    import pandas as pd

#: The option that names the table.
OPTION = "--participants"

#: Factors that most studies have; they may be capitalized in the file.
FACTORS = ("condition", "session")

#: ``face_id`` of a row about all faces of an item.
ALL_FACES = "all"

#: The columns of a ``GivenTable`` with meanings of their own, and the prefix of columns that are only copied.
_ITEM, _NEEDED, _FACE_ID, _COPIED = "item", ("item", "participant"), "face_id", "#"

#: Names that factors cannot have, since tables with their columns have these.
_TAKEN = {column.name for table in TABLES for column in table.columns} | {"run"}
_TAKEN -= {*FACTORS, FACTOR.name}

#: Number of names that a message lists; further ones are only counted.
_NAMED = 3

#: From this number of rows on, a factor with another level in each of them is probably none.
_MANY = 8


def combination(levels: Iterable[str]) -> str:
    """The name of a combination of levels of several factors."""
    return ", ".join(levels)


@dataclass(frozen=True)
class Participants:
    """The participant seen in each item.

    Attributes:
        path: The file.
        table: A row per item and face, all text: ``item`` ("" for all in which the participant is a person with a
            name), ``face_id`` (a number or ``ALL_FACES``), ``participant``, and the columns of ``factors`` and
            ``copied``.
        factors: The names of the columns by whose levels participants are compared.
        copied: The names of further columns, which are copied into tables.
        notes: What is to be said about the file, on one line each.
        is_complete: Whether an item without a participant is to be said.
    """

    path: Path
    table: pd.DataFrame
    factors: tuple[str, ...]
    copied: tuple[str, ...]
    notes: tuple[str, ...] = ()
    is_complete: bool = True

    @classmethod
    def read(cls, path: Path, named: bool = False) -> Participants:
        """Read a table (``study.given``) with the columns item and participant, and optionally face_id.

        ``item`` is the name in items.csv, or a part of it (``study.item_names``); ``face_id`` is one of its faces, or
        "all" or empty for all. Every further column is a factor, such as condition or session, unless its name begins
        with #: then it is only copied.

        Args:
            path: The file.
            named: Whether faces have names (``--people``). Then rows may be without ``item``, and several participants
                of an item without ``face_id``: ``by_person`` finds their faces.

        Raises:
            UsageError: The file is wrong; the message says how, and in which row.
            MissingExtraError: It is an .xlsx file, and openpyxl is not installed.
        """
        given = GivenTable.read(path, OPTION, _NEEDED[named:], (_ITEM, _FACE_ID, *FACTORS))
        rows = given.rows.rename(
            columns={name: cell(name) for name in given.rows if name.startswith(("=", "+", "-", "@"))}
        )
        others = [name for name in rows if name not in (*_NEEDED, _FACE_ID)]
        copied = {name: name.removeprefix(_COPIED).strip() for name in others if name.startswith(_COPIED)}
        factors = [name for name in others if name not in copied]
        _check_names(given.where, [*factors, *copied.values()])
        table = rows.assign(item=rows.get(_ITEM, ""), face_id=rows.get(_FACE_ID, "")).rename(columns=copied)
        table["face_id"] = table["face_id"].replace("", ALL_FACES)
        names = ["participant", *factors, *copied.values()]
        table = table[["item", "face_id", *names]]
        table[names] = table[names].map(cell)
        table["participant"] = table["participant"].map(name_cell)
        _check(given.where, table, factors, [] if _FACE_ID in rows else others, named)
        table["face_id"] = [face if face == ALL_FACES else str(int(face)) for face in table["face_id"]]
        return cls(path, table, tuple(factors), tuple(copied.values()))

    @classmethod
    def of_people(cls, path: Path, people: Mapping[str, Mapping[str, str]]) -> Participants:
        """The people themselves, without factors; arguments as for ``by_person`` and of its file."""
        import pandas as pd

        rows = [(item, face_id, name) for item, names in people.items() for face_id, name in names.items()]
        return cls(path, pd.DataFrame(rows, columns=[_ITEM, _FACE_ID, "participant"]), (), (), is_complete=False)

    def by_person(self, people: Mapping[str, Mapping[str, str]], gone: Collection[str] = ()) -> Participants:
        """Find the faces of participants who are people with names.

        A row without ``face_id`` whose participant is a person in the item is about this person's faces, and a row
        without an item about those in all items. Rows of items without names stay as they are.

        Args:
            people: The names of faces by item (as in tables) and ``face_id``.
            gone: The names of people in removed items; that such a participant is not among the people is not said.
        """
        import pandas as pd

        names = ItemNames.of(map(plain, people))
        spelled = {plain(item): item for item in people}
        meant = names.meant(self.table[_ITEM])
        strange: list[str] = []
        rows: list[dict[str, str]] = []
        for row in sorted(self.table.to_dict("records"), key=lambda row: not row[_ITEM]):
            items = [spelled[meant[row[_ITEM]]]] if row[_ITEM] in meant else list(people) if not row[_ITEM] else []
            if row[_FACE_ID] != ALL_FACES or not items:
                rows.append(row)
                continue
            who = row["participant"]
            found = [(item, face) for item in items for face, name in people[item].items() if name == who]
            rows += [row | {_ITEM: item, _FACE_ID: face} for item, face in found]
            strange += [] if found or who in gone else [f"{who} ({row[_ITEM]})" if row[_ITEM] else who]
        table = pd.DataFrame(rows, columns=list(self.table)).drop_duplicates([_ITEM, _FACE_ID], ignore_index=True)
        said = f"{shown(self.path)} names participants who are not among the people: {few(strange, _NAMED)}"
        return replace(self, table=table, notes=(*self.notes, said) if strange else self.notes)

    def matched(
        self, summary: pd.DataFrame, removed: Callable[[str], bool] = lambda _: False
    ) -> tuple[pd.DataFrame, list[str]]:
        """The rows of ``table`` with the items' names in the results, and what is to be said about them.

        Args:
            summary: summary.csv (``tables.summary.read_summary``).
            removed: Whether an item was removed from the results, about which nothing is said.

        Returns:
            The rows, without those that name an item for the second time; those that name what the results do not
            hold are among them. And messages, on one line each.
        """
        items = {plain(item): item for item in summary["item"]}
        names = ItemNames.of(items)
        meant = names.meant(self.table["item"])
        wanted = self.table.assign(item=[meant.get(item) or plain(item) for item in self.table["item"]])
        twice = wanted.duplicated(["item", "face_id"])  # two spellings of a name of the results
        again, wanted = list(wanted.loc[twice, "item"]), wanted[~twice]
        faces = summary[summary["level"] == FACE]
        there = {(plain(item), str(face)) for item, face in zip(faces["item"], faces["face_id"], strict=True)}
        there |= {(item, ALL_FACES) for item in items}
        unknown = [pair for pair in zip(wanted["item"], wanted["face_id"], strict=True) if pair not in there]
        left_out = sorted(items.keys() - set(wanted["item"]))
        known = wanted.assign(item=[items.get(item, item) for item in wanted["item"]])
        gone = {item for item in dict.fromkeys(item for item, _ in unknown) if item not in items and removed(item)}
        unknown = [(item, face) for item, face in unknown if item not in gone]
        if not self.is_complete:
            unknown, left_out = [], []
        said = [self._complaint(unknown, names, left_out, again), self._several(known, faces), self._no_factors()]
        return known, [*self.notes, *(text for text in said if text)]

    def _complaint(
        self, unknown: Sequence[tuple[str, str]], names: ItemNames, left_out: list[str], again: list[str]
    ) -> str | None:
        parts = []
        if unknown:
            # What is left out is what a wrong name is meant to be. A search takes long, and only the first are said.
            hints = [names.hint(item, left_out) for item, _ in unknown[:_NAMED]] + [""] * len(unknown)
            lost = [
                f"{item} face {face}" if names.exact(item) else item + hint
                for (item, face), hint in zip(unknown, hints, strict=False)
            ]
            parts.append(f"names what the results do not hold: {few(lost, _NAMED)}")
        if again:
            parts.append(f"names twice, by two names, so that the first one counts: {few(again, _NAMED)}")
        if left_out:
            parts.append(f"leaves out {few(left_out, _NAMED)}")
        return f"{shown(self.path)} {', and '.join(parts)}" if parts else None

    def _several(self, known: pd.DataFrame, faces: pd.DataFrame) -> str | None:
        """A warning of rows that stand for several faces of a video, which may be several people."""
        faces = faces[faces["seconds"].notna() & (faces["judged"] > 0)]
        counts = faces.groupby("item").size()
        whole = known.loc[known["face_id"] == ALL_FACES, "item"]
        several = [f"{plain(item)} ({counts[item]} faces)" for item in whole if counts.get(item, 0) > 1]
        if not several:
            return None
        return (
            f"{shown(self.path)} gives one participant to several faces: {few(several, _NAMED)}; if they are several "
            "people, give each a row with its face_id"
        )

    def _no_factors(self) -> str | None:
        """A warning of columns that are probably no factors."""
        odd = [name for name in self.factors if len(self.table) >= _MANY and self.table[name].is_unique]
        if not odd:
            return None
        return (
            f"{shown(self.path)}: {', '.join(odd)} has another value in every row; if it is no factor, put {_COPIED} "
            "before its name in the header"
        )


@dataclass(frozen=True)
class Assignment:
    """The participant, the levels of the factors, and the copied values of each item and face of a run.

    Attributes:
        columns: The columns, ``participant`` first; none without ``--participants``.
        values: Their values by item (as in tables) and ``face_id`` as text: ``ALL_FACES`` for each face, "" for the
            item as a whole.
    """

    columns: tuple[Column, ...]
    values: dict[tuple[str, str], tuple[str, ...]]

    def of(self, item: str, face_id: str = "") -> tuple[str, ...]:
        """The values for a row of a table, about an item or one of its faces; empty texts if none are known."""
        known = self.values.get((item, face_id))
        if known is None and face_id:
            known = self.values.get((item, ALL_FACES))
        return known or ("",) * len(self.columns)

    @classmethod
    def none(cls) -> Assignment:
        """That of a run without ``--participants``."""
        return cls((), {})

    @classmethod
    def by(cls, participants: Participants, known: pd.DataFrame) -> Assignment:
        """Make the assignment of a run. An item as a whole has those values that all its rows in the file share.

        Args:
            participants: The table.
            known: The first result of ``Participants.matched``.
        """
        names = ["participant", *participants.factors, *participants.copied]
        values: dict[tuple[str, str], tuple[str, ...]] = {}
        for item, face, *texts in known[["item", "face_id", *names]].itertuples(index=False, name=None):
            values[item, face] = values[item, ""] = tuple(texts)
        several = known[known["item"].duplicated(keep=False)]
        for item, rows in several.groupby("item", sort=False):
            values[str(item), ""] = tuple(
                str(rows[name].iloc[0]) if rows[name].nunique() == 1 else "" for name in names
            )
        return cls(given_columns(participants.factors, participants.copied), values)

    @classmethod
    def read(cls, summary: pd.DataFrame) -> Assignment:
        """Read it from summary.csv (``tables.summary.read_summary``)."""
        names = [name for name in summary if name not in SUMMARY.names]
        if not names:
            return cls.none()
        whole = summary["level"] == ITEM
        faces = summary["face_id"].astype(object).where(~whole, "").astype(str)
        keys = zip(summary["item"], faces, strict=True)
        values = summary[names].fillna("").itertuples(index=False, name=None)
        return cls(given_columns(names[1:]), dict(zip(keys, values, strict=True)))


def _check_names(where: str, names: list[str]) -> None:
    """Check the names of factors and copied columns. Raises UsageError."""
    for number, name in enumerate(names):
        if not name:
            raise UsageError(f"{where}: a column has no name but {_COPIED}")
        if name in _TAKEN or name in names[:number]:
            raise UsageError(
                f"{where}: a column cannot be called {name}, since tables have one of that name; rename it"
            )


def _check(where: str, table: pd.DataFrame, factors: list[str], others: list[str], named: bool) -> None:
    """Check the rows. ``others`` are columns of which one may have been meant as face_id. Raises UsageError."""
    needed = (*_NEEDED[named:], *factors)
    for name in needed:
        if (empty := table[name] == "").any():
            number = table.index[empty][0]
            missing = [name for name in needed if not table.loc[number, name]]
            raise UsageError(f"{where}: row {number} has no {' and no '.join(missing)}")
    for number, face in table.loc[table[_FACE_ID] != ALL_FACES, _FACE_ID].items():
        if not (face.isascii() and face.isdigit()):
            raise UsageError(f"{where}: row {number}: face_id must be a number or empty, got {face!r}")
    if (lost := (table[_ITEM] == "") & (table[_FACE_ID] != ALL_FACES)).any():
        raise UsageError(f"{where}: row {table.index[lost][0]} has a face_id, and no item")
    items = table["item"].map(plain)
    if named:  # a row without face_id is about one person
        items = items.where(table[_FACE_ID] != ALL_FACES, items + "\n" + table["participant"])
    several = items.duplicated(keep=False)
    for item, rows in table[several].groupby(items[several], sort=False):
        again = rows[rows[_FACE_ID].duplicated(keep=False)] if ALL_FACES not in set(rows[_FACE_ID]) else rows
        if len(again) > 1:
            (first, one), (second, other) = list(again.iterrows())[:2]
            why = _why(one, other, others)
            what = " ".join(filter(None, str(item).split("\n")))
            raise UsageError(f"{where}: {what} is there twice, in rows {first} and {second}; {why}")


def _why(one: pd.Series, other: pd.Series, others: list[str]) -> str:
    """Explain why two rows of one item conflict, and what to do."""
    if list(one.drop("item")) == list(other.drop("item")):
        return "both say the same: take one away"
    if one[_FACE_ID] != other[_FACE_ID]:
        number = one[_FACE_ID] if other[_FACE_ID] == ALL_FACES else other[_FACE_ID]
        return f"one is of all its faces and one of face {number}: give each a face_id"
    if one[_FACE_ID] != ALL_FACES:
        return f"both are of face {one[_FACE_ID]}: give each another face_id"
    hint = f" (there is none, but {', '.join(others)})" if others else ""
    return f"both are of all its faces: tell its faces apart by a column face_id{hint}"
