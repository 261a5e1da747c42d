"""A timeline in a few rows: how long each face was seen, and what it showed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

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
    faces = faces.assign(
        weight=frames["weight"].reindex(faces["frame"]).to_numpy(),
        shows=steady_timeline(faces, smooth)["emotion"],
    )
    rows = [_row(face, str(face_id), frames) for face_id, face in faces.groupby("face_id")]
    table = pd.DataFrame([*rows, _row(faces, ALL_FACES, frames)])
    return table.assign(item=item)[list(SUMMARY_COLUMNS)]


def _row(faces: pd.DataFrame, face_id: str, frames: pd.DataFrame) -> dict[str, object]:
    seen = frames.loc[faces["frame"].unique()]
    whole, part = frames["weight"].sum(), seen["weight"].sum()
    timed = bool(frames["timed"].all()) and len(frames) > 0
    row: dict[str, object] = {
        "face_id": face_id,
        "frames": len(frames),
        "frames_with_face": len(seen),
        "coverage": round(part / whole, 6) if whole else 0.0,
        "first": seen["timestamp"].min(),
        "last": seen["timestamp"].max(),
        "seconds": round(part, 6) if timed else float("nan"),
    }
    judged, weight = faces[faces["judged"]], _weight(faces)
    row["judged"] = round(weight[judged.index].sum() / weight.sum(), 6) if len(faces) else float("nan")
    if judged.empty:
        return row | {"emotion": None} | dict.fromkeys([*_MEANS, *_SHARES], float("nan"))
    weight = _weight(judged)
    means = judged[list(EMOTIONS)].mul(weight, axis=0).sum() / weight.sum()
    shares = weight.groupby(judged["shows"]).sum().reindex(EMOTIONS, fill_value=0.0) / weight.sum()
    row |= {"emotion": str(means.idxmax())}
    row |= dict(zip(_MEANS, means.round(6).tolist(), strict=True))
    return row | dict(zip(_SHARES, shares.round(6).tolist(), strict=True))


def _weight(faces: pd.DataFrame) -> pd.Series:
    """How much each row counts: for as long as it was shown, or all alike where none was shown for any time."""
    weight = faces["weight"]
    return weight if weight.sum() > 0 else weight * 0 + 1.0
