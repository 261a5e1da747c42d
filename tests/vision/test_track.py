"""Who is who, on made-up faces with known answers."""

from __future__ import annotations

import numpy as np
import pytest

from fermedia.types import Box, Face
from fermedia.vision.track import MEMORY, Tracker, number_by_size


def face(x: float, y: float = 100, width: float = 60) -> Face:
    """A face by its middle."""
    return Face(Box(x - width / 2, y - width / 2, width, width), 0.9, np.zeros((6, 2), np.float32))


def test_ids_stay_whatever_the_order_of_the_faces() -> None:
    tracker = Tracker()
    rng = np.random.default_rng(0)
    for n in range(100):
        people = [face(100 + 2 * n + rng.normal(0, 2)), face(600 - n), face(900, 100 + n)]
        order = rng.permutation(3) if n else [0, 1, 2]
        assert tracker.update([people[i] for i in order], n / 25) == list(order)


def test_a_new_person_gets_a_new_id() -> None:
    tracker = Tracker()
    assert tracker.update([face(100)], 0) == [0]
    assert tracker.update([face(400), face(101)], 0.04) == [1, 0]
    assert tracker.update([face(101), face(250), face(400)], 0.08) == [0, 2, 1]


@pytest.mark.parametrize("rate", [5, 25, 120])
def test_a_short_absence_is_survived_in_seconds_not_frames(rate: int) -> None:
    tracker = Tracker()
    for n in range(rate):
        tracker.update([face(100 + 50 * n / rate)], n / rate)
    for n in range(rate, rate + int(0.6 * MEMORY * rate)):
        assert tracker.update([], n / rate) == []
    assert tracker.update([face(165)], 1 + 0.6 * MEMORY) == [0]


def test_after_a_long_absence_it_is_somebody_new() -> None:
    tracker = Tracker()
    tracker.update([face(100)], 0)
    for n in range(1, 60):
        tracker.update([], n * 0.1)
    assert tracker.update([face(100)], 6) == [1]


@pytest.mark.parametrize("gap", [0.04, 0.5, 1.5, 5.0])
def test_sampling_however_sparse_does_not_make_strangers(gap: float) -> None:
    tracker = Tracker()
    for n in range(5):
        assert tracker.update([face(100), face(300)], n * gap) == [0, 1]


@pytest.mark.parametrize("apart", [30, 45, 60])
def test_faces_that_cross_keep_their_ids(apart: float) -> None:
    """They pass each other at ``apart`` pixels; a face is 60 wide, so at half a width and more."""
    tracker = Tracker()
    for n in range(100):
        left, right = face(100 + 4 * n, 100), face(500 - 4 * n, 100 + apart)
        if n % 2:
            assert tracker.update([right, left], n / 25) == [1, 0], n
        else:
            assert tracker.update([left, right], n / 25) == [0, 1], n


def test_a_face_is_looked_for_where_it_is_going() -> None:
    """In the end it moves by its own width from frame to frame."""
    tracker = Tracker()
    for n in range(61):
        assert tracker.update([face(100 + n * n / 2), face(100 + n * n / 2, 300)], n / 25) == [0, 1], n


def test_who_passes_behind_another_is_known_again() -> None:
    tracker = Tracker()
    for n in range(75):
        standing, walking = face(300, 100, 80), face(100 + 5 * n, 110, 60)
        hidden = abs(100 + 5 * n - 300) < 45
        assert tracker.update([standing] if hidden else [standing, walking], n / 25) == ([0] if hidden else [0, 1]), n


def test_a_much_larger_face_at_the_same_place_is_another_person() -> None:
    tracker = Tracker()
    assert tracker.update([face(100, 100, 40)], 0) == [0]
    assert tracker.update([face(100, 100, 160)], 0.04) == [1]


def test_photos_count_by_size() -> None:
    assert number_by_size([face(0, width=30), face(0, width=50), face(0, width=40)]) == [2, 0, 1]
    assert number_by_size([face(0, width=30), face(9, width=30)]) == [0, 1]
    assert number_by_size([]) == []
