"""How often the intervals of conditions.csv hold the true mean: Student's t, and the logit that shares use.

    python scripts/measure_intervals.py

Participants' shares are drawn from Beta distributions of a given mean and standard deviation, 20,000 samples of each
number of participants. An interval of 95 % should hold the mean in 95 of 100 samples; those of t that leave 0..1 are
counted too. The seed is fixed.
"""

from __future__ import annotations

import math

import numpy as np

from fermedia.study.groups import interval

SAMPLES = 20_000
MEANS = ((0.5, 0.2), (0.2, 0.15), (0.05, 0.05), (0.02, 0.03))
NUMBERS = (5, 8, 20)


def main() -> None:
    """Print the table."""
    random = np.random.default_rng(0)
    print("mean   sd    n   t holds   logit holds   t outside 0..1   width t   width logit")
    for mean, sd in MEANS:
        size = mean * (1 - mean) / sd**2 - 1
        for number in NUMBERS:
            drawn = random.beta(mean * size, (1 - mean) * size, (SAMPLES, number))
            straight = np.array([interval(row) for row in drawn.tolist()])
            curved = np.array([interval(row, (0, 1)) for row in drawn.tolist()])
            held = [100 * np.mean((ends[:, 0] <= mean) & (mean <= ends[:, 1])) for ends in (straight, curved)]
            outside = 100 * np.mean((straight[:, 0] < 0) | (straight[:, 1] > 1))
            widths = [np.nanmedian(ends[:, 1] - ends[:, 0]) for ends in (straight, curved)]
            print(
                f"{mean:.2f}  {sd:.2f}  {number:3}  {held[0]:6.1f} %  {held[1]:10.1f} %  {outside:13.1f} %  "
                f"{widths[0]:8.3f}  {widths[1]:12.3f}"
            )
            assert not math.isnan(held[1])


if __name__ == "__main__":
    main()
