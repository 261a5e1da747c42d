"""The one crop: a face as the network was trained to see it."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from fermedia.types import Box, Face, Gray, Picture

#: Side of FER-2013's frame in widths of the detector's box, and how far its middle lies above the box's, in heights.
#: Measured with ``FaceDetector`` on 1,000 training images enlarged to 192 pixels, of which it found 952; medians.
SIDE = 1.175
RISE = 0.089

#: What a model's card says about the crops it was trained on.
FRAMING = {
    "style": "FER-2013",
    "side": SIDE,
    "rise": RISE,
    "of": "the box of fermedia.FaceDetector",
    "border": "replicate",
}

#: Degrees of roll from which a face is turned upright. Below, the eye points' own error is as large as what there is to
#: gain; at 20 degrees it is worth 3 points of accuracy, at 45 it is 18 (docs/detection.md).
TURNED_FROM = 10.0

#: Samples along a side that are averaged into one pixel, at most: more change nothing that can be seen.
_MOST_SAMPLES = 8


def crop_face(picture: Picture, face: Face | Box, size: int = 48) -> Gray:
    """The face as a grey square of (size, size), uint8, full range, framed as FER-2013 frames faces.

    The frame is a little larger than the detector's box and reaches higher. A face that is rolled to the side is
    turned upright by its eye points; a box alone, in pixels, is cut as it lies. Shrinking averages areas; what lies
    outside the picture repeats its edge.
    """
    box, turn = (face, 0.0) if isinstance(face, Box) else (face.box, turn_of(face.keypoints))
    side = max(box.width, box.height)
    _, down = axes(turn)
    x, y = np.array(box.center) - RISE * side * down
    return cut_square(picture, (float(x), float(y)), SIDE * side, size, turn)


def turn_of(keypoints: NDArray[np.float32]) -> float:
    """By how many degrees clockwise a face with these keypoints (``Face.keypoints``) is to be seen as rolled.

    0 below ``TURNED_FROM``. The line through the eyes tells it.
    """
    across, down = (keypoints[1] - keypoints[0]).tolist()
    roll = math.degrees(math.atan2(down, across))
    return roll if abs(roll) >= TURNED_FROM else 0.0


def axes(turn: float) -> NDArray[np.float64]:
    """Where right and down of something that is turned by so many degrees clockwise point to: rows of (x, y)."""
    cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    return np.array([[cos, sin], [-sin, cos]])


def cut_square(picture: Picture | Gray, center: tuple[float, float], side: float, size: int, turn: float = 0.0) -> Gray:
    """A square of ``side`` pixels around ``center`` (x, y), exact to fractions of a pixel, grey, (size, size) uint8.

    With ``turn`` the square lies in the picture turned by so many degrees clockwise, and comes out upright. It is
    sampled at least as densely as the picture (up to 8 x 8 samples a pixel) and the samples averaged, so that
    shrinking does not alias. Outside the picture its edge is repeated. The work follows the square's size, not the
    picture's.
    """
    (cos, sin), _ = axes(turn).tolist()
    reach = side * (abs(cos) + abs(sin))
    height, width = (picture.height, picture.width) if isinstance(picture, Picture) else picture.shape
    columns, x0 = _span(center[0] - reach / 2, reach, width)
    rows, y0 = _span(center[1] - reach / 2, reach, height)
    samples = min(max(1, math.ceil(side / size)), _MOST_SAMPLES)
    step = side / (size * samples)
    # Pixel i covers i..i+1, and OpenCV counts from the middle of the first.
    x = center[0] - x0 + (cos - sin) * (step - side) / 2 - 0.5
    y = center[1] - y0 + (sin + cos) * (step - side) / 2 - 0.5
    dense = cv2.warpAffine(
        picture.gray((rows, columns)) if isinstance(picture, Picture) else picture[rows, columns],
        np.array([[step * cos, -step * sin, x], [step * sin, step * cos, y]]),
        (size * samples, size * samples),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    if samples > 1:
        dense = cv2.resize(dense, (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(dense, dtype=np.uint8)


def _span(start: float, side: float, length: int) -> tuple[slice, int]:
    """The part of 0..length that start..start+side needs (at least one pixel), and where it begins."""
    first = min(max(math.floor(start) - 1, 0), length - 1)
    last = max(min(math.ceil(start + side) + 1, length), first + 1)
    return slice(first, last), first
