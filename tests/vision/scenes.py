"""Images with faces at known places. RGB, uint8, made from the astronaut's portrait."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from fermedia.types import Box
from tests.videos import Pixels, background, head, resized

#: The face in ``videos.head()``, 240 pixels wide and high: its box's middle, and its width.
_MIDDLE, _WIDTH = (120.0, 115.0), 105.0


def scene(size: tuple[int, int], faces: Sequence[tuple[float, float, float]]) -> tuple[Pixels, list[Box]]:
    """An image of ``size`` (width, height) with a face per (x, y, width): the middle and width of its box."""
    image = background(size)
    for x, y, width in faces:
        factor = width / _WIDTH
        side = round(240 * factor)
        patch = resized(head(), (side, side), cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)
        _paste(image, patch, round(x - _MIDDLE[0] * factor), round(y - _MIDDLE[1] * factor))
    return image, [Box(x - width / 2, y - width / 2, width, width) for x, y, width in faces]


def _paste(image: Pixels, patch: Pixels, left: int, top: int) -> None:
    """As much of the patch as lies inside the image."""
    height, width = image.shape[:2]
    rows = slice(max(0, top), min(height, top + patch.shape[0]))
    columns = slice(max(0, left), min(width, left + patch.shape[1]))
    image[rows, columns] = patch[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]


def bgr(image: Pixels) -> Pixels:
    """As OpenCV has it."""
    return np.ascontiguousarray(image[:, :, ::-1])
