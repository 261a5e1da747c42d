"""The observations of a finished item, read from its tables, so that it can be drawn again without being analysed."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from fermedia.store.derive import LANDMARKS, MEASURES, TIMELINE
from fermedia.tables.landmarks import read_landmarks
from fermedia.tables.measures import read_measures
from fermedia.tables.timeline import read_timeline, replayed
from fermedia.types import BLENDSHAPES, Frame, Gaze, Measures, Mesh, Observation, Pose
from fermedia.vision.measures import measured
from fermedia.vision.pose import rotation_by

Observed = tuple[Frame, list[Observation] | None]

#: The measures that are columns of the same name, and those that angles are made of.
_FIGURES = tuple(item.name for item in fields(Measures) if item.type == "float")
_ANGLES = ("yaw", "pitch", "roll", "gaze_x", "gaze_y", "head_gaze_x", "head_gaze_y")


def replay(frames: Iterable[Frame], folder: Path, measures: bool, meshes: bool) -> Generator[Observed]:
    """Give every frame with its observations from the tables of an item; None if it was not sampled.

    Args:
        frames: The frames that were analysed.
        folder: The item's folder.
        measures: Whether to restore measures; the item must have measures.csv. The scale of their poses is unknown.
        meshes: Whether to restore landmarks, too, and with them the scale; the item must have landmarks.parquet.

    Raises:
        DataError: A table is missing or damaged.
    """
    observed: Iterable[Observed] = replayed(frames, read_timeline(folder / TIMELINE))
    if measures:
        observed = _with_measures(observed, folder / MEASURES)
    if meshes:
        observed = _with_landmarks(observed, folder / LANDMARKS)
    yield from observed


def _with_measures(observed: Iterable[Observed], path: Path) -> Iterator[Observed]:
    table = read_measures(path)
    table = table[table["presence"].notna()]
    figures, angles = (table[list(names)].to_numpy(np.float64) for names in (_FIGURES, _ANGLES))
    shapes = table[list(BLENDSHAPES)].to_numpy(np.float32)
    keys = table[["frame", "face_id"]].itertuples(index=False, name=None)
    places = {key: n for n, key in enumerate(keys)}
    for frame, found in observed:
        for n, seen in enumerate(found or ()):
            place = places.get((frame.index, seen.face_id))
            if found and place is not None:
                yaw, pitch, roll, *gazes = angles[place].tolist()
                known = [None if np.isnan(x) else Gaze(x, y) for x, y in (gazes[:2], gazes[2:])]
                found[n] = replace(
                    seen,
                    measures=Measures(
                        pose=Pose(yaw, pitch, roll, rotation_by(yaw, pitch, roll), float("nan")),
                        gaze=known[0],
                        head_gaze=known[1],
                        blendshapes=shapes[place],
                        **dict(zip(_FIGURES, figures[place].tolist(), strict=True)),
                    ),
                )
        yield frame, found


def _with_landmarks(observed: Iterable[Observed], path: Path) -> Iterator[Observed]:
    """Add the landmarks to faces with measures, and compute these from them, which is more exact."""
    stored = read_landmarks(path)
    row = next(stored, None)
    for frame, found in observed:
        points = {}
        while row is not None and row[0] <= frame.index:
            points[row[0], row[1]] = row[2]
            row = next(stored, None)
        for n, seen in enumerate(found or ()):
            landmarks = points.get((frame.index, seen.face_id))
            if found and landmarks is not None and seen.measures is not None:
                mesh = Mesh(seen.measures.presence, landmarks, seen.measures.blendshapes)
                found[n] = replace(seen, measures=measured(mesh), landmarks=landmarks)
        yield frame, found
