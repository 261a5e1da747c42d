"""The pixels of decoded frames: upright, with the right colours, of any size and format."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fermedia.images import ArrayImage
from fermedia.media.frames import VideoImage
from fermedia.media.video import VideoReader
from fermedia.types import Image
from tests.videos import Pixels, astronaut, background, paint_number, read_number, write_video

COLORS = np.array([[255, 255, 255], [0, 0, 0], [200, 40, 60], [40, 180, 70], [50, 70, 210], [128, 128, 128]], np.uint8)


def first_image(path: Path) -> VideoImage:
    with VideoReader(path) as reader:
        image = next(reader.frames()).image
        assert isinstance(image, VideoImage)
        assert (reader.info.width, reader.info.height) == (image.width, image.height)
    return image


def swatches(size: tuple[int, int] = (320, 240)) -> Pixels:
    """Six columns of flat colour."""
    width, height = size
    return COLORS[np.arange(width) * len(COLORS) // width][None].repeat(height, axis=0)


def middles(image: Pixels) -> Pixels:
    """The colour in the middle of each of the six columns."""
    height, width = image.shape[:2]
    at = ((np.arange(len(COLORS)) + 0.5) * width / len(COLORS)).astype(int)
    return image[height // 2, at]


def scene(size: tuple[int, int] = (320, 240)) -> Pixels:
    """No symmetry, so that every way of turning it shows."""
    image = background(size)
    image[size[1] // 2 :, : size[0] // 3] = (220, 200, 60)
    image[size[1] - size[1] // 5 :, : size[0] // 6] = (20, 30, 40)
    return paint_number(image, 1234)


def test_a_grey_video(tmp_path: Path) -> None:
    columns = np.repeat(COLORS[:, :1], 3, axis=1)
    grey = columns[np.arange(320) * len(columns) // 320][None].repeat(240, axis=0)
    image = first_image(write_video(tmp_path / "a.mkv", [grey] * 3, codec="ffv1", pix_fmt="gray"))
    assert middles(image.gray()).tolist() == pytest.approx(columns[:, 0].tolist(), abs=3)
    np.testing.assert_allclose(middles(image.rgb()), columns, atol=3)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p"])
def test_full_and_limited_range(tmp_path: Path, full: bool, pix_fmt: str) -> None:
    path = write_video(tmp_path / "a.mp4", [swatches()] * 3, pix_fmt=pix_fmt, full_range=full)
    image = first_image(path)
    assert image.full_range is full
    luma = image.frame.to_ndarray()[:240]
    assert int(luma.min()) == pytest.approx(0 if full else 16, abs=3)
    np.testing.assert_allclose(middles(image.rgb()), COLORS, atol=6)
    assert middles(image.gray())[[0, 1, 5]].tolist() == pytest.approx([255, 0, 128], abs=3)


@pytest.mark.parametrize("full", [False, True])
def test_luma_of_every_value_is_brought_to_full_range(full: bool) -> None:
    frame = av.VideoFrame(256, 2, "yuvj420p" if full else "yuv420p")
    luma = np.arange(256)
    frame.planes[0].update(luma.astype(np.uint8).tobytes() * 2)
    expected = luma if full else np.clip(np.round((luma - 16) * 255 / 219), 0, 255)
    for part in (np.s_[:, :], np.s_[1:, 7:90], np.s_[:, ::3]):
        assert (VideoImage(frame).gray(part) == np.stack([expected] * 2)[part]).all()


@pytest.mark.parametrize("size", [(192, 192), (191, 191), (300, 200), (48, 36)])
def test_a_shrunk_image_has_the_colours_of_the_areas(tmp_path: Path, size: tuple[int, int]) -> None:
    image = first_image(write_video(tmp_path / "a.mp4", [astronaut()] * 2))
    areas = cv2.resize(image.rgb().astype(np.float32), size, interpolation=cv2.INTER_AREA)
    shrunk = image.rgb(size)
    assert shrunk.shape == areas.shape
    assert np.abs(shrunk - areas).mean() < 2
    assert np.abs(shrunk - areas).max() < 30


def test_an_animated_gif(tmp_path: Path) -> None:
    images = [paint_number(swatches(), n) for n in range(5)]
    path = write_video(tmp_path / "a.gif", images, 10, codec="gif", pix_fmt="rgb8")
    with VideoReader(path) as reader:
        frames = list(reader.frames())
    assert [read_number(frame.image.gray()) for frame in frames] == list(range(5))
    assert [frame.time for frame in frames] == pytest.approx([n / 10 for n in range(5)])
    np.testing.assert_allclose(middles(frames[0].image.rgb())[:2], COLORS[:2], atol=6)


@pytest.mark.parametrize("size", [(596, 336), (317, 239), (320, 239), (317, 240), (67, 51)])
@pytest.mark.parametrize("rotation", [0, 90])
def test_padded_rows_and_odd_sizes(tmp_path: Path, size: tuple[int, int], rotation: int) -> None:
    upright = scene(size)
    path = write_video(tmp_path / "a.mp4", [upright] * 2, codec="mpeg4", rotation=rotation, options={"qscale": "2"})
    image = first_image(path)
    assert (image.width, image.height) == size
    planes = image.frame.planes
    assert [(p.width, p.height) for p in planes[1:]] == [((size[0] + 1) // 2, (size[1] + 1) // 2)] * 2
    for array, shape in (
        (image.gray(), size[::-1]),
        (image.rgb(), (*size[::-1], 3)),
        (image.rgb((101, 67)), (67, 101, 3)),
    ):
        assert array.shape == shape
        assert array.dtype == np.uint8
        assert array.flags.c_contiguous
        assert read_number(array) == 1234
    assert np.abs(image.rgb().astype(int) - upright).mean() < 6


@pytest.mark.parametrize("hflip", [False, True])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_turned_and_mirrored_videos_come_out_upright(tmp_path: Path, rotation: int, hflip: bool) -> None:
    path = write_video(tmp_path / "a.mp4", [scene()] * 3, rotation=rotation, hflip=hflip)
    with VideoReader(path) as reader:
        frames = list(reader.frames())
        assert (reader.info.width, reader.info.height) == (320, 240)
        if not hflip:
            assert reader.info.rotation == rotation
    for frame in frames:
        assert isinstance(frame.image, VideoImage)
        assert all(plane.line_size > 0 for plane in frame.image.frame.planes)
        assert (frame.image.width, frame.image.height) == (320, 240)
        assert np.abs(frame.image.rgb().astype(int) - scene()).mean() < 4
        assert read_number(frame.image.gray()) == 1234


#: cd/m2 of PQ, and shares of HLG's signal, and the luma that standard range has for them (BT.2390 to 203 cd/m2).
LIGHT = {0: 16, 1: 40, 5: 63, 20: 99, 50: 138, 80: 164, 203: 214, 400: 231, 1000: 235, 4000: 235}
SIGNAL = {0.0: 16, 0.1: 41, 0.3: 90, 0.5: 139, 0.6: 168, 0.75: 214, 0.9: 233, 1.0: 235}


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("kind", ["PQ", "HLG"])
def test_high_dynamic_range_becomes_standard(tmp_path: Path, kind: str, suffix: str) -> None:
    expected = LIGHT if kind == "PQ" else SIGNAL
    codes = [float(pq(light)) for light in LIGHT] if kind == "PQ" else list(SIGNAL)
    path = write_hdr(tmp_path / f"a{suffix}", np.repeat(codes, 3).reshape(-1, 3), 16 if kind == "PQ" else 18)
    with VideoReader(path) as reader:
        frames = list(reader.frames())
    assert [frame.index for frame in frames] == [0, 1, 2]
    for frame in frames:
        image = frame.image
        assert isinstance(image, VideoImage)
        assert (image.bt709, image.full_range) == (True, False)
        assert (image.colorspace, image.primaries, image.transfer) == (1, 1, 1)
        luma = image.frame.to_ndarray()[:64][32, 32::64][: len(codes)]
        np.testing.assert_allclose(luma, list(expected.values()), atol=2)
        gray = (np.array(list(expected.values())) - 16) * 255 / 219
        np.testing.assert_allclose(image.gray()[32, 32::64], gray, atol=3)


@pytest.mark.parametrize("matrix", [9, 2])  # BT.2020, untagged
def test_the_colours_of_high_dynamic_range_stay(tmp_path: Path, matrix: int) -> None:
    """BT.709's own colours, at 60 cd/m2 for white, look as they would there; the rest is clipped, not turned."""
    linear = np.array([[1, 1, 1], [0.6, 0.2, 0.15], [0.1, 0.5, 0.2], [0.1, 0.15, 0.6]])
    wide = linear @ np.linalg.inv(TO_709).T
    image = first_image(write_hdr(tmp_path / "a.mp4", pq(60 * wide), 16, matrix))
    expected = 255 * (60 / 203 * linear) ** (1 / 2.4)
    np.testing.assert_allclose(image.rgb()[32, 32::64], expected, atol=3)


TO_709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]])


def pq(light: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """SMPTE ST 2084: cd/m2 as a share of the signal."""
    y = (np.asarray(light, float) / 10_000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * y) / (1 + 18.6875 * y)) ** 78.84375


def write_hdr(path: Path, colors: NDArray[np.float64], transfer: int, matrix: int = 9) -> Path:
    """Three frames of patches, 64x64, of R'G'B' of BT.2100 (n, 3), 10-bit HEVC."""
    red, green, blue = colors.T
    luma = 0.2627 * red + 0.6780 * green + 0.0593 * blue
    planes = [64 + 876 * luma, 512 + 896 * (blue - luma) / 1.8814, 512 + 896 * (red - luma) / 1.4746]
    with av.open(str(path), "w") as video:
        options = {"preset": "ultrafast", "x265-params": "log-level=none:crf=4"}
        stream = video.add_stream("libx265", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 64 * len(colors), 64, "yuv420p10le"
        context = stream.codec_context
        context.colorspace, context.color_primaries, context.color_trc, context.color_range = matrix, 9, transfer, 1
        for n in range(3):
            frame = av.VideoFrame(stream.width, stream.height, "yuv420p10le")
            for plane, values in zip(frame.planes, planes, strict=True):
                rows = np.frombuffer(plane, np.uint16).reshape(plane.height, -1)  # type: ignore[call-overload]
                rows[:, : plane.width] = np.repeat(np.rint(values), plane.width // len(colors))
            frame.pts = n
            video.mux(stream.encode(frame))
        video.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(("codec", "suffix", "pix_fmt"), [
    ("libx264", ".mp4", "yuv420p"), ("mpeg2video", ".ts", "yuv422p"), ("ffv1", ".mkv", "yuv444p"),
])  # fmt: skip
def test_interlaced_frames_are_put_together(tmp_path: Path, codec: str, suffix: str, pix_fmt: str) -> None:
    """A bar that moves by 12 pixels a field leaves no comb, and each frame stays itself."""
    images = [weave(bar_at(24 * n), bar_at(24 * n + 12), n) for n in range(12)]
    flags = {} if codec == "ffv1" else {"flags": "+ildct+ilme"}
    path = write_video(tmp_path / f"a{suffix}", images, codec=codec, pix_fmt=pix_fmt, interlaced=True, options=flags)
    with VideoReader(path) as reader:
        frames = list(reader.frames())
    assert [read_number(frame.image.gray()) for frame in frames] == list(range(12))
    assert [frame.time for frame in frames] == pytest.approx([n / 25 for n in range(12)], abs=0.001)
    assert [frame.index for frame in frames] == list(range(12))
    assert comb(images[3].mean(axis=2)) > 10 * comb(frames[3].image.gray())
    for n, frame in enumerate(frames):
        assert comb(frame.image.gray()) < 0.6
        row = frame.image.gray()[150].astype(int)
        assert abs(int(np.flatnonzero(row > 200)[0]) - 20 - 24 * n) <= 14  # where it was in one of its fields


def test_progressive_frames_are_left_as_they_are(tmp_path: Path) -> None:
    """Also where a video has both kinds, and where rows alternate."""
    stripes = np.zeros((240, 480, 3), np.uint8)
    stripes[::2] = 255
    calm = write_video(tmp_path / "a.ts", [paint_number(stripes, n) for n in range(5)], options={"crf": "1"})
    moving = [weave(bar_at(24 * n), bar_at(24 * n + 12), n + 5) for n in range(5)]
    video = write_video(tmp_path / "b.ts", moving, interlaced=True, options={"flags": "+ildct+ilme"})
    both = tmp_path / "both.ts"
    both.write_bytes(calm.read_bytes() + video.read_bytes() + calm.read_bytes())
    with VideoReader(both) as reader:
        frames = list(reader.frames())
    grays = [frame.image.gray() for frame in frames]
    assert [read_number(gray) for gray in grays] == [*range(10), *range(5)]
    assert all(comb(gray) > 200 for gray in [*grays[:5], *grays[10:]])
    assert all(comb(gray) < 0.6 for gray in grays[5:10])


def bar_at(left: int) -> Pixels:
    image = background((480, 240))
    image[60:220, 20 + left : 140 + left] = 240
    return image


def weave(upper: Pixels, lower: Pixels, number: int) -> Pixels:
    """Two fields as one frame."""
    image = upper.copy()
    image[1::2] = lower[1::2]
    return paint_number(image, number)


def comb(gray: NDArray[Any]) -> float:
    """How much rows differ from both their neighbours, below the number."""
    rows = gray[30:210].astype(float)
    return float(np.abs(rows[1:-1] - (rows[:-2] + rows[2:]) / 2).mean())


def test_several_threads_read_one_image(tmp_path: Path) -> None:
    images = [paint_number(swatches((1280, 720)), n) for n in range(8)]
    path = write_video(tmp_path / "a.mp4", images)  # untagged: PyAV has to be told the matrix
    sizes = [None, (320, 240), (160, 120), (97, 61)]

    def look(image: Image, size: tuple[int, int] | None) -> tuple[bytes, bytes]:
        return image.rgb(size).tobytes(), image.gray().tobytes()

    with VideoReader(path) as reader, ThreadPoolExecutor(8) as pool:
        frames = pool.submit(list, reader.frames()).result()  # in another thread than the one that opened it
        jobs = [(frame.image, size) for frame in frames for _ in range(20) for size in sizes]
        seen = list(pool.map(look, *zip(*jobs, strict=True)))
    expected = {job: look(*job) for job in dict.fromkeys(jobs)}
    assert all(one == expected[job] for one, job in zip(seen, jobs, strict=True))


def test_shrinking_averages(tmp_path: Path) -> None:
    """One-pixel stripes become grey, not stripes."""
    stripes = np.zeros((240, 320, 3), np.uint8)
    stripes[:, ::2] = 255
    image = first_image(write_video(tmp_path / "a.mkv", [stripes], codec="ffv1"))
    small = image.rgb((80, 60))
    assert small.std() < 8
    assert small.mean() == pytest.approx(127, abs=8)


def test_grey_is_what_opencv_makes_of_the_colours(tmp_path: Path) -> None:
    import cv2

    upright = paint_number(astronaut(), 3)
    image = first_image(write_video(tmp_path / "a.mp4", [upright], options={"crf": "10"}))
    assert np.abs(image.gray().astype(int) - cv2.cvtColor(upright, cv2.COLOR_RGB2GRAY)).mean() < 3


def test_a_image_is_not_disturbed_by_decoding_on(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [paint_number(background((320, 240)), n) for n in range(30)])
    with VideoReader(path) as reader:
        frames = reader.frames()
        kept = [next(frames) for _ in range(8)]
        for _ in frames:
            pass
    assert [read_number(frame.image.gray()) for frame in kept] == list(range(8))
    assert [read_number(frame.image.rgb()) for frame in kept] == list(range(8))


@pytest.mark.parametrize("interlaced", [False, True])
def test_a_size_that_changes_within_a_stream_is_scaled_to_the_first(tmp_path: Path, interlaced: bool) -> None:
    options = {"flags": "+ildct+ilme"} if interlaced else {}
    big = write_video(tmp_path / "a.ts", [scene((320, 240))] * 10, interlaced=interlaced, options=options)
    small = write_video(tmp_path / "b.ts", [scene((160, 120))] * 10, interlaced=interlaced, options=options)
    both = tmp_path / "both.ts"
    both.write_bytes(big.read_bytes() + small.read_bytes())
    with VideoReader(both) as reader:
        frames = list(reader.frames())
    assert len(frames) == 20
    assert {(f.image.width, f.image.height) for f in frames} == {(320, 240)}
    assert {read_number(f.image.gray()) for f in frames} == {1234}
    assert all(a.time < b.time for a, b in pairwise(frames))  # type: ignore[operator]


def test_a_part_has_the_pixels_of_the_whole(tmp_path: Path) -> None:
    video = first_image(write_video(tmp_path / "video.mp4", [scene()]))
    part = slice(20, video.height - 7), slice(31, video.width - 11)
    for image in (video, ArrayImage(video.rgb())):
        whole = image.rgb()[part]
        assert np.abs(image.rgb(part=part).astype(int) - whole).mean() < 1.5
        shrunk = cv2.resize(whole, (90, 70), interpolation=cv2.INTER_AREA)
        assert np.abs(image.rgb((90, 70), part).astype(int) - shrunk).mean() < 1.5
