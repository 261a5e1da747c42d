"""Reading faces' meshes and movements, with the real networks, beside Google's own Face Landmarker."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fermedia.errors import ModelError
from fermedia.files import models_dir
from fermedia.images import as_image
from fermedia.media.photos import read_photo
from fermedia.media.video import VideoReader
from fermedia.types import BLENDSHAPES, PRESENT, Box, Face, Image, Mesh
from fermedia.vision.detect import FaceDetector
from fermedia.vision.mesh import FaceMesh
from fermedia.vision.networks import MESH_FILES
from tests.videos import Pixels, background
from tests.vision.painting import portrait, with_lids
from tests.vision.scenes import bgr, scene

#: Points of the mesh that are MediaPipe's key points, as near as may be: eyes, tip of the nose.
RIGHT_IRIS, LEFT_IRIS, NOSE = 468, 473, 1


@pytest.fixture(scope="module")
def reader() -> Iterator[FaceMesh]:
    with FaceMesh() as made:
        yield made


@pytest.fixture(scope="module")
def landmarker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """MediaPipe's; skipped where the extra ``mediapipe`` is not installed."""
    pytest.importorskip("mediapipe")
    from tests.vision import google

    with google.landmarker(tmp_path_factory.mktemp("task")) as made:
        yield made


def largest(detector: FaceDetector, image: Image | Pixels) -> Face:
    return detector.detect(image)[0]


def between_eyes(landmarks: NDArray[np.floating]) -> float:
    """Pixels between the eyes' outer corners."""
    return float(np.linalg.norm(landmarks[33, :2] - landmarks[263, :2]))


def apart(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """The median distance of the points in the image, as a share of that between the eyes."""
    return float(np.median(np.linalg.norm(one[:, :2] - other[:, :2], axis=1))) / between_eyes(other)


@pytest.mark.parametrize("name", ["collins", "hopper"])
def test_the_points_lie_on_the_face(name: str, reader: FaceMesh, detector: FaceDetector) -> None:
    image = portrait(name)
    face = largest(detector, image)
    mesh = reader.read(image, face)
    assert mesh.landmarks.shape == (478, 3)
    assert mesh.blendshapes.shape == (52,)
    assert mesh.landmarks.dtype == mesh.blendshapes.dtype == np.float32
    assert mesh.presence > 0.99
    near = 0.1 * face.box.width
    for point, keypoint in ((RIGHT_IRIS, 0), (LEFT_IRIS, 1), (NOSE, 2)):
        assert mesh.landmarks[point, :2] == pytest.approx(face.keypoints[keypoint], abs=near)
    right, left = mesh.landmarks[[234, 454]]  # before the ears
    assert right[0] < mesh.landmarks[NOSE, 0] < left[0]
    assert mesh.landmarks[NOSE, 2] < min(right[2], left[2]) - near  # nearer to the camera


def test_a_smile_and_a_closed_mouth_are_told_apart(reader: FaceMesh, detector: FaceDetector) -> None:
    smile = [BLENDSHAPES.index(f"mouthSmile{side}") for side in ("Left", "Right")]
    collins, hopper = (portrait(name) for name in ("collins", "hopper"))
    assert reader.read(collins, largest(detector, collins)).blendshapes[smile].min() > 0.6
    assert reader.read(hopper, largest(detector, hopper)).blendshapes[smile].max() < 0.2


def test_closed_lids_are_a_blink(reader: FaceMesh, detector: FaceDetector) -> None:
    image = portrait("collins")
    face = largest(detector, image)
    mesh = reader.read(image, face)
    shut = reader.read(with_lids(image, mesh, 1), face)
    blink = [BLENDSHAPES.index(f"eyeBlink{side}") for side in ("Left", "Right")]
    assert mesh.blendshapes[blink].max() < 0.15
    assert shut.blendshapes[blink].min() > 0.4


def test_a_face_that_is_followed_reads_as_one_that_was_found(reader: FaceMesh, detector: FaceDetector) -> None:
    for name in ("collins", "hopper"):
        image = portrait(name)
        face = largest(detector, image)
        found = reader.read(image, face)
        followed = found
        for _ in range(10):  # it settles, and does not creep away
            followed = reader.read(image, face, followed)
        assert apart(followed.landmarks, found.landmarks) * between_eyes(found.landmarks) < 1
        assert np.median(np.abs(followed.blendshapes - found.blendshapes)) < 0.02
        assert not np.array_equal(followed.landmarks, found.landmarks)


def test_points_that_lie_elsewhere_or_are_no_face_are_not_followed(reader: FaceMesh, detector: FaceDetector) -> None:
    image = portrait("hopper")
    face = largest(detector, image)
    found = reader.read(image, face)
    elsewhere = replace(found, landmarks=found.landmarks + np.float32(face.box.width))
    unsure = replace(found, presence=PRESENT - 0.01)
    for before in (elsewhere, unsure):
        assert np.array_equal(reader.read(image, face, before).landmarks, found.landmarks)


def test_grey_images_read_as_coloured_ones(reader: FaceMesh, detector: FaceDetector) -> None:
    image = portrait("collins")
    face = largest(detector, image)
    colored = reader.read(image, face)
    gray = reader.read(as_image(image).gray(), face)
    assert np.array_equal(colored.landmarks, gray.landmarks)
    assert np.array_equal(colored.blendshapes, gray.blendshapes)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_image_on_its_side_has_the_same_points(quarters: int, reader: FaceMesh, detector: FaceDetector) -> None:
    """The crop is turned upright, so only its sampling differs."""
    image = portrait("collins")
    side = image.shape[0]
    face = largest(detector, image)
    mesh = reader.read(image, face)
    middle, points, box = side / 2, face.keypoints, face.box
    turn = np.linalg.matrix_power(np.array([[0, -1], [1, 0]]), quarters)  # clockwise, for y points down
    x, y = turn @ (np.array(box.center) - middle) + middle
    lying = Face(
        Box(float(x) - box.width / 2, float(y) - box.height / 2, box.width, box.height),
        face.confidence,
        ((points - middle) @ turn.T + middle).astype(np.float32),
    )
    turned = reader.read(np.rot90(image, -quarters), lying)
    back = (turned.landmarks[:, :2] - middle) @ turn + middle
    assert apart(back, mesh.landmarks) < 0.01
    assert turned.landmarks[:, 2] == pytest.approx(mesh.landmarks[:, 2], abs=0.03 * box.width)
    assert np.median(np.abs(turned.blendshapes - mesh.blendshapes)) < 0.02


@pytest.mark.parametrize("place", [(15, 240), (320, 30), (610, 240)])
def test_a_face_cut_by_the_edge_keeps_its_place(
    place: tuple[int, int], reader: FaceMesh, detector: FaceDetector
) -> None:
    image, _ = scene((640, 480), [(*place, 150)])
    mesh = reader.read(bgr(image), largest(detector, bgr(image)))
    margin = 150
    wide, _ = scene((640 + 2 * margin, 480 + 2 * margin), [(place[0] + margin, place[1] + margin, 150)])
    whole = reader.read(bgr(wide), largest(detector, bgr(wide))).landmarks[:, :2] - margin
    seen = (whole > 0).all(axis=1) & (whole < [640, 480]).all(axis=1)
    assert 150 < seen.sum() < 478
    assert np.isfinite(mesh.landmarks).all()
    errors = np.linalg.norm(mesh.landmarks[seen, :2] - whole[seen], axis=1)
    assert np.median(errors) < 0.05 * 150


@pytest.mark.parametrize(("width", "near"), [(60, 0.03), (40, 0.045), (24, 0.07)])
def test_small_faces_have_the_points_of_large_ones(
    width: int, near: float, reader: FaceMesh, detector: FaceDetector
) -> None:
    """Whole pixels, to which the scene shifts its faces, are most of what they differ by."""
    large, _ = scene((640, 480), [(320, 240, 300)])
    small, _ = scene((640, 480), [(320, 240, width)])
    face = largest(detector, bgr(large))
    wanted = reader.read(bgr(large), face).landmarks
    scale, box = width / 300, face.box
    x, y = (np.array(box.center) - (320, 240)) * scale + (320, 240)
    shrunk = Box(
        float(x) - box.width * scale / 2, float(y) - box.height * scale / 2, box.width * scale, box.height * scale
    )
    keypoints = ((face.keypoints - (320, 240)) * scale + (320, 240)).astype(np.float32)
    mesh = reader.read(bgr(small), Face(shrunk, face.confidence, keypoints))
    assert apart((mesh.landmarks[:, :2] - (320, 240)) / scale + (320, 240), wanted) < near


def test_where_no_face_is_presence_says_so(reader: FaceMesh) -> None:
    image = bgr(background((320, 240)))
    nothing = Face(Box(100, 80, 80, 80), 0.6, np.array([[125, 105], [155, 105]] + [[140, 120]] * 4, np.float32))
    assert reader.read(image, nothing).presence < PRESENT


@pytest.mark.parametrize("shape", [(1, 1), (2, 300), (480, 640)])
@pytest.mark.parametrize(
    "box", [Box(0, 0, 1e-3, 1e-3), Box(-500, -500, 50, 50), Box(-1e4, -1e4, 3e4, 3e4), Box(10, 10, 40, 5)]
)
def test_odd_boxes_have_points_and_no_error(shape: tuple[int, int], box: Box, reader: FaceMesh) -> None:
    image = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
    face = Face(box, 0.5, np.full((6, 2), (box.x, box.y), np.float32))
    mesh = reader.read(image, face)
    for again in (mesh, reader.read(image, face, mesh)):
        assert 0 <= again.presence <= 1
        assert np.isfinite(again.landmarks).all()
        assert np.isfinite(again.blendshapes).all()


def test_each_thread_may_have_its_own(detector: FaceDetector) -> None:
    images = [portrait("collins"), portrait("hopper")] * 4
    faces = [largest(detector, image) for image in images[:2]] * 4

    def read(share: slice) -> list[Mesh]:
        with FaceMesh() as own:
            return [own.read(p, f) for p, f in zip(images[share], faces[share], strict=True)]

    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(read, (slice(0, 4), slice(4, 8)))
    for a, b in zip(one, other, strict=True):
        assert np.array_equal(a.landmarks, b.landmarks)
        assert np.array_equal(a.blendshapes, b.blendshapes)


def test_a_closed_one_says_so(detector: FaceDetector) -> None:
    image = portrait("collins")
    face = largest(detector, image)
    reader = FaceMesh()
    reader.close()
    reader.close()
    with pytest.raises(ValueError, match="closed"):
        reader.read(image, face)


@pytest.mark.parametrize("name", MESH_FILES)
@pytest.mark.parametrize("damage", ["missing", "changed"])
def test_a_damaged_network_is_refused(damage: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(models_dir() / "face", tmp_path / "face")
    path = tmp_path / "face" / name
    if damage == "missing":
        path.unlink()
    else:
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    monkeypatch.setattr("fermedia.vision.networks.models_dir", lambda: tmp_path)
    with pytest.raises(ModelError, match=name) as caught:
        FaceMesh()
    assert "\n" not in str(caught.value)
    assert "reinstall" in str(caught.value)


class TestBesideGoogle:
    """MediaPipe's own graph from image to blendshapes, with the same networks, in colour."""

    def pairs(
        self, images: list[Image], landmarker: Any, reader: FaceMesh, detector: FaceDetector
    ) -> list[tuple[Mesh, NDArray[np.float64], NDArray[np.float64]]]:
        """For each face that both find: ours, their landmarks in pixels (478, 3), their blendshapes (52,)."""
        from tests.vision import google

        return [
            (reader.read(image, face), landmarks, shapes)
            for image in images
            for landmarks, shapes in google.read(landmarker, image)
            for face in detector.detect(image)
            if google.same_face(landmarks, face)
        ]

    def compared(self, found: list[tuple[Mesh, NDArray[np.float64], NDArray[np.float64]]]) -> None:
        """Their crop is of another box, by a detector of theirs, so no face has the very same points."""
        points = [apart(mesh.landmarks, landmarks) for mesh, landmarks, _ in found]
        assert np.median(points) < 0.01
        assert max(points) < 0.05
        depths = [np.abs(mesh.landmarks - theirs)[:, 2] / between_eyes(theirs) for mesh, theirs, _ in found]
        assert np.median(depths) < 0.02
        off = np.array([np.abs(mesh.blendshapes - scores) for mesh, _, scores in found])
        assert np.median(off) < 0.01
        assert np.median(off.max(axis=1)) < 0.2

    def test_portraits(self, landmarker: Any, reader: FaceMesh, detector: FaceDetector) -> None:
        images = [as_image(portrait(name)) for name in ("collins", "hopper")]
        found = self.pairs(images, landmarker, reader, detector)
        assert len(found) == 2
        self.compared(found)

    def test_recordings(self, shared: Path, landmarker: Any, reader: FaceMesh, detector: FaceDetector) -> None:
        images = [read_photo(shared / "media" / f"{name}_face.jpg") for name in ("single", "multi")]
        for name, every in (("WolfgangLanger_Pexels.mp4", 24), ("single_face.mp4", 24)):
            with VideoReader(shared / "media" / name) as video:
                images += [frame.image for frame in video.frames() if frame.index % every == 0]
        found = self.pairs(images, landmarker, reader, detector)
        assert len(found) >= 20
        self.compared(found)


def test_a_video_is_followed_as_if_each_frame_were_looked_at_anew(
    shared: Path, reader: FaceMesh, detector: FaceDetector
) -> None:
    apart_by, shapes, before = [], [], None
    with VideoReader(shared / "media" / "single_face.mp4") as video:
        for frame in video.frames():
            if frame.index >= 30:
                break
            face = largest(detector, frame.image)
            found = reader.read(frame.image, face)
            before = reader.read(frame.image, face, before)
            apart_by.append(apart(before.landmarks, found.landmarks) * between_eyes(found.landmarks))
            shapes.append(np.abs(before.blendshapes - found.blendshapes))
    assert np.median(apart_by) < 1
    assert max(apart_by) < 2
    assert np.median(shapes) < 0.02
