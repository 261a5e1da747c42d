"""Pictures with faces at known places. RGB, uint8, made from the astronaut's portrait."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from fermedia.types import Box
from tests.films import Image, background, head

#: The face in ``films.head()``, 240 pixels wide and high: its box's middle, and its width.
_MIDDLE, _WIDTH = (120.0, 115.0), 105.0


def scene(size: tuple[int, int], faces: Sequence[tuple[float, float, float]]) -> tuple[Image, list[Box]]:
    """A picture of ``size`` (width, height) with a face per (x, y, width): the middle and width of its box."""
    picture = background(size)
    for x, y, width in faces:
        factor = width / _WIDTH
        side = round(240 * factor)
        patch = cv2.resize(head(), (side, side), interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)
        _paste(picture, np.asarray(patch, np.uint8), round(x - _MIDDLE[0] * factor), round(y - _MIDDLE[1] * factor))
    return picture, [Box(x - width / 2, y - width / 2, width, width) for x, y, width in faces]


def _paste(picture: Image, patch: Image, left: int, top: int) -> None:
    """As much of the patch as lies inside the picture."""
    height, width = picture.shape[:2]
    rows = slice(max(0, top), min(height, top + patch.shape[0]))
    columns = slice(max(0, left), min(width, left + patch.shape[1]))
    picture[rows, columns] = patch[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]


def rolled(picture: Image, degrees: float) -> Image:
    """The picture turned clockwise around its middle; the corners repeat its edge."""
    height, width = picture.shape[:2]
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), -degrees, 1)
    turned = cv2.warpAffine(picture, turn, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(turned, np.uint8)


def bgr(picture: Image) -> Image:
    """As OpenCV has it."""
    return np.ascontiguousarray(picture[:, :, ::-1])
