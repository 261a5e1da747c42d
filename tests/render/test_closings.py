"""The image of a face's longest blink, from a video that is gone by the time its blinks are known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fermedia.images import ArrayImage
from fermedia.render.closings import Closings
from fermedia.render.previews import BLINK, SMILE, Highlights, Preview, VideoPreviews, read_previews
from fermedia.tables.blinks import blinks
from fermedia.types import BLENDSHAPES, Frame, Measures, Observation, Pose
from tests.seen import face
from tests.videos import read_image

RATE = 30
TIMES = np.arange(0, 60, 1 / RATE)


def openings(*closed: tuple[float, float], seed: int = 0) -> NDArray[np.float64]:
    """Eyes that are open but for these times (begin, duration), with some noise."""
    values = np.full(len(TIMES), 0.3) + np.random.default_rng(seed).normal(scale=0.008, size=len(TIMES))
    for begin, duration in closed:
        values[(begin <= TIMES) & (begin + duration > TIMES)] = 0.08
    return values


def measured(opening: float = 0.3, smile: float = 0.0, presence: float = 1.0) -> Measures:
    shapes = np.zeros(len(BLENDSHAPES), np.float32)
    shapes[[BLENDSHAPES.index("mouthSmileLeft"), BLENDSHAPES.index("mouthSmileRight")]] = smile
    pose = Pose(0, 0, 0, np.eye(3), 10.0)
    return Measures(presence, pose, None, None, opening, opening, 0.0, 1.0, 0.0, 0.0, shapes)


def previews(folder: Path, seen: list[Observation], images: list[int] | None = None) -> list[Preview]:
    """What is written of a video with one face; each frame has the grey value of ``images``."""
    folder.mkdir(exist_ok=True)
    with VideoPreviews(folder / "previews") as sink:
        for n, one in enumerate(seen):
            pixels = np.full((120, 160, 3), images[n] if images else n % 256, np.uint8)
            sink.write(Frame(n, n / RATE, ArrayImage(pixels)), [one])
    return read_previews(folder)


@pytest.mark.parametrize("seed", range(4))
def test_the_candidates_have_the_longest_blink(seed: int) -> None:
    """Of many blinks, of which only a few are kept."""
    rng = np.random.default_rng(seed)
    begins = np.arange(2, 58, 1.4)
    values = openings(*zip(begins, rng.uniform(0.07, 0.4, len(begins)), strict=True), seed=seed)
    eyes, at = Closings(), {}
    for time, opening in zip(TIMES.tolist(), values.tolist(), strict=True):
        if (number := eyes.add(time, opening)) is not None:
            at[number] = time
        assert len(eyes.kept) <= 7
    longest = eyes.longest()
    assert longest is not None
    assert longest.duration == max(blink.duration for blink in blinks(TIMES, values))
    assert any(longest.begin <= at[number] <= longest.begin + longest.duration for number in eyes.kept)


def test_closed_eyes_are_no_blink() -> None:
    eyes = Closings()
    for time, opening in zip(TIMES.tolist(), openings((10, 5), (30, 20)).tolist(), strict=True):
        eyes.add(time, opening)
    assert eyes.longest() is None
    assert eyes.kept == set()


def test_the_gallery_has_the_deepest_moment_of_the_longest_blink(tmp_path: Path) -> None:
    values = openings((3, 0.12), (8, 0.3), (14, 0.2))[: 20 * RATE]
    deepest = int(8.15 * RATE)
    values[deepest] = 0.02
    seen = [replace(face(40, 20, 60, 60), measures=measured(value)) for value in values.tolist()]
    gray = [200 if n == deepest else 50 for n in range(len(seen))]
    found = previews(tmp_path, seen, gray)
    (blink,) = [preview for preview in found if preview.kind == BLINK]
    assert blink.frame == deepest
    assert blink.emotion is None
    longest = max(blinks(TIMES[: len(values)], values), key=lambda one: one.duration)
    assert blink.value == pytest.approx(longest.duration, abs=1e-6)
    assert blink.value == pytest.approx(0.3, abs=0.06)
    assert (tmp_path / "previews" / blink.file).is_file()
    assert read_image(tmp_path / "previews" / blink.file).mean() == pytest.approx(200, abs=3)
    assert {path.name for path in (tmp_path / "previews").iterdir()} == {"index.csv", *(p.file for p in found)}


def test_the_widest_smile(tmp_path: Path) -> None:
    smiles = [0.1, 0.5, 0.9, 0.7, 0.2]
    seen = [replace(face(40, 20, 60, 60), measures=measured(smile=s)) for s in smiles]
    (smile,) = [preview for preview in previews(tmp_path, seen) if preview.kind == SMILE]
    assert smile.frame == 2
    assert smile.value == pytest.approx(0.9)


def test_no_smile_and_no_measures_give_no_image(tmp_path: Path) -> None:
    still = [replace(face(40, 20, 60, 60), measures=measured(smile=0.2)) for _ in range(5)]
    hidden = [replace(face(40, 20, 60, 60), measures=measured(smile=0.9, presence=0.2)) for _ in range(5)]
    plain = [face(40, 20, 60, 60)] * 5
    for n, seen in enumerate((still, hidden, plain)):
        assert {preview.kind for preview in previews(tmp_path / f"{n}", seen)} == {None}


def test_results_of_older_versions_are_read(tmp_path: Path) -> None:
    previews(tmp_path, [replace(face(40, 20, 60, 60), measures=measured(smile=0.9))])
    path = tmp_path / "previews/index.csv"
    lines = [line.split(",") for line in path.read_text().splitlines()]
    assert lines[0][-2:] == ["kind", "value"]
    path.write_text("".join(",".join(line[:-2]) + "\n" for line in lines))
    assert {preview.kind for preview in read_previews(tmp_path)} == {None}


def test_what_is_not_needed_any_more_is_dropped() -> None:
    """However often eyes close, only some images are kept."""
    highlights = Highlights()
    for n, opening in enumerate(np.tile([0.3, 0.3, 0.3, 0.1, 0.08, 0.3], 300).tolist()):
        seen = replace(face(40, 20, 60, 60), measures=measured(opening))
        highlights.update(Frame(n, n / RATE, ArrayImage(np.zeros((4, 4, 3), np.uint8))), [seen])
        assert len(highlights.kept) <= 10
