"""Store observations in files, since different workers do the steps of a long video. Files hold arrays, no pickles."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fermedia.errors import FermediaError
from fermedia.files import regular, whole_file
from fermedia.types import (
    BLENDSHAPES,
    EMOTIONS,
    LANDMARKS,
    WHOLE,
    Box,
    Color,
    Face,
    Frame,
    Gaze,
    Gray,
    Image,
    Measures,
    Observation,
    Part,
    Pose,
)
from fermedia.vision.observe import FrameDetections
from fermedia.vision.shots import Thumbnail

Arrays = dict[str, NDArray[Any]]

Observations = list[Observation] | None
"""The observations of one frame; None if it was not analysed."""

_NOT_SAMPLED = -1

#: The fields of ``Measures`` that are single numbers.
_FIGURES = tuple(item.name for item in fields(Measures) if item.type == "float")


class Unseen(Image):
    """Stands for the image of a frame whose pixels were not stored; reading them raises FermediaError."""

    @property
    def width(self) -> int:
        return 0

    @property
    def height(self) -> int:
        return 0

    def gray(self, part: Part = WHOLE) -> Gray:
        raise FermediaError("the pixels of this frame are gone")

    def rgb(self, size: tuple[int, int] | None = None, part: Part = WHOLE) -> Color:
        raise FermediaError("the pixels of this frame are gone")


def save(path: Path, **arrays: Any) -> None:
    """Write arrays atomically, synced to disk before the file appears under its name."""
    with whole_file(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)
        file.flush()
        os.fsync(file.fileno())


def load(path: Path) -> Arrays:
    """Read what ``save`` wrote; checksums are verified. Raises OSError or ValueError."""
    with np.load(regular(path), allow_pickle=False) as stored:
        return dict(stored)


def without_pixels(seen: FrameDetections) -> FrameDetections:
    """A copy without the frame's pixels: only what ``pack_seen`` needs, to save memory."""
    bare = seen.thumbnail and Thumbnail(seen.thumbnail.pixels)
    return replace(seen, frame=replace(seen.frame, image=Unseen()), thumbnail=bare)


def pack_seen(seen: Sequence[FrameDetections]) -> Arrays:
    """Pack the detections of a span's frames, without pixels except those of the frames' thumbnails."""
    faces = [face for one in seen for face in one.faces or []]
    rows = [row for one in seen for row in one.probabilities]
    return {
        "index": np.array([one.frame.index for one in seen], np.int64),
        "time": np.array([one.frame.time for one in seen], np.float64),
        "duration": np.array([_or_nan(one.frame.duration) for one in seen], np.float64),
        # Lossless, since the thumbnails have 8-bit values.
        "thumbnail": np.array([one.thumbnail.pixels for one in seen if one.thumbnail]).astype(np.uint8),
        "appearances": np.array([row for one in seen for row in one.appearances], np.float32),
        "qualities": np.array([quality for one in seen for quality in one.qualities], np.str_),
        **_pack_measures([figures for one in seen for figures in one.measures]),
        **_pack_landmarks([points for one in seen for points in one.landmarks]),
        **_pack_faces([None if one.faces is None else len(one.faces) for one in seen], faces, rows),
    }


def unpack_seen(arrays: Arrays) -> Iterator[FrameDetections]:
    """Unpack what ``pack_seen`` packed; the images are ``Unseen``."""
    appearances, qualities = iter(arrays["appearances"]), iter(arrays["qualities"].tolist())
    measures, landmarks = _unpack_measures(arrays), _unpack_landmarks(arrays)
    durations = [None if np.isnan(d) else d for d in arrays["duration"].tolist()]
    frames = zip(arrays["index"].tolist(), arrays["time"].tolist(), durations, strict=True)
    for (index, time, duration), thumbnail, found in zip(
        frames, arrays["thumbnail"], _unpack_faces(arrays), strict=True
    ):
        frame = Frame(index, time, Unseen(), duration, found is not None)
        faces = None if found is None else [face for face, _ in found]
        rows = [row for _, row in found or []]
        yield FrameDetections(
            frame,
            Thumbnail(thumbnail.astype(np.float32)),
            faces,
            [next(appearances) for _ in rows],
            rows,
            [next(qualities) for _ in rows],
            [next(measures) for _ in rows],
            [next(landmarks) for _ in rows],
        )


def pack_found(found: Sequence[Observations]) -> Arrays:
    """Pack the observations to be drawn in successive frames."""
    every = [o for one in found for o in one or []]
    counts = [None if one is None else len(one) for one in found]
    return {
        "ids": np.array([o.face_id for o in every], np.int64),
        "qualities": np.array([o.quality or "" for o in every], np.str_),
        **_pack_measures([o.measures for o in every]),
        **_pack_landmarks([o.landmarks for o in every]),
        **_pack_faces(counts, [o.face for o in every], [o.probabilities for o in every]),
    }


def unpack_found(arrays: Arrays) -> list[Observations]:
    """Unpack what ``pack_found`` packed."""
    ids, qualities = iter(arrays["ids"].tolist()), iter(arrays["qualities"].tolist())
    measures, landmarks = _unpack_measures(arrays), _unpack_landmarks(arrays)
    return [
        None
        if found is None
        else [
            Observation(face, next(ids), row, None, next(qualities) or None, next(measures), next(landmarks))
            for face, row in found
        ]
        for found in _unpack_faces(arrays)
    ]


def _pack_faces(
    counts: Sequence[int | None], faces: Sequence[Face], rows: Sequence[NDArray[np.float32] | None]
) -> Arrays:
    nothing = np.zeros(len(EMOTIONS), np.float32)
    return {
        "counts": np.array([_NOT_SAMPLED if count is None else count for count in counts], np.int64),
        "boxes": np.array([(f.box.x, f.box.y, f.box.width, f.box.height) for f in faces], np.float64).reshape(-1, 4),
        "confidence": np.array([f.confidence for f in faces], np.float64),
        "keypoints": np.array([f.keypoints for f in faces], np.float32).reshape(-1, 6, 2),
        "judged": np.array([row is not None for row in rows], bool),
        "probabilities": np.array([nothing if row is None else row for row in rows], np.float32),
    }


def _unpack_faces(arrays: Arrays) -> Iterator[list[tuple[Face, NDArray[np.float32] | None]] | None]:
    boxes, confidence = iter(arrays["boxes"].tolist()), iter(arrays["confidence"].tolist())
    classified, rows, keypoints = iter(arrays["judged"]), iter(arrays["probabilities"]), iter(arrays["keypoints"])
    for count in arrays["counts"].tolist():
        if count == _NOT_SAMPLED:
            yield None
            continue
        found = []
        for _ in range(count):
            face = Face(Box(*next(boxes)), next(confidence), next(keypoints))
            row = next(rows)
            found.append((face, row if next(classified) else None))
        yield found


def _pack_measures(every: Sequence[Measures | None]) -> Arrays:
    """Pack measures without loss, so that the timeline does not depend on which worker observed its frames."""
    known = [measures for measures in every if measures is not None]
    rows = [[getattr(m, name) for name in _FIGURES] for m in known]
    gazes = [[_angles(m.gaze), _angles(m.head_gaze)] for m in known]
    return {
        "measured": np.array([measures is not None for measures in every], bool),
        "figures": np.array(rows, np.float64).reshape(-1, len(_FIGURES)),
        "poses": np.array([(m.pose.yaw, m.pose.pitch, m.pose.roll, m.pose.scale) for m in known]).reshape(-1, 4),
        "rotations": np.array([m.pose.rotation for m in known]).reshape(-1, 3, 3),
        "gazes": np.array(gazes, np.float64).reshape(-1, 2, 2),
        "blendshapes": np.array([m.blendshapes for m in known], np.float32).reshape(-1, len(BLENDSHAPES)),
    }


def _unpack_measures(arrays: Arrays) -> Iterator[Measures | None]:
    names = ("figures", "poses", "gazes")
    rows = zip(*(arrays[name].tolist() for name in names), arrays["rotations"], arrays["blendshapes"], strict=True)
    for is_known in arrays["measured"].tolist():
        if not is_known:
            yield None
            continue
        figures, (yaw, pitch, roll, scale), (gaze, head_gaze), rotation, shapes = next(rows)
        yield Measures(
            pose=Pose(yaw, pitch, roll, rotation, scale),
            gaze=_gaze(gaze),
            head_gaze=_gaze(head_gaze),
            blendshapes=shapes,
            **dict(zip(_FIGURES, figures, strict=True)),
        )


def _pack_landmarks(every: Sequence[NDArray[np.float32] | None]) -> Arrays:
    known = [points for points in every if points is not None]
    return {
        "landmarked": np.array([points is not None for points in every], bool),
        "landmarks": np.array(known, np.float32).reshape(-1, LANDMARKS, 3),
    }


def _unpack_landmarks(arrays: Arrays) -> Iterator[NDArray[np.float32] | None]:
    points = iter(arrays["landmarks"])
    for is_known in arrays["landmarked"].tolist():
        yield next(points) if is_known else None


def _angles(gaze: Gaze | None) -> tuple[float, float]:
    return (float("nan"), float("nan")) if gaze is None else (gaze.x, gaze.y)


def _gaze(angles: list[float]) -> Gaze | None:
    x, y = angles
    return None if np.isnan(x) else Gaze(x, y)


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value
