"""Finding faces, with the real networks."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from fermedia.errors import ModelError
from fermedia.files import models_dir
from fermedia.media.video import VideoReader
from fermedia.pictures import ArrayPicture, as_picture
from fermedia.types import Box
from fermedia.vision.detect import DETECTOR_FILES, FaceDetector
from tests.films import Image, background, head, moving_faces, write_film
from tests.vision.scenes import bgr, scene

#: (x, y, width) of faces in a picture of 960x540.
GROUP = [
    (140, 190, 200),
    (420, 130, 120),
    (620, 150, 80),
    (800, 140, 110),
    (420, 420, 90),
    (680, 430, 150),
    (880, 380, 60),
]


def matched(found: list[Box], wanted: list[Box]) -> list[int]:
    """Per wanted box how many of the found ones lie on it."""
    return [sum(box.iou(other) > 0.6 for other in found) for box in wanted]


@pytest.mark.parametrize("width", [40, 60, 100, 200, 300, 400, 460])
def test_a_face_is_found_once_from_far_to_filling_the_picture(detector: FaceDetector, width: int) -> None:
    picture, boxes = scene((640, 480), [(320, 240, width)])
    faces = detector.detect(bgr(picture))
    assert matched([face.box for face in faces], boxes) == [1]
    assert len(faces) == 1
    assert faces[0].box.width == pytest.approx(width, rel=0.1)


def test_a_group_of_all_sizes_is_found_whole_and_largest_first(detector: FaceDetector) -> None:
    picture, boxes = scene((960, 540), GROUP)
    faces = detector.detect(bgr(picture))
    assert len(faces) == len(GROUP)
    assert matched([face.box for face in faces], boxes) == [1] * len(GROUP)
    areas = [face.box.area for face in faces]
    assert areas == sorted(areas, reverse=True)


@pytest.mark.parametrize("place", [(20, 200), (320, 15), (320, 470)])
def test_a_face_cut_by_the_edge_keeps_its_whole_box(detector: FaceDetector, place: tuple[float, float]) -> None:
    picture, boxes = scene((640, 480), [(*place, 150)])
    faces = detector.detect(bgr(picture))
    assert matched([face.box for face in faces], boxes) == [1]
    box = faces[0].box
    assert box.x < 0 or box.y < 0 or box.y + box.height > 480


def test_keypoints_lie_where_mediapipe_says(detector: FaceDetector) -> None:
    picture, _ = scene((640, 480), [(300, 220, 200)])
    (face,) = detector.detect(bgr(picture))
    right_eye, left_eye, nose, mouth, _, _ = face.keypoints
    assert face.keypoints.shape == (6, 2)
    assert face.keypoints.dtype == np.float32
    assert right_eye[0] < nose[0] < left_eye[0]  # the person's right is left in the picture
    assert max(right_eye[1], left_eye[1]) < nose[1] < mouth[1]
    assert all(face.box.x < x < face.box.x + face.box.width for x in (right_eye[0], left_eye[0], nose[0], mouth[0]))
    assert 0.5 <= face.confidence <= 1


@pytest.mark.parametrize("width", [50, 90, 200, 350])
def test_a_face_has_the_same_box_however_large_it_is_shown(detector: FaceDetector, width: int) -> None:
    """The two networks box faces differently; the second look must even that out."""
    (reference,) = detector.detect(bgr(scene((640, 480), [(320, 240, 150)])[0]))
    (face,) = detector.detect(bgr(scene((640, 480), [(320, 240, width)])[0]))
    assert face.box.width / width == pytest.approx(reference.box.width / 150, rel=0.07)
    for own, other, middle in zip(face.box.center, reference.box.center, (320, 240), strict=True):
        assert (own - middle) / width == pytest.approx((other - middle) / 150, abs=0.06)


def test_arrays_need_not_be_contiguous(detector: FaceDetector) -> None:
    """mediapipe reads padding as pixels, and finds nothing, without an error."""
    image = bgr(scene((596, 336), [(300, 170, 120)])[0])
    padded = np.zeros((336, 640, 3), np.uint8)[:, :596]
    padded[...] = image
    assert not padded.flags.c_contiguous
    plain = detector.detect(image)
    assert len(plain) == 1
    for other in (padded, image[:, ::-1][:, ::-1], np.asfortranarray(image)):
        assert [face.box for face in detector.detect(other)] == [face.box for face in plain]


def test_a_picture_may_give_padded_rows(detector: FaceDetector) -> None:
    class Padded(ArrayPicture):
        def rgb(self, size: tuple[int, int] | None = None) -> Image:
            plain = super().rgb(size)
            return np.pad(plain, ((0, 0), (0, 28), (0, 0)))[:, : plain.shape[1]]

    picture = scene((596, 336), [(300, 170, 60)])[0]
    assert len(detector.detect(Padded(picture))) == len(detector.detect(ArrayPicture(picture))) == 1


def test_rows_that_a_decoder_pads(detector: FaceDetector, tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.mp4", moving_faces(3, (596, 336)))
    with VideoReader(film) as reader:
        assert [len(detector.detect(frame.picture)) for frame in reader.frames()] == [1, 1, 1]


def test_grey_and_colour_find_the_same_face(detector: FaceDetector) -> None:
    image = bgr(scene((640, 480), [(320, 240, 150)])[0])
    (color,) = detector.detect(image)
    (gray,) = detector.detect(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY))
    (picture,) = detector.detect(as_picture(image))
    assert color.box.iou(gray.box) > 0.9
    assert color.box == picture.box


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (3, 400), (2000, 2)])
def test_nothing_is_found_where_nothing_is(detector: FaceDetector, size: tuple[int, int]) -> None:
    assert detector.detect(bgr(background(size))) == []


def test_no_face_in_patterns(detector: FaceDetector) -> None:
    from skimage import data

    for picture in (data.brick(), data.coffee(), data.gravel(), data.moon(), data.coins(), data.text(), data.rocket()):
        assert detector.detect(np.ascontiguousarray(picture)) == []


@pytest.mark.parametrize("image", [np.zeros((8, 8)), np.zeros((8, 8, 4), np.uint8), np.zeros((0, 8), np.uint8)])
def test_other_arrays_are_refused(detector: FaceDetector, image: np.ndarray) -> None:
    with pytest.raises(ValueError, match="uint8"):
        detector.detect(image)


def test_confidence_is_the_least_reported() -> None:
    picture = bgr(scene((960, 540), GROUP)[0])
    found = {}
    for least in (0.5, 0.8):
        with FaceDetector(least) as detector:
            found[least] = [face.confidence for face in detector.detect(picture)]
    assert sorted(c for c in found[0.5] if c >= 0.8) == sorted(found[0.8])
    assert 0 < len(found[0.8]) < len(found[0.5])
    for wrong in (0, 1, -0.1, 1.5):
        with pytest.raises(ValueError, match="confidence"):
            FaceDetector(wrong)


def test_a_closed_detector_says_so() -> None:
    detector = FaceDetector()
    detector.close()
    detector.close()
    with pytest.raises(ValueError, match="closed"):
        detector.detect(head())


@pytest.mark.parametrize("damage", ["missing", "cut", "changed"])
def test_a_damaged_network_is_refused(damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(models_dir() / "face", tmp_path / "face")
    name = sorted(DETECTOR_FILES)[0]
    path = tmp_path / "face" / name
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(content[:-1] if damage == "cut" else content[:-1] + bytes([content[-1] ^ 1]))
    monkeypatch.setattr("fermedia.vision.detect.models_dir", lambda: tmp_path)
    with pytest.raises(ModelError, match=name) as caught:
        FaceDetector()
    assert "\n" not in str(caught.value)
    assert "reinstall" in str(caught.value)


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    root = str(Path(__file__).resolve().parents[2])
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=False)


def test_detection_loads_no_tensorflow_and_prints_nothing() -> None:
    """Nor a traceback from mediapipe where the detector is left open."""
    done = run_python(
        "import sys, fermedia.vision.detect as d\n"
        "assert 'mediapipe' not in sys.modules\n"
        "from tests.films import astronaut\n"
        "detector = d.FaceDetector()\n"
        "assert len(detector.detect(astronaut())) == 1\n"
        "assert not [m for m in sys.modules if m.split('.')[0] == 'tensorflow'], 'tensorflow'\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_tensorflow_can_still_be_imported_afterwards() -> None:
    done = run_python(
        "import sys, importlib.util, fermedia.vision.detect as d\n"
        "d.FaceDetector().close()\n"
        "assert 'tensorflow' not in sys.modules\n"
        "importlib.util.find_spec('tensorflow')\n"
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_words_on_stderr_come_through_after_a_detector_was_made() -> None:
    done = run_python("import sys, fermedia\nwith fermedia.FaceDetector(): print('here', file=sys.stderr)\n")
    assert (done.returncode, done.stderr) == (0, "here\n")


# -- recordings that are not part of the project ----------------------------------------------------------------------


def test_shared_photos(detector: FaceDetector, shared: Path) -> None:
    for name, count in (("multi_face.jpg", 5), ("single_face.jpg", 1)):
        assert len(detector.detect(cv2.imread(str(shared / "media" / name)))) == count


@pytest.mark.parametrize(
    ("name", "count", "step"), [("no_face.mp4", 0, 1), ("single_face.mp4", 1, 3), ("WolfgangLanger_Pexels.mp4", 1, 12)]
)
def test_shared_films(detector: FaceDetector, shared: Path, name: str, count: int, step: int) -> None:
    with VideoReader(shared / "media" / name) as reader:
        counts = [len(detector.detect(f.picture)) for f in reader.frames() if f.index % step == 0]
    assert set(counts) == {count}


def test_shared_tight_crops(detector: FaceDetector, shared: Path) -> None:
    """FER-2013's own images: faces that fill the picture."""
    with zipfile.ZipFile(shared / "data" / "fer2013.zip") as archive:
        names = sorted(name for name in archive.namelist() if "/Training_" in name)
        chosen = [names[i] for i in np.random.default_rng(0).choice(len(names), 60, replace=False)]
        images = [np.frombuffer(archive.read(name), np.uint8) for name in chosen]
    found = [
        bool(detector.detect(cv2.resize(cv2.imdecode(image, cv2.IMREAD_GRAYSCALE), (192, 192)))) for image in images
    ]
    assert np.mean(found) > 0.85
