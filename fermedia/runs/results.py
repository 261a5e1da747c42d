"""The finished items of a folder of results, for what is made of them later."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fermedia.errors import DataError, UsageError
from fermedia.files import shown
from fermedia.outputs.finished import place, read_description
from fermedia.runs.ledger import LEDGER, Ledger


@dataclass(frozen=True)
class Result:
    """A finished item: its key, the folder of its outputs, and its ``item.json``."""

    key: str
    folder: Path
    about: dict[str, Any]

    @property
    def is_film(self) -> bool:
        """Whether it has times: not so the pictures of a folder."""
        return bool(self.about["kind"] != "photos")

    @property
    def timeline(self) -> Path:
        """Its timeline.csv."""
        return self.folder / "timeline.csv"


def finished(out: Path) -> list[str]:
    """The keys of the finished items of a run, in order. Raises UsageError if the folder holds no results."""
    try:
        outcomes = Ledger.read(out).outcomes
    except OSError as error:
        reason = "" if isinstance(error, FileNotFoundError | NotADirectoryError) else f" ({error.strerror})"
        where = shown(out, whole=True)
        raise UsageError(f"{where}: holds no results of fermedia, {LEDGER} cannot be read{reason}") from error
    return sorted(key for key, outcome in outcomes.items() if outcome.finished)


def results(out: Path) -> Iterator[Result]:
    """The finished items of a run, one after another. Raises UsageError if the folder holds no results, or not all."""
    for key in finished(out):
        folder = place(out, key)
        try:
            about = read_description(folder)
        except DataError as error:
            where = shown(folder, whole=True)
            raise UsageError(f"{where}: its results are gone or damaged; run fermedia analyze again") from error
        yield Result(key, folder, about)
