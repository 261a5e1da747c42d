"""Mean blendshapes of groups of faces, such as those that show an emotion, with confidence intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fermedia.study.groups import t_quantile
from fermedia.study.participants import combination
from fermedia.tables.people import people_of, with_first
from fermedia.tables.tables import shown
from fermedia.tables.timeline import smoothed_timeline
from fermedia.types import BLENDSHAPES, PRESENT

if TYPE_CHECKING:
    import pandas as pd

#: Blendshapes of one movement of both sides are averaged. ``jawLeft`` and ``mouthLeft`` are directions, not sides.
_DIRECTIONS = {"jawLeft", "mouthLeft"}
_PAIRED = [
    name.removesuffix("Left")
    for name in BLENDSHAPES
    if name.endswith("Left") and f"{name.removesuffix('Left')}Right" in BLENDSHAPES and name not in _DIRECTIONS
]

#: The movements: blendshapes, those of two sides as one. How much a face is at rest is none of them.
MOVEMENTS = tuple(
    dict.fromkeys(
        next((pair for pair in _PAIRED if name in (f"{pair}Left", f"{pair}Right")), name) for name in BLENDSHAPES[1:]
    )
)

#: Seconds for which a face of a video must show an emotion to count.
_LEAST = 0.5

#: Beyond so many degrees of freedom, the t distribution is the normal one for all that a figure shows.
_NORMAL = 1000

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Means:
    """The mean movements of groups: ``values`` and the ends of their intervals, ``low`` and ``high``, are (groups, n).

    ``counts`` are the numbers of members of each group, each of which counts once. The intervals are Student's, of 95
    %, which assumes independent members; NaN for a group of one.
    """

    groups: tuple[str, ...]
    counts: tuple[int, ...]
    values: Floats
    low: Floats
    high: Floats

    def telling(self, most: int) -> list[int]:
        """The indices of the movements whose means differ most between the groups, at most ``most``, largest first.

        For a single group, those with the largest means.
        """
        spread = np.ptp(self.values, axis=0) if len(self.groups) > 1 else self.values[0]
        return np.argsort(-spread, kind="stable")[:most].tolist()


class GroupMeans:
    """Collects the members of groups, and needs memory for the groups only."""

    def __init__(self) -> None:
        self._sums: dict[str, Floats] = {}

    def add(self, group: str, members: Floats) -> None:
        """Add members (m, movements) to a group."""
        sums = np.stack([np.ones_like(members), members, members**2]).sum(axis=1)
        self._sums[group] = self._sums.get(group, 0.0) + sums

    def means(self, order: tuple[str, ...] | None = None) -> Means:
        """The means of all groups, in this order, or in that in which they were added."""
        groups = tuple(name for name in order or self._sums if name in self._sums)
        sums = np.array([self._sums[name] for name in groups]).reshape(len(groups), 3, len(MOVEMENTS))
        counts, values = sums[:, 0, :1], sums[:, 1] / sums[:, 0]
        half = np.full_like(values, np.nan)
        for n, count in enumerate(counts[:, 0].tolist()):
            if count > 1:
                variance = np.maximum(sums[n, 2] - count * values[n] ** 2, 0) / (count - 1)
                half[n] = t_quantile(min(int(count) - 1, _NORMAL)) * np.sqrt(variance / count)
        with np.errstate(divide="ignore", invalid="ignore"):  # as groups.interval; no interval at a limit
            logit, half = np.log(values / (1 - values)), half / (values * (1 - values))
            low, high = (1 / (1 + np.exp(-(logit + side * half))) for side in (-1, 1))
        return Means(groups, tuple(counts[:, 0].astype(int).tolist()), values, low, high)


def movements(table: pd.DataFrame, suffix: str = "") -> Floats:
    """The movements (n, movements) in a table with columns of the blendshapes' names and ``suffix``."""
    columns = []
    for name in MOVEMENTS:
        sides = [f"{name}Left", f"{name}Right"] if name in _PAIRED else [name]
        columns.append(
            table[[f"{side}{suffix}" for side in sides]].mean(axis=1).to_numpy(np.float64, na_value=math.nan)
        )
    return np.stack(columns, axis=1)


def add_emotions(means: GroupMeans, timeline: pd.DataFrame, end: float | None, smooth: float) -> None:
    """Add an item's faces to the groups of the emotions that they show, which are the most probable ones.

    A face of a video is a member of an emotion's group if it showed it for at least half a second, with its mean over
    that time; the faces of a person are one. Each face of a photo is a member of one group. Faces that were not
    classified, or whose mesh is unreliable, are left out.

    Args:
        means: The groups, named after the emotions.
        timeline: The item's timeline with the columns of measures, not smoothed.
        end: When a video ends, in seconds; None for photos.
        smooth: Width of the averaging window of the probabilities in seconds.
    """
    lengths = shown(timeline, end)
    table = with_first(smoothed_timeline(timeline, smooth), people_of(timeline))
    sure = table["judged"].to_numpy(bool) & (table["presence"] >= PRESENT).to_numpy(bool, na_value=False)
    table = table[sure]
    values, weight = movements(table), lengths["weight"].loc[table["frame"]].to_numpy(np.float64)
    timed = bool(lengths["timed"].all())
    for emotion, rows in table.reset_index(drop=True).groupby("emotion").indices.items():
        if not timed:
            means.add(str(emotion), values[rows])
            continue
        faces = table["face_id"].iloc[rows].to_numpy()
        for face_id in np.unique(faces):
            mine = rows[faces == face_id]
            if weight[mine].sum() >= _LEAST:
                means.add(str(emotion), np.average(values[mine], axis=0, weights=weight[mine])[None])


def condition_means(participants: pd.DataFrame, factors: Sequence[str]) -> Means | None:
    """The mean movements of conditions, of which each participant is one member; None if nothing was measured.

    Conditions are the levels of the factor condition, or without one the combinations of all factors. A participant in
    several rows of a condition has their mean, weighted by time as in conditions.csv.

    Args:
        participants: participants.csv.
        factors: The factors among its columns.
    """
    means, suffix = GroupMeans(), "_mean"
    own = ["condition"] if "condition" in factors else list(factors)
    if f"{BLENDSHAPES[1]}{suffix}" not in participants or not own:
        return None
    values = movements(participants, suffix)
    known = np.isfinite(values).all(axis=1)
    table, values = participants[known].reset_index(drop=True), values[known]
    weights = table["seconds"].to_numpy(np.float64, na_value=math.nan)
    keys = table[[*own, "participant"]].fillna("").astype(str)
    for (*levels, _), rows in keys.groupby([*own, "participant"], sort=False).indices.items():
        mine = weights[rows] if (weights[rows] > 0).all() else None  # photos have no time
        means.add(combination(levels), np.average(values[rows], axis=0, weights=mine)[None])
    found = means.means()
    return found if found.groups else None
