"""The values that flow through fermedia.

Nothing here reads a file or loads a model. Pixel coordinates are those of the *upright* picture (rotation
metadata applied, pixels square), x to the right, y down, in pixels, with (0, 0) the outer corner of the first pixel.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
from numpy.typing import NDArray

#: The seven emotions in FER-2013's own label order (0..6). Every array, column and plot keeps this order.
EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
_HAPPY, _UNPLEASANT = EMOTIONS.index("happy"), [EMOTIONS.index(e) for e in ("angry", "disgust", "fear", "sad")]

Gray = NDArray[np.uint8]
"""A grey picture, shape (h, w), full range 0..255."""

Color = NDArray[np.uint8]
"""A colour picture, shape (h, w, 3), C-contiguous; each use says RGB or BGR."""


Part = tuple[slice, slice]
"""Rows and columns of a picture."""

WHOLE: Part = (slice(None), slice(None))


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels. It may lie partly outside the picture; its sides are positive."""

    x: float
    y: float
    width: float
    height: float

    def __post_init__(self) -> None:
        if not (self.width > 0 and self.height > 0):
            raise ValueError(f"a box needs positive sides, got {self.width} x {self.height}")

    @property
    def center(self) -> tuple[float, float]:
        """(x, y) of the middle."""
        return self.x + self.width / 2, self.y + self.height / 2

    @property
    def area(self) -> float:
        """Square pixels."""
        return self.width * self.height

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
    picture), left eye, nose tip, mouth, right ear, left ear. ``confidence`` is the detector's score, 0..1.
    """

    box: Box
    confidence: float
    keypoints: NDArray[np.float32]


@dataclass(frozen=True)
class Observation:
    """One face in one frame.

    ``face_id`` counts from 0; in a video it follows the person. ``probabilities`` has shape (7,), float32, in
    the order of ``EMOTIONS``, and sums to 1; None where the face is too small to be judged.
    """

    face: Face
    face_id: int
    probabilities: NDArray[np.float32] | None

    @property
    def emotion(self) -> str | None:
        """The most probable emotion; None where the face was not judged."""
        return None if self.probabilities is None else EMOTIONS[int(self.probabilities.argmax())]

    @property
    def valence(self) -> float | None:
        """FaceReader's convention: happy minus the strongest of angry, disgust, fear, sad; -1..1; None like above."""
        return None if self.probabilities is None else float(valence(self.probabilities))


def valence(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """Happy minus the strongest of angry, disgust, fear, sad, -1..1; shape (..., 7) becomes (...)."""
    p = np.asarray(probabilities, np.float64)
    return np.asarray(p[..., _HAPPY] - p[..., _UNPLEASANT].max(axis=-1))


@dataclass(frozen=True)
class Fit:
    """Where a picture lies in that of its film: as large as it fits, in the middle. Pixels of the film's picture.

    ``film`` is the film's (width, height); the picture's pixels become ``scale`` times as long there.
    """

    film: tuple[int, int]
    x: int
    y: int
    width: int
    height: int
    scale: float

    @classmethod
    def of(cls, size: tuple[int, int], film: tuple[int, int]) -> Fit | None:
        """That of a picture of ``size`` (width, height); None if it is the film's."""
        if size == film:
            return None
        scale = min(film[0] / size[0], film[1] / size[1])
        width, height = (min(full, max(1, round(side * scale))) for side, full in zip(size, film, strict=True))
        # Planes of colours have half the size.
        return cls(film, (film[0] - width) // 4 * 2, (film[1] - height) // 4 * 2, width, height, scale)

    def face(self, face: Face) -> Face:
        """A face that was found in the picture, in the film's pixels."""
        box, scale = face.box, self.scale
        moved = Box(self.x + box.x * scale, self.y + box.y * scale, box.width * scale, box.height * scale)
        keypoints = face.keypoints * np.float32(scale) + np.array([self.x, self.y], np.float32)
        return Face(moved, face.confidence, keypoints)


class Picture(ABC):
    """The pixels of a frame, converted only as far as somebody asks.

    Where a film's frames differ in shape, ``fit`` is where this one's ``own`` picture lies in it, else None.
    """

    fit: Fit | None = None

    @property
    def own(self) -> Picture:
        """The picture in its own shape, which faces are looked for in; itself if nothing was fitted in."""
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
        """The grey picture, (height, width), or a part of it; made anew for whoever asks."""

    @abstractmethod
    def rgb(self, size: tuple[int, int] | None = None) -> Color:
        """RGB, C-contiguous, of ``size`` (width, height), or of the picture's own. Shrinking averages areas."""


@dataclass(frozen=True)
class Frame:
    """One picture of an item and when it is shown.

    ``index`` counts decoded frames from 0, before any sampling. ``time`` is in seconds, as a player shows it;
    None for photos. ``duration`` is the stream's own claim in seconds, None where it makes none. ``sampled``
    says whether the frame is to be analysed; the others only pass through to the annotated video.
    ``name`` is the file's name for photos, None for video.
    """

    index: int
    time: float | None
    picture: Picture
    duration: float | None = None
    sampled: bool = True
    name: str | None = None


@dataclass(frozen=True)
class MediaItem:
    """One thing to analyse: a video, the photos that lie directly in one folder, or numbered pictures that are a film.

    ``key`` is its unique path below ``items/`` in the output folder (no ``..``, no absolute part; no key is a
    leading part of another). ``path`` is the video, the folder of the photos, or the pattern of the pictures in their
    folder (``take/frame_%04d.png``). ``files`` is the video alone, the photos in natural order, or the pictures in
    that of their ``numbers``, which only a sequence has, increasing.
    """

    kind: Literal["video", "photos", "sequence"]
    key: PurePosixPath
    path: Path
    files: tuple[Path, ...] = field(repr=False)
    numbers: tuple[int, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class MediaInfo:
    """What a video says about itself. Sizes are upright, square pixels; times are seconds; None where unknown."""

    width: int
    height: int
    average_rate: Fraction | None
    duration: float | None
    frames: int | None
    codec: str
    rotation: int
    audio: str | None
