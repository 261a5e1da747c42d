"""windows.csv and courses.csv of a folder of results, and the events of its videos, which their pages show.

All of it is made anew from the finished tables at the end of each run, and by ``fermedia report``.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import fermedia
from fermedia.columns import COURSES, EVENTS, WINDOWS
from fermedia.errors import DataError, UsageError
from fermedia.files import few, patiently, printable, shown, unlinked, whole_file, write_csv
from fermedia.options import EVENT_DEFAULTS, EventOptions
from fermedia.report.item import write_item_page
from fermedia.report.pages import DATA, EVENTS_FILE, PAGE, is_current
from fermedia.store.derive import MEASURES, TIMELINE
from fermedia.store.fingerprints import Fingerprint
from fermedia.store.ledger import Ledger, Outcome
from fermedia.store.outputs import set_aside
from fermedia.store.removal import was_removed
from fermedia.store.settings import METHOD
from fermedia.study.events import Event, EventFiles, beyond
from fermedia.study.participants import Participants, combination
from fermedia.study.windows import Baseline, Courses, Happening, Steps, Unit
from fermedia.tables.cells import cell
from fermedia.tables.finished import DESCRIPTION, FinishedItem, sensible
from fermedia.tables.summary import Observed, read_summary

_WINDOWS, _COURSES = f"{WINDOWS.name}.csv", f"{COURSES.name}.csv"

#: Cameras that do not know the time write the zero of one clock or another.
_OLDEST = datetime(1990, 1, 1, tzinfo=UTC)


@dataclass
class Made:
    """What was made: the number of rows of windows.csv and of events, and notes for the user."""

    windows: int = 0
    events: int = 0
    notes: list[str] = field(default_factory=list)


def write_events(
    folder: Path, ledger: Ledger, options: EventOptions, participants: Participants | None, keys: Sequence[str] = ()
) -> Made:
    """Write windows.csv and courses.csv, and events.csv of each video.

    The two tables are left as they are if the ledger has it that they were made from the same. Without ``events`` and
    ``baseline``, what earlier runs made of them is removed.

    Args:
        folder: The folder of results.
        ledger: Its ledger, open for writing.
        options: The options, as the folder remembers them.
        participants: Who is seen in the items, if known.
        keys: The keys of items that come first, in this order; then the others.

    Raises:
        UsageError: The file of events is wrong, or has dates and it is not known when a video was recorded.
        DataError: A table is damaged.
        OSError: A file cannot be written.
    """
    made_before = ledger.made_events is not None or any((folder / name).exists() for name in (_WINDOWS, _COURSES))
    if options == EventOptions() and not made_before:
        return Made()  # before every item is looked at
    outcomes = {outcome.key: outcome for outcome in ledger.chosen() if outcome.finished}
    ordered = [key for key in dict.fromkeys([*keys, *outcomes]) if key in outcomes]
    items = {cell(key): FinishedItem.of(folder, key) for key in ordered}
    videos = {name: item for name, item in items.items() if item.is_video}
    made, found = Made(), dict[str, list[Event]]()
    if options.events is not None:
        files = EventFiles.read(options.events)
        removed = partial(was_removed, ledger)
        found, made.notes = files.matched({name: recorded(item) for name, item in videos.items()}, removed)
        made.events = sum(map(len, found.values()))
        if not found:
            where = shown(options.events, whole=True)
            raise UsageError(f"--events {made.notes[0] if made.notes else f'{where}: has no event of what is left'}")
        made.notes += beyond(found, {name: _analysed(videos[name]) for name in found})
    if options.baseline is not None:
        made.notes += _without_baseline(Baseline(options.baseline), found, options)
    people = None if participants is None else _people(participants, folder / "summary.csv")
    given = (_read_from([outcomes[item.key] for item in videos.values()]), options.record(), found, people)
    if ledger.made_events is None or ledger.made_events != _digest(folder, given):
        _write_tables(folder, videos, found, options, people)
        if (digest := _digest(folder, given)) != ledger.made_events:
            ledger.note_events(digest)
    made.windows = _count_rows(folder / _WINDOWS)
    for name, item in items.items():
        _write_own(item, found.get(name, []))
    return made


def renew_pages(folder: Path, ledger: Ledger) -> None:
    """Write the pages that do not show the events in their folders; ``ledger`` is open for writing.

    Raises:
        DataError: A table is damaged.
        OSError: A file cannot be written.
    """
    renewed = []
    for outcome in ledger.chosen():
        item = FinishedItem.of(folder, outcome.key)
        if outcome.finished and not is_current(item.folder):
            write_item_page(item)
            pages: dict[str, Fingerprint | None] = {name: Fingerprint.of(item.folder / name) for name in (PAGE, DATA)}
            renewed.append(replace(outcome, outputs=outcome.outputs | pages))
    if renewed:
        ledger.add(*renewed)


def recorded(item: FinishedItem) -> datetime | None:
    """When a video was recorded, as it says itself; None if it does not, or another than a possible date."""
    media = item.about.get("media")
    try:
        moment = datetime.fromisoformat(str(media.get("recorded")) if isinstance(media, dict) else "")
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment if moment > _OLDEST else None


def _analysed(item: FinishedItem) -> tuple[float, float]:
    """Begin and end of the part of a video that was analysed, as far as item.json says, in seconds."""
    return float(item.about["options"].get("start") or 0), float(item.about["end"] or 0)


def _write_tables(
    folder: Path,
    videos: Mapping[str, FinishedItem],
    found: Mapping[str, list[Event]],
    options: EventOptions,
    people: Mapping[str, Mapping[str, Unit]] | None,
) -> None:
    paths = [unlinked(folder, name) for name in (_WINDOWS, _COURSES)]
    if options.events is None and options.baseline is None:
        for path in paths:
            patiently(partial(path.unlink, missing_ok=True), path)
        return
    given = options.record()
    steps = Steps(**{name: given[name] if given[name] is not None else usual for name, usual in EVENT_DEFAULTS.items()})
    baseline = Baseline(options.baseline) if options.baseline is not None else None
    courses = Courses(steps, "items" if people is None else "participants", baseline is not None)
    with whole_file(paths[0]) as path, path.open("w", encoding="utf-8", newline="") as file:
        file.write(",".join(WINDOWS.names) + "\n")
        for name, item in videos.items():  # only one timeline is in memory at a time
            events = found.get(name, [])
            if options.events is not None and not events:
                continue
            happening = _happening(
                item, name, events, steps, baseline, None if people is None else people.get(name, {})
            )
            with sensible(item.folder):
                rows = happening.windows(None if options.events is not None else _whole(item, happening.observed))
                courses.add(happening)
            rows.to_csv(file, index=False, header=False, float_format="%.6f", lineterminator="\n")
    if options.events is None:
        patiently(partial(paths[1].unlink, missing_ok=True), paths[1])
        return
    with whole_file(paths[1]) as path:
        courses.table().to_csv(path, index=False, float_format="%.6f", lineterminator="\n")


def _read_from(outcomes: Sequence[Outcome]) -> list[Any]:
    """What the ledger knows of the tables that windows are computed from."""
    names = (TIMELINE, MEASURES, DESCRIPTION)
    marks = [(o.key, [mark.whole if (mark := o.outputs.get(name)) else None for name in names]) for o in outcomes]
    return [METHOD, fermedia.__version__, marks]


def _digest(folder: Path, given: Any) -> str:
    """A digest of what windows.csv and courses.csv are made from, and of the two as they are."""
    whole = hashlib.sha256(repr(given).encode("utf-8", "surrogateescape"))
    for name in (_WINDOWS, _COURSES):
        path = folder / name
        whole.update(hashlib.sha256(path.read_bytes()).digest() if path.is_file() else b"none")
    return whole.hexdigest()


def _count_rows(path: Path) -> int:
    """The number of rows of a table that has no line breaks in its cells; 0 if there is none."""
    if not path.is_file():
        return 0
    with path.open("rb") as file:
        return max(0, sum(1 for _ in file) - 1)


def _without_baseline(baseline: Baseline, found: Mapping[str, list[Event]], options: EventOptions) -> list[str]:
    """A note if no event is a baseline. Raises UsageError if that cannot be meant."""
    if not baseline.is_label:
        return []
    text = printable(baseline.text)
    if options.events is None:
        raise UsageError(
            f"--baseline {text}: is a label of events, and there are none; add --events, or give 10s, or none"
        )
    without = [name for name, events in found.items() if all(event.label != baseline.text for event in events)]
    if found and len(without) == len(found):
        labels = sorted({event.label for events in found.values() for event in events})
        some = ", ".join(map(printable, labels[:5])) + (", ..." if len(labels) > 5 else "")
        raise UsageError(f"--baseline {text}: no event has this label; there are {some}; or give 10s, before or median")
    return [f"no event of {few(without, 3)} is the baseline {text}"] if without else []


def _people(participants: Participants, summary: Path) -> dict[str, dict[str, Unit]]:
    """The participant and the levels of the factors of each face of each item. Raises DataError."""
    try:
        table = read_summary(summary)
    except ValueError as error:
        raise DataError(f"{shown(summary)}: is damaged ({error}); run fermedia analyze again") from error
    found: dict[str, dict[str, Unit]] = {}
    for row in participants.matched(table)[0].to_dict("records"):
        condition = combination(str(row[factor]) for factor in participants.factors)
        found.setdefault(str(row["item"]), {})[str(row["face_id"])] = Unit(str(row["participant"]), condition)
    return found


def _happening(
    item: FinishedItem,
    name: str,
    events: Sequence[Event],
    steps: Steps,
    baseline: Baseline | None,
    people: Mapping[str, Unit] | None,
) -> Happening:
    about = item.about
    with sensible(item.folder):
        whole = FinishedItem(item.key, item.folder).whole  # so that the tables are not kept
        observed = Observed.of(whole, about["end"], float(about["options"]["smooth"]), True, people)
    return Happening(name, observed, events, steps, baseline, people)


def _whole(item: FinishedItem, observed: Observed) -> tuple[float, float]:
    """Begin and end of what was analysed of a video."""
    times = observed.frames["timestamp"]
    begin = float(times.iloc[0]) if len(times) else 0.0
    return begin, max(float(item.about["end"] or begin), begin)


def _write_own(item: FinishedItem, events: Sequence[Event]) -> None:
    """Write events.csv of an item, or remove it if there are none; a user's file of this name is renamed."""
    path = unlinked(item.folder, EVENTS_FILE)
    if os.path.lexists(path) and not _is_ours(path):
        set_aside(path)
    if not events:
        patiently(partial(path.unlink, missing_ok=True), path)
        return
    rows = [
        [str(number), f"{e.begin:.6f}", "" if e.end is None else f"{e.end:.6f}", e.label, e.trial, e.condition]
        for number, e in enumerate(events, 1)
    ]
    write_csv(path, EVENTS.names, rows)


def _is_ours(path: Path) -> bool:
    """Whether a file is an events.csv that fermedia wrote."""
    try:
        with path.open(encoding="utf-8") as file:
            return file.readline().strip() == ",".join(EVENTS.names)
    except (OSError, ValueError):
        return False
