"""Figures of measures for papers: over the time of a video, and mean blendshapes of emotions and conditions.

Importing this module loads matplotlib, as ``report.plots`` does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from fermedia.columns import MEASURES
from fermedia.report.plots import (
    FAINT,
    INK,
    NARROW,
    WIDTH,
    arrange,
    counted,
    face_name,
    figure_rows,
    in_lines,
    say_in,
    short,
    style,
    time_axis,
    write_title,
)
from fermedia.study.shapes import MOVEMENTS, Means
from fermedia.tables.bins import Floats, binned, edges_of
from fermedia.tables.people import people_of, with_first
from fermedia.tables.segments import Condition, segments_where
from fermedia.tables.tables import shown
from fermedia.types import BLENDSHAPES, PRESENT

if TYPE_CHECKING:
    import pandas as pd

#: The measures that are drawn if none are chosen.
STANDARD = ("yaw", "pitch", "roll", "gaze_x", "gaze_y", "right_eye", "left_eye", "mouth_opening")

#: The maximum number of faces in a figure: those that were measured for the longest time.
MOST_FACES = 4

#: The number of movements in a figure of means: those in which the groups differ most.
MOST_MOVEMENTS = 12

#: Colours, marks and dashes of faces and conditions. The colours are Okabe and Ito's (``render.colors``); the marks
#: distinguish them in black and white, too.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#222222", "#8a8a8a")
_MARKS = ("o", "s", "^", "D", "v", "P", "X", "d")
_DASHES: tuple[tuple[float, Sequence[float]], ...] = ((0, ()), (0, (4, 1.2)), (0, (1.2, 1)), (0, (5, 1, 1, 1)))

#: The units of measures on axes, and what some measures are called there.
_UNITS = {"degrees": "°"}
_SPEAKS = Condition.of("speaking>0.5")


def plot_measures(
    timeline: pd.DataFrame,
    blinks: pd.DataFrame,
    *,
    names: Sequence[str] = STANDARD,
    end: float | None = None,
    title: str = "",
    width: float = WIDTH,
) -> Figure:
    """Plot measures of the faces of a video over time, with their blinks and when they speak.

    There is a panel for each measure, and a last one for speaking and blinks. Faces of one person (the column
    ``person``) are drawn as one. Nothing is drawn where a face was not measured, or its mesh is unreliable. At most
    ``MOST_FACES`` faces are shown; the title then has their number.

    Args:
        timeline: The timeline of one video with the columns of measures.
        blinks: The video's blinks.
        names: The measures (``columns.MEASURED``).
        end: When the video ends, in seconds.
        title: Title of the figure.
        width: Width of the figure in inches.
    """
    lengths, people = shown(timeline, end), people_of(timeline)
    edges = edges_of(lengths)
    known = timeline[timeline["success"] & (timeline["presence"] >= PRESENT).to_numpy(bool, na_value=False)]
    known, blinks = with_first(known, people), with_first(blinks, people)
    times = lengths["weight"].loc[known["frame"]].groupby(known["face_id"].to_numpy()).sum()
    faces = sorted(times.sort_values(ascending=False, kind="stable").index[:MOST_FACES])
    speaks = with_first(segments_where(timeline, _SPEAKS, end=end), people)
    called = {face_id: face_name(face_id, people) for face_id in faces}
    beside = [in_lines(name, 16) for name in called.values()]
    with style():
        row = max([0.2, *(0.08 + 0.12 * len(name.split("\n")) for name in beside)])
        heights = [*[0.78] * len(names), 0.22 + row * max(1, len(faces))]
        figure, grid = figure_rows(heights, width, title, counted(len(faces), len(times)))
        for axes, name in zip(grid, names, strict=False):
            for n, face_id in enumerate(faces):
                rows = known[(known["face_id"] == face_id) & known[name].notna()]
                _draw_line(axes, edges, binned(rows, lengths["weight"], edges, [name])[:, 0], n)
            axes.set_ylabel(_label(name), rotation=0, ha="right", va="center")
            axes.grid(axis="y", color="#e4e4e4", linewidth=0.6)
            axes.set_axisbelow(True)
            _fit(axes, name)
        _draw_events(grid[-1], dict(zip(faces, beside, strict=True)), blinks, speaks)
        for axes in grid:
            axes.set_xlim(edges[0], edges[-1])
        if not faces:
            say_in(grid[0], "no face that could be measured")
        figure.align_ylabels(grid)
        time_axis(grid[-1], edges[-1] - edges[0])
        handles: list[Line2D | Patch] = [
            Line2D([], [], color=COLORS[n], linestyle=_DASHES[n], linewidth=1.1, label=short(name, 36))
            for n, name in enumerate(called.values())
        ]
        handles.append(Patch(facecolor=FAINT, alpha=0.5, label="speaking"))
        handles.append(Line2D([], [], color=INK, marker="|", linestyle="", markersize=7, label="blink"))
        arrange(figure, handles)
    return figure


def plot_means(
    means: Means,
    *,
    title: str,
    colors: Mapping[str, str] | None = None,
    member: str = "face",
    width: float = WIDTH,
) -> Figure:
    """Plot the mean movements of groups as dots with their confidence intervals.

    Only the ``MOST_MOVEMENTS`` are shown in which the groups differ most (for a single group, the largest).

    Args:
        means: The groups' means.
        title: Title of the figure.
        colors: The colour of each group; those of ``COLORS`` in turn if None.
        member: What the members of the groups are called.
        width: Width of the figure in inches.
    """
    chosen = means.telling(MOST_MOVEMENTS)
    count = len(means.groups)
    step = min(0.16, 0.8 / max(1, count))
    with style():
        height = (0.26 + 0.05 * count) * len(chosen) + 0.9 + 0.16 * (count // 4)
        figure = Figure(figsize=(width, height), layout="constrained")
        write_title(figure, title)
        axes = figure.subplots()
        handles = []
        for n, group in enumerate(means.groups):
            color = (colors or {}).get(group, COLORS[n % len(COLORS)])
            mark = _MARKS[n % len(_MARKS)]
            places = np.arange(len(chosen)) + (n - (count - 1) / 2) * step
            values, low, high = (array[n, chosen] for array in (means.values, means.low, means.high))
            axes.hlines(places, np.maximum(low, 0), np.minimum(high, 1), color=INK, linewidth=0.7, zorder=2)
            axes.plot(values, places, mark, color=color, mec=INK, mew=0.5, ms=5, zorder=3, clip_on=False)
            of = f"{means.counts[n]:,} {member}{'' if means.counts[n] == 1 else 's'}"
            label = f"{short(group)} ({of})"
            handles.append(Line2D([], [], marker=mark, linestyle="", color=color, mec=INK, mew=0.5, ms=5, label=label))
        axes.set_yticks(range(len(chosen)), [MOVEMENTS[n] for n in chosen])
        axes.set_ylim(len(chosen) - 0.4, -0.6)
        axes.set_xlim(left=0)
        for place in range(0, len(chosen), 2):
            axes.axhspan(place - 0.5, place + 0.5, color="#f4f4f4", zorder=0, linewidth=0)
        axes.grid(axis="x", color="#dcdcdc", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.tick_params(axis="y", length=0)
        axes.spines[["top", "right", "left"]].set_visible(False)
        words = ("mean blendshape (0 to 1),", "both sides averaged;", "lines: 95 % confidence intervals")
        axes.set_xlabel((" " if width > NARROW else "\n").join(words))
        arrange(figure, handles)
    return figure


def _draw_line(axes: Axes, edges: Floats, values: Floats, n: int) -> None:
    """Draw a face's values over time; ``n`` is its number in the figure. A value between two gaps becomes a dot."""
    middles = (edges[:-1] + edges[1:]) / 2
    axes.plot(middles, values, color=COLORS[n], linestyle=_DASHES[n], linewidth=1.0, solid_joinstyle="round")
    alone = (
        np.isfinite(values) & ~np.isfinite(np.append(values[1:], np.nan)) & ~np.isfinite(np.append(np.nan, values[:-1]))
    )
    axes.plot(middles[alone], values[alone], ".", color=COLORS[n], markersize=2)


def _draw_events(axes: Axes, faces: Mapping[int, str], blinks: pd.DataFrame, speaks: pd.DataFrame) -> None:
    """A row for each of ``faces``, which have names: bars where it speaks, and lines where it blinks."""
    for n, face_id in enumerate(faces):
        mine = speaks[speaks["face_id"] == face_id]
        bars = list(mine[["begin", "duration"]].itertuples(index=False, name=None))
        axes.broken_barh(bars, (n - 0.35, 0.7), facecolor=COLORS[n], alpha=0.4, linewidth=0)
        moments = blinks.loc[blinks["face_id"] == face_id, ["begin", "end"]].mean(axis=1)
        axes.vlines(moments, n - 0.35, n + 0.35, color=INK, linewidth=0.9)
    if faces and not {*speaks["face_id"], *blinks["face_id"]} & set(faces):
        say_in(axes, "no speaking and no blinks")
    axes.set_yticks(range(len(faces)), list(faces.values()))
    axes.set_ylim(max(1, len(faces)) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)


def _label(name: str) -> str:
    unit = {column.name: column.unit for column in MEASURES.columns}[name]
    shown = name if name in BLENDSHAPES else name.replace("_", "\n")
    return f"{shown} ({_UNITS.get(unit, unit)})" if unit else shown


def _fit(axes: Axes, name: str) -> None:
    """The range of an axis: shares from 0 to at most 1, angles with 0 in view."""
    low, high = axes.get_ylim()
    if name in BLENDSHAPES or name in ("presence", "speaking", "looks_at_camera"):
        axes.set_ylim(0, 1)
    elif {column.name: column.unit for column in MEASURES.columns}[name] == "degrees":
        axes.set_ylim(min(low, -10), max(high, 10))
        axes.axhline(0, color=FAINT, linewidth=0.5, zorder=1)
    else:
        axes.set_ylim(min(0, low), high)
