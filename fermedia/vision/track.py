"""Track persons from frame to frame, and rank the faces of a single image.

A person's position is predicted from its motion, its size and appearance from the last ones, with an uncertainty that
grows with the time since it was last seen. The faces of a frame are assigned to the known persons with the greatest
joint likelihood. The model depends on times, not frame numbers. ``scripts/measure_tracking.py`` measures it.
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
Appearance = NDArray[np.float32]
Indices = NDArray[np.intp]

#: Seconds for which a person who is not visible is remembered.
MEMORY = 2.0

#: Speed of a face in face widths a second (standard deviation), and its time constant in seconds.
_SPEED, _PERSISTENCE = 2.0, 1.0

#: Error of a detector's box in face widths, error of the logarithm of its size, and change of that in a second.
_BOX_ERROR, _SIZE_ERROR, _GROWTH = 0.06, 0.08, 0.25

#: Difference of two appearances of one person (standard deviation), and the most that it may cost: a hand in front of
#: the face must not turn somebody who has not moved into a new person.
_LOOK_ERROR, _LOOK_MOST = 0.25, 4.0

#: Seconds over which a person's appearance is averaged.
_APPEARANCE_SPAN = 2.0

#: Limits for the same person across a cut: movement in face widths, change of size (logarithm), and least correlation
#: of the appearances.
_STAYED, _STAYED_SIZE, _STAYED_LOOK = 0.15, 0.15, 0.92

#: The part of an appearance that shows the face itself, (144,), bool: an ellipse; a slide may change behind a head.
_FACE = (np.hypot(*np.meshgrid(np.linspace(-1.1, 1.1, 12), np.linspace(-0.92, 0.92, 12))) <= 1).ravel()

#: The cost (negative logarithm, per square face width) of an assignment above which a new person is likelier.
_NEW = 5.0

#: The farthest assignment in standard deviations of the distance; half a width is always allowed, since boxes jump.
_FARTHEST, _NEAR = 4.0, 0.5

_IMPOSSIBLE = 1e6


def appearance(crop: Gray) -> Appearance:
    """Compute a face's appearance for ``Tracker``, which does not depend on the exposure.

    Args:
        crop: The face from ``framing.crop_face``, (n, n), uint8.

    Returns:
        (144,), float32, of mean 0 and norm 1.
    """
    small = cv2.resize(crop, (12, 12), interpolation=cv2.INTER_AREA).astype(np.float32).ravel()
    small -= small.mean()
    return np.asarray(small / (np.linalg.norm(small) + 1e-3), np.float32)


class _Covariance(NamedTuple):
    """Variance of the position, its covariance with the speed, and the speed's variance."""

    place: float
    both: float
    speed: float


#: The covariance of a person who was seen once.
_FIRST = _Covariance(_BOX_ERROR**2, 0.0, _SPEED**2)


class _Sighting(NamedTuple):
    """A face in a frame: its centre (x + iy) and size in pixels, and its appearance."""

    center: complex
    size: float
    appearance: Appearance | None


@dataclass
class _Track:
    """A person as last seen: centre (x + iy) and size of the face in pixels, speed in pixels a second, appearance.

    ``spread`` is the covariance of centre and speed along either axis, in face widths. The speed is an
    Ornstein-Uhlenbeck process: it persists for a while and decays.
    """

    face_id: int
    center: complex
    size: float
    appearance: Appearance | None
    seen: float
    speed: complex = 0
    spread: _Covariance = _FIRST

    def at(self, time: float) -> tuple[complex, complex, _Covariance]:
        """Predict centre, speed and covariance at a time."""
        gone = min(time - self.seen, MEMORY) / _PERSISTENCE
        kept = exp(-gone)
        drift = _PERSISTENCE * (1 - kept)
        place, both, speed = self.spread
        spread = _Covariance(
            place
            + 2 * drift * both
            + drift**2 * speed
            + (_SPEED * _PERSISTENCE) ** 2 * (2 * gone - 3 + 4 * kept - kept**2),
            kept * (both + drift * speed) + _SPEED**2 * drift * (1 - kept),
            kept**2 * speed + _SPEED**2 * (1 - kept**2),
        )
        return self.center + drift * self.speed, kept * self.speed, spread

    def stayed(self, center: complex, size: float, seen_as: Appearance | None) -> bool:
        """Whether a face after a cut has the position, size and appearance of this person's."""
        if self.appearance is None or seen_as is None:
            return False
        near = abs(center - self.center) < _STAYED * self.size and abs(log(size / self.size)) < _STAYED_SIZE
        return near and _alike(*(_centered(each[_FACE]) for each in (self.appearance, seen_as))) >= _STAYED_LOOK

    def see(self, center: complex, size: float, seen_as: Appearance | None, time: float, learn: bool) -> None:
        """Update from a sighting: a Kalman filter step, and if ``learn`` is set also the appearance."""
        expected, speed, (place, both, own) = self.at(time)
        gain, gain_of_speed = (s / (place + _BOX_ERROR**2) for s in (place, both))
        self.center = expected + gain * (center - expected)
        self.speed = speed + gain_of_speed * (center - expected)
        self.spread = _Covariance(place - gain * place, both - gain * both, own - gain_of_speed * both)
        if self.appearance is None:
            self.appearance = seen_as
        elif seen_as is not None and learn:
            self.appearance = self.appearance + np.float32(1 - exp((self.seen - time) / _APPEARANCE_SPAN)) * (
                seen_as - self.appearance
            )
        self.size, self.seen = size, time


class Tracker:
    """Give every face of one video the id of its person, counted from 0 in the order of their first frames."""

    def __init__(self) -> None:
        self._tracks: list[_Track] = []
        self._next = 0
        self._looked = float("-inf")

    def update(
        self,
        faces: Sequence[Face],
        time: float,
        appearances: Sequence[Appearance] | None = None,
        cut: bool = False,
    ) -> list[int]:
        """Assign the faces of the next frame to persons.

        Args:
            faces: The faces.
            time: The frame's time in seconds, which must not decrease.
            appearances: The faces' ``appearance``s; without them, only positions and sizes decide.
            cut: Whether a new shot has started since the last frame. Then every face is a new person, unless it has the
                position and appearance of a known one. So people in the tiles of a meeting keep their ids, whatever
                else the screen shows.

        Returns:
            The faces' ids, in the order of ``faces``.
        """
        # The persons of the last frame are remembered, however rarely frames are analysed.
        oldest = min(time - MEMORY, self._looked)
        before, self._looked = self._looked, time
        seen = [
            _Sighting(
                complex(*face.box.center), face.box.area**0.5, appearances[n] if appearances is not None else None
            )
            for n, face in enumerate(faces)
        ]
        if cut:
            last = [track for track in self._tracks if track.seen >= before]
            self._tracks = [track for track in last if any(track.stayed(*sighting) for sighting in seen)]
        else:
            self._tracks = [track for track in self._tracks if track.seen >= oldest]
        # Each face takes a known person or a new one of its own.
        new = np.full((len(seen), len(seen)), _IMPOSSIBLE)
        np.fill_diagonal(new, _NEW)
        columns = assign(np.hstack([_costs(seen, self._tracks, time), new]))
        known, alone, ids = list(self._tracks), _alone(faces), []
        for sighting, column, learn in zip(seen, columns, alone, strict=True):
            if column < len(known):
                known[column].see(*sighting, time, learn)
                ids.append(known[column].face_id)
            else:
                self._tracks.append(_Track(self._next, *sighting, time))
                ids.append(self._next)
                self._next += 1
        return ids


def rank_by_size(faces: Sequence[Face]) -> list[int]:
    """The ids of a single image's faces, in the order of ``faces``: 0 is the largest."""
    order = sorted(range(len(faces)), key=lambda i: -faces[i].box.area)
    ids = [0] * len(faces)
    for face_id, index in enumerate(order):
        ids[index] = face_id
    return ids


def assign(costs: Floats) -> list[int]:
    """Solve the linear assignment problem: the Hungarian method with augmenting paths (Jonker and Volgenant 1987).

    Args:
        costs: (n, m), finite, n <= m.

    Returns:
        The column for each row, no column twice, with the least total cost.
    """
    rows, columns = costs.shape
    best: list[int] = costs.argmin(axis=1).tolist() if rows else []
    if len(set(best)) == rows:
        return best  # no conflict
    row_price, column_price = np.zeros(rows), np.zeros(columns + 1)
    owner = np.full(columns + 1, -1)  # the row of each column; paths start at the extra last column
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


def _costs(seen: Sequence[_Sighting], tracks: Sequence[_Track], time: float) -> Floats:
    """The cost of assigning each face to each person (faces, persons): negative log likelihood, up to a constant."""
    costs = np.full((len(seen), len(tracks)), _IMPOSSIBLE)
    if not costs.size:
        return costs
    expected = [track.at(time) for track in tracks]
    middles = np.array([middle for middle, _, _ in expected])
    variance = np.array([spread.place for _, _, spread in expected]) + _BOX_ERROR**2
    centers, sizes = np.array([one.center for one in seen]), np.array([one.size for one in seen])
    own = np.array([track.size for track in tracks])
    ways = np.abs(centers[:, None] - middles) / np.maximum(sizes[:, None], own)
    face, person = near = np.nonzero(ways**2 <= np.maximum(_FARTHEST**2 * variance, _NEAR**2))
    gone = np.minimum(time - np.array([track.seen for track in tracks]), MEMORY)
    growth = np.log(sizes[face] / own[person]) / (_SIZE_ERROR + _GROWTH * gone[person])
    places = np.minimum(ways[near] ** 2 / variance[person], _FARTHEST**2) / 2 + np.log(variance[person])
    costs[near] = places + growth**2 / 2 + _unlike(seen, tracks, face, person)
    return costs


def _unlike(seen: Sequence[_Sighting], tracks: Sequence[_Track], face: Indices, person: Indices) -> Floats:
    """The cost of different appearances of pairs of faces and persons (n,); 0 where one of the two has none."""
    costs = np.zeros(len(face))
    appearances = [
        (seen[i].appearance, tracks[j].appearance) for i, j in zip(face.tolist(), person.tolist(), strict=True)
    ]
    known = [n for n, (one, other) in enumerate(appearances) if one is not None and other is not None]
    if known:
        one, other = (np.array([appearances[n][side] for n in known], np.float32) for side in (0, 1))
        # No matrix product: its threads take longer than they save, and its last digits depend on the processor.
        product, *squares = (np.einsum("nk,nk->n", *pair) for pair in ((one, other), (one, one), (other, other)))
        alike = product / (np.sqrt(squares[0] * squares[1]) + 1e-6)
        costs[known] = np.minimum(((1 - alike) / _LOOK_ERROR) ** 2 / 2, _LOOK_MOST)
    return costs


def _alone(faces: Sequence[Face]) -> list[bool]:
    """Whether each face overlaps no other: the appearance of overlapping faces would mix both."""
    if len(faces) < 2:
        return [True] * len(faces)
    corners = np.array([(f.box.x, f.box.y, f.box.x + f.box.width, f.box.y + f.box.height) for f in faces])
    low, high = corners[:, None, :2], corners[:, None, 2:]
    overlaps = ((low < corners[:, 2:]) & (corners[:, :2] < high)).all(axis=2)
    return (overlaps.sum(axis=1) == 1).tolist()  # each overlaps with itself


def _centered(appearance: Appearance) -> Appearance:
    return appearance - appearance.mean()


def _alike(one: Appearance, other: Appearance) -> float:
    """Correlation of two appearances, -1..1."""
    return float(one @ other) / (sqrt(one @ one) * sqrt(other @ other) + 1e-6)
