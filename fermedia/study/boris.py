"""Read the events that BORIS exports, aggregated or tabular, of all its versions, whatever they are used for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from fermedia.errors import UsageError
from fermedia.files import printable
from fermedia.options import seconds
from fermedia.study.given import Row, records

#: The number of first rows among which the header is looked for: versions before 8 describe the observation above it.
_ABOVE_HEADER = 60

#: The columns by which exports are recognized. Those of the second part of the tabular ones say whether a row begins or
#: ends a state: in version 8, and before.
_AGGREGATED = ("behavior", "start (s)", "stop (s)")
_TABULAR, _STATES = ("behavior", "time"), ("behavior type", "status")

#: The columns in which versions of BORIS name the recording, the most exact one first.
_MEDIA = ("media file name", "media file path", "media file", "source")

#: What BORIS writes before the path of its first player.
_PLAYERS = ("#1", "1", "player #1")


@dataclass(frozen=True)
class BorisEvent:
    """An event of BORIS.

    Attributes:
        row: The number of the row where it begins in the file.
        items: The names by which it may mean an item: the paths of the recording, then the observation.
        behavior: What was coded.
        begin: When it begins, in seconds of the recording.
        end: When it ends: ``begin`` for a point, infinity for a state that never stops.
        subject: Whose behaviour it is, as BORIS writes it.
        coder: Who coded it, "" if unknown. BORIS has no such column; one that somebody added counts.
    """

    row: int
    items: tuple[str, ...]
    behavior: str
    begin: float
    end: float
    subject: str
    coder: str


def read_boris(rows: Sequence[Row], where: str) -> list[BorisEvent] | None:
    """Read the rows of a table (``study.given.read_rows``).

    Args:
        rows: The rows.
        where: What messages about it begin with.

    Returns:
        Its events, by the rows where they begin; None if BORIS has not exported it.

    Raises:
        UsageError: A row is wrong; the message says how.
    """
    for at, (_, header) in enumerate(rows[:_ABOVE_HEADER]):
        names = [name.casefold().replace("(seconds)", "(s)") for name in header]
        cells = records(names, rows[at + 1 :], where)
        if set(names).issuperset(_AGGREGATED):
            return list(_aggregated(cells, where))
        if set(names).issuperset(_TABULAR) and not set(names).isdisjoint(_STATES):
            about = {above[0].casefold().strip(": "): above[1] for _, above in rows[:at] if len(above) > 1}
            return _tabular(cells, where, about.get("observation id", ""))
    return None


def _aggregated(rows: Iterator[tuple[int, dict[str, str]]], where: str) -> Iterator[BorisEvent]:
    """Aggregated events: a row for each, with its begin and its end."""
    for number, cells in rows:
        begin = _time(cells, "start (s)", f"{where}: row {number}")
        is_point = cells.get("behavior type", "").casefold() == "point"
        end = begin if is_point else _time(cells, "stop (s)", f"{where}: row {number}")
        if end < begin:
            what = f"{printable(cells['behavior'])} ends before it begins: {begin:g} to {end:g} s"
            raise UsageError(f"{where}: row {number}: {what}")
        yield _event(number, cells, begin, end)


def _tabular(rows: Iterator[tuple[int, dict[str, str]]], where: str, observation: str) -> list[BorisEvent]:
    """Tabular events: a row for a point, and one each for the begin and the end of a state."""
    found: list[BorisEvent] = []
    begun: dict[tuple[str, ...], int] = {}
    for number, cells in rows:
        cells.setdefault("observation id", observation)
        place = f"{where}: row {number}: {printable(cells['behavior'])}"
        time = _time(cells, "time", f"{where}: row {number}")
        kind = next((cells[name] for name in _STATES if cells.get(name)), "").upper()
        modifiers = [value for name, value in cells.items() if name.startswith("modifier")]
        state = (cells["observation id"], cells.get("subject", ""), cells["behavior"], *modifiers)
        if kind.endswith("STOP"):
            if state not in begun:
                raise UsageError(f"{place} stops, and did not start; BORIS finds such events, too")
            at = begun.pop(state)
            if time < found[at].begin:
                raise UsageError(f"{place} stops at {time:g} s, before its start at {found[at].begin:g} s")
            found[at] = replace(found[at], end=time)
            continue
        starts = kind.endswith("START")
        if starts:
            if state in begun:
                raise UsageError(f"{place} starts, and has not stopped since row {found[begun[state]].row}")
            begun[state] = len(found)
        found.append(_event(number, cells, time, math.inf if starts else time))
    return found


def _event(number: int, cells: dict[str, str], begin: float, end: float) -> BorisEvent:
    coder = cells.get("coder") or cells.get("observer", "")
    return BorisEvent(number, _items(cells), cells["behavior"], begin, end, cells.get("subject", ""), coder)


def _items(cells: dict[str, str]) -> tuple[str, ...]:
    names = []
    for name in (*_MEDIA, "observation id"):
        text = cells.get(name, "")
        if name != "observation id":
            text = text.partition(";")[0].strip()  # of several players the first
            player, _, path = text.partition(":")
            text = path if player.casefold() in _PLAYERS else text
        if text and text.upper() != "NA":
            names.append(text)
    return tuple(dict.fromkeys(names))


def _time(cells: dict[str, str], name: str, where: str) -> float:
    """A time in seconds, also with a decimal comma, or as BORIS writes it otherwise, HH:MM:SS."""
    text = cells[name]
    try:
        value = seconds(text.replace(",", ".")) if ":" in text else float(text.replace(",", "."))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UsageError(f"{where}: {name} must be a time in seconds or HH:MM:SS, got {text!r}")
    return value
