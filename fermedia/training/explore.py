"""Summarize a FER-2013 data set: counts, samples, and faulty, blank and duplicate images."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fermedia.errors import DataError, UsageError
from fermedia.files import counted, whole_file, write_json
from fermedia.training import plots
from fermedia.training.dataset import Dataset, Member, Split, blank, repeats
from fermedia.training.sources import SIZE, SPLITS, Item, Source, open_source
from fermedia.types import EMOTIONS

#: Faces per class in ``samples.png``.
SAMPLES = 12

_MAKER = "fermedia dataset"


def explore(data: Path, out: Path) -> dict[str, Any]:
    """Write a report on a data set into the folder ``out`` and return its summary.

    The files are ``classes.csv`` and ``classes.png`` (images per class and split, with shares), ``samples.png`` (a grid
    of samples per class), ``faulty.csv`` (images that cannot be read or are not 48x48 grey), ``blank.csv``,
    ``repeats.csv`` (groups of identical images: across splits, with different labels) and ``summary.json``, which is
    returned.

    Raises:
        DataError: No image can be read. Faulty or missing parts alone are no error.
        UsageError: ``out`` contains other files.
    """
    source = open_source(data)
    _claim(out)
    items = list(source.read(SPLITS))
    dataset = Dataset(data, {name: _readable(items, name) for name in SPLITS if any(_of(items, name))})
    if not any(len(split) for split in dataset.values()):
        raise DataError(f"{data}: none of its {len(items):,} images can be read; the first: {_fault(items[0])}")
    groups = repeats(dataset.values())
    empty = [m for split in dataset.values() for m in _members(split, blank(split.images))]
    faulty = [item for item in items if item.pixels is None]
    summary: dict[str, Any] = {
        "made_by": _MAKER,
        "data": str(data),
        "digest": dataset.digest,
        "images": len(items),
        "splits": _classes(source),
        "missing_classes": _missing(source),
        "pixels": _pixels(dataset),
        "forms": dict(Counter(item.form for item in items).most_common()),
        "faulty": len(faulty),
        "blank": len(empty),
        "repeats": _count_repeats(groups, list(dataset)),
    }
    rows = [(i, m, group) for i, group in enumerate(groups, start=1) for m in group]
    _write_csv(
        out / "classes.csv",
        ("split", "class", "images", "share"),
        [
            (split, emotion, cell["images"], f"{cell['share']:.6f}")
            for split, table in summary["splits"].items()
            for emotion, cell in table["classes"].items()
        ],
    )
    _write_csv(
        out / "faulty.csv",
        ("split", "class", "image", "fault"),
        [(f.entry.split, EMOTIONS[f.entry.label], f.entry.name, f.fault) for f in faulty],
    )
    _write_csv(out / "blank.csv", ("split", "class", "image"), [(m.split, m.emotion, m.name) for m in empty])
    _write_csv(
        out / "repeats.csv",
        ("group", "split", "class", "image", "across_splits", "different_labels"),
        [(i, m.split, m.emotion, m.name, int(_across(g)), int(_differ(g))) for i, m, g in rows],
    )
    plots.plot_classes(source.counts(), out / "classes.png")
    _plot_samples(dataset, out / "samples.png")
    write_json(out / "summary.json", summary)
    return summary


def format_summary(summary: dict[str, Any]) -> str:
    """The summary as a page of plain text."""
    splits, again = summary["splits"], summary["repeats"]
    lines = [f"{summary['data']}: {counted(summary['images'], 'image')}", ""]
    lines.append("  class    " + "".join(f"{name:>18}" for name in splits))
    for emotion in EMOTIONS:
        cells = (split["classes"][emotion] for split in splits.values())
        lines.append(f"  {emotion:<9}" + "".join(f"{c['images']:>10,}{c['share']:>8.1%}" for c in cells))
    lines += ["  all      " + "".join(f"{split['images']:>10,}" + " " * 8 for split in splits.values()).rstrip(), ""]
    for name, pixel in summary["pixels"].items():
        lines.append(f"  grey values of {name}: mean {pixel['mean']:.2f}, deviation {pixel['std']:.2f}")
    lines += [f"  {form}: {n:,}" for form, n in summary["forms"].items()]
    lines += [f"  missing: {text}" for text in summary["missing_classes"]]
    lines += [
        "",
        f"  faulty images: {summary['faulty']:,}",
        f"  blank images:  {summary['blank']:,}",
        f"  groups of identical images: {again['groups']:,}; with different labels: {again['different_labels']:,}",
    ]
    lines += [f"  repeats of other images of {name}: {n:,}" for name, n in again["within"].items()]
    for pair, n in again["across"].items():
        lines.append(f"  images of {pair.replace(' in ', ' that stand in ')} too: {n:,}")
    return "\n".join(lines)


def _claim(out: Path) -> None:
    """Raise UsageError for a folder with files that are not from this command."""
    if out.is_dir() and any(out.iterdir()):
        try:
            ours = json.loads((out / "summary.json").read_text(encoding="utf-8")).get("made_by") == _MAKER
        except (OSError, ValueError, AttributeError):
            ours = False
        if not ours:
            raise UsageError(f"{out} exists and contains other files; give --out a new folder")
    out.mkdir(parents=True, exist_ok=True)


def _of(items: Sequence[Item], split: str) -> list[Item]:
    return [item for item in items if item.entry.split == split]


def _readable(items: Sequence[Item], split: str) -> Split:
    good = [(i.entry.name, i.entry.label, i.pixels) for i in _of(items, split) if i.pixels is not None]
    images = np.array([pixels for _, _, pixels in good], np.uint8).reshape(-1, SIZE, SIZE)
    return Split(split, tuple(n for n, _, _ in good), images, np.array([label for _, label, _ in good], np.int64))


def _fault(item: Item) -> str:
    return f"{item.entry.name} {item.fault}"


def _classes(source: Source) -> dict[str, Any]:
    table = {}
    for name, row in source.counts().items():
        if total := sum(row):
            classes = {e: {"images": n, "share": n / total} for e, n in zip(EMOTIONS, row, strict=True)}
            table[name] = {"images": total, "classes": classes}
    return table


def _missing(source: Source) -> list[str]:
    """Descriptions of what is missing from a complete data set."""
    return [
        f"{name} has no image of {emotion} (no {source.place(name, emotion)})" if sum(row) else f"no images of {name}"
        for name, row in source.counts().items()
        for emotion, n in (zip(EMOTIONS, row, strict=True) if sum(row) else [("", 0)])
        if not n
    ]


def _pixels(dataset: Dataset) -> dict[str, dict[str, float]]:
    """Mean and deviation of all grey values, per split, on the scale 0..255."""
    table = {}
    for name, split in dataset.items():
        if len(split):
            histogram = np.bincount(split.images.ravel(), minlength=256)
            grey = np.arange(256)
            mean = float(histogram @ grey / histogram.sum())
            table[name] = {"mean": mean, "std": float(np.sqrt(histogram @ (grey - mean) ** 2 / histogram.sum()))}
    return table


def _members(split: Split, chosen: NDArray[np.bool_]) -> list[Member]:
    return [Member(split.name, EMOTIONS[split.labels[i]], split.names[i]) for i in np.flatnonzero(chosen)]


def _across(group: Sequence[Member]) -> bool:
    return len({m.split for m in group}) > 1


def _differ(group: Sequence[Member]) -> bool:
    return len({m.emotion for m in group}) > 1


def _count_repeats(groups: Sequence[Sequence[Member]], splits: Sequence[str]) -> dict[str, Any]:
    """Count duplicates. ``within``: images of a split beyond the first of each group. ``across``: images of one split
    that are also in another, "public in train": 280 for FER-2013."""
    held = [Counter(m.split for m in group) for group in groups]
    pairs = [(a, b) for b in splits for a in splits if SPLITS.index(b) < SPLITS.index(a)]
    return {
        "groups": len(groups),
        "different_labels": sum(_differ(group) for group in groups),
        "within": {s: sum(max(0, h[s] - 1) for h in held) for s in splits},
        "across": {f"{a} in {b}": sum(h[a] for h in held if h[b]) for a, b in pairs},
    }


def _plot_samples(dataset: Dataset, path: Path) -> None:
    """Plot faces spaced evenly over each class of the first split, and each class's mean image."""
    split = next(s for s in dataset.values() if len(s))
    samples, means = {}, {}
    for label, emotion in enumerate(EMOTIONS):
        rows = np.flatnonzero(split.labels == label)
        spread = rows[np.unique(np.linspace(0, len(rows) - 1, SAMPLES).astype(int))] if len(rows) else rows
        samples[emotion] = list(split.images[spread])
        if len(rows):
            means[emotion] = split.images[rows].mean(0)
    plots.plot_samples(samples, path, means)


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
