"""Resample a video's probabilities and measures for the page's timeline: an even grid in time, a byte per value."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fermedia.types import EMOTIONS

if TYPE_CHECKING:
    import pandas as pd

#: The shortest cell of the grid in seconds. Averages over half a second show no finer detail.
FINEST = 0.04

#: About the maximum number of cells of all faces on a page, eight bytes each; beyond it, cells become longer.
MOST_CELLS = 60_000

#: About the maximum number of bytes of all faces for the measures that are shown only when selected; beyond it, each
#: byte stands for several cells.
MOST_PICKED = 240_000

#: The values of a cell's first byte. The seven others are probabilities times 250, where it is JUDGED.
ABSENT, SEEN, JUDGED = 0, 1, 2

#: The byte of an unknown measure, and the steps between 1 and 255, which divide the measure's range evenly.
UNKNOWN, _STEPS = 0, 254

Run = dict[str, Any]
"""Adjacent cells with a face: ``begin`` (the first one's number), ``count``, ``cells`` (base64, eight bytes each)."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Grid:
    """Cells of ``step`` seconds from ``begin`` (seconds) on. Cell ``i`` has the frames ``first[i]`` to ``last[i] - 1``.

    These are the frames that begin within the cell, or if none does, the one that is still shown.
    """

    begin: float
    step: float
    first: Ints
    last: Ints

    @classmethod
    def over(cls, times: Floats, end: float, step: float) -> Grid:
        """Make the grid of frames at ``times`` (n,), n > 0, the last of which ends at ``end``; all in seconds."""
        begin = float(times[0])
        edges = begin + step * np.arange(max(1, round((end - begin) / step)) + 1)
        # A frame that begins slightly before an edge, by rounding, belongs to the cell after it.
        places = np.searchsorted(times, edges - step / 1000)
        first, last = places[:-1], places[1:]
        first = np.where(last > first, first, np.maximum(first - 1, 0))
        return cls(begin, step, first, np.maximum(last, first + 1))


def video_grid(frames: pd.DataFrame, sightings: int, end: float) -> Grid:
    """Make the grid of a video.

    Args:
        frames: One row per analysed frame, with its ``timestamp`` in seconds; at least one.
        sightings: The number of faces in all frames together.
        end: When the last frame ends, in seconds.
    """
    times = frames["timestamp"].to_numpy(np.float64)
    usual = float(np.median(np.diff(times))) if len(times) > 1 else end - float(times[0])
    usual = usual if usual > 0 else FINEST
    step = max(usual, FINEST)
    step *= max(1.0, sightings * usual / step / MOST_CELLS)
    return Grid.over(times, max(end, float(times[-1]) + 1e-3), step)


def face_runs(classified: NDArray[np.bool_], p: Floats, places: Ints, grid: Grid) -> list[Run]:
    """The runs of cells in which a face is seen.

    Args:
        classified: Whether the face was classified in each frame with it (n,).
        p: Its probabilities (n, 7), in the order of ``EMOTIONS``.
        places: The increasing numbers of these frames among all analysed ones (n,).
        grid: The video's grid.
    """
    # Cumulative sums over the face's frames, so that a cell's mean is a difference of two.
    start, stop = int(places[0]), int(places[-1]) + 1
    values = np.zeros((stop - start + 1, len(EMOTIONS) + 2))
    values[places - start + 1] = np.column_stack([np.ones(len(p)), classified, np.where(classified[:, None], p, 0.0)])
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
        {"begin": int(cells[run[0]]), "count": len(run), "cells": base64.b64encode(content[run].tobytes()).decode()}
        for run in runs
        if len(run)
    ]


def stride_of(cells: int, figures: int) -> int:
    """How many cells a byte stands for, given the number of all faces' ``cells`` and of selectable measures."""
    return max(1, -(-cells * figures // MOST_PICKED))


def ranges_of(values: Floats) -> list[tuple[float, float]]:
    """The least and largest value of each column of ``values`` (n, measures); (0, 1) if none is known."""
    found = []
    for column in values.T:
        known = column[np.isfinite(column)]
        found.append((float(known.min()), float(known.max())) if len(known) else (0.0, 1.0))
    return found


def figure_cells(
    values: Floats, ranges: list[tuple[float, float]], places: Ints, grid: Grid, runs: list[Run], stride: int = 1
) -> str:
    """Encode a face's measures as base64: measure after measure, within each run after run.

    A byte stands for ``stride`` cells: the mean of the known values within the measure's range, or ``UNKNOWN``.

    Args:
        values: The measures (n, measures) in each frame with the face, NaN where unknown.
        ranges: The measures' ranges, from ``ranges_of``.
        places: The frames' numbers, as for ``face_runs``.
        grid: The video's grid.
        runs: The face's runs, from ``face_runs``.
        stride: Cells per byte.
    """
    if not runs:
        return ""
    start, stop = int(places[0]), int(places[-1]) + 1
    known = np.isfinite(values)
    sums = np.zeros((2, stop - start + 1, values.shape[1]))
    sums[0, places - start + 1], sums[1, places - start + 1] = np.where(known, values, 0.0), known
    sums = sums.cumsum(axis=1)
    begins = [run["begin"] + np.arange(0, run["count"], stride) for run in runs]
    ends = [np.minimum(b + stride, run["begin"] + run["count"]) for b, run in zip(begins, runs, strict=True)]
    first = grid.first[np.concatenate(begins)] - start
    last = grid.last[np.concatenate(ends) - 1] - start
    total, count = sums[:, np.clip(last, 0, stop - start)] - sums[:, np.clip(first, 0, stop - start)]
    low, high = np.array(ranges).T
    shares = (total / np.maximum(count, 1) - low) / np.where(high > low, high - low, 1.0)
    content = np.where(count > 0, 1 + np.rint(_STEPS * shares), UNKNOWN).astype(np.uint8)
    return base64.b64encode(content.T.tobytes()).decode()
