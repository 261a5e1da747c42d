"""What is painted: inside the image, readable, calm, and the same on videos as on photos."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.color import deltaE_ciede2000, rgb2lab

from fermedia.render.colors import EMOTION_COLORS, luminance, rgb, text_on
from fermedia.render.drawing import Look, Painter, overlay
from fermedia.render.patches import Patch, YuvSpace, blend_rgb, blend_yuv420, bt601, bt709, bt2020, to_yuv
from fermedia.types import EMOTIONS, Observation
from tests.seen import EVEN, face, one_hot
from tests.videos import background, pixels

SIZES = [(320, 180), (320, 240), (240, 320), (641, 361), (1280, 720), (1080, 1920), (1920, 1080), (3840, 2160)]


def painted(observations: list[Observation], size: tuple[int, int]) -> NDArray[np.uint8]:
    image = np.full((size[1], size[0], 3), 90, np.uint8)
    blend_rgb(image, overlay(observations, *size))
    return image


def area(patch: Patch) -> tuple[int, int, int, int]:
    h, w = patch.rgba.shape[:2]
    return patch.x, patch.y, patch.x + w, patch.y + h


def overlap(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> bool:
    return min(a[2], b[2]) > max(a[0], b[0]) and min(a[3], b[3]) > max(a[1], b[1])


def panel(patches: list[Patch]) -> Patch:
    """The panel of a lone face: what is painted last."""
    return patches[-1]


# -- where ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (64, 48), *SIZES])
def test_never_leaves_the_image(size: tuple[int, int]) -> None:
    width, height = size
    random = np.random.default_rng(width)
    for count in (1, 2, 7, 30):
        center, side = random.uniform(-0.1, 1.1, (count, 2)) * size, random.uniform(0.01, 1.2, count) * min(size)
        faces = [
            face(x - s / 2, y - s / 2, s, s * 1.1, n, one_hot(EMOTIONS[n % 7]))
            for n, ((x, y), s) in enumerate(zip(center, side, strict=True))
        ]
        faces[::3] = [replace(o, probabilities=None) for o in faces[::3]]
        for patch in overlay(faces, width, height):
            left, top, right, bottom = area(patch)
            assert left >= 0
            assert top >= 0
            assert right <= width
            assert bottom <= height
            assert patch.rgba.size
            assert (patch.rgba[:, :, :3] <= patch.rgba[:, :, 3:]).all()  # premultiplied


@pytest.mark.parametrize("size", SIZES)
def test_a_face_at_each_edge_is_framed_and_not_hidden_by_its_panel(size: tuple[int, int]) -> None:
    side = min(size) * 0.35
    right, bottom = size[0] - side, size[1] - side
    for x, y in ((0, 0), (right, 0), (0, bottom), (right, bottom), (-side / 3, bottom / 2)):
        box = (round(x), round(y), round(x + side), round(y + side))
        assert not overlap(area(panel(overlay([face(x, y, side, side)], *size))), box)


def test_panels_cover_neither_faces_nor_each_other() -> None:
    boxes = [(300, 270, 110, 115), (520, 330, 105, 110), (680, 310, 115, 115), (210, 70, 100, 110), (430, 220, 85, 95)]
    patches = overlay([face(*box, n) for n, box in enumerate(boxes)], 1000, 667)
    panels = [area(p) for p in patches[-5:]]
    faces = [(x, y, x + w, y + h) for x, y, w, h in boxes]
    assert all(right - left > 60 for left, _, right, _ in panels)
    assert not any(overlap(a, b) for a, b in [*combinations(panels, 2), *((p, f) for p in panels for f in faces)])


def test_a_crowd_gets_small_labels() -> None:
    crowd = [face(20 + 95 * i, 20 + 75 * j, 38, 38, 5 * j + i) for i in range(5) for j in range(5)]
    panels = [area(p) for p in overlay(crowd, 500, 400)[-25:]]
    assert max(bottom - top for _, top, _, bottom in panels) < 30
    assert not any(overlap(a, b) for a, b in combinations(panels, 2))


def test_small_faces_get_small_labels_even_where_there_is_room() -> None:
    alone = panel(overlay([face(900, 500, 30, 30)], 1920, 1080)).rgba.shape
    company = [face(300 + 300 * n, 500, 30, 30, n) for n in range(5)]
    shapes = [p.rgba.shape for p in overlay(company, 1920, 1080)[-5:]]
    assert alone[0] > 150
    assert max(height for height, _, _ in shapes) < 60


def test_panels_keep_calm_while_a_face_trembles() -> None:
    """The panel stays on its side and moves less than the box."""
    painter = Painter(1280, 720)
    shake = [0, 6, -6, 5, -4, 6, -6, 0]
    places = [area(panel(painter.patches([face(500 + d, 250 + d, 200, 200)]))) for d in shake]
    assert len({(right - left, low - top) for left, top, right, low in places}) == 1
    lefts = [left for left, _, _, _ in places]
    assert max(lefts) - min(lefts) < 12 * 0.75


def test_a_panel_does_not_change_sides_to_and_fro() -> None:
    """Where a hair decides between two sides, a painter that has chosen one keeps to it."""

    def is_right(painter: Painter, x: float) -> bool:
        return panel(painter.patches([face(x, 200, 200, 200)])).x > x

    turn = next(x for x in range(700, 1080) if not is_right(Painter(1280, 720), x))
    painter = Painter(1280, 720)
    assert {is_right(painter, turn - 1 + n % 2) for n in range(6)} == {True}
    painter = Painter(1280, 720)
    assert {is_right(painter, turn - n % 2) for n in range(6)} == {False}


# -- how it looks -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_seven_bars_in_their_colours(size: tuple[int, int]) -> None:
    side = min(size) * 0.3
    patch = panel(overlay([face(size[0] * 0.1, size[1] * 0.3, side, side, 0, EVEN)], *size))
    image = np.full((*patch.rgba.shape[:2], 3), 90, np.uint8)
    blend_rgb(image, [Patch(0, 0, patch.rgba)])
    left = image.shape[1] // 3  # the bars stand in the right two thirds
    for emotion in EMOTIONS:
        found = (np.abs(image[:, left:].astype(int) - rgb(EMOTION_COLORS[emotion])).max(axis=2) < 12).sum()
        assert found >= 8, emotion


def test_bars_are_as_long_as_they_say() -> None:
    def length(probability: float) -> int:
        rest = (1 - probability) / 2
        seen = [rest if e in ("fear", "sad") else probability if e == "disgust" else 0.0 for e in EMOTIONS]
        rgba = panel(overlay([face(100, 300, 300, 300, 0, seen)], 1920, 1080)).rgba
        green = np.abs(rgba[:, :, :3].astype(int) - rgb(EMOTION_COLORS["disgust"])).max(axis=2) < 40
        return int(green[rgba.shape[0] // 4 :].sum(axis=1).max())  # below the header with its chip

    assert length(0.2) / length(0.8) == pytest.approx(0.25, abs=0.04)
    assert length(0.4) / length(0.8) == pytest.approx(0.5, abs=0.04)


@pytest.mark.parametrize("size", SIZES)
def test_text_is_large_enough_to_read(size: tuple[int, int]) -> None:
    """The header's letters against the dark panel: at least 7 pixels high, and full contrast."""
    side = min(size) * 0.3
    rgba = panel(overlay([face(size[0] * 0.1, size[1] * 0.3, side, side, 0, one_hot("sad"))], *size)).rgba
    bright = rgba[:, :, :3].min(axis=2) > 200
    header = np.flatnonzero(bright[: rgba.shape[0] // 3].any(axis=1))
    assert header[-1] - header[0] + 1 >= max(7, round(0.009 * (size[0] * size[1]) ** 0.5))
    assert rgba.shape[0] < size[1] * 0.7
    assert rgba.shape[1] < size[0] * 0.6


def test_the_frame_is_round_the_face() -> None:
    image = painted([face(600, 300, 300, 320, 0, one_hot("happy"))], (1920, 1080)).astype(int)
    yellow = np.abs(image - rgb(EMOTION_COLORS["happy"])).max(axis=2) < 20
    yellow[:, 905:] = False  # the panel
    rows, columns = np.flatnonzero(yellow.any(axis=1)), np.flatnonzero(yellow.any(axis=0))
    assert (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1) == pytest.approx((300, 620, 600, 900), abs=3)
    assert not yellow[320:600, 620:880].any()


def test_a_face_without_a_judgement_is_framed_in_grey_and_says_so() -> None:
    small = replace(face(600, 300, 100, 100, 3), probabilities=None)
    other = replace(small, face_id=4)
    image = painted([small], (1920, 1080)).astype(int)
    gray = (np.abs(image - 134) < 12).all(axis=2)
    gray[:, 705:] = False
    rows, columns = np.flatnonzero(gray.any(axis=1)), np.flatnonzero(gray[300:].any(axis=0))
    assert (rows[-1] + 1, columns[0], columns[-1] + 1) == pytest.approx((400, 600, 700), abs=1)
    assert set(gray[305:395].sum(axis=1).tolist()) == {4}  # two upright lines of two pixels, no strong corners
    assert (image.max(axis=2) - image.min(axis=2)).max() < 20  # no emotion's colour anywhere
    tag = panel(overlay([small], 1920, 1080)).rgba
    assert tag.shape[0] < 60
    assert tag.shape[1] > 150  # room for the words
    assert (tag[:, 60:, :3].min(axis=2) > 150).sum() > 100  # which are there
    assert not np.array_equal(tag, panel(overlay([other], 1920, 1080)).rgba)


def test_a_face_whose_best_emotion_is_not_probable_enough_is_undecided() -> None:
    """Grey where it would have the colour, with the same frame and all bars; at the threshold it is decided."""
    shares = [0.35 if e == "happy" else 0.65 / 6 for e in EMOTIONS]
    seen = [face(300, 300, 300, 300, 0, shares)]
    least = float(np.float32(0.35))
    decided, exact = overlay(seen, 1920, 1080), overlay(seen, 1920, 1080, Look(least))
    assert all(np.array_equal(a.rgba, b.rgba) for a, b in zip(decided, exact, strict=True))
    undecided = overlay(seen, 1920, 1080, Look(0.4))
    assert [p.rgba.shape for p in undecided] == [p.rgba.shape for p in decided]
    for patch in undecided[:-1]:
        assert np.ptp(patch.rgba[:, :, :3].astype(int), axis=2).max() <= 12
    happy = np.array(rgb(EMOTION_COLORS["happy"]))
    header, rest = (panel(undecided).rgba[part, :, :3].astype(int) for part in (slice(0, 40), slice(60, None)))
    assert not (np.abs(header - happy).max(axis=2) < 40).any()  # nor has the chip its colour
    assert (np.abs(rest - happy).max(axis=2) < 12).sum() > 20  # its bar has


def test_nothing_seen_nothing_painted() -> None:
    assert overlay([], 640, 480) == []
    assert overlay([face(900, 900, 50, 50)], 640, 480) == []


# -- colours ----------------------------------------------------------------------------------------------------------

# Machado, Oliveira and Fernandes (2009), severity 1; for linear RGB.
VISION = {
    "common": np.eye(3),
    "protan": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deutan": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritan": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}


@pytest.mark.parametrize("vision", VISION)
def test_colours_tell_apart(vision: str) -> None:
    colors = np.array([rgb(EMOTION_COLORS[e]) for e in EMOTIONS]) / 255
    linear = np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4) @ VISION[vision].T
    linear = np.clip(linear, 0, 1)
    lab = rgb2lab(np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055))
    assert min(float(deltaE_ciede2000(a, b)) for a, b in combinations(lab, 2)) > 12


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_the_id_is_readable_on_every_colour(emotion: str) -> None:
    color = rgb(EMOTION_COLORS[emotion])
    low, high = sorted((luminance(color), luminance(text_on(color))))
    assert (high + 0.05) / (low + 0.05) >= 4.5  # WCAG 2, level AA


# -- videos and photos -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize(("make", "colorspace"), [(bt601, 5), (bt709, 1), (bt2020, 9)])
@pytest.mark.parametrize("offset", [(0, 0), (1, 1)])
def test_on_yuv_it_looks_as_on_rgb(
    make: Callable[[bool], YuvSpace], colorspace: int, full_range: bool, offset: tuple[int, int]
) -> None:
    size = (640, 480)
    seen = [face(100 + offset[0], 120 + offset[1], 180, 200, 3, EVEN)]
    patches = overlay(seen, *size)
    levels = 2 if full_range else 1
    frame = av.VideoFrame.from_ndarray(background(size), "rgb24").reformat(
        format="yuv420p", dst_colorspace=colorspace, dst_color_range=levels
    )

    def as_rgb() -> NDArray[np.uint8]:
        return pixels(frame.reformat(src_colorspace=colorspace, src_color_range=levels, dst_color_range=2))

    photo = np.ascontiguousarray(as_rgb())
    unpainted = photo.astype(int)
    blend_rgb(photo, patches)
    planes = [np.frombuffer(memoryview(p), np.uint8).reshape(-1, p.line_size)[:, : p.width] for p in frame.planes]
    space = make(full_range)
    blend_yuv420((planes[0], planes[1], planes[2]), [to_yuv(p, space) for p in patches])
    video = as_rgb()
    assert np.abs(photo - unpainted).max() > 100
    # Chroma has half the resolution: fine coloured lines and letters differ, areas must not.
    difference = np.abs(video.astype(int) - photo).max(axis=2)
    assert difference.mean() < 1
    assert np.median(difference[difference > 0]) <= 3
    weights = [space.red, 1 - space.red - space.blue, space.blue]
    luma = photo @ weights if full_range else 16 + photo @ weights * 219 / 255
    assert np.abs(planes[0] - luma).max() < 3


def test_yuv_patches_at_the_last_odd_pixel() -> None:
    """On an image of 5x5 the chroma planes have 3x3 samples; the last stands for one pixel."""
    white = Patch(3, 3, np.full((2, 2, 4), 255, np.uint8))
    planes = np.zeros((5, 5), np.uint8), np.full((3, 3), 60, np.uint8), np.full((3, 3), 60, np.uint8)
    blend_yuv420(planes, [to_yuv(white, bt601(True))])
    assert (planes[0][3:, 3:] == 255).all()
    assert planes[0].sum() == 4 * 255
    assert planes[1][1, 1] == pytest.approx(60 + (128 - 60) / 4, abs=1)
    assert planes[1][0, 0] == 60
