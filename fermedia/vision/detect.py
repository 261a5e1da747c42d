"""Find faces with MediaPipe's two detectors, from those that fill the picture to those in a crowd.

Neither detector alone finds both, and each has false alarms. So faces are found in two looks: squares of the picture
are shown to the networks, and each place they point at is cut out, grey and at one scale, and shown to the
short-range network. The second look decides, and gives the box: the same face is framed the same, whoever saw it first.
Where a single picture shows no face so, it may be one large face that is hard to see: then several views must agree.
In a film, a face that was just found needs no first look: it is looked at where it was, and follows its own motion.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fermedia.options import RUNTIMES
from fermedia.pictures import as_picture
from fermedia.types import Box, Face, Picture
from fermedia.vision.framing import axes, cut_square, turn_of
from fermedia.vision.networks import SEEN, Detector, LiteRTDetector, Network, Place
from fermedia.vision.tiles import PRESETS, Shrunk, Square, close_up, overlapping, same, whole_picture

#: A face of this confidence and this share of the shorter side saves ``balanced`` the look for close-ups.
_PLAIN_CONFIDENCE, _PLAIN_SHARE = 0.7, 0.2

#: The second look: widths of the first box that it covers, and the side of what the network is given.
_SECOND_SCOPE = 2.0
_SECOND_SIDE = SEEN["short"]

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

#: Views of a picture in which no face was found, for one that fills it and that no single look is sure of (in profile,
#: strongly rolled, blurred, cut by the edge): sides in shorter sides of the picture, and degrees that it is turned by.
_VIEWS = tuple((scope, turn) for scope in (1.2, 1.6, 2.2) for turn in (0.0, -35.0, 35.0))

#: How the views make one confidence: the log odds of one that sees nothing there, and an offset to the mean of all.
_NOTHING, _VIEWS_OFFSET = -2.2, 0.3

#: What such a face has at least: its box's share of the shorter side, and the way from the eyes to the mouth in widths
#: of its box. Where a network sees faces in things, they are small and squat. Of 43 close-ups from press and film
#: photos that one look had been too unsure of, 30 pass; of 223 pictures of things, one (without the last rule four).
_FILLING, _EYES_TO_MOUTH = 0.4, 0.35


@dataclass(frozen=True)
class Found(Face):
    """A face and the place of the first look that led to it, which moves with the face as long as that is followed."""

    place: Place


class FaceDetector:
    """Finds faces in pictures. A context manager; ``close`` frees the networks.

    ``confidence`` is the least confidence of a face that is reported, 0..1. ``preset`` is how hard it looks: "fast",
    "balanced" or "thorough" (docs/detection.md has what each finds and costs). ``runtime`` is who runs the networks:
    "litert", or "mediapipe", Google's own package (the extra of that name), which reports its use to Google. Raises
    ModelError when a network's file is missing or damaged, MissingExtraError without that package. One detector must
    not be used by two threads at the same time; several may be.
    """

    def __init__(self, confidence: float = 0.5, preset: str = "balanced", runtime: str = "litert") -> None:
        if not 0 < confidence < 1:
            raise ValueError(f"confidence must lie between 0 and 1, got {confidence}")
        for name, value, known in (("preset", preset, PRESETS), ("runtime", runtime, RUNTIMES)):
            if value not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}")
        self._confidence = confidence
        # Faces that are not reported still tell whether a picture has a large one, whatever the least confidence is.
        self._kept = min(confidence, _PLAIN_CONFIDENCE)
        self._preset = preset
        make = _maker(runtime)
        self._networks: dict[Network, Detector] = {name: make(name, min(_WORTH, confidence)) for name in SEEN}
        self._open = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the networks. May be called again."""
        self._open = False
        for network in self._networks.values():
            network.close()

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
        found = self._reported(faces)
        if not found and (self._preset == "thorough" or (self._preset == "balanced" and still)):
            found = self._reported(self._filling(picture))
        return found

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
        reported = self._reported(found)
        return reported if len(reported) == len(faces) else None

    def find(self, image: Picture | NDArray[np.uint8], known: Sequence[Found] | None) -> list[Found]:
        """The faces of a film's frame, largest first: those ``known`` from the frame before, if all are still there.

        Where it is None, or one of them is not found again, the whole picture is searched. Raises ValueError as
        ``detect`` does.
        """
        faces = None if known is None else self.follow(image, known)
        return self.detect(image, still=False) if faces is None else faces

    def _reported(self, faces: list[Found]) -> list[Found]:
        return [face for face in _merged(faces) if face.confidence >= self._confidence]

    def _opened(self, image: Picture | NDArray[np.uint8]) -> Picture:
        if not self._open:
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

    def _filling(self, picture: Picture) -> list[Found]:
        """A face that fills the picture, if enough of several views of it agree that there is one."""
        short, middle = min(picture.width, picture.height), (picture.width / 2, picture.height / 2)
        views: list[list[Place]] = []
        for scope, turn in _VIEWS:
            gray = cut_square(picture, middle, scope * short, _SECOND_SIDE, turn)
            scale = scope * short / _SECOND_SIDE
            views.append([_brought_back(p, middle, scale, turn) for p in self._networks["short"].look(gray)])
        places = [place for view in views for place in view if place.box.width >= _FILLING * short]
        if not places:
            return []
        best = max(places, key=lambda place: place.score)
        alike = [max((p for p in view if same(p.box, best.box)), key=lambda p: p.score, default=None) for view in views]
        odds = np.mean([_log_odds(place.score) if place else _NOTHING for place in alike]) + _VIEWS_OFFSET
        place = _mean_place([place for place in alike if place])
        eyes, mouth = place.keypoints[:2].mean(0), place.keypoints[3]
        if np.linalg.norm(mouth - eyes) < _EYES_TO_MOUTH * place.box.width:
            return []
        return [Found(place.box, float(1 / (1 + np.exp(-odds))), place.keypoints, place)]

    def _seen(self, shrunk: Shrunk, square: Square) -> list[Place]:
        image, shift, scale = shrunk.show(square)
        return [place.moved(shift, scale) for place in self._networks[square.network].look(image)]

    def _second_look(self, picture: Picture, first: Place) -> Found | None:
        """The face at a place, or None where the closer look does not bear it out."""
        side = _SECOND_SCOPE * max(first.box.width, first.box.height)
        turn = turn_of(first.keypoints)
        gray = cut_square(picture, first.box.center, side, _SECOND_SIDE, turn)
        found = self._networks["short"].look(gray)
        seen = [_brought_back(place, first.box.center, side / _SECOND_SIDE, turn) for place in found]
        seen = [place for place in seen if _holds(first.box, place.box.center)]
        if not seen:
            return None
        best = max(seen, key=lambda place: place.score)
        odds = _FIRST_WEIGHT * _log_odds(first.score) + _SECOND_WEIGHT * _log_odds(best.score) + _OFFSET
        share = best.box.width / min(picture.width, picture.height)
        odds += _SIZE_WEIGHT * math.log(min(max(share, _LEAST_SHARE), 1.0))
        confidence = 1 / (1 + math.exp(-odds))
        return Found(best.box, confidence, best.keypoints, first) if confidence >= self._kept else None


def _maker(runtime: str) -> Callable[[Network, float], Detector]:
    if runtime == "litert":
        return LiteRTDetector
    from fermedia.vision.reference import MediaPipeDetector

    return MediaPipeDetector


def _brought_back(place: Place, center: tuple[float, float], scale: float, turn: float) -> Place:
    """A place seen in a square around ``center`` that is ``scale`` times as large and turned, in the picture."""
    points = np.vstack([place.box.center, place.keypoints])
    (x, y), *keypoints = (points - _SECOND_SIDE / 2) * scale @ axes(turn) + center
    width, height = place.box.width * scale, place.box.height * scale
    box = Box(float(x - width / 2), float(y - height / 2), width, height)
    return Place(box, place.score, np.array(keypoints, np.float32))


def _mean_place(places: list[Place]) -> Place:
    """One place of several of the same face, weighted by their scores."""
    weights = [place.score for place in places]
    boxes = [(place.box.x, place.box.y, place.box.width, place.box.height) for place in places]
    points = np.average([place.keypoints for place in places], axis=0, weights=weights)
    box = Box(*np.average(boxes, axis=0, weights=weights).tolist())
    return Place(box, max(weights), points.astype(np.float32))


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
