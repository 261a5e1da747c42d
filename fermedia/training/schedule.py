"""The progress of a training within its budget, and the learning rate that follows from it."""

from __future__ import annotations

import math
from dataclasses import dataclass

#: The share of the budget during which the learning rate rises to its peak.
WARM_UP = 0.04


@dataclass(frozen=True)
class Budget:
    """A training's budget, in epochs or else in hours; progress is the share of it that is used, 0..1."""

    epochs: int | None
    hours: float | None

    def at(self, epoch: int, seconds: float) -> float:
        """The share that is used after ``epoch`` epochs, which took ``seconds`` seconds."""
        used = epoch / self.epochs if self.epochs else seconds / (3600 * (self.hours or 1))
        return min(1.0, used)

    def span(self, epoch: int, seconds: float) -> tuple[float, float]:
        """The shares used at the begin and at the end of the next epoch.

        With a budget in hours, the epoch is expected to take as long as the mean of those so far, or ``WARM_UP`` of
        the budget if it is the first.
        """
        begin = self.at(epoch, seconds)
        expected = seconds / epoch if epoch else WARM_UP * 3600 * (self.hours or 1)
        return begin, self.at(epoch + 1, seconds + expected)


def learning_rate(peak: float, share: float) -> float:
    """The learning rate at a share of the budget: a linear warm-up to ``peak``, then a half cosine to zero.

    The cosine is that of Loshchilov & Hutter (2017).
    """
    rest = (share - WARM_UP) / (1 - WARM_UP)
    return peak * min(1.0, share / WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * min(1.0, max(0.0, rest))))
