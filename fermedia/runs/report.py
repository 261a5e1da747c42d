"""Making the pages of a folder of results again, outside a run."""

from __future__ import annotations

from pathlib import Path

from fermedia.errors import OutputError, UsageError
from fermedia.files import shown
from fermedia.outputs.report.batch import write_report
from fermedia.runs.ledger import LEDGER
from fermedia.runs.lock import is_held


def remake(folder: Path) -> int:
    """Write ``folder/report.html`` and the page of every item from the tables; gives how many items there are.

    Raises UsageError where there are no results or a run is writing them, DataError for damaged tables, OutputError
    where nothing can be written.
    """
    where = shown(folder, whole=True)
    try:
        if (folder / LEDGER).exists() and is_held(folder):
            raise UsageError(f"{where}: a run is writing into it, and makes the pages itself at its end")
        if not (folder / "summary.csv").is_file():
            raise UsageError(f"{where}: holds no results of fermedia; there is no summary.csv")
        return write_report(folder)
    except OSError as error:
        raise OutputError(f"{where}: the pages cannot be written ({error.strerror or error})") from error
