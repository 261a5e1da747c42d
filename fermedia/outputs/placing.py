"""Where a face's panel goes: beside the face, inside the picture, off the other faces, and calmly from frame to frame.

Plain geometry. Rectangles are (left, top, right, bottom) in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rect = tuple[float, float, float, float]
Rects = NDArray[np.float64]

#: What a place costs by its side, for tall panels and for flat ones. Overlaps cost more; see ``_cost``.
_TALL = {
    "right": 0.0,
    "left": 0.04,
    "low right": 0.06,
    "low left": 0.08,
    "below": 0.1,
    "above": 0.12,
    "inside": 0.15,
    "inside right": 0.16,
}
_FLAT = {
    "right": 0.16,
    "left": 0.18,
    "low right": 0.2,
    "low left": 0.22,
    "below": 0.04,
    "above": 0.0,
    "inside": 0.1,
    "inside right": 0.12,
}

_OVER_OWN = 3.0  # times the share of its own face that the panel covers
_OVER_FACES = 6.0  # times the share of each other face
_OVER_PANELS = 12.0  # times the share of the panel that lies on panels placed before
_LARGE = 0.15  # times how often the panel holds its face, beyond 1.5, where many faces share the picture
_STAYS = 0.3  # less if the panel keeps its look and side
_FOLLOWS = 0.4  # of the way to the new place is gone in each frame, so that text does not tremble with the box


@dataclass(frozen=True)
class Look:
    """One way to show a face, of a size in pixels. ``cost`` is the reluctance to show less than everything."""

    name: str
    width: int
    height: int
    cost: float


@dataclass(frozen=True)
class Place:
    """The look that was chosen and where its upper left pixel goes."""

    look: Look
    side: str
    x: float
    y: float


Memory = list[tuple[int, tuple[str, int, int, float], str, float, float]]
"""Where panels were last: each face's id and the fields of its ``Place``. Plain values for JSON."""


class Placer:
    """Chooses a place for every face's panel; remembers the last frame's, to keep calm."""

    def __init__(self, width: int, height: int, margin: int) -> None:
        self._size = (width, height)
        self._margin = margin
        self._last: dict[int, Place] = {}

    def place(self, ids: Sequence[int], boxes: Sequence[Rect], looks: Sequence[Sequence[Look]]) -> list[Place | None]:
        """A place for each face, None where no look fits into the picture.

        ``looks`` gives each face's possible looks. Large faces choose first.
        """
        faces = np.array(boxes, dtype=np.float64).reshape(-1, 4)
        found: dict[int, Place] = {}
        taken: list[Rect] = []
        for n in np.argsort(-_areas(faces), kind="stable").tolist():
            place = self._best(ids[n], n, faces, taken, looks[n])
            if place is not None:
                found[n] = place
                taken.append((place.x, place.y, place.x + place.look.width, place.y + place.look.height))
        self._last = {ids[n]: place for n, place in found.items()}
        return [found.get(n) for n in range(len(ids))]

    def memory(self) -> Memory:
        """Where the panels of the last frame were."""
        return [
            (face_id, (p.look.name, p.look.width, p.look.height, p.look.cost), p.side, p.x, p.y)
            for face_id, p in self._last.items()
        ]

    def recall(self, memory: Memory) -> None:
        """Go on from there."""
        self._last = {face_id: Place(Look(*look), side, x, y) for face_id, look, side, x, y in memory}

    def _best(self, face_id: int, n: int, faces: Rects, taken: list[Rect], looks: Sequence[Look]) -> Place | None:
        fitting = [look for look in looks if self._fits(look)]
        options = [(look, side) for look in fitting for side in _TALL]
        if not options:
            return None
        rects = [rect for look in fitting for rect in self._rects(faces[n], look)]
        cost = self._cost(np.array(rects), n, faces, taken).tolist()
        last = self._last.get(face_id)
        crowd, own = min(1.0, (len(faces) - 1) / 4), max(1.0, float(_areas(faces)[n]))
        for k, (look, side) in enumerate(options):
            area = look.width * look.height
            flat = look.width > 2 * look.height
            cost[k] += look.cost + (_FLAT if flat else _TALL)[side] + area / (self._size[0] * self._size[1])
            cost[k] += crowd * _LARGE * max(0.0, area / own - 1.5)
            if last and (last.look.name, last.side) == (look.name, side):
                cost[k] -= _STAYS
        best = cost.index(min(cost))
        look, side = options[best]
        x, y, _, _ = rects[best]
        if last and (last.look.name, last.side) == (look.name, side) and abs(x - last.x) + abs(y - last.y) < look.width:
            x, y = last.x + _FOLLOWS * (x - last.x), last.y + _FOLLOWS * (y - last.y)
        return Place(look, side, x, y)

    def _fits(self, look: Look) -> bool:
        room = 2 * self._margin
        return look.width + room <= self._size[0] and look.height + room <= self._size[1]

    def _rects(self, face: Rects, look: Look) -> list[Rect]:
        """Where a look would lie on each side, in the order of ``_TALL``."""
        left, top, right, bottom = face.tolist()
        gap, w, h = 2 * self._margin, look.width, look.height
        places = {
            "right": (right + gap, top),
            "left": (left - gap - w, top),
            "low right": (right + gap, bottom - h),
            "low left": (left - gap - w, bottom - h),
            "below": (left, bottom + gap),
            "above": (left, top - gap - h),
            "inside": (left + gap, bottom - gap - h),
            "inside right": (right - gap - w, bottom - gap - h),
        }
        rects = []
        for side in _TALL:
            x = min(max(places[side][0], self._margin), self._size[0] - self._margin - w)
            y = min(max(places[side][1], self._margin), self._size[1] - self._margin - h)
            rects.append((x, y, x + w, y + h))
        return rects

    def _cost(self, rects: Rects, n: int, faces: Rects, taken: list[Rect]) -> NDArray[np.float64]:
        weight = np.full(len(faces), _OVER_FACES)
        weight[n] = _OVER_OWN
        cost: NDArray[np.float64] = _overlaps(rects, faces) @ (weight / np.maximum(_areas(faces), 1))
        if taken:
            cost += _OVER_PANELS * _overlaps(rects, np.array(taken)).sum(axis=1) / _areas(rects)
        return cost


def _areas(rects: Rects) -> NDArray[np.float64]:
    area: NDArray[np.float64] = (rects[:, 2] - rects[:, 0]) * (rects[:, 3] - rects[:, 1])
    return area


def _overlaps(rects: Rects, others: Rects) -> NDArray[np.float64]:
    """Square pixels that each of (k, 4) shares with each of (n, 4): (k, n)."""
    low = np.maximum(rects[:, None, :2], others[None, :, :2])
    high = np.minimum(rects[:, None, 2:], others[None, :, 2:])
    return np.asarray(np.prod(np.maximum(high - low, 0), axis=2), dtype=np.float64)
