"""Files that are no videos, or only in part."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from fermedia.errors import MediaError
from fermedia.media.claims import is_cropped
from fermedia.media.video import VideoReader
from tests.systems import needs_any_name, needs_permissions
from tests.videos import Pixels, add_tone, moving_faces, numbered, read_number, write_video


def noisy(count: int = 100) -> list[Pixels]:
    """Numbered images with noise below, so that the bytes of a video are spread evenly over its time."""
    rng = np.random.default_rng(0)
    images = list(numbered(count, (320, 240)))
    for image in images:
        image[100:200] = rng.integers(0, 255, (100, 320, 3))
    return images


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds, with audio, the index in front; a key frame every second."""
    path = tmp_path_factory.mktemp("damage") / "whole.mp4"
    return write_video(path, noisy(), audio="aac", options={"g": "25"}, container_options={"movflags": "faststart"})


def cut(path: Path, share: float) -> Path:
    data = path.read_bytes()
    result = path.with_stem(f"cut-{path.suffix[1:]}-{share}")
    result.write_bytes(data[: int(len(data) * share)])
    return result


def read(path: Path) -> tuple[list[int], str | None]:
    with VideoReader(path) as reader:
        result = []
        for frame in reader.frames():
            result.append(read_number(frame.image.gray()))
            assert frame.time == pytest.approx(result[-1] / 25, abs=0.002)
    return result, reader.warning


def test_a_whole_video_has_no_warning(whole: Path) -> None:
    assert read(whole) == (list(range(100)), None)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.95])
def test_a_video_that_breaks_off_gives_what_there_is_and_says_where(whole: Path, share: float) -> None:
    numbers, warning = read(cut(whole, share))
    assert numbers == list(range(len(numbers)))
    assert abs(len(numbers) - 100 * share) < 10
    assert warning == f"breaks off at {len(numbers) / 25:.2f} s of 4.00 s"


@pytest.mark.parametrize("suffix", [".mkv", ".avi", ".webm"])
def test_other_containers_that_break_off(tmp_path: Path, suffix: str) -> None:
    codec = "libvpx-vp9" if suffix == ".webm" else "libx264"
    path = write_video(tmp_path / f"video{suffix}", noisy(), codec=codec)
    assert read(path) == (list(range(100)), None)
    numbers, warning = read(cut(path, 0.6))
    assert numbers == list(range(len(numbers)))
    assert 40 < len(numbers) < 75
    assert warning == f"breaks off at {len(numbers) / 25:.2f} s of 4.00 s"


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_audio_that_lasts_longer_is_no_damage(tmp_path: Path, suffix: str) -> None:
    numbers, warning = read(write_video(tmp_path / f"video{suffix}", noisy(20), audio="aac", audio_seconds=5))
    assert (numbers, warning) == (list(range(20)), None)


def test_garbage_in_the_middle_is_stepped_over(whole: Path) -> None:
    data = bytearray(whole.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 40_000] = np.random.default_rng(1).bytes(40_000)
    path = whole.with_stem("garbage")
    path.write_bytes(data)
    with VideoReader(path) as reader:
        times = [frame.time for frame in reader.frames()]
    assert 80 < len(times) <= 100
    assert times[-1] == pytest.approx(99 / 25)
    assert reader.warning is not None
    assert reader.warning.startswith("damaged in ")


def test_a_video_whose_beginning_is_lost_begins_at_its_next_key_frame(whole: Path) -> None:
    data = bytearray(whole.read_bytes())
    begin = data.index(b"mdat") + 4
    data[begin : begin + 30_000] = bytes(30_000)
    path = whole.with_stem("headless")
    path.write_bytes(data)
    numbers, warning = read(path)
    assert 20 < numbers[0] <= 25
    assert numbers == list(range(numbers[0], 100))
    assert warning is not None
    assert warning.startswith("damaged in ")


def test_a_transport_stream_that_begins_between_key_frames_is_whole(tmp_path: Path) -> None:
    path = write_video(tmp_path / "video.ts", noisy(), options={"g": "25"})
    data = path.read_bytes()
    late = tmp_path / "late.ts"
    late.write_bytes(data[len(data) // 3 // 188 * 188 :])
    with VideoReader(late) as reader:
        frames = list(reader.frames())
    numbers = [read_number(frame.image.gray()) for frame in frames]
    assert 30 < numbers[0] <= 50
    assert numbers == list(range(numbers[0], 100))
    begin = frames[0].time or 0
    assert [(f.time or 0) - begin for f in frames] == pytest.approx([n / 25 for n in range(len(frames))])
    assert reader.warning is None


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.mp4", b"", "empty.mp4: the file is empty"),
        ("text.mp4", b"Dear diary,\n" * 50, "text.mp4: not a video that can be read (Invalid data found when "),
        ("noise.mkv", np.random.default_rng(2).bytes(20_000), "noise.mkv: not a video that can be read (Invalid"),
        ("zeros.mp4", bytes(50_000), "zeros.mp4: not a video that can be read (Invalid"),
        ("notes.txt", b"Dear diary,\n" * 500, "notes.txt: not a video (no image in it)"),
        ("list.mp4", b"ffconcat version 1.0\nfile whole.mp4\n", "list.mp4: not a video"),
        pytest.param("two\nlines \udcff.mp4", b"", "two\\nlines \\udcff.mp4: the file is empty", marks=needs_any_name),
    ],
)
def test_what_is_no_video_is_refused_in_one_line(whole: Path, name: str, content: bytes, message: str) -> None:
    path = whole.with_name(name)
    path.write_bytes(content)
    with pytest.raises(MediaError) as caught:
        VideoReader(path)
    assert str(caught.value).startswith(message)
    assert caught.value.stage == "open"


def test_missing_files_folders_and_audio_alone(whole: Path, tmp_path: Path) -> None:
    cases = {tmp_path / "none.mp4": "none.mp4: no such file"}
    (tmp_path / "folder.mp4").mkdir()
    cases[tmp_path / "folder.mp4"] = "folder.mp4: not a video that can be read (Is a directory)"
    cases[write_audio(tmp_path / "audio.m4a")] = "audio.m4a: not a video (audio without an image)"
    cases[cut(write_video(tmp_path / "a.mp4", noisy(20)), 0.8)] = (
        "cut-mp4-0.8.mp4: incomplete: it ends before its index (moov), as after a recording or copy that was broken off"
    )
    for path, message in cases.items():
        with pytest.raises(MediaError) as caught:
            VideoReader(path)
        assert str(caught.value) == message


def write_audio(path: Path) -> Path:
    import av

    with av.open(str(path), "w") as container:
        add_tone(container, "aac", Fraction(1))
    return path


@needs_permissions
def test_no_permission(tmp_path: Path) -> None:
    path = write_video(tmp_path / "video.mp4", noisy(3))
    path.chmod(0)
    with pytest.raises(MediaError, match=r"^video\.mp4: no permission to read it$"):
        VideoReader(path)


def test_a_video_without_a_single_frame(tmp_path: Path) -> None:
    path = write_video(tmp_path / "video.mp4", noisy(10), container_options={"movflags": "faststart"})
    data = bytearray(path.read_bytes())
    begin = data.index(b"mdat") + 4
    data[begin:] = bytes(len(data) - begin)
    path.write_bytes(data)
    with pytest.raises(MediaError, match=r"^video\.mp4: no image in it can be decoded \(") as caught:
        VideoReader(path)
    assert caught.value.stage == "decode"


@pytest.mark.parametrize("name", ["a b.mp4", "a:b.mp4", "%03d.mp4", "quote'\".mp4", "line\nbreak.mp4", "ü\udcff.mp4"])
def test_odd_names(tmp_path: Path, name: str) -> None:
    path = write_video(tmp_path / "video.mp4", noisy(3)).rename(tmp_path / name)
    assert read(path) == ([0, 1, 2], None)


def test_nothing_is_said_on_stderr(whole: Path) -> None:
    path = cut(whole, 0.55)
    code = (
        "import sys; from pathlib import Path; from fermedia.media.video import VideoReader\n"
        "with VideoReader(Path(sys.argv[1])) as reader: print(len(list(reader.frames())), reader.warning)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert "breaks off" in done.stdout
    assert done.stderr == ""


def test_damage_is_read_the_same_every_time(tmp_path: Path) -> None:
    """Several threads conceal it now in this way, now in that: in 6 of 30 readings of this video in another way."""
    video = write_video(tmp_path / "a.mp4", moving_faces(50, (240, 180)), options={"g": "10"})
    content = bytearray(video.read_bytes())
    middle = content.index(b"mdat") + (len(content) - content.index(b"mdat")) // 2
    content[middle : middle + 300] = bytes(300)
    video.write_bytes(content)
    found = set()
    for _ in range(30):
        with VideoReader(video) as reader:
            found.add(b"".join(hashlib.sha1(frame.image.gray().tobytes()).digest() for frame in reader.frames()))
        assert reader.warning == "damaged in 1 place; frames may be missing or damaged"
    assert len(found) == 1


@pytest.mark.parametrize("suffix", [".mjpeg", ".gif", ".dv", ".mkv"])
def test_a_hole_at_the_end_is_not_searched(tmp_path: Path, suffix: str) -> None:
    """As a system leaves it that set room aside for a recording: terabytes of it cost no time."""
    path = tmp_path / f"video{suffix}"
    if suffix == ".dv":
        write_video(path, [*numbered(10, (720, 576))], codec="dvvideo", pix_fmt="yuv420p")
    elif suffix == ".gif":
        write_video(path, [*numbered(10)], 10, codec="gif", pix_fmt="rgb8")
    elif suffix == ".mjpeg":
        write_video(path, [*numbered(10)], codec="mjpeg", pix_fmt="yuvj420p", full_range=True)
    else:
        write_video(path, [*numbered(10)])
    os.truncate(path, 1 << 40)
    if path.stat().st_blocks * 512 > 1 << 30:
        pytest.skip("no holes in files here")
    with VideoReader(path) as reader:
        assert len(list(reader.frames())) in (10, 11)  # of DV, a last piece of a frame with zeros behind it
    assert reader.warning is not None
    assert "MB were never written" in reader.warning


@pytest.mark.parametrize("count", [200_000])
def test_empty_elements_are_not_stepped_over_for_ever(tmp_path: Path, count: int) -> None:
    path = write_video(tmp_path / "video.mkv", noisy(10))
    with path.open("ab") as file:
        file.write(b"\xec\x80" * count)
    with VideoReader(path) as reader:
        assert len(list(reader.frames())) == 10
    assert reader.warning == "damaged in 1 place; frames may be missing or damaged"
    path = write_video(tmp_path / "video.avi", noisy(10))
    with path.open("ab") as file:
        file.write(b"RIFF\0\0\0\0" * count)
    with VideoReader(path) as reader:
        assert len(list(reader.frames())) == 10


def test_frames_that_cannot_be_held_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    """A GIF of 15,000 x 15,000 pixels in 40 bytes."""
    size = (15_000).to_bytes(2, "little") * 2
    frame = b"\x2c\0\0\0\0\1\0\1\0\0\2\2\x4c\1\0"
    path = tmp_path / "bomb.gif"
    path.write_bytes(b"GIF89a" + size + b"\x80\0\0\0\0\0\xff\xff\xff" + 2 * frame + b";")
    message = r"^bomb\.gif: frames of 15000 x 15000 pixels are too many \(at most 100 million\); make it smaller$"
    with pytest.raises(MediaError, match=message):
        VideoReader(path)


def test_an_index_that_is_there_but_cannot_be_read(tmp_path: Path) -> None:
    path = write_video(tmp_path / "video.mp4", noisy(10))
    data = bytearray(path.read_bytes())
    begin = data.index(b"moov") + 4
    data[begin:] = bytes([0xAB]) * (len(data) - begin)
    path.write_bytes(data)
    with pytest.raises(MediaError, match=r"^video\.mp4: its index \(moov\) cannot be read; it is damaged$"):
        VideoReader(path)
    path.write_bytes(data[: begin + 20])
    with pytest.raises(MediaError, match="incomplete: it ends before its index"):
        VideoReader(path)


def test_other_video_tracks_are_said(tmp_path: Path) -> None:
    import av

    path = tmp_path / "video.mkv"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("libx264", rate=25) for _ in range(2)]
        for stream in streams:
            stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for number, image in enumerate(numbered(10)):
            for stream in streams:
                frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")
                frame.pts, frame.time_base = number, Fraction(1, 25)
                container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode(None))
    with VideoReader(path) as reader:
        assert len(list(reader.frames())) == 10
    assert reader.notes == ["of its 2 video tracks only number 1 is analysed"]
    assert reader.warning is None


@pytest.mark.parametrize(("name", "value", "cropped"), [(0x54CC, 8, True), (0x54AA, 300, True), (0x54BB, 0, False)])
@pytest.mark.parametrize("size_is_known", [True, False])
def test_cropping_in_a_matroska_header(
    tmp_path: Path, name: int, value: int, cropped: bool, size_is_known: bool
) -> None:
    def element(name: int, content: bytes, known: bool = True) -> bytes:
        length = (len(content) | 1 << 56 if known else (1 << 57) - 1).to_bytes(8)
        return name.to_bytes((name.bit_length() + 7) // 8) + length + content

    video = element(0xE0, element(0xB0, b"\xa0") + element(name, value.to_bytes(2)))
    tracks = element(0x1654AE6B, element(0xAE, element(0xD7, b"\1") + video))
    path = tmp_path / "video.mkv"
    segment = element(0x18538067, element(0xEC, bytes(50)) + tracks + bytes(100), size_is_known)
    path.write_bytes(element(0x1A45DFA3, b"\x42\x82\x88matroska") + segment)
    assert is_cropped(path) is cropped
