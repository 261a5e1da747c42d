"""A timeline in a few rows: how long each face was seen, and what it showed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fermedia.columns import SUMMARY_COLUMNS
from fermedia.options import AnalyzeOptions
from fermedia.outputs.tables import by_item, complete, shown
from fermedia.outputs.timeline import steady_timeline
from fermedia.types import EMOTIONS

if TYPE_CHECKING:
    import pandas as pd

_MEANS = [f"{emotion}_mean" for emotion in EMOTIONS]
_SHARES = [f"{emotion}_share" for emotion in EMOTIONS]

#: ``face_id`` of the row that stands for all faces of an item.
ALL_FACES = "all"


def summary(timeline: pd.DataFrame, *, end: float | None = None, smooth: float = AnalyzeOptions.smooth) -> pd.DataFrame:
    """The rows of summary.csv for a timeline of any origin (``outputs.tables.complete``), of one item or several.

    ``item`` is the timeline's own column, else the ``source`` of a film; pictures are then one item, "pictures". Where
    the timeline has a ``run``, that comes first. The rest as in ``summarize``. Raises DataError if it is no timeline,
    UsageError if an ``end`` is given for several items.
    """
    import pandas as pd

    names = [name for name in ("run",) if name in timeline] + list(SUMMARY_COLUMNS)
    tables = [
        summarize(rows, str(about["item"]), end, smooth).assign(**about)
        for about, rows in by_item(complete(timeline), end)
    ]
    return pd.concat(tables, ignore_index=True)[names] if tables else pd.DataFrame(columns=names)


def read_summary(path: Path) -> pd.DataFrame:
    """summary.csv as a table: names as text, ``face_id`` too. Raises OSError."""
    import pandas as pd

    texts = dict.fromkeys(("item", "face_id", "emotion"), "str")
    return pd.read_csv(path, dtype=texts, keep_default_na=False, na_values=[""], encoding="utf-8")


def summarize(timeline: pd.DataFrame, item: str, end: float | None = None, smooth: float = 0.0) -> pd.DataFrame:
    """A row per face in the order of their ids, then one for all faces (``face_id`` "all"); ``SUMMARY_COLUMNS``.

    ``timeline`` is one item's (``outputs.timeline.read_timeline``). Each analysed frame counts for as long as it was
    shown: until the next analysed one; the last until ``end`` (seconds), or, if that is not given, for the median of
    the others. Pictures, and a film of one analysed frame without an ``end``, count 1 each and have no seconds. For
    pictures ``face_id`` is a rank within the picture (0 the largest face), not a person.

    ``columns.SUMMARY`` says what each column is. ``<emotion>_share`` goes by the most probable emotion after averaging
    over ``smooth`` seconds (``vision.smooth``), as in the annotated film; 0 takes the raw values. ``emotion`` is the
    one with the largest mean: it uses all of the probabilities, so that a face that is mostly undecided between two
    emotions is not named after the one that wins by a hair.

    In the row for all faces, means and shares count each face's time on its own: with two faces in view, a second
    counts twice, once for each. An item without a face has that row alone, with ``coverage`` 0 and no emotions; a face
    that was never judged has no emotions either. Numbers are rounded to six decimals.
    """
    import pandas as pd

    frames = shown(timeline, end)
    faces = timeline[timeline["success"].astype(bool)]
    shows = pd.Categorical(steady_timeline(faces, smooth)["emotion"], categories=list(EMOTIONS)).codes
    by_face = faces.groupby("face_id")
    people, everybody = by_face.ngroup().to_numpy(np.intp), np.zeros(len(faces), np.intp)
    rows = [_rows([str(name) for name in by_face.groups], people, faces, shows, frames)]
    rows.append(_rows([ALL_FACES], everybody, faces, shows, frames))
    table = pd.concat([part for part in rows if len(part)], ignore_index=True)
    return table.assign(item=item)[list(SUMMARY_COLUMNS)]


def _rows(
    names: list[str], owner: NDArray[np.intp], faces: pd.DataFrame, shows: NDArray[np.int8], frames: pd.DataFrame
) -> pd.DataFrame:
    """A row for each of ``names``. ``owner`` says by number whose each of ``faces`` is, ``shows`` its emotion's."""
    import pandas as pd

    def total(values: NDArray[np.float64], of: NDArray[np.intp] = owner) -> NDArray[np.float64]:
        return np.bincount(of, values, minlength=len(names)).astype(np.float64, copy=False)

    places = frames.index.get_indexer(faces["frame"])
    whose, seen = np.divmod(np.unique(owner * len(frames) + places), max(1, len(frames)))  # each frame once a face
    durations, times = frames["weight"].to_numpy(float), frames["timestamp"].to_numpy(float)
    first, last = np.full((2, len(names)), np.nan)
    np.fmin.at(first, whose, times[seen])
    np.fmax.at(last, whose, times[seen])
    part, whole = total(durations[seen], whose), durations.sum()
    timed = bool(frames["timed"].all()) and len(frames) > 0
    judged = faces["judged"].to_numpy(bool)
    weight, mine = durations[places], owner[judged]
    counts = _counting(weight, owner, len(names))
    with np.errstate(invalid="ignore"):  # who was never judged has no emotions
        share_judged = total(counts[judged], mine) / total(counts)
        counts = _counting(weight[judged], mine, len(names))
        each = total(counts, mine)  # above 0 for whoever was judged at all
        p, shown_now = faces[list(EMOTIONS)].to_numpy(float)[judged], shows[judged]
        means = [total(counts * p[:, e], mine) / each for e in range(len(EMOTIONS))]
        shares = [total(counts * (shown_now == e), mine) / each for e in range(len(EMOTIONS))]
    best = np.argmax(np.nan_to_num(means), axis=0)
    return pd.DataFrame(
        {
            "face_id": names,
            "frames": len(frames),
            "frames_with_face": np.bincount(whose, minlength=len(names)),
            "coverage": [round(float(x), 6) for x in part / whole] if whole else 0.0,
            "first": first,
            "last": last,
            "seconds": [round(float(x), 6) for x in part] if timed else np.nan,
            "judged": [round(float(x), 6) for x in share_judged],
            "emotion": [EMOTIONS[b] if known else None for b, known in zip(best, each > 0, strict=True)],
        }
        | {name: values.round(6) for name, values in zip([*_MEANS, *_SHARES], [*means, *shares], strict=True)}
    )


def _counting(weight: NDArray[np.float64], owner: NDArray[np.intp], count: int) -> NDArray[np.float64]:
    """How much each face counts: for as long as it was shown, or all of an owner's alike where no time is known."""
    return np.where(np.bincount(owner, weight, minlength=count)[owner] > 0, weight, 1.0)
