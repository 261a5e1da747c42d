"""Who is who from frame to frame, and in a single picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fermedia.types import Face

#: Seconds for which a person out of sight is remembered.
MEMORY = 1.0

#: How far a face may be from where it is expected, in its own widths: at once, and more for every second unseen.
_REACH, _REACH_A_SECOND = 0.6, 2.0

#: A face of the same person grows or shrinks by at most this factor between two sightings.
_GROWTH = 1.8

#: Seconds over which a face's speed is averaged, and for which it is expected to go on.
_SPEED_SPAN, _COAST = 0.2, 0.3


@dataclass
class _Track:
    """A person: middle (x, y) and size of the face in pixels when last seen, and its speed in pixels a second."""

    face_id: int
    center: NDArray[np.float64]
    size: float
    seen: float
    speed: NDArray[np.float64]

    def expected(self, time: float) -> NDArray[np.float64]:
        return self.center + self.speed * min(time - self.seen, _COAST)

    def distance(self, center: NDArray[np.float64], size: float, time: float) -> float:
        """How unlikely it is that a face is this person's, in face widths; infinite where it cannot be."""
        growth = max(size / self.size, self.size / size)
        gone = np.linalg.norm(center - self.expected(time)) / max(size, self.size)
        if growth > _GROWTH or gone > _REACH + _REACH_A_SECOND * min(time - self.seen, MEMORY):
            return float("inf")
        return float(gone + 0.5 * np.log(growth))

    def see(self, center: NDArray[np.float64], size: float, time: float) -> None:
        elapsed = time - self.seen
        if elapsed > 0:
            weight = min(1.0, elapsed / _SPEED_SPAN)
            self.speed = (1 - weight) * self.speed + weight * (center - self.center) / elapsed
        self.center, self.size, self.seen = center, size, time


class Tracker:
    """Gives every face of one video the number of its person, counted from 0 in order of appearance.

    Times rule, not frame numbers, so that sampling changes nothing but what lies between.
    """

    def __init__(self) -> None:
        self._tracks: list[_Track] = []
        self._next = 0
        self._looked = float("-inf")

    def update(self, faces: Sequence[Face], time: float) -> list[int]:
        """The ids of the faces of one frame, in their order; ``time`` in seconds must not fall."""
        # However seldom frames are analysed, the persons of the last one are remembered.
        oldest = min(time - MEMORY, self._looked)
        self._tracks = [track for track in self._tracks if track.seen >= oldest]
        self._looked = time
        centers = [np.array(face.box.center) for face in faces]
        sizes = [face.box.area**0.5 for face in faces]
        ids: dict[int, int] = {}
        for index, track in self._pair(centers, sizes, time):
            track.see(centers[index], sizes[index], time)
            ids[index] = track.face_id
        for index in range(len(faces)):
            if index not in ids:
                ids[index] = self._next
                self._tracks.append(_Track(self._next, centers[index], sizes[index], time, np.zeros(2)))
                self._next += 1
        return [ids[index] for index in range(len(faces))]

    def _pair(self, centers: list[NDArray[np.float64]], sizes: list[float], time: float) -> list[tuple[int, _Track]]:
        """Faces and persons that belong together: the nearest pairs first, each once."""
        pairs = sorted(
            (track.distance(center, size, time), track.face_id, index)
            for index, (center, size) in enumerate(zip(centers, sizes, strict=True))
            for track in self._tracks
        )
        tracks = {track.face_id: track for track in self._tracks}
        chosen: list[tuple[int, _Track]] = []
        taken: set[int] = set()
        for distance, face_id, index in pairs:
            if distance < float("inf") and face_id in tracks and index not in taken:
                chosen.append((index, tracks.pop(face_id)))
                taken.add(index)
        return chosen


def number_by_size(faces: Sequence[Face]) -> list[int]:
    """The ids of a single picture's faces, in their order: 0 is the largest."""
    order = sorted(range(len(faces)), key=lambda i: -faces[i].box.area)
    ids = [0] * len(faces)
    for face_id, index in enumerate(order):
        ids[index] = face_id
    return ids
