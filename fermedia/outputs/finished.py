"""A finished item's own account: what item.json and timeline.csv say, and the segments that follow."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from fermedia.errors import DataError
from fermedia.names import portable, reachable
from fermedia.outputs.segments import segments
from fermedia.outputs.timeline import read_timeline

if TYPE_CHECKING:
    import pandas as pd

#: The file that says that a folder is an item's.
DESCRIPTION = "item.json"

#: The folder of the items in that of the results, and how many characters the paths below an item's may have.
ITEMS, BELOW = "items", 300

#: What is taken from it, of whatever item.
_USED: dict[str, type] = {"source": str, "kind": str, "options": dict, "failures": list, "fermedia": str}
_USED |= dict.fromkeys(("frames", "frames_analysed", "frames_with_face"), int)


def place(results: Path, key: str) -> Path:
    """Where the outputs of the item ``key`` are, in a folder of results: its key, in names that all systems allow."""
    return reachable(results.joinpath(ITEMS, *map(portable, PurePosixPath(key).parts)), BELOW)


@dataclass(frozen=True)
class FinishedItem:
    """An item whose outputs are in ``folder``; each of its files is read when it is first asked for, and once.

    Asking raises DataError where the file is missing or damaged.
    """

    folder: Path

    @cached_property
    def about(self) -> dict[str, Any]:
        """item.json."""
        return read_description(self.folder)

    @cached_property
    def timeline(self) -> pd.DataFrame:
        """timeline.csv."""
        return read_timeline(self.folder / "timeline.csv")

    @cached_property
    def segments(self) -> pd.DataFrame:
        """Its segments, smoothed as its film was. Pictures have none."""
        return segments(self.timeline, end=self.about["end"], smooth=float(self.about["options"]["smooth"]))


def read_description(folder: Path) -> dict[str, Any]:
    """item.json of an item's folder. Raises DataError where it is gone, damaged, or another program's."""
    path = folder / DESCRIPTION
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error}); analyse the item again") from error
    if not isinstance(found, dict) or not _USED.items() <= {(name, type(value)) for name, value in found.items()}:
        raise DataError(f"{path}: does not describe an item of fermedia; analyse the item again")
    return found


def notes(about: dict[str, Any]) -> list[str]:
    """What was put right or left aside while an item was read, from its item.json; older results have none."""
    found = about.get("notes")
    return [note for note in found if isinstance(note, str)] if isinstance(found, list) else []
