"""Draw what was measured of a face: the outlines of its mesh, the axes of its head, and the direction of its gaze.

Lines are anti-aliased, lie on a dark rim, so that they are visible on any skin, and are as thin as the face is small.
Angles are drawn as they are measured, without perspective: an axis or a gaze towards the camera is a point.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from fermedia.render.colors import RGB
from fermedia.render.patches import Patch
from fermedia.types import PRESENT, Measures, Observation

Points = NDArray[np.float64]
"""Positions in pixels of the image, (n, 2)."""

#: Closed outlines along landmarks, from MediaPipe's ``face_mesh_connections``: the face, eyes, brows and lips.
# fmt: off
_OUTLINES = (
    (10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150,
     136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
    (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246),
    (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466),
    (46, 53, 52, 65, 55, 107, 66, 105, 63, 70),
    (276, 283, 282, 295, 285, 336, 296, 334, 293, 300),
    (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185),
    (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191),
)
# fmt: on

#: A smooth curve through an outline's landmarks has up to so many points for each, about so many pixels apart.
_MOST_FINE, _STEP = 4, 6.0

#: The centres of the irises, the person's right one first, and the tip of the nose.
_IRISES, _NOSE = (468, 473), 4

#: Lengths in centimetres of the canonical face: of the axes to the side and down, of the one out of the face, and of a
#: gaze that is level with the image.
_AXIS, _OUT, _GAZE = 5.0, 8.0, 11.0

#: Colours that are visible on skin, and that people with any colour vision tell apart (after Okabe and Ito 2008).
_LINE: RGB = (240, 244, 250)
_TO_SIDE, _DOWN, _FORWARD = (250, 224, 60), (0, 158, 115), (86, 180, 233)
_SIGHT: RGB = (255, 130, 215)

#: The width of lines by the face's size (pixels of a centimetre), at most by the size of text, and at least; in pixels.
_WIDTH, _MOST_WIDTH, _LEAST_WIDTH = 0.07, 0.1, 0.5

#: In smaller faces (pixels of a centimetre) brows and the inner edge of the lips are left out: all would run together.
_DETAILED, _DETAILS = 4.5, (3, 4, 6)

#: The least opening of an eye that is taken to look (``vision.measures``).
_SEES = 0.12

#: The opacity of the rim, and the radius of a line's tip in widths.
_RIM, _TIP = 0.35, 1.5

#: How many times larger lines are drawn that are thinner than so many pixels.
_ZOOMS = ((0.65, 4), (1.75, 2))

_SHIFT = 4  # binary places of a pixel's fraction


@dataclass(frozen=True)
class _Stroke:
    """A line through points; ``width`` in pixels."""

    points: Points
    closed: bool
    color: RGB
    width: float
    opacity: float = 1.0
    tip: bool = False


def features(observation: Observation, kinds: Collection[str], text: int, size: tuple[int, int]) -> list[Patch]:
    """Draw a face's measures.

    Args:
        observation: The face. Nothing is drawn if it was not measured, or if its mesh is unreliable.
        kinds: What to draw (``options.DRAWN``).
        text: The size of the image's text in pixels.
        size: Width and height of the image in pixels.

    Returns:
        A patch inside the image, or none.
    """
    measures, landmarks = observation.measures, observation.landmarks
    if measures is None or landmarks is None or measures.presence < PRESENT:
        return []
    places = landmarks[:, :2].astype(np.float64)
    width = max(_LEAST_WIDTH, min(_WIDTH * measures.pose.scale, _MOST_WIDTH * text))
    drawn = {"mesh": _mesh, "pose": _pose, "gaze": _gaze}
    layers = [list(drawn[kind](places, measures, width)) for kind in drawn if kind in kinds]
    patch = _patch([strokes for strokes in layers if strokes], size)
    return [] if patch is None else [patch]


def _mesh(places: Points, measures: Measures, width: float) -> Iterator[_Stroke]:
    for number, outline in enumerate(_OUTLINES):
        if number in _DETAILS and measures.pose.scale < _DETAILED:
            continue
        points = places[list(outline)]
        length = float(np.linalg.norm(points - np.roll(points, 1, axis=0), axis=1).sum())
        fine = min(_MOST_FINE, max(1, round(length / len(outline) / _STEP)))
        yield _Stroke(_curve(len(outline), fine) @ points, True, _LINE, width, 0.85)


def _pose(places: Points, measures: Measures, width: float) -> Iterator[_Stroke]:
    pose, start = measures.pose, places[_NOSE]
    ends = ((_TO_SIDE, 0, _AXIS), (_DOWN, 1, _AXIS), (_FORWARD, 2, -_OUT))
    # What is farther away is drawn first.
    for color, axis, length in sorted(ends, key=lambda end: -pose.rotation[2, end[1]] * end[2]):
        end = start + pose.rotation[:2, axis] * length * pose.scale
        yield _Stroke(np.array([start, end]), False, color, 2 * width, tip=axis == 2)


def _gaze(places: Points, measures: Measures, width: float) -> Iterator[_Stroke]:
    if measures.gaze is None:
        return
    x, y = math.tan(math.radians(measures.gaze.x)), math.tan(math.radians(measures.gaze.y))
    along = np.array([x, y]) / math.sqrt(1 + x * x + y * y) * _GAZE * measures.pose.scale
    for iris, opening in zip(_IRISES, (measures.right_eye, measures.left_eye), strict=True):
        if opening >= _SEES:
            yield _Stroke(np.array([places[iris], places[iris] + along]), False, _SIGHT, 1.5 * width, tip=True)


@lru_cache(maxsize=32)
def _curve(count: int, fine: int) -> NDArray[np.float64]:
    """The weights (count * fine, count) of ``count`` points in a closed Catmull-Rom curve through them."""
    t = np.arange(fine) / fine
    basis = np.stack([-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2], axis=1) / 2
    weights = np.zeros((count, fine, count))
    for n in range(count):
        for k in range(4):
            weights[n, :, (n + k - 1) % count] += basis[:, k]
    return weights.reshape(count * fine, count)


def _patch(layers: Sequence[Sequence[_Stroke]], size: tuple[int, int]) -> Patch | None:
    """A patch of all layers, the first one lowest; None if nothing is inside the image."""
    strokes = [stroke for layer in layers for stroke in layer]
    if not strokes:
        return None
    margin = 3 * max(stroke.width for stroke in strokes) + 2
    points = np.concatenate([stroke.points for stroke in strokes])
    left, top = np.maximum(np.floor(points.min(axis=0) - margin), 0).astype(int).tolist()
    right, bottom = np.minimum(np.ceil(points.max(axis=0) + margin), size).astype(int).tolist()
    if right <= left or bottom <= top:
        return None
    width, height = right - left, bottom - top
    # OpenCV's lines have whole widths: thin ones are drawn larger, and averaged down.
    thinnest = min(stroke.width for stroke in strokes)
    zoom = next((zoom for below, zoom in _ZOOMS if thinnest < below), 1)
    canvas = np.zeros((height * zoom, width * zoom, 4), np.uint8)
    for layer in layers:
        for rim in (True, False):
            for stroke in layer:
                _draw(canvas, stroke, (left, top), zoom, rim)
    if zoom > 1:
        canvas = np.asarray(cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    return Patch(left, top, canvas)


def _draw(canvas: NDArray[np.uint8], stroke: _Stroke, origin: tuple[int, int], zoom: int, rim: bool) -> None:
    # The centre of the first pixel is at 0.5 in our coordinates, and at 0 in OpenCV's.
    places = np.rint(((stroke.points - origin) * zoom - 0.5) * 2**_SHIFT).astype(np.int32)
    opacity = stroke.opacity * (_RIM if rim else 1.0)
    color = [round(c * opacity) for c in ((0, 0, 0) if rim else stroke.color)] + [round(255 * opacity)]
    wider = 2 * max(0.5, 0.35 * stroke.width) if rim else 0.0
    cv2.polylines(
        canvas, [places], stroke.closed, color, max(1, round((stroke.width + wider) * zoom)), cv2.LINE_AA, _SHIFT
    )
    if stroke.tip:
        radius = round((_TIP * stroke.width + wider / 2) * zoom * 2**_SHIFT)
        cv2.circle(canvas, places[-1].tolist(), radius, color, -1, cv2.LINE_AA, _SHIFT)
