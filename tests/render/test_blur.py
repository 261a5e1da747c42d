"""Hidden faces: where they are not detected, too, in every frame, and so that nothing of them is left."""

from __future__ import annotations

import cv2
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from fermedia.images import ArrayImage
from fermedia.render.blur import Cover, CoveredImage, hidden_faces, hide, hide_yuv420
from fermedia.tables.timeline import as_timeline
from fermedia.types import Box
from tests.seen import face
from tests.videos import astronaut

RATE, SIZE = 25, (640, 360)

Pixels = NDArray[np.uint8]


def timeline(paths: list[list[Box | None]], every: int = 1) -> pd.DataFrame:
    """The timeline of faces whose boxes are known for each frame; None where a face is not detected."""
    frames = range(0, len(paths[0]), every)
    seen = ([(i, path[n]) for i, path in enumerate(paths)] for n in frames)
    return as_timeline(
        ("v", n, n / RATE, [face(b.x, b.y, b.width, b.height, i) for i, b in found if b])
        for n, found in zip(frames, seen, strict=True)
    )


def walk(frames: int, speed: float, width: float = 60.0, y: float = 150.0) -> list[Box]:
    """The true boxes of a face that comes in from the left and nods."""
    return [Box(speed * n / RATE - width, y + 10 * np.sin(n / 5), width, width) for n in range(frames)]


def covered(box: Box, hidden: list[Box]) -> float:
    """The share of a box inside the image of which nothing is left."""
    checked = np.zeros(SIZE[::-1], np.uint8)
    checked[::2, ::2] = 255
    hide(checked, hidden)
    sides = (box.y, box.height), (box.x, box.width)
    rows, columns = (slice(max(0, round(a)), max(0, round(a + s))) for a, s in sides)
    part = checked[rows, columns]
    return float(((part > 30) & (part < 100)).mean()) if part.size else 1.0


@pytest.mark.parametrize("every", [1, 5, 25])
@pytest.mark.parametrize("blink", [(0, 0), (30, 45), (0, 20), (60, 75)])
def test_a_face_is_covered_in_every_frame_however_rarely_it_is_detected(every: int, blink: tuple[int, int]) -> None:
    """It walks by, and is missed for half a second: in the middle, when it comes in, or at the end."""
    true = walk(75, 150)
    found = [None if n in range(*blink) or box.x + box.width / 2 < 0 else box for n, box in enumerate(true)]
    cover = Cover(timeline([list(found)], every), "all")
    shares = [covered(box, cover.at(n / RATE)) for n, box in enumerate(true)]
    assert min(shares) > 0.99, shares


def test_what_is_far_from_any_face_stays() -> None:
    true = walk(75, 150)
    cover = Cover(timeline([list(true)]), "all")
    for n, box in enumerate(true):
        assert covered(Box(box.x + 3 * box.width, box.y, box.width, box.width), cover.at(n / RATE)) == 0 or box.x > 400


def test_a_face_is_not_hidden_long_after_it_has_gone() -> None:
    gone: list[Box | None] = [*walk(25, 150), *[None] * 75]
    cover = Cover(timeline([gone]), "all")
    assert cover.at(2.4)
    assert not cover.at(2.6)
    assert Cover(timeline([[None] * 5]), "all").at(0.1) == []


def test_who_is_hidden() -> None:
    still: list[list[Box | None]] = [[Box(10, 10, size, size)] * 3 for size in (30, 60, 20)]
    table = timeline(still)
    assert hidden_faces(table, "all") == {0, 1, 2}
    assert hidden_faces(table, "others") == {0, 2}
    assert hidden_faces(table, {2, 7}) == {2}
    assert Cover(table, {2}).note is None
    assert "no face 7" in str(Cover(table, {2, 7}).note)
    assert hidden_faces(table.iloc[:0], "others") == set()


def test_nothing_of_a_face_can_be_recognized() -> None:
    """What is left of the face's details correlates with them no more than another face does."""
    image = astronaut()[:256, 96:352].copy()
    box = Box(76, 62, 105, 105)
    after = image.copy()
    hide(after, [box])
    part = slice(62, 167), slice(76, 181)
    fine = [_detail(i)[part] for i in (image, after)]
    assert abs(float((fine[0] * fine[1]).sum() / (fine[0] ** 2).sum())) < 0.05
    assert (after[:5] == image[:5]).all()
    shown = CoveredImage(ArrayImage(image), [box])
    assert (shown.rgb() == after).all()
    smaller = cv2.resize(after, (128, 128), interpolation=cv2.INTER_AREA)
    assert np.abs(shown.rgb((128, 128)).astype(int) - smaller).mean() < 2


def test_all_planes_are_hidden_up_to_the_edges() -> None:
    planes = [np.random.default_rng(1).integers(0, 255, shape, np.uint8) for shape in ((37, 61), (19, 31), (19, 31))]
    before = [plane.copy() for plane in planes]
    hide_yuv420((planes[0], planes[1], planes[2]), [Box(-20, -20, 40, 40), Box(50, 30, 500, 40), Box(900, 0, 5, 5)])
    for plane, was in zip(planes, before, strict=True):
        assert plane[:8, :8].std() < was[:8, :8].std() / 3
        assert plane[-2:, -2:].std() < was[-2:, -2:].std() / 2


def _detail(image: Pixels) -> NDArray[np.float32]:
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return np.asarray(gray - cv2.GaussianBlur(gray, (0, 0), 105 / 8), np.float32)
