"""Figures for papers: of single timelines and of whole runs, in the colours of ``render.colors``.

Importing this module loads matplotlib. No window is opened. In SVG files, text is stored as text.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerTuple
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MultipleLocator, PercentFormatter

from fermedia.columns import ITEM
from fermedia.errors import DataError
from fermedia.files import printable, whole_file
from fermedia.options import AnalyzeOptions
from fermedia.render.colors import EMOTION_COLORS, rgb, text_on
from fermedia.tables.bins import Floats, binned, edges_of
from fermedia.tables.people import only, people_of, picked, with_first
from fermedia.tables.segments import segments
from fermedia.tables.summary import Observed
from fermedia.tables.tables import by_item, complete, shown
from fermedia.tables.timeline import smoothed_timeline
from fermedia.types import EMOTIONS

if TYPE_CHECKING:
    import pandas as pd

#: The maximum number of faces in a figure: those that were classified for the longest time.
MOST_FACES = 8
INK, FAINT = "#222222", "#8a8a8a"
WIDTH = 7.2  # inches: the full text width in most journals
NARROW = 4.8  # inches: below it, panels stand in two columns
_OTHERS = "#e4ddd2"  # emotions that were not chosen
_ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"
#: The formats of files, and what of their metadata would differ from run to run.
FORMATS = {"png": "Software", "svg": "Date", "pdf": "CreationDate"}
_STYLE: dict[Any, Any] = {
    "font.size": 8,
    "axes.edgecolor": FAINT,
    "axes.linewidth": 0.6,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "svg.fonttype": "none",
    "svg.hashsalt": "fermedia",
    "text.parse_math": False,  # file names may contain dollar signs
}


def plot_timeline(
    timeline: pd.DataFrame,
    *,
    end: float | None = None,
    smooth: float = AnalyzeOptions.smooth,
    title: str | None = None,
    faces: Sequence[str] | None = None,
    emotions: Sequence[str] = EMOTIONS,
    width: float = WIDTH,
) -> Figure:
    """Plot the probabilities of each face over the time of a video, stacked, with its segments as a ribbon below.

    Faces of one person (the column ``person``) are drawn as one, with the person's name. Nothing is drawn where a face
    is not classified. At most ``MOST_FACES`` faces are shown, those classified for the longest time; the title then has
    their number.

    Args:
        timeline: A timeline of one video, of any origin, not smoothed.
        end: When the video ends, in seconds.
        smooth: Width of the averaging window in seconds, 0 for none.
        title: Title of the figure; the name of the ``source`` if None.
        faces: The faces to show, by ``face_id`` (as text) or by the person's name; None for those classified for the
            longest time.
        emotions: The emotions to show; the others leave their part of a stack empty.
        width: Width of the figure in inches; its height follows from what it shows.

    Returns:
        A figure, to be saved with ``savefig``.

    Raises:
        DataError: The table is not a timeline, or not that of one video.
    """
    table = complete(timeline)
    if len(list(by_item(table))) > 1 or table["timestamp"].isna().any():
        raise DataError("a timeline is drawn of one video; choose one by its source")
    people, table = people_of(table), _only(table, faces)
    lengths = shown(table, end)
    edges = edges_of(lengths)
    smoothed = with_first(smoothed_timeline(table, smooth), people)
    drawn, count = _longest(smoothed[smoothed["judged"]], lengths["weight"])
    found = with_first(segments(table, end=end, smooth=smooth), people)
    found = found[found["emotion"].isin(emotions)]
    named = any(face_id in people for face_id, _ in drawn)
    title = _name(table) if title is None else title
    with style():
        heights = [1.35 if named else 1.15] * max(1, len(drawn))
        figure, grid = figure_rows(heights, width, title, counted(len(drawn), count))
        for axes, (face_id, rows) in zip(grid, drawn, strict=False):
            _draw_stack(axes, edges, binned(rows, lengths["weight"], edges), emotions)
            _draw_ribbon(axes, found[found["face_id"] == face_id], edges[-1] - edges[0])
            if named:
                axes.set_title(short(face_name(face_id, people), int(12 * width)), loc="left", fontsize=8)
            axes.set_ylabel("probability" if named else f"face {face_id}\nprobability")
        if not drawn:
            say_in(grid[0], "no face that could be classified")
        for axes in grid:
            axes.set_xlim(edges[0], edges[-1])
            axes.set_ylim(-0.26, 1)
            axes.set_yticks([0, 0.5, 1])
            axes.spines["bottom"].set_visible(False)
        time_axis(grid[-1], edges[-1] - edges[0])
        legend(figure, emotions)
    return figure


def plot_distribution(
    timeline: pd.DataFrame,
    *,
    end: float | None = None,
    smooth: float = AnalyzeOptions.smooth,
    title: str | None = None,
    faces: Sequence[str] | None = None,
    emotions: Sequence[str] = EMOTIONS,
    width: float = WIDTH,
) -> Figure:
    """Plot each face's distribution of emotions: shares of its classified time as bars, mean probabilities as marks.

    Faces of one person share a panel. Photos have one for all faces, since persons are not tracked from photo to photo.
    Arguments, result and errors are those of ``plot_timeline``, but the timeline may also be of photos, for which
    ``faces`` are ignored.
    """
    table = complete(timeline)
    images = bool(table["timestamp"].isna().any())
    if len(list(by_item(table))) > 1:
        raise DataError("a distribution is drawn of one item; choose one by its source")
    people, table = people_of(table), table if images else _only(table, faces)
    chosen, count = _chosen(Observed.of(table, end, smooth, by_person=True).summary(), images)
    title = _name(table, images) if title is None else title
    with style():
        lines = max(1, -(-len(chosen) // max(1, int(width / 1.7))))
        columns = max(1, -(-len(chosen) // lines))
        if columns < 3:  # panels of about the same size
            width = max(min(width, 3.3), width * (0.265 * columns + 0.195))
        figure = Figure(figsize=(width, 1.75 * lines + 0.9), layout="constrained")
        write_title(figure, title, counted(len(chosen), count))
        grid = figure.subplots(lines, columns, squeeze=False, sharey=True, sharex=True).ravel()
        for axes, row in zip(grid, chosen.to_dict("records"), strict=False):
            _draw_bars(axes, row, images, emotions)
            axes.set_title(_panel_title(row, images, people, width / columns), fontsize=8)
        for axes in grid[len(chosen) :]:
            axes.set_axis_off()
        if len(chosen) < len(grid):  # above empty places, where the last line's labels are missing
            for axes in grid[len(grid) - 2 * columns : len(grid) - columns]:
                axes.tick_params(axis="x", labelbottom=True)
        if chosen.empty:
            say_in(grid[0], "no face that could be classified")
            return figure
        of_what = "share of the faces" if images else "share of the time"
        bar = Patch(facecolor=FAINT, label=f"{of_what}, as the most probable")
        mark = Line2D([], [], marker="D", linestyle="", color=INK, markersize=3, label="mean probability")
        arrange(figure, [bar, mark])
    return figure


@dataclass(frozen=True)
class Strip:
    """A video as a row of the heat map.

    ``begin`` and ``end`` are in seconds. ``p`` are the mean probabilities (steps, 7) of its faces, NaN where there are
    none.
    """

    name: str
    begin: float
    end: float
    p: Floats


def strip(timeline: pd.DataFrame, name: str, edges: Floats, end: float | None, smooth: float) -> Strip:
    """Make a video's row for ``plot_heatmap``, over the steps between ``edges`` (steps + 1,), in seconds."""
    table = complete(timeline)
    smoothed = smoothed_timeline(table, smooth)
    lengths = shown(table, end)
    whole = edges_of(lengths)
    return Strip(name, whole[0], whole[-1], binned(smoothed[smoothed["judged"]], lengths["weight"], edges))


def plot_heatmap(
    strips: Sequence[Strip], edges: Floats, emotions: Sequence[str] = EMOTIONS, width: float = WIDTH
) -> Figure:
    """Plot videos over time, a row each: the hue shows the most probable emotion, the saturation its probability.

    Faces that are seen at the same time have equal weight. Where no face was classified, a thin line shows that the
    video continues. ``edges`` are those of the strips. ``emotions`` are shown in their colours, all others in one.
    ``width`` is in inches.
    """
    height = min(9.0, max(0.2 * len(strips), 0.5))
    with style():
        figure = Figure(figsize=(width, height + 0.9), layout="constrained")
        axes = figure.subplots()
        colors = np.array([to_rgb(EMOTION_COLORS[e] if e in emotions else _OTHERS) for e in EMOTIONS])
        image = np.zeros((max(1, len(strips)), len(edges) - 1, 4))  # red, green, blue, alpha
        for row, video in zip(image, strips, strict=False):
            seen = ~np.isnan(video.p[:, 0])
            depth = _depth(video.p[seen].max(axis=1))[:, None]
            row[seen, :3] = depth * colors[video.p[seen].argmax(axis=1)] + (1 - depth)
            row[seen, 3] = 1
        extent = (edges[0], edges[-1], len(image) - 0.5, -0.5)
        axes.hlines(range(len(strips)), [f.begin for f in strips], [f.end for f in strips], color=FAINT, linewidth=0.5)
        axes.imshow(image, aspect="auto", interpolation="nearest", extent=extent, zorder=2)
        size = min(7.0, height / max(1, len(strips)) * 72 * 0.8)
        names = labels([video.name for video in strips]) if size >= 4 else []
        axes.set_yticks(range(len(names)), names, fontsize=size)
        axes.tick_params(axis="y", length=0)
        if not names:
            axes.set_ylabel(f"{len(strips):,} videos")
        for number in range(1, len(names)):
            axes.axhline(number - 0.5, color="white", linewidth=1.2, zorder=3)
        axes.spines[["top", "right", "left"]].set_visible(False)
        time_axis(axes, edges[-1] - edges[0])
        paler = [Patch(facecolor=str(1 - depth), label="") for depth in (0.8, 0.5)]
        paler.append(Patch(facecolor="0.8", label="paler: less probable"))
        others = [Patch(facecolor=_OTHERS, label="another emotion")] if set(emotions) < set(EMOTIONS) else []
        line = Line2D([], [], color=FAINT, linewidth=0.5, label="no face classified")
        figure.set_figheight(height + 0.65 + legend(figure, emotions, *others, line, shades=paler))
    return figure


def save(figure: Figure, path: Path, formats: Sequence[str] = ("png", "svg")) -> None:
    """Write a figure as ``path`` + .png (300 dpi), .svg or .pdf, each atomically."""
    for format in formats:
        suffix, nothing = f".{format}", FORMATS[format]
        with style(), whole_file(path.with_name(path.name + suffix)) as file:
            figure.savefig(file, dpi=300, metadata={nothing: None})


# -- drawing ----------------------------------------------------------------------------------------------------


def _only(table: pd.DataFrame, faces: Sequence[str] | None) -> pd.DataFrame:
    """The timeline of one item with the chosen faces only; of all if there is no choice."""
    return table if faces is None else only(table, picked(table["face_id"].dropna().unique(), people_of(table), faces))


def _longest(classified: pd.DataFrame, weight: pd.Series) -> tuple[list[tuple[Any, pd.DataFrame]], int]:
    """The faces to show, in the order of their ids, each with its rows; and the number of those to choose from."""
    faces = list(classified.groupby("face_id"))
    times = [weight.loc[rows["frame"]].sum() for _, rows in faces]
    longest = sorted(np.argsort(times, kind="stable")[::-1][:MOST_FACES])
    return [faces[i] for i in longest], len(faces)


def _chosen(figures: pd.DataFrame, images: bool) -> tuple[pd.DataFrame, int]:
    """The rows of a summary to show, for photos the one of all faces; and the number of those to choose from."""
    rows = figures[(figures["level"] == ITEM) == images].dropna(subset=["emotion"])
    weight = rows["seconds"].fillna(rows["frames_with_face"]) * rows["judged"]
    return rows.loc[weight.sort_values(ascending=False, kind="stable").index[:MOST_FACES].sort_values()], len(rows)


def _name(table: pd.DataFrame, images: bool = False) -> str:
    return "pictures" if images else Path(str(table["source"].iloc[0])).name if len(table) else ""


@contextmanager
def style() -> Iterator[None]:
    """The style of all figures, while in effect."""
    with warnings.catch_warnings(), mpl.rc_context(_STYLE):
        warnings.filterwarnings("ignore", "Glyph")  # the font lacks a character; SVG files store it anyway
        yield


def counted(shown: int, count: int, things: str = "faces") -> str:
    """What a title adds if not all ``things`` are shown."""
    return f" ({shown} of {count} {things})" if count > shown else ""


def write_title(figure: Figure, title: str, more: str = "") -> None:
    """Write a title; one that is wider than the figure is broken, or else its middle is left out."""
    written = figure.suptitle("", x=0.01, ha="left", fontsize=9)
    title = short(title, len(title))
    spaces = [place for place, letter in enumerate(title) if letter == " "]
    for place in [len(title), *sorted(spaces, key=lambda place: abs(place - len(title) / 2))[:1]]:
        written.set_text(f"{title[:place]}\n{title[place + 1 :]}".rstrip() + more)
        if written.get_window_extent().x1 <= 0.99 * figure.bbox.x1:
            return
    for most in range(len(title), 0, -1):
        written.set_text(short(title, most) + more)
        if written.get_window_extent().x1 <= 0.99 * figure.bbox.x1:
            break


def _draw_stack(axes: Axes, edges: Floats, p: Floats, emotions: Sequence[str]) -> None:
    shares = p / p.sum(axis=1, keepdims=True)
    floor = np.zeros(len(p) + 1)
    for emotion in (e for e in EMOTIONS if e in emotions):
        share = shares[:, EMOTIONS.index(emotion)]
        top = floor + np.append(share, share[-1:])
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


def _draw_bars(axes: Axes, row: dict[str, Any], images: bool, emotions: Sequence[str]) -> None:
    names = [emotion for emotion in EMOTIONS if emotion in emotions]
    places = range(len(names))
    axes.bar(places, [row[f"{e}_share"] for e in names], color=[EMOTION_COLORS[e] for e in names], width=0.8)
    axes.plot(places, [row[f"{e}_mean"] for e in names], "D", color=INK, markersize=3, clip_on=False)
    axes.set_xticks(places, names, rotation=60, ha="right", rotation_mode="anchor")
    axes.tick_params(axis="x", length=0)
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    axes.yaxis.set_major_locator(MultipleLocator(0.25))
    axes.grid(axis="y", color="#e4e4e4", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _panel_title(row: dict[str, Any], images: bool, people: Mapping[Any, str], width: float) -> str:
    """Whose distribution a panel of ``width`` inches shows, and of how much; a name has lines of its own."""
    seen = f"{row['frames_with_face']:,} images" if images else f"{_clock(row['seconds'])} in view"
    if not images and row["face_id"] in people:
        return f"{in_lines(people[row['face_id']], int(13 * width))}\n{seen}"
    return f"all faces, {seen}" if images else f"{face_name(row['face_id'], people)}, {seen}"


def figure_rows(heights: Sequence[float], width: float, title: str, more: str = "") -> tuple[Figure, list[Axes]]:
    """A figure with a panel for each of ``heights``, in inches, over one time axis; titled as by ``write_title``."""
    figure = Figure(figsize=(width, sum(heights) + 0.9), layout="constrained")
    write_title(figure, title, more)
    ratios = {"height_ratios": list(heights)}
    grid = figure.subplots(len(heights), 1, sharex=True, squeeze=False, gridspec_kw=ratios)[:, 0].tolist()
    for axes in grid:
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(axis="x", length=0)
    return figure, grid


def legend(figure: Figure, emotions: Sequence[str] = EMOTIONS, *more: Artist, shades: Sequence[Patch] = ()) -> float:
    """A legend of the colours of ``emotions``, of ``more``, and of ``shades``, which have one label.

    Returns its height in inches.
    """
    handles: list[Any] = [Patch(facecolor=EMOTION_COLORS[e], label=e) for e in EMOTIONS if e in emotions]
    labels = [handle.get_label() for handle in (*handles, *more)]
    handles += more
    if shades:
        handles.append(tuple(shades))
        labels.append(shades[-1].get_label())
    return arrange(figure, handles, labels)


def arrange(figure: Figure, handles: Sequence[Any], labels: Sequence[Any] | None = None) -> float:
    """Write a legend below the axes, in as many lines as it needs. Returns its height in inches."""
    labels = [handle.get_label() for handle in handles] if labels is None else labels
    style: dict[str, Any] = {"frameon": False, "handleheight": 1, "columnspacing": 0.9, "handletextpad": 0.5}
    style |= {"borderaxespad": 0.3, "handlelength": 1.2, "handler_map": {tuple: HandlerTuple(None, pad=0)}}
    for columns in range(len(handles), 0, -1):
        order = [n for first in range(columns) for n in range(first, len(handles), columns)]  # it fills columns first
        legend = figure.legend(
            [handles[n] for n in order], [labels[n] for n in order], loc="outside lower left", ncols=columns, **style
        )
        box = legend.get_window_extent()
        if box.width <= 0.98 * figure.bbox.width:
            break
        if columns > 1:
            legend.remove()
    return float(box.height / figure.dpi)


def time_axis(axes: Axes, span: float) -> None:
    """Format the axis of a time in seconds, ``span`` of which are shown."""
    steps = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)
    most = min(10, max(3, axes.bbox.width / 52))  # so that the times do not touch
    step = next((s for s in steps if span / s <= most), 14400)
    axes.xaxis.set_major_locator(MultipleLocator(step))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _clock(value, step)))
    axes.tick_params(axis="x", length=3)
    axes.set_xlabel("time (h:mm:ss)" if span >= 3600 else "time (m:ss)")


def _clock(seconds: float, step: float = 1) -> str:
    """Format a time as m:ss, or h:mm:ss from an hour on; with a decimal if the step is shorter than a second."""
    tenths = round(seconds * 10)
    whole, rest = divmod(tenths, 10) if step < 1 else (round(seconds), 0)
    hours, minutes = divmod(whole // 60, 60)
    text = f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"
    return text + (f".{rest}" if step < 1 else "")


def _depth(p: Floats) -> Floats:
    """The saturation: 0 at chance level, 1/7, and 1 at 1; the square root keeps middle values visible."""
    return np.sqrt(np.clip((p - 1 / len(EMOTIONS)) / (1 - 1 / len(EMOTIONS)), 0, 1))


def short(name: str, most: int = 28) -> str:
    """The name with at most ``most`` characters: of a longer one, beginning and end."""
    name = printable(name)
    end = (most - 1) // 2
    return name if len(name) <= most else name[: most - 1 - end] + _ELLIPSIS + name[len(name) - end :]


def labels(names: Sequence[str], most: int = 32) -> list[str]:
    """Short labels for names, which differ as the names do."""
    found = [short(name, most) for name in names]
    if len(set(found)) == len(set(names)):
        return found
    begin = _common(names)
    end = _common([name[begin:][::-1] for name in names])
    parts = [short(name[begin : len(name) - end], most - 2) for name in names]
    return [f"{_ELLIPSIS if begin else ''}{part}{_ELLIPSIS if end else ''}" for part in parts]


def _common(names: Sequence[str]) -> int:
    """The number of first characters that all names share."""
    first, last = min(names), max(names)
    return next((n for n, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))


def face_name(face_id: Any, people: Mapping[Any, str]) -> str:
    """What a face is called in figures: its person's name, or "face 3"."""
    return people.get(face_id) or f"face {face_id}"


def in_lines(name: str, most: int) -> str:
    """A name in lines of at most ``most`` characters; of one longer than three lines, the middle is left out."""
    return "\n".join(wrap(short(name, 3 * most - 6), most))


def say_in(axes: Axes, text: str) -> None:
    """Write a line into the middle of an empty panel."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=FAINT)
