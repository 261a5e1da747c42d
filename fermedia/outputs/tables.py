"""Timelines as tables, ours or anybody's: what they must have, what follows from it, and how long a frame was shown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from fermedia.errors import DataError, UsageError
from fermedia.types import EMOTIONS, valence

if TYPE_CHECKING:
    import pandas as pd

#: The columns without which a table is no timeline; the others follow from them or are not needed.
NEEDED = ("frame", "timestamp", "face_id", *EMOTIONS)

#: What pictures are called where nothing says which item they are of.
PICTURES = "pictures"


def complete(timeline: pd.DataFrame) -> pd.DataFrame:
    """A timeline of any origin, with the columns that ours have and their types; the table given stays as it is.

    It needs the columns ``NEEDED``: a row per face per frame, ``timestamp`` in seconds (empty for pictures),
    probabilities 0..1 (empty where there is no judgement), ``face_id`` a number or a name (empty where there is no
    face). What is missing of the others is derived: ``success`` where there is a ``face_id``, ``judged`` where there
    are probabilities, ``emotion`` the most probable one, ``valence`` as ``types.valence``, ``source`` empty. Rows come
    in the order of their frames within each item.

    Raises DataError, which names the columns that are missing or wrong.
    """
    if missing := [name for name in NEEDED if name not in timeline.columns]:
        raise DataError(f"not a timeline: it has no column {', '.join(missing)}")
    table = timeline.reset_index(drop=True)
    table = table.assign(**{name: _numbers(table, name) for name in ("frame", "timestamp", *EMOTIONS)})
    if table["frame"].isna().any():
        raise DataError("not a timeline: frame is empty in some rows")
    p = table[list(EMOTIONS)].to_numpy(np.float64)
    if ((p < -1e-6) | (p > 1 + 1e-6)).any():
        raise DataError(f"the probabilities ({', '.join(EMOTIONS)}) must lie between 0 and 1")
    if _is_number(table["face_id"]):
        table["face_id"] = table["face_id"].astype("Int64")
    seen = table["face_id"].notna()
    table["success"] = table["success"].astype(bool) & seen if "success" in table else seen
    readable = table["success"] & ~np.isnan(p).any(axis=1)
    table["judged"] = table["judged"].astype(bool) & readable if "judged" in table else readable
    derived: dict[str, Any] = {
        "emotion": np.where(readable, np.array(EMOTIONS, object)[np.nan_to_num(p, nan=-1).argmax(axis=1)], None),
        "valence": np.where(readable, valence(p), np.nan),
        "source": "",
    }
    table = table.assign(**{name: values for name, values in derived.items() if name not in table})
    order = [*_item_columns(table), "frame"]
    return table.sort_values(order, kind="stable", ignore_index=True) if _is_unsorted(table) else table


def by_item(timeline: pd.DataFrame, end: float | None = None) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """The items of a complete timeline, each with its ``item``, and its ``run`` where the timeline has that column.

    Where it has no ``item``, that is the ``source`` of a film, and pictures are all one. Raises UsageError if an
    ``end`` is given for several items, each of which has its own.
    """
    table = timeline
    if "item" not in table:
        table = table.assign(item=table["source"].where(table["timestamp"].notna(), PICTURES))
    names = [name for name in ("run", "item") if name in table]
    items = list(table.groupby(names, sort=False, dropna=False))
    if end is not None and len(items) > 1:
        raise UsageError(f"an end can be given for one item, and the timeline holds {len(items)}")
    for values, rows in items:
        yield dict(zip(names, values, strict=True)), rows


def shown(timeline: pd.DataFrame, end: float | None) -> pd.DataFrame:
    """A row per analysed frame of an item, by ``frame``: its ``timestamp``, ``weight``, and whether that is seconds.

    Each frame counts for as long as it was shown: until the next analysed one; the last until ``end`` (seconds), or
    for the median of the others if that is not given. Pictures, and a film of one frame without an ``end``, count 1
    each and are not ``timed``.
    """
    frames = timeline.drop_duplicates("frame").set_index("frame")[["timestamp"]]
    lengths = -frames["timestamp"].diff(-1)
    if len(frames):
        last = lengths.dropna().median() if end is None else end - frames["timestamp"].iloc[-1]
        lengths.iloc[-1] = last
    lengths = lengths.clip(lower=0)
    timed = bool(lengths.notna().all()) and lengths.sum() > 0
    return frames.assign(weight=lengths if timed else 1.0, timed=timed)


def _item_columns(table: pd.DataFrame) -> list[str]:
    """What parts the items of a table whose rows may come in any order."""
    return [name for name in ("run", "item") if name in table] or ["source"]


def _is_number(column: pd.Series) -> bool:
    import pandas as pd

    if pd.api.types.is_bool_dtype(column) or not pd.api.types.is_numeric_dtype(column):
        return column.isna().all()
    return bool((column.dropna() % 1 == 0).all())


def _numbers(table: pd.DataFrame, name: str) -> pd.Series:
    try:
        return table[name].astype("float64" if name != "frame" or table[name].isna().any() else "int64")
    except (ValueError, TypeError) as error:
        raise DataError(f"not a timeline: {name} holds what is no number ({error})") from error


def _is_unsorted(table: pd.DataFrame) -> bool:
    """Whether a frame comes after a later one of its item."""
    return bool((table.groupby(_item_columns(table), sort=False, dropna=False)["frame"].diff() < 0).any())
