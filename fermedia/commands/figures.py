"""Draw the figures of a folder of results: for every item, of all videos together, and of participants."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fermedia.columns import COMPARISONS, CONDITIONS, MEASURED, PARTICIPANTS
from fermedia.errors import OutputError, UsageError
from fermedia.files import counted, few, shown, sweep, unlinked
from fermedia.names import portable
from fermedia.options import PLOT_KINDS
from fermedia.render.colors import EMOTION_COLORS
from fermedia.report.event_plots import plot_courses, plot_windows
from fermedia.report.events import read_courses, read_windows
from fermedia.report.group_plots import factors, plot_differences, plot_factor
from fermedia.report.measure_plots import STANDARD, plot_means, plot_measures
from fermedia.report.plots import FORMATS, WIDTH, plot_distribution, plot_heatmap, plot_timeline, save, strip
from fermedia.store.derive import TIMELINE
from fermedia.store.outputs import PLOTS
from fermedia.store.results import results
from fermedia.study.item_names import ItemNames
from fermedia.study.people import words
from fermedia.study.shapes import GroupMeans, add_emotions, condition_means
from fermedia.tables.bins import STEPS
from fermedia.tables.cells import cell
from fermedia.tables.finished import FinishedItem, sensible
from fermedia.tables.people import only, people_of, picked
from fermedia.tables.tables import read_csv
from fermedia.tables.timeline import read_timeline
from fermedia.types import EMOTIONS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


#: The figures that need measures.
_MEASURED = {"measures", "blendshapes_by_emotion", "blendshapes_by_condition"}


@dataclass(frozen=True)
class Figures:
    """What the figures show.

    Attributes:
        formats: The formats of the files, of ``report.plots.FORMATS``.
        items: Patterns of the keys of the items to draw; none for all.
        faces: The faces to draw, a list of names and ids with commas; "" for those classified for the longest time.
        emotions: The emotions to show.
        width: Width in centimetres.
        kinds: The figures to draw, of ``PLOT_KINDS``; none for all that there are.
        measures: The measures that are drawn over time, in this order; none for a standard selection.
    """

    formats: tuple[str, ...] = ("png", "svg")
    items: tuple[str, ...] = ()
    faces: str = ""
    emotions: tuple[str, ...] = EMOTIONS
    width: float = 2.54 * WIDTH
    kinds: tuple[str, ...] = ()
    measures: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for flag, names, known in (("--format", self.formats, FORMATS), ("--emotions", self.emotions, EMOTIONS)):
            if wrong := [name for name in names if name not in known]:
                raise UsageError(f"{flag} knows {', '.join(known)}, got {', '.join(wrong)}")
        if wrong := [name for name in self.measures if name not in MEASURED]:
            raise UsageError(f"--measures: there is no measure {', '.join(wrong)}; there are {', '.join(MEASURED)}")

    @property
    def wanted(self) -> set[str]:
        """The kinds of figures to draw."""
        return set(self.kinds) or set(PLOT_KINDS)

    @property
    def look(self) -> dict[str, Any]:
        """The arguments of all figures of emotions."""
        return {"emotions": self.emotions, "width": self.width / 2.54}

    def chosen(self, items: Iterable[FinishedItem]) -> list[FinishedItem]:
        """The items to draw. Raises UsageError if a pattern matches none."""
        there = list(items)
        if not self.items:
            return there
        keys = [item.key for item in there]
        for pattern in self.items:
            if not any(_matches(key, pattern) for key in keys):
                raise UsageError(f"--items {pattern}: no item is called so{ItemNames.of(keys).hint(pattern)}")
        return [item for item in there if any(_matches(item.key, pattern) for pattern in self.items)]

    def picked(self, timeline: pd.DataFrame) -> tuple[list[int], set[str]]:
        """The faces of a video to draw, and those of the chosen names and ids that it does not have."""
        there, people = timeline["face_id"].dropna().unique().tolist(), people_of(timeline)
        if not self.faces:
            return there, set()
        asked = words(self.faces, people.values())
        return picked(there, people, asked), {word for word in asked if not picked(there, people, [word])}


def _matches(key: str, pattern: str) -> bool:
    return key == pattern or fnmatchcase(key, pattern)


def plot_results(
    out: Path, on_item: Callable[[str], None], earlier: bool | None = None, figures: Figures | None = None
) -> str:
    """Draw figures of the results in ``out``.

    ``items/<key>/plots/`` has ``timeline`` (only for videos) and ``distribution``; ``plots/`` has ``heatmap`` of all
    videos, with ``--participants`` a ``by_FACTOR`` for each factor and a ``differences_FACTOR`` if participants have
    several of its levels, and ``courses`` and ``windows`` with events. If faces were measured, ``items/<key>/plots/``
    of videos has ``measures``, and ``plots/`` has ``blendshapes_by_emotion``, and with participants
    ``blendshapes_by_condition``.

    Args:
        out: The folder of results.
        on_item: Called with each item's key before it is drawn.
        earlier: As for ``Ledger.chosen``.
        figures: What is drawn; None for the defaults.

    Returns:
        A sentence that says where the figures are.

    Raises:
        UsageError: There are no results, or none of what ``figures`` names.
        DataError: A table is damaged.
        OutputError: The figures cannot be written.
    """
    figures = figures or Figures()
    wanted, look = figures.wanted, figures.look
    items = figures.chosen(results(out, earlier))
    of_run = _of_run(out, figures)
    _check_measures(items, out, figures)
    means = GroupMeans()
    videos = [item for item in items if item.is_video]
    edges = np.linspace(0, max((video.about["end"] or 0 for video in videos), default=0) or 1, STEPS + 1)
    strips, count = [], 0
    unknown: set[str] | None = None
    try:
        for folder in (out, *(item.folder for item in items)):
            sweep(folder / PLOTS)
        of_items = {"timeline", "distribution", "heatmap"} | _MEASURED
        for item in items if wanted & of_items else ():
            timeline = read_timeline(item.folder / TIMELINE)  # only one is in memory at a time
            end, smooth = item.about["end"], item.about["options"]["smooth"]
            title = cell(item.key)
            if item.is_video:
                faces, missing = figures.picked(timeline)
                unknown = missing if unknown is None else unknown & missing
                if figures.faces and not faces:
                    continue
                if figures.faces:
                    timeline = only(timeline, faces)
            on_item(item.key)
            count += 1
            folder = unlinked(item.folder, PLOTS)
            about = {"end": end, "smooth": smooth, "title": title, **look}
            with sensible(item.folder):
                if "distribution" in wanted:
                    save(plot_distribution(timeline, **about), folder / "distribution", figures.formats)
                if item.is_video and "timeline" in wanted:
                    save(plot_timeline(timeline, **about), folder / "timeline", figures.formats)
                if _is_measured(item) and wanted & _MEASURED:
                    table = FinishedItem(item.key, item.folder).whole  # so it is not kept
                    if item.is_video and figures.faces:
                        table = only(table, faces)
                    add_emotions(means, table, end if item.is_video else None, smooth)
                    if item.is_video and "measures" in wanted:
                        names = figures.measures or STANDARD
                        blinks = item.blinks[item.blinks["face_id"].isin(faces)]
                        figure = plot_measures(table, blinks, names=names, end=end, title=title, width=look["width"])
                        save(figure, folder / "measures", figures.formats)
                if item.is_video and "heatmap" in wanted:
                    strips.append(strip(timeline, title, edges, end, smooth))
        if items and not count and figures.faces and wanted & of_items:
            raise UsageError(f"--faces {figures.faces}: no item has such a face or person")
        places = []
        if strips:
            save(plot_heatmap(strips, edges, **look), unlinked(out, PLOTS) / "heatmap", figures.formats)
            places.append("of all videos")
        if _draw_blendshapes(out, means, figures):
            places.append("of blendshapes")
        if _draw_groups(out, figures):
            places.append("of participants")
        for name, draw in of_run:
            draw(unlinked(out, PLOTS) / name)
        if of_run:
            places.append("of events")
    except OSError as error:
        raise OutputError(f"{shown(out, whole=True)}: cannot be written ({error.strerror or error})") from error
    parts = []
    if wanted & {"timeline", "distribution", "measures"}:
        where = os.path.join(out, "items", "*", PLOTS)
        parts.append(f"figures of {counted(count, 'item')} in {where}")
    if places:
        parts.append(f"{'' if parts else 'figures '}{', '.join(places)} in {out / PLOTS}")
    if unknown:
        parts.append(f"no item has a face or person {few(sorted(unknown), 3, ' or ')}")
    return ", ".join(parts) or "nothing to draw"


def _of_run(out: Path, figures: Figures) -> list[tuple[str, Callable[[Path], None]]]:
    """The wanted figures of events that can be drawn, and what draws each of them into a file.

    Raises UsageError if one is asked for by name and there are no events.
    """
    found: list[tuple[str, Callable[[Path], None]]] = []
    for name, read, plot in (("courses", read_courses, plot_courses), ("windows", read_windows, plot_windows)):
        if name not in figures.wanted:
            continue
        table = read(out)
        if table is not None and len(table):
            found.append((name, partial(_draw, plot, table, figures)))
        elif name in figures.kinds:
            where = shown(out, whole=True)
            raise UsageError(
                f"{where}: has no {name}.csv with rows; make it with fermedia report {where} --events PATH"
            )
    return found


def _draw(plot: Callable[..., Figure], table: pd.DataFrame, figures: Figures, path: Path) -> None:
    save(plot(table, **figures.look), path, figures.formats)


def _is_measured(item: FinishedItem) -> bool:
    return bool(item.about["options"].get("measures"))


def _check_measures(items: Iterable[FinishedItem], out: Path, figures: Figures) -> None:
    """Raise UsageError if measures are asked for and there are none."""
    asked = set(figures.kinds) & _MEASURED
    if (asked or figures.measures) and not any(item.is_video and _is_measured(item) for item in items):
        flag = f"--kind {min(asked)}" if asked else "--measures"
        raise UsageError(f"{flag}: {shown(out, whole=True)} has no video with measures; analyze --measures makes them")


def _draw_blendshapes(out: Path, means: GroupMeans, figures: Figures) -> bool:
    """Draw the mean blendshapes of emotions and of conditions. Returns whether there are any."""
    by_emotion = means.means(EMOTIONS)
    if not by_emotion.groups:
        return False
    folder, width = unlinked(out, PLOTS), figures.look["width"]
    if "blendshapes_by_emotion" in figures.wanted:
        title = "Blendshapes by most probable emotion"
        figure = plot_means(by_emotion, title=title, colors=EMOTION_COLORS, width=width)
        save(figure, folder / "blendshapes_by_emotion", figures.formats)
    path = out / f"{PARTICIPANTS.name}.csv"
    if path.is_file() and "blendshapes_by_condition" in figures.wanted:
        with sensible(path):
            people, conditions = (read_csv(out / f"{table.name}.csv", table) for table in (PARTICIPANTS, CONDITIONS))
            by_condition = condition_means(people, factors(conditions))
        if by_condition is not None:
            figure = plot_means(by_condition, title="Blendshapes by condition", member="participant", width=width)
            save(figure, folder / "blendshapes_by_condition", figures.formats)
    return True


def _draw_groups(out: Path, figures: Figures) -> bool:
    """Draw the wanted figures of each factor of ``--participants``. Returns whether any was drawn."""
    tables = (PARTICIPANTS, CONDITIONS, COMPARISONS)
    paths = [out / f"{table.name}.csv" for table in tables]
    if not figures.wanted & {"participants", "differences"} or not all(path.is_file() for path in paths):
        return False
    drawn: dict[str, Figure] = {}
    with sensible(out):
        people, conditions, comparisons = (read_csv(path, table) for path, table in zip(paths, tables, strict=True))
        if people.empty:
            return False
        for factor in (*factors(conditions),) or (None,):
            called = factor and portable(factor.replace("/", "_"))
            if "participants" in figures.wanted:
                name = f"by_{called}" if called else "participants"
                drawn[name] = plot_factor(people, conditions, factor, **figures.look)
            if "differences" in figures.wanted and factor is not None and (comparisons["factor"] == factor).any():
                drawn[f"differences_{called}"] = plot_differences(people, comparisons, factor, **figures.look)
        for name, figure in drawn.items():
            save(figure, unlinked(out, PLOTS) / name, figures.formats)
    return bool(drawn)
