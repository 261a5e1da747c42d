"""MediaPipe's two face detection networks: from a square image to the faces in it.

They run in LiteRT, which the classifier needs anyway. The steps after a network in MediaPipe's graph are done here:
anchors, scores, and merging of overlapping detections. ``vision.reference`` runs Google's package instead, for
comparison; both are a ``Detector``.

Sources of the constants: google-ai-edge/mediapipe, modules/face_detection/face_detection_short_range.pbtxt and
face_detection_full_range.pbtxt; calculators/tflite/ssd_anchors_calculator.cc,
calculators/tensor/tensors_to_detections_calculator.cc and calculators/util/non_max_suppression_calculator.cc.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from fermedia.errors import ModelError
from fermedia.files import models_dir
from fermedia.types import Box, Color, Gray
from fermedia.vision.quiet import quiet_litert

#: MediaPipe's full-range network is for groups, its short-range one for close-ups. The sides of their inputs in pixels.
Network = Literal["full", "short"]
SEEN: dict[Network, int] = {"full": 192, "short": 128}

#: The networks' files in ``models/face`` and the SHA-256 of each.
DETECTOR_FILES = {
    "face_detection_full_range_sparse.tflite": "2c3728e6da56f21e21a320433396fb06d40d9088f2247c05e5635a688d45dfe1",
    "face_detection_short_range.tflite": "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
}
FILES: dict[Network, str] = dict(zip(("full", "short"), DETECTOR_FILES, strict=True))

#: The files of ``vision.mesh``, in the same folder.
MESH_FILES = {
    "face_landmarks_detector.tflite": "c7d54204ce0448474c7f3fa9af494787c0965cbdd6f20fc72867e43046bd43d5",
    "face_blendshapes.tflite": "4f36dded049db18d76048567439b2a7f58f1daabc00d78bfe8f3ad396a2d2082",
}

#: The grids of anchors, in the order of the network's output rows: cells along a side, anchors in each cell.
_GRIDS: dict[Network, tuple[tuple[int, int], ...]] = {"full": ((48, 1),), "short": ((16, 2), (8, 6))}

#: Logits are clipped to this before the sigmoid.
_CLIP = 100.0

#: Detections with a larger intersection over union with one of a higher score are merged with it.
_SAME_FACE = 0.3


@dataclass(frozen=True)
class Candidate:
    """A network's detection: box and keypoints (6, 2), float32, in pixels of the network's square or of the image."""

    box: Box
    score: float
    keypoints: NDArray[np.float32]

    def moved(self, shift: NDArray[np.float64], scale: NDArray[np.float64]) -> Candidate:
        """The candidate with ``shift`` (x, y) added to its coordinates, which are then scaled by ``scale`` (x, y)."""
        x, y = (np.array([self.box.x, self.box.y]) + shift) * scale
        width, height = np.array([self.box.width, self.box.height]) * scale
        points = (self.keypoints + shift) * scale
        return Candidate(Box(float(x), float(y), float(width), float(height)), self.score, points.astype(np.float32))


class Detector(Protocol):
    """A face detection network. Use one in one thread at a time."""

    def propose(self, square: Color | Gray) -> list[Candidate]:
        """Detect the faces in a square.

        Args:
            square: RGB (n, n, 3) or grey (n, n), uint8, of any size.

        Returns:
            The candidates in pixels of the square, highest score first. Boxes may reach outside.
        """
        ...

    def close(self) -> None:
        """Free the network. May be called again."""
        ...


class LiteRTDetector:
    """A network run by LiteRT in the caller's thread.

    Squares are processed one at a time: a batch takes about as long (eight squares a tenth less in the short-range
    network, a quarter more in the other).

    Args:
        network: Which network.
        least: The least score of a candidate, between 0 and 1.

    Raises:
        ModelError: The network's file is missing or damaged.
    """

    def __init__(self, network: Network, least: float) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._least = np.log(least / (1 - least))  # of a logit
        self._side = SEEN[network]
        self._anchors = _anchors(network)
        self._content = model_bytes(network)  # the interpreter reads from it
        with quiet_litert():
            self._interpreter: Any = Interpreter(model_content=self._content, num_threads=1)
            self._interpreter.allocate_tensors()
        (given,) = self._interpreter.get_input_details()
        answers = {int(details["shape"][-1]): details["index"] for details in self._interpreter.get_output_details()}
        self._input, self._places, self._scores = given["index"], answers[16], answers[1]

    def propose(self, square: Color | Gray) -> list[Candidate]:
        """See ``Detector``."""
        if self._interpreter is None:
            raise ValueError("this detector is closed")
        shown = resized(square, self._side)
        values = self._interpreter.tensor(self._input)()  # a view of its memory, which must not exist while it runs
        # -1..1; a grey square is the same in all three colours.
        np.multiply(shown[..., None] if shown.ndim == 2 else shown, np.float32(1 / 127.5), out=values[0])
        values -= 1
        del values
        self._interpreter.invoke()
        logits = self._interpreter.get_tensor(self._scores)[0, :, 0]
        kept = np.flatnonzero(logits >= self._least)
        if not len(kept):
            return []
        raw = self._interpreter.get_tensor(self._places)[0, kept] / self._side
        scores = 1 / (1 + np.exp(-np.minimum(logits[kept], _CLIP)))
        return _merged(_decoded(raw, self._anchors[kept]) * square.shape[0], scores)

    def close(self) -> None:
        """See ``Detector``."""
        self._interpreter = None


def model_bytes(network: Network) -> bytes:
    """Read a detector's file and verify its checksum. Raises ModelError if it is missing or damaged."""
    return verified(FILES[network])


def verified(name: str) -> bytes:
    """Read a file of ``models/face`` and verify its checksum. Raises ModelError if it is missing or damaged."""
    path: Path = models_dir() / "face" / name
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise ModelError(f"{path}: a face network is missing; reinstall fermedia") from error
    except OSError as error:
        raise ModelError(f"{path}: a face network cannot be read ({error.strerror})") from error
    if hashlib.sha256(content).hexdigest() != (DETECTOR_FILES | MESH_FILES)[name]:
        raise ModelError(f"{path}: a face network is damaged; reinstall fermedia")
    return content


def resized(square: Color | Gray, side: int) -> NDArray[np.uint8]:
    """Resize a square to a network's input ``side``."""
    if square.shape[0] == side:
        return square
    method = cv2.INTER_AREA if square.shape[0] > side else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(square, (side, side), interpolation=method), np.uint8)


def _anchors(network: Network) -> NDArray[np.float32]:
    """The centre (x, y) of each of the network's anchors (n, 2), as shares of the side: those of its grids' cells.

    All of MediaPipe's anchors have the size of the whole square (``fixed_anchor_size``).
    """
    parts = []
    for cells, each in _GRIDS[network]:
        middles = (np.arange(cells, dtype=np.float32) + 0.5) / cells
        y, x = np.meshgrid(middles, middles, indexing="ij")
        parts.append(np.repeat(np.stack([x.ravel(), y.ravel()], 1), each, axis=0))
    return np.concatenate(parts)


def _decoded(raw: NDArray[np.float32], anchors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Decode a network's output (n, 16), as shares of the side, to corners and keypoints (n, 8, 2), x and y.

    The 16 numbers are the box's centre, its sides, and six points; centre and points are relative to the anchor.
    """
    points = raw.reshape(-1, 8, 2).astype(np.float64)
    middles, half = points[:, 0] + anchors, points[:, 1] / 2
    points[:, 2:] += anchors[:, None]
    points[:, 0], points[:, 1] = middles - half, middles + half
    return points


def _merged(points: NDArray[np.float64], scores: NDArray[np.float32]) -> list[Candidate]:
    """MediaPipe's weighted non-maximum suppression of corners and keypoints (n, 8, 2) in pixels.

    A candidate has its group's highest score and the mean of the overlapping detections, weighted by their scores.
    """
    candidates = []
    rest = np.argsort(-scores, kind="stable")
    while len(rest):
        alike = _overlap(points[rest], points[rest[0]]) > _SAME_FACE
        alike[0] = True
        own = rest[alike]
        shares = scores[own] / scores[own].sum()
        (left, top), (right, bottom), *keypoints = np.tensordot(shares, points[own], axes=1)
        if right > left and bottom > top:
            box = Box(float(left), float(top), float(right - left), float(bottom - top))
            candidates.append(Candidate(box, float(scores[rest[0]]), np.array(keypoints, np.float32)))
        rest = rest[~alike]
    return candidates


def _overlap(boxes: NDArray[np.float64], one: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union (n,) of boxes with one of them; their corners are the first two points of each."""
    sides = np.minimum(boxes[:, 1], one[1]) - np.maximum(boxes[:, 0], one[0])
    shared = np.prod(np.maximum(sides, 0), axis=1)
    areas = np.prod(np.maximum(boxes[:, 1] - boxes[:, 0], 0), axis=1)
    total = areas + np.prod(np.maximum(one[1] - one[0], 0)) - shared
    return np.asarray(shared / np.maximum(total, 1e-12), np.float64)
