"""Segments, worked out by hand: thresholds, short stretches, absences, cuts, sampling, the end of the video."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from fermedia.columns import SEGMENT_COLUMNS
from fermedia.errors import DataError, UsageError
from fermedia.tables.segments import segments
from fermedia.types import EMOTIONS

Seen = tuple[float, int, str, float]


def p(emotion: str, probability: float) -> dict[str, float]:
    """The seven probabilities of somebody who is ``emotion`` with this one; the others share the rest."""
    return {e: probability if e == emotion else (1 - probability) / 6 for e in EMOTIONS}


def video(sightings: Sequence[Seen], frames: Sequence[float] | None = None) -> pd.DataFrame:
    """A timeline of (time, face_id, emotion, probability) with no more columns than it needs.

    ``frames`` are the times of all analysed frames, those without a face too.
    """
    times = sorted({time for time, *_ in sightings} | set(frames or ()))
    rows = [{"frame": times.index(t), "timestamp": t, "face_id": i, **p(e, v)} for t, i, e, v in sightings]
    with_face = {time for time, *_ in sightings}
    rows += [{"frame": times.index(t), "timestamp": t} for t in times if t not in with_face]
    return pd.DataFrame(rows, columns=["frame", "timestamp", "face_id", *EMOTIONS])


def every(step: float, *stretches: tuple[float, float, str, float], face_id: int = 0) -> list[Seen]:
    """Sightings ``step`` apart in the stretches (from, to, emotion, probability)."""
    return [
        (round(float(t), 6), face_id, emotion, value)
        for begin, end, emotion, value in stretches
        for t in np.arange(begin, end - 1e-9, step)
    ]


def found(table: pd.DataFrame) -> list[tuple[int | str, str, float, float]]:
    assert tuple(table.columns) == SEGMENT_COLUMNS
    return list(zip(table["face_id"], table["emotion"], table["begin"], table["end"], strict=True))


def test_hand_computed() -> None:
    rows = every(0.5, (0, 2, "happy", 0.9), (2, 3, "happy", 0.7), (3, 5, "sad", 0.8))
    table = segments(video(rows), end=5.25, smooth=0)
    assert found(table) == [(0, "happy", 0, 3), (0, "sad", 3, 5.25)]
    happy, sad = table.to_dict("records")
    assert happy["duration"] == 3
    assert happy["mean"] == pytest.approx((2 * 0.9 + 1 * 0.7) / 3, abs=1e-6)
    assert (happy["peak"], happy["peak_time"]) == (0.9, 0)
    assert sad["duration"] == 2.25


def test_the_mean_counts_how_long_frames_were_shown() -> None:
    rows = [(0.0, 0, "happy", 0.9), (0.1, 0, "happy", 0.6), (1.0, 0, "happy", 0.6)]
    assert segments(video(rows), end=1.1, smooth=0)["mean"][0] == pytest.approx((0.1 * 0.9 + 1.0 * 0.6) / 1.1, abs=1e-6)


def test_between_the_thresholds_nothing_changes() -> None:
    trembling = every(0.1, (0, 1, "happy", 0.55), (1, 2, "happy", 0.45), (2, 3, "happy", 0.52), (3, 4, "happy", 0.35))
    assert found(segments(video(trembling), smooth=0)) == [(0, "happy", 0, 3)]
    undecided = every(0.1, (0, 1, "happy", 0.45), (1, 2, "happy", 0.55))
    assert found(segments(video(undecided), smooth=0)) == [(0, "happy", 1, 2)]


def test_another_emotion_ends_one_that_is_still_likely() -> None:
    both = dict.fromkeys(EMOTIONS, 0.0) | {"happy": 0.45, "sad": 0.55}
    table = video(every(0.1, (0, 1, "happy", 0.9), (1, 2, "sad", 0.9)))
    table.loc[table["timestamp"] >= 1, list(EMOTIONS)] = list(both.values())
    assert found(segments(table, smooth=0)) == [(0, "happy", 0, 1), (0, "sad", 1, 2)]


def test_short_stretches_are_dropped_and_what_they_parted_is_joined() -> None:
    rows = every(0.1, (0, 1, "happy", 0.9), (1, 1.3, "sad", 0.9), (1.3, 2, "happy", 0.9), (2, 2.4, "fear", 0.9))
    assert found(segments(video(rows), smooth=0)) == [(0, "happy", 0, 2)]
    assert len(segments(video(rows), smooth=0, shortest=0)) == 4
    # Two emotions in turn, each too short, are none: neither bridges the other.
    turns = every(0.1, *((t / 10, t / 10 + 0.3, "happy" if t % 6 else "sad", 0.9) for t in range(0, 30, 3)))
    assert found(segments(video(turns), smooth=0)) == []


def test_short_stretches_of_one_emotion_add_up_over_moments_of_doubt() -> None:
    doubt = every(0.1, *((t / 10, t / 10 + 0.2, "happy", 0.2 if t % 4 else 0.8) for t in range(0, 20, 2)))
    assert found(segments(video(doubt), smooth=0)) == [(0, "happy", 0, 1.8)]


@pytest.mark.parametrize(("back", "expected"), [(1.4, [(0, 2.4)]), (1.6, [(0, 1), (1.6, 2.6)])])
def test_only_a_long_absence_ends_a_segment(back: float, expected: list[tuple[float, float]]) -> None:
    rows = every(0.1, (0, 1, "happy", 0.9), (back, back + 1, "happy", 0.9))
    table = segments(video(rows, frames=[round(n / 10, 6) for n in range(30)]), smooth=0)
    assert [(b, e) for _, _, b, e in found(table)] == expected


def test_a_segment_ends_with_the_frame_without_the_face() -> None:
    rows = every(0.5, (0, 2, "happy", 0.9))
    table = segments(video(rows, frames=[2.0, 2.5, 3.0]), end=3.5, smooth=0)
    assert found(table) == [(0, "happy", 0, 2)]


def test_faces_too_small_to_be_judged_have_none() -> None:
    table = video(every(0.5, (0, 4, "happy", 0.9)))
    table["judged"] = table["timestamp"] < 2
    assert found(segments(table, smooth=0)) == [(0, "happy", 0, 2)]


def test_each_face_for_itself_and_a_new_id_is_somebody_new() -> None:
    rows = every(0.25, (0, 2, "happy", 0.9)) + every(0.25, (1, 3, "sad", 0.9), face_id=1)
    after_cut = every(0.25, (3, 4, "sad", 0.9), face_id=2)
    table = segments(video(rows + after_cut), end=4.0, smooth=0.5)
    assert found(table) == [(0, "happy", 0, 2), (1, "sad", 1, 3), (2, "sad", 3, 4)]


def test_smoothing_takes_a_flicker_away() -> None:
    rows = every(0.04, (0, 1, "happy", 0.9), (1, 1.04, "sad", 0.9), (1.04, 2, "happy", 0.9))
    assert len(segments(video(rows), smooth=0, shortest=0)) == 3
    assert found(segments(video(rows), end=2.0)) == [(0, "happy", 0, 2)]


def test_sampling_moves_an_edge_by_less_than_its_step() -> None:
    rows = every(0.04, (0, 4, "happy", 0.9), (4, 8, "neutral", 0.8))
    whole = found(segments(video(rows), end=8))
    for step in (2, 5, 10):
        sparse = found(segments(video(rows[::step]), end=8))
        assert [row[:2] for row in sparse] == [row[:2] for row in whole]
        edges = np.array([row[2:] for row in sparse]) - np.array([row[2:] for row in whole])
        assert abs(edges).max() <= 0.04 * step


def test_the_last_frame_lasts_until_the_end_or_as_long_as_the_others() -> None:
    rows = every(0.5, (0, 2, "happy", 0.9))
    assert found(segments(video(rows), end=9.0, smooth=0))[0][3] == 9
    assert found(segments(video(rows), smooth=0))[0][3] == 2


@pytest.mark.parametrize("table", [video([], frames=[0, 1, 2]), video([])])
def test_no_face_no_rows_but_all_columns(table: pd.DataFrame) -> None:
    assert found(segments(table)) == []


def test_images_have_no_segments() -> None:
    table = video(every(1, (0, 3, "happy", 0.9))).assign(timestamp=np.nan, source=["a.jpg", "b.jpg", "c.jpg"])
    assert found(segments(table)) == []


def test_many_videos_in_one_table_stay_apart() -> None:
    one = video(every(0.5, (0, 2, "happy", 0.9))).assign(run="r", item="a.mp4", source="a.mp4")
    two = video(every(0.5, (0, 1, "happy", 0.9), (1, 2, "sad", 0.9))).assign(run="r", item="b.mp4", source="a.mp4")
    table = segments(pd.concat([one, two]), smooth=0)
    assert table[["item", "emotion", "begin", "end"]].to_numpy().tolist() == [
        ["a.mp4", "happy", 0, 2],
        ["b.mp4", "happy", 0, 1],
        ["b.mp4", "sad", 1, 2],
    ]
    with pytest.raises(UsageError, match="has 2"):
        segments(pd.concat([one, two]), end=3.0)


def test_names_for_faces_and_any_order_of_rows_will_do() -> None:
    table = video(every(0.5, (0, 2, "happy", 0.9))).assign(face_id="Ana").sample(frac=1, random_state=1)
    assert found(segments(table, smooth=0)) == [("Ana", "happy", 0, 2)]


def test_the_table_given_stays_as_it_is() -> None:
    table = video(every(0.5, (0, 2, "happy", 0.9)))
    before = table.copy()
    segments(table)
    pd.testing.assert_frame_equal(table, before)


def test_what_is_missing_is_named() -> None:
    with pytest.raises(DataError, match="no column timestamp, fear"):
        segments(video(every(1, (0, 2, "happy", 0.9))).drop(columns=["timestamp", "fear"]))
    with pytest.raises(DataError, match="between 0 and 1"):
        segments(video([(0, 0, "happy", 90.0)]))
    with pytest.raises(DataError, match="timestamp contains a value that is not a number"):
        segments(video([(0, 0, "happy", 0.9)]).assign(timestamp="00:01"))
    with pytest.raises(UsageError, match="enter"):
        segments(video([]), enter=0.3)
