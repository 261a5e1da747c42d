"""Blinks: short closings of the eyes, detected in the opening of the eyes over time.

The opening of open eyes differs between persons and head poses, so each moment is compared with the seconds around it.
Pure functions of one face's time series; frames without that face hold NaN or are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fermedia.columns import BLINK_COLUMNS
from fermedia.tables.people import people_of, with_names
from fermedia.types import PRESENT

if TYPE_CHECKING:
    import pandas as pd

#: The open level is the 0.75 quantile of a window of this many seconds around each moment. Blinks take about 5 % of the
#: time, so the quantile is that of open eyes, even next to a second or two of closed eyes.
_AROUND, _QUANTILE = 4.0, 0.75

#: Minimum opening of open eyes: closed eyes fluctuate below it (0.03 to 0.12 on our test videos, where open ones have
#: 0.17 to 0.38).
_OPEN = 0.15

#: A blink begins and ends where the eyes pass the first share of the open level, and has at least one frame below the
#: second. On our test videos, open eyes stay above 0.82 for 99 % of the time; of seven real blinks at 24 and 30
#: frames per second the shallowest, whose deepest moment is in no frame, has 0.54. Lids drawn down in a portrait have
#: 0.83 at a half, 0.58 at three quarters, and 0.34 when closed. The limits were chosen with these alone, so the
#: share of blinks that are missed in other videos is unknown.
_PASSED, _CLOSED = 0.75, 0.62

#: Longest blink in seconds. Spontaneous blinks last 0.1 to 0.4; longer closings are eyes kept closed.
LONGEST = 0.5

#: Seconds: between frames further apart than this, nothing is known.
_GAP = 0.2


@dataclass(frozen=True)
class Blink:
    """One closing of the eyes.

    Attributes:
        begin: When the closing eyes passed three quarters of the open level, seconds, interpolated between frames.
        duration: Seconds until they passed it again.
        depth: Largest closing relative to the open level: 0 (not closed) to 1 (completely closed).
    """

    begin: float
    duration: float
    depth: float


def blinks(times: NDArray[np.floating], opening: NDArray[np.floating]) -> list[Blink]:
    """Detect the blinks of one face.

    Args:
        times: Increasing times (n,), in seconds.
        opening: Mean opening of both eyes (n,), in widths of the eye; NaN where unknown.
    """
    known = np.isfinite(opening)
    moments, values = np.asarray(times, np.float64)[known], np.asarray(opening, np.float64)[known]
    if len(moments) < 3:
        return []
    usual = opened(moments, values)
    share = np.where(usual >= _OPEN, values / np.maximum(usual, _OPEN), np.nan)
    # Where frames are missing, the begin or end of a blink may be missing, too.
    apart = np.flatnonzero(np.diff(moments) > _GAP) + 1
    return [
        blink for part in np.split(np.arange(len(moments)), apart) for blink in _in_part(moments[part], share[part])
    ]


def blink_table(measures: pd.DataFrame) -> pd.DataFrame:
    """The blinks of all faces in a video's measures (``tables.measures``), by time; columns as ``columns.BLINKS``."""
    import pandas as pd

    seen = measures[measures["face_id"].notna() & measures["timestamp"].notna()]
    known = (seen["presence"] >= PRESENT).to_numpy(bool, na_value=False)
    opening = np.where(known, seen[["right_eye", "left_eye"]].mean(axis=1), np.nan)
    times, rows = seen["timestamp"].to_numpy(np.float64), list[tuple[Any, ...]]()
    for face_id, places in seen.reset_index(drop=True).groupby("face_id").indices.items():
        for blink in blinks(times[places], opening[places]):
            end = blink.begin + blink.duration
            numbers = blink.begin, end, blink.duration, blink.depth
            rows.append((seen["source"].iloc[0], face_id, *numbers))
    table = pd.DataFrame(rows, columns=list(BLINK_COLUMNS[:-1])).astype({"face_id": "Int64"})
    return with_names(table, people_of(seen)).sort_values("begin", kind="stable", ignore_index=True)


def opened(times: NDArray[np.float64], opening: NDArray[np.float64]) -> NDArray[np.float64]:
    """The open level of the eyes (n,) around each moment."""
    import pandas as pd

    series = pd.Series(opening, index=pd.to_timedelta(times, unit="s"))
    return series.rolling(pd.Timedelta(seconds=_AROUND), center=True, min_periods=1).quantile(_QUANTILE).to_numpy()


def _in_part(times: NDArray[np.float64], share: NDArray[np.float64]) -> list[Blink]:
    """Blinks among frames without gaps: runs below ``_PASSED`` between frames above it."""
    below = share < _PASSED
    edges = np.flatnonzero(np.diff(below.astype(np.int8)))  # the last frame before each change
    if len(edges) and below[0]:
        edges = edges[1:]
    found = []
    for before, last in zip(edges[::2], edges[1::2], strict=False):
        # Without a known open level, closing cannot be detected.
        if not np.isfinite(share[[before, last + 1]]).all():
            continue
        begin, end = (_crossing(times, share, edge) for edge in (before, last))
        least = float(share[before + 1 : last + 1].min())
        if least <= _CLOSED and end - begin <= LONGEST:
            found.append(Blink(begin, end - begin, 1 - least))
    return found


def _crossing(times: NDArray[np.float64], share: NDArray[np.float64], edge: int) -> float:
    """When the share passes ``_PASSED`` between a frame and the next."""
    one, other = share[edge], share[edge + 1]
    return float(times[edge] + (times[edge + 1] - times[edge]) * (one - _PASSED) / (one - other))
