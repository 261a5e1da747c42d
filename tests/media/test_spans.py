"""A video read in parts gives the very frames and times of the video read in one go, or says that it cannot."""

from __future__ import annotations

import gc
import hashlib
import random
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import pytest

from fermedia.media.spans import SeamError, SpanReader
from fermedia.media.video import VideoReader
from fermedia.options import Sampling
from fermedia.types import Frame
from tests.videos import numbered, write_video


def _uneven(count: int) -> list[Fraction]:
    chance, times = random.Random(1), [Fraction(0)]
    while len(times) < count:
        times.append(times[-1] + Fraction(chance.randint(8, 90), 1000))
    return times


_H264: dict[str, Any] = {"options": {"g": "12", "bf": "3"}}
_OPEN: dict[str, Any] = {"options": {"g": "12", "bf": "3", "x264-params": "open-gop=1:scenecut=0"}}
_HEVC: dict[str, Any] = {"codec": "libx265", "options": {"x265-params": "log-level=none:keyint=12:open-gop=1"}}

VIDEOS: dict[str, dict[str, Any]] = {
    "b-frames.mp4": _H264,
    "audio first.mp4": _H264 | {"start": Fraction(1, 3), "audio": "aac"},
    "open.mp4": _OPEN,
    "open.mkv": _OPEN,
    "uneven.mp4": _H264 | {"times": _uneven(60)},
    "uneven.mkv": _H264 | {"times": _uneven(60)},
    "turned.mov": _H264 | {"rotation": 90},
    "interlaced.mp4": {"interlaced": True, "options": {"g": "12", "flags": "+ildct+ilme"}},
    "hevc.mp4": _HEVC,
    "hevc.mkv": _HEVC,
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"g": "12", "lag-in-frames": "16", "auto-alt-ref": "1"}},
    "av1.mp4": {"codec": "libsvtav1", "options": {"g": "12", "svtav1-params": "keyint=12"}},
    "mpeg4.mov": {"codec": "mpeg4", "options": {"g": "12", "bf": "2"}},
    "mjpeg.mov": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
}


def about(frame: Frame) -> tuple[Any, ...]:
    pixels = frame.image.frame.to_ndarray()  # type: ignore[attr-defined]
    return frame.index, frame.time, frame.duration, frame.sampled, hashlib.sha1(pixels.tobytes()).hexdigest()


def whole(path: Path, sampling: Sampling) -> list[tuple[Any, ...]]:
    with VideoReader(path) as reader:
        return [about(frame) for frame in reader.frames(sampling)]


def in_parts(path: Path, sampling: Sampling) -> tuple[list[tuple[Any, ...]], int]:
    """All frames, read in parts of two groups of images, and how many parts there were. Backwards, for good measure:
    no part may know of another."""
    with SpanReader(path) as reader:
        index = reader.index()
        numbers, sampled = reader.chosen(index, sampling)
    keys = [number for _, _, number in index.keys if numbers.start < number < numbers.stop]
    edges = [numbers.start, *keys[1::2], numbers.stop]
    found: list[tuple[Any, ...]] = []
    for begin, end in reversed(list(pairwise(edges))):
        with SpanReader(path) as reader:
            wanted = sampled[begin - numbers.start : end - numbers.start]
            found = [about(frame) for frame in reader.part(index, range(begin, end), wanted)] + found
    return found, len(edges) - 1


@pytest.mark.parametrize("name", VIDEOS)
def test_parts_are_the_whole(tmp_path: Path, name: str) -> None:
    video = write_video(tmp_path / name, numbered(60, (160, 120)), **VIDEOS[name])
    found, parts = in_parts(video, Sampling())
    assert parts >= 3
    assert found == whole(video, Sampling())


@pytest.mark.parametrize("sampling", [Sampling(every=7), Sampling(fps=4), Sampling(start=0.7, end=1.9, every=2)])
def test_parts_sample_as_the_whole(tmp_path: Path, sampling: Sampling) -> None:
    video = write_video(tmp_path / "a.mp4", numbered(60, (160, 120)), **_H264)
    found, _ = in_parts(video, sampling)
    assert found == whole(video, sampling)


@pytest.mark.parametrize("name", ["WolfgangLanger_Pexels.mp4", "single_face.mp4", "no_face.mp4"])
def test_real_recordings(shared: Path, name: str) -> None:
    video = shared / "media" / name
    assert in_parts(video, Sampling())[0] == whole(video, Sampling())


@pytest.mark.parametrize("name", ["a.ts", "a.avi", "a.flv"])
def test_files_without_a_reliable_index_are_refused(tmp_path: Path, name: str) -> None:
    video = write_video(tmp_path / name, numbered(30, (160, 120)), codec="mpeg4" if name == "a.avi" else "libx264")
    with SpanReader(video) as reader, pytest.raises(SeamError, match="no reliable index"):
        reader.index()


def test_damage_is_refused(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", numbered(60, (160, 120)), **_H264)
    content = bytearray(video.read_bytes())
    middle = content.index(b"mdat") + (len(content) - content.index(b"mdat")) // 2
    content[middle : middle + 300] = bytes(300)
    video.write_bytes(content)
    with pytest.raises(SeamError):
        in_parts(video, Sampling())


def test_images_that_refresh_bit_by_bit_have_one_beginning(tmp_path: Path) -> None:
    video = write_video(
        tmp_path / "a.mp4", numbered(60, (160, 120)), options={"g": "12", "x264-params": "intra-refresh=1"}
    )
    with pytest.raises(SeamError):
        in_parts(video, Sampling())


def test_a_reader_that_is_left_keeps_no_frame(tmp_path: Path) -> None:
    """Without the collection of garbage, which comes when it will: a decoder and its frames are many megabytes."""
    path = write_video(tmp_path / "video.mp4", numbered(30), codec="libx264", **_H264)
    with SpanReader(path) as reader:
        index = reader.index()
    del reader
    gc.collect()
    gc.disable()
    try:
        before = _frames_held()
        for _ in range(3):
            with SpanReader(path) as reader:
                assert len(list(reader.part(index, range(13, 15), [True] * 2))) == 2
            with VideoReader(path) as whole:
                assert next(whole.frames()).index == 0
            del reader, whole
        assert _frames_held() == before
    finally:
        gc.enable()


def _frames_held() -> int:
    return sum(isinstance(thing, av.VideoFrame) for thing in gc.get_objects())
