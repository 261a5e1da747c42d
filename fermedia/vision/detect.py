"""Detect faces of all sizes, from those that fill the image to those in a crowd, with MediaPipe's two detectors.

Neither detector alone finds all sizes, and both have false positives. So detection has two stages. Proposal: the
networks run on squares of the image. Verification: each proposed face is cropped, grey and at one scale, and given to
the short-range network, which decides and gives the box, so that a face is framed the same whichever network proposed
it. If no face is found in a single image, it may be one large face that is hard to detect: then several views of the
image must agree. In a video, a face that was found in the frame before needs no proposal: it is verified where it was.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fermedia.images import as_image
from fermedia.options import PRESETS, RUNTIMES
from fermedia.types import WHOLE, Box, Face, Image, Part
from fermedia.vision.framing import axes, cut_square, turn_of
from fermedia.vision.networks import SEEN, Candidate, Detector, LiteRTDetector, Network
from fermedia.vision.tiles import Shrunk, Square, close_up, extent, overlapping, same, whole_image

#: With a face of this confidence and this share of the shorter side, ``balanced`` skips the search for close-ups.
_PLAIN_CONFIDENCE, _PLAIN_SHARE = 0.7, 0.2

#: The verification's crop: its side in widths of the proposed box, and in pixels of the network's input.
_VERIFY_SCOPE = 2.0
_VERIFY_SIDE = SEEN["short"]

#: The least score of a proposal that is verified. At 0.2, 2 in 100 more faces of 5 % of a video's width were found, for
#: one more verification in each frame.
_WORTH = 0.3

#: A proposal with a larger intersection over union with one that was verified is not verified again.
_LIKE = 0.5

#: How the two scores are combined into one confidence: weights of their log odds, and an offset. Chosen on 1,158
#: proposals, 529 of them faces (FER-2013 faces and a portrait set into images without faces at 8 sizes; a video and
#: images without faces), that both networks had made in whole images: at 0.5, 95 % of the faces and 2 of the 629 others
#: passed. With the proposal's score alone, on a similar set: 88 %, and 23 % of the others. A fit to the squares that
#: are used today (40,000 proposals) was no better.
_FIRST_WEIGHT, _SECOND_WEIGHT, _OFFSET = 0.35, 0.65, -0.5

#: The smaller a box, the more positions there are for a false positive: weight of the logarithm of its share of the
#: shorter side, and the least share that is used. Set by hand: without it 9, with it none of 120 images without faces
#: had a false positive in a thorough search, and of 376 faces in others one was lost.
_SIZE_WEIGHT, _LEAST_SHARE = 0.2, 1 / 8

#: Views of an image in which no face was found, for a face that fills it and that no single view detects reliably (in
#: profile, strongly rolled, blurred, cut by the edge): sides in shorter sides of the image, and rotations in degrees.
_VIEWS = tuple((scope, turn) for scope in (1.2, 1.6, 2.2) for turn in (0.0, -35.0, 35.0))

#: How the views are combined into one confidence: log odds of a view without the face, and an offset to their mean.
_NOTHING, _VIEWS_OFFSET = -2.2, 0.3

#: The least size of such a face: its box's share of the shorter side, and the distance from the eyes to the mouth in
#: widths of its box. False positives in images of things are small and squat. Of 43 close-ups from press and video
#: photos that a single view had missed, 30 pass; of 223 images of things, one (without the last rule four).
_FILLING, _EYES_TO_MOUTH = 0.4, 0.35


@dataclass(frozen=True)
class DetectedFace(Face):
    """A face and its proposal, which moves with the face while it is followed."""

    candidate: Candidate


class FaceDetector:
    """Find faces in images; a context manager. ``close`` frees the networks. Use a detector in one thread at a time.

    Args:
        confidence: Least confidence of a face that is reported, between 0 and 1.
        preset: How thoroughly to search: "fast", "balanced" or "thorough" (docs/detection.md: recall and cost of each).
        runtime: What runs the networks: "litert", or "mediapipe", Google's own package (the extra of that name), which
            reports its use to Google.

    Raises:
        ValueError: An argument has no such value.
        ModelError: A network's file is missing or damaged.
        MissingExtraError: ``runtime`` is "mediapipe" and that package is not installed.
    """

    def __init__(self, confidence: float = 0.5, preset: str = "balanced", runtime: str = "litert") -> None:
        if not 0 < confidence < 1:
            raise ValueError(f"confidence must lie between 0 and 1, got {confidence}")
        for name, value, known in (("preset", preset, PRESETS), ("runtime", runtime, RUNTIMES)):
            if value not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}")
        self._confidence = confidence
        # Also faces below the reported confidence decide whether an image has a large one.
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

    def detect(self, image: Image | NDArray[np.uint8], *, still: bool = True, part: Part = WHOLE) -> list[DetectedFace]:
        """Find the faces of an image.

        Args:
            image: An ``Image``, or a uint8 array, grey (h, w) or BGR (h, w, 3), contiguous or not.
            still: False for the frames of a video, in which "balanced" searches one level of squares instead of two.
            part: The rows and columns to search, as if they were the image. Faces may reach beyond them.

        Returns:
            The faces, largest first. Boxes and key points are in pixels of the image; a box may reach beyond it.

        Raises:
            ValueError: The array has another dtype or shape, or the detector is closed.
        """
        image = self._opened(image)
        size = extent(part[1], image.width)[1], extent(part[0], image.height)[1]
        if self._preset == "fast":
            squares = whole_image(*size)
        elif self._preset == "balanced":
            squares = overlapping(*size, levels=2 if still else 1)
        else:
            squares = overlapping(*size, levels=None)
        shrunk = Shrunk(image, squares, part)
        faces = self._search(image, shrunk, squares)
        plain = any(f.confidence > _PLAIN_CONFIDENCE and f.box.width > _PLAIN_SHARE * min(size) for f in faces)
        if self._preset == "thorough" or (self._preset == "balanced" and not plain):
            faces += self._search(image, shrunk, [close_up(*size)])
        found = self._reported(faces)
        if not found and (self._preset == "thorough" or (self._preset == "balanced" and still)):
            found = self._reported(self._filling(image, part))
        return found

    def follow(self, image: Image | NDArray[np.uint8], faces: Sequence[DetectedFace]) -> list[DetectedFace] | None:
        """Verify that each face of the previous frame of a video is still near its position. Finds no new faces.

        Args:
            image: The frame, as for ``detect``.
            faces: The faces that this detector found in the previous frame.

        Returns:
            The faces in this frame, largest first; None if one of them is not found.

        Raises:
            ValueError: As ``detect``.
        """
        image = self._opened(image)
        found: list[DetectedFace] = []
        for face in faces:
            now = self._verify(image, face.candidate)
            if now is None:
                return None
            found.append(replace(now, candidate=_carried(face.candidate, face.box, now.box)))
        reported = self._reported(found)
        return reported if len(reported) == len(faces) else None

    def find(
        self, image: Image | NDArray[np.uint8], known: Sequence[DetectedFace] | None, part: Part = WHOLE
    ) -> list[DetectedFace]:
        """Find the faces of a video's frame: follow those of the previous frame, or search the image.

        Args:
            image: The frame, as for ``detect``.
            known: The faces of the previous frame; None to search the image. It is also searched if one of them is
                not found again.
            part: The rows and columns to search, as for ``detect``.

        Returns:
            The faces, largest first.

        Raises:
            ValueError: As ``detect``.
        """
        faces = None if known is None else self.follow(image, known)
        return self.detect(image, still=False, part=part) if faces is None else faces

    def _reported(self, faces: list[DetectedFace]) -> list[DetectedFace]:
        return [face for face in _merged(faces) if face.confidence >= self._confidence]

    def _opened(self, image: Image | NDArray[np.uint8]) -> Image:
        if not self._open:
            raise ValueError("this detector is closed")
        return as_image(image)

    def _search(self, image: Image, shrunk: Shrunk, squares: list[Square]) -> list[DetectedFace]:
        """The faces in some squares, possibly with duplicates."""
        candidates = [candidate for square in squares for candidate in self._seen(shrunk, square)]
        faces: list[DetectedFace] = []
        known: list[Box] = []
        for candidate in sorted(candidates, key=lambda candidate: candidate.score, reverse=True):
            if any(candidate.box.iou(box) > _LIKE for box in known):
                continue
            known.append(candidate.box)
            face = self._verify(image, candidate)
            if face is not None:
                faces.append(face)
        return faces

    def _filling(self, image: Image, part: Part) -> list[DetectedFace]:
        """A face that fills a part of the image, if enough of several views of it agree."""
        (x, width), (y, height) = extent(part[1], image.width), extent(part[0], image.height)
        short, middle = min(width, height), (x + width / 2, y + height / 2)
        views: list[list[Candidate]] = []
        for scope, turn in _VIEWS:
            gray = cut_square(image, middle, scope * short, _VERIFY_SIDE, turn)
            scale = scope * short / _VERIFY_SIDE
            views.append([_to_image(p, middle, scale, turn) for p in self._networks["short"].propose(gray)])
        candidates = [candidate for view in views for candidate in view if candidate.box.width >= _FILLING * short]
        if not candidates:
            return []
        best = max(candidates, key=lambda candidate: candidate.score)
        alike = [max((p for p in view if same(p.box, best.box)), key=lambda p: p.score, default=None) for view in views]
        odds = np.mean([_log_odds(candidate.score) if candidate else _NOTHING for candidate in alike]) + _VIEWS_OFFSET
        candidate = _mean_candidate([candidate for candidate in alike if candidate])
        eyes, mouth = candidate.keypoints[:2].mean(0), candidate.keypoints[3]
        if np.linalg.norm(mouth - eyes) < _EYES_TO_MOUTH * candidate.box.width:
            return []
        return [DetectedFace(candidate.box, float(1 / (1 + np.exp(-odds))), candidate.keypoints, candidate)]

    def _seen(self, shrunk: Shrunk, square: Square) -> list[Candidate]:
        image, shift, scale = shrunk.show(square)
        return [candidate.moved(shift, scale) for candidate in self._networks[square.network].propose(image)]

    def _verify(self, image: Image, first: Candidate) -> DetectedFace | None:
        """The face at a proposal; None if it is not confirmed."""
        side = _VERIFY_SCOPE * max(first.box.width, first.box.height)
        turn = turn_of(first.keypoints)
        gray = cut_square(image, first.box.center, side, _VERIFY_SIDE, turn)
        found = self._networks["short"].propose(gray)
        seen = [_to_image(candidate, first.box.center, side / _VERIFY_SIDE, turn) for candidate in found]
        seen = [candidate for candidate in seen if _holds(first.box, candidate.box.center)]
        if not seen:
            return None
        best = max(seen, key=lambda candidate: candidate.score)
        odds = _FIRST_WEIGHT * _log_odds(first.score) + _SECOND_WEIGHT * _log_odds(best.score) + _OFFSET
        share = best.box.width / min(image.width, image.height)
        odds += _SIZE_WEIGHT * math.log(min(max(share, _LEAST_SHARE), 1.0))
        confidence = 1 / (1 + math.exp(-odds))
        return DetectedFace(best.box, confidence, best.keypoints, first) if confidence >= self._kept else None


def _maker(runtime: str) -> Callable[[Network, float], Detector]:
    if runtime == "litert":
        return LiteRTDetector
    from fermedia.vision.reference import MediaPipeDetector

    return MediaPipeDetector


def _to_image(candidate: Candidate, center: tuple[float, float], scale: float, turn: float) -> Candidate:
    """Convert a detection in a rotated crop of ``_VERIFY_SIDE`` pixels to the image.

    Args:
        candidate: The detection, in pixels of the crop.
        center: The crop's centre (x, y) in the image.
        scale: Pixels of the image for one of the crop.
        turn: The crop's rotation in degrees clockwise.
    """
    points = np.vstack([candidate.box.center, candidate.keypoints])
    (x, y), *keypoints = (points - _VERIFY_SIDE / 2) * scale @ axes(turn) + center
    width, height = candidate.box.width * scale, candidate.box.height * scale
    box = Box(float(x - width / 2), float(y - height / 2), width, height)
    return Candidate(box, candidate.score, np.array(keypoints, np.float32))


def _mean_candidate(candidates: list[Candidate]) -> Candidate:
    """The mean of several detections of the same face, weighted by their scores."""
    weights = [candidate.score for candidate in candidates]
    boxes = [(candidate.box.x, candidate.box.y, candidate.box.width, candidate.box.height) for candidate in candidates]
    points = np.average([candidate.keypoints for candidate in candidates], axis=0, weights=weights)
    box = Box(*np.average(boxes, axis=0, weights=weights).tolist())
    return Candidate(box, max(weights), points.astype(np.float32))


def _carried(candidate: Candidate, before: Box, now: Box) -> Candidate:
    """Move and scale a proposal like its face, so that the next verification crops the face alike."""
    scale = math.sqrt(now.area / before.area)
    x, y = (np.array(candidate.box.center) - before.center) * scale + now.center
    width, height = candidate.box.width * scale, candidate.box.height * scale
    box = Box(float(x - width / 2), float(y - height / 2), width, height)
    points = (candidate.keypoints - np.array(before.center)) * scale + now.center
    return Candidate(box, candidate.score, points.astype(np.float32))


def _merged(faces: list[DetectedFace]) -> list[DetectedFace]:
    """Keep the most confident box of each face; largest first."""
    kept: list[DetectedFace] = []
    for face in sorted(faces, key=lambda face: face.confidence, reverse=True):
        if not any(same(face.box, other.box) for other in kept):
            kept.append(face)
    return sorted(kept, key=lambda face: face.box.area, reverse=True)


def _holds(box: Box, point: tuple[float, float]) -> bool:
    return abs(point[0] - box.center[0]) < box.width / 2 and abs(point[1] - box.center[1]) < box.height / 2


def _log_odds(share: float) -> float:
    share = min(max(share, 1e-3), 1 - 1e-3)
    return math.log(share / (1 - share))
