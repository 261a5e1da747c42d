"""The table of photos, worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from fermedia.columns import PHOTO_COLUMNS, TIMELINE_COLUMNS
from fermedia.tables.photos import photo_table
from fermedia.types import EMOTIONS, valence
from tests.seen import one_hot


def test_a_photo_has_the_means_and_shares_of_its_classified_faces() -> None:
    half = [0.0] * 7
    half[EMOTIONS.index("happy")], half[EMOTIONS.index("sad")] = 0.6, 0.4
    faces = [("b.jpg", 0, one_hot("sad")), ("b.jpg", 0, half), ("b.jpg", 0, None), ("a.jpg", 1, None), ("c.jpg", 2, ())]
    rows = []
    for number, (source, frame, p) in enumerate(faces):
        about = {"source": source, "frame": frame, "face_id": number, "success": p != (), "judged": bool(p)}
        read = dict(zip(EMOTIONS, p, strict=True)) | {"valence": float(valence(np.array(p)))} if p else {}
        rows.append(about | read | {"emotion": EMOTIONS[int(np.argmax(p))] if p else None})
    table = photo_table(pd.DataFrame(rows, columns=list(TIMELINE_COLUMNS)))
    assert tuple(table.columns) == PHOTO_COLUMNS
    assert table[["source", "frame", "faces", "judged"]].to_numpy().tolist() == [
        ["b.jpg", 0, 3, 2],
        ["a.jpg", 1, 1, 0],
        ["c.jpg", 2, 0, 0],
    ]
    first = table.iloc[0]
    assert (first["sad_mean"], first["happy_mean"]) == (0.7, 0.3)
    assert (first["sad_share"], first["happy_share"], first["fear_share"]) == (0.5, 0.5, 0)
    assert first["emotion"] == "sad"
    assert math.isclose(first["valence_mean"], (-1 + 0.2) / 2)
    others = table.loc[1:, [name for name in PHOTO_COLUMNS if name.endswith(("mean", "share", "emotion"))]]
    assert others.isna().all(axis=None)


def test_a_folder_without_photos_that_could_be_read_has_no_rows() -> None:
    empty = pd.DataFrame(columns=list(TIMELINE_COLUMNS)).astype({"judged": bool, "success": bool})
    assert tuple(photo_table(empty).columns) == PHOTO_COLUMNS
