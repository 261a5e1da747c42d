"""Smoothing: the probabilities of each face, averaged over a centred window, so that labels neither flicker nor lag.

One formula, for videos while they are analysed and for finished timelines. For a face seen at the times t_j, with
h = seconds / 2:

    p'(t_i) = sum_j w_ij p(t_j) / sum_j w_ij,    w_ij = max(0, 1 - |t_i - t_j| / h)

A triangle rather than a box: the weight of a frame changes gradually, so neither a rounded time nor a frame at the
window's edge makes a step. The window is in seconds, not in frames, so it holds for any sampling and frame rate.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from fermedia.types import Frame, Observation

Floats = NDArray[np.float64]

#: Minimum half width of the window in seconds: narrower ones contain no other frame, and avoid division by 0.
_NARROWEST = 1e-9


def smooth(times: Floats, probabilities: Floats, seconds: float) -> Floats:
    """Smooth the probabilities of one face.

    Args:
        times: Times (n,) in seconds, not decreasing.
        probabilities: Raw probabilities (n, 7).
        seconds: Full width of the window; 0 for no smoothing.

    Returns:
        Smoothed probabilities (n, 7), float64.
    """
    times, raw = np.asarray(times, np.float64), np.asarray(probabilities, np.float64)
    total, weights = raw.copy(), np.ones(len(raw))
    for gap in range(1, len(raw)):
        weight = _weight(times[gap:] - times[:-gap], seconds)
        if not weight.any():
            break
        total[gap:] += weight[:, None] * raw[:-gap]
        total[:-gap] += weight[:, None] * raw[gap:]
        weights[gap:] += weight
        weights[:-gap] += weight
    return np.asarray(total / weights[:, None])


def _weight(apart: Floats, seconds: float) -> Floats:
    return np.maximum(0.0, 1 - np.abs(apart) / max(seconds / 2, _NARROWEST)) if seconds > 0 else np.zeros(len(apart))


Observed = tuple[Frame, list[Observation] | None]


def smoothed_frames(
    observed: Iterable[Observed], seconds: float
) -> Iterator[tuple[Frame, list[Observation] | None, list[Observation] | None]]:
    """Smooth the observations of frames as they come.

    Frames are held until those half of ``seconds`` later are known; with 0, and for photos, they pass straight through.
    Faces that are not classified stay so and do not contribute.

    Args:
        observed: Frames in order, with their observations; None if not sampled.
        seconds: Full width of the window; 0 for no smoothing.

    Yields:
        Every frame once, in order, with its raw observations and the same with smoothed probabilities (float32); both
        None if it was not sampled.
    """
    held: deque[tuple[float, Observed]] = deque()
    pasts: dict[int, _Past] = {}
    for frame, found in observed:
        if seconds <= 0 or frame.time is None:
            yield frame, found, found
            continue
        held.append((frame.time, (frame, found)))
        for o in found or ():
            if o.probabilities is not None:
                pasts.setdefault(o.face_id, _Past()).add(frame.time, o.probabilities)
        while held and held[0][0] + seconds / 2 <= frame.time:
            yield _smoothed(*held.popleft(), pasts, seconds)
    while held:
        yield _smoothed(*held.popleft(), pasts, seconds)


@dataclass
class _Past:
    """The times and raw probabilities of one face within the window, oldest first."""

    times: deque[float] = field(default_factory=deque)
    raw: deque[NDArray[np.float32]] = field(default_factory=deque)

    def add(self, time: float, raw: NDArray[np.float32]) -> None:
        self.times.append(time)
        self.raw.append(raw)

    def forget(self, before: float) -> None:
        while self.times and self.times[0] < before:
            self.times.popleft()
            self.raw.popleft()

    def mean(self, time: float, seconds: float) -> NDArray[np.float32]:
        weight = _weight(np.array(self.times) - time, seconds)
        return np.asarray(weight @ np.array(self.raw, np.float64) / weight.sum(), np.float32)


def _smoothed(
    time: float, looked: Observed, pasts: dict[int, _Past], seconds: float
) -> tuple[Frame, list[Observation] | None, list[Observation] | None]:
    frame, found = looked
    for face_id in list(pasts):
        pasts[face_id].forget(time - seconds / 2)
        if not pasts[face_id].times:
            del pasts[face_id]
    if found is None:
        return frame, None, None
    return (
        frame,
        found,
        [
            o if o.probabilities is None else replace(o, probabilities=pasts[o.face_id].mean(time, seconds))
            for o in found
        ],
    )
