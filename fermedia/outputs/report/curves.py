"""A film's probabilities as the page's timeline takes them: on an even grid of time, a byte each."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fermedia.types import EMOTIONS

if TYPE_CHECKING:
    import pandas as pd

#: Seconds of a cell of the grid where frames are denser: averages over half a second show no more than that.
FINEST = 0.04

#: Cells of all faces together that a page holds, at most about; then cells grow. Eight bytes each.
MOST_CELLS = 60_000

#: What a cell's first byte says of the face. The seven others are the probabilities times 250, where it is judged.
ABSENT, SEEN, JUDGED = 0, 1, 2

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Grid:
    """Cells of ``step`` seconds from ``begin`` on. Cell ``i`` holds the frames ``first[i] .. last[i] - 1``.

    They are those that begin within it, or else the one that is still shown.
    """

    begin: float
    step: float
    first: Ints
    last: Ints

    @classmethod
    def over(cls, times: Floats, end: float, step: float) -> Grid:
        """For frames at ``times`` (n,), n > 0, that are shown until ``end``, in seconds."""
        begin = float(times[0])
        edges = begin + step * np.arange(max(1, round((end - begin) / step)) + 1)
        # A frame that begins a hair before the edge belongs behind it.
        places = np.searchsorted(times, edges - step / 1000)
        first, last = places[:-1], places[1:]
        first = np.where(last > first, first, np.maximum(first - 1, 0))
        return cls(begin, step, first, np.maximum(last, first + 1))


def film_grid(frames: pd.DataFrame, sightings: int, end: float) -> Grid:
    """The grid for a film whose analysed ``frames`` (one row each, ``timestamp``) have so many ``sightings`` of faces.

    ``end`` is when the last frame ends, seconds. There must be a frame.
    """
    times = frames["timestamp"].to_numpy(np.float64)
    usual = float(np.median(np.diff(times))) if len(times) > 1 else end - float(times[0])
    usual = usual if usual > 0 else FINEST
    step = max(usual, FINEST)
    step *= max(1.0, sightings * usual / step / MOST_CELLS)
    return Grid.over(times, max(end, float(times[-1]) + 1e-3), step)


def face_runs(judged: NDArray[np.bool_], p: Floats, places: Ints, grid: Grid) -> list[dict[str, Any]]:
    """The stretches of cells in which a face is seen: ``begin``, a cell's number, and ``cells``, 8 bytes each, base64.

    ``judged`` (n,) and ``p`` (n, 7) are of one face's sightings, ``places`` (n,) their frames' numbers among all
    analysed ones, increasing.
    """
    # Sums up to each frame of the face's span, so that a cell's mean is a difference of two.
    start, stop = int(places[0]), int(places[-1]) + 1
    values = np.zeros((stop - start + 1, len(EMOTIONS) + 2))
    values[places - start + 1] = np.column_stack([np.ones(len(p)), judged, np.where(judged[:, None], p, 0.0)])
    sums = values.cumsum(axis=0)
    cells = np.flatnonzero((grid.last > start) & (grid.first < stop))
    of_cells = sums[np.clip(grid.last[cells] - start, 0, stop - start)]
    of_cells -= sums[np.clip(grid.first[cells] - start, 0, stop - start)]
    seen, read = of_cells[:, 0], of_cells[:, 1]
    frames = grid.last[cells] - grid.first[cells]
    state = np.where(2 * seen < frames, ABSENT, np.where(2 * read < seen, SEEN, JUDGED))
    means = of_cells[:, 2:] / np.maximum(read, 1)[:, None]
    content = np.column_stack([state, np.where(state[:, None] == JUDGED, np.round(means * 250), 0)]).astype(np.uint8)
    there = np.flatnonzero(state != ABSENT)
    runs = np.split(there, np.flatnonzero((np.diff(there) > 1) | (np.diff(cells[there]) > 1)) + 1)
    return [
        {"begin": int(cells[run[0]]), "cells": base64.b64encode(content[run].tobytes()).decode()}
        for run in runs
        if len(run)
    ]
