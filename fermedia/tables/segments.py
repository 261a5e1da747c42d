"""Segments: periods in which a face showed an emotion.

They are computed from a face's smoothed probabilities (``tables.smooth``), frame by frame:

1. An emotion begins when its probability reaches ``ENTER``; it goes on until it falls below ``LEAVE``, or until another
   reaches ``ENTER``. Between the two thresholds nothing changes (hysteresis), so a probability that fluctuates
   around one of them does not split an expression into fragments. ``ENTER`` is at least a half, so at most one emotion
   can begin at a time, the one more probable than all others together. Where there is none, the face is undecided.
2. A frame counts until the next analysed one, the last one until the end of the video. While the face is not seen or
   not classified, it has no emotion; an absence shorter than ``SHORTEST`` is ignored.
3. Two runs of the same emotion with a gap shorter than ``SHORTEST``, and no other run in it, are joined. Then runs
   shorter than ``SHORTEST`` are dropped, and runs that become adjacent by this are joined.

Segments of a face never overlap. All rules are in seconds, so they hold for sampling and variable frame rates; but
with fewer than two frames in ``SHORTEST`` seconds, a single frame makes a segment. After a cut a person gets a new ID
(``vision.track``), so no segment extends across a cut. Photos have no time, and no segments.

``SHORTEST`` is half a second: shorter expressions are micro-expressions (Yan et al. 2013, "How fast are the leaked
facial expressions", J. Nonverbal Behavior 37), which cannot be told from noise after smoothing over half a second.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fermedia.columns import CUT_COLUMNS, MEASURED, PERSON, SEGMENT_COLUMNS
from fermedia.errors import UsageError
from fermedia.options import AnalyzeOptions
from fermedia.tables.people import people_of, with_names
from fermedia.tables.smooth import smooth as steady_values
from fermedia.tables.tables import by_item, complete, shown
from fermedia.tables.timeline import smoothed_timeline
from fermedia.types import EMOTIONS, PRESENT

if TYPE_CHECKING:
    import pandas as pd

#: Probability from which on an emotion begins.
ENTER = 0.5
#: Probability below which it ends.
LEAVE = 0.4
#: Minimum length in seconds of a segment, and of a gap between two.
SHORTEST = 0.5


def segments(
    timeline: pd.DataFrame,
    *,
    end: float | None = None,
    smooth: float = AnalyzeOptions.smooth,
    enter: float = ENTER,
    leave: float = LEAVE,
    shortest: float = SHORTEST,
) -> pd.DataFrame:
    """Find the segments of a timeline: when each face showed which emotion (defined in docs/method.md).

    Args:
        timeline: An unsmoothed timeline, also from other programs, of one or several videos; with at least ``frame``,
            ``timestamp``, ``face_id`` and the seven emotions.
        end: End of the video in seconds; if None, the last frame counts for as long as the median of the others.
        smooth: Width of the averaging window in seconds, 0 for none.
        enter: Minimum probability with which a segment begins.
        leave: Probability below which it ends.
        shortest: Minimum length of a segment, and of a gap between two, in seconds.

    Returns:
        A row per segment, ordered by time, with the columns of ``segments.csv`` (docs/columns.md), after ``run`` and
        ``item`` where the timeline has them; numbers are rounded to six decimals. No rows for photos.

    Raises:
        DataError: The table is not a timeline.
        UsageError: The thresholds are out of range.
    """
    import pandas as pd

    if not (0.5 <= enter <= 1 and 0 < leave <= enter and shortest >= 0):
        raise UsageError(
            "segments need 0.5 <= enter <= 1, 0 < leave <= enter and shortest >= 0, "
            f"got enter {enter}, leave {leave}, shortest {shortest}"
        )
    table = complete(timeline)
    rows: list[dict[str, Any]] = []
    for about, video in by_item(table[table["timestamp"].notna()], end):
        about |= {"source": video["source"].iloc[0]}
        lengths = shown(video, end)
        smoothed = smoothed_timeline(video, smooth)
        classified = smoothed[smoothed["judged"] & lengths["timed"].all()]
        everybody = _Sightings.of(classified, lengths["weight"])
        found: list[dict[str, Any]] = []
        people = people_of(video)
        for face_id, places in pd.Series(np.arange(len(classified)), classified.index).groupby(classified["face_id"]):
            seen = everybody.at(places.to_numpy())
            runs = _tidied(list(_runs(seen, enter, leave, shortest)), shortest)
            whose = about | {"face_id": face_id, PERSON.name: people.get(face_id, np.nan)}
            found += [whose | _row(seen, run) for run in runs]
        rows += sorted(found, key=lambda row: row["begin"])
    names = [name for name in ("run", "item") if name in table] + list(SEGMENT_COLUMNS)
    numbers = dict.fromkeys(SEGMENT_COLUMNS[3:-1], "float64")
    result = pd.DataFrame(rows, columns=names).astype(numbers | {"face_id": table["face_id"].dtype})
    return result.assign(**{PERSON.name: pd.Series(result[PERSON.name].tolist(), result.index, dtype=str)})


@dataclass(frozen=True)
class Condition:
    """A condition on a value of a face: ``yaw>20``. ``text`` is how it was written."""

    text: str
    column: str
    above: bool
    threshold: float

    @classmethod
    def of(cls, text: str) -> Condition:
        """Parse a condition. Raises UsageError if it is not one, or its column does not exist."""
        found = re.fullmatch(r"\s*(\w+)\s*([<>])\s*([-+]?[0-9]*\.?[0-9]+)\s*", text, re.ASCII)
        if found is None:
            raise UsageError(f"{text!r} is not a condition; write a column, < or >, and a number: yaw>20")
        if found[1] not in CONDITIONAL:
            raise UsageError(f"{text!r}: there is no column {found[1]}; there are {', '.join(CONDITIONAL)}")
        return cls("".join(text.split()), found[1], found[2] == ">", float(found[3]))

    def met(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Where values meet the condition."""
        return values > self.threshold if self.above else values < self.threshold


#: The columns that conditions may use: emotions and valence as in the timeline, and measures.
CONDITIONAL = (*EMOTIONS, "valence", *MEASURED)


def segments_where(
    table: pd.DataFrame, condition: Condition, end: float | None = None, smooth: float = 0.0, shortest: float = SHORTEST
) -> pd.DataFrame:
    """Find when each face of a video met a condition.

    As for emotions, values are first averaged, and gaps and segments shorter than ``shortest`` are ignored (the third
    rule of the module). Frames without the value, or for measures with a low presence, count as absence.

    Args:
        table: A timeline with the columns of measures.
        condition: The condition.
        end: End of the video in seconds; if None, the last frame counts for as long as the median of the others.
        smooth: Width of the averaging window in seconds, 0 for none.
        shortest: Minimum length of a segment, and of a gap between two, in seconds.

    Returns:
        A row per segment, ordered by time, with the columns ``columns.CUT``.
    """
    import pandas as pd

    lengths, column = shown(table, end), condition.column
    known = table["success"].astype(bool) & table[column].notna() & bool(lengths["timed"].all())
    if column in MEASURED:
        known &= (table["presence"] >= PRESENT).fillna(False).astype(bool)
    rows = []
    for face_id, sightings in table[known].groupby("face_id"):
        times = sightings["timestamp"].to_numpy(np.float64)
        values = sightings[column].to_numpy(np.float64)[:, None]
        values = steady_values(times, values, smooth)
        ends = times + lengths["weight"].loc[sightings["frame"]].to_numpy()
        met = _Sightings(times, ends, condition.met(values).astype(np.float64))
        seen = _Sightings(times, ends, values if condition.above else -values)
        sign = 1 if condition.above else -1
        for run in _tidied(list(_runs(met, ENTER, ENTER, shortest)), shortest):
            row = _row(seen, run) | {"source": sightings["source"].iloc[0], "face_id": face_id}
            rows.append(row | {"condition": condition.text} | {name: sign * row[name] for name in ("mean", "peak")})
    numbers = dict.fromkeys(CUT_COLUMNS[3:-1], "float64")
    found = pd.DataFrame(rows, columns=list(CUT_COLUMNS[:-1])).astype(numbers | {"face_id": "Int64"})
    return with_names(found, people_of(table)).sort_values("begin", kind="stable", ignore_index=True)


@dataclass(frozen=True)
class _Sightings:
    """Classified faces in frames, by time: begin and end in seconds (n,), and probabilities (n, 7)."""

    begins: NDArray[np.float64]
    ends: NDArray[np.float64]
    p: NDArray[np.float64]

    @classmethod
    def of(cls, rows: pd.DataFrame, lengths: pd.Series) -> _Sightings:
        begins = rows["timestamp"].to_numpy(np.float64)
        return cls(begins, begins + lengths.loc[rows["frame"]].to_numpy(), rows[list(EMOTIONS)].to_numpy(np.float64))

    def at(self, places: NDArray[np.intp]) -> _Sightings:
        return _Sightings(self.begins[places], self.ends[places], self.p[places])


@dataclass(frozen=True)
class _Run:
    """The sightings ``first``..``last`` with one emotion (its index), and their begin and end in seconds."""

    emotion: int
    first: int
    last: int
    begin: float
    end: float


def _runs(seen: _Sightings, enter: float, leave: float, shortest: float) -> Iterator[_Run]:
    """The runs of emotions, of any length."""
    absent = np.append(np.inf, seen.begins[1:] - seen.ends[:-1]) >= max(shortest, 1e-6)
    now, first = -1, 0
    for i, (p, top) in enumerate(zip(seen.p.tolist(), seen.p.argmax(axis=1).tolist(), strict=True)):
        before = -1 if absent[i] else now
        then = top if p[top] >= enter else before if before >= 0 and p[before] >= leave else -1
        if then != before or absent[i]:
            if now >= 0:
                yield _Run(now, first, i - 1, seen.begins[first], seen.ends[i - 1])
            now, first = then, i
    if now >= 0:
        yield _Run(now, first, len(seen.p) - 1, seen.begins[first], seen.ends[-1])


def _tidied(runs: list[_Run], shortest: float) -> list[_Run]:
    """Join runs over short gaps, drop short runs, and join again."""
    long = [s for s in _joined(runs, shortest) if s.end - s.begin > shortest - 1e-6]  # times have six decimals
    return _joined(long, shortest)


def _joined(runs: list[_Run], shortest: float) -> list[_Run]:
    joined = runs[:1]
    for before, after in pairwise(runs):
        if after.emotion == before.emotion and after.begin - before.end < shortest - 1e-6:
            joined[-1] = replace(joined[-1], last=after.last, end=after.end)
        else:
            joined.append(after)
    return joined


def _row(seen: _Sightings, run: _Run) -> dict[str, Any]:
    part = slice(run.first, run.last + 1)
    p, weight = seen.p[part, run.emotion], (seen.ends - seen.begins)[part]
    peak = int(p.argmax())
    numbers = {
        "begin": run.begin,
        "end": run.end,
        "duration": run.end - run.begin,
        "mean": float(p @ weight / weight.sum()) if weight.sum() else float(p.mean()),
        "peak": p[peak],
        "peak_time": seen.begins[run.first + peak],
    }
    return {"emotion": EMOTIONS[run.emotion]} | {name: round(float(v), 6) for name, v in numbers.items()}
