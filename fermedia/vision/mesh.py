"""MediaPipe's face mesh and blendshapes: 478 landmarks and 52 blendshapes of a face.

Two networks run in LiteRT in the caller's thread. The crop before them and the conversion of the landmarks to the image
after them follow MediaPipe's graph. The crop is grey, so that no frame of a video needs to be converted to RGB.
Measured on a video, the landmarks differ from MediaPipe's by 0.67 % of the distance between the eyes. With a colour
crop it would be 0.62 %, because the boxes that are cropped differ, too.

Sources of the constants: google-ai-edge/mediapipe, tasks/cc/vision/face_landmarker, face_landmarker_graph.cc,
face_landmarks_detector_graph.cc and face_blendshapes_graph.cc.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fermedia.images import as_image
from fermedia.types import BLENDSHAPES, LANDMARKS, PRESENT, Face, Image, Mesh
from fermedia.vision.framing import axes, cut_square
from fermedia.vision.networks import MESH_FILES, verified
from fermedia.vision.quiet import quiet_litert

#: The landmarks that are the second network's input.
# fmt: off
_SHOWN = np.array([
    0, 1, 4, 5, 6, 7, 8, 10, 13, 14, 17, 21, 33, 37, 39, 40, 46, 52, 53, 54, 55, 58, 61, 63, 65, 66, 67, 70, 78, 80,
    81, 82, 84, 87, 88, 91, 93, 95, 103, 105, 107, 109, 127, 132, 133, 136, 144, 145, 146, 148, 149, 150, 152, 153,
    154, 155, 157, 158, 159, 160, 161, 162, 163, 168, 172, 173, 176, 178, 181, 185, 191, 195, 197, 234, 246, 249, 251,
    263, 267, 269, 270, 276, 282, 283, 284, 285, 288, 291, 293, 295, 296, 297, 300, 308, 310, 311, 312, 314, 317, 318,
    321, 323, 324, 332, 334, 336, 338, 356, 361, 362, 365, 373, 374, 375, 377, 378, 379, 380, 381, 382, 384, 385, 386,
    387, 388, 389, 390, 397, 398, 400, 402, 405, 409, 415, 454, 466, 468, 469, 470, 471, 472, 473, 474, 475, 476, 477,
])
# fmt: on

#: The side of the first network's input in pixels.
_SIDE = 256

#: The crop's side, in sides of the detector's box or of the box around the previous landmarks.
_SCOPE = 1.5

#: Outer corners of the eyes, the person's right one first: the line through them is level in the crop.
_RIGHT_CORNER, _LEFT_CORNER = 33, 263


class FaceMesh:
    """Compute the mesh of faces; a context manager. ``close`` frees the networks. Use one in one thread at a time.

    Raises:
        ModelError: A network's file is missing or damaged.
    """

    def __init__(self) -> None:
        points, shapes = MESH_FILES
        self._points, self._shapes = _Network(points), _Network(shapes)
        self._open = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the networks. May be called again."""
        self._open = False
        self._points.close()
        self._shapes.close()

    def read(self, image: Image | NDArray[np.uint8], face: Face, before: Mesh | None = None) -> Mesh:
        """Compute the mesh of a face.

        Args:
            image: An image as for ``FaceDetector.detect``.
            face: A face that the detector found in it.
            before: The same person's mesh in the previous frame. If its presence is sufficient and it is still on this
                face, the crop is placed around its landmarks, which vary less than the detector's box.

        Returns:
            The mesh, in pixels of the image.

        Raises:
            ValueError: The array has another dtype or shape, or this mesh is closed.
        """
        if not self._open:
            raise ValueError("this mesh is closed")
        image = as_image(image)
        follows = before is not None and before.presence >= PRESENT and _lies_on(before, face)
        square = _around_points(before) if before is not None and follows else _around_box(face)
        gray = cut_square(image, square.center, square.side, _SIDE, square.turn)
        answers = self._points.run(np.multiply(gray, np.float32(1 / 255), dtype=np.float32)[None, :, :, None])
        upright = answers[3 * LANDMARKS].reshape(LANDMARKS, 3)
        # MediaPipe does not rotate them upright: that is the same up to 45 degrees, but wrong for people lying down.
        shapes = self._shapes.run(upright[None, _SHOWN, :2])[len(BLENDSHAPES)]
        places = (upright - (_SIDE / 2, _SIDE / 2, 0)) * (square.side / _SIDE)
        places[:, :2] = places[:, :2] @ axes(square.turn) + square.center
        return Mesh(_sigmoid(float(answers[1].item())), places.astype(np.float32), shapes)


class _Network:
    """A network with one input, run by LiteRT with one thread."""

    def __init__(self, name: str) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._content = verified(name)  # the interpreter reads from it
        with quiet_litert():
            self._interpreter: Any = Interpreter(model_content=self._content, num_threads=1)
            self._interpreter.allocate_tensors()
        (given,) = self._interpreter.get_input_details()
        self._input = given["index"]
        # The mesh has two outputs of one number. The one with four axes is the presence.
        answers = sorted(self._interpreter.get_output_details(), key=lambda details: len(details["shape"]))
        self._answers = {math.prod(details["shape"].tolist()): details["index"] for details in answers}

    def run(self, values: NDArray[np.floating]) -> dict[int, NDArray[np.float32]]:
        """Run the network; return its outputs by their sizes. ``values`` are broadcast to the input's shape."""
        self._interpreter.tensor(self._input)()[...] = values
        self._interpreter.invoke()
        return {size: self._interpreter.get_tensor(index) for size, index in self._answers.items()}

    def close(self) -> None:
        self._interpreter = None


@dataclass(frozen=True)
class _Square:
    """A crop: its centre (x, y) and side in pixels, and its rotation in degrees clockwise."""

    center: tuple[float, float]
    side: float
    turn: float


def _around_box(face: Face) -> _Square:
    return _Square(face.box.center, _SCOPE * max(face.box.width, face.box.height), _level(*face.keypoints[:2]))


def _around_points(mesh: Mesh) -> _Square:
    """The next crop of a face with this mesh: around the bounding box of its landmarks in the image."""
    places = mesh.landmarks[:, :2].astype(np.float64)
    low, high = places.min(axis=0), places.max(axis=0)
    x, y = ((low + high) / 2).tolist()
    return _Square((x, y), _SCOPE * float((high - low).max()), _level(places[_RIGHT_CORNER], places[_LEFT_CORNER]))


def _level(right: NDArray[np.floating], left: NDArray[np.floating]) -> float:
    """The rotation of the line from the right eye to the left one, in degrees clockwise."""
    across, down = (left - right).tolist()
    return math.degrees(math.atan2(down, across))


def _lies_on(mesh: Mesh, face: Face) -> bool:
    """Whether a mesh is of this face: the mean of its landmarks is inside the face's box."""
    x, y = mesh.landmarks[:, :2].mean(axis=0).tolist()
    box = face.box
    return box.x < x < box.x + box.width and box.y < y < box.y + box.height


def _sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-max(min(logit, 100.0), -100.0)))
