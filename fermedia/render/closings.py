"""Candidates for the longest blink of a face, found while its video is read.

Blinks are only known at the end (``tables.blinks``), when the frames are gone. So the images of a few closings of the
eyes are kept, the longest, and the one of the longest blink is chosen from them.
"""

from __future__ import annotations

from array import array
from collections import deque
from dataclasses import dataclass

import numpy as np

from fermedia.tables.blinks import LONGEST, Blink, blinks

#: A closing begins where the eyes' opening is below this share of the 0.75 quantile of the last seconds.
_BELOW, _QUANTILE, _SECONDS = 0.75, 0.75, 2.0

#: The deepest moment is replaced where the eyes are closed by this much more, in widths of the eye.
_DEEPER = 0.02

#: The number of closings that are kept, and their maximum length in seconds: that of blinks, with a margin.
_KEPT, _MOST = 6, LONGEST + 0.2


@dataclass
class _Closing:
    number: int
    begin: float
    deepest: float
    length: float = 0.0


class Closings:
    """The closings of one face's eyes, numbered from 0. Needs 16 bytes per frame."""

    def __init__(self) -> None:
        self._times, self._openings = array("d"), array("d")
        self._last: deque[tuple[float, float]] = deque()
        self._kept: list[_Closing] = []
        self._now: _Closing | None = None
        self._count = 0

    @property
    def kept(self) -> set[int]:
        """The numbers of the closings that are candidates."""
        return {closing.number for closing in (*self._kept, *filter(None, [self._now]))}

    def add(self, time: float, opening: float) -> int | None:
        """Add the mean opening of the eyes in the next frame, in widths of the eye, at a time in seconds.

        Returns:
            The number of a closing of which this is the deepest moment so far; None if there is none.
        """
        self._times.append(time)
        self._openings.append(opening)
        level = float(np.quantile([value for _, value in self._last], _QUANTILE)) if self._last else opening
        self._last.append((time, opening))
        while self._last[0][0] < time - _SECONDS:
            self._last.popleft()
        if opening >= _BELOW * level:
            self._end(time)
            return None
        if self._now is None:
            self._now = _Closing(self._count, time, float("inf"))
            self._count += 1
        if opening > self._now.deepest - _DEEPER:
            return None
        self._now.deepest = opening
        return self._now.number

    def longest(self) -> Blink | None:
        """The longest blink of all frames; None if there is none."""
        found = blinks(np.array(self._times), np.array(self._openings))
        return max(found, key=lambda blink: blink.duration, default=None)

    def _end(self, time: float) -> None:
        if self._now is not None:
            self._now.length = time - self._now.begin
            if self._now.length <= _MOST:
                self._kept.append(self._now)
                self._kept = sorted(self._kept, key=lambda closing: -closing.length)[:_KEPT]
            self._now = None
