"""Detection of speaking from the movement of the mouth: lips that open and close repeatedly. Audio is not used.

Within a second, speech opens and closes the mouth several times; a smile or a yawn opens it once. So the total change
of the opening is compared with its range: repeated movement has a large total change within a small range. Pure
functions of one face's time series.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Seconds of a step, whose frames are averaged: a syllable takes two to three steps, and jitter from frame to frame has
#: the same effect at any frame rate.
_STEP = 0.08

#: Length in seconds of the window around each moment.
_AROUND = 1.0

#: Minimum share of the steps in that window with a face.
_SEEN = 0.5

#: The movement per second, in units of the distance between the eyes' outer corners, at which the probability of
#: speaking is 0.5, and the increase that multiplies the odds by e. No labelled speech was available. On our test
#: videos, where nobody speaks, faces at rest have 0.00 to 0.02, changing expressions up to 0.09, and a mouth behind a
#: moving hand up to 0.17. Portraits whose lips are painted 0.06 apart on average (5 mm), four times per second, have
#: 0.17 to 0.30; half of that is not detected.
_EVEN, _SURER = 0.16, 0.03


def speaking(times: NDArray[np.floating], opening: NDArray[np.floating]) -> NDArray[np.float64]:
    """Compute the probability that a face is speaking.

    Args:
        times: Increasing times (n,), in seconds.
        opening: Opening of the mouth (n,), in units of the distance between the eyes' outer corners; NaN where there is
            no face.

    Returns:
        Probabilities (n,); NaN where the face is seen for too short a time.
    """
    return 1 / (1 + np.exp(-(back_and_forth(times, opening) - _EVEN) / _SURER))


def back_and_forth(times: NDArray[np.floating], opening: NDArray[np.floating]) -> NDArray[np.float64]:
    """The total change (n,) of the opening within the second around each time, minus its range."""
    times, opening = np.asarray(times, np.float64), np.asarray(opening, np.float64)
    result = np.full(len(times), np.nan)
    known = np.isfinite(opening)
    if not known.any():
        return result
    start = times[known][0]
    step = np.floor((times - start) / _STEP).astype(int)
    steps, place = np.unique(step[known], return_inverse=True)
    means = np.bincount(place, opening[known]) / np.bincount(place)
    half = round(_AROUND / _STEP / 2)
    for number in np.unique(step):
        low, high = np.searchsorted(steps, (number - half, number + half + 1))
        if high - low >= _SEEN * (2 * half + 1):
            part = means[low:high]
            # Steps without a frame are skipped, and the change over the others is scaled to the whole second.
            way = np.abs(np.diff(part)).sum() - (part.max() - part.min())
            result[step == number] = way * (2 * half + 1) / (high - low)
    return result
