"""Which frames come out of a video, in which order, and at what times."""

from __future__ import annotations

import weakref
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from fermedia.media.video import VideoReader
from fermedia.options import Sampling
from fermedia.types import Frame
from tests.videos import Pixels, numbered, read_number, write_video


def read(path: Path, **sampling: Any) -> list[Frame]:
    with VideoReader(path) as reader:
        frames = list(reader.frames(Sampling(**sampling)))
        assert reader.warning is None
    return frames


def numbers(frames: list[Frame]) -> list[int]:
    return [read_number(frame.image.gray()) for frame in frames]


def times(frames: list[Frame]) -> list[float | None]:
    return [frame.time for frame in frames]


def video(path: Path, count: int = 20, rate: Fraction | int = 25, **more: object) -> Path:
    return write_video(path, numbered(count, (160, 120)), rate, **more)  # type: ignore[arg-type]


def test_a_frame_says_what_it_is(numbered_video: Path) -> None:
    frames = read(numbered_video)
    assert [frame.index for frame in frames] == list(range(40))
    assert all(frame.sampled and frame.name is None for frame in frames)
    assert [frame.duration for frame in frames] == pytest.approx([1 / 25] * 40, abs=1e-9)


def test_the_priming_of_audio_that_precedes_the_image_is_not_counted(tmp_path: Path) -> None:
    path = tmp_path / "video.mkv"
    video(path, 10, audio="aac", audio_start=-0.1, container_options={"avoid_negative_ts": "disabled"})
    assert times(read(path)) == pytest.approx([n / 25 for n in range(10)], abs=0.0006)


def test_a_transport_stream_counts_from_its_own_start(tmp_path: Path) -> None:
    frames = read(video(tmp_path / "video.ts", 10, start=7.3))
    assert times(frames) == pytest.approx([n / 25 for n in range(10)], abs=1e-6)
    with_audio = read(video(tmp_path / "audio.ts", 10, start=0.5, audio="aac"))
    # The audio begins with the encoder's 1024 samples of priming.
    assert with_audio[0].time == pytest.approx(0.5 + 1024 / 48000, abs=0.001)


def test_frames_without_time_stamps_follow_each_other_at_the_streams_rate(tmp_path: Path) -> None:
    with VideoReader(video(tmp_path / "video.h264", 10)) as reader:  # a bare stream
        frames = list(reader.frames())
        rate = reader.info.average_rate or 25
    assert numbers(frames) == list(range(10))
    assert times(frames) == pytest.approx([float(n / rate) for n in range(10)], abs=1e-6)


@pytest.mark.parametrize("every", [1, 3, 7])
def test_every_n_th_frame_is_sampled_and_the_others_pass_through(numbered_video: Path, every: int) -> None:
    frames = read(numbered_video, every=every)
    assert numbers(frames) == list(range(40))
    assert [frame.index for frame in frames if frame.sampled] == list(range(0, 40, every))


@pytest.mark.parametrize("fps", [1, 7, 10, 12.5, 29.97, 60])
def test_a_rate_samples_the_first_frame_at_or_after_each_tick(tmp_path: Path, fps: float) -> None:
    rate = Fraction(30000, 1001)
    frames = read(video(tmp_path / "video.mp4", 90, rate), fps=fps)
    ticks = [k / Fraction(str(fps)) for k in range(200)]
    due = {next((n for n in range(90) if n / rate >= tick - Fraction(1, 2000)), None) for tick in ticks} - {None}
    assert {frame.index for frame in frames if frame.sampled} == due


def test_sampling_at_the_videos_own_rate_takes_all_though_matroska_rounds_to_milliseconds(tmp_path: Path) -> None:
    frames = read(video(tmp_path / "video.mkv", 60, 30), fps=30)
    assert all(frame.sampled for frame in frames)


def test_start_and_end_cut_out_a_part_whose_frames_keep_their_numbers(numbered_video: Path) -> None:
    frames = read(numbered_video, start=0.4, end=1.2, every=4)
    assert numbers(frames) == [frame.index for frame in frames] == list(range(10, 30))
    assert frames[0].time == pytest.approx(0.4)
    assert [frame.index for frame in frames if frame.sampled] == [10, 14, 18, 22, 26]
    by_rate = read(numbered_video, start=0.41, end=1.2, fps=5)
    assert [frame.index for frame in by_rate if frame.sampled] == [11, 16, 21, 26]
    assert read(numbered_video, start=100) == []


def test_reading_twice_begins_anew(numbered_video: Path) -> None:
    with VideoReader(numbered_video) as reader:
        begun = next(reader.frames())
        assert begun.index == 0
        assert numbers(list(reader.frames())) == list(range(40))


def test_frames_are_not_kept(numbered_video: Path) -> None:
    with VideoReader(numbered_video) as reader:
        alive: list[weakref.ref[object]] = []
        for frame in reader.frames():
            alive = [ref for ref in alive if ref() is not None]
            assert len(alive) <= 2
            alive.append(weakref.ref(frame.image))


def test_info_says_what_the_video_is(face_video: Path, numbered_video: Path, tmp_path: Path) -> None:
    with VideoReader(face_video) as reader:
        info = reader.info
    assert (info.width, info.height, info.frames) == (480, 360, 50)
    assert info.average_rate == 25
    assert (info.codec, info.audio, info.rotation) == ("h264", "aac", 0)
    assert info.duration == pytest.approx(2)
    with VideoReader(numbered_video) as reader:
        assert reader.info.audio is None
    with VideoReader(video(tmp_path / "video.mkv", 10, audio="libopus", audio_seconds=3)) as reader:
        assert reader.info.duration == pytest.approx(0.4, abs=0.002)  # the image's, not the audio's


def test_real_recordings(shared: Path) -> None:
    """no_face.mp4 holds 98 frames, the first three of which its edit list hides, as in every player."""
    for name, count, seconds in (
        ("WolfgangLanger_Pexels.mp4", 472, 19.685),
        ("single_face.mp4", 72, 2.4),
        ("no_face.mp4", 95, 4.015),
    ):
        frames = read(shared / "media" / name)
        assert len(frames) == count
        last = frames[-1]
        assert (last.time or 0) + (last.duration or 0) == pytest.approx(seconds, abs=0.002)
        assert all(a < b for a, b in pairwise(times(frames)))  # type: ignore[operator]


def test_the_helper_notices_blended_frames() -> None:
    first, second = numbered(2)
    blended: Pixels = ((first.astype(int) + second) // 2).astype("uint8")
    with pytest.raises(ValueError, match="blurred"):
        read_number(blended)
