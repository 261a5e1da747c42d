"""Where one shot ends and the next begins.

Of every frame no more is kept than a grey thumbnail. Two frames are of one shot if the later thumbnail can be made from
the earlier by moving every spot a little and by changing brightness and contrast; what is left over is compared with
how much there usually is in this film at this moment. So motion, pans, lamps and fades are no cuts.
"""

from __future__ import annotations

from collections import deque
from math import exp

import cv2
import numpy as np
from numpy.typing import NDArray

from fermedia.types import Picture

Signature = NDArray[np.float32]

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


def signature(picture: Picture) -> Signature:
    """What ``ShotDetector`` needs to know of a picture: a grey thumbnail, (18, 32), float32. Any thread, any order."""
    gray = picture.gray()
    step = max(1, min(gray.shape[1] // (_SAMPLES * _SIZE[0]), gray.shape[0] // (_SAMPLES * _SIZE[1])))
    return np.asarray(cv2.resize(gray[::step, ::step], _SIZE, interpolation=cv2.INTER_AREA), np.float32)


def is_another(before: Signature, now: Signature) -> bool:
    """Whether two frames running may be of two shots; unlike ``ShotDetector`` it looks at nothing but these two."""
    first, second = _standard(before), _standard(now)
    if first is None or second is None:
        return first is not second
    return _left_over(first, second) > _LEAST


class ShotDetector:
    """Finds the cuts of one video, from the signatures of all of its frames, sampled or not, in order."""

    def __init__(self) -> None:
        self._lately: deque[tuple[float, Signature]] = deque()
        self._time = self._left = self._usual = 0.0

    def update(self, signature: Signature, time: float) -> bool:
        """Whether this frame is the first of a new shot; ``time`` in seconds must not fall. The first of all is not."""
        now = _standard(signature)
        if now is None:
            return False
        while len(self._lately) > 2 and self._lately[1][0] <= time - _FLASH:
            self._lately.popleft()
        left = min(_left_over(self._lately[i][1], now) for i in (-1, 0)) if self._lately else 0.0
        elapsed = time - self._time
        least = min(_LEAST + _LEAST_A_SECOND * elapsed, _LEAST_MOST)
        usual = self._usual * exp(-elapsed / _FADE)
        cut = left > max(least, _TIMES * usual)
        if left > _STILL:
            self._usual = max(usual, min(left, self._left))
            self._left, self._time = left, time
        self._lately.append((time, now))
        return cut


def _standard(signature: Signature) -> Signature | None:
    """Any brightness and contrast brought to the same; None where it shows nothing."""
    contrast = float(signature.std())
    return None if contrast < _BLANK else (signature - signature.mean()) / contrast


def _left_over(before: Signature, now: Signature) -> float:
    """What no spot of the other picture within one cell's reach explains, both ways; in contrasts, mean."""
    return (_unexplained(before, now) + _unexplained(now, before)) / 2


def _unexplained(before: Signature, now: Signature) -> float:
    around = np.ones((3, 3), np.uint8)
    over, under = now - cv2.dilate(before, around), cv2.erode(before, around) - now
    return float(np.maximum(0, np.maximum(over, under)).mean())
