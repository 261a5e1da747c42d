"""Suggestions of faces that may be the same person, on a film with cuts, and the page that shows them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fermedia.commands.demo import FACES
from fermedia.jobs.batch import run_batch
from fermedia.jobs.progress import Progress
from fermedia.options import AnalyzeOptions
from fermedia.report.alike import alike
from fermedia.tables.finished import FinishedItem
from tests.videos import Pixels, write_video
from tests.vision.painting import portrait

RATE, FRAMES = 8, 10

#: Who is seen in each shot, where (shares of the frame), how large (width of the face in pixels) and how bright.
SHOTS = (
    [("collins", 0.35, 0.45, 90, 1.0)],
    [("hopper", 0.6, 0.5, 110, 1.0)],
    [("collins", 0.65, 0.5, 70, 0.8), ("hopper", 0.25, 0.5, 80, 0.8)],
    [("collins", 0.25, 0.45, 80, 1.1), ("collins", 0.75, 0.45, 80, 1.1)],
)


def images() -> Iterator[Pixels]:
    for number, shot in enumerate(SHOTS):
        rough = np.random.default_rng(number).uniform(40, 150, (4, 6, 3)).astype(np.float32)
        ground = cv2.resize(rough, (480, 270), interpolation=cv2.INTER_CUBIC)
        for n in range(FRAMES):
            yield frame(np.asarray(ground, np.float32), shot, n)


def frame(image: NDArray[np.float32], shot: Sequence[tuple[str, float, float, float, float]], n: int) -> Pixels:
    for name, x, y, width, light in shot:
        left, top, wide = FACES[name]
        scale = width / wide
        matrix = np.array([[scale, 0, x * 480 + n - scale * left], [0, scale, y * 270 - scale * top]])
        head = cv2.warpAffine(portrait(name)[:, :, ::-1], matrix, (480, 270), flags=cv2.INTER_AREA)
        middle, size = (round(x * 480 + n), round(y * 270)), (round(0.7 * width), round(0.85 * width))
        mask = cv2.ellipse(np.zeros((270, 480, 1), np.uint8), middle, size, 0, 0, 360, 1, -1)
        image = np.where(mask, light * head, image)
    return np.clip(image, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of a film of which the faces are 0 to 5: one in each of two shots, then two in each of two."""
    folder = tmp_path_factory.mktemp("alike")
    write_video(folder / "film.mp4", images(), RATE, options={"crf": "18"})
    with Progress(quiet=True) as progress:
        run_batch([folder / "film.mp4"], folder / "results", AnalyzeOptions(video=False), progress=progress)
    return folder / "results"


def suggested(folder: Path) -> dict[int, int]:
    return {pair.face_id: pair.earlier for pair in alike(FinishedItem.of(folder, "film.mp4"))}


def test_a_person_is_found_again_after_cuts_and_nobody_twice_in_one_frame(results: Path) -> None:
    found = suggested(results)
    assert {face_id: found.pop(face_id, None) for face_id in (2, 3)} == {2: 1, 3: 0}
    # The last two look alike, and are seen together: only one of them can be who was seen before.
    assert len(found) == 1
    assert set(found) <= {4, 5}
    assert set(found.values()) <= {0, 3}


def test_without_pictures_nothing_is_suggested(results: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(results, copy)
    shutil.rmtree(copy / "items" / "film.mp4" / "previews")
    assert suggested(copy) == {}
