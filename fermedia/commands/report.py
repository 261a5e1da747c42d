"""Write the pages of a folder of results again, outside of a run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from fermedia.errors import OutputError, UsageError
from fermedia.files import shown, unlinked
from fermedia.names import LEDGER
from fermedia.options import EventOptions
from fermedia.report.batch import write_report
from fermedia.report.pages import DATA, PAGE
from fermedia.store.events import Made, write_events
from fermedia.store.fingerprints import Fingerprint
from fermedia.store.ledger import Ledger
from fermedia.store.lock import is_held
from fermedia.store.remembered import RememberedOptions, participants_of
from fermedia.store.results import finished, read_ledger
from fermedia.tables.finished import place


def remake(folder: Path, events: EventOptions | None = None) -> tuple[int, Made]:
    """Write ``folder/report.html`` and the page of every item from the tables, and the tables of events.

    Args:
        folder: The folder of results.
        events: Events, and what is computed around them, which the folder remembers from then on.

    Returns:
        The number of items, and what was made of the events.

    Raises:
        UsageError: There are no results, or a run is writing into the folder; or the events are wrong, or none is of
            an item.
        DataError: A table is damaged.
        OutputError: The pages cannot be written.
    """
    where = shown(folder, whole=True)
    try:
        if unlinked(folder, LEDGER).exists() and is_held(folder):
            raise UsageError(f"{where}: a run is writing into it, and makes the pages itself at its end")
        if not (folder / "summary.csv").is_file():
            raise UsageError(f"{where}: has no results of fermedia; there is no summary.csv")
        made = _write_events(folder, events)
        count = write_report(folder, _keys(folder))
        _note_pages(folder)
        return count, made
    except OSError as error:
        raise OutputError(f"{where}: the pages cannot be written ({error.strerror or error})") from error


def _write_events(folder: Path, events: EventOptions | None) -> Made:
    """Write the tables of events; what is wrong with remembered files is a note, since nobody asked for them now."""
    if not unlinked(folder, LEDGER).exists():
        return Made()
    read_ledger(folder)  # an error of usage if that is not possible
    asked = events is not None and events != EventOptions()
    with Ledger.open(folder) as ledger:
        before = RememberedOptions.of(ledger.remembered)
        now = before.with_events(events) if events is not None else before
        if now.events == before.events == EventOptions():
            return Made()
        try:
            made = write_events(folder, ledger, now.events, participants_of(ledger), [*ledger.named])
        except UsageError as error:
            if asked:
                raise
            return Made(notes=[f"{error}; windows.csv and courses.csv are not updated"])
        if now != before:
            ledger.tell(now.record())
        return made


def _note_pages(folder: Path) -> None:
    """Record the fingerprints of the pages, which have changed, for example if figures were drawn since the run."""
    with Ledger.open(folder) as ledger:
        changed = []
        for outcome in [outcome for outcome in ledger.chosen() if outcome.finished]:
            home = place(folder, outcome.key)
            now = replace(
                outcome, outputs=outcome.outputs | {name: Fingerprint.of(home / name) for name in (PAGE, DATA)}
            )
            changed += [now] if now != outcome else []
        if changed:
            ledger.add(*changed)


def _keys(folder: Path) -> Iterator[str]:
    """The keys of the finished items.

    A generator, so that the ledger is read after the tables and errors in the tables are reported first.
    """
    yield from (outcome.key for outcome in finished(folder))
