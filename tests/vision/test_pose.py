"""How heads are held: the canonical face turned by known angles, and portraits mirrored and turned."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from fermedia.types import Pose
from fermedia.vision.detect import FaceDetector
from fermedia.vision.mesh import FaceMesh
from fermedia.vision.pose import angles, pose_of, rotation_by, rough_angles
from tests.videos import Pixels
from tests.vision.canonical import ANGLES, seen, turned
from tests.vision.painting import portrait, rolled

NOSE, RIGHT_CORNER, LEFT_CORNER = 4, 33, 263  # points with a weight: the nose's tip, the eyes' outer corners


@pytest.fixture(scope="module")
def reader() -> Iterator[FaceMesh]:
    with FaceMesh() as made:
        yield made


def test_known_angles_come_back() -> None:
    for yaw, pitch, roll in ANGLES:
        pose = pose_of(7.5 * turned(yaw, pitch, roll) + (100, 50, 20))
        assert (pose.yaw, pose.pitch, pose.roll) == pytest.approx((yaw, pitch, roll), abs=1e-6)
        assert pose.scale == pytest.approx(7.5)
        assert pose.rotation == pytest.approx(rotation_by(yaw, pitch, roll))


def test_a_photograph_changes_them_by_less_than_a_degree() -> None:
    for yaw, pitch, roll in ANGLES:
        pose = pose_of(seen(turned(yaw, pitch, roll), 120))
        assert (pose.yaw, pose.pitch, pose.roll) == pytest.approx((yaw, pitch, roll), abs=1)
        assert pose.scale == pytest.approx(900 / 120, rel=0.03)


def test_noise_is_averaged_over_the_points() -> None:
    noise = np.random.default_rng(3).normal(scale=0.1, size=(478, 3))  # a millimetre
    pose = pose_of(turned(20, -10, 5) + noise)
    assert (pose.yaw, pose.pitch, pose.roll) == pytest.approx((20, -10, 5), abs=1)


def test_the_signs_are_those_of_openface() -> None:
    ahead = turned(0, 0, 0)
    assert turned(20, 0, 0)[NOSE, 0] < ahead[NOSE, 0]  # to their own right is to the left in the image
    assert turned(0, 20, 0)[NOSE, 1] > ahead[NOSE, 1]  # down
    tilted = turned(0, 0, 20)
    assert tilted[RIGHT_CORNER, 1] < tilted[LEFT_CORNER, 1]  # clockwise: the right eye, left in the image, rises
    assert ahead[RIGHT_CORNER, 0] < ahead[LEFT_CORNER, 0]
    assert ahead[NOSE, 2] < ahead[RIGHT_CORNER, 2]  # nearer to the camera


def test_a_mirror_image_is_not_taken_for_a_turn() -> None:
    """Points behind the image's plane instead of before it have no rotation that fits; the nearest is one still."""
    pose = pose_of(turned(10, 5, 0) * (1, 1, -1))
    assert np.linalg.det(pose.rotation) == pytest.approx(1)


def test_angles_stay_defined_in_full_profile() -> None:
    assert angles(rotation_by(90, 0, 0))[0] == pytest.approx(90)
    assert angles(rotation_by(-90, 0, 0))[0] == pytest.approx(-90)


class TestPortraits:
    def pose(self, image: Pixels, reader: FaceMesh, detector: FaceDetector) -> Pose:
        image = np.ascontiguousarray(image)
        return pose_of(reader.read(image, detector.detect(image)[0]).landmarks)

    @pytest.mark.parametrize("name", ["collins", "hopper"])
    def test_people_who_face_the_camera(self, name: str, reader: FaceMesh, detector: FaceDetector) -> None:
        pose = self.pose(portrait(name), reader, detector)
        assert abs(pose.yaw) < 6
        assert abs(pose.pitch) < 12
        assert abs(pose.roll) < 6

    @pytest.mark.parametrize("name", ["collins", "hopper"])
    def test_a_mirrored_image_turns_the_signs_of_yaw_and_roll(
        self, name: str, reader: FaceMesh, detector: FaceDetector
    ) -> None:
        for degrees in (0, 25):
            image = rolled(portrait(name), degrees)
            one, other = (self.pose(p, reader, detector) for p in (image, image[:, ::-1]))
            assert (other.yaw, other.pitch, other.roll) == pytest.approx((-one.yaw, one.pitch, -one.roll), abs=2.5)

    @pytest.mark.parametrize("degrees", [-40, -15, 10, 30, 60])
    def test_a_image_turned_changes_roll_by_as_much(
        self, degrees: int, reader: FaceMesh, detector: FaceDetector
    ) -> None:
        image = portrait("hopper")  # she faces the camera, so that turning the image is no yaw or pitch
        before, after = (self.pose(p, reader, detector) for p in (image, rolled(image, degrees)))
        assert after.roll - before.roll == pytest.approx(degrees, abs=1.5)

    def test_turning_the_image_turns_the_rotation(self, reader: FaceMesh, detector: FaceDetector) -> None:
        """The rotation that the image was turned by is what the two poses differ by, whatever the pose is."""
        image = portrait("collins")
        before, after = (self.pose(p, reader, detector) for p in (image, rolled(image, 45)))
        off = rotation_by(0, 0, 45) @ before.rotation @ after.rotation.T
        assert np.degrees(np.arccos((np.trace(off) - 1) / 2)) < 3

    @pytest.mark.parametrize("name", ["collins", "hopper"])
    @pytest.mark.parametrize("degrees", [-30, 0, 20])
    def test_key_points_alone_tell_roughly_the_same(
        self, name: str, degrees: int, reader: FaceMesh, detector: FaceDetector
    ) -> None:
        image = rolled(portrait(name), degrees)
        face = detector.detect(image)[0]
        pose = pose_of(reader.read(image, face).landmarks)
        assert rough_angles(face.keypoints) == pytest.approx((pose.yaw, pose.pitch, pose.roll), abs=9)


def test_a_turned_head_is_turned_by_its_key_points_too() -> None:
    """Those of the canonical face: eyes between their corners, and a mouth where it has one, without a weight."""
    for yaw, pitch, roll in ((-35, 0, 0), (-15, 10, 20), (0, 0, -50), (20, -10, 0), (35, 5, 10)):
        points = turned(yaw, pitch, roll)
        mouth = rotation_by(yaw, pitch, roll) @ (0, 4.3, -5.3)
        eyes = (points[33] + points[133]) / 2, (points[263] + points[362]) / 2
        rough = rough_angles(np.array([*eyes, points[NOSE], mouth])[:, :2])
        assert rough == pytest.approx((yaw, pitch, roll), abs=15)


def test_key_points_in_one_place_have_angles() -> None:
    assert np.isfinite(rough_angles(np.full((6, 2), 7.0, np.float32))).all()
