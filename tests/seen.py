"""Observations made by hand, for the tests of the outputs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fermedia.types import EMOTIONS, Box, Face, Observation

HAPPY = (0.01, 0.01, 0.02, 0.83, 0.02, 0.06, 0.05)
EVEN = (0.12, 0.13, 0.14, 0.19, 0.14, 0.14, 0.14)


def one_hot(emotion: str) -> list[float]:
    """Probabilities of somebody who is entirely of this emotion."""
    return [float(e == emotion) for e in EMOTIONS]


def face(
    x: float,
    y: float,
    width: float,
    height: float,
    face_id: int = 0,
    probabilities: Sequence[float] | NDArray[np.float64] = HAPPY,
) -> Observation:
    """An observation of a box in pixels."""
    points = np.zeros((6, 2), np.float32)
    return Observation(Face(Box(x, y, width, height), 0.9, points), face_id, np.array(probabilities, np.float32))
