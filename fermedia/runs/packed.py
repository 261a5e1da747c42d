"""What frames show, in files: for the steps of a long film that different workers do. Arrays alone, no code."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fermedia.errors import FermediaError
from fermedia.files import whole_file
from fermedia.types import EMOTIONS, WHOLE, Box, Color, Face, Frame, Gray, Observation, Part, Picture
from fermedia.vision.observe import Seen
from fermedia.vision.shots import Signature

Arrays = dict[str, NDArray[Any]]

Found = list[Observation] | None
"""What is seen in one frame; None where it was not analysed."""

_NOT_SAMPLED = -1


class Unseen(Picture):
    """The picture of a frame whose pixels have been looked at already."""

    @property
    def width(self) -> int:
        return 0

    @property
    def height(self) -> int:
        return 0

    def gray(self, part: Part = WHOLE) -> Gray:
        raise FermediaError("the pixels of this frame are gone")

    def rgb(self, size: tuple[int, int] | None = None) -> Color:
        raise FermediaError("the pixels of this frame are gone")


def save(path: Path, **arrays: Any) -> None:
    """Write arrays, whole or not at all, and on the disk before the name is there."""
    with whole_file(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)
        file.flush()
        os.fsync(file.fileno())


def load(path: Path) -> Arrays:
    """Read what ``save`` wrote; checksums are verified. Raises OSError or ValueError."""
    with np.load(path, allow_pickle=False) as stored:
        return dict(stored)


def without_pixels(seen: Seen) -> Seen:
    """The same, and no more memory than ``pack_seen`` needs."""
    bare = seen.signature and Signature(seen.signature.thumbnail)
    return replace(seen, frame=replace(seen.frame, picture=Unseen()), signature=bare)


def pack_seen(seen: Sequence[Seen]) -> Arrays:
    """A span of a film, its faces without their pixels."""
    faces = [face for one in seen for face in one.faces or []]
    rows = [row for one in seen for row in one.probabilities]
    return {
        "index": np.array([one.frame.index for one in seen], np.int64),
        "time": np.array([one.frame.time for one in seen], np.float64),
        "duration": np.array([_or_nan(one.frame.duration) for one in seen], np.float64),
        # A thumbnail of 8-bit pixels: exact.
        "signature": np.array([one.signature.thumbnail for one in seen if one.signature]).astype(np.uint8),
        "looks": np.array([look for one in seen for look in one.looks], np.float32),
        **_pack_faces([None if one.faces is None else len(one.faces) for one in seen], faces, rows),
    }


def unpack_seen(arrays: Arrays) -> Iterator[Seen]:
    """The span again; the pictures are ``Unseen``."""
    looks = iter(arrays["looks"])
    durations = [None if np.isnan(d) else d for d in arrays["duration"].tolist()]
    frames = zip(arrays["index"].tolist(), arrays["time"].tolist(), durations, strict=True)
    for (index, time, duration), mark, found in zip(frames, arrays["signature"], _unpack_faces(arrays), strict=True):
        frame = Frame(index, time, Unseen(), duration, found is not None)
        faces = None if found is None else [face for face, _ in found]
        rows = [row for _, row in found or []]
        yield Seen(frame, Signature(mark.astype(np.float32)), faces, [next(looks) for _ in rows], rows)


def pack_found(found: Sequence[Found]) -> Arrays:
    """What is to be drawn in some frames."""
    every = [o for one in found for o in one or []]
    counts = [None if one is None else len(one) for one in found]
    ids = np.array([o.face_id for o in every], np.int64)
    return {"ids": ids, **_pack_faces(counts, [o.face for o in every], [o.probabilities for o in every])}


def unpack_found(arrays: Arrays) -> list[Found]:
    """The same again."""
    ids = iter(arrays["ids"].tolist())
    return [
        None if found is None else [Observation(face, next(ids), row) for face, row in found]
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
    judged, rows, keypoints = iter(arrays["judged"]), iter(arrays["probabilities"]), iter(arrays["keypoints"])
    for count in arrays["counts"].tolist():
        if count == _NOT_SAMPLED:
            yield None
            continue
        found = []
        for _ in range(count):
            face = Face(Box(*next(boxes)), next(confidence), next(keypoints))
            row = next(rows)
            found.append((face, row if next(judged) else None))
        yield found


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value
