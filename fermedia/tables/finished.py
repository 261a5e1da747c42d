"""The results of a finished item, read from its files: item.json, timeline.csv, measures.csv, and what follows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from fermedia.columns import MEASURED
from fermedia.errors import DataError, FermediaError
from fermedia.files import printable, regular, unlinked
from fermedia.names import ITEMS, portable, reachable
from fermedia.tables.blinks import blink_table
from fermedia.tables.measures import read_measures
from fermedia.tables.people import people_of
from fermedia.tables.photos import photo_table
from fermedia.tables.segments import segments
from fermedia.tables.timeline import read_timeline

if TYPE_CHECKING:
    import pandas as pd

#: The advice in messages about a damaged item.
AGAIN = "run fermedia analyze again, which writes it again"

#: The file that identifies a folder as an item's.
DESCRIPTION = "item.json"

#: Maximum number of characters of paths below an item's folder.
BELOW = 300

#: The fields of item.json that are used, and a check of each.
_USED: dict[str, Callable[[Any], bool]] = {
    "source": lambda value: isinstance(value, str),
    "kind": lambda value: value in ("video", "photos", "sequence"),
    "fermedia": lambda value: isinstance(value, str),
    "frames": lambda value: _is_number(value, 1e12),
    "frames_analysed": lambda value: _is_number(value, 1e12),
    "frames_with_face": lambda value: _is_number(value, 1e12),
    "end": lambda value: value is None or _is_number(value, 1e9),
    "options": lambda value: isinstance(value, dict) and _are_options(value),
    "failures": lambda value: isinstance(value, list) and all(isinstance(f.get("error"), str) for f in value),
}

#: Exceptions caused by tables with impossible contents.
_ABSURD = (ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, TypeError, ValueError)


def place(results: Path, key: str) -> Path:
    """The folder of the item ``key`` in a folder of results: its key, with names that all systems allow.

    It is always below ``items``, whatever the key, since a ledger may come from a stranger. Raises UsageError if there
    is a link.
    """
    names = [portable(name) for name in key.split("/") if name not in ("", ".")]
    return reachable(unlinked(results, ITEMS, *names), BELOW)


@dataclass(frozen=True)
class FinishedItem:
    """The item ``key`` with its outputs in ``folder``. Each file is read once, on first access.

    Access raises DataError if the file is missing or damaged.
    """

    key: str
    folder: Path

    @classmethod
    def of(cls, results: Path, key: str) -> Self:
        """The item ``key`` of a folder of results. Raises UsageError as ``place`` does."""
        return cls(key, place(results, key))

    @property
    def is_video(self) -> bool:
        """Whether frames have times, unlike the photos of a folder."""
        return bool(self.about["kind"] != "photos")

    @cached_property
    def about(self) -> dict[str, Any]:
        """item.json."""
        return read_description(self.folder)

    @cached_property
    def timeline(self) -> pd.DataFrame:
        """timeline.csv."""
        return read_timeline(self.folder / "timeline.csv")

    @property
    def whole(self) -> pd.DataFrame:
        """The timeline, with the columns of measures if there are any. Raises DataError if the rows do not match."""
        if self.measures is None:
            return self.timeline
        keys = ["frame", "face_id"]
        if not self.timeline[keys].equals(self.measures[keys]):
            raise DataError(f"{self.folder / 'measures.csv'}: has other rows than the timeline; {AGAIN}")
        return self.timeline.join(self.measures[list(MEASURED)])

    @cached_property
    def measures(self) -> pd.DataFrame | None:
        """measures.csv; None if nothing was measured."""
        asked = self.about["options"].get("measures")
        return read_measures(self.folder / "measures.csv") if asked else None

    @cached_property
    def blinks(self) -> pd.DataFrame:
        """The blinks of a measured video."""
        assert self.measures is not None
        return blink_table(self.measures)

    @property
    def people(self) -> dict[int, str]:
        """The names of faces by ``face_id`` (``--people``)."""
        return {int(face_id): name for face_id, name in people_of(self.timeline).items()}

    @property
    def photos(self) -> pd.DataFrame:
        """A row for each photo of a folder of photos."""
        with sensible(self.folder):
            return photo_table(self.timeline)

    @cached_property
    def segments(self) -> pd.DataFrame:
        """The segments of a video, with the smoothing of its annotated video."""
        with sensible(self.folder):
            return segments(self.timeline, end=self.about["end"], smooth=float(self.about["options"]["smooth"]))


def read_description(folder: Path) -> dict[str, Any]:
    """Read item.json of an item's folder. Raises DataError if it is missing, damaged, or not fermedia's."""
    path = folder / DESCRIPTION
    try:
        found: dict[str, Any] = json.loads(regular(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read ({error}); {AGAIN}") from error
    with sensible(path):
        wrong = [name for name, is_right in _USED.items() if not is_right(found.get(name))]
    if wrong:
        raise DataError(f"{path}: does not describe an item of fermedia ({', '.join(wrong)}); {AGAIN}")
    return found


@contextmanager
def sensible(path: Path) -> Iterator[None]:
    """Convert exceptions caused by impossible contents of ``path`` to DataError."""
    try:
        yield
    except FermediaError:
        raise
    except _ABSURD as error:
        what = printable(f"{type(error).__name__}: {error}")
        raise DataError(f"{path}: does not describe an item of fermedia ({what}); {AGAIN}") from error


def _is_number(value: Any, most: float) -> bool:
    return isinstance(value, int | float) and 0 <= value <= most


def _are_options(options: dict[str, Any]) -> bool:
    start = options.get("start")
    shares = _is_number(options.get("smooth"), 1e3) and _is_number(options.get("undecided", 0), 1)
    return shares and (start is None or _is_number(start, 1e9))


def notes(about: dict[str, Any]) -> list[str]:
    """The notes in an item's item.json: what was corrected or ignored when reading it. Older results have none."""
    found = about.get("notes")
    return [note for note in found if isinstance(note, str)] if isinstance(found, list) else []
