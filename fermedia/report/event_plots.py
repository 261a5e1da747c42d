"""Figures for papers about events: mean courses around their begin, and what faces showed in their windows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from fermedia.render.colors import EMOTION_COLORS
from fermedia.report.events import unit_means
from fermedia.report.plots import FAINT, INK, NARROW, WIDTH, arrange, legend, short, style, write_title
from fermedia.study.groups import interval
from fermedia.types import EMOTIONS

if TYPE_CHECKING:
    import pandas as pd

#: The maximum number of labels (in a condition) in a figure: the first ones of the table.
MOST_LABELS = 12

#: The steps between ticks, and their tenths and tens.
_ROUND = [1, 2, 2.5, 5, 10]

#: The maximum number of characters of a label under an axis.
_TICK = 18

#: The colours and markers of conditions in the figure of windows: mostly greys, since colours are emotions there.
_CONDITIONS = ("#222222", "#8a8a8a", "#5b7fa6", "#a67f5b", "#5e8f6e")
_MARKS = ("o", "s", "^", "D", "v", "P", "X", "d")

_VALUES = (*EMOTIONS, "valence")
_GROUP = ["label", "condition"]


def plot_courses(courses: pd.DataFrame, *, emotions: Sequence[str] = EMOTIONS, width: float = WIDTH) -> Figure:
    """Plot mean courses, a row for each label and condition: the emotions on the left, valence on the right.

    Bands are the 95 % intervals over participants, or items. If there is a baseline, changes from it are drawn. At most
    ``MOST_LABELS`` rows are shown; the title then has their number.

    Args:
        courses: courses.csv (``report.events.read_courses``), with at least one row.
        emotions: The emotions to show.
        width: Width of the figure in inches.
    """
    table = courses[courses["measure"].isin(_VALUES)]
    groups = list(table.assign(condition=table["condition"].fillna("")).groupby(_GROUP, sort=False))
    shown = groups[:MOST_LABELS]
    change = "change" if courses["change"].notna().any() else ""
    names = ("change", "change_low", "change_high") if change else ("value", "low", "high")
    over = courses["over"].iloc[0]
    with style():
        figure = Figure(figsize=(width, 1.45 * len(shown) + 1.1), layout="constrained")
        what = "mean change from the baseline" if change else "mean course"
        more = f" ({len(shown)} of {len(groups)} labels)" if len(groups) > len(shown) else ""
        write_title(figure, f"{what} over {over}, with 95 % intervals".capitalize(), more)
        grid = figure.subplots(len(shown), 2, squeeze=False, sharex=True, sharey="col", width_ratios=(3, 2))
        for (left, right), ((label, condition), rows) in zip(grid, shown, strict=True):
            for emotion in (e for e in EMOTIONS if e in emotions):
                _draw_course(left, rows[rows["measure"] == emotion], names, EMOTION_COLORS[emotion])
            _draw_course(right, rows[rows["measure"] == "valence"], names, INK)
            count = int(rows["count"].max())
            title = ", ".join(filter(None, (short(str(label), 40), short(str(condition), 30))))
            left.set_title(f"{title} ({count} {over if count > 1 else over[:-1]})", fontsize=8, loc="left")
            left.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
            right.yaxis.set_major_formatter(
                FuncFormatter(lambda value, _: f"{value:.2g}".replace("-", "\N{MINUS SIGN}"))
            )
        for side, text in ((0, "probability"), (1, "valence")):
            least, most = _limits(text, bool(change))
            low, high = grid[0, side].get_ylim()
            grid[0, side].set_ylim(max(low, 1.04 * least), min(high, 1.04 * most))
            for axes in grid[:, side]:
                axes.set_ylabel(f"change of\n{text}" if change else text)
            grid[-1, side].set_xlabel("seconds from the begin of the event" if width > NARROW else "seconds")
            grid[-1, side].xaxis.set_major_locator(MaxNLocator(7, steps=_ROUND))
        legend(figure, emotions)
    return figure


def _limits(name: str, change: bool) -> tuple[float, float]:
    """The smallest and the largest value that there can be; intervals beyond them are cut off."""
    most = 2.0 if change and name == "valence" else 1.0
    return (-most if change or name == "valence" else 0.0), most


def _draw_course(axes: Axes, rows: pd.DataFrame, names: tuple[str, str, str], color: str) -> None:
    axes.axvline(0, color=INK, linewidth=0.8, linestyle=(0, (3, 2)))
    if names[0] == "change":
        axes.axhline(0, color=FAINT, linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=_ROUND))
    times = (rows["begin"] + rows["end"]).to_numpy() / 2
    mean, low, high = (rows[name].to_numpy(float) for name in names)
    axes.fill_between(times, low, high, color=color, alpha=0.16, linewidth=0)
    for tone, alpha, width in ((INK, 0.3, 2.0), (color, 1.0, 1.4)):  # a rim first, as on the pages
        axes.plot(times, mean, "-o", color=tone, alpha=alpha, linewidth=width, markersize=width, markeredgewidth=0)


def plot_windows(windows: pd.DataFrame, *, emotions: Sequence[str] = EMOTIONS, width: float = WIDTH) -> Figure:
    """Plot what faces showed in the windows of each label: a point per participant or item, their mean, its interval.

    A panel for each emotion's mean probability, and one for valence. If there is a baseline, changes are drawn.
    Conditions stand beside each other. At most ``MOST_LABELS`` labels are shown; the title then has their number.

    Args:
        windows: windows.csv (``report.events.read_windows``), with at least one row.
        emotions: The emotions to show.
        width: Width of the figure in inches.
    """
    units, over = unit_means(windows)
    labels = list(dict.fromkeys(units["label"]))
    conditions = list(dict.fromkeys(units["condition"]))
    shown = labels[:MOST_LABELS]
    change = units[[f"change_{name}" for name in _VALUES]].notna().any(axis=None)
    with style():
        longest = max((len(short(label, _TICK)) for label in shown), default=0)
        names = [name for name in _VALUES if name in (*emotions, "valence")]
        columns = min(len(names), 4 if width > NARROW else 2)
        lines = -(-len(names) // columns)
        figure = Figure(figsize=(width, 1.55 * lines + 0.5 + 0.055 * longest * (longest > 3)), layout="constrained")
        what = "changes from the baseline" if change else "means"
        where = "whole videos" if windows["event"].isna().all() else "the windows of events"
        more = f" ({len(shown)} of {len(labels)} labels)" if len(labels) > len(shown) else ""
        write_title(figure, f"{what} in {where}: {over}, mean and 95 % interval".capitalize(), more)
        grid = figure.subplots(lines, columns, sharex=True, squeeze=False).ravel()
        for axes in grid[len(names) :]:
            axes.set_axis_off()
        beside = min(0.09, 0.14 / max(1, len(conditions) - 1))
        for axes, name in zip(grid, names, strict=False):
            color = EMOTION_COLORS.get(name, INK)
            column = f"change_{name}" if change else f"{name}_mean"
            for at, label in enumerate(shown):
                for number, condition in enumerate(conditions):
                    own = units[(units["label"] == label) & (units["condition"] == condition)][column].dropna()
                    shift = 0.0 if len(conditions) == 1 else 0.56 * (number / (len(conditions) - 1) - 0.5)
                    look = _look(number) if len(conditions) > 1 else (INK, "o")
                    _draw_points(axes, at + shift, beside, own.to_numpy(float), color, look)
            axes.set_title(name, fontsize=8)
            axes.set_xticks(range(len(shown)), [short(label, _TICK) or "whole video" for label in shown])
            if longest > 3:
                axes.tick_params(axis="x", rotation=60)
                for text in axes.get_xticklabels():
                    text.set(ha="right", rotation_mode="anchor")
            axes.set_xlim(-0.6, len(shown) - 0.4)
            axes.tick_params(axis="x", length=0)
            axes.yaxis.set_major_locator(MaxNLocator(4, steps=_ROUND))
            axes.grid(axis="y", color="#e4e4e4", linewidth=0.6)
            axes.set_axisbelow(True)
            axes.axhline(0, color=FAINT, linewidth=0.6)
            axes.spines[["top", "right"]].set_visible(False)
            if name != "valence":
                axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
        if same := list(grid[: len(names) - 1]):  # emotions are on one scale, so that small effects look small
            limits = np.array([axes.get_ylim() for axes in same])
            for axes in same:
                axes.set_ylim(limits[:, 0].min(), limits[:, 1].max())
        for axes, name in zip(grid, names, strict=False):
            least, most = _limits(name, bool(change))
            low, high = axes.get_ylim()
            axes.set_ylim(max(low, 1.04 * least), min(high, 1.04 * most))
        handles = [Line2D([], [], marker="o", linestyle="", color=FAINT, markersize=3, label=f"one of the {over}")]
        handles += [
            Line2D([], [], marker=_look(n)[1], linestyle="-", color=_look(n)[0], markersize=4, label=c)
            for n, c in enumerate(map(short, conditions))
            if len(conditions) > 1
        ]
        arrange(figure, handles)
    return figure


def _look(condition: int) -> tuple[str, str]:
    """The colour and the marker of a condition, by its number; each combination is used once in 40 conditions."""
    return _CONDITIONS[condition % len(_CONDITIONS)], _MARKS[condition % len(_MARKS)]


def _draw_points(
    axes: Axes, place: float, beside: float, values: np.ndarray, color: str, look: tuple[str, str]
) -> None:
    """The points of units in the colour of the emotion, and beside them their mean with its interval."""
    if not len(values):
        return
    left, right = place - beside, place + beside
    axes.plot([left] * len(values), values, "o", color=color, markeredgecolor=INK, markeredgewidth=0.3, markersize=3)
    mean, (tone, mark) = values.mean(), look
    axes.plot([right] * 2, interval(values.tolist()), color=tone, linewidth=1.1)  # nothing for a single one
    axes.plot([right], [mean], mark, color=tone, markersize=3.6)
