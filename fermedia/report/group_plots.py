"""Figures of a study: participants by the levels of a factor, from participants.csv and conditions.csv.

Importing this module loads matplotlib.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MultipleLocator, PercentFormatter

from fermedia.columns import CONDITIONS, PARTICIPANT
from fermedia.render.colors import EMOTION_COLORS
from fermedia.report.plots import FAINT, INK, NARROW, WIDTH, arrange, counted, labels, style, write_title
from fermedia.types import EMOTIONS

if TYPE_CHECKING:
    import pandas as pd

#: Maximum number of levels in a figure: those that come first.
MOST_LEVELS = 12

#: Up to this number of levels, four panels have room beside each other.
_FEW = 5

#: The panel of valence, after those of the emotions.
_VALENCE = "valence"


def factors(conditions: pd.DataFrame) -> list[str]:
    """The factors of a study, which are columns of its conditions.csv."""
    return [name for name in conditions if name not in CONDITIONS.names]


def plot_factor(
    participants: pd.DataFrame,
    conditions: pd.DataFrame,
    factor: str | None,
    *,
    emotions: Sequence[str] = EMOTIONS,
    width: float = WIDTH,
) -> Figure:
    """Plot the shares of emotions, and the valence, by the levels of a factor.

    Each participant is a point, and a line joins those of one participant; a diamond is the mean over participants,
    with its 95 % interval.

    Args:
        participants: participants.csv.
        conditions: conditions.csv.
        factor: A factor of the study; None for all participants together.
        emotions: The emotions to show.
        width: Width of the figure in inches.
    """
    levels = _levels(conditions, factor)
    shown = levels[:MOST_LEVELS]
    points = _points(participants, factor)
    names = [*(emotion for emotion in EMOTIONS if emotion in emotions), _VALENCE]
    with style():
        columns = min(4 if len(shown) <= _FEW and width > NARROW else 2, len(names))
        lines = -(-len(names) // columns)
        figure = Figure(figsize=(width, 1.9 * lines + 0.9), layout="constrained")
        write_title(
            figure,
            factor or "all participants",
            ", number of participants in brackets" + counted(len(shown), len(levels), "levels"),
        )
        grid = figure.subplots(lines, columns, squeeze=False, sharex=True).ravel()
        for number, (axes, name) in enumerate(zip(grid, names, strict=False)):
            _draw(axes, name, points, _means(conditions, factor, name), shown, 18.5 * (width / columns - 0.5))
            if number + columns >= len(names):
                axes.tick_params(axis="x", labelbottom=True)
        for axes in grid[len(names) :]:
            axes.set_axis_off()
        point = Line2D([], [], marker="o", linestyle="", color=FAINT, markersize=3, label="a participant")
        line = Line2D([], [], color=FAINT, linewidth=0.5, alpha=0.6, label="the same participant")
        mean = Line2D([], [], marker="D", color=INK, markersize=4, linewidth=1.2, label="mean and its 95 % interval")
        arrange(figure, [point, *([line] if points.index.has_duplicates else []), mean])
    return figure


def _levels(conditions: pd.DataFrame, factor: str | None) -> list[str]:
    """The levels of a factor in their order; one without a name if there is none."""
    return [""] if factor is None else list(dict.fromkeys(conditions[factor].dropna()))


def _points(participants: pd.DataFrame, factor: str | None) -> pd.DataFrame:
    """The values of each participant in each level, over the levels of the other factors, by classified time."""
    figures = [f"{emotion}_share" for emotion in EMOTIONS] + ["valence_mean"]
    timed = participants["seconds"].notna().all()
    weight = participants["seconds" if timed else "items"].clip(lower=1e-9)
    keys = [participants[PARTICIPANT.name], participants[factor] if factor else weight.map(lambda _: "")]
    sums = participants[figures].mul(weight, axis=0).groupby(keys, sort=False).sum()
    means = sums.div(weight.groupby(keys, sort=False).sum(), axis=0)
    return means.rename_axis(["participant", "level"]).reset_index("level")


def _means(conditions: pd.DataFrame, factor: str | None, name: str) -> pd.DataFrame:
    """The rows of conditions.csv about an emotion's share or the valence in each level of one factor alone."""
    about = conditions["measure"] == "valence_mean"
    if name != _VALENCE:
        about = (conditions["measure"] == "share") & (conditions["emotion"] == name)
    for other in factors(conditions):
        about &= conditions[other].notna() if other == factor else conditions[other].isna()
    rows = conditions[about]
    return rows.set_index(rows[factor] if factor else np.full(len(rows), ""))


def _draw(axes: Axes, name: str, points: pd.DataFrame, means: pd.DataFrame, levels: Sequence[str], room: float) -> None:
    """Draw a panel; ``room`` is the number of characters that fit beside each other below it."""
    places = {level: number for number, level in enumerate(levels)}
    column = "valence_mean" if name == _VALENCE else f"{name}_share"
    known = points[points["level"].isin(places)]
    for _, rows in known.groupby(level=0, sort=False):
        xs = [places[level] for level in rows["level"]]
        order = np.argsort(xs)
        drawn: dict[str, Any] = {"color": FAINT, "linewidth": 0.5, "markersize": 3, "alpha": 0.6, "clip_on": False}
        axes.plot(np.array(xs)[order], rows[column].to_numpy()[order], "o-", markeredgewidth=0, **drawn)
    color = EMOTION_COLORS.get(name, INK)
    for level, place in places.items():
        if level not in means.index:
            continue
        row = means.loc[level]
        axes.vlines(place + 0.16, row["low"], row["high"], color=INK, linewidth=1.2, zorder=3)
        marker: dict[str, Any] = {"markersize": 5, "markeredgecolor": INK, "markeredgewidth": 0.7, "clip_on": False}
        axes.plot([place + 0.16], [row["value"]], "D", color=color, zorder=4, **marker)
    texts = labels(list(levels), 22)
    counts = [int(means.loc[level, "participants"]) if level in means.index else 0 for level in levels]
    texts = [f"{text} ({count})".strip() for text, count in zip(texts, counts, strict=True)]
    longest = max(map(len, texts))
    turned: dict[str, Any] = {"rotation": 50 if longest <= 12 and len(levels) <= _FEW else 75}
    turned |= {"ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(range(len(levels)), texts, **({} if len(levels) * longest <= room else turned))
    axes.tick_params(axis="x", length=0)
    axes.set_xlim(-0.5, len(levels) - 0.5)
    if name == _VALENCE:
        axes.set_ylim(-1, 1)
        axes.yaxis.set_major_locator(MultipleLocator(0.5))
    else:
        axes.set_ylim(0, 1)
        axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
        axes.yaxis.set_major_locator(MultipleLocator(0.25))
    axes.grid(axis="y", color="#e4e4e4", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(f"mean {name}" if name == _VALENCE else f"share of {name}", fontsize=8)
