"""Look at frames: find the faces, follow them, classify them. Pure: no files."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from fermedia.types import Face, Frame, Gray, Observation
from fermedia.vision.classify import BATCH, Classifier
from fermedia.vision.detect import FaceDetector
from fermedia.vision.framing import crop_face
from fermedia.vision.track import Tracker, number_by_size

#: Frames that may wait for the network to have a whole batch of faces.
MOST_WAITING = 16


@dataclass(frozen=True)
class _Seen:
    """A frame whose faces are found but not yet classified."""

    frame: Frame
    faces: list[Face]
    ids: list[int]
    crops: list[Gray]


def observe(
    frames: Iterable[Frame], detector: FaceDetector, classifier: Classifier, tracker: Tracker | None = None
) -> Iterator[tuple[Frame, list[Observation] | None]]:
    """Every frame once, in order, with its observations sorted by ``face_id``; None where it was not sampled.

    Faces of several frames are classified together: at most ``MOST_WAITING`` frames are held at a time. Without a
    tracker the frames are single pictures, and ``face_id`` counts the faces of each, largest first.
    """
    waiting: deque[_Seen] = deque()
    for frame in frames:
        waiting.append(_look(frame, detector, classifier.input_size, tracker))
        if sum(len(seen.crops) for seen in waiting) >= BATCH or len(waiting) >= MOST_WAITING:
            yield from _classified(waiting, classifier)
    yield from _classified(waiting, classifier)


def _look(frame: Frame, detector: FaceDetector, size: int, tracker: Tracker | None) -> _Seen:
    if not frame.sampled:
        return _Seen(frame, [], [], [])
    faces = detector.detect(frame.picture)
    ids = number_by_size(faces) if tracker is None else tracker.update(faces, frame.time or 0.0)
    return _Seen(frame, faces, ids, [crop_face(frame.picture, face.box, size) for face in faces])


def _classified(waiting: deque[_Seen], classifier: Classifier) -> Iterator[tuple[Frame, list[Observation] | None]]:
    crops = [crop for seen in waiting for crop in seen.crops]
    probabilities = iter(classifier.predict(np.stack(crops) if crops else []))
    while waiting:
        seen = waiting.popleft()
        found = [
            Observation(face, face_id, next(probabilities)) for face, face_id in zip(seen.faces, seen.ids, strict=True)
        ]
        yield seen.frame, sorted(found, key=lambda o: o.face_id) if seen.frame.sampled else None
