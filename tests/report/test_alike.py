"""Suggestions of faces that may be the same person, on a film with cuts, and the page that shows them."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fermedia.commands.demo import FACES
from fermedia.jobs.batch import run_batch
from fermedia.jobs.progress import Progress
from fermedia.options import AnalyzeOptions
from fermedia.report.alike import alike
from fermedia.report.batch import write_report
from fermedia.tables.finished import FinishedItem
from fermedia.tables.people import write_names
from tests.report.conftest import Browser
from tests.videos import Pixels, write_video
from tests.vision.painting import portrait

if TYPE_CHECKING:
    from playwright.sync_api import Locator

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


def test_known_names_are_shown_and_a_suggestion_is_taken_over_and_saved(
    results: Path, browser: Browser, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(results, copy)
    write_names(copy / "summary.csv", {1: 'Grace, "G"'})
    write_report(copy, ["film.mp4"])
    page = browser.open(copy / "report.html")
    panel = page.locator(".people")

    def name(face_id: int) -> Locator:
        return panel.get_by_label(f"Person of face {face_id} in film.mp4", exact=True)

    def same(face_id: int) -> Locator:
        return panel.get_by_role("button", name=f"Face {face_id} in film.mp4 is the same person as")

    assert name(1).input_value() == 'Grace, "G"'
    assert "1 face named, of 1 person" in panel.get_by_role("status").inner_text()
    same(2).press("Enter")  # Grace, whom the results know
    assert name(2).input_value() == 'Grace, "G"'
    assert not same(2).is_visible()
    same(3).click()  # neither has a name yet
    assert name(3).input_value() == name(0).input_value() == "Person 1"
    name(1).fill("Hopper")  # what is typed counts, not what is known
    page.reload()
    assert name(1).input_value() == "Hopper"
    assert name(3).input_value() == "Person 1"
    with page.expect_download() as saved:
        panel.get_by_role("button", name="Save people.csv").click()
    saved.value.save_as(tmp_path / "people.csv")
    with (tmp_path / "people.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["face_id"]: row for row in csv.DictReader(file)}
    assert {n: row["person"] for n, row in rows.items()} == {
        "0": "Person 1",
        "1": "Hopper",
        "2": 'Grace, "G"',
        "3": "Person 1",
    }
    assert rows["2"] == {"item": "film.mp4", "face_id": "2", "person": 'Grace, "G"', "first": "2.5", "last": "3.625"}
