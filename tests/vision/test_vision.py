"""Detection, framing, classification and following, with the real networks."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from fermedia.errors import ModelError, UsageError
from fermedia.files import models_dir
from fermedia.pictures import ArrayPicture
from fermedia.types import Box, Face, Frame
from fermedia.vision.classify import Classifier
from fermedia.vision.detect import FaceDetector
from fermedia.vision.framing import crop_face
from fermedia.vision.observe import MOST_WAITING, observe
from fermedia.vision.track import Tracker, number_by_size
from tests.films import astronaut, background, head

Image = np.ndarray


@pytest.fixture(scope="module")
def detector() -> Iterator[FaceDetector]:
    with FaceDetector() as detector:
        yield detector


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier.load()


def bgr(rgb: Image) -> Image:
    return rgb[..., ::-1]


def scene(*places: tuple[int, int, int], size: tuple[int, int] = (960, 540)) -> Image:
    """The astronaut's head (side, x, y of its corner) several times in one RGB picture."""
    picture = background(size)
    for side, x, y in places:
        picture[y : y + side, x : x + side] = cv2.resize(head(), (side, side), interpolation=cv2.INTER_AREA)
    return picture


# -- detection ------------------------------------------------------------------------------------------------------


def test_a_portrait(detector: FaceDetector) -> None:
    (face,) = detector.detect(bgr(astronaut()))
    assert face.box.center == pytest.approx((225, 115), abs=20)
    assert 80 < face.box.width < 140
    right_eye, left_eye, nose, mouth = face.keypoints[:4]
    assert right_eye[0] < nose[0] < left_eye[0]
    assert right_eye[1] < nose[1] < mouth[1]
    assert face.confidence > 0.7


def test_a_group_of_several_sizes_and_a_close_up(detector: FaceDetector) -> None:
    places = [(170, 20, 20), (200, 250, 230), (320, 560, 120)]
    faces = detector.detect(bgr(scene(*places)))
    assert len(faces) == 3
    assert [f.box.area for f in faces] == sorted((f.box.area for f in faces), reverse=True)
    for face, (side, x, y) in zip(faces, reversed(places), strict=True):
        assert face.box.center == pytest.approx((x + side / 2, y + side * 0.48), abs=0.12 * side)
    assert len(detector.detect(bgr(astronaut()[60:170, 170:280]))) == 1  # nothing but the face


def test_nobody(detector: FaceDetector) -> None:
    assert detector.detect(bgr(background((640, 480)))) == []


def test_arrays_with_padded_rows_and_grey_ones_find_the_same_face(detector: FaceDetector) -> None:
    picture = bgr(astronaut())
    (whole,) = detector.detect(np.ascontiguousarray(picture))
    wide = np.zeros((512, 600, 3), np.uint8)
    wide[:, :512] = picture
    (padded,) = detector.detect(wide[:, :512])
    assert padded.box == whole.box
    (gray,) = detector.detect(cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_BGR2GRAY))
    assert gray.box.iou(whole.box) > 0.8


def test_mirrored_picture_gives_mirrored_box(detector: FaceDetector) -> None:
    (face,) = detector.detect(bgr(astronaut()))
    (mirrored,) = detector.detect(bgr(astronaut())[:, ::-1])
    assert mirrored.box.center[0] == pytest.approx(512 - face.box.center[0], abs=8)


def test_detection_is_silent_and_loads_no_tensorflow() -> None:
    code = (
        "import sys, fermedia\nfrom tests.films import astronaut\n"
        "with fermedia.FaceDetector() as d: n = len(d.detect(astronaut()[..., ::-1].copy()))\n"
        "fermedia.Classifier.load().predict([astronaut()[:48, :48]])\n"
        "open_one = fermedia.FaceDetector()\n"
        "print(n, 'tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == ("1 False", "")


def test_a_closed_detector_says_so() -> None:
    detector = FaceDetector()
    detector.close()
    detector.close()
    with pytest.raises(ValueError, match="closed"):
        detector.detect(astronaut())


def test_shared_pictures(shared: Path, detector: FaceDetector) -> None:
    for name, count in (("multi_face.jpg", 5), ("single_face.jpg", 1)):
        picture = cv2.imread(str(shared / "media" / name))
        assert picture is not None
        assert len(detector.detect(picture)) == count


# -- framing --------------------------------------------------------------------------------------------------------


def test_the_crop_is_framed_as_fer2013_frames_faces(detector: FaceDetector) -> None:
    """FER-2013's eyes lie at (0.32, 0.40) and (0.69, 0.39) of the frame, the mouth at (0.51, 0.78)."""
    picture = ArrayPicture(scene((400, 100, 60)))
    (face,) = detector.detect(picture)
    crop = crop_face(picture, face.box, 192)
    (seen,) = detector.detect(crop)
    points = seen.keypoints / 192
    for point, expected in zip(points[[0, 1, 3]], [(0.32, 0.40), (0.69, 0.39), (0.51, 0.78)], strict=True):
        assert point == pytest.approx(expected, abs=0.1)


def test_a_crop_beyond_the_edge_repeats_it_and_does_not_alias() -> None:
    stripes = np.zeros((400, 400, 3), np.uint8)
    stripes[:, ::2] = 255
    crop = crop_face(ArrayPicture(stripes), Box(-100, 50, 300, 300), 48)
    assert (crop.shape, crop.dtype) == ((48, 48), np.uint8)
    assert np.abs(crop[:, 25:].astype(int) - 128).max() < 20  # averaged to grey
    assert len(set(crop[:, 0])) == 1


# -- classification ---------------------------------------------------------------------------------------------------


def faces(n: int) -> Image:
    rng = np.random.default_rng(3)
    base = cv2.resize(cv2.cvtColor(head(), cv2.COLOR_RGB2GRAY)[60:180, 60:180], (48, 48))
    return np.stack(
        [np.clip(base * rng.uniform(0.5, 1.2) + rng.normal(0, 9, base.shape), 0, 255) for _ in range(n)]
    ).astype(np.uint8)


def test_results_do_not_depend_on_the_company(classifier: Classifier) -> None:
    crops = faces(19)
    together = classifier.predict(crops)
    assert (together.shape, together.dtype) == ((19, 7), np.float32)
    np.testing.assert_allclose(together.sum(1), 1, atol=1e-5)
    alone = np.concatenate([classifier.predict([crop]) for crop in crops])
    np.testing.assert_array_equal(together, alone)
    assert len(np.unique(together.argmax(1) * 0 + together[:, 3])) > 10  # each its own
    assert classifier.predict([]).shape == (0, 7)


def test_a_smile_is_happy(detector: FaceDetector, classifier: Classifier) -> None:
    picture = ArrayPicture(astronaut())
    (face,) = detector.detect(picture)
    (p,) = classifier.predict([crop_face(picture, face.box)])
    assert p.argmax() == 3
    assert p[3] > 0.7


def test_crops_of_any_size_and_colour(classifier: Classifier) -> None:
    large = cv2.resize(faces(1)[0], (192, 192), interpolation=cv2.INTER_CUBIC)
    gray = classifier.predict([large])
    color = classifier.predict([cv2.cvtColor(large, cv2.COLOR_GRAY2BGR)])
    np.testing.assert_allclose(gray, color, atol=1e-3)
    blue = np.zeros((48, 48, 3), np.uint8)
    blue[..., 0] = 255  # BGR: blue is 29 in grey, red would be 76
    np.testing.assert_allclose(
        classifier.predict([blue]), classifier.predict([np.full((48, 48), 29, np.uint8)]), atol=1e-3
    )
    with pytest.raises(ValueError, match="uint8"):
        classifier.predict([large.astype(np.float32)])


def test_golden_outputs_of_the_model_that_ships(classifier: Classifier) -> None:
    golden = json.loads((Path(__file__).parent / "golden.json").read_text())
    assert golden["sha256"] == classifier.sha256, "the model changed: make golden.json anew"
    ramp = np.add.outer(np.arange(48), np.arange(48)).astype(np.uint8) * 2
    for head_name, rows in golden["outputs"].items():
        got = Classifier.load(labels=head_name).predict([ramp, ramp[::-1].copy()])
        np.testing.assert_allclose(got, rows, atol=2e-3)


def test_damaged_and_foreign_models_are_refused(tmp_path: Path) -> None:
    shipped = models_dir() / "emotion"
    folder = tmp_path / "m"
    shutil.copytree(shipped, folder)
    assert Classifier.load(folder).predict(faces(1)).shape == (1, 7)
    with pytest.raises(UsageError, match="no labels 'mine'"):
        Classifier.load(folder, "mine")
    content = bytearray((folder / "model.tflite").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "model.tflite").write_bytes(content)
    with pytest.raises(ModelError, match=r"model\.tflite: is damaged, its checksum"):
        Classifier.load(folder)
    card = json.loads((folder / "card.json").read_text())
    for change, message in (
        ({"format": 99}, "newer fermedia"),
        ({"labels": card["labels"][::-1]}, "its labels are"),
        ({"files": {}}, "is damaged"),
    ):
        (folder / "card.json").write_text(json.dumps(card | change))
        with pytest.raises(ModelError, match=message):
            Classifier.load(folder)


# -- following and observing ------------------------------------------------------------------------------------------


def face_at(x: float, y: float = 100, side: float = 50) -> Face:
    return Face(Box(x - side / 2, y - side / 2, side, side), 0.9, np.zeros((6, 2), np.float32))


def test_two_people_who_pass_each_other_keep_their_ids() -> None:
    tracker = Tracker()
    for n in range(60):
        ids = tracker.update([face_at(100 + 8 * n, 100), face_at(572 - 8 * n, 150)], n / 25)
        assert ids == [0, 1]


def test_a_short_absence_keeps_the_id_and_a_long_one_does_not() -> None:
    tracker = Tracker()
    assert tracker.update([face_at(100)], 0.0) == [0]
    assert tracker.update([], 0.4) == []
    assert tracker.update([face_at(105)], 0.8) == [0]
    assert tracker.update([], 1.9) == []
    assert tracker.update([face_at(105)], 3.0) == [1]
    assert tracker.update([face_at(105), face_at(400)], 3.04) == [1, 2]
    assert tracker.update([face_at(400), face_at(105)], 3.08) == [2, 1]


def test_sampling_does_not_change_who_is_who() -> None:
    for every in (1, 5, 10):
        tracker = Tracker()
        for n in range(0, 100, every):
            assert tracker.update([face_at(100 + 2 * n), face_at(700 - 2 * n, 300)], n / 25) == [0, 1]


def test_ids_in_a_picture_go_by_size() -> None:
    assert number_by_size([face_at(0, side=20), face_at(0, side=60), face_at(0, side=40)]) == [2, 0, 1]


def test_every_frame_comes_once_in_order_and_lazily(detector: FaceDetector, classifier: Classifier) -> None:
    taken = 0

    def frames() -> Iterator[Frame]:
        nonlocal taken
        for n in range(45):
            taken += 1
            picture = scene((200, 100, 100), size=(400, 320)) if n % 3 == 0 else background((400, 320))
            yield Frame(n, n / 25, ArrayPicture(picture), sampled=n % 2 == 0)

    seen = []
    for frame, observations in observe(frames(), detector, classifier, Tracker()):
        assert taken - frame.index <= MOST_WAITING
        seen.append(frame.index)
        if frame.index % 2:
            assert observations is None
        else:
            assert observations is not None
            assert [o.face_id for o in observations] == ([0] if frame.index % 3 == 0 else [])
    assert seen == list(range(45))


def test_each_face_of_a_frame_gets_its_own_prediction(detector: FaceDetector, classifier: Classifier) -> None:
    picture = scene((320, 560, 120), (200, 100, 200))
    half = picture.copy()
    half[200:400, 100:300] = half[200:400, 100:300] // 4  # the smaller one in the dark
    ((_, found),) = observe([Frame(0, None, ArrayPicture(half), name="a")], detector, classifier)
    assert found is not None
    assert [o.face_id for o in found] == [0, 1]
    assert found[0].face.box.area > found[1].face.box.area
    for o in found:
        (alone,) = classifier.predict([crop_face(ArrayPicture(half), o.face.box)])
        np.testing.assert_array_equal(o.probabilities, alone)
    assert not np.array_equal(found[0].probabilities, found[1].probabilities)
