"""Figures of a study, from the tables of ``--participants``: participants by the levels of a factor, and their
differences.

Importing this module loads matplotlib.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, MultipleLocator, PercentFormatter

from fermedia.columns import CONDITIONS, PARTICIPANT
from fermedia.render.colors import EMOTION_COLORS
from fermedia.report.plots import FAINT, INK, NARROW, WIDTH, arrange, counted, labels, style, write_title
from fermedia.types import EMOTIONS

if TYPE_CHECKING:
    import pandas as pd

#: Maximum number of levels in a figure: those that come first.
MOST_LEVELS = 12

#: Maximum number of pairs of levels in a figure: those that come first.
MOST_PAIRS = 10

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


def plot_differences(
    participants: pd.DataFrame,
    comparisons: pd.DataFrame,
    factor: str,
    *,
    emotions: Sequence[str] = EMOTIONS,
    width: float = WIDTH,
) -> Figure:
    """Plot the differences within participants between each two levels of a factor, of shares and of valence.

    Each participant who has both levels is a point; a diamond is the mean difference, with its 95 % interval.

    Args:
        participants: participants.csv.
        comparisons: comparisons.csv, with rows of this factor.
        factor: The factor.
        emotions: The emotions to show.
        width: Width of the figure in inches.
    """
    rows = comparisons[comparisons["factor"] == factor]
    pairs = list(dict.fromkeys(zip(rows["first"], rows["second"], strict=True)))
    drawn = pairs[:MOST_PAIRS]
    names = [emotion for emotion in EMOTIONS if emotion in emotions]
    points = _points(participants, factor).set_index("level", append=True)
    values = {pair: _differences(points, *pair) for pair in drawn}
    means = {pair: _mean_differences(rows, *pair) for pair in drawn}
    with style():
        columns = min(2 if width > NARROW else 1, len(drawn))
        lines = -(-len(drawn) // columns)
        figure = Figure(figsize=(width, (0.19 * len(names) + 2.05) * lines + 0.6), layout="constrained")
        more = ", differences within participants"
        write_title(figure, factor, more + counted(len(drawn), len(pairs), "pairs"))
        ratios = {"height_ratios": [max(1, len(names)), 1] * lines}
        grid = figure.subplots(2 * lines, columns, squeeze=False, gridspec_kw=ratios)
        room = int(16 * width / columns) - 26
        texts = labels(list(dict.fromkeys(level for pair in drawn for level in pair)), room)
        called = dict(zip(dict.fromkeys(level for pair in drawn for level in pair), texts, strict=True))
        shares = [f"{emotion}_share" for emotion in names]
        limit = _limit([values[pair][shares] for pair in drawn], [means[pair].loc[names] for pair in drawn], 1)
        valence = _limit([values[pair] for pair in drawn], [means[pair].loc[[_VALENCE]] for pair in drawn], 2)
        for number, pair in enumerate(drawn):
            line, column = divmod(number, columns)
            upper, lower = grid[2 * line, column], grid[2 * line + 1, column]
            first, second = (called[level] for level in pair)
            count = means[pair]["participants"].max()
            upper.set_title(f"{second}\nminus {first} ({count})", fontsize=8)
            _draw_differences(upper, names, values[pair], means[pair], limit)
            upper.xaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
            upper.set_xlabel("difference of the shares", fontsize=7)
            _draw_differences(lower, [_VALENCE], values[pair], means[pair], valence)
            lower.set_xlabel("difference of the mean valence", fontsize=7)
        for axes in grid[2 * (len(drawn) // columns) :, len(drawn) % columns or columns :].ravel():
            axes.set_axis_off()
        dot: dict[str, Any] = {"marker": "o", "linestyle": "", "color": FAINT, "markersize": 3}
        point = Line2D([], [], label="a participant (number in brackets)", **dot)
        mean = Line2D([], [], marker="D", color=INK, markersize=4, linewidth=1.2, label="mean and its 95 % interval")
        arrange(figure, [point, mean])
    return figure


def _differences(points: pd.DataFrame, first: str, second: str) -> pd.DataFrame:
    """The second level's values minus the first's, of the participants who have both."""
    by_level = [points.xs(level, level="level") for level in (first, second)]
    return (by_level[1] - by_level[0]).dropna(how="all")


def _mean_differences(rows: pd.DataFrame, first: str, second: str) -> pd.DataFrame:
    """The rows of comparisons.csv about the emotions' shares and the valence, by the emotion, or ``_VALENCE``."""
    rows = rows[(rows["first"] == first) & (rows["second"] == second)]
    rows = rows[rows["measure"].isin(["share", "valence_mean"])]
    return rows.set_index(rows["emotion"].where(rows["measure"] == "share", _VALENCE))


def _limit(values: Sequence[pd.DataFrame], means: Sequence[pd.DataFrame], most: float) -> float:
    """The end of an axis of differences that has room for all values and intervals; at most ``most``."""
    columns = ["difference", "low", "high"]
    numbers = [table.to_numpy(float) for table in values] + [table[columns].to_numpy(float) for table in means]
    far = max((float(np.nanmax(np.abs(part))) for part in numbers if not np.isnan(part).all()), default=0)
    return min(most, max(most / 10, 1.05 * far))


def _draw_differences(
    axes: Axes, names: Sequence[str], values: pd.DataFrame, means: pd.DataFrame, limit: float
) -> None:
    """Draw a panel of differences, a row for each name."""
    axes.axvline(0, color=FAINT, linewidth=0.8, zorder=1)
    for place, name in enumerate(names):
        column = values["valence_mean" if name == _VALENCE else f"{name}_share"]
        around = place + 0.2 * np.sin(2.4 * np.arange(len(column)))  # so that equal points are seen
        axes.plot(column, around, "o", color=FAINT, markersize=3, alpha=0.6, markeredgewidth=0, zorder=2)
        row = means.loc[name]
        axes.hlines(place, max(row["low"], -limit), min(row["high"], limit), color=INK, linewidth=1.2, zorder=3)
        marker: dict[str, Any] = {"markersize": 5, "markeredgecolor": INK, "markeredgewidth": 0.7}
        axes.plot([row["difference"]], [place], "D", color=EMOTION_COLORS.get(name, INK), zorder=4, **marker)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(-limit, limit)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.grid(axis="x", color="#e4e4e4", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)


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
