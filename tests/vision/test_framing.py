"""The one crop."""

from __future__ import annotations

import numpy as np
import pytest

from fermedia.pictures import as_picture
from fermedia.types import Box
from fermedia.vision.detect import FaceDetector
from fermedia.vision.framing import RISE, SIDE, crop_face, cut_square
from tests.films import Image
from tests.vision.scenes import bgr, scene


def ramp(width: int, height: int) -> Image:
    """Grey that tells its column."""
    return np.tile(np.linspace(0, 255, width).round().astype(np.uint8), (height, 1))


def test_a_whole_square_is_the_picture_itself() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)
    assert (cut_square(picture, (24, 24), 48, 48) == picture).all()


def test_the_square_is_cut_where_it_was_asked_for() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (100, 120), dtype=np.uint8)
    assert (cut_square(picture, (50, 40), 20, 20) == picture[30:50, 40:60]).all()


def test_halves_of_a_pixel_count() -> None:
    picture = ramp(256, 64)
    here, half = cut_square(picture, (100, 32), 16, 16), cut_square(picture, (100.5, 32), 16, 16)
    assert half.mean() - here.mean() == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("factor", [2, 3, 7, 20])
def test_shrinking_averages_areas(factor: int) -> None:
    """A chequer of single pixels is grey from afar; plain interpolation makes stripes of it."""
    side = 48 * factor
    chequer = (np.indices((side, side)).sum(0) % 2 * 255).astype(np.uint8)
    small = cut_square(chequer, (side / 2 + 0.3, side / 2), side * 0.9, 48)
    assert abs(small.astype(int) - 127).max() < 36


def test_outside_the_picture_its_edge_is_repeated() -> None:
    picture = 255 - ramp(64, 64)
    crop = cut_square(picture, (0, 32), 32, 32)
    assert (crop[:, :15] == 255).all()
    assert crop[0, -1] < 215
    assert (cut_square(picture, (-500, 900), 32, 32) == 255).all()


def test_the_work_follows_the_square_not_the_picture() -> None:
    """OpenCV's warp refuses pictures of 32,768 pixels a side."""
    wide = np.zeros((40, 40000), np.uint8)
    wide[:, 39000:] = 200
    assert cut_square(wide, (39500, 20), 30, 48).min() == 200


@pytest.mark.parametrize("size", [48, 96])
def test_a_face_is_framed_larger_than_its_box_and_higher(size: int) -> None:
    picture = as_picture(np.random.default_rng(0).integers(0, 256, (300, 300), dtype=np.uint8))
    crop = crop_face(picture, Box(100, 120, 80, 80), size)
    assert crop.shape == (size, size)
    assert crop.dtype == np.uint8
    assert (crop == cut_square(picture.gray(), (140, 160 - RISE * 80), SIDE * 80, size)).all()


@pytest.mark.parametrize("width", [80, 150, 300, 420])
def test_a_detected_face_fills_the_frame_as_in_fer2013(detector: FaceDetector, width: int) -> None:
    """Medians over FER-2013: eyes at (0.32, 0.396) and (0.69, 0.39) of the frame, mouth at (0.51, 0.775)."""
    (face,) = detector.detect(bgr(scene((640, 480), [(320, 240, width)])[0]))
    side = SIDE * face.box.width
    left, top = face.box.center[0] - side / 2, face.box.center[1] - RISE * face.box.width - side / 2
    points = (face.keypoints[[0, 1, 3]] - [left, top]) / side
    assert points == pytest.approx(np.array([[0.32, 0.396], [0.69, 0.39], [0.51, 0.775]]), abs=0.12)
