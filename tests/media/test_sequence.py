"""Numbered images come out as a video: which frames, at what times, and with which pixels."""

from __future__ import annotations

import gc
import weakref
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fermedia.errors import MediaError
from fermedia.media.find import find_items
from fermedia.media.frames import VideoImage
from fermedia.media.sequence import SequenceReader
from fermedia.media.video import VideoReader
from fermedia.options import Sampling
from fermedia.types import Frame, MediaItem
from tests.videos import astronaut, background, numbered, paint_number, read_number, write_video

SCENE = background((160, 120))


def take(folder: Path, numbers: list[int], suffix: str = ".png") -> MediaItem:
    """Images that show their own numbers."""
    folder.mkdir(exist_ok=True)
    for number in numbers:
        Image.fromarray(paint_number(SCENE, number)).save(folder / f"frame_{number:04d}{suffix}")
    return found(folder)


def found(folder: Path) -> MediaItem:
    (item,) = find_items([folder], None, sequences=True)
    return item


def read(item: MediaItem, rate: float, **sampling: Any) -> tuple[list[Frame], str | None]:
    with SequenceReader(item, rate) as reader:
        return list(reader.frames(Sampling(**sampling))), reader.warning


def shown(frames: list[Frame]) -> list[int]:
    return [read_number(frame.image.gray()) for frame in frames]


def test_times_are_exact_and_info_says_what_comes(tmp_path: Path) -> None:
    item = take(tmp_path, list(range(5, 45)))
    with SequenceReader(item, 29.97) as reader:
        info = reader.info
        frames = list(reader.frames())
        assert reader.warning is None
    assert shown(frames) == list(range(5, 45))
    assert [frame.index for frame in frames] == list(range(40))
    assert [frame.time for frame in frames] == [float(n / Fraction("29.97")) for n in range(40)]
    assert {frame.duration for frame in frames} == {float(1 / Fraction("29.97"))}
    assert all(frame.sampled and frame.name is None for frame in frames)
    assert (info.width, info.height, info.frames, info.audio, info.rotation) == (160, 120, 40, None, 0)
    assert (info.average_rate, info.duration) == (Fraction("29.97"), float(40 / Fraction("29.97")))
    assert info.codec == "png"


def test_missing_numbers_keep_the_time(tmp_path: Path) -> None:
    frames, warning = read(take(tmp_path, [3, 4, 7, 8]), 10)
    assert shown(frames) == [3, 4, 7, 8]
    assert [frame.time for frame in frames] == [0, 0.1, 0.4, 0.5]
    assert [frame.duration for frame in frames] == [0.1, 0.3, 0.1, 0.1]
    assert [frame.index for frame in frames] == [0, 1, 4, 5]
    assert warning == "no image for 2 of the numbers 3 to 8"


def test_images_that_cannot_be_read_are_left_out_and_counted(tmp_path: Path) -> None:
    item = take(tmp_path, [1, 2, 3, 4, 6])
    item.files[0].write_bytes(b"")
    item.files[2].write_bytes(b"nothing")
    frames, warning = read(item, 10)
    assert shown(frames) == [2, 4, 6]
    assert [frame.time for frame in frames] == [0.1, 0.3, 0.5]
    assert warning == (
        "no image for 1 of the numbers 1 to 6; 2 of 5 images cannot be read (frame_0001.png: the file is empty)"
    )
    for path in item.files:
        path.write_bytes(b"")
    with pytest.raises(MediaError) as caught:
        SequenceReader(item, 10)
    assert str(caught.value) == ("frame_%04d.png: none of its 5 images can be read (frame_0001.png: the file is empty)")
    assert caught.value.stage == "decode"


def test_numbers_that_do_not_count(tmp_path: Path) -> None:
    for name in ("id_1.png", "id_900000000000000000000.png"):
        Image.fromarray(SCENE).save(tmp_path / name)
    with pytest.raises(MediaError, match=r"^id_%d\.png: the numbers 1 to 9\d+ are too far apart for a video"):
        SequenceReader(found(tmp_path), 25)


@pytest.mark.parametrize(
    "sampling",
    [
        {},
        {"every": 7},
        {"fps": 8},
        {"fps": 100},
        {"start": 0.52, "end": 1.0},
        {"start": 0.5, "every": 3},
        {"start": 0.33, "fps": 4, "end": 1.2},
        {"start": 5.0},
    ],
)
def test_the_same_frames_are_chosen_as_in_a_video(tmp_path: Path, sampling: dict[str, Any]) -> None:
    item = take(tmp_path / "take", list(range(40)))
    video = write_video(tmp_path / "video.mp4", numbered(40, (160, 120)), 25)
    with VideoReader(video) as reader:
        expected = [(read_number(f.image.gray()), f.time, f.sampled) for f in reader.frames(Sampling(**sampling))]
    frames, _ = read(item, 25, **sampling)
    assert [(n, f.time, f.sampled) for n, f in zip(shown(frames), frames, strict=True)] == expected


def test_images_outside_the_span_are_not_read(tmp_path: Path) -> None:
    item = take(tmp_path, list(range(10)))
    for number in (1, 2, 7, 8, 9):
        item.files[number].write_bytes(b"")
    frames, warning = read(item, 10, start=0.3, end=0.7)
    assert shown(frames) == [3, 4, 5, 6]
    assert warning is None


def test_a_second_reading_begins_anew(tmp_path: Path) -> None:
    item = take(tmp_path, [1, 2, 3])
    item.files[1].write_bytes(b"")
    with SequenceReader(item, 10) as reader:
        for _ in range(2):
            assert shown(list(reader.frames())) == [1, 3]
            assert reader.warning == "1 of 3 images cannot be read (frame_0002.png: the file is empty)"


@pytest.mark.parametrize("size", [(512, 512), (1280, 720), (161, 121)])
def test_images_are_those_of_a_video(tmp_path: Path, size: tuple[int, int]) -> None:
    """8-bit 4:2:0 in limited range, tagged with what its colours mean, so that all later stages are a video's."""
    scene = background(size)
    scene[10:110, 10:110] = astronaut()[60:160, 170:270]
    scene[-30:, -60:-30], scene[-30:, -30:] = (250, 10, 10), (10, 10, 250)
    for number in (1, 2):
        Image.fromarray(scene).save(tmp_path / f"{number}.png")
    frames, _ = read(found(tmp_path), 25)
    image = frames[0].image
    assert isinstance(image, VideoImage)
    assert (image.width, image.height) == size
    assert image.frame.format.name == "yuv420p"
    assert image.bt709
    assert not image.full_range
    assert (image.frame.colorspace, image.frame.color_primaries, image.frame.color_trc) == (1, 1, 13)
    difference = np.abs(image.rgb().astype(int) - scene)
    assert difference.mean() < 2
    assert difference[-20:-10, -50:-40].max() < 6
    assert difference[-20:-10, -20:-10].max() < 6


def test_images_of_other_sizes_and_kinds_are_fitted_into_the_first(tmp_path: Path) -> None:
    for number, size in ((1, (320, 240)), (2, (160, 120)), (3, (960, 240))):
        Image.fromarray(paint_number(background(size), number)).save(tmp_path / f"f{number}.png")
    turned = Image.fromarray(np.ascontiguousarray(np.rot90(paint_number(background((320, 240)), 4))))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.convert("RGBA").save(tmp_path / "f4.png", exif=exif)
    frames, warning = read(found(tmp_path), 25)
    assert [(frame.image.width, frame.image.height) for frame in frames] == [(320, 240)] * 4
    assert [read_number(frame.image.own.gray()) for frame in frames] == [1, 2, 3, 4]
    assert [(frame.image.own.width, frame.image.own.height) for frame in frames[1:3]] == [(160, 120), (960, 240)]
    wide = frames[2].image.gray()  # a third as high as the video, in the middle
    assert wide[:76].max() < 10
    assert wide[-76:].max() < 10
    assert wide[90:150].min() > 50
    assert warning is None


def test_no_image_is_held(tmp_path: Path) -> None:
    with SequenceReader(take(tmp_path, list(range(1, 9))), 25) as reader:
        before: list[weakref.ref[object]] = []
        for frame in reader.frames():
            gc.collect()
            assert [held() for held in before[:-1]] == [None] * len(before[:-1])
            before.append(weakref.ref(frame.image))
    assert len(before) == 8
