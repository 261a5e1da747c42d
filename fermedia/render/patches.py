"""Small transparent images ("patches"), and blending them over photos (RGB) and video frames (YUV 4:2:0).

Only the pixels under a patch are changed, and video frames are not converted to RGB.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class YuvSpace:
    """The conversion from RGB to a video's luma and chroma: the weights of red and blue in luma, and the range."""

    red: float
    blue: float
    full_range: bool

    @cached_property
    def matrix(self) -> NDArray[np.float64]:
        """The matrix (4, 4) from premultiplied (R, G, B, A) to premultiplied (Y, Cb, Cr, A), all 0 to 255."""
        luma = np.array([self.red, 1 - self.red - self.blue, self.blue, 0])
        black, light, tint = (0, 1.0, 1.0) if self.full_range else (16, 219 / 255, 224 / 255)
        alpha = np.array([0, 0, 0, 1.0])
        to_blue = (np.array([0, 0, 1, 0]) - luma) / (2 * (1 - self.blue))
        to_red = (np.array([1, 0, 0, 0]) - luma) / (2 * (1 - self.red))
        middle = alpha * 128 / 255
        return np.stack([alpha * black / 255 + luma * light, middle + to_blue * tint, middle + to_red * tint, alpha])


def bt601(full_range: bool = False) -> YuvSpace:
    """BT.601, of standard definition."""
    return YuvSpace(0.299, 0.114, full_range)


def bt709(full_range: bool = False) -> YuvSpace:
    """BT.709, of high definition."""
    return YuvSpace(0.2126, 0.0722, full_range)


def bt2020(full_range: bool = False) -> YuvSpace:
    """BT.2020 of ultra-high definition, with non-constant luminance."""
    return YuvSpace(0.2627, 0.0593, full_range)


Layer = tuple[Pixels, Pixels]
"""What is blended over one plane: premultiplied values, and 255 - alpha; both uint8 (h, w)."""

LayerCache = dict[tuple[int, int, YuvSpace], tuple[Layer, Layer, Layer]]
"""The results of ``to_yuv`` for the same pixels, by (x modulo 2, y modulo 2, the video's colour space)."""


@dataclass(frozen=True)
class Patch:
    """A small transparent image and its place.

    Attributes:
        x: Column of its first pixel in the image.
        y: Row of its first pixel in the image.
        rgba: uint8 (h, w, 4), RGB premultiplied by alpha.
        made: Cache shared by all patches of the same pixels; None where the pixels are hardly ever used again.
    """

    x: int
    y: int
    rgba: Pixels
    made: LayerCache | None = None


@dataclass(frozen=True)
class YuvPatch:
    """A patch in a video's colour space, to be blended over any number of frames.

    ``layers`` are for the planes Y, Cb and Cr. The first is at column x, row y of its plane, the others at
    half of that.
    """

    x: int
    y: int
    layers: tuple[Layer, Layer, Layer]


def over(below: Pixels, rgba: Pixels) -> None:
    """Blend premultiplied ``rgba`` (h, w, 4) over ``below``, (h, w, 3) RGB or (h, w, 4) premultiplied, in place."""
    channels = below.shape[2]
    through = cv2.merge([255 - rgba[:, :, 3]] * channels)
    below[...] = cv2.add(cv2.multiply(below, through, scale=1 / 255), np.ascontiguousarray(rgba[:, :, :channels]))


def blend_rgb(image: Pixels, patches: Iterable[Patch]) -> None:
    """Blend patches over an RGB image (h, w, 3), in place. Each must be completely inside the image."""
    for patch in patches:
        h, w = patch.rgba.shape[:2]
        over(image[patch.y : patch.y + h, patch.x : patch.x + w], patch.rgba)


def to_yuv(patch: Patch, space: YuvSpace) -> YuvPatch:
    """Convert a patch to a video's colour space. Chroma is averaged over the image's 2x2 blocks."""
    key = patch.x % 2, patch.y % 2, space
    made = {} if patch.made is None else patch.made
    if key not in made:
        made[key] = _layers(patch.rgba, *key)
    return YuvPatch(patch.x, patch.y, made[key])


def _layers(rgba: Pixels, left: int, top: int, space: YuvSpace) -> tuple[Layer, Layer, Layer]:
    h, w = rgba.shape[:2]
    aligned = cv2.copyMakeBorder(rgba, top, (top + h) % 2, left, (left + w) % 2, cv2.BORDER_CONSTANT, value=0)
    luma, _, _, alpha = _planes(rgba, space)
    half = cv2.resize(aligned, (aligned.shape[1] // 2, aligned.shape[0] // 2), interpolation=cv2.INTER_AREA)
    _, blue, red, thin = _planes(half, space)
    through = 255 - thin
    return (luma, 255 - alpha), (blue, through), (red, through)


def _planes(rgba: NDArray[Any], space: YuvSpace) -> list[Pixels]:
    """Premultiplied Y, Cb, Cr and alpha of an RGBA image."""
    return [np.asarray(plane, np.uint8) for plane in cv2.split(cv2.transform(rgba, space.matrix))]


def blend_yuv420(planes: tuple[Pixels, Pixels, Pixels], patches: Iterable[YuvPatch]) -> None:
    """Blend patches over the Y, Cb and Cr planes of a 4:2:0 image, in place. Rows may be padded (strided)."""
    for patch in patches:
        for plane, (values, through), part in zip(planes, patch.layers, (1, 2, 2), strict=True):
            (h, w), x, y = values.shape, patch.x // part, patch.y // part
            below = plane[y : y + h, x : x + w]
            below[...] = cv2.add(cv2.multiply(below, through, scale=1 / 255), values)
