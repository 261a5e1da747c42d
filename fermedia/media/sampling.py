"""Choose which frames of a video are analysed."""

from __future__ import annotations

from fractions import Fraction

from fermedia.options import Sampling

#: Tolerance in seconds for a frame just before a tick: Matroska rounds times to milliseconds.
_ROUNDING = Fraction(1, 2000)


class Chosen:
    """Decide for each frame in order, by its time in seconds, whether it is analysed; ``start`` is the span's start."""

    def __init__(self, sampling: Sampling, start: Fraction) -> None:
        self._every = sampling.every
        self._fps = None if sampling.fps is None else exact(sampling.fps)
        self._start = start
        self._count = 0
        self._tick = 0

    def __call__(self, time: Fraction) -> bool:
        if self._fps is None:
            self._count += 1
            return (self._count - 1) % self._every == 0
        passed = int((time - self._start + _ROUNDING) * self._fps)  # the last tick at or before this frame
        if passed < self._tick:
            return False
        self._tick = passed + 1
        return True


def exact(seconds: float) -> Fraction:
    """The exact decimal number as written, not its nearest binary fraction."""
    return Fraction(str(seconds))
