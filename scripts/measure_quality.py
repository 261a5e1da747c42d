"""How often faces are read right, by what may be wrong with them: what the limits of ``vision.quality`` were set on.

    python scripts/measure_quality.py DATA          FER-2013 (folder, zip or CSV), its split PublicTest

The images of 48 pixels are enlarged to 192, in which the detector finds nearly all faces and the mesh can be laid on
them. Prints Markdown tables. The classifier sees the images as they are, and speaks FER-2013's labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import cv2
import measuring
import numpy as np
from numpy.typing import NDArray

from fermedia.images import as_image
from fermedia.training.dataset import load
from fermedia.training.robustness import TROUBLES
from fermedia.types import Gray
from fermedia.vision.classify import Classifier
from fermedia.vision.detect import FaceDetector
from fermedia.vision.measures import measured
from fermedia.vision.mesh import FaceMesh
from fermedia.vision.pose import rough_angles
from fermedia.vision.quality import flaws, sharpness

#: Side of the enlarged images, pixels.
SIDE = 192

#: Images that are made worse.
SAMPLE = 1000

YAW = (0, 10, 20, 30, 40, 50, 60, 90)
PITCH = (-90, -30, -20, -10, 0, 10, 20, 30, 40, 50, 90)


def main() -> None:
    """Print all tables."""
    split = load(measuring.parser(__doc__, data=True).parse_args().data, ("public",))["public"]
    right = Classifier.load(labels="fer2013").predict(split.images).argmax(axis=1) == split.labels
    with FaceDetector() as detector, FaceMesh() as reader:
        figures = np.array([angles_of(image, detector, reader) for image in split.images])
    found = np.isfinite(figures[:, 0])
    print(f"{found.sum()} of {len(split)} faces found; {right.mean():.1%} of all read right\n")
    names = ("yaw by the mesh, to either side", "pitch by the mesh", "yaw by the key points", "pitch by the key points")
    for name, values, edges in zip(names, figures.T[1:], (YAW, PITCH, YAW, PITCH), strict=True):
        by(name, np.abs(values) if edges is YAW else values, edges, right)
    by("presence", figures[:, 0], (0, 0.1, 0.5, 0.9, 1.01), right)
    by("mean grey value", split.images.mean(axis=(1, 2)), (0, 20, 40, 80, 256), right)
    by("share of white pixels", (split.images >= 250).mean(axis=(1, 2)), (0, 0.1, 0.2, 0.3, 0.4, 1.01), right)
    sharp = np.array([sharpness(image) for image in split.images])
    by("sharpness", sharp, (0, 0.2, 0.4, 0.6, 0.8, 1, 9), right)
    flagged(split.images[:: max(1, len(split) // SAMPLE)])


def angles_of(image: Gray, detector: FaceDetector, reader: FaceMesh) -> tuple[float, ...]:
    """Presence, yaw and pitch by the mesh, yaw and pitch by the key points; NaN where no face is found."""
    large = as_image(np.asarray(cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC), np.uint8))
    if not (faces := detector.detect(large)):
        return (np.nan,) * 5
    figures = measured(reader.read(large, faces[0]))
    return figures.presence, figures.pose.yaw, figures.pose.pitch, *rough_angles(faces[0].keypoints)[:2]


def by(name: str, values: NDArray[np.float64], edges: Sequence[float], right: NDArray[np.bool_]) -> None:
    """Accuracy, with its standard error, of the images in each bin."""
    measuring.head(name, "images", "read right")
    for low, high in pairwise(edges):
        inside = right[(values >= low) & (values < high)]
        if len(inside):
            share = inside.mean()
            error = np.sqrt(share * (1 - share) / len(inside))
            measuring.row(f"{low} to {high}", len(inside), f"{share:.1%} +- {error:.1%}")
    print()


def flagged(images: NDArray[np.uint8]) -> None:
    """How many images are called dark, bright or blurred once they have been made so, beside how they are read."""
    reasons = ("dark", "bright", "blurred")
    measuring.head("degraded", *reasons)
    for trouble in TROUBLES:
        if trouble.name not in ("face size", "blur", "brightness", "exposure"):
            continue
        for strength in trouble.strengths:
            said = [[*flaws(crop)] for image in images for crop in trouble.apply(image, strength)]
            shares = [f"{sum(reason in found for found in said) / len(said):.0%}" for reason in reasons]
            measuring.row(f"{trouble.name} {strength:g}", *shares)


if __name__ == "__main__":
    main()
