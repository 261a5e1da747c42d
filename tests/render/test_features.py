"""What is measured is drawn as it was measured: where the head points, where the eyes look, and only if it is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from fermedia.options import DRAWN
from fermedia.render import features as drawn
from fermedia.render.drawing import Look, overlay
from fermedia.render.features import features
from fermedia.render.patches import blend_rgb
from fermedia.types import BLENDSHAPES, Gaze, Measures, Mesh, Observation
from fermedia.vision.detect import FaceDetector
from fermedia.vision.measures import measured
from fermedia.vision.mesh import FaceMesh
from fermedia.vision.pose import _INDEX, _PLACES, pose_of, rotation_by
from tests.seen import face
from tests.vision.painting import mesh_of, portrait

MIDDLE, SCALE = (320.0, 240.0), 12.0
_NOSE = np.array([*MIDDLE, 0])
Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def mesh() -> Mesh:
    """A portrait's mesh, turned to the camera, its nose in the middle of an image of 640x480."""
    with FaceDetector() as detector, FaceMesh() as reader:
        found = mesh_of(portrait("collins"), reader, detector)
    pose = pose_of(found.landmarks)
    points = (found.landmarks - found.landmarks[4]) @ pose.rotation * (SCALE / pose.scale)
    return replace(found, landmarks=(points + _NOSE).astype(np.float32))


def of(mesh: Mesh, yaw: float = 0, pitch: float = 0, roll: float = 0, **changed: object) -> Observation:
    """The face turned by these angles around the tip of its nose; ``changed`` are fields of its measures."""
    points = (mesh.landmarks - _NOSE) @ rotation_by(yaw, pitch, roll).T + _NOSE
    shown = replace(measured(replace(mesh, landmarks=points.astype(np.float32))), **changed)  # type: ignore[arg-type]
    return replace(face(220, 140, 200, 200), measures=shown, landmarks=points.astype(np.float32))


def painted(seen: Observation, *kinds: str, size: tuple[int, int] = (640, 480)) -> Pixels:
    image = np.zeros((size[1], size[0], 3), np.uint8)
    blend_rgb(image, features(seen, kinds, 11, size))
    return image


def of_color(image: Pixels, color: tuple[int, int, int]) -> NDArray[np.float64]:
    """The places (n, 2) of pixels of a colour, x and y."""
    rows, columns = np.nonzero(np.abs(image.astype(int) - color).max(axis=2) < 30)
    return np.stack([columns, rows], axis=1).astype(np.float64) + 0.5


@pytest.mark.parametrize(
    ("angles", "direction"),
    [
        ((30, 0, 0), (-1, 0)),
        ((-30, 0, 0), (1, 0)),
        ((0, 25, 0), (0, 1)),
        ((0, -25, 0), (0, -1)),
        ((30, 25, 0), (-1, 1)),
    ],
)
def test_the_nose_line_points_where_the_face_does(
    mesh: Mesh, angles: tuple[float, float, float], direction: tuple[int, int]
) -> None:
    """Yaw is positive to the left in the image, pitch downwards (``vision.pose``); the length is that of the angle."""
    tip = of_color(painted(of(mesh, *angles), "pose"), drawn._FORWARD)
    far = tip[np.linalg.norm(tip - MIDDLE, axis=1).argmax()] - MIDDLE
    expected = -rotation_by(*angles)[:2, 2] * drawn._OUT * SCALE
    assert far == pytest.approx(expected, abs=5)
    for got, sign in zip(far, direction, strict=True):
        assert got * sign > 20 if sign else abs(got) < 8


def test_the_axes_turn_with_the_head(mesh: Mesh) -> None:
    """A head tilted clockwise: the axis to the person's left goes down, the one to the chin to the left."""
    image = painted(of(mesh, roll=30), "pose")
    side, chin = (of_color(image, color).mean(axis=0) - MIDDLE for color in (drawn._TO_SIDE, drawn._DOWN))
    assert np.degrees(np.arctan2(side[1], side[0])) == pytest.approx(30, abs=3)
    assert np.degrees(np.arctan2(chin[1], chin[0])) == pytest.approx(120, abs=3)


@pytest.mark.parametrize("gaze", [Gaze(25, 0), Gaze(-25, 0), Gaze(0, 20), Gaze(15, -15)])
def test_gaze_goes_from_each_iris(mesh: Mesh, gaze: Gaze) -> None:
    seen = of(mesh, gaze=gaze, right_eye=0.3, left_eye=0.3)
    places = of_color(painted(seen, "gaze"), drawn._SIGHT)
    assert seen.landmarks is not None
    irises = seen.landmarks[[468, 473], :2]
    half = irises[:, 0].mean() + np.sign(gaze.x) * 15
    for iris, mine in zip(irises, (places[places[:, 0] < half], places[places[:, 0] >= half]), strict=True):
        away = mine.mean(axis=0) - iris
        assert np.sign(np.round(away / 6)).tolist() == [np.sign(gaze.x), np.sign(gaze.y)]


def test_a_shut_eye_looks_nowhere(mesh: Mesh) -> None:
    both = painted(of(mesh, gaze=Gaze(20, 0), right_eye=0.3, left_eye=0.3), "gaze")
    one = painted(of(mesh, gaze=Gaze(20, 0), right_eye=0.05, left_eye=0.3), "gaze")
    assert 0.4 < len(of_color(one, drawn._SIGHT)) / len(of_color(both, drawn._SIGHT)) < 0.6
    assert not painted(of(mesh, gaze=None), "gaze").any()


def test_the_mesh_lies_on_its_landmarks(mesh: Mesh) -> None:
    seen = of(mesh)
    image = painted(seen, "mesh").max(axis=2)
    assert seen.landmarks is not None
    for outline in drawn._OUTLINES:
        x, y = np.floor(seen.landmarks[list(outline), :2]).astype(int).T
        assert image[y, x].min() > 100
    assert (image > 100).mean() < 0.03  # lines, no areas


def test_only_what_was_asked_for_is_drawn(mesh: Mesh) -> None:
    seen = of(mesh, yaw=20, gaze=Gaze(-20, 10), right_eye=0.3, left_eye=0.3)
    line = drawn._LINE[0] * 17 // 20, drawn._LINE[1] * 17 // 20, drawn._LINE[2] * 17 // 20  # it is translucent
    colors = {"mesh": line, "pose": drawn._DOWN, "gaze": drawn._SIGHT}
    for kinds in (("mesh",), ("pose",), ("gaze",), ("pose", "gaze"), DRAWN):
        image = painted(seen, *kinds)
        assert {kind for kind, color in colors.items() if len(of_color(image, color)) > 20} == set(kinds)
    assert features(seen, (), 11, (640, 480)) == []


def test_what_is_unknown_is_not_drawn(mesh: Mesh) -> None:
    seen = of(mesh)
    assert features(of(mesh, presence=0.3), DRAWN, 11, (640, 480)) == []
    assert features(replace(seen, landmarks=None), DRAWN, 11, (640, 480)) == []
    assert features(replace(seen, measures=None), DRAWN, 11, (640, 480)) == []


def test_faces_that_are_not_classified_are_drawn_too(mesh: Mesh) -> None:
    seen = replace(of(mesh, yaw=30), probabilities=None, quality="turned")
    plain, more = (overlay([seen], 640, 480, Look(0.4, draw)) for draw in ((), ("mesh", "pose")))
    assert len(more) == len(plain) + 1
    image = np.zeros((480, 640, 3), np.uint8)
    blend_rgb(image, more)
    assert len(of_color(image, drawn._FORWARD)) > 20


@pytest.mark.parametrize("size", [(1, 1), (64, 48), (641, 361), (1920, 1080)])
def test_never_leaves_the_image(mesh: Mesh, size: tuple[int, int]) -> None:
    random = np.random.default_rng(size[0])
    for x, y, scale in zip(*random.uniform(-0.3, 1.3, (2, 20)), random.uniform(0.05, 4, 20), strict=True):
        points = (mesh.landmarks - _NOSE) * scale + (x * size[0], y * size[1], 0)
        shown = measured(replace(mesh, landmarks=points.astype(np.float32)))
        seen = replace(face(0, 0, 50, 50), measures=shown, landmarks=points.astype(np.float32))
        for patch in features(seen, DRAWN, 11, size):
            height, width = patch.rgba.shape[:2]
            assert min(patch.x, patch.y) >= 0 < patch.rgba.size
            assert patch.x + width <= size[0]
            assert patch.y + height <= size[1]
            assert (patch.rgba[:, :, :3] <= patch.rgba[:, :, 3:]).all()  # premultiplied


def test_the_canonical_face_is_the_one_that_is_turned() -> None:
    """The scale of the axes: a face of the canonical size has axes of as many centimetres."""
    points = np.zeros((478, 3))
    points[_INDEX] = _PLACES * SCALE
    shapes = np.zeros(len(BLENDSHAPES), np.float32)
    shown = Measures(1.0, pose_of(points), Gaze(0, 0), Gaze(0, 0), 0.3, 0.3, 0.0, 1.0, 0.0, 0.0, shapes)
    points[4] = _NOSE
    seen = replace(face(220, 140, 200, 200), measures=shown, landmarks=points.astype(np.float32))
    side = of_color(painted(seen, "pose"), drawn._TO_SIDE)
    assert side[:, 0].max() - MIDDLE[0] == pytest.approx(drawn._AXIS * SCALE, abs=2)
