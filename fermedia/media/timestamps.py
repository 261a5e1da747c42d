"""Repair time stamps: correct stray ones, join restarted clocks, keep real gaps."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Generic, TypeVar

T = TypeVar("T")

#: A step longer than so many usual ones and so many seconds is checked: do the next stamps return?
_STEPS, _JUMP = 4, Fraction(1, 4)

#: A fall of the stamps by more than this many seconds, without a return, is a restarted clock. A smaller fall is
#: disorder: the item follows its predecessor until the stamps have caught up.
_BACK = 1


class TimestampRepair(Generic[T]):
    """Give each item of a stream, in order, a time by the clock that the stream started with.

    Times increase strictly. A stamp that is before its predecessor or far after it, while one of the next ``ahead``
    stamps returns, is stray: the item gets a time between its neighbours (``strays`` lists these times in seconds). If
    none returns, a step forward is a gap, which is kept, and a step backward is a restarted clock, as where recordings
    were concatenated: all later times are shifted (``seams``: the shifts in seconds; ``joints``: the times of the
    restarts). An item without a stamp follows its predecessor after its duration or ``step``.

    Args:
        step: The usual difference of two stamps, in seconds.
        ahead: How many later stamps are awaited before a decision.
        begin: The time of the first item if neither it nor the next ones have a stamp.
        others: The ``seams`` of another stream of the same recording. This stream is then shifted equally at each
            restart, so that the two stay synchronous; until the other stream has got there, no items are returned
            (``waits``). Where this stream was the longer one, its times fall back there by the difference.
    """

    def __init__(
        self,
        step: Fraction,
        ahead: int,
        begin: Fraction = Fraction(0),
        others: Sequence[Fraction] | None = None,
    ) -> None:
        self.strays: list[Fraction] = []
        self.seams: list[Fraction] = []
        self.joints: list[Fraction] = []
        self.waits = False
        self._step = step
        self._ahead = ahead
        self._begin = begin
        self._others = others
        self._waiting: deque[tuple[Fraction | None, Fraction | None, T]] = deque()
        self._shift = Fraction(0)
        self._last: Fraction | None = None
        self._expected = Fraction(0)

    def put(self, item: T, stamp: Fraction | None, duration: Fraction | None) -> Iterator[tuple[Fraction, T]]:
        """Add an item with its stamp and duration in seconds, None if unknown; yield (time, item) of those decided."""
        self._waiting.append((stamp, duration, item))
        return self.ready()

    def ready(self, final: bool = False) -> Iterator[tuple[Fraction, T]]:
        """Yield (time, item) of those decided by now, or of all that wait if no item follows (``final``)."""
        while self._waiting and (times := self._decided(final)):
            for time in times:
                _, duration, item = self._waiting.popleft()
                self._last, self._expected = time, time + (duration or self._step)
                yield time, item

    def strays_told(self, origin: Fraction) -> str | None:
        """A message about stray stamps, with the first one's time since ``origin``; None if there were none."""
        if not self.strays:
            return None
        first, count = float(self.strays[0] - origin), len(self.strays)
        stamps = "1 time stamp was" if count == 1 else f"{count} time stamps were"
        return f"{stamps} out of order, at {first:.2f} s{' and later' * (count > 1)}, and corrected"

    def _decided(self, final: bool) -> list[Fraction]:
        """The times of the first waiting items; empty if more stamps are needed."""
        self.waits = False
        stamps = [None if stamp is None else stamp + self._shift for stamp, _, _ in self._waiting]
        first, known = stamps[0], [(n, stamp) for n, stamp in enumerate(stamps) if n and stamp is not None]
        enough = final or len(stamps) > self._ahead
        if self._last is None:
            return self._begun(first, known, enough)
        if first is None:
            return [self._expected]
        if not (known or enough):
            return []
        jump = max(_JUMP, _STEPS * self._step)
        following = known[0][1] if known else None
        if self._last < first <= self._last + jump:
            if following is not None and self._last < following < first:
                return [(self._last + following) / 2]
            return [first]
        if self._last - _BACK <= first <= self._last:
            if following is not None and self._last < following < self._expected + jump:
                time = min(self._expected, (self._last + following) / 2)
                if self._last - first > jump:
                    self.strays.append(time)
                return [time]
            return [self._expected]
        limit = first if first > self._last else self._last + jump
        for n, stamp in known:
            if self._last < stamp < limit + (n * self._step if first < self._last else 0):
                return self._between(n, stamp)
        if not enough:
            return []
        return [first] if first > self._last else self._joined(first, final)

    def _begun(self, first: Fraction | None, known: list[tuple[int, Fraction]], enough: bool) -> list[Fraction]:
        """``_decided`` for the first items: the first stamp is stray if it is far after the next ones."""
        if not (known or enough):
            return []
        if first is None:
            return [known[0][1] - known[0][0] * self._step if known else self._begin]
        if not known or known[0][1] >= first - _BACK:
            return [first]
        if not enough:
            return []
        count, begin = known[0]
        self.strays += [begin]
        return [begin - (count - n) * self._step for n in range(count)]

    def _between(self, count: int, following: Fraction) -> list[Fraction]:
        """Times for ``count`` stray items, evenly between the last time and ``following``."""
        assert self._last is not None
        step = (following - self._last) / (count + 1)
        times = [self._last + (n + 1) * step for n in range(count)]
        self.strays += times
        return times

    def _joined(self, first: Fraction, final: bool) -> list[Fraction]:
        """The time of an item with which the clock restarts, at the stamp ``first``."""
        number = len(self.seams)
        if self._others is None:
            shift = self._shift + self._expected - first
        elif number < len(self._others):
            shift = self._others[number]
        elif final:
            shift = self._shift + self._expected - first
        else:
            self.waits = True
            return []
        time = first - self._shift + shift
        self._shift = shift
        self.seams.append(shift)
        self.joints.append(time)
        return [time]
