"""Figures for papers, of timelines and of whole runs, in the colours of ``outputs.colors``.

matplotlib is loaded with this module; nothing is shown on a screen. In SVG files text stays text.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MultipleLocator, PercentFormatter

from fermedia.errors import DataError
from fermedia.files import printable, whole_file
from fermedia.options import AnalyzeOptions
from fermedia.outputs.bins import Floats, binned, edges_of
from fermedia.outputs.colors import EMOTION_COLORS, rgb, text_on
from fermedia.outputs.segments import segments
from fermedia.outputs.summary import ALL_FACES, summary
from fermedia.outputs.tables import by_item, complete, shown
from fermedia.outputs.timeline import steady_timeline
from fermedia.types import EMOTIONS

if TYPE_CHECKING:
    import pandas as pd

#: Faces that a figure shows at most: those that were judged for the longest time.
MOST_FACES = 8
_INK, _FAINT = "#222222", "#8a8a8a"
_WIDTH = 7.2  # inches: the whole width of a page in most journals
_STYLE: dict[Any, Any] = {
    "font.size": 8,
    "axes.edgecolor": _FAINT,
    "axes.linewidth": 0.6,
    "axes.labelcolor": _INK,
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "svg.fonttype": "none",
    "svg.hashsalt": "fermedia",
    "text.parse_math": False,  # names of files may hold dollars
}


def plot_timeline(
    timeline: pd.DataFrame,
    *,
    end: float | None = None,
    smooth: float = AnalyzeOptions.smooth,
    title: str | None = None,
) -> Figure:
    """The probabilities of each face over the time of a film, stacked, with its segments as a ribbon below.

    ``timeline`` is one film's, of any origin (``outputs.tables.complete``), raw; ``end`` and ``smooth`` as for
    ``segments``. Where a face is not seen, or not judged, there is nothing. Of more than ``MOST_FACES`` faces the
    longest seen are shown, and the title says so. ``title`` is the name of the ``source`` if not given.

    Returns a matplotlib Figure, to be saved with ``savefig``. Raises DataError if the timeline is none, or not of one
    film.
    """
    table = complete(timeline)
    if len(list(by_item(table))) > 1 or table["timestamp"].isna().any():
        raise DataError("a timeline is drawn of one film; choose one by its source")
    lengths = shown(table, end)
    edges = edges_of(lengths)
    steady = steady_timeline(table, smooth)
    faces, count = _longest(steady[steady["judged"]], lengths["weight"])
    found = segments(table, end=end, smooth=smooth)
    title = _name(table) if title is None else title
    with mpl.rc_context(_STYLE):
        figure, grid = _rows(max(1, len(faces)), 1.15, _title(title, len(faces), count))
        for axes, (face_id, rows) in zip(grid, faces, strict=False):
            _draw_stack(axes, edges, binned(rows, lengths["weight"], edges))
            _draw_ribbon(axes, found[found["face_id"] == face_id], edges[-1] - edges[0])
            axes.set_ylabel(f"face {face_id}\nprobability")
        if not faces:
            _say(grid[0], "no face that could be judged")
        for axes in grid:
            axes.set_xlim(edges[0], edges[-1])
            axes.set_ylim(-0.26, 1)
            axes.set_yticks([0, 0.5, 1])
            axes.spines["bottom"].set_visible(False)
        _time_axis(grid[-1], edges[-1] - edges[0])
        _legend(figure)
    return figure


def plot_distribution(
    timeline: pd.DataFrame,
    *,
    end: float | None = None,
    smooth: float = AnalyzeOptions.smooth,
    title: str | None = None,
) -> Figure:
    """What each face showed, all in all: shares of its judged time as bars, mean probabilities as marks.

    As ``plot_timeline`` otherwise. Pictures have one panel for all faces, since nobody is followed through them.
    """
    table = complete(timeline)
    pictures = bool(table["timestamp"].isna().any())
    if len(list(by_item(table))) > 1:
        raise DataError("a distribution is drawn of one item; choose one by its source")
    chosen, count = _chosen(summary(table, end=end, smooth=smooth), pictures)
    title = _name(table, pictures) if title is None else title
    with mpl.rc_context(_STYLE):
        columns = min(4, max(1, len(chosen)))
        lines = max(1, -(-len(chosen) // columns))
        width = _WIDTH if columns > 2 else 1.9 * columns + 1.4
        figure = Figure(figsize=(width, 1.75 * lines + 0.9), layout="constrained")
        figure.suptitle(_title(title, len(chosen), count), x=0.01, ha="left", fontsize=9)
        grid = figure.subplots(lines, columns, squeeze=False, sharey=True, sharex=True).ravel()
        for axes, row in zip(grid, chosen.to_dict("records"), strict=False):
            _draw_bars(axes, row, pictures)
        for axes in grid[len(chosen) :]:
            axes.set_axis_off()
        if chosen.empty:
            _say(grid[0], "no face that could be judged")
            return figure
        of_what = "share of the faces" if pictures else "share of the time"
        bar = Patch(facecolor=_FAINT, label=f"{of_what}, as the most probable")
        mark = Line2D([], [], marker="D", linestyle="", color=_INK, markersize=3, label="mean probability")
        figure.legend(handles=[bar, mark], loc="outside lower left", ncols=min(2, columns), frameon=False)
    return figure


@dataclass(frozen=True)
class Strip:
    """A film as a row of the heat map: its name, when it begins and ends, and the mean probabilities (steps, 7) of its
    faces, NaN for none."""

    name: str
    begin: float
    end: float
    p: Floats


def strip(timeline: pd.DataFrame, name: str, edges: Floats, end: float | None, smooth: float) -> Strip:
    """A film's row for ``plot_heatmap``, over the steps between ``edges`` (steps + 1,), seconds."""
    table = complete(timeline)
    steady = steady_timeline(table, smooth)
    lengths = shown(table, end)
    whole = edges_of(lengths)
    return Strip(name, whole[0], whole[-1], binned(steady[steady["judged"]], lengths["weight"], edges))


def plot_heatmap(strips: Sequence[Strip], edges: Floats) -> Figure:
    """Films over time, a row each: the colour says which emotion is the most probable, its depth how probable.

    Several faces in view count alike. Where no face was judged there is a line for as long as the film goes on.
    """
    height = min(9.0, max(0.2 * len(strips), 0.5))
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, height + 0.9), layout="constrained")
        axes = figure.subplots()
        colors = np.array([to_rgb(EMOTION_COLORS[e]) for e in EMOTIONS])
        picture = np.zeros((max(1, len(strips)), len(edges) - 1, 4))  # red, green, blue, opaque
        for row, film in zip(picture, strips, strict=False):
            seen = ~np.isnan(film.p[:, 0])
            depth = _depth(film.p[seen].max(axis=1))[:, None]
            row[seen, :3] = depth * colors[film.p[seen].argmax(axis=1)] + (1 - depth)
            row[seen, 3] = 1
        extent = (edges[0], edges[-1], len(picture) - 0.5, -0.5)
        axes.hlines(range(len(strips)), [f.begin for f in strips], [f.end for f in strips], color=_FAINT, linewidth=0.5)
        axes.imshow(picture, aspect="auto", interpolation="nearest", extent=extent, zorder=2)
        size = min(7.0, height / max(1, len(strips)) * 72 * 0.8)
        labels = [_short(film.name) for film in strips] if size >= 4 else []
        axes.set_yticks(range(len(labels)), labels, fontsize=size)
        axes.tick_params(axis="y", length=0)
        if not labels:
            axes.set_ylabel(f"{len(strips):,} films")
        for number in range(1, len(labels)):
            axes.axhline(number - 0.5, color="white", linewidth=1.2, zorder=3)
        axes.spines[["top", "right", "left"]].set_visible(False)
        _time_axis(axes, edges[-1] - edges[0])
        _legend(figure, Patch(facecolor="none", label="paler: less probable"))
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write the figure as ``path`` with .png (300 dots an inch) and with .svg, each whole or not at all."""
    for suffix, nothing in ((".png", "Software"), (".svg", "Date")):
        with warnings.catch_warnings(), mpl.rc_context(_STYLE), whole_file(path.with_name(path.name + suffix)) as file:
            warnings.filterwarnings("ignore", "Glyph")  # a script that the font lacks; SVG has the text all the same
            figure.savefig(file, dpi=300, metadata={nothing: None})


# -- what is drawn ----------------------------------------------------------------------------------------------------


def _longest(judged: pd.DataFrame, weight: pd.Series) -> tuple[list[tuple[Any, pd.DataFrame]], int]:
    """The faces that are shown, in the order of their ids, each with its rows; and how many there are in all."""
    faces = list(judged.groupby("face_id"))
    times = [weight.loc[rows["frame"]].sum() for _, rows in faces]
    longest = sorted(np.argsort(times, kind="stable")[::-1][:MOST_FACES])
    return [faces[i] for i in longest], len(faces)


def _chosen(figures: pd.DataFrame, pictures: bool) -> tuple[pd.DataFrame, int]:
    """The same of a summary; of pictures the one row for all faces."""
    rows = figures[(figures["face_id"] == ALL_FACES) == pictures].dropna(subset=["emotion"])
    weight = rows["seconds"].fillna(rows["frames_with_face"]) * rows["judged"]
    return rows.loc[weight.sort_values(ascending=False, kind="stable").index[:MOST_FACES].sort_values()], len(rows)


def _name(table: pd.DataFrame, pictures: bool = False) -> str:
    return "pictures" if pictures else Path(str(table["source"].iloc[0])).name if len(table) else ""


def _title(title: str, shown: int, count: int) -> str:
    return _short(title, 80) + (f" ({shown} of {count} faces)" if count > shown else "")


def _draw_stack(axes: Axes, edges: Floats, p: Floats) -> None:
    tops = np.cumsum(p / p.sum(axis=1, keepdims=True), axis=1)
    floor = np.zeros(len(p) + 1)
    for i, emotion in enumerate(EMOTIONS):
        top = np.append(tops[:, i], tops[-1:, i])
        axes.fill_between(edges, floor, top, step="post", color=EMOTION_COLORS[emotion], linewidth=0)
        floor = top


def _draw_ribbon(axes: Axes, found: pd.DataFrame, span: float) -> None:
    for row in found.itertuples():
        color = EMOTION_COLORS[row.emotion]
        axes.broken_barh([(row.begin, row.duration)], (-0.24, 0.18), facecolor=color, edgecolor="white", linewidth=0.5)
        if row.duration / span > 0.012 * len(row.emotion) + 0.01:
            ink = "#{:02x}{:02x}{:02x}".format(*text_on(rgb(color)))
            middle = row.begin + row.duration / 2
            axes.text(middle, -0.155, row.emotion, ha="center", va="center", fontsize=6, color=ink)


def _draw_bars(axes: Axes, row: dict[str, Any], pictures: bool) -> None:
    places = range(len(EMOTIONS))
    axes.bar(places, [row[f"{e}_share"] for e in EMOTIONS], color=[EMOTION_COLORS[e] for e in EMOTIONS], width=0.8)
    axes.plot(places, [row[f"{e}_mean"] for e in EMOTIONS], "D", color=_INK, markersize=3, clip_on=False)
    axes.set_xticks(places, EMOTIONS, rotation=60, ha="right", rotation_mode="anchor")
    axes.tick_params(axis="x", length=0)
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.yaxis.set_major_locator(MultipleLocator(0.25))
    axes.grid(axis="y", color="#e4e4e4", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    seen = f"{row['frames_with_face']:,} pictures" if pictures else f"{_clock(row['seconds'])} in view"
    axes.set_title(f"all faces, {seen}" if pictures else f"face {row['face_id']}, {seen}", fontsize=8)


def _rows(count: int, height: float, title: str) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(_WIDTH, height * count + 0.9), layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize=9)
    grid = figure.subplots(count, 1, sharex=True, squeeze=False)[:, 0].tolist()
    for axes in grid:
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(axis="x", length=0)
    return figure, grid


def _legend(figure: Figure, *more: Patch) -> None:
    handles = [*(Patch(facecolor=EMOTION_COLORS[e], label=e) for e in EMOTIONS), *more]
    style = {"frameon": False, "handlelength": 1, "handleheight": 1, "columnspacing": 1.2}
    figure.legend(handles=handles, loc="outside lower left", ncols=len(handles), **style)


def _time_axis(axes: Axes, span: float) -> None:
    steps = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)
    step = next((s for s in steps if span / s <= 10), 14400)
    axes.xaxis.set_major_locator(MultipleLocator(step))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _clock(value, step)))
    axes.tick_params(axis="x", length=3)
    axes.set_xlabel("time (h:mm:ss)" if span >= 3600 else "time (m:ss)")


def _clock(seconds: float, step: float = 1) -> str:
    """m:ss, or h:mm:ss from an hour on; with a decimal where the steps are shorter than a second."""
    tenths = round(seconds * 10)
    whole, rest = divmod(tenths, 10) if step < 1 else (round(seconds), 0)
    hours, minutes = divmod(whole // 60, 60)
    text = f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"
    return text + (f".{rest}" if step < 1 else "")


def _depth(p: Floats) -> Floats:
    """How much colour: none at what chance gives, 1/7, all at 1; the square root keeps middling values visible."""
    return np.sqrt(np.clip((p - 1 / len(EMOTIONS)) / (1 - 1 / len(EMOTIONS)), 0, 1))


def _short(name: str, most: int = 28) -> str:
    name = printable(name)
    return name if len(name) <= most else "\N{HORIZONTAL ELLIPSIS}" + name[-most + 1 :]


def _say(axes: Axes, text: str) -> None:
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=_FAINT)
