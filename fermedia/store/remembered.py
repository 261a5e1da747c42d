"""The options that a folder of results remembers, so that later runs into it need not repeat them."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from fermedia.errors import MissingExtraError, UsageError
from fermedia.options import EXPORT_FILES, NOTHING, AnalyzeOptions, EventOptions
from fermedia.store.ledger import Ledger
from fermedia.store.removal import removed_among
from fermedia.study.participants import Participants
from fermedia.study.people import People
from fermedia.study.windows import Baseline
from fermedia.tables.cells import cell


@dataclass(frozen=True)
class RememberedOptions:
    """The formats of ``--export``, that of ``--format``, the absolute paths of the tables, and ``--earlier``.

    ``events`` are ``--events``, as an absolute path, and the options about them.
    """

    export: tuple[str, ...] = ()
    format: str = "csv"
    participants: str | None = None
    people: str | None = None
    earlier: bool = False
    events: EventOptions = field(default_factory=EventOptions)

    @classmethod
    def of(cls, record: dict[str, Any]) -> RememberedOptions:
        """Restore the options from the ledger; invalid values, as of other versions, are ignored."""
        export = record.get("export")
        return cls(
            tuple(name for name in export if name in EXPORT_FILES) if isinstance(export, list) else (),
            "parquet" if record.get("format") == "parquet" else "csv",
            _path(record.get("participants")),
            _path(record.get("people")),
            record.get("earlier") is True,
            _events(record.get("events")),
        )

    def record(self) -> dict[str, Any]:
        """Plain values for JSON."""
        events = {name: value for name, value in self.events.record().items() if value is not None}
        return asdict(self) | {"export": list(self.export), "events": events}

    def changed(
        self,
        options: AnalyzeOptions,
        participants: Path | None,
        earlier: bool | None,
        events: EventOptions | None = None,
        people: Path | None = None,
    ) -> RememberedOptions:
        """Update with the options of a run; None leaves an option unchanged, and ``NOTHING`` resets it."""
        new = self
        if options.export is not None:
            new = replace(new, export=tuple(name for name in options.export if name != NOTHING))
        if options.format is not None:
            new = replace(new, format=options.format)
        if participants is not None:
            new = replace(new, participants=_remembered(participants))
        if people is not None:
            new = replace(new, people=_remembered(people))
        if events is not None:
            new = new.with_events(events)
        return new if earlier is None else replace(new, earlier=earlier)

    def with_events(self, events: EventOptions) -> RememberedOptions:
        """Update the options about events, as ``changed``."""
        given = {item.name: getattr(events, item.name) for item in fields(EventOptions)}
        given = {name: value for name, value in given.items() if value is not None}
        if (path := given.get("events")) is not None:
            given["events"] = Path(known) if (known := _remembered(path)) else None
        if given.get("baseline") == NOTHING:
            given["baseline"] = None
        elif given.get("events", self) is None and "baseline" not in given and _is_label(self.events.baseline):
            given["baseline"] = None  # no event is left to be it
        return replace(self, events=replace(self.events, **given))

    def applied(self, options: AnalyzeOptions) -> AnalyzeOptions:
        """The options of a run with the remembered ones filled in."""
        return replace(options, export=self.export, format=self.format)


def _path(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _remembered(path: Path) -> str | None:
    return None if str(path) == NOTHING else os.path.abspath(path)


def participants_of(ledger: Ledger, given: Path | None = None) -> Participants | None:
    """The participants of a folder: those of the file given or remembered, or else its people with names, if any.

    Raises:
        UsageError: The file is wrong, or gone.
        MissingExtraError: It is an .xlsx file, and openpyxl is not installed.
    """
    remembered = RememberedOptions.of(ledger.remembered)
    people = {cell(outcome.key): outcome.people for outcome in ledger.chosen() if outcome.people}
    if path := given or remembered.participants:
        return Participants.read(Path(path), named=bool(people)).by_person(people, _gone(ledger, remembered))
    return Participants.of_people(Path(remembered.people or "people"), people) if people else None


def _gone(ledger: Ledger, remembered: RememberedOptions) -> set[str]:
    """The people of removed items, by the remembered file."""
    if not ledger.removed or not remembered.people:
        return set()
    try:
        table = People.read(Path(remembered.people)).table
    except (UsageError, MissingExtraError):  # said elsewhere
        return set()
    return set(table.loc[table["item"].isin(removed_among(ledger, table["item"])), "person"])


def _is_label(baseline: str | None) -> bool:
    return baseline is not None and Baseline(baseline).is_label


def _events(record: Any) -> EventOptions:
    """Restore the options about events; all of them are ignored if one is invalid."""
    known = {item.name for item in fields(EventOptions)}
    try:
        return EventOptions(**{name: value for name, value in record.items() if name in known})
    except (AttributeError, TypeError, UsageError):
        return EventOptions()
