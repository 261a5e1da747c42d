"""Whether it helps to turn rolled faces upright before they are classified. Prints a Markdown table.

    python scripts/measure_roll.py fer2013.zip [--count 500]

Images of FER-2013's PublicTest, enlarged to 192 pixels on a canvas of twice that side
that repeats their edge, are turned, found by ``FaceDetector`` and classified twice: cut out as they lie, and upright.
"""

from __future__ import annotations

import cv2
import measuring
import numpy as np

from fermedia import Classifier, FaceDetector
from fermedia.images import as_image
from fermedia.training.dataset import load
from fermedia.vision.framing import crop_face

SIDE = 192


def main() -> None:
    """Print the table."""
    parser = measuring.parser(__doc__, data=True)
    parser.add_argument("--count", type=int, default=500)
    arguments = parser.parse_args()
    split = load(arguments.data, ("public",))["public"]
    split = split.pick(np.random.default_rng(0).choice(len(split), min(arguments.count, len(split)), replace=False))
    classifier = Classifier.load()
    measuring.head("degrees", "faces found", "right as they lie, %", "right upright, %")
    with FaceDetector() as detector:
        for degrees in (0, 10, 20, 30, 45, 60, 75, 90):
            lying, upright, true = [], [], []
            turn = cv2.getRotationMatrix2D((SIDE - 0.5, SIDE - 0.5), -degrees, 1)
            for image, label in zip(split.images, split.labels, strict=True):
                large = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
                canvas = np.pad(large, SIDE // 2, "edge")
                turned = cv2.warpAffine(canvas, turn, canvas.shape, borderMode=cv2.BORDER_REPLICATE)
                upright_image = as_image(np.asarray(turned, np.uint8))
                face = next(iter(detector.detect(upright_image, still=False)), None)
                if face is not None and face.box.width > SIDE / 2:
                    lying.append(crop_face(upright_image, face.box))
                    upright.append(crop_face(upright_image, face))
                    true.append(label)
            right = [100 * np.mean(classifier.predict(crops).argmax(1) == true) for crops in (lying, upright)]
            measuring.row(degrees, len(true), f"{right[0]:.1f}", f"{right[1]:.1f}")


if __name__ == "__main__":
    main()
