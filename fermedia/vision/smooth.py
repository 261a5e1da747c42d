"""Steady probabilities: each face's averaged over a short time, centred, so that labels neither flicker nor lag.

One formula, for films as they pass and for finished timelines. With sightings of one face at the times t_j, and
h = seconds / 2:

    p'(t_i) = sum_j w_ij p(t_j) / sum_j w_ij,    w_ij = max(0, 1 - |t_i - t_j| / h)

A triangle rather than a box: sightings gain and lose weight gradually, so that neither a rounded time nor a face at
the window's edge makes a step. Times rule, not frame numbers: sampling and variable frame rates change nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from fermedia.types import Frame, Observation

Floats = NDArray[np.float64]


def smooth(times: Floats, probabilities: Floats, seconds: float) -> Floats:
    """The steady probabilities (n, 7) of one face from its raw ones (n, 7), seen at ``times`` (n,), which never fall.

    ``seconds`` is the whole width of the window; 0 changes nothing. float64.
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
    return np.maximum(0.0, 1 - np.abs(apart) / (seconds / 2)) if seconds > 0 else np.zeros(len(apart))


Looked = tuple[Frame, list[Observation] | None]


def steadied(
    observed: Iterable[Looked], seconds: float
) -> Iterator[tuple[Frame, list[Observation] | None, list[Observation] | None]]:
    """Every frame once, in order, with its raw observations, and with the same of steady probabilities (float32).

    Both are None where a frame was not sampled. A face that was not judged keeps no judgement and lends none. Frames
    are held until what comes half of ``seconds`` later is known; with 0, and for photos, they pass straight through.
    """
    held: deque[tuple[float, Looked]] = deque()
    pasts: dict[int, _Past] = {}
    for frame, found in observed:
        if seconds <= 0 or frame.time is None:
            yield frame, found, found
            continue
        held.append((frame.time, (frame, found)))
        for o in found or ():
            if o.probabilities is not None:
                pasts.setdefault(o.face_id, _Past()).add(frame.time, o.probabilities)
        while held[0][0] + seconds / 2 <= frame.time:
            yield _steady(*held.popleft(), pasts, seconds)
    while held:
        yield _steady(*held.popleft(), pasts, seconds)


@dataclass
class _Past:
    """What is remembered of one face: its sightings within the window, oldest first."""

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


def _steady(
    time: float, looked: Looked, pasts: dict[int, _Past], seconds: float
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
