"""The same networks in Google's own package, ``mediapipe``: the reference that ``vision.networks`` is compared with.

Needs the extra ``mediapipe``; without it, importing this module raises MissingExtraError. Newer versions of that
package (0.10.35 and 1.2 were looked at) report their use to a server of Google's whenever a detector is closed, and
have no switch for it (google-ai-edge/mediapipe issue 6291); so it is only for those who ask.
"""

from __future__ import annotations

import threading
import weakref
from typing import Any

import cv2
import numpy as np

from fermedia.errors import MissingExtraError
from fermedia.types import Box, Color, Gray
from fermedia.vision.networks import SEEN, Network, Place, model_bytes, resized
from fermedia.vision.quiet import quiet_stderr

try:
    with quiet_stderr():
        import mediapipe
except ModuleNotFoundError as error:
    raise MissingExtraError("the runtime mediapipe", "mediapipe") from error

#: What choosing it means.
NOTICE = (
    "Google's mediapipe package reports its use to play.googleapis.com when a connection is there; "
    "--runtime litert, the default, sends nothing"
)

#: mediapipe gives boxes in whole pixels. So it is shown each pixel this many times in a row, of which it takes one.
_FINER = 4

#: mediapipe declares its C functions anew for every picture; a call that another thread makes meanwhile may fail.
_LOCK = threading.Lock()


class MediaPipeDetector:
    """A network in mediapipe's ``FaceDetector``. ``least`` is the least score of a place, 0..1.

    Raises ModelError like ``LiteRTDetector``.
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
        # mediapipe complains at the interpreter's end about detectors that are still open.
        self._finalizer = weakref.finalize(self, _close, detector)

    def look(self, square: Color | Gray) -> list[Place]:
        """See ``networks.Detector``."""
        if not self._finalizer.alive:
            raise ValueError("this detector is closed")
        shown = resized(square, self._side).repeat(_FINER, axis=0).repeat(_FINER, axis=1)
        rgb = cv2.cvtColor(shown, cv2.COLOR_GRAY2RGB) if shown.ndim == 2 else shown
        # mediapipe's image ignores strides: padded rows would be read as pixels, and nothing found.
        image: Any = mediapipe.Image(mediapipe.ImageFormat.SRGB, np.ascontiguousarray(rgb))
        scale = square.shape[0] / (_FINER * self._side)
        with _LOCK:
            detections = self._detector.detect(image).detections
        places = []
        for found in detections:
            edges = found.bounding_box
            if edges.width > 0 and edges.height > 0:
                box = Box(*(scale * v for v in (edges.origin_x, edges.origin_y, edges.width, edges.height)))
                points = np.array([[point.x, point.y] for point in found.keypoints]) * square.shape[0]
                places.append(Place(box, found.categories[0].score, points.astype(np.float32)))
        return sorted(places, key=lambda place: place.score, reverse=True)

    def close(self) -> None:
        """See ``networks.Detector``."""
        self._finalizer()


def _close(detector: Any) -> None:
    with quiet_stderr(), _LOCK:
        try:
            detector.close()
        except RuntimeError:  # the interpreter ends, and mediapipe's thread is already gone
            detector._handle = None
