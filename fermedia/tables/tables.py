"""Timelines as tables, also from other programs: required columns, derived columns, and durations of frames."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fermedia.columns import Table
from fermedia.errors import DataError, UsageError
from fermedia.files import regular
from fermedia.types import EMOTIONS, valence

if TYPE_CHECKING:
    import pandas as pd

#: The required columns of a timeline; the others are derived from them or not needed.
NEEDED = ("frame", "timestamp", "face_id", *EMOTIONS)

#: The item of photos in a timeline without a column for items.
IMAGES = "pictures"


def complete(timeline: pd.DataFrame) -> pd.DataFrame:
    """Complete a timeline of any origin with the columns and types of fermedia's own.

    Args:
        timeline: A table with a row per face per frame and the columns ``NEEDED``: ``timestamp`` in seconds (empty for
            photos), probabilities 0..1 (empty if not classified), ``face_id`` a number or a name (empty where there is
            no face). It is not changed.

    Returns:
        A copy in which missing columns are derived: ``success`` where there is a ``face_id``, ``judged`` where there
        are probabilities, ``emotion`` the most probable one, ``valence`` as ``types.valence``, ``source`` empty. Rows
        are ordered by frame within each item.

    Raises:
        DataError: Columns are missing or wrong; the message names them.
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
    """Split a complete timeline into its items.

    Without a column ``item``, videos are distinguished by ``source``, and all photos are one item.

    Yields:
        The item's ``item`` (and ``run``, if the timeline has it), and its rows.

    Raises:
        UsageError: ``end`` is given, but there are several items.
    """
    table = timeline
    if "item" not in table:
        table = table.assign(item=table["source"].where(table["timestamp"].notna(), IMAGES))
    names = [name for name in ("run", "item") if name in table]
    items = list(table.groupby(names, sort=False, dropna=False))
    if end is not None and len(items) > 1:
        raise UsageError(f"an end can be given for one item, and the timeline has {len(items)}")
    for values, rows in items:
        yield dict(zip(names, values, strict=True)), rows


def shown(timeline: pd.DataFrame, end: float | None) -> pd.DataFrame:
    """Compute how long each analysed frame of an item was shown.

    A frame is shown until the next analysed one; the last until ``end`` (seconds), or for the median of the others if
    ``end`` is None. Photos, and a video of one frame without an ``end``, count 1 each and are not ``timed``.

    Returns:
        A row per analysed frame, indexed by ``frame``: ``timestamp``, ``weight``, and ``timed``, which is whether
        weights are seconds.
    """
    frames = timeline.drop_duplicates("frame").set_index("frame")[["timestamp"]]
    lengths = -frames["timestamp"].diff(-1)
    if len(frames):
        last = lengths.dropna().median() if end is None else end - frames["timestamp"].iloc[-1]
        lengths.iloc[-1] = last
    lengths = lengths.clip(lower=0)
    timed = bool(lengths.notna().all()) and lengths.sum() > 0
    return frames.assign(weight=lengths if timed else 1.0, timed=timed)


def read_csv(path: Path, table: Table) -> pd.DataFrame:
    """Read a table of a folder of results.

    Columns that ``table`` does not know, such as factors, are text, and so is ``face_id``, which 0.1.0 also had as
    "all". Only empty fields are missing values, since "NA" may be a name.

    Raises:
        OSError: It cannot be read, or is no regular file.
        ValueError: It is not a table.
    """
    import pandas as pd

    numbers = {column.name for column in table.columns if column.type != "text"} - {"face_id"}
    with regular(path).open(newline="", encoding="utf-8") as file:
        header = next(csv.reader(file), [])
    texts = dict.fromkeys((name for name in header if name not in numbers), "str")
    return pd.read_csv(path, dtype=texts, keep_default_na=False, na_values=[""], encoding="utf-8")


def _item_columns(table: pd.DataFrame) -> list[str]:
    """The columns that distinguish the items of a table."""
    return [name for name in ("run", "item") if name in table] or ["source"]


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table as dictionaries, with None for missing values."""
    import pandas as pd

    # Column by column: what pandas does to a whole table takes ten times as long where it has hundreds of columns.
    columns = [
        [None if value is pd.NA or value != value else value for value in table[name].tolist()] for name in table
    ]
    return [dict(zip(table.columns, row, strict=True)) for row in zip(*columns, strict=True)]


def _is_number(column: pd.Series) -> bool:
    import pandas as pd

    if pd.api.types.is_bool_dtype(column) or not pd.api.types.is_numeric_dtype(column):
        return column.isna().all()
    return bool((column.dropna() % 1 == 0).all())


def _numbers(table: pd.DataFrame, name: str) -> pd.Series:
    try:
        return table[name].astype("float64" if name != "frame" or table[name].isna().any() else "int64")
    except (ValueError, TypeError) as error:
        raise DataError(f"not a timeline: {name} contains a value that is not a number ({error})") from error


def _is_unsorted(table: pd.DataFrame) -> bool:
    """Whether the frames of an item are not in order."""
    return bool((table.groupby(_item_columns(table), sort=False, dropna=False)["frame"].diff() < 0).any())
