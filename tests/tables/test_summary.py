"""The summary's numbers, worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from fermedia.columns import SUMMARY_COLUMNS, TIMELINE_COLUMNS
from fermedia.tables.summary import summarize, summary
from fermedia.types import EMOTIONS, valence
from tests.seen import one_hot

Row = tuple[int, float, int | None, Sequence[float] | None]


def timeline(rows: Sequence[Row]) -> pd.DataFrame:
    """(frame, timestamp, face_id or None, probabilities or None where it is not classified) as a timeline."""
    table = pd.DataFrame(
        [
            {"source": "x.mp4", "frame": n, "timestamp": t, "face_id": i, "success": i is not None, "judged": bool(p)}
            | (
                dict(zip(EMOTIONS, p, strict=True))
                | {"emotion": EMOTIONS[p.index(max(p))], "valence": float(valence(np.array(p)))}
                if p
                else {}
            )
            for n, t, i, p in rows
        ],
        columns=list(TIMELINE_COLUMNS),
    )
    return table.astype({"face_id": "Int64", "success": bool, "judged": bool, "timestamp": float, "frame": "int64"})


def by_face(table: pd.DataFrame) -> pd.DataFrame:
    """A summary by its faces' ids as text, and "all" for the item."""
    names = [
        "all" if level == "item" else str(face) for level, face in zip(table["level"], table["face_id"], strict=True)
    ]
    return table.set_index(pd.Index(names, name="who"))


MIXED = [0.4, 0, 0, 0, 0, 0, 0.6]

# Frames are shown for 1, 2, 1 and (until 6) 2 seconds. Face 0 is in the first three, face 1 in the second.
VIDEO: list[Row] = [
    (0, 0.0, 0, one_hot("happy")),
    (5, 1.0, 0, MIXED),
    (5, 1.0, 1, one_hot("sad")),
    (10, 3.0, 0, one_hot("angry")),
    (15, 4.0, None, []),
]


def test_hand_computed_video() -> None:
    table = summarize(timeline(VIDEO), "talk.mp4", end=6.0).pipe(by_face)
    assert table.index.tolist() == ["0", "1", "all"]
    assert table["face_id"].tolist()[:2] == [0, 1]
    assert table["item"].unique().tolist() == ["talk.mp4"]
    assert table["frames"].tolist() == [4, 4, 4]
    assert table["frames_with_face"].tolist() == [3, 1, 3]
    assert table["coverage"].tolist() == pytest.approx([4 / 6, 2 / 6, 4 / 6], abs=1e-6)
    assert table["first"].tolist() == [0, 1, 0]
    assert table["last"].tolist() == [3, 1, 3]
    assert table["seconds"].tolist() == [4, 2, 4]
    zero = table.loc["0"]
    # 1 s happy, 2 s mixed, 1 s angry
    assert zero["happy_mean"] == pytest.approx(1 / 4)
    assert zero["angry_mean"] == pytest.approx((2 * 0.4 + 1) / 4)
    assert zero["neutral_mean"] == pytest.approx(2 * 0.6 / 4)
    assert zero["neutral_share"] == pytest.approx(2 / 4)
    assert zero["angry_share"] == pytest.approx(1 / 4)
    assert zero["emotion"] == "angry"  # the largest mean, 0.45, though neutral has the largest share
    assert zero["valence_mean"] == pytest.approx((1 * 1 - 2 * 0.4 - 1) / 4)
    # 4 s of face 0 and 2 s of face 1
    assert table.loc["all", "valence_mean"] == pytest.approx((1 - 0.8 - 1 - 2) / 6, abs=1e-6)
    assert table.loc["all", "sad_mean"] == pytest.approx(2 / 6, abs=1e-6)
    assert table.loc["all", "happy_share"] == pytest.approx(1 / 6, abs=1e-6)
    for kind in ("mean", "share"):
        assert table[[f"{e}_{kind}" for e in EMOTIONS]].sum(axis=1).tolist() == pytest.approx([1, 1, 1], abs=4e-6)


def test_without_an_end_the_last_frame_lasts_as_long_as_the_median() -> None:
    table = summarize(timeline(VIDEO), "x").pipe(by_face)  # 1, 2, 1 and the median 1
    assert table.loc["0", "coverage"] == pytest.approx(4 / 5)


def test_item_without_a_face() -> None:
    table = summarize(timeline([(0, 0.0, None, []), (1, 1.0, None, [])]), "x", end=2.0)
    assert tuple(table.columns) == SUMMARY_COLUMNS
    assert len(table) == 1
    row = table.iloc[0]
    assert row["face_id"] is pd.NA or math.isnan(row["face_id"])
    assert (row["level"], row["frames"], row["frames_with_face"], row["coverage"]) == ("item", 2, 0, 0)
    assert row["seconds"] == 0
    assert row[["first", "last", "emotion", "happy_mean", "happy_share"]].isna().all()


def test_item_without_a_frame() -> None:
    table = summarize(timeline([]), "x", end=2.0, smooth=0.5)
    assert table[["level", "frames", "coverage"]].values.tolist() == [["item", 0, 0]]


def test_photos_count_one_each() -> None:
    rows = [(0, math.nan, 0, one_hot("happy")), (1, math.nan, None, None), (2, math.nan, 0, one_hot("sad"))]
    table = summarize(timeline(rows), "album").pipe(by_face)
    assert table.loc["0", "coverage"] == pytest.approx(2 / 3, abs=1e-6)
    assert table.loc["0", "happy_mean"] == pytest.approx(0.5)
    assert table[["first", "last", "seconds"]].isna().all(axis=None)


def test_one_analysed_frame() -> None:
    rows: list[Row] = [(0, 0.0, 0, one_hot("happy"))]
    alone = summarize(timeline(rows), "x").iloc[0]
    assert (alone["coverage"], alone["happy_mean"]) == (1, 1)
    assert math.isnan(alone["seconds"])
    assert summarize(timeline(rows), "x", end=3.0).iloc[0]["seconds"] == 3


def test_what_is_too_small_counts_as_seen_but_not_as_judged() -> None:
    small = [row if row[0] != 5 else (*row[:3], None) for row in VIDEO]
    table = summarize(timeline(small), "x", end=6.0).pipe(by_face)
    assert table["coverage"].tolist() == pytest.approx([4 / 6, 2 / 6, 4 / 6], abs=1e-6)
    assert table["judged"].tolist() == pytest.approx([2 / 4, 0, 2 / 6], abs=1e-6)
    zero = table.loc["0"]  # 1 s happy, 1 s angry, 2 s too small
    assert (zero["happy_mean"], zero["angry_mean"], zero["happy_share"], zero["neutral_share"]) == (0.5, 0.5, 0.5, 0)
    assert table.loc["1", ["emotion", "happy_mean", "happy_share"]].isna().all()
    assert table.loc["all", "happy_mean"] == pytest.approx(0.5)
    assert summarize(timeline(VIDEO), "x", end=6.0)["judged"].tolist() == [1, 1, 1]
    assert math.isnan(summarize(timeline(VIDEO[-1:]), "x")["judged"].iloc[0])


def test_shares_are_of_the_steady_values_and_means_of_the_raw() -> None:
    """Every fifth of 50 frames in 2 seconds is a flicker that no half second agrees with."""
    seen = [one_hot("fear" if n % 5 == 4 else "happy") for n in range(50)]
    flicker = timeline([(n, n / 25, n % 2, p) for n, p in enumerate(seen)])
    raw = summarize(flicker, "x", end=2.0).pipe(by_face)
    smoothed = summarize(flicker, "x", end=2.0, smooth=0.5).pipe(by_face)
    assert raw.loc["all", "fear_share"] == pytest.approx(0.2)
    assert smoothed["fear_share"].tolist() == [0, 0, 0]
    assert smoothed["happy_share"].tolist() == [1, 1, 1]
    assert smoothed["fear_mean"].tolist() == raw["fear_mean"].tolist() == pytest.approx([0.2, 0.2, 0.2])


def test_photos_are_not_averaged() -> None:
    rows: list[Row] = [(n, math.nan, 0, one_hot("happy" if n else "sad")) for n in range(3)]
    assert summarize(timeline(rows), "album", smooth=0.5).iloc[0]["sad_share"] == pytest.approx(1 / 3, abs=1e-6)


def test_of_a_timeline_of_any_origin() -> None:
    needed = timeline(VIDEO)[["frame", "timestamp", "face_id", *EMOTIONS]].astype({"face_id": float})
    table = summary(needed.assign(source="x.mp4"), end=6.0, smooth=0)
    pd.testing.assert_frame_equal(table, summarize(timeline(VIDEO), "x.mp4", end=6.0), check_dtype=False)
    two = pd.concat([needed.assign(source="a.mp4"), needed.assign(source="b.mp4")])
    assert summary(two)["item"].tolist() == ["a.mp4"] * 3 + ["b.mp4"] * 3
    images = needed.assign(timestamp=math.nan, source=["1.jpg", "2.jpg", "2.jpg", "3.jpg", "4.jpg"])
    assert summary(images)["item"].tolist() == ["pictures"] * 3
    assert list(summary(two.assign(run="r", item="i.mp4"))) == ["run", *SUMMARY_COLUMNS]
