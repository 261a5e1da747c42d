"""Place the panels of faces: beside the face, inside the image, off other faces, and steady from frame to frame.

This is geometry only. Rectangles are (left, top, right, bottom) in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rect = tuple[float, float, float, float]
Rects = NDArray[np.float64]

#: The cost of a place by its side of the face, for tall and for flat panels. Overlaps add to it (``_cost``).
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

_OVER_OWN = 3.0  # cost per share of its own face that the panel covers
_OVER_FACES = 6.0  # cost per share of each other face that the panel covers
_OVER_PANELS = 12.0  # cost per share of the panel that overlaps panels placed before
# Cost per unit by which the panel's area divided by its face's exceeds 1.5. It applies fully with five or more faces in
# the image, not at all with one.
_LARGE = 0.15
_STAYS = 0.3  # subtracted from the cost if the panel keeps its style and side
_FOLLOWS = 0.4  # share of the way to its new place that a panel moves per frame, so that text does not shake


@dataclass(frozen=True)
class PanelStyle:
    """A kind of panel with its size in pixels. ``cost`` is higher the less the panel shows."""

    name: str
    width: int
    height: int
    cost: float


@dataclass(frozen=True)
class Placement:
    """The chosen style and side of a panel, and the position of its upper left corner in pixels."""

    style: PanelStyle
    side: str
    x: float
    y: float


PanelState = list[tuple[int, tuple[str, int, int, float], str, float, float]]
"""The last placements of panels: each face's id and the fields of its ``Placement``. Plain values for JSON."""


class Placer:
    """Choose the places of all panels, frame by frame. The last frame's are remembered, to keep panels steady."""

    def __init__(self, width: int, height: int, margin: int) -> None:
        self._size = (width, height)
        self._margin = margin
        self._last: dict[int, Placement] = {}

    def place(
        self, ids: Sequence[int], boxes: Sequence[Rect], styles: Sequence[Sequence[PanelStyle]]
    ) -> list[Placement | None]:
        """Place the panels of one frame, those of large faces first.

        Args:
            ids: The faces' ids (n).
            boxes: The faces' boxes (n).
            styles: The possible styles of each face's panel (n).

        Returns:
            A placement per face (n), None where no style fits into the image.
        """
        faces = np.array(boxes, dtype=np.float64).reshape(-1, 4)
        found: dict[int, Placement] = {}
        taken: list[Rect] = []
        for n in np.argsort(-_areas(faces), kind="stable").tolist():
            place = self._best(ids[n], n, faces, taken, styles[n])
            if place is not None:
                found[n] = place
                taken.append((place.x, place.y, place.x + place.style.width, place.y + place.style.height))
        self._last = {ids[n]: place for n, place in found.items()}
        return [found.get(n) for n in range(len(ids))]

    def state(self) -> PanelState:
        """The placements of the last frame, for ``restore``."""
        return [
            (face_id, (p.style.name, p.style.width, p.style.height, p.style.cost), p.side, p.x, p.y)
            for face_id, p in self._last.items()
        ]

    def restore(self, state: PanelState) -> None:
        """Continue from another placer's state."""
        self._last = {face_id: Placement(PanelStyle(*style), side, x, y) for face_id, style, side, x, y in state}

    def _best(
        self, face_id: int, n: int, faces: Rects, taken: list[Rect], styles: Sequence[PanelStyle]
    ) -> Placement | None:
        fitting = [style for style in styles if self._fits(style)]
        options = [(style, side) for style in fitting for side in _TALL]
        if not options:
            return None
        rects = [rect for style in fitting for rect in self._rects(faces[n], style)]
        cost = self._cost(np.array(rects), n, faces, taken).tolist()
        last = self._last.get(face_id)
        crowd, own = min(1.0, (len(faces) - 1) / 4), max(1.0, float(_areas(faces)[n]))
        for k, (style, side) in enumerate(options):
            area = style.width * style.height
            flat = style.width > 2 * style.height
            cost[k] += style.cost + (_FLAT if flat else _TALL)[side] + area / (self._size[0] * self._size[1])
            cost[k] += crowd * _LARGE * max(0.0, area / own - 1.5)
            if last and (last.style.name, last.side) == (style.name, side):
                cost[k] -= _STAYS
        best = cost.index(min(cost))
        style, side = options[best]
        x, y, _, _ = rects[best]
        if (
            last
            and (last.style.name, last.side) == (style.name, side)
            and abs(x - last.x) + abs(y - last.y) < style.width
        ):
            x, y = last.x + _FOLLOWS * (x - last.x), last.y + _FOLLOWS * (y - last.y)
        return Placement(style, side, x, y)

    def _fits(self, style: PanelStyle) -> bool:
        room = 2 * self._margin
        return style.width + room <= self._size[0] and style.height + room <= self._size[1]

    def _rects(self, face: Rects, style: PanelStyle) -> list[Rect]:
        """The rectangles of a style's panel at each side of a face, in the order of ``_TALL``, moved into the image."""
        left, top, right, bottom = face.tolist()
        gap, w, h = 2 * self._margin, style.width, style.height
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
    """The area in pixels that each of ``rects`` (k, 4) shares with each of ``others`` (n, 4): (k, n)."""
    low = np.maximum(rects[:, None, :2], others[None, :, :2])
    high = np.minimum(rects[:, None, 2:], others[None, :, 2:])
    return np.asarray(np.prod(np.maximum(high - low, 0), axis=2), dtype=np.float64)
