"""Cuts in made-up videos: where they are, and what is none."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from fermedia.images import ArrayImage
from fermedia.media.video import VideoReader
from fermedia.options import Sampling
from fermedia.vision.shots import ShotDetector, make_thumbnail
from tests.videos import Pixels

RATES = [5, 12, 25, 60, 240]


@cache
def scene(name: str) -> Pixels:
    """A grey image of 600x400."""
    from skimage import data

    return np.asarray(cv2.resize(cv2.cvtColor(getattr(data, name)(), cv2.COLOR_RGB2GRAY), (600, 400)), np.uint8)


def view(name: str, x: float = 140, y: float = 110) -> Pixels:
    """320x180 of a scene, from (x, y) on."""
    matrix = np.array([[1, 0, x], [0, 1, y]], np.float64)
    return np.asarray(cv2.warpAffine(scene(name), matrix, (320, 180), flags=cv2.WARP_INVERSE_MAP), np.uint8)


def cuts(video: Iterable[Pixels], rate: float, seed: int = 0) -> list[int]:
    """The numbers of the frames that begin a shot, with a camera's noise on every frame."""
    random, shots = np.random.default_rng(seed), ShotDetector()
    found = []
    for n, image in enumerate(video):
        noisy = np.clip(image + random.normal(0, 4, image.shape), 0, 255).astype(np.uint8)
        if shots.update(make_thumbnail(ArrayImage(np.repeat(noisy[:, :, None], 3, axis=2))), 3 + n / rate):
            found.append(n)
    return found


@pytest.mark.parametrize("rate", RATES)
def test_a_cut_is_found_at_its_first_frame(rate: int) -> None:
    names = ["astronaut", "coffee", "cat", "astronaut"]
    video = [view(name, 120 + 40 * n / rate) for name in names for n in range(rate)]
    assert cuts(video, rate) == [rate, 2 * rate, 3 * rate]


@pytest.mark.parametrize("rate", RATES)
def test_a_still_image_has_no_cut(rate: int) -> None:
    assert cuts([view("cat")] * 20, rate) == []


@pytest.mark.parametrize("rate", [12, 25, 60])
def test_a_pan_is_no_cut_and_hides_none(rate: int) -> None:
    """To and fro, at most by one width of the image a second; half of that at few frames a second."""
    path = [140 + (100 if rate > 12 else 50) * np.sin(3.2 * n / rate) for n in range(2 * rate)]
    video = [view(name, x, 110 + x / 8) for name in ("coffee", "cat") for x in path]
    assert cuts(video, rate) == [2 * rate]


def test_motion_that_lasts_is_no_row_of_cuts() -> None:
    """So wild that every frame shows quite another part: it surprises at first, then is what one expects."""
    places = 140 + np.random.default_rng(0).uniform(-120, 120, 20)
    assert len(cuts([view("coffee", x) for x in [140] * 5 + places.tolist()], 12)) <= 5


@pytest.mark.parametrize("rate", [12, 25, 60])
def test_flashes_are_no_cuts(rate: int) -> None:
    """Bright, and white altogether; for one frame, and for a twentieth of a second."""
    video = [view("cat")] * (2 * rate)
    length = max(1, rate // 20)
    for begin, gain, lift in ((rate // 2, 1.5, 60), (rate, 1.0, 255), (3 * rate // 2, 1.8, 90)):
        for n in range(begin, begin + length):
            video[n] = np.clip(video[n] * gain + lift, 0, 255).astype(np.uint8)
    assert cuts(video, rate) == []


def test_a_cut_soon_after_a_flash_is_found() -> None:
    video = [view("cat")] * 12 + [np.full((180, 320), 255, np.uint8)] + [view("cat")] * 5 + [view("coffee")] * 12
    assert cuts(video, 25) == [18]


@pytest.mark.parametrize("level", [0.3, 0.6, 1.4])
def test_light_that_changes_at_once_is_no_cut(level: float) -> None:
    video = [view("astronaut")] * 12 + [np.clip(view("astronaut") * level, 0, 255).astype(np.uint8)] * 12
    assert cuts(video, 25) == []


def test_a_fade_through_black_is_one_cut_and_back_to_the_same_none() -> None:
    def faded(name: str, levels: Iterable[float]) -> list[Pixels]:
        return [(view(name) * level).astype(np.uint8) for level in levels]

    down, up = np.linspace(1, 0, 13), np.linspace(0, 1, 13)
    other = cuts(faded("cat", down) + faded("cat", [0] * 10) + faded("coffee", up), 25)
    assert len(other) == 1
    assert 23 <= other[0] <= 27
    assert cuts(faded("cat", down) + faded("cat", [0] * 10) + faded("cat", up), 25) == []


@pytest.mark.parametrize("times", [2, 5])
def test_frames_shown_several_times_change_nothing(times: int) -> None:
    """A moving video of 12 frames a second as one of 24 or 60."""
    video = [view(name, 140 + 65 * np.sin(3.2 * n / 12)) for name in ("coffee", "cat") for n in range(24)]
    assert cuts([image for image in video for _ in range(times)], 12 * times) == [24 * times]


def test_a_flash_on_a_part_of_the_image_is_no_cut() -> None:
    y, x = np.mgrid[:180, :320]
    video = [view("cat")] * 50
    video[25] = np.clip(video[25] + 80 * np.exp(-((x - 80) ** 2 + (y - 90) ** 2) / 7200), 0, 255).astype(np.uint8)
    assert cuts(video, 25) == []


def test_size_matters_little() -> None:
    image = np.repeat(view("cat")[:, :, None], 3, axis=2)
    small = make_thumbnail(ArrayImage(image)).pixels
    large = make_thumbnail(ArrayImage(np.asarray(cv2.resize(image, (1920, 1080)), np.uint8))).pixels
    assert small.shape == large.shape
    assert np.abs(small - large).max() < 10
    assert make_thumbnail(ArrayImage(image[:3, :2].copy())).pixels.shape == small.shape


@pytest.mark.parametrize("name", ["WolfgangLanger_Pexels.mp4", "single_face.mp4", "no_face.mp4"])
def test_recordings_of_one_shot(shared: Path, name: str) -> None:
    shots = ShotDetector()
    with VideoReader(shared / "media" / name) as reader:
        assert [f.time for f in reader.frames(Sampling()) if shots.update(make_thumbnail(f.image), f.time or 0)] == []
