"""Blinks in series of eyes' openings, made up and of portraits whose lids were drawn down."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fermedia.images import as_image
from fermedia.media.video import VideoReader
from fermedia.tables.blinks import LONGEST, blinks
from fermedia.types import Image, Mesh
from fermedia.vision.detect import DetectedFace, FaceDetector
from fermedia.vision.measures import measured
from fermedia.vision.mesh import FaceMesh
from tests.vision.painting import portrait, with_lids

Series = NDArray[np.float64]


def lids(times: Series, moments: Iterable[float], depth: float = 0.8, lasts: float = 0.2) -> Series:
    """How far lids are drawn down, 0..1: down in a third of the time that a blink lasts, up in the rest."""
    closed = np.zeros_like(times)
    for moment in moments:
        corners = (moment, moment + lasts / 3, moment + lasts)
        closed = np.maximum(closed, np.interp(times, corners, (0, depth, 0)))
    return closed


def openings(times: Series, moments: Iterable[float], usual: float = 0.3, seed: int = 0, **kind: float) -> Series:
    """Made-up openings, with the trembling that real ones have."""
    noise = np.random.default_rng(seed).normal(scale=0.006, size=len(times))
    return usual * (1 - lids(times, moments, **kind)) + noise


@pytest.mark.parametrize("rate", [24, 30, 60, 240])
@pytest.mark.parametrize("usual", [0.2, 0.3, 0.4])
def test_each_blink_is_found_at_its_time(rate: int, usual: float) -> None:
    times, moments = np.arange(0, 20, 1 / rate), [0.9, 3.3, 4.1, 9.77, 15.2, 19.2]
    found = blinks(times, openings(times, moments, usual))
    assert [blink.begin for blink in found] == pytest.approx(moments, abs=1.2 / rate + 0.03)
    for blink in found:
        assert 0.08 < blink.duration < 0.25
        assert 0.4 < blink.depth < 0.9


def test_times_lie_between_frames() -> None:
    """Where straight lines pass three quarters, whatever the frames' own times are."""
    times = np.arange(0, 4, 0.05)
    opening = 0.32 - 0.32 * lids(times, [2.01], depth=1, lasts=0.6)
    (blink,) = blinks(times, opening)
    assert blink.begin == pytest.approx(2.01 + 0.25 * 0.2, abs=0.005)
    assert blink.begin + blink.duration == pytest.approx(2.61 - 0.25 * 0.4, abs=0.005)
    assert blink.depth == pytest.approx(0.95, abs=0.05)


def test_steady_and_half_closed_eyes_do_not_blink() -> None:
    times = np.arange(0, 30, 0.04)
    assert blinks(times, openings(times, [])) == []
    assert blinks(times, openings(times, [5, 12], depth=0.3)) == []
    slowly = 0.3 + 0.06 * np.sin(times)  # a head that bends changes what is open
    assert blinks(times, slowly) == []
    assert len(blinks(times, slowly * (1 - lids(times, [7, 14, 21])))) == 3


def test_eyes_that_are_kept_shut_are_no_blink_and_do_not_blink() -> None:
    times = np.arange(0, 30, 0.04)
    shut = (times > 10) & (times < 20)
    trembling = np.random.default_rng(1).uniform(0.03, 0.12, len(times))
    found = blinks(times, np.where(shut, trembling, openings(times, [5, 25])))
    assert [round(blink.begin) for blink in found] == [5, 25]
    assert all(blink.duration <= LONGEST for blink in found)


def test_half_a_blink_is_none() -> None:
    """Where it is cut by the begin, the end, or a stretch without the face."""
    times = np.arange(0, 10, 0.04)
    opening = openings(times, [-0.05, 4.96, 9.92], lasts=0.3)
    opening[(times > 5.05) & (times < 5.5)] = np.nan
    assert blinks(times, opening) == []
    left_out = np.isfinite(opening)
    assert blinks(times[left_out], opening[left_out]) == []


def test_single_frames_without_a_face_hide_nothing() -> None:
    times = np.arange(0, 10, 0.04)
    opening = openings(times, [2, 6])
    opening[[5, 53, 120]] = np.nan
    assert len(blinks(times, opening)) == 2


def test_next_to_nothing_has_no_blink() -> None:
    for values in ([], [0.3], [0.3, 0.1], [np.nan] * 5):
        assert blinks(np.arange(len(values)) / 25, np.array(values)) == []


def series(images: Iterable[tuple[float, Image]]) -> tuple[Series, Series]:
    """Times and openings of the largest face, read as in a video."""
    times, opening = [], []
    known: list[DetectedFace] | None = None
    before: Mesh | None = None
    with FaceDetector() as detector, FaceMesh() as reader:
        for time, image in images:
            known = detector.find(image, known) or None
            times.append(time)
            if known is None:
                before = None
                opening.append(np.nan)
                continue
            before = reader.read(image, known[0], before)
            now = measured(before)
            opening.append((now.right_eye + now.left_eye) / 2)
    return np.array(times), np.array(opening)


def test_blinks_that_are_painted_into_a_portrait() -> None:
    image = portrait("collins")
    with FaceDetector() as detector, FaceMesh() as reader:
        mesh = reader.read(image, detector.detect(image)[0])
    times, moments = np.arange(0, 4, 0.04), [0.6, 1.9, 3.0]
    closed = lids(times, moments, depth=1, lasts=0.24)
    painted = (with_lids(image, mesh, share) if share else image for share in closed.tolist())
    grain = np.random.default_rng(2)
    noisy = (np.clip(p + grain.normal(scale=3, size=p.shape), 0, 255).astype(np.uint8) for p in painted)
    found = blinks(*series(zip(times.tolist(), map(as_image, noisy), strict=True)))
    assert [blink.begin for blink in found] == pytest.approx(moments, abs=0.09)
    assert all(0.04 < blink.duration < 0.24 and blink.depth > 0.38 for blink in found)


@pytest.mark.parametrize(
    ("name", "moments"),
    [
        # Those that were found, each of which was then seen to be one; nobody has looked for others, and what a blink
        # is was set on these videos. After 18.4 s she keeps her eyes shut, as she does before 5.8 s.
        ("WolfgangLanger_Pexels.mp4", [6.35, 8.39, 10.32, 11.99, 16.04, 17.70]),
        ("single_face.mp4", [0.83]),
    ],
)
def test_blinks_of_people(name: str, moments: list[float], shared: Path) -> None:
    with VideoReader(shared / "media" / name) as video:
        found = blinks(*series((frame.time or 0.0, frame.image) for frame in video.frames()))
    assert [blink.begin for blink in found] == pytest.approx(moments, abs=0.06)
