"""Where to look: squares that cover the image, and the way back."""

from __future__ import annotations

import numpy as np
import pytest

from fermedia.images import as_image
from fermedia.types import Box
from fermedia.vision.networks import SEEN, Candidate
from fermedia.vision.tiles import Shrunk, Square, close_up, overlapping, same, searched, whole_image
from tests.videos import background

SIZES = [(1280, 720), (720, 1280), (1920, 1080), (500, 400), (640, 480), (48, 48), (2350, 1000), (8000, 1000)]
SIZES += [(3, 400), (3000, 3000)]


def inside(square: Square, x: float, y: float, width: float) -> bool:
    """Whether a box around (x, y) lies whole in a square."""
    half = width / 2 - 1e-6
    return (
        square.x <= x - half
        and x + half <= square.x + square.side
        and square.y <= y - half
        and y + half <= square.y + square.side
    )


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("levels", [1, 2, None])
def test_a_face_of_a_fifth_of_a_square_is_whole_in_one(size: tuple[int, int], levels: int | None) -> None:
    squares = overlapping(*size, levels=levels)
    random = np.random.default_rng(0)
    for side in {square.side for square in squares}:
        for share in random.uniform(0, 1, (200, 2)):
            width = 0.2 * side
            x, y = (max(width / 2, min(n - width / 2, n * part)) for n, part in zip(size, share, strict=True))
            if width <= min(size):
                assert any(inside(square, x, y, width) for square in squares if square.side == side)


@pytest.mark.parametrize("size", SIZES)
def test_no_image_costs_without_bound(size: tuple[int, int]) -> None:
    assert len(whole_image(*size)) == 1
    assert len(overlapping(*size, levels=1)) <= 3
    assert len(overlapping(*size, levels=None)) <= 220
    assert all(square.side >= min(192, min(size) / 1.4) for square in overlapping(*size, levels=None))


def test_levels() -> None:
    """A wide image is seen in squares of its height, one that is nearly square whole."""
    assert [(s.x, s.side) for s in overlapping(1280, 720, levels=1)] == [(0, 720), (560, 720)]
    assert [(s.y, s.side) for s in overlapping(720, 1280, levels=1)] == [(0, 720), (560, 720)]
    assert [(s.y, s.side) for s in overlapping(640, 480, levels=1)] == [(-80, 640)]
    assert {s.side for s in overlapping(500, 400, levels=2)} == {500, 192}
    assert {s.side for s in overlapping(250, 200, levels=2)} == {250}
    assert {round(s.side) for s in overlapping(8000, 1000, levels=None)} == {3077, 1569, 800}
    sides = [sorted({s.side for s in overlapping(1920, 1080, levels=levels)}) for levels in (1, 2, None)]
    assert sides[2] == pytest.approx([192, 455.4, 1080], abs=0.1)
    assert sides[:2] == [sides[2][2:], sides[2][1:]]


@pytest.mark.parametrize("size", SIZES)
def test_a_close_up_has_a_border(size: tuple[int, int]) -> None:
    square = close_up(*size)
    assert square.side >= max(*size, 1.4 * min(size))
    assert (square.x + square.side / 2, square.y + square.side / 2) == pytest.approx((size[0] / 2, size[1] / 2))


@pytest.mark.parametrize("size", [(1280, 720), (500, 400), (333, 211), (100, 60)])
def test_what_is_seen_in_a_square_is_brought_back_to_where_it_is(size: tuple[int, int]) -> None:
    """A white dot in the image, in every square that holds it."""
    x, y = round(size[0] * 0.43), round(size[1] * 0.61)
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    radius = max(2, size[1] // 40)
    pixels[y - radius : y + radius, x - radius : x + radius] = 255
    squares = [*overlapping(*size, levels=2), close_up(*size)]
    shrunk = Shrunk(as_image(pixels), squares)
    seen = 0
    for square in squares:
        image, shift, scale = shrunk.show(square)
        assert image.shape[0] == image.shape[1] <= SEEN[square.network]
        rows, columns = np.nonzero(image[:, :, 0] > 127)
        if len(rows) == 0 or not inside(square, x, y, 4 * radius):
            continue
        box = Box(*map(float, (columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1)))
        place = Candidate(box, 0.7, np.zeros((6, 2), np.float32))
        back = place.moved(shift, scale)
        pixel = 1.5 * max(1, square.side / SEEN[square.network])
        assert back.box.center == pytest.approx((x, y), abs=pixel)
        assert back.box.width == pytest.approx(2 * radius, abs=2 * pixel)
        assert shift * scale == pytest.approx((square.x, square.y), abs=pixel)
        assert back.keypoints.dtype == np.float32
        assert back.keypoints[0] == pytest.approx(shift * scale, rel=1e-5, abs=1e-3)
        seen += 1
    assert seen >= 2


def test_outside_the_image_its_edge_is_repeated() -> None:
    image = as_image(background((300, 200)))
    square = close_up(300, 200)
    shown, _, _ = Shrunk(image, [square]).show(square)
    assert shown.shape == (128, 128, 3)
    assert (shown[0] == shown[15]).all()
    assert shown.min() > 20


def test_boxes_of_one_face() -> None:
    face = Box(100, 100, 100, 100)
    assert same(face, Box(110, 105, 95, 95))
    assert same(face, Box(130, 130, 40, 40))  # a part of it
    assert not same(face, Box(160, 100, 100, 100))
    assert not same(face, Box(300, 100, 100, 100))
    assert not same(face, Box(300, 300, 100, 100))


@pytest.mark.parametrize(
    ("region", "rows", "columns"),
    [
        (Box(640, 0, 640, 360), slice(0, 450), slice(550, 1280)),
        (Box(101, 201, 640, 360), slice(110, 651), slice(10, 831)),  # from even pixels
        (Box(600, 300, 2, 2), slice(120, 481), slice(420, 781)),  # at least half of the image's shorter side
        (Box(1279, 719, 9000, 9000), slice(0, 720), slice(0, 1280)),
        (Box(1280, 0, 10, 10), None, None),
        (Box(0, 720, 10, 10), None, None),
    ],
)
def test_the_part_searched_for_a_region(region: Box, rows: slice | None, columns: slice | None) -> None:
    part = searched(region, 1280, 720)
    assert part == (None if rows is None else (rows, columns))
