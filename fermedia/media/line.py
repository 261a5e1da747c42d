"""Time stamps on one line: stray ones put right, clocks that begin anew joined, gaps that are there kept."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Generic, TypeVar

T = TypeVar("T")

#: A step longer than so many usual ones, and than this many seconds, is looked into: do the next stamps come back?
_STEPS, _JUMP = 4, Fraction(1, 4)

#: A stamp that falls back by more than this many seconds, and does not come back, is a clock that begins anew. What
#: falls back by less is disorder: it follows its predecessor until the stamps have caught up.
_BACK = 1


class Line(Generic[T]):
    """Gives each item of a stream, in order, the time at which it is shown, by the clock that the stream began with.

    Times increase strictly. A stamp that lies before its predecessor or far behind it, while one of the next ``ahead``
    comes back, is stray: it gets a time between its neighbours (``strays`` says which; seconds). If none comes back, a
    step forward is a gap, which stays, and one backward is a clock that begins anew, as where recordings were put one
    behind another: from there on all is shifted (``seams``: by how many seconds; ``joints``: where). An item without a
    stamp follows its predecessor, by the duration of that, or ``step``.

    The first item without a stamp, where none follows soon, is at ``begin``.

    With ``others``, the seams of another stream of the same recording, this one is shifted at each as that one was, so
    that both stay in step; while the other has not come so far, nothing is given (``waits``). Where this stream was the
    longer one, times fall back there by the difference.
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
        """Take an item with its stamp and duration in seconds, None where unknown; give (time, item) of those known."""
        self._waiting.append((stamp, duration, item))
        return self.ready()

    def ready(self, final: bool = False) -> Iterator[tuple[Fraction, T]]:
        """What can be told by now, or all that still waits if nothing follows any more (``final``)."""
        while self._waiting and (times := self._decided(final)):
            for time in times:
                _, duration, item = self._waiting.popleft()
                self._last, self._expected = time, time + (duration or self._step)
                yield time, item

    def _decided(self, final: bool) -> list[Fraction]:
        """The times of the first items that wait; none if more must be known."""
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
        """The same for the beginning: the first stamp is stray if it lies far behind the next ones."""
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
        """The first ``count`` items are stray and lie between the last one and what follows."""
        assert self._last is not None
        step = (following - self._last) / (count + 1)
        times = [self._last + (n + 1) * step for n in range(count)]
        self.strays += times
        return times

    def _joined(self, first: Fraction, final: bool) -> list[Fraction]:
        """The clock begins anew with ``first``."""
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
