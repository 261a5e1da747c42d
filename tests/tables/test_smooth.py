"""Steady probabilities, by hand and as videos pass."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from fermedia.images import ArrayImage
from fermedia.tables.smooth import smooth, smoothed_frames
from fermedia.types import Frame, Observation
from tests.seen import EVEN, HAPPY, face

IMAGE = ArrayImage(np.zeros((8, 8, 3), np.uint8))

Looked = tuple[Frame, list[Observation] | None]


def test_by_hand() -> None:
    """A window of 1 second: weight 1 at once, a half at 0.25 seconds, none at 0.5."""
    raw = np.array([[1, 0], [0, 1], [1, 0], [0, 1]], float)
    smoothed = smooth(np.array([0, 0.25, 0.5, 2]), raw, 1.0)
    assert smoothed[:, 0].tolist() == pytest.approx([1 / 1.5, 1 / 2, 1 / 1.5, 0])
    assert smoothed.sum(axis=1).tolist() == pytest.approx([1, 1, 1, 1])


def test_no_window_and_no_sightings() -> None:
    raw = np.random.default_rng(0).dirichlet(np.ones(7), 5)
    assert (smooth(np.linspace(0, 0.04, 5), raw, 0) == raw).all()
    assert smooth(np.zeros(0), np.zeros((0, 7)), 0.5).shape == (0, 7)


@pytest.mark.parametrize("seconds", [5e-324, 1e-300, 1e-12])
def test_the_narrowest_windows_change_nothing(seconds: float) -> None:
    raw = np.random.default_rng(0).dirichlet(np.ones(7), 5)
    assert (smooth(np.linspace(0, 0.04, 5), raw, seconds) == raw).all()
    frames = [Frame(n, n * 0.04, IMAGE) for n in range(3)]
    passed = list(smoothed_frames(((frame, []) for frame in frames), seconds))
    assert [frame.index for frame, *_ in passed] == [0, 1, 2]


def test_moments_at_the_same_time_share() -> None:
    assert smooth(np.zeros(2), np.eye(2), 0.5).tolist() == [[0.5, 0.5], [0.5, 0.5]]


def test_how_often_one_looks_changes_little() -> None:
    """A swell over a second, seen 30 and 120 times a second."""

    def smoothed(rate: int) -> float:
        times = np.arange(rate + 1) / rate
        return float(smooth(times, np.sin(np.pi * times)[:, None], 0.5)[rate // 2, 0])

    assert smoothed(30) == pytest.approx(smoothed(120), abs=0.002)
    assert smoothed(30) < 0.96


def video(count: int, seed: int) -> Iterator[Looked]:
    """Up to three faces at uneven times (some twice the same), with gaps, unjudged moments and unsampled frames."""
    random = np.random.default_rng(seed)
    time = 5.0
    for n in range(count):
        time += float(random.choice([0, 0.01, 0.04, 0.3]))
        seen = [face(1, 2, 30, 40, i, random.dirichlet(np.full(7, 0.3))) for i in range(3) if random.random() < 0.7]
        seen = [o if random.random() < 0.8 else replace(o, probabilities=None) for o in seen]
        yield Frame(n, time, IMAGE), None if n % 5 == 4 else seen


@pytest.mark.parametrize("seconds", [0.05, 0.5, 4.0])
def test_as_the_video_passes_the_same_as_afterwards(seconds: float) -> None:
    looked = list(video(200, 3))
    given = list(smoothed_frames(iter(looked), seconds))
    assert [(frame, raw) for frame, raw, _ in given] == looked
    for i in range(3):
        rows = [(f.time, o, s) for f, raw, smoothed in given for o, s in zip(raw or (), smoothed or (), strict=True)]
        rows = [(time, o, s) for time, o, s in rows if o.face_id == i and o.probabilities is not None]
        expected = smooth(np.array([t for t, _, _ in rows]), np.array([o.probabilities for _, o, _ in rows]), seconds)
        found = np.array([s.probabilities for _, _, s in rows])
        assert found.dtype == np.float32
        assert np.abs(found - expected).max() < 1e-7
        assert np.abs(found - [o.probabilities for _, o, _ in rows]).max() > 0.1
    for _, raw, smoothed in given:
        assert (raw is None) == (smoothed is None)
        for o, s in zip(raw or (), smoothed or (), strict=True):
            assert (s.face, s.face_id, s.probabilities is None) == (o.face, o.face_id, o.probabilities is None)


@pytest.mark.parametrize("seconds", [0.0, 0.5])
def test_no_more_is_held_than_half_the_window(seconds: float) -> None:
    taken = 0

    def frames() -> Iterator[Looked]:
        nonlocal taken
        for n in range(500):
            taken += 1
            yield Frame(n, n / 100, IMAGE), [face(1, 2, 30, 40, n // 20)]

    for given, _ in enumerate(smoothed_frames(frames(), seconds), 1):
        assert taken - given <= seconds / 2 * 100 + 1


def test_faces_long_gone_are_forgotten() -> None:
    looked = smoothed_frames(((Frame(n, n / 10, IMAGE), [face(1, 2, 30, 40, n)]) for n in range(200)), 0.5)
    for _ in range(150):
        next(looked)
    pasts = looked.gi_frame.f_locals["pasts"]  # type: ignore[attr-defined]
    assert len(pasts) < 10


def test_photos_pass_at_once_and_unchanged() -> None:
    def photos() -> Iterator[Looked]:
        yield Frame(0, None, IMAGE, name="a.jpg"), [face(1, 2, 30, 40, 0, HAPPY)]
        yield Frame(1, None, IMAGE, name="b.jpg"), [face(1, 2, 30, 40, 0, EVEN)]

    for _, raw, smoothed in smoothed_frames(photos(), 0.5):
        assert smoothed is raw
