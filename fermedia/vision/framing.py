"""The one crop: a face as the network was trained to see it."""

from __future__ import annotations

import math

import cv2
import numpy as np

from fermedia.types import Box, Gray, Picture

#: Side of FER-2013's frame in widths of the detector's box, and how far its middle lies above the box's, in heights.
#: Measured with ``FaceDetector`` on 1,000 training images enlarged to 192 pixels, of which it found 952; medians.
SIDE = 1.175
RISE = 0.085

#: What a model's card says about the crops it was trained on.
FRAMING = {
    "style": "FER-2013",
    "side": SIDE,
    "rise": RISE,
    "of": "the box of fermedia.FaceDetector",
    "border": "replicate",
}

#: Samples along a side that are averaged into one pixel, at most: more change nothing that can be seen.
_MOST_SAMPLES = 8


def crop_face(picture: Picture, box: Box, size: int = 48) -> Gray:
    """The face in ``box`` as a grey square of (size, size), uint8, full range, framed as FER-2013 frames faces.

    ``box`` is a detector's, in pixels; the frame is a little larger and reaches higher. Shrinking averages areas; what
    lies outside the picture repeats its edge.
    """
    side = max(box.width, box.height)
    x, y = box.center
    return cut_square(picture.gray(), (x, y - RISE * side), SIDE * side, size)


def cut_square(gray: Gray, center: tuple[float, float], side: float, size: int) -> Gray:
    """A square of ``side`` pixels around ``center`` (x, y), exact to fractions of a pixel, as (size, size) uint8.

    The square is sampled at least as densely as the picture (up to 8 x 8 samples a pixel) and the samples averaged,
    so that shrinking does not alias. Outside the picture its edge is repeated. The work follows the square's size,
    not the picture's.
    """
    left, top = center[0] - side / 2, center[1] - side / 2
    columns, x0 = _span(left, side, gray.shape[1])
    rows, y0 = _span(top, side, gray.shape[0])
    samples = min(max(1, math.ceil(side / size)), _MOST_SAMPLES)
    step = side / (size * samples)
    # Pixel i covers i..i+1, and OpenCV counts from the middle of the first.
    to_source = np.array([[step, 0, left - x0 + (step - 1) / 2], [0, step, top - y0 + (step - 1) / 2]])
    dense = cv2.warpAffine(
        gray[rows, columns],
        to_source,
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
