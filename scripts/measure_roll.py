"""Whether it helps to turn rolled faces upright before they are classified. Prints a Markdown table.

python scripts/measure_roll.py fer2013.zip [--count 500]

Images of FER-2013's PublicTest (the folder layout of Kaggle), enlarged to 192 pixels on a canvas of twice that side
that repeats their edge, are turned, found by ``FaceDetector`` and classified twice: cut out as they lie, and upright.
"""

from __future__ import annotations

import argparse
import io
import zipfile
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
from PIL import Image

from fermedia import Classifier, FaceDetector
from fermedia.pictures import as_picture
from fermedia.types import EMOTIONS
from fermedia.vision.framing import crop_face

SIDE = 192


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("zip", type=Path)
    parser.add_argument("--count", type=int, default=500)
    arguments = parser.parse_args()
    with zipfile.ZipFile(arguments.zip) as archive:
        names = sorted(name for name in archive.namelist() if "PublicTest_" in name)
        chosen = np.random.default_rng(0).choice(names, min(arguments.count, len(names)), replace=False).tolist()
        images = [np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("L")) for name in chosen]
    labels = [EMOTIONS.index(PurePosixPath(name).parent.name) for name in chosen]
    classifier = Classifier.load()
    print("| degrees | faces found | right as they lie, % | right upright, % |\n|---|---|---|---|")
    with FaceDetector() as detector:
        for degrees in (0, 10, 20, 30, 45, 60, 75, 90):
            lying, upright, true = [], [], []
            turn = cv2.getRotationMatrix2D((SIDE - 0.5, SIDE - 0.5), -degrees, 1)
            for image, label in zip(images, labels, strict=True):
                large = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
                canvas = np.pad(large, SIDE // 2, "edge")
                turned = cv2.warpAffine(canvas, turn, canvas.shape, borderMode=cv2.BORDER_REPLICATE)
                picture = as_picture(np.asarray(turned, np.uint8))
                face = next(iter(detector.detect(picture, still=False)), None)
                if face is not None and face.box.width > SIDE / 2:
                    lying.append(crop_face(picture, face.box))
                    upright.append(crop_face(picture, face))
                    true.append(label)
            right = [100 * np.mean(classifier.predict(crops).argmax(1) == true) for crops in (lying, upright)]
            print(f"| {degrees} | {len(true)} | {right[0]:.1f} | {right[1]:.1f} |", flush=True)


if __name__ == "__main__":
    main()
