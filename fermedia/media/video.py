"""Decode a video into upright frames with the times at which a player shows them."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Self

import av
import cv2
import numpy as np
from av.stream import Disposition
from av.video.reformatter import ColorRange, Colorspace, Interpolation

from fermedia.errors import MediaError
from fermedia.files import shown
from fermedia.options import Sampling
from fermedia.types import Color, Frame, Gray, MediaInfo, Picture

#: Pixel formats that are taken as they are; the second is the first in full range.
_PLANAR_420 = ("yuv420p", "yuvj420p")

#: From 16..235 to 0..255.
_EXPAND = np.clip(np.round((np.arange(256) - 16) * (255 / 219)), 0, 255).astype(np.uint8)

#: A stream's AVColorSpace -> the matrix that undoes it. All else is unspecified: players then guess by the height.
_MATRICES = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}

#: Rounded display matrix (a, b, c, d) -> the filters of libavfilter that do the same.
_TURNS: dict[tuple[int, int, int, int], tuple[int, list[tuple[str, str | None]]]] = {
    (1, 0, 0, 1): (0, []),
    (-1, 0, 0, 1): (0, [("hflip", None)]),
    (1, 0, 0, -1): (180, [("hflip", None)]),
    (-1, 0, 0, -1): (180, [("hflip", None), ("vflip", None)]),
    (0, 1, -1, 0): (90, [("transpose", "clock")]),
    (0, -1, 1, 0): (270, [("transpose", "cclock")]),
    (0, 1, 1, 0): (90, [("transpose", "cclock_flip")]),
    (0, -1, -1, 0): (270, [("transpose", "clock_flip")]),
}

#: Matroska rounds times to milliseconds: a frame this little before a moment counts as at it. Seconds.
_ROUNDING = Fraction(1, 2000)

#: A film that ends this much earlier than its header says, in seconds, has broken off.
_SHORTFALL = Fraction(1, 4)


class VideoPicture(Picture):
    """A decoded frame: 8-bit planar 4:2:0, upright.

    ``frame`` is an ``av.VideoFrame`` of format yuv420p (or yuvj420p, which is the same in full range). Its planes may
    have padded rows, and the decoder may still read them: copy, never write into them. Chroma planes of odd sizes
    are rounded up.
    """

    def __init__(self, frame: av.VideoFrame) -> None:
        self.frame = frame

    @property
    def width(self) -> int:
        return self.frame.width

    @property
    def height(self) -> int:
        return self.frame.height

    @property
    def full_range(self) -> bool:
        """Whether luma is 0..255 rather than 16..235."""
        return _full_range(self.frame)

    @property
    def bt709(self) -> bool:
        """Whether the colours are BT.709's; BT.601's (or a rarer matrix) if not."""
        return _matrix(self.frame) is Colorspace.ITU709

    @cached_property
    def _gray(self) -> Gray:
        plane = self.frame.planes[0]
        rows = np.frombuffer(plane, np.uint8).reshape(self.height, plane.line_size)[:, : self.width]
        return rows.copy() if self.full_range else np.asarray(cv2.LUT(rows, _EXPAND), dtype=np.uint8)

    def gray(self) -> Gray:
        """The luma, expanded to 0..255; C-contiguous."""
        return self._gray

    def rgb(self, size: tuple[int, int] | None = None) -> Color:
        """RGB by the frame's own matrix and range (BT.709 or BT.601 by its size where untagged)."""
        width, height = size or (self.width, self.height)
        shrinks = width < self.width or height < self.height
        frame = self.frame.reformat(
            width,
            height,
            "rgb24",
            src_colorspace=_matrix(self.frame),
            src_color_range=_range(self.full_range),
            dst_color_range=ColorRange.JPEG,
            interpolation=Interpolation.AREA if shrinks else Interpolation.BILINEAR,
        )
        return np.ascontiguousarray(frame.to_ndarray())  # rows may be padded


class VideoReader:
    """A video file, open for decoding; a context manager.

    ``info`` says what the file claims. ``warning`` is one line about what could not be read, None when all is well;
    it is final when ``frames`` has ended.

    Raises MediaError when there is no picture that can be decoded.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.warning: str | None = None
        self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def frames(self, sampling: Sampling | None = None) -> Iterator[Frame]:
        """The frames from ``start`` to before ``end`` in the order they are shown, each with a VideoPicture.

        All are decoded and counted in ``Frame.index``, and the analysed ones marked ``sampled``: every N-th, or the
        first frame at or after each tick of ``fps``; both count from ``start``. A second call begins anew.

        ``Frame.time`` counts from the earliest start of the file's streams, so a picture that begins after the sound
        begins later than 0. It increases strictly: a frame whose time stamp is missing, or does not follow its
        predecessor's, takes the place after it.
        """
        if self._started:
            self._container.close()
            self._open()
        self._started = True
        return self._sampled(sampling or Sampling())

    # -- opening ----------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        self._started = False
        self._errors = 0
        self._failure: str | None = None
        try:
            # The absolute path keeps FFmpeg from taking "a:b.mp4" for a protocol.
            self._container = av.open(str(self.path.absolute()), options={"protocol_whitelist": "file"})
        except av.FFmpegError as error:
            raise MediaError(f"{shown(self.path)}: {_reason(self.path, error)}") from error
        try:
            self._begin()
        except BaseException:
            self._container.close()
            raise

    def _begin(self) -> None:
        """Choose the stream and decode its first frame, which tells the size and how it is turned."""
        self._stream = stream = _video_stream(self._container, self.path)
        self._decoded = self._decode()
        first = next(self._decoded, None)
        if first is None:
            reason = f" ({self._failure})" if self._failure else ""
            raise MediaError(f"{shown(self.path)}: no picture in it can be decoded{reason}", "decode")
        self._errors = 0  # a recording may begin between key frames: what precedes the first picture is no damage
        self._decoded = chain([first], self._decoded)
        self._base = stream.time_base or Fraction(1, 90000)
        self._rate = stream.average_rate or stream.guessed_rate or stream.base_rate or Fraction(25)
        self._origin = self._find_origin(first)
        self._upright = _Upright(first)
        length, own = _length(self._container, stream)
        start = (stream.start_time or 0) * self._base - self._origin
        self._claimed_end = start + length if length and own else None
        width, height = self._upright.size
        sound = next((s for s in self._container.streams.audio if s.codec_context), None)
        self.info = MediaInfo(
            width=width,
            height=height,
            average_rate=stream.average_rate,
            duration=float(length) if length else None,
            frames=stream.frames or None,
            codec=stream.codec_context.name,
            rotation=self._upright.rotation,
            audio=sound.codec_context.name if sound else None,
        )

    def _find_origin(self, first: av.VideoFrame) -> Fraction:
        origin = start_time(self._container)
        if first.pts is None:
            return origin
        time = first.pts * self._base
        if self._container.format.name == "avi":
            # AVI has no presentation times; FFmpeg's guess is late by the depth of the reordering.
            return origin + time - (self._stream.start_time or 0) * self._base
        return min(origin, time)

    # -- decoding ---------------------------------------------------------------------------------------------------

    def _decode(self) -> Iterator[av.VideoFrame]:
        """Every frame that can be decoded, in the order shown; errors are counted and stepped over."""
        packets = self._container.demux(self._stream)
        packet: av.Packet | None
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError as error:
                self._failure = _words(error)
                packet = None
            try:
                frames = self._stream.decode(packet)
            except av.error.EOFError:  # drained before
                frames = []
            except av.FFmpegError as error:
                self._errors += 1
                self._failure = _words(error)
                frames = []
            for frame in frames:
                self._errors += frame.is_corrupt
                yield frame
            if packet is None:
                return

    def _timed(self) -> Iterator[tuple[Fraction, Fraction | None, av.VideoFrame]]:
        """(time, duration or None, frame), times increasing strictly."""
        expected: Fraction | None = None
        previous: Fraction | None = None
        for frame in self._decoded:
            time = None if frame.pts is None else frame.pts * self._base - self._origin
            if time is None or (previous is not None and time <= previous):
                time = expected or Fraction(0)
            duration = frame.duration * self._base if frame.duration and frame.duration > 0 else None
            previous, expected = time, time + (duration or 1 / self._rate)
            yield time, duration, frame
        self.warning = self._judge(expected or Fraction(0))

    def _sampled(self, sampling: Sampling) -> Iterator[Frame]:
        start = _exact(sampling.start or 0)
        end = None if sampling.end is None else _exact(sampling.end)
        chosen = _Chosen(sampling, start)
        for index, (time, duration, frame) in enumerate(self._timed()):
            if end is not None and time >= end:
                self.warning = self._damage()
                return
            if time < start:
                continue
            try:
                picture = VideoPicture(self._upright(frame))
            except av.FFmpegError as error:
                raise MediaError(f"{shown(self.path)}: frame {index} cannot be converted ({_words(error)})") from error
            shown_for = None if duration is None else float(duration)
            yield Frame(index, float(time), picture, shown_for, chosen(time))

    def _judge(self, end: Fraction) -> str | None:
        """What was wrong with the whole film that ended at ``end`` seconds; None if nothing was."""
        missing = max(_SHORTFALL, 2 / self._rate)
        if self._claimed_end is not None and self._claimed_end - end > missing:
            return f"{shown(self.path)}: breaks off at {float(end):.2f} s of {float(self._claimed_end):.2f} s"
        return self._damage()

    def _damage(self) -> str | None:
        if self._errors == 0:
            return None
        places = "1 place" if self._errors == 1 else f"{self._errors} places"
        return f"{shown(self.path)}: damaged in {places}; frames may be missing or spoilt"


class _Chosen:
    """Says of one frame after another whether it is analysed."""

    def __init__(self, sampling: Sampling, start: Fraction) -> None:
        self._every = sampling.every
        self._fps = None if sampling.fps is None else _exact(sampling.fps)
        self._start = start
        self._count = 0
        self._tick = 0

    def __call__(self, time: Fraction) -> bool:
        if self._fps is None:
            self._count += 1
            return (self._count - 1) % self._every == 0
        passed = int((time - self._start + _ROUNDING) * self._fps)  # the last tick at or before this frame
        if passed < self._tick:
            return False
        self._tick = passed + 1
        return True


class _Upright:
    """Turns the decoded frames of one stream into upright 8-bit 4:2:0 of one size.

    Alpha is dropped. ``rotation`` is how many degrees clockwise the stored picture is turned; ``size`` is the upright
    (width, height), the first frame's: should later ones differ, they are scaled, as players do.
    """

    def __init__(self, first: av.VideoFrame) -> None:
        self._stored = first.width, first.height
        self.rotation, self._filters = _TURNS[_display_matrix(first)]
        self.size = self._stored[::-1] if self.rotation in (90, 270) else self._stored
        self._graph: av.filter.Graph | None = None

    def __call__(self, frame: av.VideoFrame) -> av.VideoFrame:
        frame = self._planar_420(frame)
        if not self._filters:
            return frame
        if self._graph is None:
            self._graph = self._build(frame)
        self._graph.vpush(frame)
        return self._graph.vpull()

    def _planar_420(self, frame: av.VideoFrame) -> av.VideoFrame:
        if frame.format.name in _PLANAR_420 and (frame.width, frame.height) == self._stored:
            return frame
        levels = _range(_full_range(frame))
        matrix = _matrix(frame)
        width, height = self._stored
        return frame.reformat(
            width,
            height,
            "yuv420p",
            src_colorspace=matrix,
            dst_colorspace=matrix,
            src_color_range=None if frame.format.is_rgb else levels,
            dst_color_range=levels,
        )

    def _build(self, frame: av.VideoFrame) -> av.filter.Graph:
        graph = av.filter.Graph()
        source = graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 1000)
        )
        nodes = [graph.add(name, argument) for name, argument in self._filters]
        graph.link_nodes(source, *nodes, graph.add("buffersink")).configure()
        return graph


def start_time(container: av.container.InputContainer) -> Fraction:
    """Where a player's clock begins, in seconds of the container's: the earliest start of picture or sound.

    Sound that begins below zero is an encoder's priming, which is not played.
    """
    starts = [
        max(stream.start_time * stream.time_base, Fraction(0)) if stream.type == "audio" else
        stream.start_time * stream.time_base
        for stream in (*container.streams.video, *container.streams.audio)
        if stream.start_time is not None and stream.time_base and not _is_cover(stream)
    ]
    return min(starts, default=Fraction(0))


def _is_cover(stream: av.stream.Stream) -> bool:
    return bool(stream.disposition & Disposition.attached_pic)


def _video_stream(container: av.container.InputContainer, path: Path) -> av.VideoStream:
    streams = [stream for stream in container.streams.video if not _is_cover(stream)]
    if not streams or container.format.name == "tty":  # FFmpeg plays plain text as a terminal's output
        what = "sound without a picture" if container.streams.audio else "no picture in it"
        raise MediaError(f"{shown(path)}: not a video ({what})")
    best = container.streams.best("video")
    stream = best if best in streams else streams[0]
    if stream.codec_context is None:
        raise MediaError(f"{shown(path)}: its video codec is not known to FFmpeg; convert it to H.264")
    stream.thread_type = "AUTO"
    return stream


def _length(container: av.container.InputContainer, stream: av.VideoStream) -> tuple[Fraction | None, bool]:
    """(seconds, whether this is the picture's own length and not only the file's)."""
    if stream.duration and stream.time_base:
        return stream.duration * stream.time_base, True
    tag = stream.metadata.get("DURATION")  # Matroska: 00:00:10.000000000
    if tag:
        try:
            hours, minutes, seconds = tag.split(":")
            return int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds), True
        except ValueError:
            pass
    if container.duration:
        return Fraction(container.duration, av.time_base), not container.streams.audio
    return None, False


def _display_matrix(frame: av.VideoFrame) -> tuple[int, int, int, int]:
    """The display matrix as quarter turns and mirrors; angles between them are rounded."""
    data = next((bytes(side) for side in frame.side_data if side.type.name == "DISPLAYMATRIX"), None)
    if data is None:
        return 1, 0, 0, 1
    a, b, _, c, d, *_ = np.frombuffer(data, np.int32).tolist()
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return (1 if a >= 0 else -1), 0, 0, (1 if d >= 0 else -1)
    return 0, (1 if b >= 0 else -1), (1 if c >= 0 else -1), 0


def _full_range(frame: av.VideoFrame) -> bool:
    return not frame.format.is_rgb and (frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj"))


def _range(full: bool) -> ColorRange:
    return ColorRange.JPEG if full else ColorRange.MPEG


def _matrix(frame: av.VideoFrame) -> Colorspace:
    """The frame's own matrix; for an untagged one mpv's guess: high definition is BT.709, else BT.601."""
    short, long = sorted((frame.width, frame.height))
    guess = Colorspace.ITU709 if long >= 1280 or short > 576 else Colorspace.ITU601
    return _MATRICES.get(frame.colorspace, guess)


def _exact(seconds: float) -> Fraction:
    """The decimal number that was typed, not its nearest binary fraction."""
    return Fraction(str(seconds))


def _words(error: av.FFmpegError) -> str:
    return error.strerror or str(error)


def _reason(path: Path, error: av.FFmpegError) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, PermissionError):
        return "no permission to read it"
    if path.is_file() and path.stat().st_size == 0:
        return "the file is empty"
    return f"not a video that can be read ({_words(error)})"
