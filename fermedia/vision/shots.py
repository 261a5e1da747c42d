"""Shot detection: find the cuts of a video.

Every frame is reduced to a grey thumbnail. Two frames are of one shot if the later thumbnail can be made from the
earlier by small local displacements and a change of brightness and contrast; the residual is compared with the usual
residual in this part of the video. So motion, pans, changing light and fades are no cuts.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import cached_property
from math import exp
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fermedia.types import Image

ThumbnailPixels = NDArray[np.float32]

#: Width and height of the thumbnail, and how many pixels of the image along each axis are sampled for one of its own.
_SIZE, _SAMPLES = (32, 18), 8

#: Standard deviation in grey levels below which a thumbnail is blank: black, white, a flash.
_BLANK = 4.0

#: The least residual of a cut, its increase for every second since the image last changed, and the maximum.
_LEAST, _LEAST_A_SECOND, _LEAST_MOST = 0.1, 1.0, 0.25

#: A cut's residual must also exceed the recent residual of two consecutive frames by this factor; the recent residual
#: decays with this time constant in seconds. Frames with a smaller residual than the last value repeat an image and do
#: not count as motion.
_TIMES, _FADE, _STILL = 2.0, 1.0, 0.01

#: The longest flash in seconds: a frame that looks as before it starts no new shot.
_FLASH = 0.1


@dataclass(frozen=True, eq=False)
class Thumbnail:
    """A frame reduced for ``ShotDetector``: grey ``pixels``, (18, 32), float32, 0..255."""

    pixels: ThumbnailPixels

    @cached_property
    def standard(self) -> _Standard | None:
        """The thumbnail with normalised brightness and contrast; None if it is blank."""
        mean, contrast = (float(value[0, 0]) for value in cv2.meanStdDev(self.pixels))
        if contrast < _BLANK:
            return None
        values = (self.pixels - np.float32(mean)) / np.float32(contrast)
        around = np.ones((3, 3), np.uint8)
        return _Standard(values, cv2.erode(values, around), cv2.dilate(values, around))


@dataclass(frozen=True, eq=False)
class _Standard:
    """A normalised thumbnail (mean 0, standard deviation 1), and minimum and maximum of each 3 x 3 neighbourhood."""

    values: ThumbnailPixels
    low: Any
    high: Any

    def residual(self, other: _Standard) -> float:
        """The mean distance to the range of the other's 3 x 3 neighbourhood, averaged over both directions."""
        return (self._unexplained(other) + other._unexplained(self)) / 2

    def _unexplained(self, by: _Standard) -> float:
        explained = cv2.min(cv2.max(self.values, by.low), by.high)
        return cv2.norm(self.values, explained, cv2.NORM_L1) / self.values.size


def make_thumbnail(image: Image) -> Thumbnail:
    """Make the thumbnail of an image; in any thread and order."""
    step = min(image.width // (_SAMPLES * _SIZE[0]), image.height // (_SAMPLES * _SIZE[1]))
    every = slice(None, None, max(1, step))
    small = cv2.resize(image.gray((every, every)), _SIZE, interpolation=cv2.INTER_AREA)
    return Thumbnail(np.asarray(small, np.float32))


def is_another(before: Thumbnail, now: Thumbnail) -> bool:
    """Whether two consecutive frames may be of two shots, by these two alone, unlike ``ShotDetector``."""
    first, second = before.standard, now.standard
    if first is None or second is None:
        return first is not second
    return first.residual(second) > _LEAST


class ShotDetector:
    """Find the cuts of one video, from the thumbnails of all its frames, sampled or not, in order."""

    def __init__(self) -> None:
        self._lately: deque[tuple[float, _Standard]] = deque()
        self._time = self._left = self._usual = 0.0

    def update(self, thumbnail: Thumbnail, time: float) -> bool:
        """Whether this frame starts a new shot; not for the first frame. ``time`` in seconds must not decrease."""
        now = thumbnail.standard
        if now is None:
            return False
        while len(self._lately) > 2 and self._lately[1][0] <= time - _FLASH:
            self._lately.popleft()
        left = self._lately[-1][1].residual(now) if self._lately else 0.0
        if left > _STILL:  # it may look as before a flash
            left = min(left, self._lately[0][1].residual(now))
        elapsed = time - self._time
        least = min(_LEAST + _LEAST_A_SECOND * elapsed, _LEAST_MOST)
        usual = self._usual * exp(-elapsed / _FADE)
        cut = left > max(least, _TIMES * usual)
        if left > _STILL:
            self._usual = max(usual, min(left, self._left))
            self._left, self._time = left, time
        self._lately.append((time, now))
        return cut
