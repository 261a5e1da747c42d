"""The data types of fermedia, and the protocols of what produces and consumes them.

Nothing here reads a file or loads a model. Pixel coordinates are those of the *upright* image (rotation
metadata applied, pixels square), x to the right, y down, in pixels, with (0, 0) the outer corner of the first pixel.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from fermedia.options import Sampling

#: The seven emotions in FER-2013's own label order (0..6). Every array, column and plot keeps this order.
EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
_HAPPY, _UNPLEASANT = EMOTIONS.index("happy"), [EMOTIONS.index(e) for e in ("angry", "disgust", "fear", "sad")]

#: The number of landmarks in a mesh. The first 468 are on the face, then five on each iris, its centre first: the
#: person's right eye (468 to 472), then the left one (473 to 477).
LANDMARKS = 478

#: The blendshapes (facial movements), in the network's order, with MediaPipe's (and Apple ARKit's) names. Left and
#: right are the person's. The first is no movement, but how much the face is at rest.
BLENDSHAPES = (
    "_neutral",
    "browDownLeft",
    "browDownRight",
    "browInnerUp",
    "browOuterUpLeft",
    "browOuterUpRight",
    "cheekPuff",
    "cheekSquintLeft",
    "cheekSquintRight",
    "eyeBlinkLeft",
    "eyeBlinkRight",
    "eyeLookDownLeft",
    "eyeLookDownRight",
    "eyeLookInLeft",
    "eyeLookInRight",
    "eyeLookOutLeft",
    "eyeLookOutRight",
    "eyeLookUpLeft",
    "eyeLookUpRight",
    "eyeSquintLeft",
    "eyeSquintRight",
    "eyeWideLeft",
    "eyeWideRight",
    "jawForward",
    "jawLeft",
    "jawOpen",
    "jawRight",
    "mouthClose",
    "mouthDimpleLeft",
    "mouthDimpleRight",
    "mouthFrownLeft",
    "mouthFrownRight",
    "mouthFunnel",
    "mouthLeft",
    "mouthLowerDownLeft",
    "mouthLowerDownRight",
    "mouthPressLeft",
    "mouthPressRight",
    "mouthPucker",
    "mouthRight",
    "mouthRollLower",
    "mouthRollUpper",
    "mouthShrugLower",
    "mouthShrugUpper",
    "mouthSmileLeft",
    "mouthSmileRight",
    "mouthStretchLeft",
    "mouthStretchRight",
    "mouthUpperUpLeft",
    "mouthUpperUpRight",
    "noseSneerLeft",
    "noseSneerRight",
)

#: The least presence at which a mesh is trusted.
PRESENT = 0.5

#: Degrees from the camera within which a gaze counts as into it: the error of a gaze is about 10.
AT_CAMERA = 15.0

#: The quality of a face without objections, and the objections. A face that is too small, turned or bent too far
#: (``--min-face``, ``--max-yaw``, ``--max-pitch``) is not classified; one that is covered, dark, bright or blurred is.
GOOD, REASONS = "good", ("small", "turned", "bent", "covered", "dark", "bright", "blurred")

Gray = NDArray[np.uint8]
"""A grey image, shape (h, w), full range 0..255."""

Color = NDArray[np.uint8]
"""A colour image, shape (h, w, 3), C-contiguous; each use says RGB or BGR."""


Part = tuple[slice, slice]
"""Rows and columns of an image."""

WHOLE: Part = (slice(None), slice(None))


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels. It may lie partly outside the image; its sides are positive."""

    x: float
    y: float
    width: float
    height: float

    def __post_init__(self) -> None:
        if not (self.width > 0 and self.height > 0):
            raise ValueError(f"a box needs positive sides, got {self.width} x {self.height}")

    @property
    def center(self) -> tuple[float, float]:
        """(x, y) of the centre."""
        return self.x + self.width / 2, self.y + self.height / 2

    @property
    def area(self) -> float:
        """Square pixels."""
        return self.width * self.height

    def holds(self, point: tuple[float, float]) -> bool:
        """Whether a point (x, y) lies in the box; its left and top edges belong to it."""
        return 0 <= point[0] - self.x < self.width and 0 <= point[1] - self.y < self.height

    def iou(self, other: Box) -> float:
        """Intersection over union with another box, 0..1."""
        w = min(self.x + self.width, other.x + other.width) - max(self.x, other.x)
        h = min(self.y + self.height, other.y + other.height) - max(self.y, other.y)
        if w <= 0 or h <= 0:
            return 0.0
        return w * h / (self.area + other.area - w * h)


@dataclass(frozen=True)
class Face:
    """A detected face.

    ``keypoints`` has shape (6, 2), float32, pixels, in MediaPipe's order: the person's right eye (left in the
    image), left eye, nose tip, mouth, right ear, left ear. ``confidence`` is the detector's score, 0..1.
    """

    box: Box
    confidence: float
    keypoints: NDArray[np.float32]


@dataclass(frozen=True)
class Mesh:
    """A face's landmarks and blendshapes in one image.

    ``presence`` is the network's confidence that the crop shows a face that is not covered, 0..1. ``landmarks`` has
    shape (478, 3), float32: x and y in pixels of the image, and z, the depth away from the camera, in the same unit,
    from about the middle of the head. ``blendshapes`` has shape (52,), float32, 0..1, in the order of ``BLENDSHAPES``.
    """

    presence: float
    landmarks: NDArray[np.float32]
    blendshapes: NDArray[np.float32]


@dataclass(frozen=True)
class Pose:
    """A head's orientation: angles in degrees as defined in ``vision.pose``, and its coordinate system in the image.

    ``rotation`` (3, 3), float64, maps directions of the head (right in the image, down, away, for a face that
    faces the camera) to directions in the image. ``scale`` is in pixels for one centimetre of the canonical face.
    """

    yaw: float
    pitch: float
    roll: float
    rotation: NDArray[np.float64]
    scale: float


@dataclass(frozen=True)
class Gaze:
    """A direction in degrees: ``x`` to the right in the image, ``y`` down."""

    x: float
    y: float

    @property
    def at_camera(self) -> bool:
        """Whether a gaze relative to the camera is into it, within the error of a gaze."""
        return self.away <= AT_CAMERA

    @property
    def away(self) -> float:
        """Degrees from straight ahead, 0..180."""
        x, y = math.tan(math.radians(self.x)), math.tan(math.radians(self.y))
        return math.degrees(math.atan(math.hypot(x, y)))


@dataclass(frozen=True)
class Measures:
    """A face's measures in one image, as defined in ``vision.measures``.

    ``presence`` and ``blendshapes`` are the mesh's: where ``presence`` is below ``PRESENT``, the other values are
    unreliable. ``pose`` is the head's. ``gaze`` is relative to the camera: (0, 0) is into it. ``head_gaze`` is relative
    to the head: (0, 0) is straight ahead. Both are None where no eye is open. ``right_eye`` and ``left_eye`` are the
    openings of the person's eyes: about 0.3 is open, below 0.15 shut. ``mouth_opening`` and ``mouth_width`` are
    lengths; ``right_corner`` and ``left_corner`` are the heights of the mouth's corners above the middle of the lips;
    these four are relative to the distance between the outer corners of the eyes.
    """

    presence: float
    pose: Pose
    gaze: Gaze | None
    head_gaze: Gaze | None
    right_eye: float
    left_eye: float
    mouth_opening: float
    mouth_width: float
    right_corner: float
    left_corner: float
    blendshapes: NDArray[np.float32]


@dataclass(frozen=True)
class Observation:
    """One face in one frame.

    ``face_id`` counts from 0; in a video it follows the person up to the next cut, in an image it ranks the faces by
    size, 0 the largest. ``probabilities`` has shape (7,), float32, in the order of ``EMOTIONS``, sums to 1, and is
    from this frame alone; None where the face is not classified, for which ``quality`` gives the reasons. ``smoothed``
    is its average over the surrounding frames (``smooth`` seconds), which drawn labels show; None where the face is
    not classified, or not smoothed yet.

    ``quality`` says whether the classification can be trusted: "good", or the reasons why not (``REASONS``), separated
    by spaces; None where it is unknown. ``measures`` and the mesh's ``landmarks`` (478, 3) are None where they were
    not requested, and where the face is too small.
    """

    face: Face
    face_id: int
    probabilities: NDArray[np.float32] | None
    smoothed: NDArray[np.float32] | None = None
    quality: str | None = None
    measures: Measures | None = None
    landmarks: NDArray[np.float32] | None = None

    @property
    def emotion(self) -> str | None:
        """The most probable emotion; None where the face was not classified."""
        return None if self.probabilities is None else EMOTIONS[int(self.probabilities.argmax())]

    @property
    def valence(self) -> float | None:
        """Happy minus the strongest of angry, disgust, fear, sad (FaceReader's convention), -1..1; None like
        ``emotion``."""
        return None if self.probabilities is None else float(valence(self.probabilities))


def valence(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """Happy minus the strongest of angry, disgust, fear, sad, -1..1; shape (..., 7) becomes (...)."""
    p = np.asarray(probabilities, np.float64)
    return np.asarray(p[..., _HAPPY] - p[..., _UNPLEASANT].max(axis=-1))


@dataclass(frozen=True)
class Fit:
    """The place of a frame's own image in the video's image: scaled to fit and centred, in pixels of the latter.

    ``video`` is the video's (width, height); lengths in the own image are multiplied by ``scale``.
    """

    video: tuple[int, int]
    x: int
    y: int
    width: int
    height: int
    scale: float

    @classmethod
    def of(cls, size: tuple[int, int], video: tuple[int, int]) -> Fit | None:
        """The fit of an image of ``size`` (width, height); None if that is the video's size."""
        if size == video:
            return None
        scale = min(video[0] / size[0], video[1] / size[1])
        width, height = (min(full, max(1, round(side * scale))) for side, full in zip(size, video, strict=True))
        # Even offsets: chroma planes have half the size.
        return cls(video, (video[0] - width) // 4 * 2, (video[1] - height) // 4 * 2, width, height, scale)

    def own(self, box: Box) -> Box:
        """A box in the video's pixels, converted to the own image's."""
        scale = self.scale
        return Box((box.x - self.x) / scale, (box.y - self.y) / scale, box.width / scale, box.height / scale)

    def face(self, face: Face) -> Face:
        """A face in the own image, converted to the video's pixels."""
        box, scale = face.box, self.scale
        moved = Box(self.x + box.x * scale, self.y + box.y * scale, box.width * scale, box.height * scale)
        keypoints = face.keypoints * np.float32(scale) + np.array([self.x, self.y], np.float32)
        return Face(moved, face.confidence, keypoints)

    def measures(self, measures: Measures) -> Measures:
        """Measures in the own image, converted to the video's pixels."""
        return replace(measures, pose=replace(measures.pose, scale=measures.pose.scale * self.scale))

    def landmarks(self, landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
        """Landmarks (478, 3) in the own image, converted to the video's pixels."""
        return landmarks * np.float32(self.scale) + np.array([self.x, self.y, 0], np.float32)


class Image(ABC):
    """The pixels of a frame, converted only on demand.

    Where a frame's shape differs from the video's, ``fit`` is the place of its ``own`` image in the video's; else None.
    """

    fit: Fit | None = None

    @property
    def own(self) -> Image:
        """The image in its own shape, in which faces are detected; the image itself if it was not fitted."""
        return self

    @property
    @abstractmethod
    def width(self) -> int:
        """Pixels, upright."""

    @property
    @abstractmethod
    def height(self) -> int:
        """Pixels, upright."""

    @abstractmethod
    def gray(self, part: Part = WHOLE) -> Gray:
        """The grey image, (height, width), uint8, or a part of it; a new array for each call."""

    @abstractmethod
    def rgb(self, size: tuple[int, int] | None = None, part: Part = WHOLE) -> Color:
        """RGB of the image or a part of it, (height, width, 3), uint8, C-contiguous; scaled to ``size`` (width, height)
        if given, by averaging areas when it shrinks."""


@dataclass(frozen=True)
class Frame:
    """One image of an item and when it is shown.

    ``index`` counts decoded frames from 0, before any sampling. ``time`` is in seconds, as a player shows it;
    None for photos. ``duration`` is what the stream declares, in seconds, None where it declares none. ``sampled``
    says whether the frame is to be analysed; the others are only copied to the annotated video.
    ``name`` is the file's name for photos, None for video.
    """

    index: int
    time: float | None
    image: Image
    duration: float | None = None
    sampled: bool = True
    name: str | None = None


@dataclass(frozen=True)
class MediaItem:
    """One input to analyse: a video, the photos directly in one folder, or numbered images that form a video.

    The kind ``folder`` is a folder that cannot be read: it has no files and always fails, so that the gap is reported.

    ``key`` is its unique path below ``items/`` in the output folder (no ``..``, no absolute part; no key is a
    parent of another). ``path`` is the video, the folder of the photos, or the pattern of the images in their
    folder (``take/frame_%04d.png``). ``files`` is the video alone, the photos in natural order, or the images in the
    order of their ``numbers``, which increase and which only a sequence has.
    """

    kind: Literal["video", "photos", "sequence", "folder"]
    key: PurePosixPath
    path: Path
    files: tuple[Path, ...] = field(repr=False)
    numbers: tuple[int, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class MediaInfo:
    """A video's metadata. Sizes are in upright, square pixels, times in seconds; None where unknown.

    ``recorded`` is when the video was recorded, as its file says (``creation_time``); some cameras write the end.
    """

    width: int
    height: int
    average_rate: Fraction | None
    duration: float | None
    frames: int | None
    codec: str
    rotation: int
    audio: str | None
    recorded: str | None = None


class Reader(Protocol):
    """A video that is open for reading: a context manager."""

    @property
    def info(self) -> MediaInfo:
        """The video's metadata."""

    @property
    def warning(self) -> str | None:
        """What could not be read, None if everything was; final when ``frames`` has ended."""

    @property
    def notes(self) -> list[str]:
        """What is ignored and what was repaired, one line each; final when ``frames`` has ended."""

    @property
    def seams(self) -> Sequence[Fraction]:
        """The shift of the times after each restart of the video's clock, in seconds, as far as frames were read."""

    @property
    def larger(self) -> tuple[int, int] | None:
        """The (width, height) that fits all frames, once one was larger than the video; until then None."""

    def frames(self, sampling: Sampling | None = None) -> Iterator[Frame]:
        """Yield the frames from ``start`` to before ``end``, times increasing strictly; a second call starts over.

        The frames to analyse are marked ``sampled``.
        """
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Sink(Protocol):
    """An output made from frames and their observations: a context manager, whose output is complete at its end.

    After an error inside, nothing is left that looks complete. A write error is raised as a MediaError of the stage
    ``write``.
    """

    def write(self, frame: Frame, observations: Sequence[Observation] | None) -> None:
        """Write the next frame with its faces; None where it was not analysed."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
