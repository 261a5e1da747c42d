"""The names of the faces in the tables of an item: the column ``person``."""

from __future__ import annotations

import csv
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fermedia.columns import PERSON
from fermedia.errors import DataError
from fermedia.files import whole_file

if TYPE_CHECKING:
    import pandas as pd


def people_of(table: pd.DataFrame) -> dict[Any, str]:
    """The names by ``face_id`` in a table of one item; none without the column ``person``."""
    if PERSON.name not in table:
        return {}
    named = table.loc[table[PERSON.name].notna() & table["face_id"].notna(), ["face_id", PERSON.name]]
    rows = named.drop_duplicates("face_id").itertuples(index=False, name=None)
    # pandas reads names that are all digits as numbers.
    return {face: name if isinstance(name, str) else f"{name:.15g}" for face, name in rows if name != ""}


def with_names(table: pd.DataFrame, people: Mapping[Any, str]) -> pd.DataFrame:
    """The table with the names of its faces in the column ``person``: text, missing for faces without one."""
    import pandas as pd

    names = [people.get(face_id, np.nan) for face_id in table["face_id"]]
    return table.assign(**{PERSON.name: pd.Series(names, table.index, dtype=str)})


def called(face_id: Any, person: object) -> str:
    """What a face is called for people: its person's name, or else ``#3``."""
    return person if isinstance(person, str) and person else f"#{face_id}"


def picked(face_ids: Iterable[Any], people: Mapping[Any, str], words: Collection[str]) -> list[Any]:
    """Those of an item's faces that names or ids mean; a name counts before an id.

    Args:
        face_ids: The item's faces.
        people: The names by ``face_id``.
        words: Names and ids, as text.
    """
    names = set(people.values())
    return [f for f in face_ids if people.get(f) in words or (str(f) in words and str(f) not in names)]


def only(timeline: pd.DataFrame, face_ids: Collection[Any]) -> pd.DataFrame:
    """A timeline in which all faces but these were not seen. Its frames are the same, and so are their lengths."""
    others = timeline["face_id"].notna() & ~timeline["face_id"].isin(list(face_ids))
    seen = {name: timeline[name].astype(bool) & ~others for name in ("success", "judged")}
    return timeline.assign(face_id=timeline["face_id"].mask(others), **seen)


def with_first(table: pd.DataFrame, people: Mapping[Any, Hashable]) -> pd.DataFrame:
    """The table with the ``face_id`` of a person's first face in place of their others."""
    first: dict[Hashable, Any] = {}
    for face_id in sorted(people):
        first.setdefault(people[face_id], face_id)
    others = {face_id: first[name] for face_id, name in people.items() if first[name] != face_id}
    if not others:
        return table
    renamed = table["face_id"].map(lambda face_id: others.get(face_id, face_id))
    return table.assign(face_id=renamed.astype(table["face_id"].dtype))


def write_names(path: Path, people: Mapping[int, str]) -> None:
    """Write the column ``person`` of a table with a row per face, and nothing else anew.

    Args:
        path: A CSV file with the column ``face_id``; of older versions without ``person``, which comes last.
        people: The names, as safe cells (``tables.cells``), by ``face_id``; faces without one get none.

    Raises:
        OSError: The file cannot be read or written; it is then as before.
        DataError: It is not a table with these columns.
    """
    names = {str(face_id): name for face_id, name in people.items()}
    try:
        # The first to be entered is left last: Windows replaces no file that is open.
        with (
            whole_file(path) as after,
            path.open(encoding="utf-8", newline="") as before,
            after.open("w", encoding="utf-8", newline="") as file,
        ):
            csv.writer(file, lineterminator="\n").writerows(_named(csv.reader(before), names))
    except (csv.Error, ValueError, IndexError, StopIteration) as error:
        raise DataError(f"{path}: not a table of faces by fermedia ({error})") from error


def _named(rows: Iterator[list[str]], names: Mapping[str, str]) -> Iterator[list[str]]:
    header = next(rows)
    face = header.index("face_id")
    place = header.index(PERSON.name) if PERSON.name in header else len(header)
    yield [*header[:place], PERSON.name, *header[place + 1 :]]
    for row in rows:
        yield [*row[:place], names.get(row[face], ""), *row[place + 1 :]]
