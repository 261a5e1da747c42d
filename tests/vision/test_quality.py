"""Whether a reading can be trusted: real faces, made worse one way at a time."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fermedia.images import as_image
from fermedia.training.robustness import TROUBLES
from fermedia.types import REASONS, Fit, Gray, Measures
from fermedia.vision.detect import DetectedFace, FaceDetector
from fermedia.vision.framing import crop_face
from fermedia.vision.measures import measured
from fermedia.vision.mesh import FaceMesh
from fermedia.vision.pose import rotation_by
from fermedia.vision.quality import Limits, is_read, sharpness
from tests.vision.painting import portrait

Sight = tuple[DetectedFace, Gray, Measures]


@pytest.fixture(scope="module")
def sight(detector: FaceDetector) -> Sight:
    """The face of a portrait, as the classifier sees it, and its measures."""
    image = as_image(portrait("collins"))
    face = detector.detect(image)[0]
    with FaceMesh() as reader:
        return face, crop_face(image, face), measured(reader.read(image, face))


def test_a_portrait_is_good(sight: Sight) -> None:
    face, crop, measures = sight
    for limits in (Limits(), Limits(16, 60, 45)):
        assert limits.quality(face, crop, measures) == limits.quality(face, crop, None) == "good"
    assert is_read("good")


@pytest.mark.parametrize(
    ("trouble", "strength", "reason"),
    [
        ("exposure", 0.25, "dark"),
        ("exposure", 0.5, "good"),
        ("exposure", 3, "bright"),
        ("blur", 3, "blurred"),
        ("blur", 0.5, "good"),
    ],
)
def test_what_the_crop_shows(sight: Sight, trouble: str, strength: float, reason: str) -> None:
    face, crop, _ = sight
    (worse,) = next(t for t in TROUBLES if t.name == trouble).apply(crop, strength)
    quality = Limits().quality(face, worse, None)
    assert quality == reason
    assert is_read(quality)


def turned(measures: Measures, yaw: float, pitch: float) -> Measures:
    return replace(measures, pose=replace(measures.pose, yaw=yaw, pitch=pitch, rotation=rotation_by(yaw, pitch, 0)))


@pytest.mark.parametrize(
    ("yaw", "pitch", "quality"),
    [
        (59, 44, "good"),
        (-61, 0, "turned"),
        (61, 0, "turned"),
        (0, -46, "bent"),
        (0, 46, "bent"),
        (80, 80, "turned bent"),
    ],
)
def test_heads_beyond_the_limits_are_not_read(sight: Sight, yaw: float, pitch: float, quality: str) -> None:
    face, crop, measures = sight
    found = Limits(16, 60, 45).quality(face, crop, turned(measures, yaw, pitch))
    assert found == quality
    assert is_read(found) == (quality == "good")


def test_the_key_points_tell_roughly_where_there_is_no_mesh(sight: Sight) -> None:
    """A nose beside the eyes; and where the mesh saw no face, its angles are not believed."""
    face, crop, measures = sight
    eyes = face.keypoints[:2]
    points: NDArray[np.float32] = face.keypoints.copy()
    points[2, 0] = eyes[1, 0] + (eyes[1, 0] - eyes[0, 0]) / 2
    aside = replace(face, keypoints=points)
    limits = Limits(16, 60, 45)
    assert limits.quality(aside, crop, None) == "turned"
    assert limits.quality(aside, crop, measures) == "good"
    assert limits.quality(aside, crop, replace(measures, presence=0.1)) == "turned covered"
    covered = limits.quality(face, crop, replace(turned(measures, 80, 0), presence=0.1))
    assert covered == "covered"
    assert is_read(covered)


def test_small_faces_are_not_read(sight: Sight) -> None:
    face, crop, measures = sight
    assert Limits(face.box.width + 1).quality(face, crop, measures) == "small"
    assert Limits(face.box.width - 1).quality(face, crop, measures) == "good"
    assert not is_read("small dark")


def test_reasons_come_in_one_order(sight: Sight) -> None:
    face, _, measures = sight
    black = np.zeros((48, 48), np.uint8)
    quality = Limits(1e4, 1, 1).quality(face, black, replace(turned(measures, 9, 9), presence=0.9))
    assert quality == "small turned bent dark blurred"
    assert sorted(quality.split(), key=REASONS.index) == quality.split()


def test_sharpness_does_not_depend_on_light() -> None:
    noise = np.random.default_rng(1).normal(128, 20, (48, 48))
    face = cv2.GaussianBlur(noise, (0, 0), 1)
    bright, faint = (np.clip(face * a + b, 0, 255).astype(np.uint8) for a, b in ((1, 60), (0.5, 0)))
    assert sharpness(bright) == pytest.approx(sharpness(faint), rel=0.1)
    assert sharpness(np.zeros((48, 48), np.uint8)) == 0


def test_what_was_fitted_into_a_video_is_measured_in_its_pixels(detector: FaceDetector) -> None:
    image = as_image(portrait("collins"))
    with FaceMesh() as reader:
        mesh = reader.read(image, detector.detect(image)[0])
    size = image.width, image.height
    fit = Fit.of(size, (size[0] * 4, size[1] * 2))
    assert fit is not None
    inside, moved = fit.measures(measured(mesh)), fit.landmarks(mesh.landmarks)
    assert moved.dtype == np.float32
    assert moved[4, :2] == pytest.approx(mesh.landmarks[4, :2] * 2 + (size[0], 0), abs=2.5)
    again = measured(replace(mesh, landmarks=moved))
    assert again.pose.scale == pytest.approx(inside.pose.scale, rel=1e-4)
    assert (again.pose.yaw, again.pose.pitch) == pytest.approx((inside.pose.yaw, inside.pose.pitch), abs=1e-3)
    assert again.mouth_width == pytest.approx(inside.mouth_width, abs=1e-4)
