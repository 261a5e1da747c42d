"""Which frames of a film are analysed."""

from __future__ import annotations

from fractions import Fraction

from fermedia.options import Sampling

#: Matroska rounds times to milliseconds: a frame this little before a moment counts as at it. Seconds.
_ROUNDING = Fraction(1, 2000)


class Chosen:
    """Says of one frame after another, by its time, whether it is analysed; ``start`` is where the span begins."""

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
    """The decimal number that was typed, not its nearest binary fraction."""
    return Fraction(str(seconds))
