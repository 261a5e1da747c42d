"""Events that users name: read from tables, BIDS, BORIS and ELAN, and matched with the items of a run.

Times are seconds of the video, MM:SS or HH:MM:SS; or times of day, where the table has the recording's start in a
column ``recording_start``; or dates with a time and its zone, which are compared with that column or else with the
time at which the video says it was recorded.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath

from fermedia.errors import DataError, UsageError
from fermedia.files import counted, few, printable, shown
from fermedia.options import seconds
from fermedia.study.boris import BorisEvent, read_boris
from fermedia.study.elan import ElanFile
from fermedia.study.given import NOT_OWN, Row, read_rows, records
from fermedia.study.item_names import ItemNames
from fermedia.tables.cells import cell

#: The names of each column, in lower case.
_COLUMNS = {
    "item": ("item",),
    "begin": ("begin", "onset"),
    "end": ("end",),
    "duration": ("duration",),
    "label": ("label", "trial_type"),
    "trial": ("trial",),
    "condition": ("condition",),
    "start": ("recording_start",),
}
_NEEDED = "begin (or onset), label (or trial_type)"

#: The item that stands for every video of the run.
EVERY = "*"

#: The files of a folder that are read as events.
_ENDINGS = (".csv", ".xlsx", "_events.tsv", ".eaf")

#: What stands for an empty cell, besides none: BIDS's.
_EMPTY = ("", "n/a")

#: Seconds by which an end and a begin with a duration may differ by rounding.
_ROUNDING = 0.0015

_CLOCK = re.compile(r"\d{1,2}:\d\d(:\d\d([.,]\d+)?)?")
_DATED = re.compile(r"\d{4}-\d\d-\d\d[T ]\d")
_HALF_A_DAY = 12 * 3600

#: Number of items that a message names; further ones are only counted.
_NAMED = 3


@dataclass(frozen=True)
class Event:
    """An event of a video: ``begin`` and ``end`` in seconds; ``end`` is None for a moment."""

    begin: float
    end: float | None
    label: str
    trial: str = ""
    condition: str = ""

    def window(self, after: float) -> tuple[float, float]:
        """Begin and end of its window, in seconds: that of a moment lasts ``after`` seconds."""
        return self.begin, self.begin + after if self.end is None else self.end


@dataclass(frozen=True)
class _Told:
    """An event as a file tells it.

    Attributes:
        items: Names of its item, of which the first that is known counts; none if the file does not say.
        coded: Whether ``items`` are names of a recording, which another program wrote, rather than that of an item.
        file: The file.
        event: The event; if ``clock`` is given, relative to it.
        clock: The moment from which the seconds count, to be compared with when the video was recorded; or None.
    """

    items: tuple[str, ...]
    coded: bool
    file: Path
    event: Event
    clock: datetime | None = None


@dataclass(frozen=True)
class EventFiles:
    """The events of a file or of a folder of files, as read."""

    path: Path
    told: tuple[_Told, ...]

    @classmethod
    def read(cls, path: Path) -> EventFiles:
        """Read a file, or all files of a folder and its folders that end in .csv, .xlsx, _events.tsv or .eaf.

        Raises:
            UsageError: A file is missing or wrong; the message says how, and in which row.
        """
        files = [path]
        if path.is_dir():
            files = sorted(file for file in path.rglob("*") if file.name.lower().endswith(_ENDINGS) and file.is_file())
            files = [file for file in files if not file.name.startswith(NOT_OWN)]
        if not files:
            where = shown(path, whole=True)
            raise UsageError(f"--events {where}: holds no file that ends in {', '.join(_ENDINGS)}")
        return cls(path, tuple(told for file in files for told in _read(file)))

    def matched(
        self, items: Mapping[str, datetime | None], removed: Callable[[str], bool] = lambda _: False
    ) -> tuple[dict[str, list[Event]], list[str]]:
        """Match the events with the items of a run.

        Args:
            items: For each video's name, in the order of the run, when it was recorded as it says itself, if known.
            removed: Whether an item was removed from the results, about which nothing is said.

        Returns:
            The events of each item that has some, ordered by begin; and notes on what did not match.

        Raises:
            UsageError: A time of day is given, and it is not known when the recording begins.
        """
        found: dict[str, list[Event]] = {}
        unknown: dict[str, None] = {}
        clocked: dict[str, None] = {}
        names = ItemNames.of(items)
        meant = names.meant(told.items[0] for told in self.told if told.items and not told.coded)
        for told in self.told:
            if told.coded or not told.items:
                keys = _recorded(told, names, items)
            elif told.items == (EVERY,):
                keys = list(items)
            else:
                keys = [meant[name] for name in told.items if name in meant]
            if not keys:
                unknown[next(iter(told.items), told.file.name)] = None
            for key in keys:
                event = told.event
                if told.clock is not None:
                    recorded = items[key]
                    if recorded is None:
                        raise UsageError(
                            f"--events {shown(told.file, whole=True)}: has dates and times, and {printable(key)} does "
                            "not say when it was recorded; add a column recording_start, or give seconds of the video"
                        )
                    event, clocked[key] = _since(event, told.clock, recorded), None
                found.setdefault(key, []).append(event)
        for events in found.values():
            events.sort(key=lambda event: (event.begin, event.end or event.begin))
        # A search for similar names takes long, and only the first names are said.
        unknown = {name: None for name in unknown if not removed(name)}
        lost = [printable(name) + (names.hint(name) if at < _NAMED else "") for at, name in enumerate(unknown)]
        return found, list(self._notes(found, lost, clocked, items))

    def _notes(
        self,
        found: Mapping[str, list[Event]],
        unknown: list[str],
        clocked: Iterable[str],
        items: Mapping[str, datetime | None],
    ) -> Iterable[str]:
        where = shown(self.path)
        if unknown:
            yield f"{where} names what is no video of the results: {few([*map(printable, unknown)], _NAMED)}"
        if found and (left_out := [key for key in items if key not in found]):
            yield f"{where} has no events of {few([*map(printable, left_out)], _NAMED)}"
        for key in clocked:
            yield (
                f"{printable(key)}: its events are placed by the time that the file says it was recorded, "
                f"{items[key]}; some cameras write the end there: check one event on its page"
            )


def _recorded(told: _Told, names: ItemNames, items: Iterable[str]) -> list[str]:
    """The item of a recording that another program names, or of a file that is named after it; none if unknown.

    BIDS and ELAN name files after recordings.
    """
    stem = told.file.name.removesuffix(told.file.suffix).removesuffix("_events")
    wishes = [*told.items, stem]
    found = names.matches(wishes, elsewhere=True)
    if len(found) == 1:
        return found
    items = list(items)
    for wish in wishes:  # sub-01_task-talk of sub-01_task-talk_video.mp4
        found = [item for item in items if PurePosixPath(item).stem.startswith(f"{wish}_")]
        if len(found) == 1:
            return found
    return items if len(items) == 1 and not told.items else []


# -- files ------------------------------------------------------------------------------------------------------------


def _read(path: Path) -> list[_Told]:
    where = f"--events {shown(path, whole=True)}"
    if path.suffix.lower() == ".eaf":
        found = _of_elan(path, ElanFile.read(path, where))
    else:
        rows = read_rows(path, where, "--events with an .xlsx file")
        coded = read_boris(rows, where)
        try:
            found = _of_table(path, where, rows) if coded is None else _of_boris(path, coded)
        except DataError as error:
            raise UsageError(f"{where}: {error}") from error
    if not found:
        raise UsageError(f"{where}: has no events")
    return found


def _of_boris(path: Path, coded: list[BorisEvent]) -> list[_Told]:
    """The events of BORIS. Raises DataError for a state that never stops, since a window needs its end."""
    for one in coded:
        if math.isinf(one.end):
            raise DataError(f"row {one.row}: {printable(one.behavior)} begins at {one.begin:g} s and does not end")
    return [_Told(one.items, True, path, _event(one.begin, one.end, one.behavior)) for one in coded]


def _of_elan(path: Path, file: ElanFile) -> list[_Told]:
    """The annotations of all tiers."""
    annotations = [annotation for tier in file.tiers for annotation in tier.annotations]
    return [_Told(file.recordings, True, path, _event(one.begin, one.end, one.text)) for one in annotations]


def _event(begin: float, end: float, label: str) -> Event:
    return Event(begin, end if end > begin else None, cell(label))


def _of_table(path: Path, where: str, rows: list[Row]) -> list[_Told]:
    """The events of a table. Raises DataError without the name of the file, and UsageError with it."""
    (_, header), *rows = rows
    names = [name.casefold() for name in header]
    columns: dict[str, int] = {}
    for column, spellings in _COLUMNS.items():
        places = [at for at, name in enumerate(names) if name in spellings]
        if len(places) > 1:
            raise DataError(f"has the column {' and '.join(header[at] for at in places)} twice")
        if places:
            columns[column] = places[0]
    if missing := [name for name in ("begin", "label") if name not in columns]:
        has = printable(", ".join(filter(None, header)))
        how = "" if len(header) > 1 else "; columns are parted by commas, semicolons or tabs"
        raise DataError(f"has no column {' and no '.join(missing)}; it has {has}, and needs {_NEEDED}{how}")
    if not rows:
        raise DataError("has no rows")
    found = []
    for number, cells in records(names, rows, where):
        row = f"row {number}"
        values = {name: cells[names[at]] for name, at in columns.items()}
        values = {name: "" if value.casefold() in _EMPTY else value for name, value in values.items()}
        found.append(_of_row(path, values, row))
    return found


def _of_row(path: Path, values: dict[str, str], row: str) -> _Told:
    if empty := [name for name in ("item", "begin", "label") if name in values and not values[name]]:
        raise DataError(f"{row} has no {' and no '.join(empty)}")
    begin, end, clock = _times(values, row)
    if duration := values.get("duration"):
        until = begin + _time("duration", duration, row)
        if end is not None and abs(end - until) > _ROUNDING:
            raise DataError(f"{row}: end and duration contradict each other: {values['end']}, {duration}")
        end = until if end is None else end
    end = None if end == begin else end
    texts = (cell(values.get(name, "")) for name in ("label", "trial", "condition"))
    event = Event(begin, end, *texts)
    _check(event, row)
    return _Told((values["item"],) if "item" in values else (), False, path, event, clock)


def _check(event: Event, row: str) -> None:
    if event.end is not None and event.end < event.begin:
        raise DataError(f"{row}: {printable(event.label)} ends before it begins: {event.begin:g} to {event.end:g} s")


# -- times ------------------------------------------------------------------------------------------------------------


def _times(values: dict[str, str], row: str) -> tuple[float, float | None, datetime | None]:
    """Begin and end in seconds, and the moment that they count from if that is not the recording's start."""
    begin, end, start = values["begin"], values.get("end", ""), values.get("start", "")
    if start:
        first = _since_start(begin, start, "begin", row)
        return first, _since_start(end, start, "end", row) if end else None, None
    if not _DATED.match(begin):
        return _time("begin", begin, row), _time("end", end, row) if end else None, None
    moment = _moment(begin, "begin", row)
    if moment.tzinfo is None:
        raise DataError(
            f"{row}: begin is a time of day without its zone, {begin!r}; add a column recording_start, or the zone "
            "(2026-05-04T14:03:05+02:00)"
        )
    if not end:
        return 0.0, None, moment
    last = _moment(end, "end", row)
    if last.tzinfo is None:
        raise DataError(f"{row}: end is a time of day without its zone, {end!r}, and begin has one")
    return 0.0, (last - moment).total_seconds(), moment


def _time(name: str, text: str, row: str) -> float:
    """A time of the video in seconds, also with a decimal comma."""
    try:
        value = seconds(text.replace(",", ".") if text.count(",") == 1 else text)
        if not 0 <= value < 1e9:  # also what is no number
            raise ValueError(text)
    except ValueError:
        how = "; times of day need a column recording_start" if _DATED.match(text) else ""
        what = f"{row}: {name} is {printable(text)!r}, which is no time; write seconds, MM:SS or HH:MM:SS"
        raise DataError(what + how) from None
    return value


def _since_start(text: str, start: str, name: str, row: str) -> float:
    """The seconds of a time of day since the recording's start; both with a date, or both without."""
    moment, origin = _moment(text, name, row), _moment(start, "recording_start", row)
    if (_DATED.match(text) is None) != (_DATED.match(start) is None):
        raise DataError(f"{row}: {name} and recording_start must both have a date or both none: {text}, {start}")
    if (moment.tzinfo is None) != (origin.tzinfo is None):
        raise DataError(f"{row}: {name} and recording_start must both have a zone or both none: {text}, {start}")
    passed = (moment - origin).total_seconds()
    if passed < -_HALF_A_DAY and not _DATED.match(text):  # after midnight
        passed += 2 * _HALF_A_DAY
    if passed < 0:
        raise DataError(f"{row}: {name} is before recording_start: {text}, {start}")
    return passed


def _moment(text: str, name: str, row: str) -> datetime:
    """A time of day, with or without a date."""
    try:
        if _DATED.match(text):
            return datetime.fromisoformat(text.replace(",", "."))
        if _CLOCK.fullmatch(text):
            hours, minutes, *rest = text.replace(",", ".").split(":")
            passed = timedelta(hours=int(hours), minutes=int(minutes), seconds=float(rest[0]) if rest else 0)
            if int(hours) < 24 and int(minutes) < 60 and (not rest or float(rest[0]) < 60):
                return datetime(1900, 1, 1) + passed
    except ValueError:
        pass
    how = "write HH:MM:SS, or 2026-05-04T14:03:05 with a date"
    raise DataError(f"{row}: {name} is {printable(text)!r}, which is no time of day; {how}")


def _since(event: Event, clock: datetime, recorded: datetime) -> Event:
    """An event with its times relative to when the video was recorded."""
    offset = (clock - recorded).total_seconds()
    return replace(event, begin=event.begin + offset, end=None if event.end is None else event.end + offset)


def beyond(events: Mapping[str, list[Event]], spans: Mapping[str, tuple[float, float]]) -> Iterable[str]:
    """Notes on events that begin outside of what was analysed of their video: ``spans``, begin and end in seconds."""
    for key, found in events.items():
        first, last = spans[key]
        late = sum(event.begin >= last for event in found)
        early = sum(event.begin < first for event in found)
        if late:
            yield f"{printable(key)}: {counted(late, 'event')} of {len(found)} begin after its end ({last:.1f} s)"
        if early:
            what = f"before what was analysed of it (from {first:.1f} s)" if first > 0 else "before it does"
            yield f"{printable(key)}: {counted(early, 'event')} of {len(found)} begin {what}"
