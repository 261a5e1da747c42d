"""The folder of a run's results, and who may write there.

::

    DIR/items/<key>/...      an item's outputs, moved there when they are complete and on the disk (``store.outputs``)
    DIR/ledger.jsonl         record of the finished items (``store.ledger``)
    DIR/.lock                held by the run that writes here (``store.lock``)
    DIR/items.csv            a row for each finished item of the last run's inputs, or with --earlier of all runs
    DIR/faces.csv            a row for each of their faces
    DIR/summary.csv          both in one table
    DIR/participants.csv     with --participants: means of participants,
    DIR/conditions.csv       ... of the levels of factors,
    DIR/comparisons.csv      ... and differences between these within participants
    DIR/windows.csv          what faces showed in events, and DIR/courses.csv around them, with --events
    DIR/failures.csv         what failed
    DIR/data_dictionary.csv  descriptions of all columns of all tables
    DIR/run.json             for people: options, models, date and machine; totals; later runs
    DIR/report.html          the page of the batch; each item has its own
    DIR/report/              scripts and styles of the pages
    DIR/.working-*           work in progress; useless after a crash, and removed by the next run
    DIR/.spans/...           finished spans of long videos that are not finished (``jobs.spans``)
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from fermedia import columns
from fermedia.columns import (
    COMPARISONS,
    CONDITIONS,
    DICTIONARY_COLUMNS,
    FACES,
    FAILURES,
    PARTICIPANTS,
    SUMMARY,
    dictionary,
)
from fermedia.errors import UsageError
from fermedia.files import HALF_WRITTEN, patiently, shown, sweep, unlinked, whole_file, write_csv, write_json
from fermedia.names import ITEMS, LEDGER, reachable
from fermedia.report.pages import ASSETS
from fermedia.store.ledger import Ledger, Outcome
from fermedia.store.lock import LOCK
from fermedia.store.outputs import PLOTS
from fermedia.store.removal import was_removed
from fermedia.study.groups import Groups
from fermedia.study.participants import Assignment, Participants
from fermedia.tables.cells import cell
from fermedia.tables.finished import BELOW, place
from fermedia.tables.summary import read_summary

if TYPE_CHECKING:
    import pandas as pd

RUN = "run.json"
_WORKING, _SPANS = ".working-", ".spans"


class RunFolder:
    """The folder of results, locked for this run inside ``with``. ``ledger`` is its ledger.

    Entering creates the folder if needed, and removes the unfinished work of killed runs. Raises UsageError if the
    folder holds other things, is locked by another run, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ledger = Ledger(path)
        self._staging: Path | None = None

    def __enter__(self) -> Self:
        where = shown(self.path, whole=True)
        try:
            if self.path.exists() and not self.path.is_dir():
                raise UsageError(f"--out {where}: is a file; name a folder")
            self.path.mkdir(parents=True, exist_ok=True)
            for name in (ITEMS, _SPANS, ASSETS):  # the ledger checks its own files
                unlinked(self.path, name)
            if any(path.name != LOCK for path in self.path.iterdir()) and not (self.path / LEDGER).is_file():
                raise UsageError(f"--out {where}: {_without_ledger(self.path)}")
            self.ledger = Ledger.open(self.path)
            self._clean()
        except BaseException as error:
            self.ledger.close()
            if isinstance(error, OSError):
                text = f"--out {where}: cannot be written ({error.strerror}); name another folder"
                raise UsageError(text) from error
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._staging is not None:
            shutil.rmtree(self._staging, ignore_errors=True)
        self.ledger.close()

    def place(self, key: str) -> Path:
        """The folder of an item's complete outputs."""
        return place(self.path, key)

    @property
    def staging(self) -> Path:
        """The folder for work in progress, on the same file system; removed when the run ends."""
        if self._staging is None:
            self._staging = Path(tempfile.mkdtemp(dir=reachable(self.path, BELOW), prefix=_WORKING))
        return self._staging

    def spans(self, key: str) -> Path:
        """The folder of a long video's finished spans, which is kept from run to run."""
        name = hashlib.sha256(os.fsencode(key)).hexdigest()[:16]
        return unlinked(reachable(self.path, BELOW), _SPANS, name)

    def forget_spans(self) -> None:
        """Remove all spans: they have other settings, or all videos are finished."""
        shutil.rmtree(self.path / _SPANS, ignore_errors=True)

    def write_tables(self, keys: Iterable[str], participants: Participants | None = None) -> list[str]:
        """Write the tables of the included outcomes, ``keys`` first, and data_dictionary.csv.

        Each is written completely or not at all, with its header even if it has no rows.

        Args:
            keys: The keys of the items.
            participants: With it, the tables of items have its columns, and those of participants are written.

        Returns:
            What is to be said about ``participants``, on one line each.
        """
        outcomes = {outcome.key: outcome for outcome in self.ledger.chosen()}
        ordered = [outcomes[key] for key in dict.fromkeys([*keys, *sorted(outcomes)]) if key in outcomes]
        given, said = Assignment.none(), list[str]()
        if participants:
            known, said = participants.matched(_matchable(ordered), partial(was_removed, self.ledger))
            if participants.is_complete:  # otherwise they are the people, who have a column of their own
                given = Assignment.by(participants, known)
        for table in (SUMMARY, FACES, columns.ITEMS):
            rows = (row for outcome in ordered for row in outcome.written(table, given))
            write_csv(self.path / f"{table.name}.csv", [c.name for c in table.having(given.columns)], rows)
        if participants:
            self._write_groups(Groups.of(participants, known, read_summary(self.path / "summary.csv")))
        failures = ([cell(f.item), f.stage, cell(f.error)] for o in ordered for f in o.failures)
        write_csv(self.path / "failures.csv", FAILURES.names, failures)
        write_csv(self.path / "data_dictionary.csv", DICTIONARY_COLUMNS, dictionary(given.columns))
        return said

    def _write_groups(self, groups: Groups) -> None:
        for path, table in zip(
            self._groups(), (groups.participants, groups.conditions, groups.comparisons), strict=True
        ):
            with whole_file(path) as temporary:
                table.to_csv(temporary, index=False, float_format="%.6f", lineterminator="\n")

    def remove_groups(self) -> None:
        """Remove the tables of participants, conditions and comparisons."""
        for path in self._groups():
            patiently(partial(path.unlink, missing_ok=True), path)

    def _groups(self) -> list[Path]:
        return [self.path / f"{table.name}.csv" for table in (PARTICIPANTS, CONDITIONS, COMPARISONS)]

    def write_record(self, record: dict[str, Any]) -> None:
        """Write run.json."""
        write_json(self.path / RUN, record)

    def _clean(self) -> None:
        sweep(self.path / PLOTS)
        for path in self.path.iterdir():
            if path.name.startswith(_WORKING):
                shutil.rmtree(path, ignore_errors=True)
            elif path.name.startswith(HALF_WRITTEN) and path.is_file():  # of files.whole_file
                patiently(partial(path.unlink, missing_ok=True), path)


def _matchable(outcomes: Iterable[Outcome]) -> pd.DataFrame:
    """The rows of summary.csv with the columns that ``Participants.matched`` needs."""
    import pandas as pd

    rows = [row for outcome in outcomes for row in outcome.rows(SUMMARY)]
    table = pd.DataFrame(rows, columns=["item", "level", "face_id", "seconds", "judged"])
    return table.astype({"face_id": "Int64", "seconds": "float64", "judged": "float64"})


def _without_ledger(folder: Path) -> str:
    """The message for a folder that is not empty and has no ledger."""
    if os.path.lexists(folder / LEDGER):
        return f"{LEDGER} in it is not a regular file; put back the one that was there, or name another folder"
    if (folder / ITEMS).is_dir() and (folder / RUN).is_file():
        return f"its {LEDGER}, which says what is finished, is gone; put it back, or name another folder"
    return "contains other files; name a new or empty folder"
