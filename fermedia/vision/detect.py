"""Find faces with MediaPipe's two detectors, from those that fill the picture to those in a group.

Neither detector alone finds both, and each has false alarms. So faces are found in two looks: the whole picture is
shown to both networks, and each place they point at is cut out, grey and at one scale, and shown to the short-range
network again. The second look decides, and gives the box: the same face is framed the same, whoever saw it first.
"""

from __future__ import annotations

import hashlib
import math
import sys
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from fermedia.errors import ModelError
from fermedia.files import models_dir
from fermedia.pictures import as_picture
from fermedia.types import Box, Color, Face, Picture
from fermedia.vision.framing import cut_square
from fermedia.vision.quiet import quiet_stderr

#: The networks' files in ``models/face`` and the SHA-256 of each.
DETECTOR_FILES = {
    "face_detection_full_range_sparse.tflite": "2c3728e6da56f21e21a320433396fb06d40d9088f2247c05e5635a688d45dfe1",
    "face_detection_short_range.tflite": "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
}
_FULL, _SHORT = DETECTOR_FILES

#: The first look: network, and border as a share of the picture's sides, replicated. Full range is for groups, short
#: range for close-ups, and with the border for faces that fill the frame (facts measured on FER-2013's own crops).
_VIEWS = ((_FULL, 0.0), (_SHORT, 0.0), (_SHORT, 0.5))

#: Longest side of the picture at the first look. The networks see 192 and 128 pixels and shrink without averaging;
#: whole multiples suffer least. Larger pictures were not found to show them more.
_FIRST_SIDE = 384

#: The second look: widths of the first box that it covers, and the side of what the network is given.
_SECOND_SCOPE = 2.0
_SECOND_SIDE = 256

#: Least score of a place worth a second look.
_WORTH = 0.3

#: How two looks make one confidence: weights of their log odds, and their offset. Chosen on 1,158 places, 529 of them
#: faces (FER-2013 faces and a portrait set into pictures without faces at 8 sizes; a film and pictures without faces):
#: at 0.5, 95 % of the faces and 2 of the 629 others pass. First scores alone, on a like set: 88 %, and 23 % of others.
_FIRST_WEIGHT, _SECOND_WEIGHT, _OFFSET = 0.35, 0.65, -0.5

#: Boxes are of one face if they share this much of the smaller one.
_SAME = 0.6


@dataclass(frozen=True)
class _Place:
    """Where a network sees a face: box and keypoints (6, 2) in pixels of the upright picture."""

    box: Box
    score: float
    keypoints: NDArray[np.float32]


class FaceDetector:
    """Finds faces in pictures. A context manager; ``close`` frees the networks.

    ``confidence`` is the least confidence of a face that is reported, 0..1. Raises ModelError when a network's file is
    missing or damaged. One detector must not be used by two threads at the same time.
    """

    def __init__(self, confidence: float = 0.5) -> None:
        if not 0 < confidence < 1:
            raise ValueError(f"confidence must lie between 0 and 1, got {confidence}")
        self._confidence = confidence
        self._mediapipe = _import_mediapipe()
        with quiet_stderr():
            self._networks = {name: self._make(name) for name in DETECTOR_FILES}
            blank = np.zeros((_SECOND_SIDE, _SECOND_SIDE, 3), np.uint8)
            for name in self._networks:  # some lines come with the first picture
                self._run(name, blank)
        # mediapipe complains at the interpreter's end about networks that are still open.
        self._finalizer = weakref.finalize(self, _close, list(self._networks.values()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the networks. May be called again."""
        self._finalizer()

    def detect(self, image: Picture | NDArray[np.uint8]) -> list[Face]:
        """The faces of a picture, largest first.

        ``image`` is a Picture or a uint8 array, grey (h, w) or BGR (h, w, 3), contiguous or not. Boxes and keypoints
        are pixels of it; a box may reach outside. Raises ValueError for other arrays.
        """
        if not self._finalizer.alive:
            raise ValueError("this detector is closed")
        picture = as_picture(image)
        faces: list[Face] = []
        for place in self._first_look(picture):
            if any(_same(place.box, face.box) for face in faces):
                continue
            face = self._second_look(picture, place)
            if face is not None and not any(_same(face.box, other.box) for other in faces):
                faces.append(face)
        return sorted(faces, key=lambda face: face.box.area, reverse=True)

    def _first_look(self, picture: Picture) -> list[_Place]:
        """Places that may be faces, the likeliest first."""
        longest = max(picture.width, picture.height)
        small = picture.rgb(_scaled(picture.width, picture.height, min(1.0, _FIRST_SIDE / longest)))
        places = []
        for name, share in _VIEWS:
            # With its border, too, the picture is no larger than the network has use for.
            width, height = _scaled(small.shape[1], small.shape[0], 1 / (1 + 2 * share))
            border = np.array([round(width * share), round(height * share)])
            shown = _with_border(small, width, height, border) if share else small
            stretch = np.array([picture.width / width, picture.height / height])
            places += [_moved(place, -border, stretch) for place in self._run(name, shown)]
        return sorted(places, key=lambda place: place.score, reverse=True)

    def _second_look(self, picture: Picture, first: _Place) -> Face | None:
        """The face at a place, or None where the closer look does not bear it out."""
        side = _SECOND_SCOPE * max(first.box.width, first.box.height)
        x, y = first.box.center
        gray = cut_square(picture.gray(), (x, y), side, _SECOND_SIDE)
        shown = np.repeat(gray[:, :, None], 3, axis=2)
        scale = side / _SECOND_SIDE
        corner = np.array([x - side / 2, y - side / 2])
        seen = [_moved(place, corner / scale, np.array([scale, scale])) for place in self._run(_SHORT, shown)]
        seen = [place for place in seen if _same(place.box, first.box)]
        if not seen:
            return None
        best = max(seen, key=lambda place: place.score)
        odds = _FIRST_WEIGHT * _log_odds(first.score) + _SECOND_WEIGHT * _log_odds(best.score) + _OFFSET
        confidence = 1 / (1 + math.exp(-odds))
        return Face(best.box, confidence, best.keypoints) if confidence >= self._confidence else None

    # -- MediaPipe ------------------------------------------------------------------------------------------------

    def _make(self, name: str) -> Any:
        options = self._mediapipe.tasks.vision.FaceDetectorOptions(
            base_options=self._mediapipe.tasks.BaseOptions(model_asset_buffer=_model_bytes(name)),
            min_detection_confidence=min(_WORTH, self._confidence),
        )
        return self._mediapipe.tasks.vision.FaceDetector.create_from_options(options)

    def _run(self, name: str, rgb: Color) -> list[_Place]:
        """What one network sees in a picture, in that picture's pixels."""
        # mp.Image ignores strides: padded rows would be read as pixels, and nothing found.
        image = self._mediapipe.Image(self._mediapipe.ImageFormat.SRGB, np.ascontiguousarray(rgb))
        size = np.array([rgb.shape[1], rgb.shape[0]])
        places = []
        for found in self._networks[name].detect(image).detections:
            edges = found.bounding_box
            if edges.width > 0 and edges.height > 0:
                box = Box(edges.origin_x, edges.origin_y, edges.width, edges.height)
                points = np.array([[point.x, point.y] for point in found.keypoints]) * size
                places.append(_Place(box, found.categories[0].score, points.astype(np.float32)))
        return places


def _import_mediapipe() -> Any:
    """mediapipe without tensorflow, which it would import, where it is installed, for a decorator of its own manual."""
    if "mediapipe" in sys.modules or "tensorflow" in sys.modules:
        import mediapipe
    else:
        sys.modules["tensorflow"] = None  # type: ignore[assignment]  # makes its import fail
        try:
            with quiet_stderr():
                import mediapipe
        finally:
            del sys.modules["tensorflow"]
    return mediapipe


def _model_bytes(name: str) -> bytes:
    path: Path = models_dir() / "face" / name
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"{path}: the face detector's model is missing ({error.strerror}); reinstall fermedia"
        ) from error
    if hashlib.sha256(content).hexdigest() != DETECTOR_FILES[name]:
        raise ModelError(f"{path}: the face detector is damaged; reinstall fermedia")
    return content


def _close(networks: list[Any]) -> None:
    with quiet_stderr():
        for network in networks:
            try:
                network.close()
            except RuntimeError:  # the interpreter ends, and mediapipe's thread is already gone
                network._handle = None


# -- geometry -----------------------------------------------------------------------------------------------------


def _scaled(width: int, height: int, factor: float) -> tuple[int, int]:
    return max(1, round(width * factor)), max(1, round(height * factor))


def _with_border(rgb: Color, width: int, height: int, border: NDArray[Any]) -> Color:
    """The picture shrunk to (width, height), and around it its repeated edge, ``border`` (x, y) wide on each side."""
    shrunk = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)
    across, down = border.tolist()
    return np.asarray(cv2.copyMakeBorder(shrunk, down, down, across, across, cv2.BORDER_REPLICATE), dtype=np.uint8)


def _moved(place: _Place, shift: NDArray[Any], scale: NDArray[Any]) -> _Place:
    """The place with ``shift`` (x, y) added to its coordinates, and then multiplied by ``scale`` (x, y)."""
    x, y = (np.array([place.box.x, place.box.y]) + shift) * scale
    width, height = np.array([place.box.width, place.box.height]) * scale
    points = (place.keypoints + shift) * scale
    return _Place(Box(float(x), float(y), float(width), float(height)), place.score, points.astype(np.float32))


def _same(a: Box, b: Box) -> bool:
    """Whether two boxes are of one face."""
    across = min(a.x + a.width, b.x + b.width) - max(a.x, b.x)
    down = min(a.y + a.height, b.y + b.height) - max(a.y, b.y)
    return across > 0 and down > 0 and across * down > _SAME * min(a.area, b.area)


def _log_odds(share: float) -> float:
    share = min(max(share, 1e-3), 1 - 1e-3)
    return math.log(share / (1 - share))
