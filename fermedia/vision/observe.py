"""Look at frames: find the faces, follow them, classify them. Pure: no files.

Finding is the dear part. So the whole picture is searched a few times a second only, and whenever a face is lost or the
shot changes; in the frames between, the faces are followed from one to the next. Several such stretches are looked at
in parallel, each thread with a detector of its own. What follows needs their order: who is who, and the network, which
sees the faces of several frames together.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fermedia.machine import busy_pool, cores
from fermedia.threads import Crew, Lane
from fermedia.types import Face, Frame, Gray, Observation, Picture
from fermedia.vision.classify import BATCH, Classifier
from fermedia.vision.detect import FaceDetector, Found
from fermedia.vision.framing import crop_face
from fermedia.vision.shots import ShotDetector, Signature, is_another, signature
from fermedia.vision.track import Looks, Tracker, look, number_by_size

#: What may be held at a time, in pixels of all the pictures: at 1920x1080 seven frames being looked at, and as many
#: that wait for the network to have enough faces.
MOST_PIXELS = 16e6
#: The same in frames, however small they are: six stretches of a usual film, so that no thread waits for work.
MOST_FRAMES = 32

#: Faces that wait for the network: two batches of them, for the second finds the weights in the processor's cache.
_ENOUGH = 2 * BATCH

#: How much the looking threads give way (as `nice`). An encoder never has all processors at work, and looking fills
#: what it leaves; where both have the same rights, it is the encoder that is waited for.
_NICE = 5

#: Seconds of a film between two searches: whoever appears is seen this much later at most. By the film's own clock, so
#: that it does not matter who looks at which part of it.
SEARCH_EVERY = 0.25


@dataclass(frozen=True)
class Seen:
    """What a frame shows, whatever came before it.

    ``faces`` is None where it was not sampled. ``looks`` are the faces' for the ``Tracker``, ``probabilities`` what the
    network says of each, None where it is too small. ``signature`` is for the ``ShotDetector``, None for photos.
    """

    frame: Frame
    signature: Signature | None
    faces: Sequence[Face] | None
    looks: list[Looks]
    probabilities: list[NDArray[np.float32] | None]


@dataclass(frozen=True)
class _Looked:
    """A frame whose faces are found but not yet judged."""

    frame: Frame
    signature: Signature | None
    faces: Sequence[Found] | None
    crops: list[Gray]

    def ends_before(self, mark: Signature, picture: Picture) -> bool:
        """Whether a shot may end with this frame, or its pixels mean other places, if the next one is this."""
        mine = self.frame.picture.own
        if (mine.width, mine.height) != (picture.width, picture.height):
            return True
        return self.signature is None or is_another(self.signature, mark)


class Observer:
    """The networks, loaded once, and the threads that use them; a context manager.

    ``detector`` makes one detector for each of the ``threads``, which fetch frames and look at them side by side; if
    None, as many as there are processors. How many changes no result, nor does whether they give way to those who use
    what they find (``gives_way``). Faces whose box is narrower than ``min_face`` pixels are followed but not judged.
    Raises what the first ``detector()`` raises. One observer works for one caller at a time.
    """

    def __init__(
        self,
        classifier: Classifier,
        detector: Callable[[], FaceDetector] = FaceDetector,
        min_face: float = 0.0,
        threads: int | None = None,
        gives_way: bool = False,
    ) -> None:
        self._classifier = classifier
        self._make_detector = detector
        self._min_face = min_face
        self._mine = threading.local()
        self._detectors: list[FaceDetector] = []
        self._threads = threads or cores()
        self._pool = busy_pool(self._threads, "look", _NICE if gives_way else 0)
        # What is wrong shows before any file is touched; a second is made while the caller opens one.
        made = [self._pool.submit(self._detector) for _ in range(min(2, self._threads))]
        made[0].result()

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
        self, frames: Iterable[Frame], follow: bool = True, lane: Lane | None = None
    ) -> Generator[tuple[Frame, list[Observation] | None]]:
        """Every frame once, in order, with its observations sorted by ``face_id``; None where it was not sampled.

        Where they do not ``follow`` each other the frames are single pictures, and ``face_id`` counts the faces of
        each, largest first. What is asked of the ``lane`` meanwhile, the observer's threads do beside their own work.
        """
        with closing(self.see(frames, film=follow, lane=lane)) as seen:
            yield from (followed if follow else ranked)(seen)

    def see(self, frames: Iterable[Frame], film: bool = True, lane: Lane | None = None) -> Generator[Seen]:
        """Every frame once, in order, with what it shows whatever came before.

        The first frame is searched. So a part of a film gives the same as the whole if it begins with a ``stretch``;
        else up to the next one its faces may be framed a hair's breadth otherwise.
        """
        how = (_stretch, self._find) if film else (_alone, self._find_still)
        judging = Lane()
        lanes = [judging] if lane is None else [judging, lane]
        with Crew(self._pool, self._threads, frames, *how, _weight, 1.0, lanes) as crew:
            waiting: list[_Looked] = []
            asked: Future[deque[Seen]] | None = None
            held = 0.0  # of those that wait and those that are asked about
            for found in crew:
                waiting.append(found)
                held += _weight(found.frame)
                faces = sum(len(looked.crops) for looked in waiting)
                seen: deque[Seen] = deque()
                if asked and (asked.done() or faces >= _ENOUGH or held >= 1):
                    seen, asked = asked.result(), None
                    held -= sum(_weight(one.frame) for one in seen)
                if faces >= _ENOUGH or held >= 1:
                    waiting, asked = [], judging.ask(partial(self._judged, waiting))
                yield from _one_by_one(seen)
            for last in (asked, judging.ask(partial(self._judged, waiting))):
                yield from _one_by_one(last.result() if last else deque())

    def _find_still(self, frame: Frame, before: _Looked | None = None) -> _Looked:
        """What needs a picture's pixels; any thread, any order."""
        return self._looked(frame, None, self._detector().detect(frame.picture))

    def _find(self, frame: Frame, before: _Looked | None = None) -> _Looked:
        """What needs a film's pixels; any thread. The faces of ``before`` are followed, if that is given."""
        picture = frame.picture.own
        mark = signature(picture)
        if not frame.sampled:
            return self._looked(frame, mark, None)
        known = None if before is None or before.ends_before(mark, picture) else before.faces
        return self._looked(frame, mark, self._detector().find(picture, known))

    def _looked(self, frame: Frame, mark: Signature | None, faces: Sequence[Found] | None) -> _Looked:
        crops = [crop_face(frame.picture.own, face, self._classifier.input_size) for face in faces or ()]
        return _Looked(frame, mark, faces, crops)

    def _detector(self) -> FaceDetector:
        """The calling thread's own, made when it is first needed."""
        if not hasattr(self._mine, "detector"):
            self._mine.detector = self._make_detector()
            self._detectors.append(self._mine.detector)
        found: FaceDetector = self._mine.detector
        return found

    def _judged(self, waiting: Sequence[_Looked]) -> deque[Seen]:
        """What some frames show; one thread at a time."""
        crops = [crop for found in waiting for face, crop in _pairs(found) if self._is_large_enough(face)]
        films = any(found.signature is not None for found in waiting)
        judged = iter(self._classifier.predict(np.stack(crops) if crops else [], mirrored=not films))
        seen: deque[Seen] = deque()
        for found in waiting:
            looks = [] if found.signature is None else [look(crop) for crop in found.crops]
            probabilities = [next(judged) if self._is_large_enough(face) else None for face in found.faces or []]
            seen.append(_fitted(Seen(found.frame, found.signature, found.faces, looks, probabilities)))
        return seen

    def _is_large_enough(self, face: Face) -> bool:
        return face.box.width >= self._min_face


def stretch(time: float) -> int:
    """The number of the stretch of a film, from one search to the next, that a time in seconds lies in."""
    return round(time / SEARCH_EVERY * 1000) // 1000  # a film's times are rounded, some to milliseconds


def _stretch(frame: Frame) -> int | None:
    """The frames between two searches are looked at one after another, for each needs what was seen before."""
    return stretch(frame.time or 0.0) if frame.sampled else None


def _alone(frame: Frame) -> None:
    """Pictures that do not follow each other."""


def followed(seen: Iterable[Seen]) -> Iterator[tuple[Frame, list[Observation] | None]]:
    """The frames of one film, all of them and in order, with who is who."""
    people = _People()
    for one in seen:
        yield one.frame, _named(one, people.number(one))


def ranked(seen: Iterable[Seen]) -> Iterator[tuple[Frame, list[Observation] | None]]:
    """Single pictures, in each of which the faces are counted, largest first."""
    for one in seen:
        yield one.frame, _named(one, number_by_size(one.faces or []))


def _named(seen: Seen, ids: list[int]) -> list[Observation] | None:
    if seen.faces is None:
        return None
    found = map(Observation, seen.faces, ids, seen.probabilities)
    return sorted(found, key=lambda o: o.face_id)


class _People:
    """Who is who in one film."""

    def __init__(self) -> None:
        self._tracker, self._shots = Tracker(), ShotDetector()
        self._cut = False

    def number(self, seen: Seen) -> list[int]:
        """The ids of a frame's faces; every frame counts for the cuts, also those that were not sampled."""
        time = seen.frame.time or 0.0
        if seen.signature is not None:
            self._cut |= self._shots.update(seen.signature, time)
        if seen.faces is None:
            return []
        cut, self._cut = self._cut, False
        return self._tracker.update(seen.faces, time, seen.looks, cut, may_stay=True)


def _one_by_one(seen: deque[Seen]) -> Iterator[Seen]:
    """All of them, none held here any longer than it must."""
    while seen:
        yield seen.popleft()


def _fitted(seen: Seen) -> Seen:
    """What is seen, with the faces where they are in the film."""
    fit = seen.frame.picture.fit
    if fit is None or seen.faces is None:
        return seen
    return replace(seen, faces=[fit.face(face) for face in seen.faces])


def _pairs(found: _Looked) -> Iterator[tuple[Face, Gray]]:
    return zip(found.faces or [], found.crops, strict=True)


def _weight(frame: Frame) -> float:
    """The share that a frame takes of what may be held."""
    return max(frame.picture.width * frame.picture.height / MOST_PIXELS, 1 / MOST_FRAMES)
