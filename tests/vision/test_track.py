"""Who is who, on made-up faces with known answers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from fermedia.types import Box, Face
from fermedia.vision.track import MEMORY, Appearance, Tracker, appearance, assign, rank_by_size


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


@pytest.mark.parametrize("gap", [0.04, 0.5, 1.5, 5.0, 60.0])
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


# -- looks, cuts, sampling -------------------------------------------------------------------------------------------


def person(number: int, seed: int = 0) -> Appearance:
    """What somebody looks like, a little different every time."""
    base = np.random.default_rng(number).integers(0, 256, (6, 6)).astype(np.uint8)
    noise = np.random.default_rng(seed).normal(0, 12, (48, 48))
    return appearance(np.clip(np.kron(base, np.ones((8, 8))) + noise, 0, 255).astype(np.uint8))


def test_a_look_is_the_same_in_any_light_and_size() -> None:
    crop = np.random.default_rng(0).integers(60, 180, (48, 48), dtype=np.uint8)
    one = appearance(crop)
    assert one.shape == (144,)
    assert one.dtype == np.float32
    assert one @ appearance((crop * 0.5 + 20).astype(np.uint8)) > 0.99
    assert one @ appearance(np.kron(crop, np.ones((2, 2), np.uint8))) > 0.99
    assert one @ appearance(crop[:, ::-1].copy()) < 0.5
    assert not appearance(np.full((48, 48), 7, np.uint8)).any()


@pytest.mark.parametrize("passing", [True, False])
@pytest.mark.parametrize("every", [1, 2, 5])
def test_who_meets_and_merges_is_told_apart_by_looks(passing: bool, every: int) -> None:
    """Two meet, are one box for a while, and pass or turn back: places alone cannot say which."""
    tracker = Tracker()
    for n in range(0, 121, every):
        gap = 150 * abs(n - 60) / 60
        left, right = (0, 1) if n <= 60 or not passing else (1, 0)
        if gap < 25:
            ids = tracker.update([face(300)], n / 30, [person(right, n)])
        else:
            appearances = [person(left, n), person(right, n)]
            ids = tracker.update([face(300 - gap), face(300 + gap)], n / 30, appearances)
            assert ids == [left, right], n


@pytest.mark.parametrize("who", [0, 1])
def test_somebody_else_at_the_place_of_who_left_is_new(who: int) -> None:
    tracker = Tracker()
    for n in range(30):
        assert tracker.update([face(100)], n / 30, [person(0, n)]) == [0]
    assert tracker.update([face(110)], 2.6, [person(who, 99)]) == [who]


def test_a_hand_before_the_face_makes_no_stranger() -> None:
    tracker = Tracker()
    for n in range(60):
        assert tracker.update([face(100)], n / 30, [person(1 if 20 < n < 30 else 0, n)]) == [0]


def test_looks_are_learned_from_faces_that_stand_alone() -> None:
    """Two overlap for long, their crops showing both; when they are next seen they have changed places."""
    tracker = Tracker()
    both = (person(0) + person(1)) / np.float32(1.4)
    for n in range(30):
        tracker.update([face(200), face(400)], n / 30, [person(0, n), person(1, n)])
    for n in range(30, 600):
        x = max(0, 45 - n) * 4
        appearances = [person(0), person(1)] if x else [both, both]
        assert tracker.update([face(275 - x), face(325 + x)], n / 30, appearances) == [0, 1]
    assert tracker.update([face(325), face(275)], 21, [person(0), person(1)]) == [0, 1]


def test_after_a_cut_everybody_is_new() -> None:
    """Who is elsewhere, who looks another way where somebody was, and who is there again after a shot of nobody."""
    tracker = Tracker()
    assert tracker.update([face(100), face(300)], 0, [person(0), person(1)]) == [0, 1]
    assert tracker.update([face(200), face(300)], 0.04, [person(0), person(2)], cut=True) == [2, 3]
    assert tracker.update([face(200), face(300)], 0.08, [person(0), person(2)]) == [2, 3]
    assert tracker.update([], 0.12, [], cut=True) == []
    assert tracker.update([face(200)], 0.16, [person(0)]) == [4]


@pytest.mark.parametrize("count", [2, 4, 6])
def test_sampling_changes_nobody(count: int) -> None:
    """People wander and cross; at every 1, 2 and 5 frames the ids are of the same persons."""
    random = np.random.default_rng(count)
    phase, rate = random.uniform(0, 6.3, (count, 2)), random.uniform(0.05, 0.12, (count, 2))
    who: dict[int, dict[int, list[int]]] = {}
    for every in (1, 2, 5):
        tracker, noise = Tracker(), np.random.default_rng(9)
        for n in range(0, 300, every):
            x, y = (300 + 250 * np.sin(2 * np.pi * rate * n / 30 + phase)).T
            faces = [face(a + noise.normal(0, 1), b + noise.normal(0, 1)) for a, b in zip(x, y, strict=True)]
            who.setdefault(n, {})[every] = tracker.update(faces, n / 30, [person(i, n) for i in range(count)])
    assert {tuple(ids) for at in who.values() for ids in at.values()} == {tuple(range(count))}


def test_assignment_is_the_best_there_is() -> None:
    random = np.random.default_rng(0)
    for _ in range(300):
        rows = int(random.integers(0, 7))
        costs = random.normal(size=(rows, rows + int(random.integers(0, 5)))).round(1)
        costs[random.random(costs.shape) < 0.3] = 1e6
        found = assign(costs)
        assert len(set(found)) == rows
        assert costs[range(rows), found].sum() == pytest.approx(costs[linear_sum_assignment(costs)].sum())


def test_photos_count_by_size() -> None:
    assert rank_by_size([face(0, width=30), face(0, width=50), face(0, width=40)]) == [2, 0, 1]
    assert rank_by_size([face(0, width=30), face(9, width=30)]) == [0, 1]
    assert rank_by_size([]) == []


def test_in_a_meeting_who_stays_is_nobody_new() -> None:
    """A panel opens and most of the screen changes: to the shot detector that is a cut."""
    tracker = Tracker()
    people = [person(0), person(1), person(2)]
    assert tracker.update([face(100), face(300), face(500)], 0.0, people) == [0, 1, 2]
    seen = tracker.update([face(100), face(301), face(500)], 0.04, [people[0], people[1], person(7)], cut=True)
    assert seen == [0, 1, 3]  # at the third one's place sits somebody else
    assert tracker.update([face(200)], 0.08, [people[0]], cut=True) == [4]  # the same one elsewhere is another shot
    assert tracker.update([face(200)], 0.12, None, cut=True) == [5]  # without looks, places say too little


def test_whatever_changes_behind_a_head() -> None:
    """A slide in place of the wall: of the look only what is around the face is another."""
    head = np.hypot(*np.meshgrid(np.linspace(-1, 1, 96), np.linspace(-1, 1, 96))) < 1
    wall, slide = np.full((96, 96), 20), np.full((96, 96), 235)
    mine, others = (np.random.default_rng(n).integers(0, 256, (8, 8)).repeat(12, 0).repeat(12, 1) for n in (3, 4))
    before, after, replaced = (
        appearance(np.where(head, who, ground).astype(np.uint8))
        for who, ground in ((mine, wall), (mine, slide), (others, wall))
    )
    for seen_as, expected in ((after, [0]), (replaced, [1])):
        tracker = Tracker()
        assert tracker.update([face(100)], 0.0, [before]) == [0]
        assert tracker.update([face(100)], 0.04, [seen_as], cut=True) == expected
