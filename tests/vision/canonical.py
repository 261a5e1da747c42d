"""The canonical face, turned by known angles and photographed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fermedia.vision.pose import _INDEX, _PLACES, rotation_by

#: Yaw, pitch and roll in degrees.
ANGLES = [
    (yaw, pitch, roll) for yaw in (-60, -30, 0, 15, 45) for pitch in (-30, -10, 0, 20) for roll in (-120, -25, 0, 40)
]


def turned(yaw: float, pitch: float, roll: float) -> NDArray[np.float64]:
    """The canonical face (478, 3) in centimetres as it is seen from the camera; points without weight are nowhere."""
    points = np.full((478, 3), np.nan)
    points[_INDEX] = _PLACES @ rotation_by(yaw, pitch, roll).T
    return points


def seen(points: NDArray[np.float64], distance: float) -> NDArray[np.float64]:
    """Photographed from so many centimetres by a camera at the height of the face, depth as the mesh gives it."""
    focal, middle = 900.0, np.nanmean(points, axis=0)
    away = points[:, 2:] - middle[2] + distance
    return np.hstack([focal * (points[:, :2] - middle[:2]) / away + (320, 240), focal * points[:, 2:] / distance])
