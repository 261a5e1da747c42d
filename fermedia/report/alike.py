"""Which faces of a video may be the same person after a cut or an absence, by their pictures; for a person to decide.

Pictures are compared by local binary patterns (Ahonen et al. 2006): which of its eight neighbours are brighter than a
pixel, counted in the cells of a grid over the face. Nothing is learned from faces. docs/tracking.md says how often
suggestions are right.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fermedia.files import regular
from fermedia.render.previews import FOLDER, read_previews
from fermedia.tables.finished import FinishedItem

#: The part of a picture that is compared, as shares of its side: rows and columns from and to.
_ROWS, _COLUMNS = (0.16, 0.90), (0.16, 0.84)

#: The side to which this part is scaled, in pixels, and the cells along it. Smaller pictures are left out.
_SIDE, _CELLS = 48, 5

#: The least score of a suggestion.
_LEAST = 0.78

#: The neighbours of a pixel, around it.
_AROUND = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))


def _kinds() -> NDArray[np.intp]:
    """The bin of each pattern of eight bits: one for each with at most two changes around, one for all others."""
    bits = np.arange(256)[:, None] >> np.arange(8) & 1
    uniform = (bits != np.roll(bits, 1, axis=1)).sum(axis=1) <= 2
    return np.where(uniform, np.cumsum(uniform) - 1, uniform.sum())


_KINDS = _kinds()


@dataclass(frozen=True)
class Alike:
    """A face that may be the same person as an earlier one.

    Attributes:
        face_id: The face.
        earlier: The ``face_id`` of the earlier one.
        score: How similar their pictures are, 0..1: the Bhattacharyya coefficient of their patterns, in the mean over
            all pairs of a picture of each. It is no probability.
    """

    face_id: int
    earlier: int
    score: float


def alike(item: FinishedItem) -> list[Alike]:
    """The faces of a video that may be the same person as an earlier face, by ``face_id``.

    Each is given with one earlier face at most. Faces that were seen in the same frame are not joined, not through
    other suggestions either. Without pictures of faces there is nothing to suggest. Raises DataError as
    ``FinishedItem.timeline`` does.
    """
    pictures = _pictures(item.folder)
    scores = ((float((pictures[a] @ pictures[b].T).mean()), b, a) for a, b in combinations(sorted(pictures), 2))
    likely = sorted((pair for pair in scores if pair[0] >= _LEAST), reverse=True)
    if not likely:
        return []
    found: dict[int, Alike] = {}
    seen = item.timeline.dropna(subset="face_id").groupby("face_id")["frame"]
    group = {int(face_id): ({int(face_id)}, set(frames)) for face_id, frames in seen}
    for score, face_id, earlier in likely:
        if face_id in found or not {face_id, earlier} <= set(group) or group[face_id][1] & group[earlier][1]:
            continue
        found[face_id] = Alike(face_id, earlier, score)
        both = tuple(one | other for one, other in zip(group[face_id], group[earlier], strict=True))
        group |= dict.fromkeys(both[0], both)
    return [found[face_id] for face_id in sorted(found)]


def _pictures(folder: Path) -> dict[int, NDArray[np.float32]]:
    """The patterns of each face's pictures, (pictures, patterns); of faces that have any that are large enough."""
    found = defaultdict(list)
    for preview in read_previews(folder):
        if preview.face_id is not None:
            patterns = _patterns(folder / FOLDER / preview.file)
            if patterns is not None:
                found[preview.face_id].append(patterns)
    return {face_id: np.stack(several) for face_id, several in found.items()}


def _patterns(path: Path) -> NDArray[np.float32] | None:
    """The square roots of the shares of each pattern in each cell, of length 1; None if there is no such picture."""
    try:
        content = np.frombuffer(regular(path).read_bytes(), np.uint8)
        picture = cv2.imdecode(content, cv2.IMREAD_GRAYSCALE) if len(content) else None
    except (OSError, cv2.error):
        return None
    if picture is None:
        return None
    (top, bottom), (left, right) = (
        (round(begin * side), round(end * side))
        for (begin, end), side in zip((_ROWS, _COLUMNS), picture.shape, strict=True)
    )
    part = picture[top:bottom, left:right]
    if min(part.shape) < _SIDE:
        return None
    part = cv2.GaussianBlur(cv2.resize(part, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA), (0, 0), 0.7)
    middle = part[1:-1, 1:-1]
    codes = np.zeros(middle.shape, np.uint8)
    for bit, (down, across) in enumerate(_AROUND):
        neighbour = part[1 + down : _SIDE - 1 + down, 1 + across : _SIDE - 1 + across]
        codes |= (neighbour >= middle).astype(np.uint8) << bit
    edges = np.linspace(0, _SIDE - 2, _CELLS + 1).astype(int)
    cell = np.digitize(np.arange(_SIDE - 2), edges[1:-1])
    bins = _KINDS.max() + 1
    counts = np.bincount((_KINDS[codes] + bins * (_CELLS * cell[:, None] + cell)).ravel(), minlength=_CELLS**2 * bins)
    return np.sqrt(counts / counts.sum()).astype(np.float32)
