"""The figures of a run: for every item, and of all films together."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from fermedia.errors import OutputError
from fermedia.files import shown
from fermedia.outputs.bins import STEPS
from fermedia.outputs.cells import cell
from fermedia.outputs.plots import plot_distribution, plot_heatmap, plot_timeline, save, strip
from fermedia.outputs.timeline import read_timeline
from fermedia.runs.results import results

#: Where they are, in an item's folder and in that of the run.
PLOTS = "plots"


def plot_results(out: Path, on_item: Callable[[str], None]) -> str:
    """Draw all figures of the results in ``out``, as PNG and SVG; gives a sentence that says where they are.

    ``items/<key>/plots/`` has ``timeline`` (films alone) and ``distribution``, ``plots/`` has ``heatmap`` of all films.
    ``on_item`` is told each item's key. Raises UsageError if there are no results, OutputError if the figures cannot be
    written.
    """
    items = list(results(out))
    films = [item for item in items if item.is_film]
    edges = np.linspace(0, max((film.about["end"] or 0 for film in films), default=0) or 1, STEPS + 1)
    strips = []
    try:
        for item in items:
            on_item(item.key)
            timeline, end, smooth = read_timeline(item.timeline), item.about["end"], item.about["options"]["smooth"]
            title = cell(item.key)
            folder = item.folder / PLOTS
            save(plot_distribution(timeline, end=end, smooth=smooth, title=title), folder / "distribution")
            if item.is_film:
                save(plot_timeline(timeline, end=end, smooth=smooth, title=title), folder / "timeline")
                strips.append(strip(timeline, title, edges, end, smooth))
        if strips:
            save(plot_heatmap(strips, edges), out / PLOTS / "heatmap")
    except OSError as error:
        raise OutputError(f"{shown(out, whole=True)}: cannot be written ({error.strerror or error})") from error
    where = os.path.join(out, "items", "*", PLOTS)
    text = f"figures of {len(items)} {'item' if len(items) == 1 else 'items'} in {where}"
    return text + (f", of all films in {out / PLOTS}" if strips else "")
