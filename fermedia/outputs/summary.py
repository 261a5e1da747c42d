"""A timeline in a few rows: how long each face was seen, and what it showed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fermedia.outputs.tables import shown
from fermedia.outputs.timeline import steady_timeline
from fermedia.types import EMOTIONS

if TYPE_CHECKING:
    import pandas as pd

_MEANS = [f"{emotion}_mean" for emotion in EMOTIONS]
_SHARES = [f"{emotion}_share" for emotion in EMOTIONS]

#: The columns of summary.csv, in order. See ``summarize``.
SUMMARY_COLUMNS = (
    "item",
    "face_id",
    "frames",
    "frames_with_face",
    "coverage",
    "first",
    "last",
    "seconds",
    "judged",
    "emotion",
    *_MEANS,
    *_SHARES,
)

#: ``face_id`` of the row that stands for all faces of an item.
ALL_FACES = "all"


def summarize(timeline: pd.DataFrame, item: str, end: float | None = None, smooth: float = 0.0) -> pd.DataFrame:
    """A row per face in the order of their ids, then one for all faces (``face_id`` "all"); ``SUMMARY_COLUMNS``.

    ``timeline`` is one item's (``outputs.timeline.read_timeline``). Each analysed frame counts for as long as it was
    shown: until the next analysed one; the last until ``end`` (seconds), or, if that is not given, for the median of
    the others. Pictures, and a film of one analysed frame without an ``end``, count 1 each and have no seconds. For
    pictures ``face_id`` is a rank within the picture (0 the largest face), not a person.

    - ``item``: as given. ``face_id``: the id as text, or "all".
    - ``frames``: analysed frames of the item. ``frames_with_face``: those in which this face (all: any face) was seen.
    - ``coverage``: share of the analysed time, 0..1, in which this face (all: any face) was seen.
    - ``first``, ``last``: times of the first and the last frame with it, seconds; empty for pictures.
    - ``seconds``: the time for which it was seen, ``coverage`` in seconds; empty for pictures.
    - ``judged``: share of the face's time, 0..1, in which it was large enough to be judged; empty if never seen.
    - ``<emotion>_mean``: mean probability over the judged time, 0..1; they sum to 1.
    - ``<emotion>_share``: share of the judged time, 0..1, in which this emotion was the most probable after averaging
      over ``smooth`` seconds (``vision.smooth``), as in the annotated film; they sum to 1. 0 takes the raw values.
    - ``emotion``: the one with the largest mean. It uses all of the probabilities, so that a face that is
      mostly undecided between two emotions is not named after the one that wins by a hair.

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
