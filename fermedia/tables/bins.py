"""Values averaged over equal time steps, for plots of videos with more frames than a plot has columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fermedia.types import EMOTIONS

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

#: Maximum number of steps across a figure; more cannot be seen.
STEPS = 720


def edges_of(lengths: pd.DataFrame) -> Floats:
    """The edges of a video's time steps.

    Args:
        lengths: What ``tables.tables.shown`` returns.

    Returns:
        Seconds (steps + 1,): the frames' own times, or those of ``STEPS`` equal steps if there are more frames.
    """
    if lengths.empty:
        return np.array([0.0, 1.0])
    begins = lengths["timestamp"].to_numpy(np.float64)
    edges = np.append(begins, begins[-1] + lengths["weight"].iloc[-1])
    return edges if len(edges) <= STEPS + 1 else np.linspace(edges[0], edges[-1], STEPS + 1)


def binned(classified: pd.DataFrame, weight: pd.Series, edges: Floats, columns: Sequence[str] = EMOTIONS) -> Floats:
    """Average probabilities, or other columns without missing values, over time steps.

    Exact: differences of the integral over time, which is linear within a frame.

    Args:
        classified: The classified rows of a timeline, or others in which the values are known.
        weight: Duration of each frame in seconds, by frame.
        edges: The edges of the steps (steps + 1,), in seconds.
        columns: The columns to average.

    Returns:
        Time-weighted means (steps, columns); NaN where the rows cover less than half a step.
    """
    p = classified[list(columns)].to_numpy(np.float64)
    lengths = weight.loc[classified["frame"]].to_numpy(np.float64)
    begins = classified["timestamp"].to_numpy(np.float64)
    present = np.zeros(len(edges) - 1)
    sums = np.zeros((len(edges) - 1, len(columns)))
    if len(p):
        starts, where = np.unique(begins, return_inverse=True)
        ends = starts + np.maximum.reduceat(lengths, np.unique(where, return_index=True)[1])
        count = np.bincount(where)
        means = np.stack([np.bincount(where, p[:, i]) / count for i in range(p.shape[1])], axis=1)
        times = np.stack([starts, ends], axis=1).ravel()
        values = np.column_stack([means, np.ones(len(means))]) * (ends - starts)[:, None]
        totals = np.repeat(np.cumsum(values, axis=0), 2, axis=0)
        totals[0::2] -= values
        integral = np.stack([np.interp(edges, times, column) for column in totals.T], axis=1)
        steps = np.diff(integral, axis=0)
        sums, present = steps[:, :-1], steps[:, -1]
    filled = present >= np.diff(edges) / 2
    return np.where(filled[:, None], sums / np.maximum(present, 1e-12)[:, None], np.nan)
