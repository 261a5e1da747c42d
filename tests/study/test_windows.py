"""Means in windows and courses around events, against calculations frame by frame and against scipy."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import stats

from fermedia.columns import COURSES, FACE, FOLLOWED, MEASURED, WINDOWS
from fermedia.study.events import Event
from fermedia.study.participants import ALL_FACES
from fermedia.study.windows import Baseline, Courses, Happening, Steps, Unit
from fermedia.tables.summary import Observed, summarize
from fermedia.tables.tables import complete
from fermedia.types import EMOTIONS, valence

END = 11.0
STEPS = Steps(before=1.0, after=2.0, bin=0.5)
Row = dict[str, Any]


def timeline(faces: int = 2, seed: int = 1, frames: int = 120, measured: bool = False) -> pd.DataFrame:
    """Irregular frames over some ten seconds; faces are missing now and then, and some are not classified."""
    rng = np.random.default_rng(seed)
    times = np.unique(rng.uniform(0.2, 10.5, frames).round(3))
    rows = []
    for n, time in enumerate(times.tolist()):
        seen: list[int | None] = [face for face in range(faces) if rng.random() > 0.2]
        for face in seen or [None]:
            p = rng.dirichlet(np.ones(7)) if face is not None and rng.random() > 0.15 else np.full(7, np.nan)
            row: Row = {"frame": n, "timestamp": time, "face_id": face, **dict(zip(EMOTIONS, p, strict=True))}
            if measured and face is not None:
                row |= dict(zip(MEASURED, rng.random(len(MEASURED)), strict=True))
                row["looks_at_camera"] = float(row["looks_at_camera"] > 0.5)
            rows.append(row)
    table = complete(pd.DataFrame(rows))
    return table.astype({"face_id": "Int64"}).assign(quality="good")


def happening(table: pd.DataFrame, *events: Event, **more: Any) -> Happening:
    observed = Observed.of(table, END, 0.0)
    return Happening("a.mp4", observed, events, STEPS, **more)


def windows_of(happened: Happening, whole: tuple[float, float] | None = None) -> pd.DataFrame:
    """The rows of windows.csv, with the face as text: ``ALL_FACES`` for the item as a whole."""
    rows = happened.windows(whole)
    return rows.assign(face_id=rows["face_id"].astype(object).where(rows["level"] == FACE, ALL_FACES).astype(str))


def seconds_of(table: pd.DataFrame, begin: float, end: float) -> NDArray[np.float64]:
    """For how long each row's frame was shown within the window, one row at a time."""
    times = sorted(set(table["timestamp"]))
    until = dict(zip(times, [*times[1:], END], strict=True))
    return np.array([max(0.0, min(until[t], end) - max(t, begin)) for t in table["timestamp"]])


def mean(values: pd.Series, weights: NDArray[np.float64], among: pd.Series) -> float:
    chosen = among.to_numpy(bool) & (weights > 0)
    return float(np.average(values[chosen].astype(float), weights=weights[chosen])) if chosen.any() else math.nan


@pytest.mark.parametrize("span", [(2.0, 4.0), (0.0, 1.0), (9.5, 14.0), (3.333, 3.334), (-1.0, 20.0)])
def test_means_are_weighted_by_the_time_within_the_window(span: tuple[float, float]) -> None:
    table = timeline()
    rows = windows_of(happening(table, Event(*span, "film")))
    weights = seconds_of(table, *span)
    for row in rows.to_dict("records"):
        whose = table["success"] & ((table["face_id"].astype("str") == row["face_id"]) | (row["face_id"] == ALL_FACES))
        own = np.where(whose, weights, 0.0)
        classified = whose & table["judged"]
        assert row["seconds"] == pytest.approx(_seconds(table, whose, weights, row["face_id"]), abs=2e-6)
        for e in EMOTIONS:
            assert row[f"{e}_mean"] == pytest.approx(mean(table[e], own, classified), abs=1e-6, nan_ok=True)
            shares = (table["emotion"] == e).astype(float)
            assert row[f"{e}_share"] == pytest.approx(mean(shares, own, classified), abs=1e-6, nan_ok=True)
        assert row["valence_mean"] == pytest.approx(mean(table["valence"], own, classified), abs=1e-6, nan_ok=True)
        assert row["judged"] == pytest.approx(mean(table["judged"].astype(float), own, whose), abs=1e-6, nan_ok=True)
        assert row["frames"] == table["frame"][weights > 0].nunique()
        assert row["frames_with_face"] == table["frame"][whose & (weights > 0)].nunique()
    assert (rows["begin"].iloc[0], rows["end"].iloc[0]) == span


def _seconds(table: pd.DataFrame, whose: pd.Series, weights: NDArray[np.float64], face_id: str) -> float:
    """A frame counts once, however many faces it has."""
    shown = pd.DataFrame({"frame": table["frame"], "weight": np.where(whose, weights, 0.0)})
    return float(shown.groupby("frame")["weight"].max().sum())


def test_the_window_of_a_whole_video_is_its_summary() -> None:
    table = timeline(measured=True)
    rows = happening(table).windows((float(table["timestamp"].min()), END))
    summary = summarize(table, "a.mp4", END, 0.0)
    same = [name for name in WINDOWS.names if name in summary]
    pd.testing.assert_frame_equal(rows[same], summary[same], check_dtype=False)
    assert rows["event"].isna().all()


def test_measures_are_averaged_where_they_are_known() -> None:
    table = timeline(measured=True)
    row = windows_of(happening(table, Event(2, 5, "film"))).iloc[-1]
    weights = seconds_of(table, 2, 5)
    known = table["success"] & (table["presence"] >= 0.5)
    assert row["yaw_mean"] == pytest.approx(mean(table["yaw"], weights, known), abs=1e-6)
    assert row["jawOpen_mean"] == pytest.approx(mean(table["jawOpen"], weights, known), abs=1e-6)
    speaks = (table["speaking"] >= 0.5).astype(float)
    assert row["speaking_share"] == pytest.approx(mean(speaks, weights, known), abs=1e-6)


def test_blinks_count_where_they_begin() -> None:
    times = np.arange(0, 10, 0.04)
    closed = np.minimum.reduce([np.abs(times - at) for at in (1.0, 2.5, 3.0, 8.0)]) < 0.09
    p = np.eye(7)[np.full(len(times), 3)]
    table = pd.DataFrame({"frame": range(len(times)), "timestamp": times, "face_id": 0})
    table[list(EMOTIONS)], table[list(MEASURED)] = p, 0.3
    table["presence"] = 1.0
    table["right_eye"] = table["left_eye"] = np.where(closed, 0.05, 0.3)
    rows = windows_of(happening(complete(table), Event(2.2, 5, "film"), Event(5, 7.5, "pause")))
    assert rows["blinks"].tolist() == [2, 2, 0, 0]
    assert rows["blinks_per_minute"].iloc[0] == pytest.approx(60 * 2 / 2.8, abs=1e-4)


def test_a_window_without_a_face_has_rows_with_zero_frames() -> None:
    table = timeline(faces=1)
    table.loc[table["timestamp"].between(4, 6), ["success", "judged", "face_id", *EMOTIONS, "emotion"]] = [
        *(False, False, pd.NA, *[np.nan] * 7, None)
    ]
    rows = windows_of(happening(table, Event(4.5, 5.5, "gone"), Event(20, 21, "late"), Event(-3, -1, "early")))
    assert rows["face_id"].tolist() == ["0", ALL_FACES] * 3
    assert rows["frames_with_face"].tolist() == [0] * 6
    assert (rows["frames"] > 0).tolist() == [True, True, *[False] * 4]
    assert rows["seconds"].tolist() == [0.0] * 6
    assert rows["coverage"].tolist() == [0.0] * 6
    assert rows[["happy_mean", "happy_share", "valence_mean", "judged", "emotion"]].isna().all(axis=None)


def test_a_video_without_any_face_has_a_row_for_each_event() -> None:
    table = pd.DataFrame({"frame": range(5), "timestamp": np.arange(5) / 5, "face_id": None, **dict.fromkeys(EMOTIONS)})
    rows = windows_of(happening(complete(table), Event(0, 1, "a"), Event(0.5, None, "b")))
    assert rows[["face_id", "frames", "frames_with_face", "end"]].to_numpy().tolist() == [
        [ALL_FACES, 5, 0, 1.0],
        [ALL_FACES, 3, 0, 2.5],  # a moment's window lasts --after seconds
    ]
    assert list(windows_of(happening(complete(table), Event(0, 1, "a"), baseline=Baseline("median")))) == list(
        WINDOWS.names
    )


def test_overlapping_events_do_not_know_of_each_other() -> None:
    table = timeline()
    one, other = Event(2, 5, "film"), Event(3, 8, "music")
    both = windows_of(happening(table, one, other))
    for number, event in enumerate((one, other), 1):
        alone = windows_of(happening(table, event)).drop(columns="event")
        same = both[both["event"] == number].drop(columns="event").reset_index(drop=True)
        pd.testing.assert_frame_equal(same, alone)


# -- baselines --


def base_mean(table: pd.DataFrame, face: int, *spans: tuple[float, float]) -> float:
    weights = np.sum([seconds_of(table, *span) for span in spans], axis=0)
    return mean(table["happy"], weights, table["judged"] & (table["face_id"] == face))


@pytest.mark.parametrize(
    ("baseline", "spans"),
    [
        ("rest", lambda table: [(0.5, 2.0)]),  # that of the same trial
        ("rest of all", lambda table: [(2.0, 4.0)]),  # two that overlap count once
        ("3s", lambda table: [(table["timestamp"].min(), table["timestamp"].min() + 3)]),
        ("2,5 s", lambda table: [(table["timestamp"].min(), table["timestamp"].min() + 2.5)]),
        ("before", lambda table: [(5.0, 6.0)]),
    ],
)
def test_changes_are_from_the_means_of_the_baseline(
    baseline: str, spans: Callable[[pd.DataFrame], list[tuple[float, float]]]
) -> None:
    table = timeline()
    others = [Event(0.5, 2.0, "rest", "1"), Event(8, 9, "rest", "2")]
    others += [Event(2, 3, "rest of all"), Event(2.5, 4, "rest of all")]
    film = Event(6, 8, "film", "1")
    rows = windows_of(happening(table, film, *others, baseline=Baseline(baseline)))
    row = rows[(rows["label"] == "film") & (rows["face_id"] == "1")].iloc[0]
    expected = row["happy_mean"] - base_mean(table, 1, *spans(table))
    assert row["change_happy"] == pytest.approx(expected, abs=2e-6)
    seconds = sum(seconds_of(table, *span)[table["judged"] & (table["face_id"] == 1)].sum() for span in spans(table))
    assert row["baseline_seconds"] == pytest.approx(seconds, abs=1e-5)


def test_a_median_is_that_of_the_time() -> None:
    """Against numpy's median of values repeated as often as their milliseconds."""
    table = timeline(frames=41)
    row = windows_of(happening(table, Event(6, 8, "film"), baseline=Baseline("median"))).iloc[0]
    own = table["judged"] & (table["face_id"] == 0)
    weights = np.rint(1000 * seconds_of(table, 0, END)[own]).astype(int)
    for name in (*EMOTIONS, "valence"):
        median = np.median(np.repeat(table[name][own].to_numpy(), weights))
        assert row[f"change_{name}"] == pytest.approx(row[f"{name}_mean"] - median, abs=2e-6)


def test_measures_change_too() -> None:
    table = timeline(measured=True)
    rows = windows_of(happening(table, Event(1, 3, "rest"), Event(6, 8, "film"), baseline=Baseline("rest")))
    for face in ("0", "1", ALL_FACES):
        rest, film = (row for _, row in rows[rows["face_id"] == face].iterrows())
        for name in ("yaw", "jawOpen", "mouth_opening"):
            assert film[f"change_{name}"] == pytest.approx(film[f"{name}_mean"] - rest[f"{name}_mean"], abs=2e-6)
        for name in ("speaking", "looks_at_camera"):
            assert film[f"change_{name}"] == pytest.approx(film[f"{name}_share"] - rest[f"{name}_share"], abs=2e-6)
        assert rest[[f"change_{name}" for name in FOLLOWED]].abs().max() < 2e-6


def test_a_face_without_a_baseline_has_no_change() -> None:
    table = timeline(faces=1)
    rows = windows_of(happening(table, Event(20, 22, "rest"), Event(2, 4, "film"), baseline=Baseline("rest")))
    assert rows["change_happy"].isna().all()
    assert rows["baseline_seconds"].tolist() == [0.0] * len(rows)


def test_a_label_called_median_is_a_label() -> None:
    table = timeline()
    rows = windows_of(happening(table, Event(1, 3, "median"), baseline=Baseline("median")))
    assert rows["change_happy"].abs().max() < 2e-6


# -- courses --


def course(table: pd.DataFrame, begin: float, value: str) -> list[float]:
    """The mean of a value of all faces in each step, from the frames; unknown where less than half is classified."""
    found = []
    for step in np.arange(-1.0, 2.0, 0.5):
        weights = seconds_of(table, begin + step, begin + step + 0.5)
        known = table["judged"].to_numpy()
        enough = weights[known].sum() >= 0.25 - 1e-9
        found.append(mean(table[value], weights, table["judged"]) if enough else math.nan)
    return found


def test_courses_are_means_over_items_of_means_over_events_with_student_s_intervals() -> None:
    tables = [timeline(faces=1, seed=seed) for seed in range(4)]
    begins = [(3.0, 6.0), (0.5, 6.25), (4.0,), (10.0, 5.0)]
    courses = Courses(STEPS, "items", has_baseline=True)
    for n, (table, times) in enumerate(zip(tables, begins, strict=True)):
        events = [Event(time, None, "film") for time in times]
        observed = Observed.of(table, END, 0.0)
        courses.add(Happening(f"{n}.mp4", observed, events, STEPS, Baseline("before")))
    found = courses.table()
    assert list(found) == list(COURSES.names)
    for value in ("happy", "valence"):
        rows = found[found["measure"] == value]
        by_event = [[course(table, time, value) for time in times] for table, times in zip(tables, begins, strict=True)]
        units = pd.DataFrame([pd.DataFrame(events).mean() for events in by_event])
        assert rows["begin"].tolist() == [-1.0, -0.5, 0.0, 0.5, 1.0, 1.5]
        assert rows["end"].tolist() == [-0.5, 0.0, 0.5, 1.0, 1.5, 2.0]
        np.testing.assert_allclose(rows["value"], units.mean(), atol=1e-6)
        np.testing.assert_allclose(rows["sd"], units.std(), atol=1e-6)
        assert rows["count"].tolist() == units.count().tolist()
        assert rows["events"].tolist() == pd.DataFrame([c for e in by_event for c in e]).count().tolist()
        low, high = stats.t.interval(0.95, units.count() - 1, units.mean(), units.sem())
        np.testing.assert_allclose(rows["low"], low, atol=1e-6)
        np.testing.assert_allclose(rows["high"], high, atol=1e-6)
        changes = []
        for table, times in zip(tables, begins, strict=True):
            bases = [mean(table[value], seconds_of(table, t - 1, t), table["judged"]) for t in times]
            own = [np.array(course(table, t, value)) - base for t, base in zip(times, bases, strict=True)]
            changes.append(pd.DataFrame(own).mean())
        np.testing.assert_allclose(rows["change"], pd.DataFrame(changes).mean(), atol=1e-6)
        low, high = stats.t.interval(
            0.95, pd.DataFrame(changes).count() - 1, pd.DataFrame(changes).mean(), pd.DataFrame(changes).sem()
        )
        np.testing.assert_allclose(rows["change_low"], low, atol=1e-6)
        np.testing.assert_allclose(rows["change_high"], high, atol=1e-6)


def test_a_step_and_a_window_of_the_same_time_agree() -> None:
    """Two ways of computing: the summary's, and differences of an integral."""
    table = timeline(measured=True)
    table["presence"] = 0.9  # in less than half of a step, nothing counts as known
    events = [Event(3, None, "film")]
    courses = Courses(STEPS, "items", has_baseline=False)
    courses.add(happening(table, *events))
    found = courses.table().pivot(index="begin", columns="measure", values="value")
    for begin in found.index:
        row = windows_of(happening(table, Event(3 + begin, 3.5 + begin, "step"))).iloc[-1]
        for name in ("happy", "valence", "yaw", "jawOpen"):
            assert found.loc[begin, name] == pytest.approx(row[f"{name}_mean"], abs=2e-6)
        assert found.loc[begin, "speaking"] == pytest.approx(row["speaking_share"], abs=2e-6)
    assert set(found.columns) == {*EMOTIONS, "valence", *FOLLOWED}


def test_courses_over_participants_are_of_their_faces() -> None:
    table = timeline(faces=2)
    people = {"0": Unit("Ana", "A"), "1": Unit("Ben", "B"), "7": Unit("Nobody", "B")}
    courses = Courses(STEPS, "participants", has_baseline=False)
    events = [Event(3, None, "film"), Event(5, None, "film", "", "own")]
    courses.add(happening(table, *events, people=people))
    courses.add(happening(timeline(seed=5), *events, people={}))  # an item of which no participant is known
    found = courses.table()
    assert found.groupby("condition")["count"].max().to_dict() == {"A": 1, "B": 1, "own": 2}
    assert set(found["over"]) == {"participants"}
    happy = found[(found["condition"] == "B") & (found["measure"] == "happy")]
    weights = [seconds_of(table, 3 + b, 3.5 + b) for b in happy["begin"]]
    expected = [mean(table["happy"], w, table["judged"] & (table["face_id"] == 1)) for w in weights]
    np.testing.assert_allclose(happy["value"], expected, atol=1e-6)
    assert found.loc[found["count"] == 1, ["sd", "low", "high"]].isna().all(axis=None)
    rows = windows_of(happening(table, *events, people=people))
    assert rows[["face_id", "participant", "condition"]].fillna("").to_numpy().tolist()[:3] == [
        ["0", "Ana", "A"],
        ["1", "Ben", "B"],
        [ALL_FACES, "", ""],
    ]
    assert rows["condition"].tolist()[3:] == ["own"] * 3


def test_sampled_frames_count_until_the_next_one() -> None:
    """Every fifth frame of a step from sad to happy at 5 s: each stands for the fifth of a second after it."""
    times = np.arange(0, 10, 0.2)
    p = np.where(times[:, None] < 5, np.eye(7)[4], np.eye(7)[3])
    table = pd.DataFrame({"frame": 5 * np.arange(len(times)), "timestamp": times, "face_id": 0})
    table[list(EMOTIONS)] = p
    rows = windows_of(happening(complete(table), Event(4.5, 5.5, "film"), Event(4.9, 5.3, "short")))
    assert rows["happy_mean"].tolist() == pytest.approx([0.5, 0.5, 0.75, 0.75])
    assert rows["frames"].tolist() == [6, 6, 3, 3]
    assert rows["seconds"].tolist() == pytest.approx([1.0, 1.0, 0.4, 0.4])
    assert rows["valence_mean"].tolist() == pytest.approx([0, 0, 0.5, 0.5])
    assert valence(p[0]) == -1


@pytest.mark.parametrize(
    ("steps", "edges"),
    [
        (Steps(1, 2, 0.5), [-1, -0.5, 0, 0.5, 1, 1.5, 2]),
        (Steps(0.7, 1.1, 0.5), [-0.5, 0, 0.5, 1]),  # whole steps only, and the begin between two of them
        (Steps(0, 0.1, 0.5), [0, 0.5]),
        (Steps(0.3, 0.3, 0.1), [-0.3, -0.2, -0.1, 0, 0.1, 0.2, 0.3]),
    ],
)
def test_steps_begin_at_the_begin_of_the_event(steps: Steps, edges: list[float]) -> None:
    np.testing.assert_allclose(steps.edges, edges, atol=1e-12)
