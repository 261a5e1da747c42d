"""Images held as arrays: photos, and arrays that callers pass from OpenCV or NumPy."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from fermedia.types import WHOLE, Color, Gray, Image, Part


class ArrayImage(Image):
    """An image held as RGB, shape (h, w, 3), uint8, C-contiguous."""

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

    def rgb(self, size: tuple[int, int] | None = None, part: Part = WHOLE) -> Color:
        """RGB, C-contiguous. Whole and without another size it is the image's own array: do not modify it."""
        rgb = self._rgb[part]
        height, width = rgb.shape[:2]
        if size is None or size == (width, height):
            return np.ascontiguousarray(rgb)
        method = cv2.INTER_AREA if size[0] <= width and size[1] <= height else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(rgb, size, interpolation=method), dtype=np.uint8)


def as_image(image: Image | NDArray[np.uint8]) -> Image:
    """Make an ``Image`` from an array in OpenCV's layout; an ``Image`` is returned unchanged.

    Args:
        image: uint8, grey (h, w) or BGR (h, w, 3). The array is copied.

    Raises:
        ValueError: The array has another shape or dtype, or is empty.
    """
    if isinstance(image, Image):
        return image
    _check(image, "(h, w) grey or (h, w, 3) BGR", image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3))
    if image.ndim == 2:
        return ArrayImage(np.repeat(image[:, :, None], 3, axis=2))
    return ArrayImage(image[:, :, ::-1].copy())


def _check(image: NDArray[np.uint8], wanted: str, fits: bool) -> None:
    if image.dtype != np.uint8 or not fits or image.size == 0:
        raise ValueError(f"an image is a uint8 array of shape {wanted}, got {image.dtype} {image.shape}")
