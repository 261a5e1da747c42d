"""The same networks in Google's package ``mediapipe``, the reference with which ``vision.networks`` is compared.

Needs the extra ``mediapipe``; without it, importing this module raises MissingExtraError. Newer versions of that
package (0.10.35 and 1.2 were checked) report their use to a Google server whenever a detector is closed, and have no
option against it (google-ai-edge/mediapipe issue 6291); so it is used only on request.
"""

from __future__ import annotations

import threading
import weakref
from typing import Any

import cv2
import numpy as np

from fermedia.errors import MissingExtraError
from fermedia.types import Box, Color, Gray
from fermedia.vision.networks import SEEN, Candidate, Network, model_bytes, resized
from fermedia.vision.quiet import quiet_stderr

try:
    with quiet_stderr():
        import mediapipe
except ModuleNotFoundError as error:
    raise MissingExtraError("the runtime mediapipe", "mediapipe") from error

#: The notice for users who choose it.
NOTICE = (
    "Google's mediapipe package reports its use to play.googleapis.com when a connection is there; "
    "--runtime litert, the default, sends nothing"
)

#: mediapipe returns boxes in whole pixels. So each pixel is repeated this many times; mediapipe samples one of them.
_FINER = 4

#: mediapipe redeclares its C functions for every image; a simultaneous call in another thread may fail.
_LOCK = threading.Lock()


class MediaPipeDetector:
    """A network run by mediapipe's ``FaceDetector``.

    Args:
        network: Which network.
        least: The least score of a candidate, between 0 and 1.

    Raises:
        ModelError: The network's file is missing or damaged.
    """

    def __init__(self, network: Network, least: float) -> None:
        content = model_bytes(network)
        with quiet_stderr(), _LOCK:
            vision = mediapipe.tasks.vision
            options = vision.FaceDetectorOptions(
                base_options=mediapipe.tasks.BaseOptions(model_asset_buffer=content), min_detection_confidence=least
            )
            detector = vision.FaceDetector.create_from_options(options)
        self._detector, self._side = detector, SEEN[network]
        # mediapipe reports errors at the interpreter's exit for detectors that are still open.
        self._finalizer = weakref.finalize(self, _close, detector)

    def propose(self, square: Color | Gray) -> list[Candidate]:
        """See ``networks.Detector``."""
        if not self._finalizer.alive:
            raise ValueError("this detector is closed")
        shown = resized(square, self._side).repeat(_FINER, axis=0).repeat(_FINER, axis=1)
        rgb = cv2.cvtColor(shown, cv2.COLOR_GRAY2RGB) if shown.ndim == 2 else shown
        # mediapipe's image ignores strides: padding would be read as pixels, and no face found.
        image: Any = mediapipe.Image(mediapipe.ImageFormat.SRGB, np.ascontiguousarray(rgb))
        scale = square.shape[0] / (_FINER * self._side)
        with _LOCK:
            detections = self._detector.detect(image).detections
        candidates = []
        for found in detections:
            edges = found.bounding_box
            if edges.width > 0 and edges.height > 0:
                box = Box(*(scale * v for v in (edges.origin_x, edges.origin_y, edges.width, edges.height)))
                points = np.array([[point.x, point.y] for point in found.keypoints]) * square.shape[0]
                candidates.append(Candidate(box, found.categories[0].score, points.astype(np.float32)))
        return sorted(candidates, key=lambda candidate: candidate.score, reverse=True)

    def close(self) -> None:
        """See ``networks.Detector``."""
        self._finalizer()


def _close(detector: Any) -> None:
    with quiet_stderr(), _LOCK:
        try:
            detector.close()
        except RuntimeError:  # the interpreter exits, and mediapipe's thread has already ended
            detector._handle = None
