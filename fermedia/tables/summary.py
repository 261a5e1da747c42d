"""Summary of a timeline: how long each face was seen, and means and shares of its emotions and measures."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fermedia.columns import FACE, ITEM, MEASURED, SUMMARY, SUMMARY_COLUMNS
from fermedia.options import AnalyzeOptions
from fermedia.tables.blinks import blink_table
from fermedia.tables.people import people_of, with_first, with_names
from fermedia.tables.tables import by_item, complete, read_csv, shown
from fermedia.tables.timeline import smoothed_timeline
from fermedia.types import EMOTIONS, GOOD, PRESENT, REASONS

if TYPE_CHECKING:
    import pandas as pd

_MEANS = [f"{emotion}_mean" for emotion in EMOTIONS]
_SHARES = [f"{emotion}_share" for emotion in EMOTIONS]

#: ``face_id`` of an item as a whole in tables of version 0.1.0.
_FORMER_ALL = "all"

#: Minimum probability that counts as speaking.
SPEAKS = 0.5


def summary(timeline: pd.DataFrame, *, end: float | None = None, smooth: float = AnalyzeOptions.smooth) -> pd.DataFrame:
    """Summarize a timeline: shares and means of each face, and of all faces of an item.

    Args:
        timeline: An unsmoothed timeline, also from other programs, of one or several items. Items are distinguished by
            the column ``item``, or else by the ``source`` of a video; photos are then one item, "pictures".
        end: End of the video in seconds; if None, the last frame counts for as long as the median of the others.
        smooth: Width of the averaging window in seconds, 0 for none.

    Returns:
        A row per face (``level`` "face"), then one for all (``level`` "item", no ``face_id``), with the columns of
        ``summary.csv`` (docs/columns.md), after ``run`` where the timeline has it.

    Raises:
        DataError: The table is not a timeline.
        UsageError: ``end`` is given for several items.
    """
    import pandas as pd

    names = [name for name in ("run",) if name in timeline] + list(SUMMARY_COLUMNS)
    tables = [
        summarize(rows, str(about["item"]), end, smooth).assign(**about)
        for about, rows in by_item(complete(timeline), end)
    ]
    return pd.concat(tables, ignore_index=True)[names] if tables else pd.DataFrame(columns=names)


def read_summary(path: Path) -> pd.DataFrame:
    """Read summary.csv, also of version 0.1.0, where ``face_id`` of an item as a whole was "all".

    Raises:
        OSError: It cannot be read.
        ValueError: It is not a table, or not a summary.
    """
    table = read_csv(path, SUMMARY)
    if missing := set(SUMMARY.first_names) - set(table.columns):
        raise ValueError(f"not a summary of fermedia; it has no column {', '.join(sorted(missing))}")
    if "level" not in table:
        whole = table["face_id"] == _FORMER_ALL
        table = table.assign(level=np.where(whole, ITEM, FACE), face_id=table["face_id"].mask(whole))
    return table.astype({"face_id": "float64"}).astype({"face_id": "Int64"})


def summarize(timeline: pd.DataFrame, item: str, end: float | None = None, smooth: float = 0.0) -> pd.DataFrame:
    """Summarize one item.

    Each analysed frame counts for as long as it was shown: until the next analysed one; the last until ``end``, or, if
    that is None, for the median of the others. Photos, and a video of one analysed frame without an ``end``, count 1
    each and have no seconds. For photos ``face_id`` is a rank within the photo (0 the largest face), not a person.

    ``columns.SUMMARY`` describes the columns. ``<emotion>_share`` uses the most probable emotion after smoothing
    (``tables.smooth``), as in the annotated video. ``emotion`` is the one with the largest mean: this uses all
    probabilities, so a face that is mostly undecided between two emotions is not named after the one that is slightly
    more frequent. If the timeline has the columns of measures (``columns.MEASURED``), so has the summary, each over the
    time in which it is known.

    In the row for all faces, the times of the faces are added: with two faces in view, a second counts twice. An item
    without a face has that row only, with ``coverage`` 0 and no emotions; a face that was never classified has no
    emotions either. Numbers are rounded to six decimals.

    Args:
        timeline: The timeline of one item (``tables.timeline.read_timeline``).
        item: The item's name.
        end: End of the video in seconds.
        smooth: Width of the averaging window in seconds, 0 for none.

    Returns:
        A row per face, ordered by ID, then one of the item for all faces, with ``SUMMARY_COLUMNS``.
    """
    return Observed.of(timeline, end, smooth).summary().assign(item=item)[list(SUMMARY_COLUMNS)]


@dataclass(frozen=True)
class Observed:
    """The faces of an item, prepared for summaries of the whole item and of parts of it.

    Attributes:
        frames: For how long each analysed frame was shown (``tables.tables.shown``).
        faces: The rows of the timeline with a face.
        places: The number of each of these rows' frames in ``frames`` (n,).
        people: The number of each of these rows' faces in ``names`` (n,).
        shows: The number of each of these rows' smoothed emotions (n,), -1 if not classified.
        ids: The ``face_id`` of each face, in the order of the summary.
        blinks: The blinks of all faces; None if nothing was measured.
        persons: The names of faces (``--people``) by their ``face_id``.
    """

    frames: pd.DataFrame
    faces: pd.DataFrame
    places: NDArray[np.intp]
    people: NDArray[np.intp]
    shows: NDArray[np.int8]
    ids: list[Any]
    blinks: pd.DataFrame | None
    persons: dict[Any, str]

    @classmethod
    def of(
        cls,
        timeline: pd.DataFrame,
        end: float | None,
        smooth: float,
        by_person: bool = False,
        units: Mapping[str, Hashable] | None = None,
    ) -> Observed:
        """Prepare the timeline of one item; arguments as for ``summarize``.

        With ``by_person``, the faces of a person are taken together, with the ``face_id`` of the first of them; those
        that ``units`` has different values for, by their ``face_id`` as text, stay apart.
        """
        import pandas as pd

        frames = shown(timeline, end)
        faces = timeline[timeline["success"].astype(bool)]
        shows = pd.Categorical(smoothed_timeline(faces, smooth)["emotion"], categories=list(EMOTIONS)).codes
        blinks, persons = blink_table(faces) if "presence" in faces else None, people_of(faces)
        if by_person and persons:
            groups = {face_id: (name, (units or {}).get(str(face_id))) for face_id, name in persons.items()}
            faces = with_first(faces, groups)
            blinks = None if blinks is None else with_first(blinks, groups)
        by_face = faces.groupby("face_id")
        people, places = by_face.ngroup().to_numpy(np.intp), frames.index.get_indexer(faces["frame"])
        return cls(frames, faces, places, people, shows, list(by_face.groups), blinks, persons)

    @property
    def names(self) -> list[str]:
        """The ``face_id`` of each face as text, in the order of the summary."""
        return [str(name) for name in self.ids]

    def overlap(self, begin: float, end: float) -> NDArray[np.float64]:
        """For how many seconds between ``begin`` and ``end`` (seconds) each frame was shown (frames,)."""
        if not self.frames["timed"].all():
            return np.zeros(len(self.frames))
        times, lengths = self.frames["timestamp"].to_numpy(float), self.frames["weight"].to_numpy(float)
        return np.maximum(np.minimum(times + lengths, end) - np.maximum(times, begin), 0.0)

    def summary(self, begin: float | None = None, end: float | None = None) -> pd.DataFrame:
        """The rows of ``summarize`` without ``item``.

        Args:
            begin: Begin of the part to summarize, in seconds; all of the item if None. A frame counts for the time for
                which it was shown within it, and a blink if it begins within it.
            end: End of the part.
        """
        import pandas as pd

        frames, faces, people, shows, blinks = self.frames, self.faces, self.people, self.shows, self.blinks
        if begin is not None and end is not None:
            weight = self.overlap(begin, end)
            inside = weight[self.places] > 0
            frames = frames.assign(weight=weight)[weight > 0]
            faces, people, shows = faces[inside], people[inside], shows[inside]
            blinks = None if blinks is None else blinks[(blinks["begin"] >= begin) & (blinks["begin"] < end)]
        everybody = np.zeros(len(faces), np.intp)
        each = _rows(self.ids, people, faces, shows, frames, blinks).assign(level=FACE)
        whole = _rows([None], everybody, faces, shows, frames, blinks).assign(level=ITEM)
        table = pd.concat([part for part in (each, whole) if len(part)], ignore_index=True)
        table = with_names(table, self.persons)
        if pd.api.types.is_integer_dtype(self.faces["face_id"]):  # other programs may have names
            table["face_id"] = table["face_id"].astype("Int64")
        return table


def _rows(
    names: list[Any],
    owner: NDArray[np.intp],
    faces: pd.DataFrame,
    shows: NDArray[np.int8],
    frames: pd.DataFrame,
    blinks: pd.DataFrame | None,
) -> pd.DataFrame:
    """A row for each of ``names``.

    For each row of ``faces``, ``owner`` is the index in ``names``, and ``shows`` that of the smoothed emotion.
    """
    import pandas as pd

    def total(values: NDArray[np.float64], of: NDArray[np.intp] = owner) -> NDArray[np.float64]:
        return np.bincount(of, values, minlength=len(names)).astype(np.float64, copy=False)

    places = frames.index.get_indexer(faces["frame"])
    whose, seen = np.divmod(np.unique(owner * len(frames) + places), max(1, len(frames)))  # each frame once per face
    durations, times = frames["weight"].to_numpy(float), frames["timestamp"].to_numpy(float)
    first, last = np.full((2, len(names)), np.nan)
    np.fmin.at(first, whose, times[seen])
    np.fmax.at(last, whose, times[seen])
    part, whole = total(durations[seen], whose), durations.sum()
    timed = bool(frames["timed"].all()) and len(frames) > 0
    classified = faces["judged"].to_numpy(bool)
    mean = _Means(durations[places], owner, len(names))
    read = mean.of(classified)
    p = faces[list(EMOTIONS)].to_numpy(float)
    pleasant = faces["valence"].to_numpy(np.float64, na_value=np.nan)
    means = [mean.of(p[:, e], classified) for e in range(len(EMOTIONS))]  # NaN for faces never classified
    shares = [mean.of(shows == e, classified) for e in range(len(EMOTIONS))]
    best = np.argmax(np.nan_to_num(means), axis=0)
    found: dict[str, Any] = (
        {
            "face_id": np.array(names, object),
            "frames": len(frames),
            "frames_with_face": np.bincount(whose, minlength=len(names)),
            "coverage": [round(float(x), 6) for x in part / whole] if whole else 0.0,
            "first": first,
            "last": last,
            "seconds": [round(float(x), 6) for x in part] if timed else np.nan,
            "judged": read.round(6),
            "emotion": [EMOTIONS[b] if known else None for b, known in zip(best, read > 0, strict=True)],
            "valence_mean": mean.of(pleasant, classified & np.isfinite(pleasant)).round(6),
        }
        | {name: values.round(6) for name, values in zip([*_MEANS, *_SHARES], [*means, *shares], strict=True)}
        | {name: values.round(6) for name, values in _qualities(faces, mean)}
        | {name: values.round(6) for name, values in _measures(faces, shows, mean, timed, blinks)}
    )
    # With the columns of unknown values; pandas warns of tables that are made column by column.
    found["blinks"] = pd.array(found.get("blinks", np.full(len(names), np.nan)), dtype="Int64")
    columns = [name for name in SUMMARY_COLUMNS if name not in ("item", "level")]
    return pd.DataFrame({name: found.get(name, np.nan) for name in columns}, index=range(len(names)))


@dataclass(frozen=True)
class _Means:
    """Weighted means of face values per owner.

    Attributes:
        weight: For how long each face was shown (n,); if all of an owner's weights are 0, they count equally.
        owner: Index of each face's owner (n,).
        count: Number of owners.
    """

    weight: NDArray[np.float64]
    owner: NDArray[np.intp]
    count: int

    def of(self, values: NDArray[Any], among: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
        """The means (count,) of ``values`` (n,) over the faces selected by ``among``; NaN for owners without any."""
        chosen = np.ones(len(self.owner), bool) if among is None else among
        mine, weight, found = self.owner[chosen], self.weight[chosen], np.asarray(values, np.float64)[chosen]
        weight = np.where(self._total(weight, mine)[mine] > 0, weight, 1.0)
        with np.errstate(invalid="ignore"):
            return self._total(weight * found, mine) / self._total(weight, mine)

    def seconds(self, among: NDArray[np.bool_]) -> NDArray[np.float64]:
        """The total time (count,) of the faces selected by ``among``."""
        return self._total(self.weight[among], self.owner[among])

    def _total(self, values: NDArray[np.float64], owner: NDArray[np.intp]) -> NDArray[np.float64]:
        return np.bincount(owner, values, minlength=self.count).astype(np.float64, copy=False)


def _qualities(faces: pd.DataFrame, mean: _Means) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Shares of the time in which the quality was good, or had each problem."""
    if "quality" not in faces or faces["quality"].isna().all():  # of an older version, or another program
        return
    known = faces["quality"].notna().to_numpy(bool)
    kinds, places = np.unique(faces["quality"].fillna("").to_numpy(str), return_inverse=True)
    for name in (GOOD, *REASONS):
        has = np.array([name in kind.split() for kind in kinds.tolist()], bool)
        yield f"{name}_share", mean.of(has[places], known)


def _measures(
    faces: pd.DataFrame, shows: NDArray[np.int8], mean: _Means, timed: bool, blinks: pd.DataFrame | None
) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Means, shares and rates of measures, where there are any."""
    if "presence" not in faces:
        return
    present = (faces["presence"] >= PRESENT).to_numpy(bool, na_value=False)
    yield "measured", mean.of(present)
    for name in MEASURED:
        values = faces[name].to_numpy(np.float64, na_value=np.nan)
        known = present & np.isfinite(values)
        if name == "looks_at_camera":
            yield "looks_at_camera_share", mean.of(values, known)
        elif name == "speaking":
            yield "speaking_share", mean.of(values >= SPEAKS, known)
            silent = known & (values < SPEAKS) & faces["judged"].to_numpy(bool)
            for number, emotion in enumerate(EMOTIONS):
                yield f"{emotion}_share_silent", mean.of(shows == number, silent)
        elif name != "presence":
            yield f"{name}_mean", mean.of(values, known)
    if timed and blinks is not None:
        owners = dict(zip(faces["face_id"].tolist(), mean.owner.tolist(), strict=True))
        whose = [owners[face_id] for face_id in blinks["face_id"].tolist() if face_id in owners]
        counts = np.bincount(np.array(whose, np.intp), minlength=mean.count).astype(np.float64)
        seconds = mean.seconds(present)
        yield "blinks", np.where(seconds > 0, counts, np.nan)
        yield "blinks_per_minute", 60 * counts / np.where(seconds > 0, seconds, np.nan)
