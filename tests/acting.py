"""A video of two people: Collins, on the left, blinks at known moments; Hopper, on the right, speaks or keeps still.

Made from the package's portraits by warps, at 25 frames a second, without audio.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from fermedia.types import Mesh
from fermedia.vision.detect import FaceDetector
from fermedia.vision.mesh import FaceMesh
from tests.tables.test_blinks import lids
from tests.tables.test_speaking import syllables
from tests.videos import Pixels, background, write_video
from tests.vision.painting import portrait, with_lids, with_mouth

RATE, SECONDS = 25, 4

#: When Collins blinks, and from when on Hopper speaks, seconds.
BLINKS = (0.6, 1.9, 3.0)
SPEAKS_FROM = 1.6

#: A key frame in every second, where a video is searched anyway.
_CODING = {"g": "25", "crf": "12"}


def write_acting(path: Path, speaks: bool = True) -> Path:
    """Write the video; gives the path."""
    return write_video(path, _images(speaks), RATE, options=_CODING)


def _images(speaks: bool) -> Iterator[Pixels]:
    left, right = (_small(name) for name in ("collins", "hopper"))
    with FaceDetector() as detector, FaceMesh() as reader:
        meshes = [reader.read(image, detector.detect(image)[0]) for image in (left, right)]
    times = np.arange(0, SECONDS, 1 / RATE)
    closed = lids(times, BLINKS, depth=1, lasts=0.24)
    unit = _unit(meshes[1])
    opened = np.where((times >= SPEAKS_FROM) & speaks, syllables(times) * unit, 0)
    size = left.shape[1] + right.shape[1] + 40, max(left.shape[0], right.shape[0]) + 20
    grain = np.random.default_rng(2)
    for lid, mouth in zip(closed.tolist(), opened.tolist(), strict=True):
        image = background(size).copy()
        one = with_lids(left, meshes[0], lid) if lid else left
        other = with_mouth(right, meshes[1], mouth) if mouth else right
        for person, x in ((one, 10), (other, left.shape[1] + 30)):
            image[10 : 10 + person.shape[0], x : x + person.shape[1]] = person[:, :, ::-1]
        yield np.clip(image + grain.normal(scale=2, size=image.shape), 0, 255).astype(np.uint8)


def _small(name: str) -> Pixels:
    """A portrait of 360 rows and an even number of columns."""
    image = portrait(name)
    width = 360 * image.shape[1] // image.shape[0] // 2 * 2
    return np.asarray(cv2.resize(image, (width, 360), interpolation=cv2.INTER_AREA), np.uint8)


def _unit(mesh: Mesh) -> float:
    """The distance of the eyes' outer corners."""
    return float(np.linalg.norm(mesh.landmarks[33] - mesh.landmarks[263]))
