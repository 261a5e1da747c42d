"""Speaking, by the mouth's movement: made up, and portraits whose mouths were opened."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fermedia.media.video import VideoReader
from fermedia.tables.speaking import back_and_forth, speaking
from fermedia.types import Mesh
from fermedia.vision.detect import DetectedFace, FaceDetector
from fermedia.vision.measures import measured
from fermedia.vision.mesh import FaceMesh
from tests.vision.painting import portrait, with_mouth

Series = NDArray[np.float64]


def syllables(times: Series, rate: float = 4, largest: float = 0.13, seed: int = 0) -> Series:
    """How far a mouth is open that speaks so many syllables a second, each as far as it likes."""
    heights = np.random.default_rng(seed).uniform(0.3, 1, int(times.max() * rate) + 1)
    return largest * heights[(times * rate).astype(int)] * np.sin(np.pi * (times * rate % 1))


def trembling(times: Series) -> Series:
    return np.random.default_rng(5).normal(scale=0.003, size=len(times))


@pytest.mark.parametrize("rate", [15, 24, 30, 60])
def test_who_speaks_and_who_is_silent(rate: int) -> None:
    times = np.arange(0, 12, 1 / rate)
    speaks = (times > 3) & (times < 8)
    probability = speaking(times, np.where(speaks, syllables(times), 0.01) + trembling(times))
    assert np.isfinite(probability).all()
    assert ((probability >= 0) & (probability <= 1)).all()
    assert np.median(probability[(times > 3.7) & (times < 7.3)]) > 0.8
    assert probability[(times < 2.3) | (times > 8.7)].max() < 0.1


def test_a_mouth_that_opens_once_does_not_speak() -> None:
    times = np.arange(0, 10, 0.04)
    smile = np.interp(times, (2, 2.3, 6, 6.5), (0, 0.17, 0.17, 0))
    yawn = np.interp(times, (2, 3, 4.5, 5.5), (0, 0.6, 0.6, 0))
    for opening in (smile, yawn):
        assert speaking(times, opening + trembling(times)).max() < 0.1


def test_it_does_not_depend_on_how_many_frames_there_are() -> None:
    dense, sparse = np.arange(0, 10, 1 / 120), np.arange(0, 10, 1 / 30)
    ways = [np.median(back_and_forth(times, syllables(times))) for times in (dense, sparse)]
    assert ways[0] == pytest.approx(ways[1], rel=0.1)


def test_where_the_face_is_gone_nothing_is_said() -> None:
    times = np.arange(0, 10, 0.04)
    opening = syllables(times)
    opening[(times > 4) & (times < 7)] = np.nan
    probability = speaking(times, opening)
    assert np.isnan(probability[(times > 4.6) & (times < 6.4)]).all()
    assert np.isfinite(probability[(times < 3.4) | (times > 7.6)]).all()
    assert np.isnan(speaking(times, np.full(len(times), np.nan))).all()
    assert speaking(np.array([]), np.array([])).shape == (0,)


def read(images: list[NDArray[np.uint8]]) -> Series:
    """The mouth's opening of the largest face in each image, read as in a video."""
    opening = []
    known: list[DetectedFace] | None = None
    before: Mesh | None = None
    with FaceDetector() as detector, FaceMesh() as reader:
        for image in images:
            known = detector.find(image, known)
            before = reader.read(image, known[0], before)
            opening.append(measured(before).mouth_opening)
    return np.array(opening)


def test_portraits_that_speak() -> None:
    image = portrait("hopper")
    with FaceDetector() as detector, FaceMesh() as reader:
        mesh = reader.read(image, detector.detect(image)[0])
    unit = float(np.linalg.norm(mesh.landmarks[33] - mesh.landmarks[263]))
    times = np.arange(0, 3, 0.04)
    grain = np.random.default_rng(4)

    def noisy(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.clip(image + grain.normal(scale=3, size=image.shape), 0, 255).astype(np.uint8)

    spoken = read([noisy(with_mouth(image, mesh, share * unit)) for share in syllables(times).tolist()])
    silent = read([noisy(image) for _ in range(25)])
    assert np.median(speaking(times, spoken)) > 0.8
    assert speaking(times[:25], silent).max() < 0.05


def test_people_who_change_their_expression_do_not_speak(shared: Path) -> None:
    """He smiles broadly after a second, and says nothing."""
    with VideoReader(shared / "media" / "single_face.mp4") as video:
        frames = [(frame.time or 0.0, frame.image.rgb()[:, :, ::-1]) for frame in video.frames()]
    times = np.array([time for time, _ in frames])
    assert speaking(times, read([image for _, image in frames])).max() < 0.1
