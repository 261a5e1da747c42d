"""The one crop."""

from __future__ import annotations

import numpy as np
import pytest

from fermedia.images import as_image
from fermedia.types import Box, Face
from fermedia.vision.detect import FaceDetector
from fermedia.vision.framing import RISE, SIDE, TURNED_FROM, crop_face, cut_square, turn_of
from tests.videos import Pixels
from tests.vision.painting import rolled
from tests.vision.scenes import bgr, scene


def ramp(width: int, height: int) -> Pixels:
    """Grey that tells its column."""
    return np.tile(np.linspace(0, 255, width).round().astype(np.uint8), (height, 1))


def test_a_whole_square_is_the_image_itself() -> None:
    image = np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)
    assert (cut_square(image, (24, 24), 48, 48) == image).all()


def test_the_square_is_cut_where_it_was_asked_for() -> None:
    image = np.random.default_rng(0).integers(0, 256, (100, 120), dtype=np.uint8)
    assert (cut_square(image, (50, 40), 20, 20) == image[30:50, 40:60]).all()


def test_parts_of_a_pixel_count() -> None:
    """A ramp of one grey value a pixel; halves are left out, for they may be rounded either way."""
    image = ramp(256, 64)
    here, little, more = (cut_square(image, (x, 32), 16, 16).astype(int) for x in (100, 100.25, 100.75))
    assert (little - here == 0).all()
    assert (more - here == 1).all()


@pytest.mark.parametrize("factor", [2, 3, 7, 20])
def test_shrinking_averages_areas(factor: int) -> None:
    """A chequer of single pixels is grey from afar; plain interpolation makes stripes of it."""
    side = 48 * factor
    chequer = (np.indices((side, side)).sum(0) % 2 * 255).astype(np.uint8)
    small = cut_square(chequer, (side / 2 + 0.3, side / 2), side * 0.9, 48)
    assert abs(small.astype(int) - 127).max() < 36


def test_outside_the_image_its_edge_is_repeated() -> None:
    image = 255 - ramp(64, 64)
    crop = cut_square(image, (0, 32), 32, 32)
    assert (crop[:, :15] == 255).all()
    assert crop[0, -1] < 215
    assert (cut_square(image, (-500, 900), 32, 32) == 255).all()


def test_the_work_follows_the_square_not_the_image() -> None:
    """OpenCV's warp refuses images of 32,768 pixels a side."""
    wide = np.zeros((40, 40000), np.uint8)
    wide[:, 39000:] = 200
    assert cut_square(wide, (39500, 20), 30, 48).min() == 200


@pytest.mark.parametrize("size", [48, 96])
def test_a_face_is_framed_larger_than_its_box_and_higher(size: int) -> None:
    image = as_image(np.random.default_rng(0).integers(0, 256, (300, 300), dtype=np.uint8))
    crop = crop_face(image, Box(100, 120, 80, 80), size)
    assert crop.shape == (size, size)
    assert crop.dtype == np.uint8
    assert (crop == cut_square(image.gray(), (140, 160 - RISE * 80), SIDE * 80, size)).all()


@pytest.mark.parametrize("width", [80, 150, 300, 420])
def test_a_detected_face_fills_the_frame_as_in_fer2013(detector: FaceDetector, width: int) -> None:
    """Medians over FER-2013: eyes at (0.32, 0.396) and (0.69, 0.39) of the frame, mouth at (0.51, 0.775)."""
    (face,) = detector.detect(bgr(scene((640, 480), [(320, 240, width)])[0]))
    side = SIDE * face.box.width
    left, top = face.box.center[0] - side / 2, face.box.center[1] - RISE * face.box.width - side / 2
    points = (face.keypoints[[0, 1, 3]] - [left, top]) / side
    assert points == pytest.approx(np.array([[0.32, 0.396], [0.69, 0.39], [0.51, 0.775]]), abs=0.12)


# -- roll -------------------------------------------------------------------------------------------------------------


def with_eyes(box: Box, degrees: float) -> Face:
    """A face whose eyes lie on a line that is so many degrees clockwise."""
    x, y = box.center
    reach = np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))]) * box.width / 4
    points = np.array([(x, y)] * 6, np.float32) + np.outer((-1, 1, 0, 0, 0, 0), reach).astype(np.float32)
    return Face(box, 0.9, points)


@pytest.mark.parametrize("degrees", [-170, -90, -45, -12, 12, 30, 120])
def test_the_roll_is_the_eyes_line(degrees: float) -> None:
    assert turn_of(with_eyes(Box(10, 20, 80, 80), degrees).keypoints) == pytest.approx(degrees, abs=1e-3)


def test_a_little_roll_is_left_as_it_is() -> None:
    image = as_image(np.random.default_rng(0).integers(0, 256, (300, 300), dtype=np.uint8))
    box = Box(100, 120, 80, 80)
    for degrees in (-TURNED_FROM + 0.5, 0, 5, TURNED_FROM - 0.5):
        assert turn_of(with_eyes(box, degrees).keypoints) == 0
        assert (crop_face(image, with_eyes(box, degrees)) == crop_face(image, box)).all()
    assert not (crop_face(image, with_eyes(box, TURNED_FROM + 0.5)) == crop_face(image, box)).all()


@pytest.mark.parametrize("degrees", [-90, 90, 180])
def test_quarter_turns_are_exact(degrees: int) -> None:
    """Which way it turns, and around what."""
    image = np.random.default_rng(0).integers(0, 256, (100, 120), dtype=np.uint8)
    plain = cut_square(image, (50, 40), 20, 20)
    assert (cut_square(image, (50, 40), 20, 20, degrees) == np.rot90(plain, degrees // 90)).all()


@pytest.mark.parametrize("degrees", [-70, -30, 15, 45])
@pytest.mark.parametrize("size", [48, 96])
def test_a_turned_crop_is_what_the_upright_face_gives(degrees: int, size: int) -> None:
    upright = scene((500, 500), [(250, 250, 150)])[0]
    box = Box(175, 175, 150, 150)
    plain = crop_face(as_image(bgr(upright)), box, size).astype(int)
    image = as_image(bgr(rolled(upright, degrees)))
    turned = crop_face(image, with_eyes(box, degrees), size).astype(int)
    assert np.abs(turned - plain).mean() < 3
    assert np.abs(crop_face(image, box, size).astype(int) - plain).mean() > 10


def test_a_turned_square_at_the_edge_repeats_it() -> None:
    image = 255 - ramp(64, 64)
    assert cut_square(image, (0, 32), 32, 32, 45).shape == (32, 32)
    assert (cut_square(image, (-500, 900), 32, 32, 30) == 255).all()
