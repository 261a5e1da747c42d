"""Measures from a face's mesh: head pose, gaze, and the openings of eyes and mouth.

**Gaze.** Each eye is modelled as a ball whose centre is behind the midpoint of the eye's corners; the position of the
iris gives its direction. Directions are as in OpenFace's ``gaze_angle_x`` and ``gaze_angle_y``, in degrees: **x is
positive to the right in the image** (the person's left: opposite to yaw), **y is positive downwards**, and 0, 0 is
into the camera. It was not calibrated with people looking at known targets: expect an error of about 10 degrees.

**Eyes and mouth** are measured in three dimensions, so that a turned head changes them little. An eye's opening is the
mean distance of its lids over the distance of its corners ("eye aspect ratio", Soukupova and Cech 2016). The mouth is
measured relative to the distance between the outer corners of the eyes, which no expression changes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fermedia.types import Gaze, Measures, Mesh, Pose
from fermedia.vision.pose import pose_of


@dataclass(frozen=True)
class _Eye:
    """Indices of landmarks: the corners, pairs of points on the upper and lower lid, and the centre of the iris."""

    outer: int
    inner: int
    lids: tuple[tuple[int, int], ...]
    iris: int


#: The person's right and left eye.
_RIGHT = _Eye(33, 133, ((160, 144), (159, 145), (158, 153)), 468)
_LEFT = _Eye(263, 362, ((387, 373), (386, 374), (385, 380)), 473)

#: Landmarks of the mouth: its corners, the person's right one first; midpoints of the lips' inner edges, upper, lower.
_MOUTH_RIGHT, _MOUTH_LEFT, _UPPER_LIP, _LOWER_LIP = 61, 291, 13, 14

#: An eyeball, in centimetres of the canonical face: the offset of its centre from the midpoint of the corners
#: (outwards, down, away from the camera), and the distance from the centre to the iris. None of it was calibrated with
#: people looking at known targets. Outwards is the median of press and movie photos. Away is the value at which most of
#: 770 of them look into the camera horizontally, however the head is turned, at a flat maximum (0.3 to 0.5); vertically
#: it would be 0 to 0.1, because lids move with gaze. Down then makes the median gaze level. Anatomically the distance
#: is 1.05. It is less here, because the network underestimates the iris's movement relative to the corners: where an
#: iris was painted elsewhere in a portrait, it moved by 0.1 to 1.0 of the gaze expected with 1.05, in the median by
#: half (``scripts/measure_mesh.py``).
_OUT, _DOWN, _AWAY = 0.14, -0.17, 0.4
_RADIUS = 0.65

#: The least opening of an eye whose iris is used.
_SEES = 0.12


def measured(mesh: Mesh) -> Measures:
    """Compute the measures of a mesh."""
    points = mesh.landmarks.astype(np.float64)
    pose = pose_of(points)
    openings = {eye: _opening(points, eye) for eye in (_RIGHT, _LEFT)}
    sights = [_sight(points, eye, pose) for eye, opening in openings.items() if opening >= _SEES]
    seen = np.mean(sights, axis=0) if sights else None
    unit = _distance(points, _RIGHT.outer, _LEFT.outer)
    middle = (points[_UPPER_LIP] + points[_LOWER_LIP]) / 2
    # Upwards, in the head's axes.
    right, left = (-((points[corner] - middle) @ pose.rotation)[1] / unit for corner in (_MOUTH_RIGHT, _MOUTH_LEFT))
    return Measures(
        mesh.presence,
        pose,
        None if seen is None else _gaze(seen),
        None if seen is None else _gaze(pose.rotation.T @ seen),
        openings[_RIGHT],
        openings[_LEFT],
        _distance(points, _UPPER_LIP, _LOWER_LIP) / unit,
        _distance(points, _MOUTH_RIGHT, _MOUTH_LEFT) / unit,
        float(right),
        float(left),
        mesh.blendshapes,
    )


def _opening(points: NDArray[np.float64], eye: _Eye) -> float:
    lids = [_distance(points, upper, lower) for upper, lower in eye.lids]
    return float(np.mean(lids)) / _distance(points, eye.outer, eye.inner)


def _sight(points: NDArray[np.float64], eye: _Eye, pose: Pose) -> NDArray[np.float64]:
    """The unit vector (3,) of an eye's direction: right in the image, down, away from the camera.

    Only the iris's position in the image is used: its depth is no more accurate than that of the lids.
    """
    outwards = -_OUT if eye is _RIGHT else _OUT  # the person's right is left in the image
    middle = (points[eye.outer] + points[eye.inner]) / 2 + pose.scale * pose.rotation @ (outwards, _DOWN, _AWAY)
    x, y = (points[eye.iris] - middle)[:2] / (pose.scale * _RADIUS)
    beside = math.hypot(x, y)
    if beside > 1:
        x, y = x / beside, y / beside
    return np.array([x, y, -math.sqrt(max(0.0, 1 - x * x - y * y))])


def _gaze(sight: NDArray[np.float64]) -> Gaze:
    x, y, z = sight.tolist()
    return Gaze(math.degrees(math.atan2(x, -z)), math.degrees(math.atan2(y, -z)))


def _distance(points: NDArray[np.float64], one: int, other: int) -> float:
    return float(np.linalg.norm(points[one] - points[other]))
