"""Segments: from when to when a face showed an emotion.

Out of a face's steady probabilities (``vision.smooth``), sighting by sighting:

1. An emotion begins when its probability reaches ``ENTER``; it goes on until it falls below ``LEAVE``, or until another
   reaches ``ENTER``. Between the two thresholds nothing changes (hysteresis), so a probability that trembles about
   one of them does not cut an expression into splinters. ``ENTER`` is above a half: at any time one emotion at most
   can begin, the one more probable than all others together. Where none is, the face is undecided, and has no segment.
2. A sighting holds until the next analysed frame, the film's last one until the film's end. While the face is
   not seen, or too small to be judged, it has no emotion; an absence shorter than ``SHORTEST`` is passed over.
3. Two stretches of the same emotion with less than ``SHORTEST`` between them, and nothing else there, are one. What is
   then shorter than ``SHORTEST`` is dropped, and stretches that this brought together are joined once more.

Segments of a face never overlap. All is reckoned in seconds, so sampling and variable frame rates change no rule; but
with fewer frames than two in ``SHORTEST`` seconds a single sighting makes a segment. A person after a cut is
somebody new (``vision.track``): no segment goes over a cut. Pictures have no time, and no segments.

``SHORTEST`` is half a second: what is shorter is called a micro-expression (Yan et al. 2013, "How fast are the leaked
facial expressions", J. Nonverbal Behavior 37), which single frames smoothed over half a second cannot tell from noise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fermedia.columns import SEGMENT_COLUMNS
from fermedia.errors import UsageError
from fermedia.options import AnalyzeOptions
from fermedia.outputs.tables import by_item, complete, shown
from fermedia.outputs.timeline import steady_timeline
from fermedia.types import EMOTIONS

if TYPE_CHECKING:
    import pandas as pd

#: Probability from which on an emotion begins.
ENTER = 0.5
#: Probability below which it ends.
LEAVE = 0.4
#: Seconds: nothing shorter is a segment, nor a break between two.
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
    """From when to when each face showed which emotion; a row per segment, by time. The module says how.

    ``timeline`` may be of any origin (``outputs.tables.complete``), raw, of one film or several. ``end`` is when the
    film ends, in seconds; without it the last frame counts as long as the median of the others. ``smooth`` is the
    width of the averaging window in seconds, 0 for none.

    The columns are ``SEGMENT_COLUMNS`` (``columns.SEGMENTS`` says what each is), after ``run`` and ``item`` where the
    timeline has them.

    Numbers are rounded to six decimals. Without a face, or for pictures, the table has no rows. Raises DataError if
    it is no timeline, UsageError for thresholds that make no sense.
    """
    import pandas as pd

    if not (0.5 <= enter <= 1 and 0 < leave <= enter and shortest >= 0):
        raise UsageError(
            "segments need 0.5 <= enter <= 1, 0 < leave <= enter and shortest >= 0, "
            f"got enter {enter}, leave {leave}, shortest {shortest}"
        )
    table = complete(timeline)
    rows: list[dict[str, Any]] = []
    for about, film in by_item(table[table["timestamp"].notna()], end):
        about |= {"source": film["source"].iloc[0]}
        lengths = shown(film, end)
        steady = steady_timeline(film, smooth)
        judged = steady[steady["judged"] & lengths["timed"].all()]
        everybody = _Sightings.of(judged, lengths["weight"])
        found: list[dict[str, Any]] = []
        for face_id, places in pd.Series(np.arange(len(judged)), judged.index).groupby(judged["face_id"]):
            seen = everybody.at(places.to_numpy())
            stretches = _tidied(list(_stretches(seen, enter, leave, shortest)), shortest)
            found += [about | {"face_id": face_id} | _row(seen, stretch) for stretch in stretches]
        rows += sorted(found, key=lambda row: row["begin"])
    names = [name for name in ("run", "item") if name in table] + list(SEGMENT_COLUMNS)
    numbers = dict.fromkeys(SEGMENT_COLUMNS[3:], "float64")
    return pd.DataFrame(rows, columns=names).astype(numbers | {"face_id": table["face_id"].dtype})


@dataclass(frozen=True)
class _Sightings:
    """Judged sightings of faces, by time: when each begins and ends, seconds (n,), and probabilities (n, 7)."""

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
class _Stretch:
    """Sightings ``first``..``last`` of an emotion (its number), and their time in seconds."""

    emotion: int
    first: int
    last: int
    begin: float
    end: float


def _stretches(seen: _Sightings, enter: float, leave: float, shortest: float) -> Iterator[_Stretch]:
    """Where an emotion goes on, of whatever length."""
    absent = np.append(np.inf, seen.begins[1:] - seen.ends[:-1]) >= max(shortest, 1e-6)
    now, first = -1, 0
    for i, (p, top) in enumerate(zip(seen.p.tolist(), seen.p.argmax(axis=1).tolist(), strict=True)):
        before = -1 if absent[i] else now
        then = top if p[top] >= enter else before if before >= 0 and p[before] >= leave else -1
        if then != before or absent[i]:
            if now >= 0:
                yield _Stretch(now, first, i - 1, seen.begins[first], seen.ends[i - 1])
            now, first = then, i
    if now >= 0:
        yield _Stretch(now, first, len(seen.p) - 1, seen.begins[first], seen.ends[-1])


def _tidied(stretches: list[_Stretch], shortest: float) -> list[_Stretch]:
    """Joined over short breaks, freed of short stretches, and joined again."""
    long = [s for s in _joined(stretches, shortest) if s.end - s.begin > shortest - 1e-6]  # times have six decimals
    return _joined(long, shortest)


def _joined(stretches: list[_Stretch], shortest: float) -> list[_Stretch]:
    joined = stretches[:1]
    for before, after in pairwise(stretches):
        if after.emotion == before.emotion and after.begin - before.end < shortest - 1e-6:
            joined[-1] = replace(joined[-1], last=after.last, end=after.end)
        else:
            joined.append(after)
    return joined


def _row(seen: _Sightings, stretch: _Stretch) -> dict[str, Any]:
    part = slice(stretch.first, stretch.last + 1)
    p, weight = seen.p[part, stretch.emotion], (seen.ends - seen.begins)[part]
    peak = int(p.argmax())
    numbers = {
        "begin": stretch.begin,
        "end": stretch.end,
        "duration": stretch.end - stretch.begin,
        "mean": float(p @ weight / weight.sum()) if weight.sum() else float(p.mean()),
        "peak": p[peak],
        "peak_time": seen.begins[stretch.first + peak],
    }
    return {"emotion": EMOTIONS[stretch.emotion]} | {name: round(float(v), 6) for name, v in numbers.items()}
