"""Real recordings of every kind, through reading and the annotated video: one table.

Each video is written here, with its frames' numbers in the pixels over six columns of colour, and audio that sets in
with a certain frame. Whatever the file is like, every frame has its number and its time, appears once and at its time
in the annotated video, in its colours, and the audio stays in step.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from av.stream import Disposition

import fermedia
from fermedia.media.video import VideoReader
from fermedia.render.video import AnnotatedVideoWriter
from tests.videos import Pixels, images, moving_faces, paint_number, read_number, resized, seconds, write_video

COLORS = np.array([[255, 255, 255], [0, 0, 0], [200, 40, 60], [40, 180, 70], [50, 70, 210], [128, 128, 128]], np.uint8)
ONSET = 5  # the frame with which the audio sets in


@dataclass(frozen=True)
class Video:
    """A row of the table: the video ``name``, written with ``more`` (see ``write_video``), and what is to come of it.

    ``times`` are seconds, n / rate if not given; ``offset`` is added to them. ``tolerance`` is in seconds. ``shown`` is
    the size as a person sees it, the images' own ``size`` if not given. ``numbers`` are the frames that are shown,
    all if not given. ``colors`` is how far off they may be, 0..255, None if they are not looked at. ``tracks`` are the
    audio's languages. ``spoil`` changes the written file.

    Of a damaged video, ``warning`` is what is said of it, and at least ``whole`` of its frames have their numbers at
    their times; the others may be repeated or spoilt.
    """

    name: str
    count: int = 12
    size: tuple[int, int] = (160, 120)
    rate: Fraction | int = 25
    times: list[Fraction] | None = None
    offset: float = 0
    tolerance: float = 1e-5
    shown: tuple[int, int] | None = None
    numbers: range | None = None
    colors: int | None = 8
    tracks: int = 0
    spoil: Callable[[bytearray], bytes | bytearray] | None = None
    warning: str | None = None
    whole: int | None = None
    more: dict[str, Any] = field(default_factory=dict)

    def images(self) -> Iterator[Pixels]:
        scene = swatches(self.size)
        if self.warning is not None:  # noise, so that the bytes are spread evenly over the time
            noise = np.random.default_rng(0)
        for number in range(self.count):
            if self.warning is not None:
                scene[self.size[1] // 2 :] = noise.integers(0, 255, (self.size[1] - self.size[1] // 2, self.size[0], 3))
            yield paint(scene, number)

    def write(self, folder: Path) -> Path:
        silence = float(ONSET / Fraction(self.rate)) + self.more.get("start", 0)
        path = write_video(folder / self.name, self.images(), self.rate, times=self.times, silence=silence, **self.more)
        if self.spoil:
            path.write_bytes(self.spoil(bytearray(path.read_bytes())))
        return path

    def due(self) -> tuple[list[int], list[float]]:
        """(numbers, seconds) of the frames that are to come."""
        numbers = list(self.numbers or range(self.count))
        at = self.times or [Fraction(n) / Fraction(self.rate) for n in range(self.count)]
        return numbers, [float(at[n] - at[numbers[0]]) + self.offset for n in numbers]


def swatches(size: tuple[int, int]) -> Pixels:
    """Six columns of flat colour."""
    width, height = size
    return COLORS[np.arange(width) * len(COLORS) // width][None].repeat(height, axis=0)


def middles(image: Pixels) -> Pixels:
    """The colour in the middle of each of the six columns, where the number does not reach."""
    height, width = image.shape[:2]
    at = ((np.arange(len(COLORS)) + 0.5) * width / len(COLORS)).astype(int)
    return image[height // 2, at]


def paint(scene: Pixels, number: int) -> Pixels:
    """The number as blocks; as a shade of grey where they would be smaller than a few pixels."""
    return paint_number(scene, number) if scene.shape[1] >= 64 else np.full_like(scene, 40 + 12 * number)


def number_in(image: Pixels) -> int:
    return read_number(image) if image.shape[1] >= 64 else round((image.mean() - 40) / 12)


# -- what is done to files --------------------------------------------------------------------------------------------


def cut(share: float) -> Callable[[bytearray], bytearray]:
    return lambda data: data[: int(len(data) * share)]


def garbage(share: float) -> Callable[[bytearray], bytearray]:
    def spoil(data: bytearray) -> bytearray:
        middle, size = len(data) // 2, int(share * len(data))
        data[middle : middle + size] = np.random.default_rng(1).bytes(size)
        return data

    return spoil


def late_edit(data: bytearray) -> bytearray:
    """The edit list begins four frames (of 25 a second) later."""
    entry = data.index(b"elst") + 12  # version and flags, count
    length, media_time = struct.unpack_from(">Ii", data, entry)
    scale = struct.unpack_from(">I", data, data.index(b"mdhd") + 16)[0]
    struct.pack_into(">Ii", data, entry, length - 160, media_time + scale * 4 // 25)
    return data


def avi_count(count: int) -> Callable[[bytearray], bytearray]:
    def spoil(data: bytearray) -> bytearray:
        struct.pack_into("<I", data, data.index(b"avih") + 8 + 16, count)
        struct.pack_into("<I", data, data.index(b"strh") + 8 + 32, count)
        return data

    return spoil


# -- the table --------------------------------------------------------------------------------------------------------

MS = 0.0006  # Matroska and FLV count milliseconds
UNEVEN = [Fraction(0), *(Fraction(sum(20 + k * 37 % 51 for k in range(n)), 1000) for n in range(1, 12))]
X265 = "log-level=none"
FAST_START = {"a.mp4": {"container_options": {"movflags": "faststart"}}}  # else a cut costs the index, and all


def x264(**options: str) -> dict[str, Any]:
    return {"options": options}


VIDEOS = {
    # codecs and containers
    "H.264 with B-frames in mp4": Video("a.mp4", 40, more=x264(bf="3", b_strategy="0")),
    "H.264 in mov": Video("a.mov", more=x264(bf="2")),
    "H.264 in Matroska": Video("a.mkv", tolerance=MS, more=x264(bf="2")),
    "H.264 in a transport stream": Video("a.ts", more=x264(bf="2")),
    "H.264 in AVI": Video("a.avi", more=x264(bf="2")),
    "H.264 in FLV": Video("a.flv", tolerance=MS, more=x264(bf="2")),
    "H.264 with an open GOP": Video("a.mp4", 40, more=x264(**{"x264-params": "open-gop=1:keyint=12:bframes=3"})),
    "HEVC in mp4": Video("a.mp4", more={"codec": "libx265"}),
    "HEVC in Matroska": Video("a.mkv", tolerance=MS, more={"codec": "libx265"}),
    "HEVC in a transport stream, open GOP": Video(
        "a.ts", 40, more={"codec": "libx265", "options": {"x265-params": f"{X265}:open-gop=1:keyint=12:bframes=3"}}
    ),
    "VP9 in WebM": Video("a.webm", tolerance=MS, more={"codec": "libvpx-vp9"}),
    "VP9 with alpha": Video("a.webm", tolerance=MS, more={"codec": "libvpx-vp9", "pix_fmt": "yuva420p"}),
    "AV1 in mp4": Video("a.mp4", more={"codec": "libsvtav1"}),
    "AV1 in WebM": Video("a.webm", tolerance=MS, more={"codec": "libsvtav1"}),
    "MPEG-4 in AVI": Video("a.avi", more={"codec": "mpeg4", "options": {"bf": "2", "qscale": "2"}}),
    "MPEG-2 program stream": Video("a.mpg", more={"codec": "mpeg2video", "options": {"bf": "2", "qscale": "2"}}),
    "Motion JPEG in AVI": Video("a.avi", colors=14, more={"codec": "mjpeg", "pix_fmt": "yuvj422p", "full_range": True}),
    "ProRes in mov": Video("a.mov", more={"codec": "prores_ks", "pix_fmt": "yuv422p10le"}),
    "PNG in mov": Video("a.mov", more={"codec": "png", "pix_fmt": "rgb24"}),
    "PNG with alpha": Video("a.mov", more={"codec": "png", "pix_fmt": "rgba"}),
    "GIF": Video("a.gif", rate=10, colors=None, more={"codec": "gif", "pix_fmt": "rgb8"}),
    "GIF with uneven delays": Video(
        "a.gif", 5, times=[Fraction(n, 100) for n in (0, 5, 30, 31, 90)], colors=None,
        more={"codec": "gif", "pix_fmt": "rgb8"},
    ),
    "VP8 in WebM": Video(
        "a.webm", tolerance=MS, more={"codec": "libvpx", "options": {"deadline": "realtime", "b": "2M"}}
    ),
    "MPEG-4 in mp4, with B-frames": Video("a.mp4", more={"codec": "mpeg4", "options": {"bf": "2", "qscale": "2"}}),
    "Windows Media": Video("a.wmv", tolerance=0.0011, more={"codec": "wmv2", "options": {"qscale": "2"}}),
    "H.263 in 3GP, wide pixels": Video(
        "a.3gp", size=(176, 144), shown=(192, 144), more={"codec": "h263", "options": {"qscale": "2"}}
    ),
    "H.264 in fragments": Video("a.mp4", more={"container_options": {"movflags": "frag_keyframe+empty_moov"}}),
    "a live WebM, without a length": Video(
        "a.webm", tolerance=MS, more={"codec": "libvpx-vp9", "container_options": {"live": "1"}}
    ),
    # rates
    "23.976 a second": Video("a.mp4", 100, rate=Fraction(24000, 1001)),
    "29.97 a second": Video("a.mov", 40, rate=Fraction(30000, 1001)),
    "59.94 a second": Video("a.mkv", 40, rate=Fraction(60000, 1001), tolerance=MS),
    "120 a second": Video("a.mp4", 40, rate=120),
    "240 a second": Video("a.mp4", 60, rate=240),
    "a variable rate in mp4": Video("a.mp4", times=UNEVEN),
    "a variable rate in Matroska": Video("a.mkv", times=UNEVEN, tolerance=MS),
    "one frame in mp4": Video("a.mp4", 1),
    "one frame in GIF": Video("a.gif", 1, rate=10, colors=None, more={"codec": "gif", "pix_fmt": "rgb8"}),
    # beginnings
    "the image begins after the audio": Video(
        "a.mp4", offset=0.5, tracks=1, more={"start": 0.5, "audio": "aac", "audio_seconds": 2}
    ),
    "an edit list hides the first frames": Video("a.mp4", numbers=range(4, 12), spoil=late_edit),
    "a transport stream's own start": Video("a.ts", more={"start": 7.3}),
    # which way up, which shape
    **{f"turned by {turn}": Video("a.mp4", more={"rotation": turn}) for turn in (90, 180, 270)},
    **{f"{w}x{h}": Video("a.mp4", 3, (w, h), shown=(w, h), colors=None if w < 64 else 8,
       more={"codec": "mpeg4", "options": {"qscale": "2"}})
       for w, h in ((16, 16), (161, 120), (160, 121), (317, 239), (596, 336), (1920, 1080))},
    "3840x2160": Video("a.mp4", 2, (3840, 2160)),
    "wide pixels": Video("a.mp4", size=(144, 120), shown=(192, 120), more={"pixel": Fraction(4, 3)}),
    "tall pixels": Video("a.mkv", size=(180, 120), shown=(180, 136), tolerance=MS, more={"pixel": Fraction(8, 9)}),
    "wide pixels, turned": Video(
        "a.mp4", size=(120, 144), shown=(120, 288), more={"pixel": Fraction(2, 1), "rotation": 90}
    ),
    "pixels of 11:1, which is a mistake": Video("a.mp4", more={"pixel": Fraction(11)}),
    "pixels of 1:11, which is a mistake": Video("a.mp4", more={"pixel": Fraction(1, 11)}),
    # colours
    "10 bit": Video("a.mp4", more={"codec": "libx265", "pix_fmt": "yuv420p10le"}),
    "10 bit, 4:2:2": Video("a.mkv", tolerance=MS, more={"pix_fmt": "yuv422p10le"}),
    "4:2:2": Video("a.mp4", more={"pix_fmt": "yuv422p"}),
    "4:4:4": Video("a.mp4", more={"pix_fmt": "yuv444p"}),
    "full range": Video("a.mp4", more={"full_range": True}),
    "full range, 4:4:4": Video("a.mp4", more={"full_range": True, "pix_fmt": "yuv444p"}),
    "BT.709, small": Video("a.mp4", more={"colorspace": 1}),
    "BT.601, large": Video("a.mp4", 3, (1280, 720), more={"colorspace": 5}),
    "high definition without tags": Video("a.mp4", 3, (1280, 720)),
    **{f"high dynamic range, {kind}": Video(
        "a.mp4", colors=None,
        # finely, for a little less than PQ's white is much darker
        more={"codec": "libx265", "pix_fmt": "yuv420p10le", "colorspace": 9, "transfer": transfer,
              "options": {"crf": "12"}})
       for kind, transfer in (("PQ", 16), ("HLG", 18))},
    "interlaced": Video("a.mp4", more={"interlaced": True, "options": {"flags": "+ildct+ilme"}}),
    "interlaced, wide pixels, turned": Video(
        "a.mp4", size=(120, 160), shown=(120, 320),
        more={"interlaced": True, "pixel": Fraction(2), "rotation": 270, "options": {"flags": "+ildct+ilme"}},
    ),
    "digital video": Video(
        "a.dv", size=(720, 576), shown=(768, 576),
        more={"codec": "dvvideo", "interlaced": True, "pixel": Fraction(16, 15)},
    ),
    # audio
    "AAC in mp4": Video("a.mp4", tracks=1, more={"audio": "aac"}),
    "AAC in a transport stream": Video("a.ts", offset=1024 / 48000, tracks=1, more={"audio": "aac"}),
    "Opus in WebM": Video("a.webm", tolerance=MS, tracks=1, more={"codec": "libvpx-vp9", "audio": "libopus"}),
    "Opus in mp4": Video("a.mp4", tracks=1, more={"audio": "libopus"}),
    "MP3 in Matroska": Video("a.mkv", tolerance=MS, tracks=1, more={"audio": "libmp3lame"}),
    "PCM in mov": Video("a.mov", tracks=1, more={"audio": "pcm_s16le"}),
    "PCM in AVI": Video("a.avi", tracks=1, more={"codec": "mpeg4", "audio": "pcm_s16le"}),
    "three tracks, copied": Video("a.mp4", tracks=3, more={"audio": "aac", "languages": ("eng", "fra", "deu")}),
    "two tracks, encoded anew": Video("a.mkv", tolerance=MS, tracks=2,
                                     more={"audio": "pcm_s16le", "languages": ("swe", "jpn")}),
    "audio longer than the image": Video("a.mp4", tracks=1, more={"audio": "aac", "audio_seconds": 3}),
    "audio shorter than the image": Video("a.mp4", 40, tracks=1, more={"audio": "aac", "audio_seconds": 1}),
    # claims that are wrong or missing
    "an AVI that claims more frames": Video("a.avi", more={"codec": "mpeg4"}, spoil=avi_count(90)),
    "an AVI that leaves frames out": Video(
        "a.avi", 6, times=[Fraction(n, 25) for n in (0, 2, 3, 7, 8, 9)], more={"codec": "mpeg4"}
    ),
    "an AVI that claims no frames": Video("a.avi", more={"codec": "mpeg4"}, spoil=avi_count(0)),
    "a bare stream": Video("a.h264"),
    # damage
    "mjpeg a.avi, garbage": Video(
        "a.avi", 60, whole=50, spoil=garbage(0.05), warning="damaged in",
        more={"codec": "mjpeg", "pix_fmt": "yuvj420p", "full_range": True},
    ),
    **{f"{codec} {name}, cut off": Video(name, 60, whole=least, spoil=cut(0.6), warning=said, tolerance=0.0011,
                                        more={"codec": codec} | FAST_START.get(name, {}))
       for codec, name, least, said in (
           ("libx264", "a.mp4", 25, "breaks off at"), ("libx264", "a.mkv", 25, "breaks off at"),
           ("libx264", "a.avi", 25, "breaks off at"), ("libx264", "a.ts", 25, "breaks off at"),
           ("libx265", "a.ts", 25, "breaks off at"), ("libvpx-vp9", "a.webm", 25, "breaks off at"),
           ("mpeg4", "a.avi", 25, "breaks off at"))},
    **{f"{codec} {name}, garbage": Video(name, 60, whole=40, spoil=garbage(0.05), warning="damaged in",
                                        tolerance=0.0011, more={"codec": codec, "options": {"g": "10"}})
       for codec, name in (
           ("libx264", "a.mp4"), ("libx264", "a.ts"), ("libx264", "a.mkv"), ("libx265", "a.mp4"), ("libx265", "a.ts"),
           ("libx265", "a.mkv"), ("libvpx-vp9", "a.mp4"), ("libvpx-vp9", "a.webm"), ("mpeg4", "a.avi"))},
}  # fmt: skip


@pytest.mark.parametrize("kind", VIDEOS)
def test_every_frame_keeps_its_number_its_time_its_colours_and_its_audio(kind: str, tmp_path: Path) -> None:
    video, out = VIDEOS[kind], tmp_path / "out.mp4"
    source = video.write(tmp_path)
    read: list[tuple[int, float]] = []
    colors: list[Pixels] = []
    with VideoReader(source) as reader, AnnotatedVideoWriter(out, source, reader.info) as writer:
        for frame in reader.frames():
            writer.write(frame, [])
            assert frame.index == len(read)
            assert frame.time is not None
            read.append((seen(frame.image.gray()), frame.time))
            if not colors:
                colors.append(middles(frame.image.rgb()))
    info, size = reader.info, video.shown or video.size
    assert (info.width, info.height) == size
    assert writer.warning is None
    video_frames, video_colors = annotated(out)
    assert video_frames[0][1].shape[:2] == (size[1] + size[1] % 2, size[0] + size[0] % 2)
    assert [time for time, _ in video_frames] == pytest.approx([time for _, time in read], abs=1e-5)
    assert [seen(image) for _, image in video_frames] == [number for number, _ in read]
    if video.warning is None:
        numbers, times = video.due()
        assert reader.warning is None
        assert [number for number, _ in read] == numbers
        assert [time for _, time in read] == pytest.approx(times, abs=video.tolerance)
    else:
        assert (reader.warning or "").startswith(video.warning)
        right = [abs(time - number / float(video.rate)) <= video.tolerance for number, time in read]
        assert sum(right) >= (video.whole or 0)
    if video.colors is not None and video.warning is None:
        np.testing.assert_allclose(colors[0], COLORS, atol=video.colors)
        np.testing.assert_allclose(video_colors, COLORS, atol=video.colors)
    if video.tracks:
        sets_in = next(time for time, image in video_frames if seen(image) == ONSET)
        assert onsets(out) == pytest.approx([sets_in] * video.tracks, abs=1 / 25)
        if languages := video.more.get("languages"):
            assert tracks(out) == [(language, language == languages[-1]) for language in languages]


def seen(image: Pixels) -> int:
    """The number in the image; -1 where it is spoilt."""
    try:
        return number_in(image)
    except ValueError:
        return -1


def annotated(path: Path) -> tuple[list[tuple[float, Pixels]], Pixels]:
    """(time, grey image) of each frame, as any player has them, and the colours of the first."""
    with VideoReader(path) as reader:
        return images(path, "gray"), middles(next(reader.frames()).image.rgb())


def onsets(path: Path) -> list[float]:
    """When the audio sets in, in each track."""
    result = []
    with av.open(str(path)) as video:
        count = len(video.streams.audio)
    for n in range(count):
        with av.open(str(path)) as video:
            resampler = av.AudioResampler("fltp", "stereo", 48000)
            loud: list[float] = []
            for frame in video.decode(audio=n):
                samples = np.concatenate([part.to_ndarray()[0] for part in resampler.resample(frame)] or [[]])
                loud += (seconds(frame) + np.flatnonzero(np.abs(samples) > 0.1) / 48000).tolist()
            result.append(loud[0])
    return result


def tracks(path: Path) -> list[tuple[str | None, bool]]:
    """(language, whether it is the default) of each track."""
    with av.open(str(path)) as video:
        return [(s.language, bool(s.disposition & Disposition.default)) for s in video.streams.audio]


def test_the_timelines_rows_have_the_videos_numbers_times_and_places(tmp_path: Path) -> None:
    """The same face in square and in wide pixels, at a variable rate, and as fields."""
    faces = list(moving_faces(6))
    narrow = [resized(face, (240, 360), cv2.INTER_AREA) for face in faces]
    square = write_video(tmp_path / "square.mp4", faces, times=UNEVEN[:6])
    wide = write_video(tmp_path / "wide.mkv", narrow, times=UNEVEN[:6], pixel=Fraction(2))
    fields = write_video(tmp_path / "a.ts", faces, interlaced=True, options={"flags": "+ildct+ilme"})
    expected = fermedia.analyze(square)
    for path in (square, wide, fields):
        table = fermedia.analyze(path)
        times = [n / 25 for n in range(6)] if path == fields else [float(time) for time in UNEVEN[:6]]
        assert table["frame"].tolist() == list(range(6))
        assert table["timestamp"].tolist() == pytest.approx(times, abs=0.0011)
        assert table["success"].tolist() == [1] * 6
        places = ["x", "y", "width", "height"]
        np.testing.assert_allclose(table[places], expected[places], atol=12)
