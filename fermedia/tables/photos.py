"""Table of photos: the faces of each, and means and shares of their emotions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fermedia.columns import PHOTO_COLUMNS
from fermedia.types import EMOTIONS

if TYPE_CHECKING:
    import pandas as pd


def photo_table(timeline: pd.DataFrame) -> pd.DataFrame:
    """Summarize each photo of a folder; each of its faces counts once.

    Args:
        timeline: The timeline of a folder of photos (``tables.timeline.read_timeline``).

    Returns:
        A row per analysed photo, also without a face, with the columns of ``columns.PHOTOS``; numbers are rounded to
        six decimals.
    """
    import pandas as pd

    photos = timeline.drop_duplicates("frame")
    classified = timeline[timeline["judged"].astype(bool)]
    p = classified[[*EMOTIONS, "valence"]].astype("float64")
    shows = pd.get_dummies(pd.Categorical(classified["emotion"], categories=list(EMOTIONS)), dtype="float64")
    means = p.groupby(classified["frame"]).mean().add_suffix("_mean")
    shares = shows.set_axis(classified.index).groupby(classified["frame"]).mean().add_suffix("_share")
    table = photos[["source", "frame"]].set_index("frame").join(means).join(shares)
    p_mean = table[[f"{emotion}_mean" for emotion in EMOTIONS]].to_numpy(np.float64)
    best = np.array(EMOTIONS, object)[np.nan_to_num(p_mean, nan=-1.0).argmax(axis=1)]
    table["emotion"] = np.where(np.isnan(p_mean[:, 0]), None, best)
    frames = timeline.groupby("frame")
    table["faces"] = frames["success"].sum().astype("int64")
    table["judged"] = frames["judged"].sum().astype("int64")
    numbers = [name for name in PHOTO_COLUMNS if name.endswith(("_mean", "_share"))]
    table[numbers] = table[numbers].round(6)
    return table.reset_index()[list(PHOTO_COLUMNS)]
