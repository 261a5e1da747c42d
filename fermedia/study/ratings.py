"""What coders and the machine say of each analysed frame of each face.

A period covers the frames that are first shown within it. Codes of a person (``--people``) are of all of the person's
faces, and codes without a face or a person of the largest face in each frame. Time that a coder of periods left without
a code, in an item that they coded, is a label of its own (``NONE``), unless another meaning is chosen.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fermedia.columns import MEASURED
from fermedia.errors import UsageError
from fermedia.files import counted, few, printable
from fermedia.study.codes import NAMED, NONE, Code
from fermedia.tables.finished import FinishedItem
from fermedia.tables.tables import shown
from fermedia.tables.timeline import smoothed_timeline
from fermedia.types import EMOTIONS, PRESENT

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: The other meaning of gaps: nothing is known of them.
SKIP = "skip"

#: By how much codes may reach beyond the video's end, in seconds, without being reported: other programs count frames.
_TOLERATED = 0.1


@dataclass
class Rating:
    """What one says of the frames of a face.

    Attributes:
        labels: Where each label was given, (frames,) each.
        coded: Where one looked and said something, or that there is nothing.
        numbers: Values, NaN where there is none.
    """

    labels: dict[str, Bools]
    coded: Bools
    numbers: dict[str, Floats] = field(default_factory=dict)

    def nominal(self, labels: Sequence[str]) -> NDArray[np.int64]:
        """The index of the frame's label among ``labels``: -1 if it has several, or none, or was not coded.

        ``NONE`` among the labels stands for coded frames without any label.
        """
        given = np.array([self.labels.get(label, ~self.coded & False) for label in labels]).reshape(len(labels), -1)
        if NONE in labels:
            anything = np.logical_or.reduce([*self.labels.values(), ~self.coded & False])
            given[labels.index(NONE)] |= self.coded & ~anything
        count = given.sum(axis=0)
        return np.where((count == 1) & self.coded, given.argmax(axis=0) if len(labels) else 0, -1)


@dataclass
class Rated:
    """A face of an item, or its largest, as it was rated.

    Attributes:
        item: The item's key.
        cluster: Who it is: one of the units of the bootstrap.
        weights: The seconds for which each analysed frame was shown; 1 for photos: (frames,).
        timed: Whether these are seconds.
        coders: The coders' ratings, by their names.
        frames: The machine's rating of single frames.
        smoothed: The machine's rating, smoothed in time, for codes of periods.
    """

    item: str
    cluster: str
    weights: Floats
    timed: bool
    coders: dict[str, Rating]
    frames: Rating
    smoothed: Rating


class LostCodes:
    """Codes that do not count, or not wholly, by the reason: how many, and the first of them."""

    def __init__(self) -> None:
        self._count: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    def add(self, code: Code, why: str, details: str = "") -> None:
        """Add a code; ``details`` are of this one."""
        self._count[why] += 1
        self._first.setdefault(why, code.where + details)

    def notes(self) -> list[str]:
        """A message for each reason."""
        return [
            f"{counted(number, 'code')} {'is' if number == 1 else 'are'} {why} (the first: {self._first[why]})"
            for why, number in self._count.items()
        ]


def rated(
    item: FinishedItem, codes: Sequence[Code], gaps: str, cluster: Callable[[str, str], str], lost: LostCodes
) -> tuple[list[Rated], list[str]]:
    """Read what coders and the machine say of an item.

    Args:
        item: The item.
        codes: The codes of this item.
        gaps: What uncoded time is: ``NONE``, another label, or ``SKIP``.
        cluster: Gives the cluster of an item's key and face (empty for the largest).
        lost: Is told of codes that do not count.

    Returns:
        The faces that were coded, and messages about what was left out.

    Raises:
        DataError: A table is damaged.
        UsageError: A code is of a person whom the item does not have.
    """
    asked = sorted({name for code in codes for name in code.numbers})
    measured = [name for name in asked if name in MEASURED]
    notes = []
    if measured and item.measures is None:
        notes.append(
            f"{item.key}: was analysed without --measures, so {', '.join(measured)} cannot be compared with it"
        )
        measured = []
    timeline = item.whole if measured else item.timeline
    numeric = [name for name in asked if name in (*measured, "valence", *EMOTIONS)]
    smoothed = smoothed_timeline(timeline, float(item.about["options"]["smooth"]))
    lengths = shown(timeline, item.about["end"])
    known = {int(face) for face in timeline["face_id"].dropna().unique()}
    by_face: dict[tuple[int, ...], list[Code]] = {}
    for code in codes:
        ids = _faces_of(code, item)
        by_face.setdefault(() if known and {*ids} == known else ids, []).append(code)
    result = []
    for ids, of_face in by_face.items():
        if {*ids} - known:
            has = f"has the faces {', '.join(map(str, sorted(known)[:8]))}" if known else "has no face"
            notes.append(f"{of_face[0].where}: {item.key} {has}, and no face {ids[0]} ({_codes(of_face)} left out)")
            continue
        rows = _rows_of(timeline, ids)
        coders: dict[str, Rating] = {}
        for coder in dict.fromkeys(code.coder for code in of_face):
            own = [code for code in of_face if code.coder == coder]
            coders[coder] = _coded(item, own, lengths, timeline, gaps, asked, lost)
        machine = [_machine(table, rows, lengths, numeric) for table in (timeline, smoothed)]
        weights = lengths["weight"].to_numpy(np.float64)
        timed = bool(lengths["timed"].all()) and item.is_video
        whose = {cluster(item.key, str(face)) for face in ids or known}
        who = whose.pop() if len(whose) == 1 else cluster(item.key, "")
        result.append(Rated(item.key, who, weights, timed, coders, *machine))
    if len(known) > 1 and any(not _faces_of(code, item) for code in by_face.get((), ())):
        what = f"has {len(known)} faces; codes without a face_id or person are of the largest in each frame"
        notes.append(f"{item.key}: {what}")
        if len(by_face) > 1:
            notes.append(f"{item.key}: codes with and without a face_id or person are not compared with each other")
    return result, notes


def _faces_of(code: Code, item: FinishedItem) -> tuple[int, ...]:
    """The faces that a code is of, by ``face_id``; none for the largest of each frame.

    Raises UsageError if it names a person whom the item does not have.
    """
    if code.face or not code.person:
        return (int(code.face),) if code.face else ()
    people = item.people
    faces = tuple(sorted(face_id for face_id, name in people.items() if name == code.person))
    if not faces and not code.is_only:
        has = (
            f"; there are {few(list(dict.fromkeys(people.values())), NAMED)}" if people else ", for no face has a name"
        )
        what = f"{item.key} has no person {code.person}{has}; name faces with --people, or give the codes a face_id"
        raise UsageError(printable(f"{code.where}: {what}"))
    return faces


def _rows_of(timeline: pd.DataFrame, faces: Sequence[int]) -> pd.DataFrame:
    """The frame and the row's place of the largest of ``faces``, or of all if there are none, in each frame."""
    seen = timeline.loc[timeline["success"], ["frame", "face_id", "width", "height"]]
    if faces:
        seen = seen[seen["face_id"].isin(faces)]
    area = (seen["width"] * seen["height"]).sort_values(kind="stable", ascending=False)
    return seen.loc[area.index].drop_duplicates("frame")[["frame"]]


def _machine(table: pd.DataFrame, rows: pd.DataFrame, lengths: pd.DataFrame, numeric: Sequence[str]) -> Rating:
    count = len(lengths)
    places = lengths.index.get_indexer(rows["frame"])
    own = table.loc[rows.index]
    judged = np.zeros(count, bool)
    judged[places] = own["judged"].to_numpy(bool)
    labels = {}
    for emotion in EMOTIONS:
        labels[emotion] = np.zeros(count, bool)
        labels[emotion][places] = (own["emotion"] == emotion).to_numpy(bool, na_value=False)
        labels[emotion] &= judged
    numbers = {}
    for name in numeric:
        values = own[name].to_numpy(np.float64, na_value=np.nan)
        if name in MEASURED and name != "presence":
            values = np.where(own["presence"].to_numpy(np.float64, na_value=np.nan) >= PRESENT, values, np.nan)
        numbers[name] = np.full(count, np.nan)
        numbers[name][places] = values
    return Rating(labels, judged, numbers)


def _coded(
    item: FinishedItem,
    codes: Sequence[Code],
    lengths: pd.DataFrame,
    timeline: pd.DataFrame,
    gaps: str,
    asked: Sequence[str],
    lost: LostCodes,
) -> Rating:
    """The rating of one coder, of one face."""
    count = len(lengths)
    rating = Rating({}, np.zeros(count, bool))
    sums = {name: np.zeros(count) for name in asked}
    given = {name: np.zeros(count) for name in asked}
    frames = _Frames(item, lengths, timeline)
    for code in codes:
        chosen, why, details = frames.of(code)
        if why:
            lost.add(code, why, f"; {item.key}{details}")
        if code.label:
            rating.labels.setdefault(code.label, np.zeros(count, bool))[chosen] = True
            rating.coded[chosen] = True
        for name, value in code.numbers.items():
            sums[name][chosen] += value
            given[name][chosen] += 1
    rating.labels.pop(NONE, None)
    for name in asked:
        with np.errstate(invalid="ignore"):
            values = sums[name] / given[name]
        if given[name].any():
            rating.numbers[name] = values
    numbers_only = rating.numbers and not rating.labels
    if item.is_video and codes[0].is_period and gaps != SKIP and not numbers_only:
        if gaps != NONE:
            rating.labels[gaps] = rating.labels.get(gaps, np.zeros(count, bool)) | ~rating.coded
        rating.coded[:] = True
    return rating


class _Frames:
    """Which analysed frames a code is of."""

    def __init__(self, item: FinishedItem, lengths: pd.DataFrame, timeline: pd.DataFrame) -> None:
        self._is_video = item.is_video
        self._times = lengths["timestamp"].to_numpy(np.float64)
        self._index = lengths.index
        weights = lengths["weight"].to_numpy(np.float64)
        last = float(self._times[-1] + weights[-1]) if len(weights) and item.is_video else math.nan
        self._begin = float(self._times[0]) if len(weights) else math.nan
        self._end = item.about["end"] if item.about["end"] is not None else last
        named = timeline.drop_duplicates("frame")
        self._photos = {} if item.is_video else dict(zip(named["source"], range(len(named)), strict=True))

    def of(self, code: Code) -> tuple[slice, str, str]:
        """The places of the code's frames; why they are fewer than the code says, empty if they are not; details."""
        nothing = slice(0, 0)
        if code.frame:
            return *self._frame(code.frame), ""
        if not self._is_video:
            return nothing, "of times, and photos have none: give the photo's name as frame", ""
        if not len(self._times):
            return nothing, "of an item without an analysed frame", ""
        until = f", {self._begin:.2f} to {self._end:.2f} s"
        if not code.is_period:
            place = int(np.searchsorted(self._times, code.begin + 1e-6, "right")) - 1
            if place < 0 or code.begin > self._end + _TOLERATED:
                return nothing, self._outside(code), until
            return slice(place, place + 1), "", ""
        first, stop = np.searchsorted(self._times, [code.begin - 1e-6, code.end - 1e-6]).tolist()
        if code.begin >= self._end or (code.end <= self._begin and code.end > code.begin):
            return nothing, self._outside(code), until
        if first >= stop:
            why = "without duration, or too short to hold an analysed frame, and not counted"
            return nothing, why if code.label else "", ""
        is_long = math.isfinite(code.end) and code.end > self._end + _TOLERATED
        return slice(first, stop), "longer than the video, and counted up to its end" if is_long else "", until

    def _frame(self, text: str) -> tuple[slice, str]:
        place = self._photos.get(text, -1)
        if place < 0 and text.isdigit():
            place = int(self._index.get_indexer([int(text)])[0])
        if place < 0:
            return slice(0, 0), "of a frame that was not analysed" if text.isdigit() else "of an unknown photo"
        return slice(place, place + 1), ""

    def _outside(self, code: Code) -> str:
        why = "outside of the analysed part of the video, and not counted"
        return f"{why}; times are seconds, and these may be milliseconds" if code.begin > 20 * self._end else why


def _codes(codes: Sequence[Code]) -> str:
    return counted(len(codes), "code")


def labels_of(ratings: Iterable[Rating]) -> list[str]:
    """The labels that were given anywhere: the machine's in their order, then others by name."""
    given = {label for rating in ratings for label, where in rating.labels.items() if where.any()}
    return [emotion for emotion in EMOTIONS if emotion in given] + sorted(given - set(EMOTIONS))
