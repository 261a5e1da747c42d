"""Find faces with MediaPipe's two detectors, from those that fill the picture to those in a crowd.

Neither detector alone finds both, and each has false alarms. So faces are found in two looks: squares of the picture
are shown to the networks, and each place they point at is cut out, grey and at one scale, and shown to the
short-range network. The second look decides, and gives the box: the same face is framed the same, whoever saw it first.
In a film, a face that was just found needs no first look: it is looked at where it was, and follows its own motion.
"""

from __future__ import annotations

import hashlib
import math
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from fermedia.errors import ModelError
from fermedia.files import models_dir
from fermedia.pictures import as_picture
from fermedia.types import Box, Color, Face, Picture
from fermedia.vision.framing import axes, cut_square, turn_of
from fermedia.vision.quiet import quiet_stderr
from fermedia.vision.tiles import PRESETS, Network, Place, Shrunk, Square, close_up, overlapping, same, whole_picture

#: The networks' files in ``models/face`` and the SHA-256 of each.
DETECTOR_FILES = {
    "face_detection_full_range_sparse.tflite": "2c3728e6da56f21e21a320433396fb06d40d9088f2247c05e5635a688d45dfe1",
    "face_detection_short_range.tflite": "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
}
_FILES: dict[Network, str] = dict(zip(("full", "short"), DETECTOR_FILES, strict=True))

#: A face of this confidence and this share of the shorter side saves ``balanced`` the look for close-ups.
_PLAIN_CONFIDENCE, _PLAIN_SHARE = 0.7, 0.2

#: The second look: widths of the first box that it covers, and the side of what the network is given.
_SECOND_SCOPE = 2.0
_SECOND_SIDE = 256

#: Least score of a place worth a second look. At 0.2, 2 in 100 more faces of 5 % of a film's width were found, for a
#: second look more in each frame.
_WORTH = 0.3

#: A place that shares this much (intersection over union) with one that was looked at is not looked at again.
_LIKE = 0.5

#: How two looks make one confidence: weights of their log odds, and their offset. Chosen on 1,158 places, 529 of them
#: faces (FER-2013 faces and a portrait set into pictures without faces at 8 sizes; a film and pictures without faces),
#: that both networks had pointed at in whole pictures: at 0.5, 95 % of the faces and 2 of the 629 others passed. First
#: scores alone, on a like set: 88 %, and 23 % of others. A fit to the squares of today (40,000 places) was no better.
_FIRST_WEIGHT, _SECOND_WEIGHT, _OFFSET = 0.35, 0.65, -0.5

#: The smaller a box, the more places there are for a false alarm: weight of the logarithm of its share of the shorter
#: side, and the least share that counts. Set by hand: without it 9, with it none of 120 pictures without faces had a
#: false face in a thorough search, and of 376 faces in others one was lost.
_SIZE_WEIGHT, _LEAST_SHARE = 0.2, 1 / 8


@dataclass(frozen=True)
class Found(Face):
    """A face and the place of the first look that led to it, which moves with the face as long as that is followed."""

    place: Place


class FaceDetector:
    """Finds faces in pictures. A context manager; ``close`` frees the networks.

    ``confidence`` is the least confidence of a face that is reported, 0..1. ``preset`` is how hard it looks: "fast",
    "balanced" or "thorough" (docs/detection.md has what each finds and costs). Raises ModelError when a network's file
    is missing or damaged. One detector must not be used by two threads at the same time; several may be.
    """

    def __init__(self, confidence: float = 0.5, preset: str = "balanced") -> None:
        if not 0 < confidence < 1:
            raise ValueError(f"confidence must lie between 0 and 1, got {confidence}")
        if preset not in PRESETS:
            raise ValueError(f"preset must be one of {', '.join(PRESETS)}, got {preset!r}")
        self._confidence = confidence
        self._preset = preset
        self._mediapipe = _import_mediapipe()
        with quiet_stderr():
            self._networks = {name: self._make(name) for name in _FILES}
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

    def detect(self, image: Picture | NDArray[np.uint8], *, still: bool = True) -> list[Found]:
        """The faces of a picture, largest first.

        ``image`` is a Picture or a uint8 array, grey (h, w) or BGR (h, w, 3), contiguous or not. Boxes and keypoints
        are pixels of it; a box may reach outside. ``still`` is False for the frames of a film, which ``balanced``
        searches less deep than a single picture (one level of squares, not two). Raises ValueError for other arrays.
        """
        picture = self._opened(image)
        size = picture.width, picture.height
        if self._preset == "fast":
            squares = whole_picture(*size)
        elif self._preset == "balanced":
            squares = overlapping(*size, levels=2 if still else 1)
        else:
            squares = overlapping(*size, levels=None)
        shrunk = Shrunk(picture, squares)
        faces = self._look(picture, shrunk, squares)
        plain = any(f.confidence > _PLAIN_CONFIDENCE and f.box.width > _PLAIN_SHARE * min(size) for f in faces)
        if self._preset == "thorough" or (self._preset == "balanced" and not plain):
            faces += self._look(picture, shrunk, [close_up(*size)])
        return _merged(faces)

    def follow(self, image: Picture | NDArray[np.uint8], faces: Sequence[Found]) -> list[Found] | None:
        """A film's faces of the frame before, in this one, largest first; None if not each is found near its place.

        It takes a second look at each and no first, so nobody new is found. Raises ValueError as ``detect`` does.
        """
        picture = self._opened(image)
        found: list[Found] = []
        for face in faces:
            now = self._second_look(picture, face.place)
            if now is None:
                return None
            found.append(replace(now, place=_carried(face.place, face.box, now.box)))
        merged = _merged(found)
        return merged if len(merged) == len(faces) else None

    def find(self, image: Picture | NDArray[np.uint8], known: Sequence[Found] | None) -> list[Found]:
        """The faces of a film's frame, largest first: those ``known`` from the frame before, if all are still there.

        Where it is None, or one of them is not found again, the whole picture is searched. Raises ValueError as
        ``detect`` does.
        """
        faces = None if known is None else self.follow(image, known)
        return self.detect(image, still=False) if faces is None else faces

    def _opened(self, image: Picture | NDArray[np.uint8]) -> Picture:
        if not self._finalizer.alive:
            raise ValueError("this detector is closed")
        return as_picture(image)

    def _look(self, picture: Picture, shrunk: Shrunk, squares: list[Square]) -> list[Found]:
        """The faces in some squares, of which some may be the same."""
        places = [place for square in squares for place in self._seen(shrunk, square)]
        faces: list[Found] = []
        known: list[Box] = []
        for place in sorted(places, key=lambda place: place.score, reverse=True):
            if any(place.box.iou(box) > _LIKE for box in known):
                continue
            known.append(place.box)
            face = self._second_look(picture, place)
            if face is not None:
                faces.append(face)
        return faces

    def _seen(self, shrunk: Shrunk, square: Square) -> list[Place]:
        image, shift, scale = shrunk.show(square)
        return [place.moved(shift, scale) for place in self._run(square.network, image)]

    def _second_look(self, picture: Picture, first: Place) -> Found | None:
        """The face at a place, or None where the closer look does not bear it out."""
        side = _SECOND_SCOPE * max(first.box.width, first.box.height)
        turn = turn_of(first.keypoints)
        gray = cut_square(picture, first.box.center, side, _SECOND_SIDE, turn)
        found = self._run("short", np.asarray(cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB), np.uint8))
        seen = [_brought_back(place, first.box.center, side / _SECOND_SIDE, turn) for place in found]
        seen = [place for place in seen if _holds(first.box, place.box.center)]
        if not seen:
            return None
        best = max(seen, key=lambda place: place.score)
        odds = _FIRST_WEIGHT * _log_odds(first.score) + _SECOND_WEIGHT * _log_odds(best.score) + _OFFSET
        share = best.box.width / min(picture.width, picture.height)
        odds += _SIZE_WEIGHT * math.log(min(max(share, _LEAST_SHARE), 1.0))
        confidence = 1 / (1 + math.exp(-odds))
        return Found(best.box, confidence, best.keypoints, first) if confidence >= self._confidence else None

    # -- MediaPipe ------------------------------------------------------------------------------------------------

    def _make(self, network: Network) -> Any:
        options = self._mediapipe.tasks.vision.FaceDetectorOptions(
            base_options=self._mediapipe.tasks.BaseOptions(model_asset_buffer=_model_bytes(_FILES[network])),
            min_detection_confidence=min(_WORTH, self._confidence),
        )
        return _without_detours(self._mediapipe.tasks.vision.FaceDetector.create_from_options(options))

    def _run(self, network: Network, rgb: Color) -> list[Place]:
        """What one network sees in a picture, in that picture's pixels."""
        # mp.Image ignores strides: padded rows would be read as pixels, and nothing found.
        image = self._mediapipe.Image(self._mediapipe.ImageFormat.SRGB, np.ascontiguousarray(rgb))
        size = np.array([rgb.shape[1], rgb.shape[0]])
        places = []
        for found in self._networks[network].detect(image).detections:
            edges = found.bounding_box
            if edges.width > 0 and edges.height > 0:
                box = Box(edges.origin_x, edges.origin_y, edges.width, edges.height)
                points = np.array([[point.x, point.y] for point in found.keypoints]) * size
                places.append(Place(box, found.categories[0].score, points.astype(np.float32)))
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
    _register_once()
    return mediapipe


def _register_once() -> None:
    """Let mediapipe declare its C functions once, and not anew for every image: a declaration that is replaced while
    another thread calls the function makes that call fail (seen with mediapipe 1.2.2)."""
    from mediapipe.tasks.python.core import mediapipe_c_bindings as bindings

    load = bindings.load_raw_library
    if getattr(load, "registers_once", False):
        return
    known: dict[int, tuple[Any, Any]] = {}
    lock = threading.Lock()

    def load_once(signatures: Any = (), *arguments: Any, **options: Any) -> Any:
        with lock:
            if id(signatures) not in known:
                known[id(signatures)] = signatures, load(signatures, *arguments, **options)
            return known[id(signatures)][1]

    load_once.registers_once = True  # type: ignore[attr-defined]
    bindings.load_raw_library = load_once


@dataclass(frozen=True)
class _Done:
    value: Any

    def result(self) -> Any:
        return self.value


class _AtOnce:
    """An executor that does what it is given where it is given."""

    def submit(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> _Done:
        return _Done(call(*args, **kwargs))

    def shutdown(self, wait: bool = True) -> None:
        """There is nothing to wait for."""


def _without_detours(network: Any) -> Any:
    """The same detector, but that its C functions are called in the caller's thread.

    mediapipe hands each call to another thread, so that no two are in one detector at a time. Ours are used by one
    thread at a time anyway, and where several look, these changes of thread cost a seventh of the pictures. Of a
    mediapipe that is built otherwise the detector stays as it is.
    """
    with suppress(AttributeError):
        own = network._lib
        direct = type(own)(own._lib, ())
        direct._executor = _AtOnce()
        for signature in sys.modules[type(network).__module__]._CTYPES_SIGNATURES:
            direct._register_signature(signature)
        network._lib = direct
        own.close()
    return network


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


def _brought_back(place: Place, center: tuple[float, float], scale: float, turn: float) -> Place:
    """A place seen in a square around ``center`` that is ``scale`` times as large and turned, in the picture."""
    points = np.vstack([place.box.center, place.keypoints])
    (x, y), *keypoints = (points - _SECOND_SIDE / 2) * scale @ axes(turn) + center
    width, height = place.box.width * scale, place.box.height * scale
    box = Box(float(x - width / 2), float(y - height / 2), width, height)
    return Place(box, place.score, np.array(keypoints, np.float32))


def _carried(place: Place, before: Box, now: Box) -> Place:
    """A place moved and scaled as the face in it was, so that the next look frames the face as this one did."""
    scale = math.sqrt(now.area / before.area)
    x, y = (np.array(place.box.center) - before.center) * scale + now.center
    width, height = place.box.width * scale, place.box.height * scale
    box = Box(float(x - width / 2), float(y - height / 2), width, height)
    points = (place.keypoints - np.array(before.center)) * scale + now.center
    return Place(box, place.score, points.astype(np.float32))


def _merged(faces: list[Found]) -> list[Found]:
    """One box a face, the surest; largest first."""
    kept: list[Found] = []
    for face in sorted(faces, key=lambda face: face.confidence, reverse=True):
        if not any(same(face.box, other.box) for other in kept):
            kept.append(face)
    return sorted(kept, key=lambda face: face.box.area, reverse=True)


def _holds(box: Box, point: tuple[float, float]) -> bool:
    return abs(point[0] - box.center[0]) < box.width / 2 and abs(point[1] - box.center[1]) < box.height / 2


def _log_odds(share: float) -> float:
    share = min(max(share, 1e-3), 1 - 1e-3)
    return math.log(share / (1 - share))
