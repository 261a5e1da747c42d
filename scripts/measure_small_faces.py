"""How right the network is on faces of few pixels: the reason for the default of ``--min-face``.

    python scripts/measure_small_faces.py fer2013.zip

Every PublicTest image is shrunk to what a camera would have given of a face of N pixels, and enlarged again by the
crop that every analysis uses. N is the width of the detector's box. Needs the extra `train` (to read the data).
"""

from __future__ import annotations

import cv2
import measuring
import numpy as np
from numpy.typing import NDArray

from fermedia import Classifier
from fermedia.images import as_image
from fermedia.training.dataset import load
from fermedia.types import Box
from fermedia.vision.framing import RISE, SIDE, crop_face

WIDTHS = (8, 10, 12, 14, 16, 20, 24, 32, 40)


def seen_small(image: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    """A FER-2013 image (48, 48) as it is cropped where its face has a box of this width."""
    side = round(width * SIDE)
    small = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
    box = side / SIDE
    corner = (side - box) / 2
    return crop_face(as_image(np.asarray(small, np.uint8)), Box(corner, corner + RISE * box, box, box), 48)


def main() -> None:
    """Print a table: width, share right, share right of those the network is sure of, mean sureness."""
    parser = measuring.parser(__doc__, data=True)
    parser.add_argument("--step", type=int, default=1, help="take every STEP-th image")
    given = parser.parse_args()
    split = load(given.data, ("public",))["public"]
    images, labels = split.images[:: given.step], split.labels[:: given.step]
    classifier = Classifier.load()
    print(f"{len(labels)} PublicTest images, {classifier.labels} labels\n")
    measuring.head("face, pixels", "right, %", "sureness, mean %")
    for width in (*WIDTHS, None):
        crops = images if width is None else np.stack([seen_small(image, width) for image in images])
        probabilities = classifier.predict(crops)
        right = 100 * (probabilities.argmax(axis=1) == labels).mean()
        measuring.row(width or "all 48", f"{right:.1f}", f"{100 * probabilities.max(axis=1).mean():.1f}")


if __name__ == "__main__":
    main()
