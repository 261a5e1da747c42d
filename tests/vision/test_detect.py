"""Finding faces, with the real networks."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from threading import enumerate as running

import cv2
import numpy as np
import pytest

from fermedia.errors import ModelError
from fermedia.files import models_dir
from fermedia.images import ArrayImage, as_image
from fermedia.media.video import VideoReader
from fermedia.types import WHOLE, Box, Face, Part
from fermedia.vision.detect import FaceDetector
from fermedia.vision.networks import DETECTOR_FILES
from tests.videos import Pixels, background, head, moving_faces, read_image, resized, write_video
from tests.vision.painting import rolled
from tests.vision.scenes import bgr, scene

#: (x, y, width) of faces in an image of 960x540.
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
def test_a_face_is_found_once_from_far_to_filling_the_image(detector: FaceDetector, width: int) -> None:
    image, boxes = scene((640, 480), [(320, 240, width)])
    faces = detector.detect(bgr(image))
    assert matched([face.box for face in faces], boxes) == [1]
    assert len(faces) == 1
    assert faces[0].box.width == pytest.approx(width, rel=0.1)


def test_a_group_of_all_sizes_is_found_whole_and_largest_first(detector: FaceDetector) -> None:
    image, boxes = scene((960, 540), GROUP)
    faces = detector.detect(bgr(image))
    assert len(faces) == len(GROUP)
    assert matched([face.box for face in faces], boxes) == [1] * len(GROUP)
    areas = [face.box.area for face in faces]
    assert areas == sorted(areas, reverse=True)


@pytest.mark.parametrize("place", [(20, 200), (320, 15), (320, 470)])
def test_a_face_cut_by_the_edge_keeps_its_whole_box(detector: FaceDetector, place: tuple[float, float]) -> None:
    image, boxes = scene((640, 480), [(*place, 150)])
    faces = detector.detect(bgr(image))
    assert matched([face.box for face in faces], boxes) == [1]
    box = faces[0].box
    assert box.x < 0 or box.y < 0 or box.y + box.height > 480


def test_keypoints_lie_where_mediapipe_says(detector: FaceDetector) -> None:
    image, _ = scene((640, 480), [(300, 220, 200)])
    (face,) = detector.detect(bgr(image))
    right_eye, left_eye, nose, mouth, _, _ = face.keypoints
    assert face.keypoints.shape == (6, 2)
    assert face.keypoints.dtype == np.float32
    assert right_eye[0] < nose[0] < left_eye[0]  # the person's right is left in the image
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
    image = bgr(scene((596, 336), [(300, 170, 120)])[0])
    padded = np.zeros((336, 640, 3), np.uint8)[:, :596]
    padded[...] = image
    assert not padded.flags.c_contiguous
    plain = detector.detect(image)
    assert len(plain) == 1
    for other in (padded, image[:, ::-1][:, ::-1], np.asfortranarray(image)):
        assert [face.box for face in detector.detect(other)] == [face.box for face in plain]


def test_a_image_may_give_padded_rows(detector: FaceDetector) -> None:
    class Padded(ArrayImage):
        def rgb(self, size: tuple[int, int] | None = None, part: Part = WHOLE) -> Pixels:
            plain = super().rgb(size, part)
            return np.pad(plain, ((0, 0), (0, 28), (0, 0)))[:, : plain.shape[1]]

    image = scene((596, 336), [(300, 170, 60)])[0]
    assert len(detector.detect(Padded(image))) == len(detector.detect(ArrayImage(image))) == 1


def test_rows_that_a_decoder_pads(detector: FaceDetector, tmp_path: Path) -> None:
    video = write_video(tmp_path / "video.mp4", moving_faces(3, (596, 336)))
    with VideoReader(video) as reader:
        assert [len(detector.detect(frame.image, still=False)) for frame in reader.frames()] == [1, 1, 1]


def test_grey_and_colour_find_the_same_face(detector: FaceDetector) -> None:
    image = bgr(scene((640, 480), [(320, 240, 150)])[0])
    (color,) = detector.detect(image)
    (gray,) = detector.detect(np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8))
    (read,) = detector.detect(as_image(image))
    assert color.box.iou(gray.box) > 0.9
    assert color.box == read.box


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (3, 400), (2000, 2)])
def test_nothing_is_found_where_nothing_is(detector: FaceDetector, size: tuple[int, int]) -> None:
    assert detector.detect(bgr(background(size))) == []


def test_no_face_in_patterns(detector: FaceDetector) -> None:
    from skimage import data

    for image in (data.brick(), data.coffee(), data.gravel(), data.moon(), data.coins(), data.text(), data.rocket()):
        assert detector.detect(np.ascontiguousarray(image)) == []


@pytest.mark.parametrize("image", [np.zeros((8, 8)), np.zeros((8, 8, 4), np.uint8), np.zeros((0, 8), np.uint8)])
def test_other_arrays_are_refused(detector: FaceDetector, image: np.ndarray) -> None:
    with pytest.raises(ValueError, match="uint8"):
        detector.detect(image)


def test_confidence_is_the_least_reported() -> None:
    image = bgr(scene((960, 540), GROUP)[0])
    found = {}
    for least in (0.5, 0.81):
        with FaceDetector(least) as detector:
            found[least] = [face.confidence for face in detector.detect(image)]
    assert sorted(c for c in found[0.5] if c >= 0.81) == sorted(found[0.81])
    assert 0 < len(found[0.81]) < len(found[0.5])
    for wrong in (0, 1, -0.1, 1.5):
        with pytest.raises(ValueError, match="confidence"):
            FaceDetector(wrong)


# -- presets ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fast() -> Iterator[FaceDetector]:
    with FaceDetector(preset="fast") as made:
        yield made


@pytest.fixture(scope="module")
def thorough() -> Iterator[FaceDetector]:
    with FaceDetector(preset="thorough") as made:
        yield made


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(ValueError, match="fast, balanced, thorough, got 'slow'"):
        FaceDetector(preset="slow")


def test_thorough_finds_24_pixels_in_full_hd(thorough: FaceDetector, fast: FaceDetector) -> None:
    """Wherever they lie to the squares' borders, and each once."""
    places = [
        (x, y, 24) for x, y in [(60, 60), (300, 215), (517, 540), (960, 300), (1215, 700), (1500, 990), (1860, 1010)]
    ]
    image, boxes = scene((1920, 1080), [*places, (960, 640, 200)])
    found = [face.box for face in thorough.detect(bgr(image))]
    assert len(found) == len(boxes)
    assert all(max(box.iou(other) for other in found) > 0.45 for box in boxes)
    assert matched([face.box for face in fast.detect(bgr(image))], boxes) == [0] * 7 + [1]


@pytest.mark.parametrize("width", [90, 130, 250, 400])
def test_fast_finds_the_faces_of_a_conversation(fast: FaceDetector, width: int) -> None:
    image, boxes = scene((640, 480), [(320, 240, width)])
    assert matched([face.box for face in fast.detect(bgr(image))], boxes) == [1]


def test_single_images_are_searched_deeper_than_frames(detector: FaceDetector) -> None:
    image, boxes = scene((500, 400), [(80, 80, 24), (250, 200, 24), (420, 330, 24)])
    assert len(detector.detect(bgr(image))) == len(boxes)
    assert detector.detect(bgr(image), still=False) == []


@pytest.mark.parametrize("x", [100, 540, 620, 700, 1180])
def test_a_frame_s_face_between_two_squares_is_found_once(detector: FaceDetector, x: int) -> None:
    for width in (90, 150, 420):
        image, boxes = scene((1280, 720), [(x, 330, width)])
        found = [face.box for face in detector.detect(bgr(image), still=False)]
        assert len(found) == 1
        assert found[0].iou(boxes[0]) > 0.6


@pytest.mark.parametrize("width", [330, 480, 600])
@pytest.mark.parametrize("least", [0.3, 0.5])
def test_parts_of_a_large_face_are_not_taken_for_it(width: int, least: float) -> None:
    """A face that fills the image is one even where its parts, seen in small squares, look a bit like others."""
    image, boxes = scene((480, 480), [(240, 240, width)])
    with FaceDetector(least) as detector:
        (face,) = detector.detect(bgr(image))
    assert face.box.iou(boxes[0]) > 0.6


def test_a_small_face_in_front_does_not_hide_one_that_fills_the_frame(detector: FaceDetector) -> None:
    image, boxes = scene((1280, 720), [(640, 360, 1100), (1200, 80, 110)])
    found = detector.detect(bgr(image), still=False)
    assert matched([face.box for face in found], boxes) == [1, 1]
    assert len(found) == 2


def test_a_faint_face_is_not_lost_to_the_clear_one_beside_it(detector: FaceDetector) -> None:
    """Both are in the square of the second look at the faint one."""
    faint, left = scene((640, 480), [(250, 220, 140)])
    clear, right = scene((640, 480), [(348, 220, 140)])
    image = (110 + (faint.astype(float) - 110) * 0.3).astype(np.uint8)
    image[:, 299:] = clear[:, 299:]
    found = [face.box for face in detector.detect(bgr(image), still=False)]
    assert matched(found, left + right) == [1, 1]


def test_gravel_is_not_a_crowd(thorough: FaceDetector) -> None:
    """Among the many places where a small face could be, one may look like it."""
    from skimage import data

    assert thorough.detect(cv2.resize(data.gravel(), (1024, 1024), interpolation=cv2.INTER_CUBIC)) == []


@pytest.mark.parametrize("degrees", [-60, -45, -20, 0, 20, 45, 60])
def test_a_rolled_face_is_found_and_framed_as_upright(detector: FaceDetector, degrees: int) -> None:
    upright = scene((500, 500), [(250, 250, 150)])[0]
    (reference,) = detector.detect(bgr(upright))
    (face,) = detector.detect(bgr(rolled(upright, degrees)))
    across, down = face.keypoints[1] - face.keypoints[0]
    own = np.subtract(*reference.keypoints[[1, 0]])
    assert np.degrees(np.arctan2(down, across) - np.arctan2(own[1], own[0])) == pytest.approx(degrees, abs=8)
    assert face.box.width == pytest.approx(reference.box.width, rel=0.12)
    turned = rolled_point(np.array(reference.box.center), degrees)
    assert np.array(face.box.center) == pytest.approx(turned, abs=12)
    assert face.keypoints == pytest.approx(np.array([rolled_point(p, degrees) for p in reference.keypoints]), abs=20)


@pytest.mark.parametrize(
    ("width", "roll", "blur", "aside"), [(330, 0, 6, 105), (380, 35, 6, 105), (380, 60, 10, 0), (430, 35, 10, 0)]
)
def test_a_hard_face_that_fills_the_photo_is_found(
    detector: FaceDetector, width: int, roll: int, blur: int, aside: int
) -> None:
    """Cut by the edge, rolled and blurred: no single look is sure of it, several views agree."""
    image = rolled(scene((350, 350), [(175 + aside, 175, width)])[0], roll)
    hard = bgr(np.asarray(cv2.GaussianBlur(image, (0, 0), blur), np.uint8))
    (face,) = detector.detect(hard)
    assert face.box.width == pytest.approx(width, rel=0.25)
    assert 0.5 <= face.confidence < 0.8
    assert detector.detect(hard, still=False) == []  # a video's frames are searched less deep


def rolled_point(point: np.ndarray, degrees: float) -> np.ndarray:
    """Where ``rolled`` brings a point of an image of 500x500."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return (point - 250) @ np.array([[cos, sin], [-sin, cos]]) + 250


def everything(faces: Sequence[Face]) -> list[tuple[Box, float, list[list[float]]]]:
    """What can be compared with ==."""
    return [(face.box, face.confidence, face.keypoints.tolist()) for face in faces]


def test_what_was_seen_before_changes_nothing(detector: FaceDetector) -> None:
    images = [
        bgr(scene((960, 540), GROUP)[0]),
        bgr(scene((640, 480), [(320, 240, 460)])[0]),
        bgr(background((300, 200))),
    ]
    alone = []
    for image in images:
        with FaceDetector() as fresh:
            alone.append(everything(fresh.detect(image)))
    for index in (0, 1, 2, 1, 0, 0):
        assert everything(detector.detect(images[index])) == alone[index]


def test_two_detectors_in_two_threads_see_what_each_sees_alone(detector: FaceDetector) -> None:
    images = [bgr(scene((960, 540), GROUP)[0]), bgr(scene((640, 480), [(300, 240, 200), (100, 100, 60)])[0])]
    alone = [everything(detector.detect(image)) for image in images]
    assert [len(faces) for faces in alone] == [7, 2]
    start = Barrier(2, timeout=60)

    def work(order: list[int]) -> list[bool]:
        start.wait()
        with FaceDetector() as own:
            return [everything(own.detect(images[index])) == alone[index] for index in order]

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(work, ([0, 1] * 3, [1, 0] * 3)))
    assert results == [[True] * 6] * 2


def test_a_detector_looks_in_its_caller_s_thread() -> None:
    before = set(running())
    with FaceDetector() as made:
        assert len(made.detect(bgr(scene((640, 480), [(320, 240, 150)])[0]))) == 1
        assert set(running()) <= before


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
    monkeypatch.setattr("fermedia.vision.networks.models_dir", lambda: tmp_path)
    with pytest.raises(ModelError, match=name) as caught:
        FaceDetector()
    assert "\n" not in str(caught.value)
    assert "reinstall" in str(caught.value)


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    root = str(Path(__file__).resolve().parents[2])
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=False)


def test_detection_loads_no_tensorflow_and_prints_nothing() -> None:
    """Nor a traceback where the detector is left open."""
    done = run_python(
        "import sys, fermedia.vision.detect as d\n"
        "from tests.videos import astronaut\n"
        "detector = d.FaceDetector()\n"
        "assert len(detector.detect(astronaut())) == 1\n"
        "assert not {'tensorflow', 'mediapipe'} & {name.split('.')[0] for name in sys.modules}\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_words_on_stderr_come_through_after_a_detector_was_made() -> None:
    done = run_python("import sys, fermedia\nwith fermedia.FaceDetector(): print('here', file=sys.stderr)\n")
    assert (done.returncode, done.stderr) == (0, "here\n")


# -- recordings that are not part of the project ----------------------------------------------------------------------


def test_shared_photos(detector: FaceDetector, shared: Path) -> None:
    for name, count in (("multi_face.jpg", 5), ("single_face.jpg", 1)):
        assert len(detector.detect(read_image(shared / "media" / name))) == count


@pytest.mark.parametrize(
    ("name", "count", "step"), [("no_face.mp4", 0, 1), ("single_face.mp4", 1, 3), ("WolfgangLanger_Pexels.mp4", 1, 12)]
)
def test_shared_videos(detector: FaceDetector, shared: Path, name: str, count: int, step: int) -> None:
    with VideoReader(shared / "media" / name) as reader:
        counts = [len(detector.detect(f.image, still=False)) for f in reader.frames() if f.index % step == 0]
    assert set(counts) == {count}


def test_shared_tight_crops(detector: FaceDetector, shared: Path) -> None:
    """FER-2013's own images: faces that fill the image."""
    with zipfile.ZipFile(shared / "data" / "fer2013.zip") as archive:
        names = sorted(name for name in archive.namelist() if "/Training_" in name)
        chosen = [names[i] for i in np.random.default_rng(0).choice(len(names), 60, replace=False)]
        images = [np.frombuffer(archive.read(name), np.uint8) for name in chosen]
    crops = [np.asarray(cv2.imdecode(image, cv2.IMREAD_GRAYSCALE), np.uint8) for image in images]
    found = [bool(detector.detect(resized(crop, (192, 192)))) for crop in crops]
    assert np.mean(found) > 0.85


def test_a_face_is_followed_to_where_it_went(detector: FaceDetector) -> None:
    before, after = (bgr(scene((640, 480), [(x, 240, 120)])[0]) for x in (300, 330))
    (face,) = detector.detect(before, still=False)
    again = detector.follow(before, [face])
    assert again is not None
    assert again[0].box == face.box  # the same look at the same image
    moved = detector.follow(after, [face])
    assert moved is not None
    assert moved[0].box.center == pytest.approx((face.box.center[0] + 30, face.box.center[1]), abs=5)
    back = detector.follow(before, moved)
    assert back is not None
    assert back[0].box.center == pytest.approx(face.box.center, abs=5)


def test_who_is_not_near_is_lost(detector: FaceDetector) -> None:
    first, second = (bgr(scene((640, 480), [(x, 240, 120) for x in xs])[0]) for xs in ((150, 450), (150,)))
    both = detector.detect(first, still=False)
    assert len(both) == 2
    assert detector.follow(second, both) is None
    (left,) = [face for face in both if face.box.center[0] < 300]
    assert detector.follow(second, [left, left]) is None  # two that have become one
    assert detector.follow(bgr(background((640, 480))), [left]) is None
    assert detector.follow(second, []) == []
