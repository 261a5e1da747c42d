"""Where one shot ends and the next begins.

Of every frame no more is kept than a grey thumbnail. Two frames are of one shot if the later thumbnail can be made from
the earlier by moving every spot a little and by changing brightness and contrast; what is left over is compared with
how much there usually is in this film at this moment. So motion, pans, lamps and fades are no cuts.
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

from fermedia.types import Picture

Thumbnail = NDArray[np.float32]

#: Width and height of the thumbnail, and how many of the picture's pixels along a side suffice for one of its own.
_SIZE, _SAMPLES = (32, 18), 8

#: Standard deviation in grey levels below which a thumbnail shows nothing: black, white, a flash.
_BLANK = 4.0

#: What a cut leaves over: at least so much, and so much more for every second since another picture was shown, up to a
#: most.
_LEAST, _LEAST_A_SECOND, _LEAST_MOST = 0.1, 1.0, 0.25

#: A cut also leaves over so many times what was left over lately by two frames running, which is forgotten in so many
#: seconds; frames that leave over less than this are the same picture again and say nothing of the motion.
_TIMES, _FADE, _STILL = 2.0, 1.0, 0.01

#: A flash lasts at most so many seconds: what looks as it did before is no new shot.
_FLASH = 0.1


@dataclass(frozen=True, eq=False)
class Signature:
    """What ``ShotDetector`` needs to know of a picture: a grey ``thumbnail``, (18, 32), float32, 0..255."""

    thumbnail: Thumbnail

    @cached_property
    def standard(self) -> _Standard | None:
        """Any brightness and contrast brought to the same; None where it shows nothing."""
        mean, contrast = (float(value[0, 0]) for value in cv2.meanStdDev(self.thumbnail))
        if contrast < _BLANK:
            return None
        values = (self.thumbnail - np.float32(mean)) / np.float32(contrast)
        around = np.ones((3, 3), np.uint8)
        return _Standard(values, cv2.erode(values, around), cv2.dilate(values, around))


@dataclass(frozen=True, eq=False)
class _Standard:
    """A thumbnail in contrasts, and the least and most within one cell's reach of each spot."""

    values: Thumbnail
    low: Any
    high: Any

    def left_over(self, other: _Standard) -> float:
        """What no spot of the other picture within one cell's reach explains, both ways; in contrasts, mean."""
        return (self._unexplained(other) + other._unexplained(self)) / 2

    def _unexplained(self, by: _Standard) -> float:
        explained = cv2.min(cv2.max(self.values, by.low), by.high)
        return cv2.norm(self.values, explained, cv2.NORM_L1) / self.values.size


def signature(picture: Picture) -> Signature:
    """The signature of a picture. Any thread, any order."""
    step = min(picture.width // (_SAMPLES * _SIZE[0]), picture.height // (_SAMPLES * _SIZE[1]))
    every = slice(None, None, max(1, step))
    small = cv2.resize(picture.gray((every, every)), _SIZE, interpolation=cv2.INTER_AREA)
    return Signature(np.asarray(small, np.float32))


def is_another(before: Signature, now: Signature) -> bool:
    """Whether two frames running may be of two shots; unlike ``ShotDetector`` it looks at nothing but these two."""
    first, second = before.standard, now.standard
    if first is None or second is None:
        return first is not second
    return first.left_over(second) > _LEAST


class ShotDetector:
    """Finds the cuts of one video, from the signatures of all of its frames, sampled or not, in order."""

    def __init__(self) -> None:
        self._lately: deque[tuple[float, _Standard]] = deque()
        self._time = self._left = self._usual = 0.0

    def update(self, signature: Signature, time: float) -> bool:
        """Whether this frame is the first of a new shot; ``time`` in seconds must not fall. The first of all is not."""
        now = signature.standard
        if now is None:
            return False
        while len(self._lately) > 2 and self._lately[1][0] <= time - _FLASH:
            self._lately.popleft()
        left = self._lately[-1][1].left_over(now) if self._lately else 0.0
        if left > _STILL:  # it may look again as it did before a flash
            left = min(left, self._lately[0][1].left_over(now))
        elapsed = time - self._time
        least = min(_LEAST + _LEAST_A_SECOND * elapsed, _LEAST_MOST)
        usual = self._usual * exp(-elapsed / _FADE)
        cut = left > max(least, _TIMES * usual)
        if left > _STILL:
            self._usual = max(usual, min(left, self._left))
            self._left, self._time = left, time
        self._lately.append((time, now))
        return cut
