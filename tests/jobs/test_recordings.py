"""Recordings that people really have: each goes through a whole run, to tables, video, and what is said."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from fermedia.jobs.batch import Totals, run_batch
from fermedia.jobs.progress import Progress
from fermedia.options import AnalyzeOptions
from tests.videos import (
    Pixels,
    background,
    head,
    heard_beeps,
    moving_faces,
    numbered,
    resized,
    restamp,
    seconds,
    write_beeps,
    write_video,
)


@dataclass
class Result:
    """What a run over one video left. ``times`` are those of its timeline's frames, ``faces`` its rows with a face."""

    folder: Path
    totals: Totals
    said: str

    @property
    def rows(self) -> list[dict[str, str]]:
        with (self.folder / "timeline.csv").open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    @property
    def times(self) -> list[float]:
        return list(dict.fromkeys(float(row["timestamp"]) for row in self.rows))

    @property
    def faces(self) -> list[dict[str, str]]:
        return [row for row in self.rows if row["success"] == "1"]

    @property
    def about(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "item.json").read_text(encoding="utf-8"))
        return found

    @property
    def video(self) -> Path:
        return self.folder / "annotated.mp4"

    def shown(self) -> list[float]:
        """The times of the annotated video's frames."""
        with av.open(str(self.video)) as video:
            return [seconds(frame) for frame in video.decode(video=0)]


@pytest.fixture
def analysed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    def run(path: Path, **options: Any) -> Result:
        out = tmp_path / "out"
        with Progress(quiet=True) as progress:
            totals = run_batch([path], out, AnalyzeOptions(**options), progress=progress)
        return Result(out / "items" / path.name, totals, capsys.readouterr().err)

    return run


def even(count: int) -> Any:
    return pytest.approx([n / 25 for n in range(count)], abs=0.002)


# -- times ------------------------------------------------------------------------------------------------------------


#: Matroska with a cluster for each packet, whose times can be changed.
CLUSTERS = {"cluster_time_limit": "0"}


def move_cluster(video: Path, stream: int, number: int, milliseconds: int) -> None:
    """Move a packet of a Matroska file to a time; both times must be between 0.256 and 65.535 s."""
    data = bytearray(video.read_bytes())
    places = [n for n in range(len(data)) if data.startswith(b"\x1f\x43\xb6\x75", n)]
    blocks = [(place, data.index(b"\xa3", data.index(b"\xe7", place) + 2)) for place in places]
    track = [place for place, block in blocks if data[block + 9 - data[block + 1].bit_length() + 1] == 0x81 + stream]
    place = data.index(b"\xe7", track[number])
    assert data[place + 1] == 0x82
    data[place + 2 : place + 4] = milliseconds.to_bytes(2)
    video.write_bytes(data)


def move_packet(packet: av.Packet[av.stream.Stream], number: int, at: int, seconds: float) -> None:
    """Move the time at which a frame is shown, not the one at which it is decoded."""
    if packet.stream.type == "video" and number == at:
        assert packet.pts is not None
        assert packet.time_base is not None
        packet.pts += round(Fraction(seconds) / packet.time_base)


def check_stray(result: Result) -> None:
    assert result.times == even(100)
    assert result.shown() == even(100)
    assert not result.totals.failures
    assert "1 time stamp was out of order" in result.about["warning"]
    assert result.said.startswith("fermedia: a.")
    assert "and corrected" in result.said


@pytest.mark.parametrize(("at", "seconds"), [(50, 9800.0), (50, 1.5), (98, 36_000.0)])
def test_a_stray_stamp_moves_nothing_but_its_frame(tmp_path: Path, analysed: Any, at: int, seconds: float) -> None:
    video = write_beeps(tmp_path / "whole.mp4", numbered(100, (160, 120)), options={"bf": "0"})
    result = analysed(restamp(video, tmp_path / "a.mp4", lambda p, n: move_packet(p, n, at, seconds)))
    check_stray(result)
    assert heard_beeps(result.video) == pytest.approx([0, 1, 2, 3], abs=0.03)


@pytest.mark.parametrize(("number", "milliseconds"), [(50, 65_000), (30, 300), (98, 60_000)])
def test_a_stray_stamp_in_matroska(tmp_path: Path, analysed: Any, number: int, milliseconds: int) -> None:
    images = numbered(100, (160, 120))
    video = write_video(tmp_path / "a.mkv", images, options={"bf": "0"}, container_options=CLUSTERS)
    move_cluster(video, 0, number, milliseconds)
    check_stray(analysed(video))


@pytest.mark.parametrize("audio", ["aac", "pcm_s16le", "ac3", "libopus"])
@pytest.mark.parametrize("milliseconds", [65_000, 300])
def test_a_stray_packet_of_audio_moves_nothing(tmp_path: Path, analysed: Any, audio: str, milliseconds: int) -> None:
    video = write_beeps(tmp_path / "a.mkv", numbered(100, (160, 120)), audio=audio, container_options=CLUSTERS)
    move_cluster(video, 1, 60, milliseconds)
    result = analysed(video)
    assert result.times == even(100)
    assert "of the audio, 1 time stamp was out of order, at " in result.said
    assert heard_beeps(result.video) == pytest.approx([0, 1, 2, 3], abs=0.03)
    with av.open(str(result.video)) as written:
        assert written.duration is not None
        assert written.duration / 1e6 == pytest.approx(4, abs=0.1)


@pytest.mark.parametrize("audio", ["aac", "pcm_s16le"])
@pytest.mark.parametrize("hours", [0.05, 7, 20])
def test_a_gap_that_is_there_stays(tmp_path: Path, analysed: Any, audio: str, hours: float) -> None:
    """Of more than 6.6 hours, it is longer than mp4 counts at 90,000 ticks a second; of 12.4, at 48,000."""
    video = write_beeps(tmp_path / "whole.mkv", numbered(100, (160, 120)), audio=audio, options={"bf": "0", "g": "1"})
    gap = round(hours * 3600)

    def pause(packet: av.Packet[av.stream.Stream], number: int) -> None:
        assert packet.pts is not None
        assert packet.time_base is not None
        if packet.pts * packet.time_base >= Fraction(5, 2):
            packet.pts += round(gap / packet.time_base)
            packet.dts = packet.pts

    result = analysed(restamp(video, tmp_path / "a.mkv", pause))
    expected = [n / 25 + (gap if n >= 63 else 0) for n in range(100)]
    assert result.times == pytest.approx(expected, abs=0.002)
    assert result.shown() == pytest.approx(expected, abs=0.002)
    beeps = heard_beeps(result.video)
    assert beeps[:3] == pytest.approx([0, 1, 2], abs=0.03)
    if hours < 12.4:
        assert beeps[3:] == pytest.approx([3 + gap], abs=0.06)
        assert not result.totals.failures
    else:
        assert [failure.stage for failure in result.totals.failures] == ["audio"]
        assert "a gap of 20.0 hours is longer than mp4 can hold" in result.totals.failures[0].error


# -- seams ------------------------------------------------------------------------------------------------------------

JOINED = [
    (".ts", "libx264", ["aac", "aac"], [48000, 48000], ["stereo", "stereo"]),
    (".ts", "libx264", ["aac", "aac"], [48000, 48000], ["stereo", "mono"]),
    (".ts", "libx264", ["aac", "aac"], [48000, 44100], ["mono", "stereo"]),
    (".ts", "libx264", ["ac3", "ac3"], [48000, 44100], ["stereo", "mono"]),
    (".ts", "libx264", ["libmp3lame", "libmp3lame"], [48000, 44100], ["stereo", "mono"]),
    (".vob", "mpeg2video", ["mp2", "mp2"], [48000, 44100], ["stereo", "mono"]),
    (".vob", "mpeg2video", ["ac3", "ac3"], [48000, 48000], ["stereo", "mono"]),
    (".webm", "libvpx", ["libopus", "libopus"], [48000, 48000], ["stereo", "stereo"]),
    (".mkv", "libx264", ["aac", "aac"], [48000, 48000], ["stereo", "stereo"]),
]


@pytest.mark.parametrize(("suffix", "codec", "audio", "rates", "layouts"), JOINED)
def test_the_audio_goes_on_after_a_seam(
    tmp_path: Path, analysed: Any, suffix: str, codec: str, audio: list[str], rates: list[int], layouts: list[str]
) -> None:
    parts = [
        write_beeps(
            tmp_path / f"part{n}",
            numbered(75, (160, 120)),
            codec=codec,
            audio=audio[n],
            rate=rates[n],
            layout=layouts[n],
            format={".ts": "mpegts", ".vob": "vob", ".webm": "webm", ".mkv": "matroska"}[suffix],
        )
        for n in (0, 1)
    ]
    video = tmp_path / f"a{suffix}"
    video.write_bytes(b"".join(part.read_bytes() for part in parts))
    result = analysed(video)
    begin = result.times[0]
    assert result.times == pytest.approx([begin + n / 25 for n in range(150)], abs=0.002)
    # A part's audio may begin a little before its image; there the part before it is still heard.
    assert heard_beeps(result.video) == pytest.approx([begin + n for n in range(6)], abs=0.03)
    assert not result.totals.failures
    assert "its clock restarts at 3.0" in result.about["warning"]


def test_many_seams_do_not_add_up(tmp_path: Path, analysed: Any) -> None:
    """Audio that is half a second shorter than the image, three times."""
    part = write_beeps(tmp_path / "part.ts", numbered(25, (160, 120)), audio="ac3", options={"g": "25"})
    longer = write_video(tmp_path / "longer.ts", numbered(37, (160, 120)), audio="ac3", audio_seconds=1.0)
    video = tmp_path / "a.ts"
    video.write_bytes((part.read_bytes() + longer.read_bytes()) * 3 + part.read_bytes())
    result = analysed(video)
    seams = [n * (25 + 37) / 25 for n in range(4)]
    beeps = [beep for beep in heard_beeps(result.video) if min(abs(beep - seam) for seam in seams) < 0.2]
    assert beeps == pytest.approx([result.times[0] + seam for seam in seams], abs=0.05)


# -- shapes -----------------------------------------------------------------------------------------------------------


def faces(size: tuple[int, int], side: int, count: int) -> list[Pixels]:
    """Images of this (width, height) with a head, ``side`` pixels high, in the middle."""
    image = background(size)
    left, top = (size[0] - side) // 2, (size[1] - side) // 2
    image[top : top + side, left : left + side] = cv2.resize(head(), (side, side), interpolation=cv2.INTER_AREA)
    return [image] * count


def write_parts(path: Path, parts: list[list[Pixels]], codec: str) -> Path:
    """A video of 25 frames a second in one stream, whose parts have other sizes: each is encoded for itself."""
    with av.open(str(path), "w") as container:
        begin = 0
        out: av.VideoStream | None = None
        for number, images in enumerate(parts):
            single = path.with_name(f"part{number}{path.suffix}")
            full = codec == "mjpeg"
            write_video(single, images, codec=codec, pix_fmt="yuvj420p" if full else "yuv420p", full_range=full)
            with av.open(str(single)) as video:
                stream = video.streams.video[0]
                out = out or container.add_stream_from_template(stream)
                for packet in video.demux(stream):
                    if packet.size:
                        assert packet.time_base is not None
                        first = round(Fraction(begin, 25) / packet.time_base)
                        packet.pts, packet.dts = (packet.pts or 0) + first, (packet.dts or 0) + first
                        packet.stream = out
                        container.mux(packet)
            begin += len(images)
    return path


def video_size(path: Path) -> tuple[int, int]:
    with av.open(str(path)) as video:
        return video.streams.video[0].width, video.streams.video[0].height


def box(row: dict[str, str]) -> tuple[float, float]:
    return float(row["width"]), float(row["height"])


@pytest.mark.parametrize(("suffix", "codec"), [(".webm", "libvpx"), (".webm", "libvpx-vp9"), (".mkv", "mjpeg")])
def test_a_recording_that_is_turned_shows_its_face_in_its_shape(
    tmp_path: Path, analysed: Any, suffix: str, codec: str
) -> None:
    video = write_parts(tmp_path / f"a{suffix}", [faces((640, 360), 200, 20), faces((360, 640), 200, 20)], codec)
    result = analysed(video)
    assert len(result.faces) == 40
    assert video_size(result.video) == (640, 360)
    for row in result.faces:
        assert 0.8 < box(row)[0] / box(row)[1] < 1.25
    wide = np.median([box(row)[0] for row in result.faces[:20]])
    tall = np.median([box(row)[0] for row in result.faces[20:]])
    assert tall == pytest.approx(wide * 360 / 640, rel=0.1)
    assert float(result.faces[-1]["x"]) > 219  # behind the left bar
    with av.open(str(result.video)) as written:
        last = list(written.decode(video=0))[-1].to_ndarray(format="gray")
    assert last[:, :120].max() < 30
    assert last[:, 520:].max() < 30
    assert last[:, 225:415].mean() > 50
    assert "boxes are in the pixels of that" in result.about["warning"]
    assert not result.totals.failures


def test_a_call_that_grows_is_shown_at_its_largest(tmp_path: Path, analysed: Any) -> None:
    parts = [faces((160, 90), 60, 10), faces((640, 360), 240, 10), faces((320, 180), 120, 10)]
    result = analysed(write_parts(tmp_path / "a.webm", parts, "libvpx"), min_face=30)
    assert video_size(result.video) == (640, 360)
    assert len(result.times) == 30
    assert len(result.shown()) == 30
    assert len(result.faces) == 30
    classified = [row["judged"] == "1" for row in result.faces]
    assert classified == [False] * 10 + [True] * 20  # by the size in their own frame
    widths = [box(row)[0] for row in result.faces]
    assert widths == pytest.approx([widths[10]] * 30, rel=0.15)
    assert result.totals.frames == 30
    assert result.about["media"]["width"] == 640


def test_pixels_that_change_their_shape(tmp_path: Path, analysed: Any) -> None:
    """As on television between 4:3 and 16:9, of one stored size."""
    wide = [resized(image, (360, 288)) for image in faces((512, 288), 200, 25)]
    normal = [resized(image, (360, 288)) for image in faces((384, 288), 200, 25)]
    video = tmp_path / "a.mpg"
    parts = [
        write_video(tmp_path / f"{n}.mpg", images, codec="mpeg2video", pixel=pixel, options={"g": "5", "bf": "0"})
        for n, (images, pixel) in enumerate([(normal, Fraction(16, 15)), (wide, Fraction(64, 45))])
    ]
    video.write_bytes(b"".join(part.read_bytes() for part in parts))
    result = analysed(video)
    assert video_size(result.video) == (512, 288)
    assert len(result.faces) == 50
    shapes = [box(row)[0] / box(row)[1] for row in result.faces]
    assert np.ptp(shapes) < 0.12
    widths = [box(row)[0] for row in result.faces]
    assert np.ptp(widths) < 0.12 * widths[0]


# -- what is no failure -----------------------------------------------------------------------------------------------


def test_audio_that_is_longer_than_the_image_is_no_failure(tmp_path: Path, analysed: Any) -> None:
    """ASF's streams all carry the file's length."""
    video = write_beeps(
        tmp_path / "a.wmv", numbered(50, (160, 120)), codec="wmv2", audio="wmav2", rate=44100, seconds=5
    )
    result = analysed(video)
    assert len(result.times) == 50
    assert not result.totals.failures
    assert result.said == ""
    with av.open(str(result.video)) as written:
        assert written.duration is not None
        assert written.duration / 1e6 == pytest.approx(5, abs=0.2)


@pytest.mark.parametrize("suffix", [".wmv", ".mkv", ".mp4"])
def test_a_video_that_was_cut_off_is_still_one(tmp_path: Path, analysed: Any, suffix: str) -> None:
    codec = "wmv2" if suffix == ".wmv" else "libx264"
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (120, 160, 3)).astype(np.uint8) for _ in range(50)]
    video = tmp_path / f"a{suffix}"
    with av.open(str(video), "w", options={"movflags": "faststart"} if suffix == ".mp4" else {}) as container:
        stream = container.add_stream(codec, rate=25, options={"b": "2000000"})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for number, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    data = video.read_bytes()
    video.write_bytes(data[: len(data) * 2 // 3])
    result = analysed(video)
    assert len(result.times) < 45
    assert [failure.stage for failure in result.totals.failures] == ["decode"]


def test_a_image_that_stands_still_to_the_end_is_whole(tmp_path: Path, analysed: Any) -> None:
    """A screen recording: the header tells the true length, and no frame comes any more."""
    video = write_video(tmp_path / "a.mkv", numbered(50, (160, 120)))
    data = video.read_bytes()
    assert data.count(b"00:00:02.0") == 1
    video.write_bytes(data.replace(b"00:00:02.0", b"00:00:09.0"))
    result = analysed(video)
    assert result.times == even(50)
    assert not result.totals.failures


def test_empty_packets_repeat_a_image(tmp_path: Path, analysed: Any) -> None:
    video = write_video(tmp_path / "whole.mkv", numbered(60, (160, 120)), codec="mpeg4", options={"bf": "0", "g": "60"})
    path = tmp_path / "a.avi"
    with av.open(str(video)) as given, av.open(str(path), "w") as container:
        out = container.add_stream_from_template(given.streams.video[0])
        for number, packet in enumerate(given.demux(video=0)):
            if packet.size and number < 40:
                packet.stream = out
                container.mux(packet)
            elif packet.size:
                empty = av.Packet(b"")
                empty.pts, empty.dts, empty.time_base, empty.stream = packet.pts, packet.dts, packet.time_base, out
                container.mux(empty)
    result = analysed(path)
    assert len(result.times) == 40
    assert not result.totals.failures


def test_a_audio_track_in_a_codec_that_nobody_has_is_a_note(tmp_path: Path, analysed: Any) -> None:
    video = write_video(tmp_path / "a.mov", numbered(50, (160, 120)), audio="pcm_s16le", languages=("eng", "deu"))
    data = video.read_bytes()
    assert data.count(b"sowt") == 2
    video.write_bytes(data[: data.rindex(b"sowt")] + b"qzqz" + data[data.rindex(b"sowt") + 4 :])
    result = analysed(video)
    assert not result.totals.failures
    assert "audio track 2 is left out" in result.about["warning"]
    assert "audio track 2 is left out" in result.said
    with av.open(str(result.video)) as written:
        assert len(written.streams.audio) == 1


def test_motion_jpeg_with_boundaries_ends_on_one(tmp_path: Path, analysed: Any) -> None:
    parts = b""
    for image in moving_faces(10, (160, 120)):
        content = cv2.imencode(".jpg", image[:, :, ::-1])[1].tobytes()
        parts += b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(content) + content + b"\r\n"
    video = tmp_path / "a.mjpg"
    for ending in (b"--frame--\r\n", b"--frame\r\n", b""):
        video.write_bytes(parts + ending)
        result = analysed(video)
        assert len(result.times) == 10
        assert not result.totals.failures


@pytest.mark.parametrize("orientation", [1, 3, 4, 6, 8])
def test_motion_jpeg_with_exif_is_upright(tmp_path: Path, analysed: Any, orientation: int) -> None:
    """Side data of kinds that PyAV has no name for."""
    from io import BytesIO

    from PIL import Image as PIL

    from fermedia.media.photos import _STORED

    video = tmp_path / "a.avi"
    with av.open(str(video), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stored = _STORED[orientation](faces((320, 240), 200, 1)[0])
        stream.height, stream.width = stored.shape[:2]
        stream.pix_fmt = "yuvj420p"
        exif = PIL.Exif()
        exif[0x0112], exif[0x010F] = orientation, "a camera"
        for number in range(10):
            buffer = BytesIO()
            PIL.fromarray(np.ascontiguousarray(stored)).save(buffer, "JPEG", exif=exif, quality=90)
            packet = av.Packet(buffer.getvalue())
            packet.pts = packet.dts = number
            packet.time_base, packet.stream, packet.is_keyframe = Fraction(1, 25), stream, True
            container.mux(packet)
    result = analysed(video)
    assert result.times == even(10)
    assert len(result.faces) == 10
    assert video_size(result.video) == (320, 240)
    assert not result.totals.failures
