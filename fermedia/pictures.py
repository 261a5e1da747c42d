"""Pictures that are held as plain arrays: photos, and what callers hand in from OpenCV or numpy."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from fermedia.types import WHOLE, Color, Gray, Part, Picture


class ArrayPicture(Picture):
    """A picture held as RGB, shape (h, w, 3), uint8, C-contiguous."""

    def __init__(self, rgb: Color) -> None:
        _check(rgb, "(h, w, 3)", rgb.ndim == 3 and rgb.shape[2] == 3)
        self._rgb = np.ascontiguousarray(rgb)

    @property
    def width(self) -> int:
        return int(self._rgb.shape[1])

    @property
    def height(self) -> int:
        return int(self._rgb.shape[0])

    def gray(self, part: Part = WHOLE) -> Gray:
        """BT.601 luma, full range, (h, w)."""
        return np.asarray(cv2.cvtColor(self._rgb[part], cv2.COLOR_RGB2GRAY), dtype=np.uint8)

    def rgb(self, size: tuple[int, int] | None = None) -> Color:
        """RGB, C-contiguous. Without a size it is the picture's own array: do not write into it."""
        if size is None or size == (self.width, self.height):
            return self._rgb
        shrinks = size[0] <= self.width and size[1] <= self.height
        method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(self._rgb, size, interpolation=method), dtype=np.uint8)


def as_picture(image: Picture | NDArray[np.uint8]) -> Picture:
    """A picture from a uint8 array as OpenCV has it: grey (h, w) or BGR (h, w, 3). A Picture stays what it is.

    The array is copied. Raises ValueError for any other shape or dtype.
    """
    if isinstance(image, Picture):
        return image
    _check(image, "(h, w) grey or (h, w, 3) BGR", image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3))
    if image.ndim == 2:
        return ArrayPicture(np.repeat(image[:, :, None], 3, axis=2))
    return ArrayPicture(image[:, :, ::-1].copy())


def _check(image: NDArray[np.uint8], wanted: str, fits: bool) -> None:
    if image.dtype != np.uint8 or not fits or image.size == 0:
        raise ValueError(f"a picture is a uint8 array of shape {wanted}, got {image.dtype} {image.shape}")
