"""Plots of data sets, trainings and results, written as PNG files; nothing is shown on a screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from fermedia.files import counted, whole_file
from fermedia.types import EMOTIONS, Gray

if TYPE_CHECKING:
    import pandas as pd

_DPI = 160
_INK, _FAINT = "#222222", "#d9d9d9"
#: Okabe & Ito's (2008) blue, orange and green, which colour-blind people can also distinguish.
_BLUE, _ORANGE, _GREEN = "#0072b2", "#e69f00", "#009e73"
#: Bins with fewer images than this are drawn pale, since their accuracy is uncertain.
_FEW = 10

#: The start of a training is its first 1/_START. However high the losses in it, the axis extends at most _REACH times
#: the range of the later losses above their minimum.
_START, _REACH = 4, 2.5


def plot_confusion(confusion: Sequence[Sequence[int]], path: Path, title: str) -> None:
    """Plot a confusion matrix of counts, 7 rows of labels and 7 columns of predictions.

    Each cell shows its count and its share of the row, the share also as its colour.
    """
    counts = np.asarray(confusion)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    figure, axes = _figure(7.8, 6.0, title)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), share in np.ndenumerate(shares):
        ink = "white" if share > 0.55 else _INK
        axes.text(column, row - 0.1, f"{share:.0%}", ha="center", va="center", color=ink, fontsize=10)
        axes.text(column, row + 0.24, f"{counts[row, column]:,}", ha="center", va="center", color=ink, fontsize=7)
    ticks = range(len(EMOTIONS))
    axes.set_xticks(ticks, EMOTIONS, rotation=35, ha="right", rotation_mode="anchor")
    axes.set_yticks(ticks, [f"{e}  ({n:,})" for e, n in zip(EMOTIONS, counts.sum(1), strict=True)])
    axes.set_xlabel("answer of the network")
    axes.set_ylabel("label")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, fraction=0.046, pad=0.03, format=PercentFormatter(1))
    bar.set_label("share of the label's images")
    bar.outline.set_visible(False)
    _save(figure, path)


def plot_reliability(bins: Sequence[Mapping[str, Any]], ece: float, path: Path, title: str) -> None:
    """Plot accuracy against confidence, and below it the number of images per bin.

    Args:
        bins: The bins of ``metrics.reliability``.
        ece: The expected calibration error, for the title.
        path: The file to write.
        title: The title.
    """
    figure = Figure(figsize=(5.6, 6.4), layout="constrained")
    figure.suptitle(f"{title}, ECE {ece:.3f}", fontsize=12)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    filled = [b for b in bins if b["n"]]
    middles = [(b["low"] + b["high"]) / 2 for b in filled]
    accuracies = [b["accuracy"] for b in filled]
    width = 1 / len(bins)
    above.plot([0, 1], [0, 1], color=_INK, linewidth=1, linestyle=(0, (4, 3)), label="calibrated")
    shades = [_BLUE if b["n"] >= _FEW else "#b8d6e8" for b in filled]
    above.bar(middles, accuracies, width * 0.92, color=shades)
    above.plot([b["confidence"] for b in filled], accuracies, "o", color=_ORANGE, label="mean confidence")
    above.set(xlim=(0, 1), ylim=(0, 1.03), ylabel="accuracy")
    above.yaxis.set_major_formatter(PercentFormatter(1))
    handles, names = above.get_legend_handles_labels()
    handles = [*handles, Patch(color=_BLUE)]
    names = [*names, f"accuracy (pale: under {_FEW} images)"]
    figure.legend(handles, names, loc="outside lower center", frameon=False, fontsize=8, ncols=3)
    below.bar(middles, [b["n"] for b in filled], width * 0.92, color="#7f7f7f")
    below.set(xlabel="confidence (probability of the answer)", ylabel="images")
    below.xaxis.set_major_formatter(PercentFormatter(1))
    for axes in (above, below):
        _clean(axes)
    _save(figure, path)


def plot_robustness(result: Mapping[str, Any], path: Path, labels: str) -> None:
    """Plot accuracy and balanced accuracy against strength for each degradation.

    Args:
        result: The result of ``robustness.measure_robustness``.
        path: The file to write.
        labels: The name of the labels, for the title.
    """
    columns = 5
    rows = -(-len(result["troubles"]) // columns)
    figure = Figure(figsize=(2.5 * columns, 2.6 * rows + 0.8), layout="constrained")
    figure.suptitle(f"{labels}, the same {counted(result['n'], 'image')}, degraded", fontsize=12)
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    for axes in grid[len(result["troubles"]) :]:
        axes.set_axis_off()
    for axes, trouble in zip(grid, result["troubles"], strict=False):
        points = {row["strength"]: row for row in trouble["rows"]} | {trouble["unchanged"]: result}
        strengths = sorted(points)
        axes.axhline(result["accuracy"], color=_INK, linewidth=0.8, linestyle=(0, (4, 3)))
        for key, color, name in (("accuracy", _BLUE, "accuracy"), ("balanced_accuracy", _GREEN, "balanced accuracy")):
            axes.plot(strengths, [points[s][key] for s in strengths], "o-", color=color, markersize=3.5, label=name)
        axes.plot(trouble["unchanged"], result["accuracy"], "o", color=_ORANGE, markersize=6, label="as they are")
        axes.set_title(trouble["name"], fontsize=10)
        axes.set_xlabel(trouble["unit"], fontsize=8.5)
        if trouble["unit"] in ("pixels", "factor"):
            axes.set_xscale("log", base=2)
            axes.xaxis.set_major_formatter("{x:g}")
        axes.set_ylim(0, 1)
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.tick_params(labelsize=8)
        _clean(axes)
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower center", frameon=False, fontsize=9, ncols=3)
    _save(figure, path)


def plot_history(history: pd.DataFrame, path: Path) -> None:
    """Plot losses, accuracies and learning rate over the epochs, as far as ``history`` has them.

    Args:
        history: A row per epoch. Columns (all optional): ``epoch``, ``learning_rate``, and any whose name ends in
            "loss" or "accuracy", of the validation images if it begins with ``val_``.
        path: The file to write.
    """
    panels = {
        "loss": [c for c in history.columns if c.endswith("loss")],
        "accuracy": [c for c in history.columns if c.endswith("accuracy")],
        "learning rate": [c for c in history.columns if c == "learning_rate"],
    }
    panels = {name: columns for name, columns in panels.items() if columns}
    figure = Figure(figsize=(7.2, 2.5 * len(panels) + 0.4), layout="constrained")
    grid = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    epochs = history["epoch"] if "epoch" in history else np.arange(1, len(history) + 1)
    point = "o" if len(history) == 1 else None  # a line needs two points
    for axes, (name, columns) in zip(grid, panels.items(), strict=True):
        for column in columns:
            axes.plot(
                epochs, history[column], marker=point, markersize=4, label=_curve_label(column), **_curve_style(column)
            )
        axes.set_ylabel(name)
        _clean(axes)
        if name == "accuracy":
            axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.6g}%")
        if name == "loss":
            _leave_out_the_start(axes, epochs, history[columns])
        if len(columns) > 1:
            # Above the axes, since within them it might cover a curve.
            side_by_side = 2 if len(columns) > 3 else len(columns)
            axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), frameon=False, fontsize=8.5, ncols=side_by_side)
    if "val_accuracy" in history and len(history):
        best = history["val_accuracy"][::-1].idxmax()
        axes, value = grid[list(panels).index("accuracy")], history["val_accuracy"][best]
        axes.plot(epochs[best], value, "o", color=_ORANGE, markersize=5)
        note = axes.annotate(f"{value:.1%}", (epochs[best], value), (0, -14), textcoords="offset points", fontsize=8.5)
        note.set(ha="center", bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0, "alpha": 0.8})
    grid[-1].set_xlabel("epoch")
    grid[-1].set_xlim(epochs.min() - 0.5, epochs.max() + 0.5)
    grid[-1].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    _save(figure, path)


def _leave_out_the_start(axes: Axes, epochs: pd.Series, curves: pd.DataFrame) -> None:
    """Limit the axis if very high losses at the start would flatten the later curves, with a note that says so."""
    rest = curves[-(-len(curves) // _START) :]
    low, high = rest.min(axis=None), rest.max(axis=None)
    top = low + _REACH * (high - low)
    if not curves.max(axis=None) > top > low:
        return
    axes.set_ylim(curves.min(axis=None) - (top - low) / 20, top)
    highest = curves.max().idxmax()
    at = curves[highest].idxmax()
    text = f"{_curve_label(highest)}: up to {curves[highest][at]:.3g} in epoch {epochs[at]}"
    axes.annotate(text, (1, 1), (-4, -4), "axes fraction", "offset points", ha="right", va="top", fontsize=8.5)


def _curve_label(column: str) -> str:
    words = column.removeprefix("val_").replace("ferplus", "FER+").replace("_", " ")
    if column == "accuracy":
        words = "agreement with the targets"  # mixed labels or teachers' answers for augmented images
    return f"{words}, {'PublicTest' if column.startswith('val_') else 'training'}"


def _curve_style(column: str) -> dict[str, Any]:
    """The style of a curve: the colour shows which images, dashes show FER+ labels; balanced accuracies are green."""
    color = _GREEN if "balanced" in column else _ORANGE if column.startswith("val_") else _BLUE
    return {"color": color, "linestyle": "--" if "ferplus" in column else "-", "linewidth": 1.6}


def plot_classes(counts: Mapping[str, Sequence[int]], path: Path) -> None:
    """Plot the number of images per class, with a bar per split; ``counts`` has seven numbers for each split."""
    figure, axes = _figure(8.4, 4.4, "Images per class")
    names = [name for name, row in counts.items() if sum(row)]
    width = 0.8 / max(1, len(names))
    for i, (name, color) in enumerate(zip(names, (_BLUE, _ORANGE, _GREEN), strict=False)):
        row = np.asarray(counts[name])
        places = np.arange(len(EMOTIONS)) + (i - (len(names) - 1) / 2) * width
        bars = axes.bar(places, row, width * 0.94, color=color, label=f"{name} ({row.sum():,})")
        shares = [f"{n:,}\n{n / row.sum():.1%}" for n in row]
        axes.bar_label(bars, shares, fontsize=7 if len(names) < 3 else 6, padding=2)
    axes.set_xticks(range(len(EMOTIONS)), EMOTIONS)
    axes.set_ylabel("images")
    axes.margins(y=0.14)
    axes.legend(frameon=False)
    _clean(axes)
    _save(figure, path)


def plot_samples(samples: Mapping[str, Sequence[Gray]], path: Path, means: Mapping[str, NDArray[np.float64]]) -> None:
    """Plot a row of faces per class, first the mean image with stretched contrast.

    Args:
        samples: By class, grey images, uint8.
        path: The file to write.
        means: By class, the mean image; classes may be missing.
    """
    columns = 1 + max((len(row) for row in samples.values()), default=0)
    figure = Figure(figsize=(0.72 * columns + 1.0, 0.76 * len(samples) + 0.45), layout="constrained")
    grid = figure.subplots(len(samples), columns, squeeze=False)
    for axes in grid.ravel():
        axes.set_axis_off()
    for row, (emotion, faces) in zip(grid, samples.items(), strict=True):
        row[0].text(-0.25, 0.5, emotion, transform=row[0].transAxes, ha="right", va="center", color=_INK)
        if emotion in means:
            row[0].imshow(means[emotion], cmap="gray", interpolation="nearest")
        for axes, face in zip(row[1:], faces, strict=False):
            axes.imshow(face, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    grid[0, 0].set_title("mean", fontsize=9)
    if columns > 1:
        grid[0, 1].set_title("samples", fontsize=9, loc="left")
    _save(figure, path)


def _figure(width: float, height: float, title: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, fontsize=12, pad=10)
    return figure, axes


def _clean(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color=_FAINT, linewidth=0.6)
    axes.set_axisbelow(True)


def _save(figure: Figure, path: Path) -> None:
    with whole_file(path) as temporary:
        figure.savefig(temporary, dpi=_DPI, metadata={"Software": None})
