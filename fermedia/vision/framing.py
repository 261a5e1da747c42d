"""Crop faces as in the network's training data."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from fermedia.types import Box, Face, Gray, Image

#: Side of FER-2013's crop in widths of the detector's box, and the height of its centre above the box's, in heights.
#: Medians, measured with ``FaceDetector`` on 1,000 training images enlarged to 192 pixels, of which it found 952.
SIDE = 1.175
RISE = 0.089

#: The description of the training crops in a model's card.
FRAMING = {
    "style": "FER-2013",
    "side": SIDE,
    "rise": RISE,
    "of": "the box of fermedia.FaceDetector",
    "border": "replicate",
}

#: Degrees of roll from which a face is rotated upright. Below, the error of the eye points is as large as the gain; at
#: 20 degrees the gain is 3 points of accuracy, at 45 it is 18 (docs/detection.md).
TURNED_FROM = 10.0

#: The most samples along each axis that are averaged into one pixel: more make no visible difference.
_MOST_SAMPLES = 8


def crop_face(image: Image, face: Face | Box, size: int = 48) -> Gray:
    """Crop a face as in FER-2013.

    The crop is a little larger than the detector's box and reaches higher. A rolled face is rotated upright by its eye
    points. Shrinking averages areas; outside the image its edge is repeated.

    Args:
        image: The image.
        face: The face, or a box in pixels, which is cropped without rotation.
        size: The crop's side in pixels.

    Returns:
        Grey, (size, size), uint8, full range.
    """
    box, turn = (face, 0.0) if isinstance(face, Box) else (face.box, turn_of(face.keypoints))
    side = max(box.width, box.height)
    _, down = axes(turn)
    x, y = np.array(box.center) - RISE * side * down
    return cut_square(image, (float(x), float(y)), SIDE * side, size, turn)


def turn_of(keypoints: NDArray[np.float32]) -> float:
    """A face's roll in degrees clockwise by its eyes' ``keypoints`` (``Face.keypoints``); 0 below ``TURNED_FROM``."""
    across, down = (keypoints[1] - keypoints[0]).tolist()
    roll = math.degrees(math.atan2(down, across))
    return roll if abs(roll) >= TURNED_FROM else 0.0


def axes(turn: float) -> NDArray[np.float64]:
    """The directions right and down, as rows of (x, y), after a rotation by ``turn`` degrees clockwise; (2, 2)."""
    cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    return np.array([[cos, sin], [-sin, cos]])


def cut_square(image: Image | Gray, center: tuple[float, float], side: float, size: int, turn: float = 0.0) -> Gray:
    """Crop a square with subpixel precision.

    It is sampled at least as densely as the image (up to 8 x 8 samples a pixel) and the samples are averaged, so that
    shrinking does not alias. Outside the image its edge is repeated. The cost depends on the square's size, not the
    image's.

    Args:
        image: An image, or a grey array (h, w).
        center: The square's centre (x, y) in pixels.
        side: The square's side in pixels of the image.
        size: The result's side in pixels.
        turn: The square's rotation in the image, in degrees clockwise; the result is upright.

    Returns:
        Grey, (size, size), uint8.
    """
    (cos, sin), _ = axes(turn).tolist()
    reach = side * (abs(cos) + abs(sin))
    height, width = (image.height, image.width) if isinstance(image, Image) else image.shape
    columns, x0 = _span(center[0] - reach / 2, reach, width)
    rows, y0 = _span(center[1] - reach / 2, reach, height)
    samples = min(max(1, math.ceil(side / size)), _MOST_SAMPLES)
    step = side / (size * samples)
    # Pixel i covers i..i+1, and OpenCV's origin is the centre of the first pixel.
    x = center[0] - x0 + (cos - sin) * (step - side) / 2 - 0.5
    y = center[1] - y0 + (sin + cos) * (step - side) / 2 - 0.5
    dense = cv2.warpAffine(
        image.gray((rows, columns)) if isinstance(image, Image) else image[rows, columns],
        np.array([[step * cos, -step * sin, x], [step * sin, step * cos, y]]),
        (size * samples, size * samples),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    if samples > 1:
        dense = cv2.resize(dense, (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(dense, dtype=np.uint8)


def _span(start: float, side: float, length: int) -> tuple[slice, int]:
    """The part of 0..length that is needed for start..start+side (at least one pixel), and its start."""
    first = min(max(math.floor(start) - 1, 0), length - 1)
    last = max(min(math.ceil(start + side) + 1, length), first + 1)
    return slice(first, last), first
