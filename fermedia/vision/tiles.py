"""Divide an image into squares for the detection networks, and scale these to the networks' inputs.

A network with an input of 192 pixels finds faces from about a twelfth of its square to the whole of it. So a wide image
is covered by squares of its shorter side instead of one large square, and smaller faces need smaller squares.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fermedia.types import WHOLE, Box, Color, Image, Part
from fermedia.vision.networks import SEEN, Network

#: The overlap of neighbouring squares, as a share of the side: a face up to this size is whole in one of them.
_OVERLAP = 0.2

#: The side of the smallest square in pixels: a smaller one would have to be enlarged for the network.
_LEAST_SIDE = 192

#: The smallest square of ``thorough``, as a share of the image's longer side: in 1920x1080 a face of 24 pixels is an
#: eighth of it, and 97 in 100 are found (with 1/8 it is 87, with 1/12 99; squares: 111, 77, 189; docs/detection.md).
#: Relative, so that large photos do not take minutes.
_THOROUGH_SHARE = 1 / 10

#: Up to this ratio of the sides (4:3 is below) the first level is one square: two would cover nearly the same.
_NEARLY_SQUARE = 1.4

#: Limits the first level of a panorama to three squares.
_WIDEST = 3 - 2 * _OVERLAP

#: Side of the close-up's square in shorter sides of the image: a face that fills the image needs a border.
_CLOSE_UP = 1.4

#: The margin that is searched around a region, in shorter sides of it, and the least side of the searched part, in
#: shorter sides of the image. So a face of half the region's height is seen whole wherever its centre is.
_MARGIN, _LEAST_PART = 0.25, 0.5


@dataclass(frozen=True)
class Square:
    """A part of an image for a network: its corner and side in pixels. It may reach outside."""

    network: Network
    x: float
    y: float
    side: float


def whole_image(width: int, height: int) -> list[Square]:
    """One square around the image for the full-range network."""
    return _cover(width, height, max(width, height))


def close_up(width: int, height: int) -> Square:
    """A square around the image with a border for the short-range network."""
    side = max(width, height, _CLOSE_UP * min(width, height))
    return Square("short", (width - side) / 2, (height - side) / 2, side)


def overlapping(width: int, height: int, levels: int | None) -> list[Square]:
    """Overlapping squares for the full-range network on several levels, each about half the size of the one before.

    The first level's squares have the image's shorter side, or contain all of an image that is nearly square. The last
    level's have ``_LEAST_SIDE`` pixels, or ``_THOROUGH_SHARE`` of the image if that is more.

    Args:
        width: The image's width in pixels.
        height: The image's height in pixels.
        levels: The most levels; None for all.
    """
    short, long = sorted((width, height))
    most, least = max(short, long / _WIDEST), max(_LEAST_SIDE, long * _THOROUGH_SHARE)
    squares = _cover(width, height, long if long <= _NEARLY_SQUARE * short else most)
    more = max(0, round(math.log2(most / least)))
    for level in range(1, more + 1 if levels is None else min(more + 1, levels)):
        squares += _cover(width, height, most * (least / most) ** (level / more))
    return squares


def _cover(width: int, height: int, side: float) -> list[Square]:
    """Overlapping squares over the whole image, row by row."""
    return [Square("full", x, y, side) for y in _starts(height, side) for x in _starts(width, side)]


def _starts(length: int, side: float) -> list[float]:
    """The evenly spaced starts of squares along an axis of ``length``; a single larger square is centred."""
    if side >= length:
        return [(length - side) / 2]
    count = math.ceil((length / side - _OVERLAP) / (1 - _OVERLAP))
    return [float(start) for start in np.linspace(0, length - side, count)]


def searched(region: Box, width: int, height: int) -> Part | None:
    """The part of an image to search for faces whose centres are in ``region``; None if that is outside the image.

    It has a margin, for faces that reach over the region's edge, and a least size, for those larger than the region.

    Args:
        region: In pixels of the image.
        width: The image's width in pixels.
        height: The image's height in pixels.
    """
    if not overlaps(region, width, height):
        return None
    margin, least = _MARGIN * min(region.width, region.height), _LEAST_PART * min(width, height)
    rows = _widened(region.y, region.height, margin, least, height)
    return rows, _widened(region.x, region.width, margin, least, width)


def overlaps(region: Box, width: int, height: int) -> bool:
    """Whether any of a region lies in an image of this size."""
    across = region.x < width and region.x + region.width > 0
    return across and region.y < height and region.y + region.height > 0


def extent(part: slice, length: int) -> tuple[int, int]:
    """The start and the length of a part of an axis of ``length`` pixels."""
    start, stop, _ = part.indices(length)
    return start, stop - start


def _widened(start: float, length: float, margin: float, least: float, whole: int) -> slice:
    """A span of an axis of ``whole`` pixels around another; it starts at an even pixel, like the colours of videos."""
    margin = max(margin, (least - length) / 2)
    first, last = max(0, start - margin), min(whole, start + length + margin)
    return slice(math.floor(first) // 2 * 2, math.ceil(last))


class Shrunk:
    """A part of an image, or all of it, as RGB at the scales of the networks: shrunk for the smallest of ``squares``,
    which are in pixels of the part, and from that for the others."""

    def __init__(self, image: Image, squares: list[Square], part: Part = WHOLE) -> None:
        (x, width), (y, height) = extent(part[1], image.width), extent(part[0], image.height)
        self._corner, self._size = np.array([x, y]), np.array([width, height])
        self._images: dict[float, Color] = {}
        finest = max(_scale(square) for square in squares)
        self._finest = image.rgb(self._scaled(finest), part)
        self._images[finest] = self._finest

    def show(self, square: Square) -> tuple[Color, NDArray[np.float64], NDArray[np.float64]]:
        """Crop a square: RGB, (n, n, 3), uint8, and the shift (2,) and scale (2,) for ``Candidate.moved`` to the image.

        Outside the part its edge is repeated.
        """
        scale = _scale(square)
        if scale not in self._images:
            size = self._scaled(scale)
            image = cv2.resize(self._finest, size, interpolation=cv2.INTER_AREA)
            self._images[scale] = np.asarray(image, dtype=np.uint8)
        image = self._images[scale]
        height, width = image.shape[:2]
        factor = np.array([width, height]) / self._size
        side = max(1, round(square.side * scale))
        middle = np.array([square.x, square.y]) + square.side / 2  # inside the image, however narrow that is
        corner = np.round(middle * factor - side / 2).astype(int)
        return _cut(image, int(corner[0]), int(corner[1]), side), corner + self._corner * factor, 1 / factor

    def _scaled(self, scale: float) -> tuple[int, int]:
        width, height = np.maximum(1, np.round(self._size * scale)).astype(int).tolist()
        return width, height


def _scale(square: Square) -> float:
    return min(1.0, SEEN[square.network] / square.side)


def _cut(image: Color, x: int, y: int, side: int) -> Color:
    height, width = image.shape[:2]
    inside = image[max(0, y) : min(height, y + side), max(0, x) : min(width, x + side)]
    top, left = max(0, -y), max(0, -x)
    bottom, right = side - top - inside.shape[0], side - left - inside.shape[1]
    if not (top or left or bottom or right):
        return inside
    return np.asarray(cv2.copyMakeBorder(inside, top, bottom, left, right, cv2.BORDER_REPLICATE), dtype=np.uint8)


# -- whether boxes are of one face --------------------------------------------------------------------------------

#: Boxes are of one face if their intersection is a larger share of the smaller one.
_SAME = 0.6


def same(a: Box, b: Box) -> bool:
    """Whether two boxes are of one face."""
    across = min(a.x + a.width, b.x + b.width) - max(a.x, b.x)
    down = min(a.y + a.height, b.y + b.height) - max(a.y, b.y)
    return across > 0 and down > 0 and across * down > _SAME * min(a.area, b.area)
