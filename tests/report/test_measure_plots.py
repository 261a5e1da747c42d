"""Figures of measures: what stands where, nothing cut off, and names that may be chosen."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from fermedia.columns import BLINK_COLUMNS, MEASURED
from fermedia.render.colors import EMOTION_COLORS
from fermedia.report.measure_plots import MOST_FACES, MOST_MOVEMENTS, STANDARD, plot_means, plot_measures
from fermedia.study.shapes import MOVEMENTS, Means
from fermedia.tables.tables import complete
from fermedia.types import EMOTIONS
from tests.forks import Forks
from tests.tables.test_segments import every, video


def measured(faces: int = 2, step: float = 0.1) -> pd.DataFrame:
    rows = [seen for n in range(faces) for seen in every(step, (0, 4 + n, "happy", 1.0), face_id=n)]
    timeline = complete(video(rows))
    values = dict.fromkeys(MEASURED, 0.5) | {"presence": 1.0, "speaking": 0.1}
    return pd.concat([timeline, pd.DataFrame(values, index=timeline.index)], axis=1)


def blinks(*moments: tuple[int, float]) -> pd.DataFrame:
    rows = [("v", face, begin, begin + 0.2, 0.2, 0.9, None) for face, begin in moments]
    return pd.DataFrame(rows, columns=list(BLINK_COLUMNS))


def inside(figure: Figure) -> bool:
    """Whether all texts are inside the figure and no two labels of an axis overlap."""
    figure.draw_without_rendering()
    texts = [figure._suptitle, *figure.legends[0].get_texts()]  # type: ignore[attr-defined]
    for axes in figure.axes:
        labels = [label for label in axes.get_yticklabels() if label.get_text()]
        boxes = sorted((label.get_window_extent() for label in labels), key=lambda box: box.y0)
        if any(after.y0 < before.y1 - 1 for before, after in pairwise(boxes)):
            return False
        texts += [axes.xaxis.label, axes.yaxis.label, *labels]
    boxes = [text.get_window_extent() for text in texts if text is not None and text.get_text()]
    (left, bottom), (right, top) = figure.bbox.get_points()
    return all(left <= b.x0 + 1 and b.x1 <= right + 1 and bottom <= b.y0 + 1 and b.y1 <= top + 1 for b in boxes)


def test_a_panel_has_each_faces_values_at_their_times() -> None:
    table = measured()
    table["yaw"] = np.where(table["face_id"] == 0, table["timestamp"], -20.0)
    figure = plot_measures(table, blinks((1, 2.0)), names=["yaw", "jawOpen"], end=5, title="talk.mp4")
    yaw, jaw, events = figure.axes
    assert [axes.get_ylabel() for axes in (yaw, jaw)] == ["yaw (°)", "jawOpen"]
    lines = [line for line in yaw.lines if len(np.atleast_1d(line.get_xdata())) > 2]
    x, y = (np.asarray(values, float) for values in lines[0].get_data())
    assert y[np.isfinite(y)] == pytest.approx(x[np.isfinite(y)] - 0.05)  # in the middle of each frame
    assert np.isnan(y[x > 4]).all()
    assert set(np.asarray(lines[1].get_ydata(), float).round(6)) == {-20}
    assert jaw.get_ylim() == (0, 1)
    assert [label.get_text() for label in events.get_yticklabels()] == ["face 0", "face 1"]


def test_faces_of_one_person_are_one_line_and_one_row() -> None:
    table = measured().assign(person=lambda table: table["face_id"].map({0: "Anna", 1: "Anna"}))
    table = table[(table["face_id"] == 0) == (table["timestamp"] < 2)]
    *panels, events = plot_measures(table, blinks((0, 1.0), (1, 3.0)), end=5).axes
    assert [label.get_text() for label in events.get_yticklabels()] == ["Anna"]
    ticks = [np.asarray(p.vertices, float) for part in events.collections for p in part.get_paths()]
    assert [tick[0, 0] for tick in ticks if len(tick) == 2] == pytest.approx([1.1, 3.1])
    (line,) = (line for line in panels[0].lines if len(np.atleast_1d(line.get_xdata())) > 2)
    assert np.isfinite(np.asarray(line.get_ydata(), float)).all()


@pytest.mark.parametrize("width", [3.15, 7.2])
def test_no_long_name_of_a_person_is_cut_off(width: float) -> None:
    name = "\u00c4nne M\u00fcller-L\u00fcdenscheidt-Gr\u00f6\u00dfe"
    table = measured().assign(person=lambda table: table["face_id"].map({0: name}))
    figure = plot_measures(table, blinks((0, 1.0)), end=5, title="talk.mp4", width=width)
    assert inside(figure)
    assert name in [text.get_text() for text in figure.legends[0].get_texts()]


def test_blinks_and_speaking_are_marked_for_whom_they_are() -> None:
    table = measured()
    talks = (table["face_id"] == 0) & table["timestamp"].between(1, 3)
    table["speaking"] = np.where(talks, 0.9, 0.1)
    *_, events = plot_measures(table, blinks((1, 2.0), (1, 3.0)), end=5).axes
    paths = [np.asarray(path.vertices, float) for part in events.collections for path in part.get_paths()]
    bars = [path for path in paths if len(path) > 2]
    assert len(bars) == 1
    (begin, low), (end, high) = np.min(bars[0], axis=0), np.max(bars[0], axis=0)
    assert (begin, end) == pytest.approx((1, 3.1))
    assert low < 0 < high < 1
    ticks = [path for path in paths if len(path) == 2]
    assert sorted(path[0, 0] for path in ticks) == pytest.approx([2.1, 3.1])
    assert all(path[:, 1].min() > 0.5 for path in ticks)


def test_what_is_unreliable_is_not_drawn() -> None:
    table = measured(1)
    table["presence"] = np.where(table["timestamp"] < 2, 0.2, 0.9)
    yaw = plot_measures(table, blinks(), names=["yaw"], end=4).axes[0]
    x, y = (np.asarray(values, float) for values in yaw.lines[0].get_data())
    assert np.isnan(y[x < 2]).all()
    assert np.isfinite(y[x > 2]).all()


def test_nobody_and_a_crowd() -> None:
    crowd = plot_measures(measured(7), blinks(), title="crowd")
    assert crowd.get_suptitle() == f"crowd ({MOST_FACES} of 7 faces)"
    assert inside(crowd)
    nobody = measured(1).assign(success=False, presence=np.nan)
    assert "no face" in plot_measures(nobody, blinks(), names=["yaw"]).axes[0].texts[0].get_text()


@pytest.mark.parametrize(
    "names", [STANDARD, ["looks_at_camera"], ["mouthLowerDownRight", "head_gaze_x", "right_corner"]]
)
def test_nothing_is_cut_off(names: list[str]) -> None:
    assert inside(plot_measures(measured(MOST_FACES), blinks((0, 1.0)), names=names, end=9, title="x" * 200))


def means(groups: tuple[str, ...]) -> Means:
    values = np.random.default_rng(3).uniform(0, 1, (len(groups), len(MOVEMENTS)))
    half = np.full_like(values, 0.1)
    half[-1] = np.nan
    return Means(groups, tuple(range(len(groups), 0, -1)), values, values - half, values + half)


@pytest.mark.parametrize("groups", [EMOTIONS, ("happy",), ("control", "a condition with quite a long name")])
def test_means_stand_in_rows_with_their_intervals(groups: tuple[str, ...]) -> None:
    data = means(groups)
    figure = plot_means(data, title="Blendshapes", colors=EMOTION_COLORS, member="participant")
    (axes,) = figure.axes
    chosen = data.telling(MOST_MOVEMENTS)
    assert [label.get_text() for label in axes.get_yticklabels()] == [MOVEMENTS[n] for n in chosen]
    assert len(chosen) == MOST_MOVEMENTS
    for n, line in enumerate(axes.lines):
        assert np.asarray(line.get_xdata(), float) == pytest.approx(data.values[n, chosen])
    intervals = np.array([np.asarray(path.vertices, float)[:, 0] for path in axes.collections[0].get_paths()])
    if len(groups) > 1:
        assert intervals == pytest.approx(np.clip(np.stack([data.low[0, chosen], data.high[0, chosen]], 1), 0, 1))
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert [text.endswith("(1 participant)") for text in legend].count(True) == 1
    assert inside(figure)


def test_the_command_draws_them(forks: Forks, tmp_path: Path) -> None:
    from PIL import Image

    from tests.acting import write_acting
    from tests.videos import astronaut

    (tmp_path / "in").mkdir()
    write_acting(tmp_path / "in/talk.mp4")
    Image.fromarray(astronaut()).save(tmp_path / "in/a.png")
    people = tmp_path / "people.csv"
    people.write_text("item,face_id,participant,condition\ntalk.mp4,0,p1,film\nphotos,,p2,photo\n")
    out = tmp_path / "out"
    options = ("--no-video", "--measures", "--participants", people, "--end", "2")
    assert forks.run("analyze", tmp_path / "in", "--out", out, *options)[0] == 0
    status, said = forks.run("plot", out, "--measures", "yaw,jawOpen")
    assert status == 0, said
    for name in ("blendshapes_by_emotion", "blendshapes_by_condition"):
        assert (out / f"plots/{name}.png").stat().st_size > 10_000
    svg = (out / "items/talk.mp4/plots/measures.svg").read_text()
    assert "jawOpen" in svg
    assert "pitch" not in svg
    assert "face 1" in svg
    assert "participant" in (out / "plots/blendshapes_by_condition.svg").read_text()
    assert not (out / "items/photos/plots/measures.png").exists()
    status, said = forks.run("plot", out, "--measures", "yawn")
    assert status == 2
    assert "there is no measure yawn; there are presence, yaw" in said
    assert forks.run("analyze", tmp_path / "in/a.png", "--out", tmp_path / "plain", "--no-video")[0] == 0
    status, said = forks.run("plot", tmp_path / "plain", "--measures", "yaw")
    assert status == 2
    assert "no video with measures" in said
    assert forks.run("plot", tmp_path / "plain")[0] == 0
    assert not (tmp_path / "plain/plots").exists()
