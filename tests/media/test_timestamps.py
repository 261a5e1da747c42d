"""Time stamps as files have them, and the line they are put on."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest

from fermedia.media.timestamps import TimestampRepair

STEP = Fraction(1, 25)


def line(stamps: list[float | None], ahead: int = 8) -> tuple[list[float], TimestampRepair[int]]:
    """The times of items that should last for ``STEP``."""
    put = TimestampRepair[int](STEP, ahead)
    given = []
    for number, stamp in enumerate(stamps):
        given += list(put.put(number, None if stamp is None else Fraction(str(stamp)), STEP))
    given += list(put.ready(final=True))
    assert [item for _, item in given] == list(range(len(stamps)))
    assert all(a < b for (a, _), (b, _) in pairwise(given))
    return [float(time) for time, _ in given], put


def even(count: int, begin: float = 0) -> list[float | None]:
    return [round(begin + n / 25, 2) for n in range(count)]


def test_what_is_in_order_stays() -> None:
    times, put = line([0, 0.04, 0.08, 0.5, 0.9, 0.94])
    assert times == [0, 0.04, 0.08, 0.5, 0.9, 0.94]
    assert not put.strays
    assert not put.seams


@pytest.mark.parametrize("astray", [9802.0, 0.4, 2.2, 0.0, -50.0, 1e9])
@pytest.mark.parametrize("place", [3, 19, 29])
def test_a_stray_stamp_lies_between_its_neighbours(astray: float, place: int) -> None:
    stamps = even(40)
    stamps[place] = astray
    times, put = line(stamps)
    assert times == pytest.approx([n / 25 for n in range(40)])
    assert not put.seams


@pytest.mark.parametrize("count", [2, 5, 7])
def test_several_stray_stamps_one_behind_the_other(count: int) -> None:
    stamps = even(40)
    stamps[10 : 10 + count] = [500 + n / 25 for n in range(count)]
    times, put = line(stamps)
    assert times == pytest.approx([n / 25 for n in range(40)])
    assert len(put.strays) == count


def test_the_first_stamp_may_be_stray() -> None:
    times, put = line([9802, *even(20, 0.04)])
    assert times == pytest.approx([n / 25 for n in range(21)])
    assert put.strays


def test_a_gap_stays() -> None:
    stamps = [*even(20), *even(20, 40_000)]
    times, put = line(stamps)
    assert times == stamps
    assert not put.strays
    assert not put.seams


def test_a_video_of_few_frames_far_apart_stays() -> None:
    stamps: list[float | None] = [0, 10, 20, 300, 310, 1000]
    assert line(stamps)[0] == stamps


@pytest.mark.parametrize("begin", [0, 0.02, 2.5])
def test_a_clock_that_begins_anew_goes_on(begin: float) -> None:
    times, put = line([*even(100), *even(100, begin), *even(50, begin)])
    assert times == pytest.approx([n / 25 for n in range(250)])
    assert [float(time) for time in put.joints] == pytest.approx([4, 8])
    assert [float(shift) for shift in put.seams] == pytest.approx([4 - begin, 8 - begin])


def test_small_disorder_follows_its_predecessor_and_is_not_told() -> None:
    times, put = line([0, 0.04, 0.04, 0.12, 0.1, 0.2, 0.24])
    assert times[0:2] == [0, 0.04]
    assert times[-2:] == [0.2, 0.24]
    assert not put.strays
    assert not put.seams


def test_missing_stamps_follow_their_predecessor() -> None:
    assert line([None, None, None])[0] == pytest.approx([0, 0.04, 0.08])
    assert line([None, 0.54, None, 0.62])[0] == pytest.approx([0.5, 0.54, 0.58, 0.62])


def test_no_more_is_held_than_must_be() -> None:
    put = TimestampRepair[int](STEP, 8)
    for number, stamp in enumerate(even(20)):
        assert stamp is not None
        assert len(list(put.put(number, Fraction(str(stamp)), STEP))) == (number > 0)  # one is always looked ahead
    assert len(list(put.put(20, Fraction(500), STEP))) == 1
    held = [len(list(put.put(21 + n, 500 + n * STEP, STEP))) for n in range(1, 9)]
    assert held[:7] == [0] * 7  # a gap, or stray?
    assert held[7] == 8


def test_another_stream_is_shifted_as_the_first_one_was() -> None:
    seams: list[Fraction] = []
    put = TimestampRepair[int](STEP, 2, others=seams)
    given = [time for n in range(50) for time, _ in put.put(n, n * STEP, STEP)]
    given += [time for n in range(5) for time, _ in put.put(50 + n, n * STEP, STEP)]
    assert put.waits
    assert len(given) == 50
    seams.append(Fraction(21, 10))
    given += [time for time, _ in put.ready(final=True)]
    assert not put.waits
    assert given[50:] == [Fraction(21, 10) + n * STEP for n in range(5)]
