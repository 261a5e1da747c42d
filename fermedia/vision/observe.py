"""Detect, track and classify the faces of frames. No file access.

Detection in the whole image (or its region) is the most expensive step. So it runs only a few times a second, and
whenever a face is lost or the shot changes; in the frames between, the faces are followed from one frame to the next.
Several detection intervals are processed in parallel, each thread with its own detector. The later steps run in the
frames' order: tracking, and the classifier, which processes the faces of several frames in a batch.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fermedia.errors import FermediaError
from fermedia.machine import busy_pool, cores
from fermedia.threads import SerialQueue, WorkerPool
from fermedia.types import WHOLE, Box, Face, Frame, Gray, Image, Measures, Mesh, Observation
from fermedia.vision.classify import BATCH, Classifier
from fermedia.vision.detect import DetectedFace, FaceDetector
from fermedia.vision.framing import crop_face
from fermedia.vision.measures import measured
from fermedia.vision.mesh import FaceMesh
from fermedia.vision.quality import Limits, is_read
from fermedia.vision.shots import ShotDetector, Thumbnail, is_another, make_thumbnail
from fermedia.vision.tiles import searched
from fermedia.vision.track import Appearance, Tracker, appearance, rank_by_size

#: The most pixels of all frames in memory: at 1920x1080 seven frames in detection, and as many that wait for a full
#: batch of faces.
MOST_PIXELS = 16e6
#: The most frames in memory, however small: six detection intervals of a usual video, so that no thread is idle.
MOST_FRAMES = 32

#: Faces that are collected before classification: two batches, since for the second the weights are in the cache.
_ENOUGH = 2 * BATCH

#: The niceness of the detecting threads. An encoder never keeps all processors busy, and detection uses the rest; with
#: equal priority, the encoder would be the bottleneck.
_NICE = 5

#: Seconds between two detections in the whole image, which is also the longest delay for a new face. By the video's
#: clock, so that the result does not depend on how the video is divided into parts.
SEARCH_EVERY = 0.25


@dataclass(frozen=True)
class FrameDetections:
    """The results for a frame that do not depend on tracking.

    ``faces`` is None if the frame was not sampled. ``appearances`` are the faces' for the ``Tracker``,
    ``probabilities`` the classifier's, None for a face that is not classified; ``qualities``, ``measures`` and
    ``landmarks`` are as in an ``Observation``. ``thumbnail`` is for the ``ShotDetector``, None for photos. ``fault`` is
    an unexpected error while a photo was processed.
    """

    frame: Frame
    thumbnail: Thumbnail | None
    faces: Sequence[Face] | None
    appearances: list[Appearance]
    probabilities: list[NDArray[np.float32] | None]
    qualities: list[str]
    measures: list[Measures | None]
    landmarks: list[NDArray[np.float32] | None]
    fault: Exception | None = None


#: Every face is classified, however small or turned.
_ALL = Limits()

#: Called with an image that is skipped, and the error.
OnFault = Callable[[Frame, Exception], None]


@dataclass(frozen=True)
class _Sight:
    """A face that is detected but not classified yet."""

    face: DetectedFace
    crop: Gray
    quality: str
    mesh: Mesh | None
    measures: Measures | None


@dataclass(frozen=True)
class _Detected:
    """A frame whose faces are detected but not classified yet; ``sights`` is None if it was not sampled."""

    frame: Frame
    thumbnail: Thumbnail | None
    sights: list[_Sight] | None
    fault: Exception | None = None

    def classified(self) -> list[Gray]:
        """The crops to classify."""
        return [sight.crop for sight in self.sights or () if is_read(sight.quality)]

    def ends_before(self, thumbnail: Thumbnail, image: Image) -> bool:
        """Whether a shot may end with this frame, given the next one, or the next one has another size."""
        mine = self.frame.image.own
        if (mine.width, mine.height) != (image.width, image.height):
            return True
        return self.thumbnail is None or is_another(self.thumbnail, thumbnail)


class Observer:
    """The networks, loaded once, and the threads that run them; a context manager. For one caller at a time.

    The number, pinning and priority of the threads never change a result.

    Args:
        classifier: Classifies the faces.
        detector: Makes a detector; called once for each thread.
        limits: Faces outside these limits are followed but not classified.
        measures: Whether to measure faces that are not too small.
        landmarks: Whether to return the landmarks of measured faces, too.
        threads: The number of threads that fetch and process frames; by default the number of processors.
        region: Only this part of the image is searched, with a margin, and faces whose centres lie outside of it are
            left out; in pixels of the video's (or photo's) image.
        low_priority: Whether consumers of the results, such as an encoder, take precedence over these threads. Only
            with ``owns_process``.
        owns_process: Whether the threads may be pinned to processors; otherwise no setting of the process is changed.

    Raises:
        ModelError: A network for the measures is missing or damaged.
        Exception: Whatever the first call of ``detector`` raises.
    """

    def __init__(
        self,
        classifier: Classifier,
        detector: Callable[[], FaceDetector] = FaceDetector,
        limits: Limits = _ALL,
        measures: bool = False,
        landmarks: bool = False,
        threads: int | None = None,
        region: Box | None = None,
        low_priority: bool = False,
        owns_process: bool = False,
    ) -> None:
        self._classifier = classifier
        self._make_detector = detector
        self._limits, self._region = limits, region
        self._measures, self._landmarks = measures, landmarks
        self._mine = threading.local()
        self._networks: list[FaceDetector | FaceMesh] = []
        self._threads = threads or cores()
        nice = _NICE if low_priority else 0
        self._pool = (
            busy_pool(self._threads, "observe", nice) if owns_process else ThreadPoolExecutor(self._threads, "observe")
        )
        # Errors are raised before any file is opened; a second detector is made while the caller opens one.
        made = [self._pool.submit(self._own) for _ in range(min(2, self._threads))]
        try:
            made[0].result()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the threads and free the networks."""
        self._pool.shutdown(cancel_futures=True)
        while self._networks:
            self._networks.pop().close()

    def observe(
        self,
        frames: Iterable[Frame],
        follow: bool = True,
        serial_queue: SerialQueue | None = None,
        on_fault: OnFault | None = None,
    ) -> Generator[tuple[Frame, list[Observation] | None]]:
        """Detect, track and classify the faces of frames.

        Args:
            frames: The frames of a video in order, or single images.
            follow: Whether the frames are a video; in single images ``face_id`` counts the faces, largest first.
            serial_queue: A queue whose tasks the observer's threads run as well.
            on_fault: Called for a single image that is skipped because of an unexpected error; without it, such an
                error is raised.

        Yields:
            Every frame once, in order, with its observations sorted by ``face_id``; None if it was not sampled.
        """
        with closing(self.detect(frames, video=follow, serial_queue=serial_queue)) as seen:
            yield from tracked(seen) if follow else ranked(_without_faults(seen, on_fault))

    def detect(
        self, frames: Iterable[Frame], video: bool = True, serial_queue: SerialQueue | None = None
    ) -> Generator[FrameDetections]:
        """Detect and classify the faces of frames, without tracking; yield every frame once, in order.

        The first frame is searched completely. So a part of a video gives the same results as the whole if it starts
        with a ``detection_interval``; otherwise boxes may differ minimally up to the next interval.
        """
        how = (_interval, self._find) if video else (_alone, self._find_still)
        classifying = SerialQueue()
        serial_queues = [classifying] if serial_queue is None else [classifying, serial_queue]
        with WorkerPool(self._pool, self._threads, frames, *how, _weight, 1.0, serial_queues) as workers:
            waiting: list[_Detected] = []
            asked: Future[deque[FrameDetections]] | None = None
            held = 0.0  # the weight of the frames that wait and of those being classified
            for found in workers:
                waiting.append(found)
                held += _weight(found.frame)
                faces = sum(len(detected.sights or ()) for detected in waiting)
                seen: deque[FrameDetections] = deque()
                if asked and (asked.done() or faces >= _ENOUGH or held >= 1):
                    seen, asked = asked.result(), None
                    held -= sum(_weight(one.frame) for one in seen)
                if faces >= _ENOUGH or held >= 1:
                    waiting, asked = [], classifying.submit(partial(self._classified, waiting))
                yield from _one_by_one(seen)
            for last in (asked, classifying.submit(partial(self._classified, waiting))):
                yield from _one_by_one(last.result() if last else deque())

    def _find_still(self, frame: Frame, before: _Detected | None = None) -> _Detected:
        """Detect the faces of a single image; in any thread and order."""
        try:
            return self._detected(frame, None, self._faces(frame.image, None, still=True))
        except FermediaError:  # no detector can be made
            raise
        except Exception as error:  # skip this image, not those that are processed concurrently
            return _Detected(frame, None, None, error)

    def _find(self, frame: Frame, before: _Detected | None = None) -> _Detected:
        """Find the faces of a video's frame, following those of ``before`` if given; in any thread."""
        image = frame.image.own
        thumbnail = make_thumbnail(image)
        if not frame.sampled:
            return self._detected(frame, thumbnail, None)
        known = None if before is None or before.ends_before(thumbnail, image) else before.sights
        faces = None if known is None else [sight.face for sight in known]
        return self._detected(frame, thumbnail, self._faces(frame.image, faces, still=False), known or ())

    def _detected(
        self,
        frame: Frame,
        thumbnail: Thumbnail | None,
        faces: Sequence[DetectedFace] | None,
        before: Sequence[_Sight] = (),
    ) -> _Detected:
        sights = None if faces is None else [self._sight(frame.image.own, face, before) for face in faces]
        return _Detected(frame, thumbnail, sights)

    def _faces(self, image: Image, known: Sequence[DetectedFace] | None, still: bool) -> list[DetectedFace]:
        """The faces to analyse, in pixels of the image's own shape, as are those of the frame before, ``known``."""
        detector, own = self._own()[0], image.own
        region = image.fit.own(self._region) if image.fit and self._region else self._region
        part = WHOLE if region is None else searched(region, own.width, own.height)
        if part is None:
            return []
        found = detector.detect(own, part=part) if still else detector.find(own, known, part)
        return [face for face in found if region is None or region.holds(face.box.center)]

    def _sight(self, image: Image, face: DetectedFace, before: Sequence[_Sight]) -> _Sight:
        """Crop and measure a face and rate its quality; ``before`` are the faces of the previous frame."""
        crop = crop_face(image, face, self._classifier.input_size)
        reader, mesh = self._own()[1], None
        if reader is not None and not self._limits.is_small(face):
            mesh = reader.read(image, face, _nearest(face, before))
        figures = None if mesh is None else measured(mesh)
        return _Sight(face, crop, self._limits.quality(face, crop, figures), mesh, figures)

    def _own(self) -> tuple[FaceDetector, FaceMesh | None]:
        """The calling thread's networks, made on first use."""
        if not hasattr(self._mine, "networks"):
            detector = self._make_detector()
            self._networks.append(detector)
            mesh = FaceMesh() if self._measures else None
            if mesh is not None:
                self._networks.append(mesh)
            self._mine.networks = detector, mesh
        found: tuple[FaceDetector, FaceMesh | None] = self._mine.networks
        return found

    def _classified(self, waiting: Sequence[_Detected]) -> deque[FrameDetections]:
        """Classify the faces of some frames; one thread at a time."""
        crops = [crop for found in waiting for crop in found.classified()]
        videos = any(found.thumbnail is not None for found in waiting)
        classified = iter(self._classifier.predict(np.stack(crops) if crops else [], mirrored=not videos))
        seen: deque[FrameDetections] = deque()
        for found in waiting:
            sights = found.sights or []
            one = FrameDetections(
                found.frame,
                found.thumbnail,
                None if found.sights is None else [sight.face for sight in sights],
                [] if found.thumbnail is None else [appearance(sight.crop) for sight in sights],
                [next(classified) if is_read(sight.quality) else None for sight in sights],
                [sight.quality for sight in sights],
                [sight.measures for sight in sights],
                [sight.mesh.landmarks if sight.mesh and self._landmarks else None for sight in sights],
                found.fault,
            )
            seen.append(_fitted(one))
        return seen


def detection_interval(time: float) -> int:
    """The number of the detection interval that contains a time in seconds."""
    return round(time / SEARCH_EVERY * 1000) // 1000  # a video's times are rounded, some to milliseconds


def _interval(frame: Frame) -> int | None:
    """The task queue of a video's frame: frames of one detection interval are processed in order, each with the faces
    of the one before."""
    return detection_interval(frame.time or 0.0) if frame.sampled else None


def _alone(frame: Frame) -> None:
    """The task queue of a single image: none."""


def tracked(seen: Iterable[FrameDetections]) -> Iterator[tuple[Frame, list[Observation] | None]]:
    """Assign the faces of all frames of one video, in order, to persons."""
    identities = _Identities()
    for one in seen:
        yield one.frame, _named(one, identities.assign_ids(one))


def _without_faults(seen: Iterable[FrameDetections], on_fault: OnFault | None) -> Iterator[FrameDetections]:
    """Skip frames with a fault and pass it to ``on_fault``; without ``on_fault``, raise it."""
    for one in seen:
        if one.fault is None:
            yield one
        elif on_fault is None:
            raise one.fault
        else:
            on_fault(one.frame, one.fault)


def ranked(seen: Iterable[FrameDetections]) -> Iterator[tuple[Frame, list[Observation] | None]]:
    """Number the faces of each single image, largest first."""
    for one in seen:
        yield one.frame, _named(one, rank_by_size(one.faces or []))


def _named(seen: FrameDetections, ids: list[int]) -> list[Observation] | None:
    if seen.faces is None:
        return None
    nothing = [None] * len(ids)  # not smoothed yet
    found = map(
        Observation, seen.faces, ids, seen.probabilities, nothing, seen.qualities, seen.measures, seen.landmarks
    )
    return sorted(found, key=lambda o: o.face_id)


class _Identities:
    """Tracker and shot detector of one video."""

    def __init__(self) -> None:
        self._tracker, self._shots = Tracker(), ShotDetector()
        self._cut = False

    def assign_ids(self, seen: FrameDetections) -> list[int]:
        """The ids of a frame's faces. Call it for every frame: those that were not sampled count for the cuts."""
        time = seen.frame.time or 0.0
        if seen.thumbnail is not None:
            self._cut |= self._shots.update(seen.thumbnail, time)
        if seen.faces is None:
            return []
        cut, self._cut = self._cut, False
        return self._tracker.update(seen.faces, time, seen.appearances, cut)


def _one_by_one(seen: deque[FrameDetections]) -> Iterator[FrameDetections]:
    """Yield all items, keeping no reference to those already yielded."""
    while seen:
        yield seen.popleft()


def _fitted(seen: FrameDetections) -> FrameDetections:
    """Convert the faces from the frame's own image to the video's pixels."""
    fit = seen.frame.image.fit
    if fit is None or seen.faces is None:
        return seen
    return replace(
        seen,
        faces=[fit.face(face) for face in seen.faces],
        measures=[figures and fit.measures(figures) for figures in seen.measures],
        landmarks=[None if points is None else fit.landmarks(points) for points in seen.landmarks],
    )


def _nearest(face: Face, before: Sequence[_Sight]) -> Mesh | None:
    """The mesh of the previous frame that is nearest to a face; ``FaceMesh`` checks whether it is this face's."""
    meshes = [sight.mesh for sight in before if sight.mesh is not None]
    middle = np.array(face.box.center)
    return min(meshes, key=lambda mesh: float(np.linalg.norm(mesh.landmarks[:, :2].mean(0) - middle)), default=None)


def _weight(frame: Frame) -> float:
    """A frame's share of the limits on pixels and frames in memory."""
    return max(frame.image.width * frame.image.height / MOST_PIXELS, 1 / MOST_FRAMES)
