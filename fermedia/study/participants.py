"""The table of ``--participants``: who is seen in each item, and the levels of the factors of a study."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fermedia.columns import FACE, FACTOR, ITEM, SUMMARY, TABLES, Column, given_columns
from fermedia.errors import UsageError
from fermedia.files import few, shown
from fermedia.study.given import GivenTable
from fermedia.study.item_names import ItemNames, plain
from fermedia.tables.cells import cell

if TYPE_CHECKING:
    import pandas as pd

#: The option that names the table.
OPTION = "--participants"

#: Factors that most studies have; they may be capitalized in the file.
FACTORS = ("condition", "session")

#: ``face_id`` of a row about all faces of an item.
ALL_FACES = "all"

#: The columns of a ``GivenTable`` with meanings of their own, and the prefix of columns that are only copied.
_NEEDED, _FACE_ID, _COPIED = ("item", "participant"), "face_id", "#"

#: Names that factors cannot have, since tables with their columns have these.
_TAKEN = {column.name for table in TABLES for column in table.columns} | {"run", "person"}
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
        table: A row per item and face, all text: ``item``, ``face_id`` (a number or ``ALL_FACES``), ``participant``,
            and the columns of ``factors`` and ``copied``.
        factors: The names of the columns by whose levels participants are compared.
        copied: The names of further columns, which are copied into tables.
    """

    path: Path
    table: pd.DataFrame
    factors: tuple[str, ...]
    copied: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> Participants:
        """Read a table (``study.given``) with the columns item and participant, and optionally face_id.

        ``item`` is the name in items.csv, or a part of it (``study.item_names``); ``face_id`` is one of its faces, or
        "all" or empty for all. Every further column is a factor, such as condition or session, unless its name begins
        with #: then it is only copied.

        Raises:
            UsageError: The file is wrong; the message says how, and in which row.
            MissingExtraError: It is an .xlsx file, and openpyxl is not installed.
        """
        given = GivenTable.read(path, OPTION, _NEEDED, (_FACE_ID, *FACTORS))
        rows = given.rows.rename(
            columns={name: cell(name) for name in given.rows if name.startswith(("=", "+", "-", "@"))}
        )
        others = [name for name in rows if name not in (*_NEEDED, _FACE_ID)]
        copied = {name: name.removeprefix(_COPIED).strip() for name in others if name.startswith(_COPIED)}
        factors = [name for name in others if name not in copied]
        _check_names(given.where, [*factors, *copied.values()])
        table = rows.assign(face_id=rows.get(_FACE_ID, "")).rename(columns=copied)
        table["face_id"] = table["face_id"].replace("", ALL_FACES)
        names = ["participant", *factors, *copied.values()]
        table = table[["item", "face_id", *names]]
        table[names] = table[names].map(cell)
        _check(given.where, table, factors, [] if _FACE_ID in rows else others)
        table["face_id"] = [face if face == ALL_FACES else str(int(face)) for face in table["face_id"]]
        return cls(path, table, tuple(factors), tuple(copied.values()))

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
        said = [self._complaint(unknown, names, left_out, again), self._several(known, faces), self._no_factors()]
        return known, [text for text in said if text]

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


def _check(where: str, table: pd.DataFrame, factors: list[str], others: list[str]) -> None:
    """Check the rows. ``others`` are columns of which one may have been meant as face_id. Raises UsageError."""
    for name in (*_NEEDED, *factors):
        if (empty := table[name] == "").any():
            number = table.index[empty][0]
            missing = [name for name in (*_NEEDED, *factors) if not table.loc[number, name]]
            raise UsageError(f"{where}: row {number} has no {' and no '.join(missing)}")
    for number, face in table.loc[table[_FACE_ID] != ALL_FACES, _FACE_ID].items():
        if not (face.isascii() and face.isdigit()):
            raise UsageError(f"{where}: row {number}: face_id must be a number or empty, got {face!r}")
    items = table["item"].map(plain)
    several = items.duplicated(keep=False)
    for item, rows in table[several].groupby(items[several], sort=False):
        again = rows[rows[_FACE_ID].duplicated(keep=False)] if ALL_FACES not in set(rows[_FACE_ID]) else rows
        if len(again) > 1:
            (first, one), (second, other) = list(again.iterrows())[:2]
            why = _why(one, other, others)
            raise UsageError(f"{where}: {item} is there twice, in rows {first} and {second}; {why}")


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
