"""What faces showed in the windows of events, and the mean course around the begins of events.

Everything is weighted by time as in the summary (``tables.summary``): an analysed frame counts for as long as it was
shown within the window, or within the step of a course.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fermedia.columns import COURSES, FOLLOWED, WINDOWS
from fermedia.study.events import Event
from fermedia.study.groups import t_quantile
from fermedia.study.participants import ALL_FACES
from fermedia.tables.summary import SPEAKS, Observed
from fermedia.types import EMOTIONS, PRESENT

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Span = tuple[float, float]
"""Begin and end in seconds of the video."""

#: What courses follow, and what has changes from the baseline; measures only where there are any.
VALUES = (*EMOTIONS, "valence")

_ALL_VALUES = VALUES + FOLLOWED

#: The column of a window with the mean of each of them.
_MEAN_OF = {name: f"{name}_mean" for name in (*VALUES, *FOLLOWED)}
_MEAN_OF |= {name: f"{name}_share" for name in ("looks_at_camera", "speaking")}

#: The number of values whose integrals are in memory at once: 25 MB for an hour of video.
_AT_ONCE = 8

#: The baselines that are no label: each face's median, and the time before each event.
MEDIAN, BEFORE = "median", "before"
_FIRST = re.compile(r"(\d+(?:[.,]\d+)?)\s*s")


@dataclass(frozen=True)
class Steps:
    """How courses are computed: seconds ``before`` and ``after`` the begin of an event, in steps of ``bin`` seconds."""

    before: float
    after: float
    bin: float

    @property
    def edges(self) -> Floats:
        """The edges of the steps (steps + 1,), relative to the begin of an event, which is one of them."""
        back, forth = (math.floor(length / self.bin + 1e-9) for length in (self.before, self.after))
        return self.bin * np.arange(-back, max(forth, 1 - back) + 1, dtype=np.float64)


@dataclass(frozen=True)
class Baseline:
    """What values are compared with, as given: ``10s``, ``before``, ``median``, or a label of events."""

    text: str

    def spans(self, event: Event, events: Sequence[Event], first: float, steps: Steps) -> list[Span] | None:
        """The time whose means are the baseline of an event; None if the baseline is the median.

        A label is what is meant if events have it. Of several events with the label, those of the same trial count, or
        all if the trial has none.

        Args:
            event: The event.
            events: All events of the item.
            first: Time of the item's first frame, in seconds.
            steps: How long a moment lasts, and the time before an event.
        """
        if labelled := [other for other in events if other.label == self.text]:
            same = [other for other in labelled if event.trial and other.trial == event.trial]
            return _joined(other.window(steps.after) for other in same or labelled)
        if self.text == MEDIAN:
            return None
        if self.text == BEFORE:
            return [(event.begin - steps.before, event.begin)]
        length = self.seconds
        return [] if length is None else [(first, first + length)]

    @property
    def seconds(self) -> float | None:
        """N of ``Ns``; None for the others."""
        found = _FIRST.fullmatch(self.text)
        return float(found[1].replace(",", ".")) if found else None

    @property
    def is_label(self) -> bool:
        """Whether it can only be a label."""
        return self.seconds is None and self.text not in (MEDIAN, BEFORE)


def _joined(spans: Iterable[Span]) -> list[Span]:
    """The spans without what they have in common, so that it does not count twice."""
    found: list[Span] = []
    for begin, end in sorted(spans):
        if found and begin <= found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((begin, end))
    return found


@dataclass(frozen=True)
class Unit:
    """Whom windows and courses are of: a participant in a condition, or an item; empty names if unknown."""

    participant: str = ""
    condition: str = ""


@dataclass(frozen=True)
class Happening:
    """A video with its events, ready for its windows and courses.

    Attributes:
        item: The video's name.
        observed: Its faces.
        events: Its events, by begin.
        steps: How courses are computed.
        baseline: What values are compared with, if anything.
        people: Who each face is, by ``face_id`` as text or ``ALL_FACES``; None if no participants are known in any
            item.
    """

    item: str
    observed: Observed
    events: Sequence[Event]
    steps: Steps
    baseline: Baseline | None = None
    people: Mapping[str, Unit] | None = None

    # -- windows --

    def windows(self, whole: Span | None = None) -> pd.DataFrame:
        """The item's rows of windows.csv: for each event a row per face, and one for all.

        Args:
            whole: Begin and end of the video: its window is then the only one.
        """
        import pandas as pd

        events = self.events if whole is None else [Event(*whole, "")]
        parts = []
        for number, event in enumerate(events, 1):
            begin, end = event.window(self.steps.after)
            rows = self.observed.summary(begin, end)
            rows["seconds"] = rows["seconds"].fillna(0.0)  # no frame within the window
            about = {"item": self.item, "label": event.label, "trial": event.trial, "begin": begin, "end": end}
            people = self.people or {}
            who = [people.get(face, Unit()) for face in (*self.observed.names, ALL_FACES)]
            about["participant"] = [unit.participant for unit in who]
            about["condition"] = [event.condition or unit.condition for unit in who]
            rows = rows.assign(**about, event=pd.NA if whole else number)
            changes = self._changes(rows, event)
            parts.append(pd.concat([rows, changes], axis=1) if changes is not None else rows)
        table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
        table = table.reindex(columns=list(WINDOWS.names)).astype(
            {"event": "Int64", "face_id": "Int64", "blinks": "Int64"}
        )
        return table.replace({"label": "", "trial": "", "participant": "", "condition": ""}, None)

    def _changes(self, rows: pd.DataFrame, event: Event) -> pd.DataFrame | None:
        """The columns of changes of an event's rows; None without a baseline."""
        import pandas as pd

        if self.baseline is None:
            return None
        bases = [self._base(owner, event) for owner in range(len(rows))]
        columns = {"baseline_seconds": [round(base.seconds, 6) for base in bases]}
        for at, name in enumerate(self._names):
            means = rows[_MEAN_OF[name]].to_numpy(float, na_value=np.nan)
            changes = means - np.array([base.values[at] for base in bases])
            columns[f"change_{name}"] = changes.round(6) + 0.0  # no minus before what rounds to 0
        return pd.DataFrame(columns, rows.index)

    # -- courses --

    def courses(self) -> Iterable[tuple[Unit, Event, Floats, Floats]]:
        """The courses of the events of each unit.

        Without participants the unit is the item, with all of its faces together, named as its participant.

        Yields:
            The unit, the event, the mean of each value in each step (steps, values), and its change from the baseline;
            NaN where less than half of the step was classified (of measures: measured), or there is no baseline.
        """
        units = {ALL_FACES: Unit(self.item)} if self.people is None else self.people
        for face, unit in units.items() if self.events else ():
            if face != ALL_FACES and face not in self.observed.names:
                continue
            owner = len(self.observed.names) if face == ALL_FACES else self.observed.names.index(face)
            for event, means in zip(self.events, self._in_steps(owner), strict=True):
                yield unit, event, means, means - self._base(owner, event).values

    def _in_steps(self, owner: int) -> Floats:
        """The means of a face in the steps of each event (events, steps, values)."""
        moments = np.add.outer(np.array([event.begin for event in self.events]), self.steps.edges)
        parts = []
        for first in range(0, len(self._names), _AT_ONCE):
            integral = self._integral(owner, slice(first, first + _AT_ONCE))
            sums, known = np.diff(integral(moments.ravel()).reshape(2, *moments.shape, -1), axis=2)
            with np.errstate(invalid="ignore", divide="ignore"):
                parts.append(np.where(known >= self.steps.bin / 2 - 1e-9, sums / known, np.nan))
        return np.concatenate(parts, axis=2)

    def _integral(self, owner: int, columns: slice) -> _Integral:
        rows = self._rows_of(owner)
        values, places = self._matrix[rows, columns], self.observed.places[rows]
        frames = self.observed.frames
        known = np.isfinite(values)
        sums = np.zeros((2, len(frames), values.shape[1]))
        np.add.at(sums[0], places, np.where(known, values, 0.0))
        np.add.at(sums[1], places, known)
        timed = bool(frames["timed"].all())
        lengths = frames["weight"].to_numpy(float) if timed else np.zeros(len(frames))
        return _Integral(frames["timestamp"].to_numpy(float), lengths, sums)

    # -- values --

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return _ALL_VALUES if "presence" in self.observed.faces else VALUES

    @cached_property
    def _matrix(self) -> Floats:
        """The values of each face in each frame (n, values), NaN where unknown, with the rules of the summary."""
        faces = self.observed.faces
        values = faces[list(self._names)].to_numpy(np.float64, na_value=np.nan)
        classified = faces["judged"].to_numpy(bool)
        values[~classified, : len(VALUES)] = np.nan
        if "presence" in faces:
            present = (faces["presence"] >= PRESENT).to_numpy(bool, na_value=False)
            values[~present, len(VALUES) :] = np.nan
            at = self._names.index("speaking")
            values[:, at] = np.where(np.isnan(values[:, at]), np.nan, values[:, at] >= SPEAKS)
        return values

    def _rows_of(self, owner: int) -> NDArray[np.intp]:
        """The rows of a face by its number; of all faces by the number after the last one's."""
        people = self.observed.people
        return np.arange(len(people)) if owner == len(self.observed.names) else np.flatnonzero(people == owner)

    def _base(self, owner: int, event: Event) -> _Base:
        """The baseline of a face for an event."""
        if self.baseline is None:
            return _Base(np.full(len(self._names), np.nan), 0.0)
        times = self.observed.frames["timestamp"]
        first = float(times.iloc[0]) if len(times) else 0.0
        spans = self.baseline.spans(event, self.events, first, self.steps)
        key = (owner, None if spans is None else tuple(spans))
        if key not in self._bases:
            self._bases[key] = self._base_in(owner, spans)
        return self._bases[key]

    @cached_property
    def _bases(self) -> dict[tuple[int, tuple[Span, ...] | None], _Base]:
        return {}

    def _base_in(self, owner: int, spans: list[Span] | None) -> _Base:
        rows, frames = self._rows_of(owner), self.observed.frames
        if spans is None:
            weight = frames["weight"].to_numpy(float)
        else:
            weight = np.sum([np.zeros(len(frames)), *(self.observed.overlap(*span) for span in spans)], axis=0)
        weights = weight[self.observed.places[rows]]
        rows, weights = rows[weights > 0], weights[weights > 0]
        values = self._matrix[rows]
        known = np.isfinite(values)
        seconds = float(weights[known[:, 0]].sum())
        if spans is None:
            return _Base(np.array([_median(values[k, i], weights[k]) for i, k in enumerate(known.T)]), seconds)
        with np.errstate(invalid="ignore"):
            means = (weights @ np.where(known, values, 0.0)) / (weights @ known)
        return _Base(means, seconds)


@dataclass(frozen=True)
class _Base:
    """The baseline's value of each column (values,), NaN where unknown, and the classified seconds it rests on."""

    values: Floats
    seconds: float


@dataclass(frozen=True)
class _Integral:
    """The integral over time of the values of a face, and of whether they are known.

    Attributes:
        times: When each frame begins (frames,), in seconds.
        lengths: For how long it is shown (frames,).
        rates: The sum of the values of its faces, and their number (2, frames, values).
    """

    times: Floats
    lengths: Floats
    rates: Floats

    @cached_property
    def _totals(self) -> Floats:
        steps = self.rates * self.lengths[:, None]
        return np.concatenate([np.zeros((2, 1, steps.shape[2])), np.cumsum(steps, axis=1)], axis=1)

    def __call__(self, moments: Floats) -> Floats:
        """The integrals from the first frame until each of the moments (2, moments, values)."""
        place = np.searchsorted(self.times, moments, side="right") - 1
        if not len(self.times):
            return np.zeros((2, len(moments), self.rates.shape[2]))
        at = np.maximum(place, 0)
        passed = np.clip(moments - self.times[at], 0, self.lengths[at])
        passed[place < 0] = 0
        return self._totals[:, at] + self.rates[:, at] * passed[:, None]


def _median(values: Floats, weights: Floats) -> float:
    """The weighted median: half of the weight is at or below it; the mean of two values if it lies between them."""
    if not len(values):
        return math.nan
    order = np.argsort(values, kind="stable")
    values, reached = values[order], np.cumsum(weights[order]) / weights.sum()
    low, high = (int(np.searchsorted(reached, 0.5 + side)) for side in (-1e-9, 1e-9))
    return float((values[min(low, len(values) - 1)] + values[min(high, len(values) - 1)]) / 2)


# -- over units -------------------------------------------------------------------------------------------------------


class _Sums:
    """The sums of a unit's courses and of their changes, and the numbers of known values (2, steps, values)."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.sums, self.known = np.zeros((2, *shape)), np.zeros((2, *shape), np.intp)

    def add(self, courses: Floats) -> None:
        """Add a course and its change (2, steps, values); those of an item that was not measured are narrower."""
        known, width = np.isfinite(courses), courses.shape[2]
        self.sums[..., :width] += np.where(known, courses, 0.0)
        self.known[..., :width] += known

    @property
    def means(self) -> Floats:
        """The mean course and change (2, steps, values); NaN where nothing is known."""
        with np.errstate(invalid="ignore"):
            return self.sums / self.known


@dataclass
class Courses:
    """Collects the courses of many items, and averages them over participants, or over items.

    Attributes:
        steps: How courses are computed.
        over: What the units are: "participants" or "items".
        has_baseline: Whether there are changes.
    """

    steps: Steps
    over: str
    has_baseline: bool
    _units: dict[tuple[str, str], dict[str, _Sums]] = field(default_factory=dict)

    def add(self, happening: Happening) -> None:
        """Take in the courses of an item."""
        for unit, event, means, changes in happening.courses():
            units = self._units.setdefault((event.label, event.condition or unit.condition), {})
            if unit.participant not in units:
                units[unit.participant] = _Sums((len(means), len(_ALL_VALUES)))
            units[unit.participant].add(np.stack([means, changes]))

    def table(self) -> pd.DataFrame:
        """courses.csv: labels and conditions in the order of their first event."""
        import pandas as pd

        edges = self.steps.edges
        parts = [self._rows(list(units.values()), about) for about, units in self._units.items()]
        table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
        table = table.reindex(columns=list(COURSES.names))
        if len(table):
            step = table["begin"].to_numpy(np.intp)
            table = table.assign(begin=edges[step], end=edges[step + 1], over=self.over)
        return table.round(6).replace({-0.0: 0.0})

    def _rows(self, units: list[_Sums], about: tuple[str, str]) -> pd.DataFrame:
        """The rows of a label in a condition; ``begin`` is the number of the step."""
        import pandas as pd

        means = np.stack([unit.means for unit in units])  # (units, 2, steps, values)
        columns = _over_units(means[:, 0], ("value", "sd", "low", "high"))
        if self.has_baseline:
            columns |= _over_units(means[:, 1], ("change", "", "change_low", "change_high"))
        steps, names = np.indices(means.shape[2:])
        columns["begin"], columns["measure"] = np.asarray(steps), np.array(_ALL_VALUES, object)[names]
        columns["events"] = np.sum([unit.known[0] for unit in units], axis=0)
        columns["count"] = np.isfinite(means[:, 0]).sum(axis=0)
        rows = pd.DataFrame({name: numbers.T.ravel() for name, numbers in columns.items() if name})
        return rows[rows["count"] > 0].assign(label=about[0] or None, condition=about[1] or None)


def _over_units(own: Floats, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Mean, standard deviation and Student's t interval of 95 % over units (units, ...), by the names given."""
    known = np.isfinite(own)
    count = known.sum(axis=0)
    quantiles = {n: t_quantile(n - 1) for n in np.unique(count).tolist() if n > 1}
    t = np.vectorize(lambda n: quantiles.get(n, math.nan), otypes=[float])(count)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(known, own, 0.0).sum(axis=0) / count
        squares = np.where(known, (own - mean) ** 2, 0.0).sum(axis=0)
        sd = np.where(count > 1, np.sqrt(squares / (count - 1)), np.nan)
        half = t * sd / np.sqrt(count)
    return dict(zip(names, (mean, sd, mean - half, mean + half), strict=True))
