"""Look at frames: find the faces, follow them, classify them. Pure: no files.

Finding is the dear part, so several frames are looked at in parallel, each thread with a detector of its own. What
follows needs their order: who is who, and the network, which sees the faces of several frames together.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Self

import numpy as np

from fermedia.threads import cores, in_order
from fermedia.types import Face, Frame, Gray, Observation
from fermedia.vision.classify import BATCH, Classifier
from fermedia.vision.detect import FaceDetector
from fermedia.vision.framing import crop_face
from fermedia.vision.track import Tracker, number_by_size

#: What may be held at a time, in pixels of all the pictures: at 1920x1080 eleven frames being looked at, and as many
#: that wait for the network to have a whole batch of faces.
MOST_PIXELS = 24e6
#: The same in frames, however small they are.
MOST_FRAMES = 16


@dataclass(frozen=True)
class _Seen:
    """A frame whose faces are found but not yet classified; ``faces`` is None where it was not sampled."""

    frame: Frame
    faces: list[Face] | None
    crops: list[Gray]


class Observer:
    """The networks, loaded once, and the threads that use them; a context manager.

    ``detector`` makes one detector for each of the ``threads``, which look at frames side by side; as many as there
    are processors if None. How many changes no result. Raises what the first ``detector()`` raises. One observer works
    for one caller at a time.
    """

    def __init__(
        self,
        classifier: Classifier,
        detector: Callable[[], FaceDetector] = FaceDetector,
        threads: int | None = None,
    ) -> None:
        self._classifier = classifier
        self._make_detector = detector
        self._mine = threading.local()
        self._detectors: list[FaceDetector] = []
        self._pool = ThreadPoolExecutor(threads or cores(), "look")
        self._pool.submit(self._detector).result()  # what is wrong shows before any file is touched

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the threads and free the networks."""
        self._pool.shutdown(cancel_futures=True)
        while self._detectors:
            self._detectors.pop().close()

    def observe(
        self, frames: Iterable[Frame], tracker: Tracker | None = None
    ) -> Generator[tuple[Frame, list[Observation] | None]]:
        """Every frame once, in order, with its observations sorted by ``face_id``; None where it was not sampled.

        Without a tracker the frames are single pictures, and ``face_id`` counts the faces of each, largest first.
        """
        waiting: deque[_Seen] = deque()
        with closing(in_order(self._pool, self._look, frames, _weight, 1.0)) as looked:
            for seen in looked:
                waiting.append(seen)
                if sum(len(s.crops) for s in waiting) >= BATCH or sum(_weight(s.frame) for s in waiting) >= 1:
                    yield from self._judged(waiting, tracker)
            yield from self._judged(waiting, tracker)

    def _look(self, frame: Frame) -> _Seen:
        """What needs the pixels; any thread, any order."""
        if not frame.sampled:
            return _Seen(frame, None, [])
        faces = self._detector().detect(frame.picture)
        return _Seen(frame, faces, [crop_face(frame.picture, f.box, self._classifier.input_size) for f in faces])

    def _detector(self) -> FaceDetector:
        """The calling thread's own, made when it is first needed."""
        if not hasattr(self._mine, "detector"):
            self._mine.detector = self._make_detector()
            self._detectors.append(self._mine.detector)
        found: FaceDetector = self._mine.detector
        return found

    def _judged(
        self, waiting: deque[_Seen], tracker: Tracker | None
    ) -> Generator[tuple[Frame, list[Observation] | None]]:
        """The frames that wait, in order; the deque is empty afterwards."""
        crops = [crop for seen in waiting for crop in seen.crops]
        probabilities = iter(self._classifier.predict(np.stack(crops) if crops else []))
        while waiting:
            seen = waiting.popleft()
            if seen.faces is None:
                yield seen.frame, None
                continue
            ids = number_by_size(seen.faces) if tracker is None else tracker.update(seen.faces, seen.frame.time or 0.0)
            found = [
                Observation(face, face_id, next(probabilities)) for face, face_id in zip(seen.faces, ids, strict=True)
            ]
            yield seen.frame, sorted(found, key=lambda o: o.face_id)


def _weight(frame: Frame) -> float:
    """The share that a frame takes of what may be held."""
    return max(frame.picture.width * frame.picture.height / MOST_PIXELS, 1 / MOST_FRAMES)
