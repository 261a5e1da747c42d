"""Reading the finished items of a folder of results, for the commands that use them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fermedia.errors import DataError, UsageError
from fermedia.files import shown
from fermedia.names import LEDGER
from fermedia.store.ledger import Ledger, Outcome
from fermedia.tables.finished import FinishedItem


def read_ledger(out: Path) -> Ledger:
    """Read the ledger of a folder of results. Raises UsageError if there is none, or an incompatible one."""
    try:
        return Ledger.read(out)
    except OSError as error:
        reason = "" if isinstance(error, FileNotFoundError | NotADirectoryError) else f" ({error.strerror})"
        where = shown(out, whole=True)
        raise UsageError(f"{where}: has no results of fermedia, {LEDGER} cannot be read{reason}") from error


def keep_out(path: Path, flag: str = "--out") -> None:
    """Raise UsageError if an output file would be inside a folder of results, also through links.

    It might overwrite one of their files, or be removed with them.
    """
    around = next((folder for folder in path.resolve().parents if (folder / LEDGER).is_file()), None)
    if around is not None:
        where = shown(around, whole=True)
        raise UsageError(
            f"{flag} {shown(path, whole=True)}: lies in the results in {where}; name a place outside of them"
        )


def finished(out: Path, earlier: bool | None = None) -> list[Outcome]:
    """The outcomes of a run with results, by key; ``earlier`` as for ``Ledger.chosen``. Raises UsageError."""
    return [outcome for outcome in read_ledger(out).chosen(earlier) if outcome.finished]


def results(out: Path, earlier: bool | None = None) -> Iterator[FinishedItem]:
    """Yield the finished items of a run, each with its ``about`` read.

    Raises UsageError if the folder has no results, or some are missing or damaged.
    """
    for outcome in finished(out, earlier):
        item = FinishedItem.of(out, outcome.key)
        try:
            _ = item.about
        except DataError as error:
            where = shown(item.folder, whole=True)
            raise UsageError(f"{where}: its results are gone or damaged; run fermedia analyze again") from error
        yield item
