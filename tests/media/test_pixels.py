"""The pixels of decoded frames: upright, with the right colours, of any size and format."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from fermedia.media.video import VideoPicture, VideoReader
from tests.films import Image, astronaut, background, paint_number, read_number, write_film

COLORS = np.array([[255, 255, 255], [0, 0, 0], [200, 40, 60], [40, 180, 70], [50, 70, 210], [128, 128, 128]], np.uint8)


def first_picture(path: Path) -> VideoPicture:
    with VideoReader(path) as reader:
        picture = next(reader.frames()).picture
        assert isinstance(picture, VideoPicture)
        assert (reader.info.width, reader.info.height) == (picture.width, picture.height)
    return picture


def swatches(size: tuple[int, int] = (320, 240)) -> Image:
    """Six columns of flat colour."""
    width, height = size
    return COLORS[np.arange(width) * len(COLORS) // width][None].repeat(height, axis=0)


def middles(picture: Image) -> Image:
    """The colour in the middle of each of the six columns."""
    height, width = picture.shape[:2]
    at = ((np.arange(len(COLORS)) + 0.5) * width / len(COLORS)).astype(int)
    return picture[height // 2, at]


def scene(size: tuple[int, int] = (320, 240)) -> Image:
    """No symmetry, so that every way of turning it shows."""
    picture = background(size)
    picture[size[1] // 2 :, : size[0] // 3] = (220, 200, 60)
    picture[size[1] - size[1] // 5 :, : size[0] // 6] = (20, 30, 40)
    return paint_number(picture, 1234)


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("a.mp4", "libx264", "yuv420p"),
        ("a.mp4", "libx265", "yuv420p10le"),
        ("a.mp4", "libx264", "yuv422p"),
        ("a.mp4", "libx264", "yuv444p"),
        ("a.mkv", "libx264", "yuv422p10le"),
        ("a.webm", "libvpx-vp9", "yuva420p"),
        ("a.mov", "png", "rgb24"),
        ("a.mov", "png", "rgba"),
        ("a.mov", "prores_ks", "yuv422p10le"),
    ],
)
def test_colours_survive_every_pixel_format(tmp_path: Path, name: str, codec: str, pix_fmt: str) -> None:
    picture = first_picture(write_film(tmp_path / name, [swatches()] * 3, codec=codec, pix_fmt=pix_fmt))
    assert picture.frame.format.name == "yuv420p"
    np.testing.assert_allclose(middles(picture.rgb()), COLORS, atol=6)
    np.testing.assert_allclose(middles(picture.rgb((160, 120))), COLORS, atol=6)
    assert middles(picture.gray()).tolist() == pytest.approx([255, 0, 92, 126, 80, 128], abs=6)


def test_a_grey_film(tmp_path: Path) -> None:
    columns = np.repeat(COLORS[:, :1], 3, axis=1)
    grey = columns[np.arange(320) * len(columns) // 320][None].repeat(240, axis=0)
    picture = first_picture(write_film(tmp_path / "a.mkv", [grey] * 3, codec="ffv1", pix_fmt="gray"))
    assert middles(picture.gray()).tolist() == pytest.approx(columns[:, 0].tolist(), abs=3)
    np.testing.assert_allclose(middles(picture.rgb()), columns, atol=3)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p"])
def test_full_and_limited_range(tmp_path: Path, full: bool, pix_fmt: str) -> None:
    path = write_film(tmp_path / "a.mp4", [swatches()] * 3, pix_fmt=pix_fmt, full_range=full)
    picture = first_picture(path)
    assert picture.full_range is full
    luma = picture.frame.to_ndarray()[:240]
    assert int(luma.min()) == pytest.approx(0 if full else 16, abs=3)
    np.testing.assert_allclose(middles(picture.rgb()), COLORS, atol=6)
    assert middles(picture.gray())[[0, 1, 5]].tolist() == pytest.approx([255, 0, 128], abs=3)


def test_motion_jpeg_is_full_range(tmp_path: Path) -> None:
    picture = first_picture(write_film(tmp_path / "a.avi", [swatches()] * 3, codec="mjpeg", pix_fmt="yuvj422p"))
    assert picture.full_range
    np.testing.assert_allclose(middles(picture.rgb()), COLORS, atol=12)


def test_high_definition_without_tags_is_bt709(tmp_path: Path) -> None:
    picture = first_picture(write_film(tmp_path / "a.mp4", [swatches((1280, 720))]))
    assert picture.bt709
    np.testing.assert_allclose(middles(picture.rgb()), COLORS, atol=6)
    assert not first_picture(write_film(tmp_path / "b.mp4", [swatches()])).bt709


def test_a_tagged_matrix_counts_whatever_the_size(tmp_path: Path) -> None:
    small = first_picture(write_film(tmp_path / "a.mp4", [swatches()], colorspace=1))
    large = first_picture(write_film(tmp_path / "b.mp4", [swatches((1280, 720))], colorspace=5))
    assert small.bt709
    assert not large.bt709
    for picture in (small, large):
        np.testing.assert_allclose(middles(picture.rgb()), COLORS, atol=6)


def test_an_animated_gif(tmp_path: Path) -> None:
    pictures = [paint_number(swatches(), n) for n in range(5)]
    path = write_film(tmp_path / "a.gif", pictures, 10, codec="gif", pix_fmt="rgb8")
    with VideoReader(path) as reader:
        frames = list(reader.frames())
    assert [read_number(frame.picture.gray()) for frame in frames] == list(range(5))
    assert [frame.time for frame in frames] == pytest.approx([n / 10 for n in range(5)])
    np.testing.assert_allclose(middles(frames[0].picture.rgb())[:2], COLORS[:2], atol=6)


@pytest.mark.parametrize("size", [(596, 336), (317, 239), (320, 239), (317, 240), (67, 51)])
@pytest.mark.parametrize("rotation", [0, 90])
def test_padded_rows_and_odd_sizes(tmp_path: Path, size: tuple[int, int], rotation: int) -> None:
    upright = scene(size)
    path = write_film(tmp_path / "a.mp4", [upright] * 2, codec="mpeg4", rotation=rotation, options={"qscale": "2"})
    picture = first_picture(path)
    assert (picture.width, picture.height) == size
    planes = picture.frame.planes
    assert [(p.width, p.height) for p in planes[1:]] == [((size[0] + 1) // 2, (size[1] + 1) // 2)] * 2
    for array, shape in (
        (picture.gray(), size[::-1]),
        (picture.rgb(), (*size[::-1], 3)),
        (picture.rgb((101, 67)), (67, 101, 3)),
    ):
        assert array.shape == shape
        assert array.dtype == np.uint8
        assert array.flags.c_contiguous
        assert read_number(array) == 1234
    assert np.abs(picture.rgb().astype(int) - upright).mean() < 6


@pytest.mark.parametrize("hflip", [False, True])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_turned_and_mirrored_films_come_out_upright(tmp_path: Path, rotation: int, hflip: bool) -> None:
    path = write_film(tmp_path / "a.mp4", [scene()] * 3, rotation=rotation, hflip=hflip)
    with VideoReader(path) as reader:
        frames = list(reader.frames())
        assert (reader.info.width, reader.info.height) == (320, 240)
        if not hflip:
            assert reader.info.rotation == rotation
    for frame in frames:
        assert isinstance(frame.picture, VideoPicture)
        assert all(plane.line_size > 0 for plane in frame.picture.frame.planes)
        assert (frame.picture.width, frame.picture.height) == (320, 240)
        assert np.abs(frame.picture.rgb().astype(int) - scene()).mean() < 4
        assert read_number(frame.picture.gray()) == 1234


def test_shrinking_averages(tmp_path: Path) -> None:
    """One-pixel stripes become grey, not stripes."""
    stripes = np.zeros((240, 320, 3), np.uint8)
    stripes[:, ::2] = 255
    picture = first_picture(write_film(tmp_path / "a.mkv", [stripes], codec="ffv1"))
    small = picture.rgb((80, 60))
    assert small.std() < 8
    assert small.mean() == pytest.approx(127, abs=8)


def test_grey_is_what_opencv_makes_of_the_colours(tmp_path: Path) -> None:
    import cv2

    upright = paint_number(astronaut(), 3)
    picture = first_picture(write_film(tmp_path / "a.mp4", [upright], options={"crf": "10"}))
    assert np.abs(picture.gray().astype(int) - cv2.cvtColor(upright, cv2.COLOR_RGB2GRAY)).mean() < 3


def test_a_picture_is_not_disturbed_by_decoding_on(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mp4", [paint_number(background((320, 240)), n) for n in range(30)])
    with VideoReader(path) as reader:
        frames = reader.frames()
        kept = [next(frames) for _ in range(8)]
        for _ in frames:
            pass
    assert [read_number(frame.picture.gray()) for frame in kept] == list(range(8))
    assert [read_number(frame.picture.rgb()) for frame in kept] == list(range(8))


def test_a_size_that_changes_within_a_stream_is_scaled_to_the_first(tmp_path: Path) -> None:
    big = write_film(tmp_path / "a.ts", [scene((320, 240))] * 10)
    small = write_film(tmp_path / "b.ts", [scene((160, 120))] * 10)
    both = tmp_path / "both.ts"
    both.write_bytes(big.read_bytes() + small.read_bytes())
    with VideoReader(both) as reader:
        frames = list(reader.frames())
    assert len(frames) == 20
    assert {(f.picture.width, f.picture.height) for f in frames} == {(320, 240)}
    assert {read_number(f.picture.gray()) for f in frames} == {1234}
    assert all(a.time < b.time for a, b in pairwise(frames))  # type: ignore[operator]
