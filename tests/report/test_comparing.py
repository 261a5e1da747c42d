"""Figures of participants: points, means and intervals where the tables have them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection

from fermedia.columns import COMPARISONS, CONDITIONS, PARTICIPANTS, SUMMARY_COLUMNS
from fermedia.commands.figures import Figures, _draw_groups
from fermedia.report.group_plots import MOST_LEVELS, MOST_PAIRS, factors, plot_differences, plot_factor
from fermedia.study.groups import Groups
from fermedia.study.participants import Participants
from fermedia.tables.tables import read_csv
from fermedia.types import EMOTIONS
from tests.report.test_plots import cut_off

Tables = tuple[pd.DataFrame, pd.DataFrame]


def study(folder: Path, levels: list[str], people: int = 6, seed: int = 0) -> Tables:
    """participants.csv and conditions.csv of people in all levels, in two sessions each."""
    rng = np.random.default_rng(seed)
    rows, lines = [], ["item;participant;condition;session"]
    for person in range(people):
        for number, level in enumerate(levels):
            for session in (1, 2):
                item, p = f"{person} {number} {session}", rng.dirichlet(np.ones(7))
                lines.append(f"{item};p{person};{level};{session}")
                about = {"item": item, "level": "item", "frames": 9, "frames_with_face": 9, "seconds": 10.0 * session}
                figures = {
                    f"{e}_{kind}": value for kind in ("mean", "share") for e, value in zip(EMOTIONS, p, strict=True)
                }
                rows.append(about | figures | {"judged": 1.0, "emotion": "sad", "valence_mean": rng.uniform(-1, 1)})
    (folder / "people.csv").write_text("\n".join(lines), encoding="utf-8")
    given = Participants.read(folder / "people.csv")
    summary = pd.DataFrame(rows, columns=list(SUMMARY_COLUMNS)).astype({"face_id": "Int64"})
    groups = Groups.of(given, given.matched(summary)[0], summary)
    groups.participants.to_csv(folder / "participants.csv", index=False)
    groups.comparisons.to_csv(folder / "comparisons.csv", index=False)
    groups.conditions.to_csv(folder / "conditions.csv", index=False)
    return read_csv(folder / "participants.csv", PARTICIPANTS), read_csv(folder / "conditions.csv", CONDITIONS)


def test_points_means_and_intervals_are_those_of_the_tables(tmp_path: Path) -> None:
    participants, conditions = study(tmp_path, ["before", "after"])
    assert factors(conditions) == ["condition", "session"]
    figure = plot_factor(participants, conditions, "condition")
    assert [axes.get_title() for axes in figure.axes] == [*(f"share of {e}" for e in EMOTIONS), "mean valence"]
    happy = figure.axes[EMOTIONS.index("happy")]
    drawn = [(line.get_marker(), np.asarray(line.get_xdata()), np.asarray(line.get_ydata())) for line in happy.lines]
    points = [y for marker, _, y in drawn if marker == "o"]
    assert [len(y) for y in points] == [2] * 6  # one line for each participant
    about = (conditions["measure"] == "share") & (conditions["emotion"] == "happy") & conditions["session"].isna()
    for place, level in enumerate(("before", "after")):
        (row,) = conditions[about & (conditions["condition"] == level)].to_dict("records")
        # The points are over both sessions, by their times, so their mean is that of the table.
        assert np.mean([y[place] for y in points]) == pytest.approx(row["value"], abs=1e-5)
        (mean,) = (y[0] for marker, x, y in drawn if marker == "D" and round(x[0]) == place)
        assert mean == row["value"]
        bar = happy.collections[place]
        assert isinstance(bar, LineCollection)
        assert bar.get_segments()[0][:, 1].tolist() == [row["low"], row["high"]]
    assert [text.get_text() for text in figure.axes[-1].get_xticklabels()] == ["before (6)", "after (6)"]


@pytest.mark.parametrize(
    "levels",
    [
        ["one"],
        [f"a group of people with quite a long name, number {n}" for n in range(3)],
        [f"level {n}" for n in range(MOST_LEVELS + 3)],
    ],
)
def test_no_text_is_cut_off(tmp_path: Path, levels: list[str]) -> None:
    participants, conditions = study(tmp_path, levels, people=2)
    figure = plot_factor(participants, conditions, "condition")
    assert cut_off(figure) == []
    labels = [text.get_text() for text in figure.axes[-1].get_xticklabels()]
    assert len(set(labels)) == min(len(levels), MOST_LEVELS)
    assert ("12 of 15 levels" in figure.get_suptitle()) == (len(levels) > MOST_LEVELS)


def test_without_factors_all_participants_stand_together(tmp_path: Path) -> None:
    participants, conditions = study(tmp_path, ["one"], people=3)
    participants = participants.drop(columns=["condition", "session"])
    conditions = conditions[conditions["condition"].notna() & conditions["session"].isna()]
    conditions = conditions.drop(columns=["condition", "session"])
    figure = plot_factor(participants, conditions, None, emotions=("happy",))
    assert [axes.get_title() for axes in figure.axes] == ["share of happy", "mean valence"]
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["(3)"]


def test_differences_are_those_of_the_tables(tmp_path: Path) -> None:
    participants, _ = study(tmp_path, ["before", "after"])
    comparisons = read_csv(tmp_path / "comparisons.csv", COMPARISONS)
    figure = plot_differences(participants, comparisons, "condition")
    shares, valence = figure.axes
    assert shares.get_title() == "after\nminus before (6)"
    for place, name in enumerate((*EMOTIONS, "valence")):
        about = (comparisons["measure"] == "share") & (comparisons["emotion"] == name)
        if name == "valence":
            about = comparisons["measure"] == "valence_mean"
        (row,) = comparisons[about & (comparisons["factor"] == "condition")].to_dict("records")
        axes, line = (valence, 0) if name == "valence" else (shares, place)
        points, mean = axes.lines[1 + 2 * line : 3 + 2 * line]  # the first is the line at 0
        assert np.asarray(mean.get_xdata()).tolist() == [row["difference"]]
        assert len(np.asarray(points.get_xdata())) == 6
        assert np.mean(np.asarray(points.get_xdata())) == pytest.approx(row["difference"], abs=1e-5)
        bar = axes.collections[line]
        assert isinstance(bar, LineCollection)
        assert bar.get_segments()[0][:, 0].tolist() == [row["low"], row["high"]]


@pytest.mark.parametrize(
    ("levels", "people", "width"),
    [
        (["before", "after"], 3, 7.2),
        ([f"a group of people with quite a long name, number {n}" for n in range(3)], 20, 7.2),
        ([f"level {n}" for n in range(6)], 1, 3.3),
    ],
)
def test_no_text_of_differences_is_cut_off(tmp_path: Path, levels: list[str], people: int, width: float) -> None:
    participants, _ = study(tmp_path, levels, people)
    comparisons = read_csv(tmp_path / "comparisons.csv", COMPARISONS)
    figure = plot_differences(participants, comparisons, "condition", width=width)
    assert cut_off(figure) == []
    titles = {axes.get_title() for axes in figure.axes} - {""}
    pairs = len(levels) * (len(levels) - 1) // 2
    assert len(titles) == min(pairs, MOST_PAIRS)
    assert (f"{MOST_PAIRS} of {pairs} pairs" in figure.get_suptitle()) == (pairs > MOST_PAIRS)


def test_differences_are_only_drawn_where_participants_have_several_levels(tmp_path: Path) -> None:
    study(tmp_path, ["one"])
    assert _draw_groups(tmp_path, Figures(kinds=("differences",), formats=("pdf",)))
    assert [path.name for path in (tmp_path / "plots").iterdir()] == ["differences_session.pdf"]
