"""Where in a picture to look for faces, and how the networks are shown it: squares, at the size that they see.

A network that sees 192 pixels finds faces from about a twelfth of its square to the whole of it. A wide picture is
therefore covered by squares of its shorter side rather than shown as one, and smaller faces need smaller squares.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fermedia.types import Box, Color, Picture
from fermedia.vision.networks import SEEN, Network

PRESETS = ("fast", "balanced", "thorough")

#: Share of a square's side that its neighbour sees too: a face up to this size is whole in one of them.
_OVERLAP = 0.2

#: Pixels of the smallest square: a smaller one would have to be enlarged for the network.
_LEAST_SIDE = 192

#: The smallest square of ``thorough`` in longest sides of the picture: in 1920x1080 a face of 24 pixels is an eighth of
#: it, and 97 in 100 are found (with 1/8 it is 87, with 1/12 99; squares: 111, 77, 189; docs/detection.md). Relative, so
#: that large photos do not cost minutes.
_THOROUGH_SHARE = 1 / 10

#: A picture up to this much longer than high (4:3 is) is one square of the first level: two would see nearly the same.
_NEARLY_SQUARE = 1.4

#: A panorama's squares of the first level are at most three.
_WIDEST = 3 - 2 * _OVERLAP

#: Side of the close-up's square in shorter sides of the picture: a face that fills it needs a border to be seen.
_CLOSE_UP = 1.4


@dataclass(frozen=True)
class Square:
    """A part of a picture for a network: its corner and side in pixels. It may reach outside."""

    network: Network
    x: float
    y: float
    side: float


def whole_picture(width: int, height: int) -> list[Square]:
    """The picture in one square for the full-range network."""
    return _cover(width, height, max(width, height))


def close_up(width: int, height: int) -> Square:
    """The picture for the short-range network, with a border."""
    side = max(width, height, _CLOSE_UP * min(width, height))
    return Square("short", (width - side) / 2, (height - side) / 2, side)


def overlapping(width: int, height: int, levels: int | None) -> list[Square]:
    """Squares for the full-range network on so many levels, or on all: each about half the size of the one before.

    The first level's squares have the picture's shorter side, or hold all of a picture that is nearly square. The last
    ones have ``_LEAST_SIDE`` pixels, or ``_THOROUGH_SHARE`` of the picture if that is more.
    """
    short, long = sorted((width, height))
    most, least = max(short, long / _WIDEST), max(_LEAST_SIDE, long * _THOROUGH_SHARE)
    squares = _cover(width, height, long if long <= _NEARLY_SQUARE * short else most)
    more = max(0, round(math.log2(most / least)))
    for level in range(1, more + 1 if levels is None else min(more + 1, levels)):
        squares += _cover(width, height, most * (least / most) ** (level / more))
    return squares


def _cover(width: int, height: int, side: float) -> list[Square]:
    """Overlapping squares over the whole picture, row by row."""
    return [Square("full", x, y, side) for y in _starts(height, side) for x in _starts(width, side)]


def _starts(length: int, side: float) -> list[float]:
    """Where squares begin along a line of ``length``, evenly; one that is larger than it lies in the middle."""
    if side >= length:
        return [(length - side) / 2]
    count = math.ceil((length / side - _OVERLAP) / (1 - _OVERLAP))
    return [float(start) for start in np.linspace(0, length - side, count)]


class Shrunk:
    """A picture as the networks see it: RGB, shrunk for the smallest of ``squares``, and from there for the others."""

    def __init__(self, picture: Picture, squares: list[Square]) -> None:
        self._size = np.array([picture.width, picture.height])
        self._images: dict[float, Color] = {}
        finest = max(_scale(square) for square in squares)
        self._finest = picture.rgb(self._scaled(finest))
        self._images[finest] = self._finest

    def show(self, square: Square) -> tuple[Color, NDArray[np.float64], NDArray[np.float64]]:
        """The square, and by what ``Place.moved`` brings places in it back to the picture: shift and scale.

        It is RGB, uint8; outside the picture its edge is repeated.
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
        middle = np.array([square.x, square.y]) + square.side / 2  # which is inside the picture, however thin that is
        corner = np.round(middle * factor - side / 2).astype(int)
        return _cut(image, int(corner[0]), int(corner[1]), side), corner.astype(float), 1 / factor

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


# -- whether places are of one face -------------------------------------------------------------------------------

#: Boxes are of one face if they share this much of the smaller one.
_SAME = 0.6


def same(a: Box, b: Box) -> bool:
    """Whether two boxes are of one face."""
    across = min(a.x + a.width, b.x + b.width) - max(a.x, b.x)
    down = min(a.y + a.height, b.y + b.height) - max(a.y, b.y)
    return across > 0 and down > 0 and across * down > _SAME * min(a.area, b.area)
