"""Compare coders with each other and with the machine: the tables ``agreement.csv`` and ``confusion.csv``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fermedia.columns import AGREEMENT, CONFUSION
from fermedia.study import agreement as stats
from fermedia.study.agreement import Bootstrap, Floats, Statistic
from fermedia.study.codes import ALL, EVERYBODY, MACHINE, NONE
from fermedia.study.ratings import Rated, Rating, labels_of
from fermedia.types import EMOTIONS

if TYPE_CHECKING:
    import pandas as pd

#: The number of resamples.
RESAMPLES = 2000

_OF_ALL: dict[str, Statistic] = {"agreement": stats.agreement, "kappa": stats.kappa, "ac1": stats.ac1, "f1": stats.f1}
_OF_LABEL: dict[str, Statistic] = {
    "agreement": stats.agreement,
    "kappa": stats.kappa,
    "ac1": stats.ac1,
    "f1": stats.f1_of_label,
}
_OF_SEVERAL: dict[str, Statistic] = {
    "agreement": stats.agreement_of_several,
    "fleiss_kappa": stats.fleiss,
    "ac1": stats.ac1_of_several,
}
_SINGLE, _MEAN = ("icc1", "icc2", "icc3"), ("icc1k", "icc2k", "icc3k")


@dataclass(frozen=True)
class _View:
    """What some raters say of one face, frame by frame, with the frames' weights."""

    item: str
    cluster: str
    weights: Floats
    seconds: Floats
    ratings: list[Rating]


class _Comparison:
    """A comparison of two raters, or of all coders, and its rows."""

    def __init__(self, names: tuple[str, str], unit: str, views: Sequence[_View], resamples: int, seed: int) -> None:
        self._names, self._unit, self._views = names, unit, views
        self._resamples, self._seed = resamples, seed
        self.rows: list[dict[str, Any]] = []
        self.confusion: list[dict[str, Any]] = []

    def add_labels(self, labels: Sequence[str], machine: bool) -> None:
        """Add the statistics of all labels together and of each, and with two raters the confusion."""
        every = list(labels) if machine else [*labels, NONE]
        if machine:
            every = [*EMOTIONS]
        nominal = [np.stack([rating.nominal(every) for rating in view.ratings]) for view in self._views]
        used = [all_of >= 0 for all_of in (found.min(axis=0) for found in nominal)]
        there = sorted({int(n) for found, use in zip(nominal, used, strict=True) for n in np.unique(found[:, use])})
        place = np.full(len(every), -1)
        place[there] = range(len(there))
        nominal = [place[found] for found in nominal]
        if len(self._names) == 2 and self._names[1]:
            sums = [self._table(v, f, use, len(there)) for v, f, use in zip(self._views, nominal, used, strict=True)]
            # Of a single label, all together are that one: kappa would be 0, whatever the machine says.
            of_all = _OF_ALL if len(labels) > 1 or not machine else {"agreement": _OF_ALL["agreement"]}
            self._add(ALL, sums, used, of_all)
            self._confuse([every[n] for n in there], nominal, used)
        else:
            self._add(ALL, self._several(nominal, used, len(there)), used, _OF_SEVERAL)
        for label in labels:
            given = [np.stack([_gives(rating, label) for rating in view.ratings]) for view in self._views]
            coded = [np.logical_and.reduce([rating.coded for rating in view.ratings]) for view in self._views]
            if self._names[1]:
                sums = [self._table(v, g, c, 2) for v, g, c in zip(self._views, given, coded, strict=True)]
                more = {"overlap": stats.overlap} if self._unit == "time" else {}
                self._add(label, sums, coded, _OF_LABEL | more)
            else:
                self._add(label, self._several(given, coded, 2), coded, _OF_SEVERAL)

    def add_number(self, name: str) -> None:
        """Add the correlations of a value."""
        values = [
            np.stack([r.numbers.get(name, np.full(len(view.weights), np.nan)) for r in view.ratings], axis=1)
            for view in self._views
        ]
        used = [~np.isnan(found).any(axis=1) for found in values]
        if sum(use.sum() for use in used) < 2:
            return
        centre = np.concatenate([found[use] for found, use in zip(values, used, strict=True)]).mean(axis=0).mean()
        sums = [stats.moments(found[use] - centre) for found, use in zip(values, used, strict=True)]

        def icc(which: str) -> Statistic:
            return lambda moments: stats.iccs(moments)[which]

        if self._names[1]:
            statistics = {"r": stats.correlation} | {which: icc(which) for which in _SINGLE}
        else:
            statistics = {which: icc(which) for which in (*_SINGLE, *_MEAN)}
        self._add(name, sums, used, statistics, "frames")

    def _table(self, view: _View, found: NDArray[Any], use: NDArray[np.bool_], size: int) -> Floats:
        """How much each label of the first came with each label of the second."""
        first, second = (found[n][use].astype(np.int64) for n in (0, 1))
        return np.bincount(first * size + second, view.weights[use], size * size).reshape(size, size).astype(np.float64)

    def _several(self, found: Sequence[NDArray[Any]], used: Sequence[NDArray[np.bool_]], size: int) -> list[Floats]:
        result = []
        for view, labels, use in zip(self._views, found, used, strict=True):
            counts = np.stack([(labels[:, use].astype(np.int64) == n).sum(axis=0) for n in range(size)], axis=1)
            if use.any():
                result.append(stats.several(counts.astype(np.float64), view.weights[use]))
            else:
                result.append(np.zeros(2 + size))
        return result

    def _add(
        self,
        label: str,
        sums: Sequence[Floats],
        used: Sequence[NDArray[np.bool_]],
        statistics: dict[str, Statistic],
        unit: str | None = None,
    ) -> None:
        """Add a row per statistic; ``sums`` are those of each view. Nothing if nobody gave the label."""
        there = [n for n, use in enumerate(used) if use.any()]
        if not there:
            return
        clusters = list(dict.fromkeys(self._views[n].cluster for n in there))
        by_cluster = np.zeros((len(clusters), *sums[0].shape))
        for n in there:
            by_cluster[clusters.index(self._views[n].cluster)] += sums[n]
        unit = unit or self._unit
        bootstrap = Bootstrap(len(clusters), self._resamples, self._seed)
        seconds = sum(float(self._views[n].seconds[used[n]].sum()) for n in there)
        about = {
            "coder_1": self._names[0],
            "coder_2": self._names[1] or None,
            "unit": unit,
            "label": label,
        }
        size = {
            "frames": int(sum(used[n].sum() for n in there)),
            "seconds": None if unit == "frames" else round(seconds, 6),
            "items": len({self._views[n].item for n in there}),
            "clusters": len(clusters),
        }
        for name, statistic in statistics.items():
            found = bootstrap.estimate(by_cluster, statistic)
            value = {"value": found.value, "low": found.low, "high": found.high}
            self.rows.append(about | {"statistic": name} | value | size)

    def _confuse(self, labels: Sequence[str], found: Sequence[NDArray[Any]], used: Sequence[NDArray[np.bool_]]) -> None:
        size = len(labels)
        frames, seconds = np.zeros((size, size)), np.zeros((size, size))
        for view, given, use in zip(self._views, found, used, strict=True):
            first, second = (given[n][use].astype(np.int64) for n in (0, 1))
            frames += np.bincount(first * size + second, minlength=size * size).reshape(size, size)
            seconds += np.bincount(first * size + second, view.seconds[use], size * size).reshape(size, size)
        amount = frames if self._unit == "frames" else seconds
        for a, b in np.ndindex(size, size):
            whole = amount[a].sum()
            self.confusion.append(
                {
                    "coder_1": self._names[0],
                    "coder_2": self._names[1],
                    "unit": self._unit,
                    "label_1": labels[a],
                    "label_2": labels[b],
                    "frames": int(frames[a, b]),
                    "seconds": None if self._unit == "frames" else round(float(seconds[a, b]), 6),
                    "share": amount[a, b] / whole if whole else np.nan,
                }
            )


def compare(
    faces: Sequence[Rated], timed: dict[str, bool], resamples: int = RESAMPLES, seed: int = 0
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Compare every two coders, all coders if there are three or more, and each coder with the machine.

    Where both code periods, frames count by the time for which they are shown (the unit "time"), and the machine's
    labels are the smoothed ones; where one codes single frames, frames count alike, and the machine's labels are those
    of the single frames.

    Over all labels together, frames count in which each of the compared has exactly one label; with the machine,
    exactly one of its labels. For a label by itself, all frames count that each of the compared has coded.

    Args:
        faces: The coded faces.
        timed: Whether each coder, by name, codes periods.
        resamples: The number of resamples of the bootstrap.
        seed: Its seed.

    Returns:
        agreement.csv and confusion.csv (``columns.AGREEMENT``, ``CONFUSION``).
    """
    import pandas as pd

    coders = list(timed)
    rows, confusion = [], []
    groups: list[tuple[str, ...]] = [*combinations(coders, 2), *((coder, MACHINE) for coder in coders)]
    if len(coders) > 2:
        groups.insert(len(coders) * (len(coders) - 1) // 2, tuple(coders))
    for group in groups:
        humans = [name for name in group if name != MACHINE]
        in_time = all(timed[name] for name in humans)
        views = [_view(face, group, in_time) for face in faces if all(name in face.coders for name in humans)]
        if not views:
            continue
        several = len(group) > 2
        names = (EVERYBODY, "") if several else (group[0], group[1])
        made = _Comparison(names, "time" if in_time else "frames", views, resamples, seed)
        own = [face.coders[name] for face in faces for name in humans if name in face.coders]
        labels = labels_of(own)
        if MACHINE in group:
            labels = [label for label in labels if label in EMOTIONS]
        if labels:
            made.add_labels(labels, MACHINE in group)
        for name in sorted({name for rating in own for name in rating.numbers}):
            made.add_number(name)
        rows += made.rows
        confusion += made.confusion
    return (
        pd.DataFrame(rows, columns=list(AGREEMENT.names)),
        pd.DataFrame(confusion, columns=list(CONFUSION.names)),
    )


def _view(face: Rated, group: Sequence[str], in_time: bool) -> _View:
    machine = face.smoothed if in_time else face.frames
    ratings = [machine if name == MACHINE else face.coders[name] for name in group]
    weights = face.weights if in_time else np.ones(len(face.weights))
    return _View(face.item, face.cluster, weights, face.weights, ratings)


def _gives(rating: Rating, label: str) -> NDArray[np.bool_]:
    return rating.labels.get(label, np.zeros(len(rating.coded), bool))
