"""The folder of a run's results.

::

    DIR/items/<key>/...      an item's outputs, moved there by one rename when they are complete and on the disk
    DIR/ledger.jsonl         what is done (``runs.ledger``)
    DIR/.lock                held by the run that writes here (``runs.lock``)
    DIR/summary.csv          of all finished items
    DIR/participants.csv     means of people, DIR/conditions.csv of conditions, if somebody said who is who
    DIR/failures.csv         what could not be done
    DIR/data_dictionary.csv  what every column of every table is
    DIR/run.json             for people: the options, the models, the totals of the last run
    DIR/report.html          the page of the batch; each item has one of its own
    DIR/report/              what the pages share
    DIR/.working-*           what is being made; of no use after a crash, and removed by the next run
    DIR/.spans/...           finished spans of long films that are not finished (``runs.spans``)
"""

from __future__ import annotations

import csv
import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, Self

from fermedia.columns import CONDITIONS, DICTIONARY_COLUMNS, FAILURES, PARTICIPANTS, SUMMARY_COLUMNS, dictionary
from fermedia.errors import UsageError
from fermedia.files import patiently, shown, sync, whole_file, write_csv, write_json
from fermedia.names import reachable
from fermedia.outputs.cells import cell
from fermedia.outputs.finished import BELOW, DESCRIPTION, place
from fermedia.outputs.groups import Participants
from fermedia.outputs.summary import read_summary
from fermedia.runs.ledger import LEDGER, Ledger, Outcome
from fermedia.runs.lock import LOCK

RUN = "run.json"
_WORKING, _SPANS = ".working-", ".spans"


class RunFolder:
    """The results' folder, held by this run alone from ``with`` to its end. ``ledger`` is its ledger.

    Entering makes the folder if there is none, and removes what killed runs left half done. Raises UsageError for a
    folder that holds other things, that another run is writing into, or that may not be written.
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
            if any(path.name != LOCK for path in self.path.iterdir()) and not (self.path / LEDGER).is_file():
                raise UsageError(f"--out {where}: holds other things; name a new or empty folder")
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
        """Where an item's outputs are once they are complete."""
        return place(self.path, key)

    @property
    def staging(self) -> Path:
        """Where outputs are made, on the file system of their place; gone when the run ends."""
        if self._staging is None:
            self._staging = Path(tempfile.mkdtemp(dir=reachable(self.path, BELOW), prefix=_WORKING))
        return self._staging

    def spans(self, key: str) -> Path:
        """Where the finished spans of a long film wait for the others, from run to run."""
        return reachable(self.path, BELOW) / _SPANS / hashlib.sha256(os.fsencode(key)).hexdigest()[:16]

    def forget_spans(self) -> None:
        """They are of other settings, or all films are finished."""
        shutil.rmtree(self.path / _SPANS, ignore_errors=True)

    def holds(self, outcome: Outcome) -> bool:
        """Whether the outputs of ``outcome`` are there as they were made."""
        try:
            now = outputs(self.place(outcome.key))
        except OSError:
            return False
        return all(now.get(name) == size for name, size in outcome.outputs.items())

    def write_tables(self, keys: Iterable[str]) -> None:
        """summary.csv and failures.csv of all outcomes in the ledger, ``keys`` first; data_dictionary.csv.

        Whole or not at all, and all always there, with their headers.
        """
        outcomes = self.ledger.outcomes
        ordered = [outcomes[key] for key in dict.fromkeys([*keys, *sorted(outcomes)]) if key in outcomes]
        with whole_file(self.path / "summary.csv") as path, path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerow(SUMMARY_COLUMNS)
            file.writelines(outcome.summary for outcome in ordered)
        failures = ([cell(f.item), f.stage, cell(f.error)] for o in ordered for f in o.failures)
        write_csv(self.path / "failures.csv", FAILURES.names, failures)
        write_csv(self.path / "data_dictionary.csv", DICTIONARY_COLUMNS, dictionary())

    def write_groups(self, participants: Participants | None) -> str | None:
        """participants.csv and conditions.csv from summary.csv; neither if nobody says who is who now.

        Gives what of the participants and of the items did not match, if anything.
        """
        paths = [self.path / f"{table.name}.csv" for table in (PARTICIPANTS, CONDITIONS)]
        if participants is None:
            for path in paths:
                patiently(partial(path.unlink, missing_ok=True), path)
            return None
        *tables, complaint = participants.compare(read_summary(self.path / "summary.csv"))
        for path, table in zip(paths, tables, strict=True):
            with whole_file(path) as temporary:
                table.to_csv(temporary, index=False, float_format="%.6f", lineterminator="\n")
        return complaint

    def write_record(self, record: dict[str, Any]) -> None:
        """run.json."""
        write_json(self.path / RUN, record)

    def _clean(self) -> None:
        for path in self.path.iterdir():
            if path.name.startswith(_WORKING):
                shutil.rmtree(path, ignore_errors=True)
            elif path.name.startswith(".fermedia-") and path.is_file():  # of files.whole_file
                patiently(partial(path.unlink, missing_ok=True), path)


def outputs(folder: Path) -> dict[str, int]:
    """The names in an item's folder with the sizes of files in bytes, and of folders the numbers of names in them."""
    with os.scandir(folder) as entries:
        return {e.name: len(os.listdir(e.path)) if e.is_dir() else e.stat().st_size for e in entries}


def put(staging: Path, place: Path) -> None:
    """Move a complete folder to its place by one rename, on the disk before and after.

    What stood there goes only now. A crash between the two renames costs the item's results, old and new: without a row
    in the ledger they are made again. Raises OSError.
    """
    for inside, _, names in os.walk(staging):
        for name in names:
            sync(os.path.join(inside, name))
        sync(inside)
    new = [folder for folder in place.parents if not folder.exists()]
    place.parent.mkdir(parents=True, exist_ok=True)
    old = staging.with_name(staging.name + ".old")
    if place.exists():
        if not (place / DESCRIPTION).is_file():
            raise FileExistsError(errno.EEXIST, "something else is in the place of its results", str(place))
        patiently(partial(place.replace, old), place)
    patiently(partial(staging.replace, place), place)
    for folder in (place.parent, *(made.parent for made in new)):
        sync(folder)
    shutil.rmtree(old, ignore_errors=True)
