"""Rate whether the classification of a face can be trusted, and if not, why.

"turned" and "bent" are determined from the mesh if there is one, else roughly from the detector's keypoints; "dark",
"bright" and "blurred" from the crop that is classified; "covered" from the mesh only. The limits come from how often
faces are classified correctly (``scripts/measure_quality.py``; docs/method.md has its tables).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fermedia.types import GOOD, PRESENT, REASONS, Face, Gray, Measures
from fermedia.vision.pose import rough_angles

#: The reasons for which a face is not classified.
UNREAD = frozenset(REASONS[:3])

#: A crop is dark if its mean grey value is below the first. It is bright if the share of pixels of at least the second
#: value is above the third: the mean says less, because overexposure loses detail only in nearly white pixels.
_DARK = 40.0
_WHITE, _BRIGHT = 250, 0.3

#: The sharpness below which a crop is blurred.
_SHARP = 0.2


@dataclass(frozen=True)
class Limits:
    """The limits within which faces are classified; by default all faces are.

    Attributes:
        min_face: Least width of a face in pixels.
        max_yaw: Largest yaw to either side, in degrees.
        max_pitch: Largest pitch up or down, in degrees.
    """

    min_face: float = 0.0
    max_yaw: float = 90.0
    max_pitch: float = 180.0

    def is_small(self, face: Face) -> bool:
        """Whether a face is too small to be classified and measured."""
        return face.box.width < self.min_face

    def quality(self, face: Face, crop: Gray, measures: Measures | None) -> str:
        """``GOOD``, or the reasons against it, separated by spaces. ``crop`` is from ``framing.crop_face``."""
        return " ".join(self._reasons(face, crop, measures)) or GOOD

    def _reasons(self, face: Face, crop: Gray, measures: Measures | None) -> Iterator[str]:
        covered = measures is not None and measures.presence < PRESENT
        if measures is None or covered:
            yaw, pitch, _ = rough_angles(face.keypoints)
        else:
            yaw, pitch = measures.pose.yaw, measures.pose.pitch
        if self.is_small(face):
            yield "small"
        if abs(yaw) > self.max_yaw:
            yield "turned"
        if abs(pitch) > self.max_pitch:
            yield "bent"
        if covered:
            yield "covered"
        yield from flaws(crop)


def is_read(quality: str) -> bool:
    """Whether a face of this quality is classified."""
    return UNREAD.isdisjoint(quality.split())


def flaws(crop: Gray) -> Iterator[str]:
    """The faults of a crop: "dark", "bright", "blurred"."""
    mean, contrast = _mean_and_deviation(crop)
    if mean < _DARK:
        yield "dark"
    if np.count_nonzero(crop >= _WHITE) / crop.size > _BRIGHT:
        yield "bright"
    if _sharpness(crop, contrast) < _SHARP:
        yield "blurred"


def sharpness(crop: Gray) -> float:
    """The ratio of the standard deviations of a crop's Laplacian and of its grey values; 0 for an even crop."""
    return _sharpness(crop, _mean_and_deviation(crop)[1])


def _sharpness(crop: Gray, contrast: float) -> float:
    return _mean_and_deviation(cv2.Laplacian(crop, cv2.CV_32F))[1] / contrast if contrast > 0 else 0.0


def _mean_and_deviation(image: NDArray[Any]) -> tuple[float, float]:
    """Of all pixels. OpenCV's need a fifth of the time of NumPy's for an image of this size."""
    mean, deviation = cv2.meanStdDev(image)
    return float(mean[0, 0]), float(deviation[0, 0])
