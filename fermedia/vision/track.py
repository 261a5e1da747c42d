"""Who is who from frame to frame, and in a single picture.

A person is expected where its motion leads, of the size it had, looking as it did; each with an uncertainty that grows
with the time since it was last seen. The faces of a frame and the persons known are paired so that all of it together
is as likely as can be. Times rule, not frame numbers. How well it does: ``scripts/measure_tracking.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log, sqrt
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from fermedia.types import Face, Gray

Floats = NDArray[np.float64]
Looks = NDArray[np.float32]

#: Seconds for which a person out of sight is remembered.
MEMORY = 2.0

#: Speed of a face in its own widths a second (standard deviation), and the seconds for which it is kept up.
_SPEED, _PERSISTENCE = 2.0, 1.0

#: Error of a detector's box in face widths, and of the logarithm of its size; that also changes by so much a second.
_BOX_ERROR, _SIZE_ERROR, _GROWTH = 0.06, 0.08, 0.25

#: Difference of two looks of one person (standard deviation), and the most that it may count against: a hand before
#: the face must not make a stranger of somebody who has not moved.
_LOOK_ERROR, _LOOK_MOST = 0.25, 4.0

#: Seconds over which a person's look is averaged.
_LOOK_SPAN = 2.0

#: Who stays over a cut: moved by less of a face width, grew by less (logarithm), and looks as before by this
#: correlation at least.
_STAYED, _STAYED_SIZE, _STAYED_LOOK = 0.15, 0.15, 0.92

#: How unlikely (negative logarithm, per square face width) a pairing must be for a new person to be likelier.
_NEW = 5.0

#: No pairing beyond so many standard deviations of the way; half a width is always near enough, since detectors jump.
_FARTHEST, _NEAR = 4.0, 0.5

_IMPOSSIBLE = 1e6


def look(crop: Gray) -> Looks:
    """What a face looks like, for ``Tracker``: (144,), float32, of mean 0 and length 1; any exposure gives the same.

    ``crop`` is the face as ``framing.crop_face`` cuts it, (n, n), uint8.
    """
    small = cv2.resize(crop, (12, 12), interpolation=cv2.INTER_AREA).astype(np.float32).ravel()
    small -= small.mean()
    return np.asarray(small / (np.linalg.norm(small) + 1e-3), np.float32)


class _Spread(NamedTuple):
    """Variance of a place, its covariance with the speed, and the speed's variance."""

    place: float
    both: float
    speed: float


#: That of somebody who was seen once.
_FIRST = _Spread(_BOX_ERROR**2, 0.0, _SPEED**2)


@dataclass
class _Track:
    """A person as last seen: middle (x + iy) and size of the face in pixels, speed in pixels a second, look.

    ``spread`` is the covariance of middle and speed along either axis, in face widths. The speed is an
    Ornstein-Uhlenbeck process: it persists for a while, and is nobody's for ever.
    """

    face_id: int
    center: complex
    size: float
    look: Looks | None
    seen: float
    speed: complex = 0
    spread: _Spread = _FIRST

    def at(self, time: float) -> tuple[complex, complex, _Spread]:
        """Middle, speed and spread that are expected at a time."""
        gone = min(time - self.seen, MEMORY) / _PERSISTENCE
        kept = exp(-gone)
        drift = _PERSISTENCE * (1 - kept)
        place, both, speed = self.spread
        spread = _Spread(
            place
            + 2 * drift * both
            + drift**2 * speed
            + (_SPEED * _PERSISTENCE) ** 2 * (2 * gone - 3 + 4 * kept - kept**2),
            kept * (both + drift * speed) + _SPEED**2 * drift * (1 - kept),
            kept**2 * speed + _SPEED**2 * (1 - kept**2),
        )
        return self.center + drift * self.speed, kept * self.speed, spread

    def cost(self, center: complex, size: float, seen_as: Looks | None, time: float) -> float:
        """How unlikely it is that a face is this person's: a negative logarithm, up to a constant."""
        expected, _, spread = self.at(time)
        variance = spread.place + _BOX_ERROR**2
        distance = (abs(center - expected) / max(size, self.size)) ** 2
        if distance > max(_FARTHEST**2 * variance, _NEAR**2):
            return _IMPOSSIBLE
        growth = log(size / self.size) / (_SIZE_ERROR + _GROWTH * min(time - self.seen, MEMORY))
        cost = min(distance / variance, _FARTHEST**2) / 2 + log(variance) + growth**2 / 2
        if self.look is not None and seen_as is not None:
            cost += min(((1 - _alike(self.look, seen_as)) / _LOOK_ERROR) ** 2 / 2, _LOOK_MOST)
        return cost

    def stayed(self, center: complex, size: float, seen_as: Looks | None) -> bool:
        """Whether a face after a cut is where this person's was and looks as that did."""
        if self.look is None or seen_as is None:
            return False
        near = abs(center - self.center) < _STAYED * self.size and abs(log(size / self.size)) < _STAYED_SIZE
        return near and _alike(self.look, seen_as) >= _STAYED_LOOK

    def see(self, center: complex, size: float, seen_as: Looks | None, time: float, learn: bool) -> None:
        """Learn from a sighting: a Kalman filter's step, and where the face is alone its look."""
        expected, speed, (place, both, own) = self.at(time)
        gain, gain_of_speed = (s / (place + _BOX_ERROR**2) for s in (place, both))
        self.center = expected + gain * (center - expected)
        self.speed = speed + gain_of_speed * (center - expected)
        self.spread = _Spread(place - gain * place, both - gain * both, own - gain_of_speed * both)
        if self.look is None:
            self.look = seen_as
        elif seen_as is not None and learn:
            self.look = self.look + np.float32(1 - exp((self.seen - time) / _LOOK_SPAN)) * (seen_as - self.look)
        self.size, self.seen = size, time


class Tracker:
    """Gives every face of one video the number of its person, counted from 0 in order of appearance."""

    def __init__(self) -> None:
        self._tracks: list[_Track] = []
        self._next = 0
        self._looked = float("-inf")

    def update(
        self,
        faces: Sequence[Face],
        time: float,
        looks: Sequence[Looks] | None = None,
        cut: bool = False,
        may_stay: bool = False,
    ) -> list[int]:
        """The ids of the faces of one frame, in their order; ``time`` in seconds must not fall.

        ``looks`` are the faces' (``look``), without which places alone decide. ``cut`` says that a new shot has begun
        since the last frame: then everybody is new; or, if people ``may_stay``, whoever is not where somebody was
        and looks as that one did. So people in the tiles of a meeting stay, whatever else the screen shows.
        """
        # However seldom frames are analysed, the persons of the last one are remembered.
        oldest = min(time - MEMORY, self._looked)
        before, self._looked = self._looked, time
        seen = [
            (complex(*face.box.center), face.box.area**0.5, looks[n] if looks is not None else None)
            for n, face in enumerate(faces)
        ]
        if cut:
            last = [track for track in self._tracks if may_stay and track.seen >= before]
            self._tracks = [track for track in last if any(track.stayed(*sighting) for sighting in seen)]
        else:
            self._tracks = [track for track in self._tracks if track.seen >= oldest]
        # Each face takes a known person or one of as many new ones.
        costs = np.full((len(seen), len(self._tracks) + len(seen)), _NEW)
        for n, sighting in enumerate(seen):
            costs[n, : len(self._tracks)] = [track.cost(*sighting, time) for track in self._tracks]
        known, ids = list(self._tracks), []
        for n, (sighting, column) in enumerate(zip(seen, assign(costs), strict=True)):
            if column < len(known):
                known[column].see(*sighting, time, learn=_alone(n, faces))
                ids.append(known[column].face_id)
            else:
                self._tracks.append(_Track(self._next, *sighting, time))
                ids.append(self._next)
                self._next += 1
        return ids


def number_by_size(faces: Sequence[Face]) -> list[int]:
    """The ids of a single picture's faces, in their order: 0 is the largest."""
    order = sorted(range(len(faces)), key=lambda i: -faces[i].box.area)
    ids = [0] * len(faces)
    for face_id, index in enumerate(order):
        ids[index] = face_id
    return ids


def assign(costs: Floats) -> list[int]:
    """The column for each row, each column once, of the least total; ``costs`` is (n, m), finite, n <= m.

    The Hungarian method with shortest augmenting paths (Jonker and Volgenant 1987). SciPy has it, but is not
    otherwise needed.
    """
    rows, columns = costs.shape
    best: list[int] = costs.argmin(axis=1).tolist() if rows else []
    if len(set(best)) == rows:
        return best  # nobody is in another's way
    row_price, column_price = np.zeros(rows), np.zeros(columns + 1)
    owner = np.full(columns + 1, -1)  # the row of each column; the last column is where a path begins
    for row in range(rows):
        owner[columns], column = row, columns
        least, before = np.full(columns, np.inf), np.full(columns, -1)
        done = np.zeros(columns + 1, bool)
        while owner[column] >= 0:
            done[column] = True
            over = costs[owner[column]] - row_price[owner[column]] - column_price[:columns]
            better = ~done[:columns] & (over < least)
            least[better], before[better] = over[better], column
            column_next = int(np.where(done[:columns], np.inf, least).argmin())
            step = least[column_next]
            row_price[owner[done]] += step
            column_price[done] -= step
            least[~done[:columns]] -= step
            column = column_next
        while column != columns:
            owner[column], column = owner[before[column]], before[column]
    found = np.empty(rows, int)
    taken = np.flatnonzero(owner[:columns] >= 0)
    found[owner[taken]] = taken
    return [int(column) for column in found]


def _alone(n: int, faces: Sequence[Face]) -> bool:
    """Whether a face's crop shows nobody else: where two overlap, a look is of both."""
    return all(i == n or faces[n].box.iou(other.box) == 0 for i, other in enumerate(faces))


def _alike(one: Looks, other: Looks) -> float:
    """Correlation of two looks, -1..1."""
    return float(one @ other) / (sqrt(one @ one) * sqrt(other @ other) + 1e-6)
