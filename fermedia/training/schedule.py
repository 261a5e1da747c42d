"""How far a training is, and the learning rate there."""

from __future__ import annotations

import math
from dataclasses import dataclass

#: Share of the budget in which the learning rate rises to its peak.
WARM_UP = 0.04


@dataclass(frozen=True)
class Budget:
    """How far a training is, as a share 0..1 of its epochs or of its hours."""

    epochs: int | None
    hours: float | None

    def at(self, epoch: int, seconds: float) -> float:
        """The share that is used up after ``epoch`` epochs and ``seconds`` seconds."""
        used = epoch / self.epochs if self.epochs else seconds / (3600 * (self.hours or 1))
        return min(1.0, used)

    def span(self, epoch: int, seconds: float) -> tuple[float, float]:
        """Begin and end of the next epoch; by the clock, it is expected to take as long as the mean of those so far."""
        begin = self.at(epoch, seconds)
        expected = seconds / epoch if epoch else WARM_UP * 3600 * (self.hours or 1)
        return begin, self.at(epoch + 1, seconds + expected)


def learning_rate(peak: float, share: float) -> float:
    """Linear warm-up, then a half cosine to zero (Loshchilov & Hutter 2017), over the whole budget."""
    rest = (share - WARM_UP) / (1 - WARM_UP)
    return peak * min(1.0, share / WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * min(1.0, max(0.0, rest))))
