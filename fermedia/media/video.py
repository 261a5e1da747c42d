"""Decode a video into upright frames with the times at which a player shows them."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from io import FileIO
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple, Self

import av
from av.stream import Disposition

from fermedia.errors import MediaError
from fermedia.files import shown
from fermedia.machine import cores
from fermedia.media.claims import (
    AviIndex,
    data_end,
    ends_on_boundary,
    ends_within_a_packet,
    film_length,
    has_garbage,
    has_index,
    is_cropped,
    is_whole,
)
from fermedia.media.frames import FittedPicture, Upright, VideoPicture
from fermedia.media.line import Line
from fermedia.media.sampling import Chosen, exact
from fermedia.options import Sampling
from fermedia.types import Fit, Frame, MediaInfo, Picture

#: A film that ends earlier than its header says by more than this (seconds, and frames) has broken off.
_SHORTFALL = Fraction(1, 10), 3

#: Formats that are lists of other files, or plain text that FFmpeg would play as a terminal's output.
_NOT_FILMS = {"concat", "concatf", "dash", "hls", "tty"}

#: Formats that may begin anywhere: what cannot be decoded before their first key frame is no damage.
_BROADCASTS = {"mpegts", "mpeg", "mpegvideo", "h264", "hevc"}

#: Threads that decode one film, for each processor: they wait for the frames before theirs, and for who fetches.
_THREADS_EACH = 2
#: The same, at most; each holds some frames.
_MOST_THREADS = 16
#: The same in pixels of all the frames that they hold.
_MOST_THREAD_PIXELS = 128e6
#: Pixels times processors up to which one thread, that of who asks, decodes fast enough: several would only be more to
#: wake and to wait for. It is 1280x720 on two processors.
_SMALL = 2e6


#: Bytes of a hole at a file's end that is not read.
_LARGE_HOLE = 1 << 26

#: Pixels of a film's largest frames: fewer than a photo may have (``media.photos``), since some are held at a time.
MOST_PIXELS = 100_000_000

#: Packets before a seam of a transport stream that FFmpeg may call spoilt, for they were still being put together.
_IN_FLIGHT = 3

#: Frames that are held to see whether a stamp is stray: at most so many, and of large ones so many pixels.
_MOST_AHEAD, _MOST_PIXELS_AHEAD = 8, 16e6


#: No aspect ratio that a stream could have.
_UNKNOWN = Fraction(-1)


class _DamagedError(Exception):
    """Something cannot be decoded."""


class _Decoded(NamedTuple):
    """A decoded frame and the aspect ratio of its pixels, None for square ones."""

    frame: av.VideoFrame
    pixel: Fraction | None


class VideoReader:
    """A video file, open for decoding; a context manager.

    ``info`` says what the file claims. ``warning`` says what could not be read ("breaks off at 3.20 s of 10.00 s"),
    None when all is well; ``notes`` say what is left aside, and what was put right, one line each. Both are final when
    ``frames`` has ended. ``seams`` are where the file's clock begins anew, as far as frames were read (``media.line``).

    All frames are shown in a picture of one ``size`` (width, height), by default the first one's: where others differ,
    they are fitted in, in the middle; their ``Picture.own`` keeps its shape. Once a frame was larger than that,
    ``larger`` is the size with which a reader would have room for all.

    Raises MediaError when there is no picture that can be decoded.
    """

    def __init__(self, path: Path, size: tuple[int, int] | None = None) -> None:
        self.path = path
        self.warning: str | None = None
        self.larger: tuple[int, int] | None = None
        self._size = size
        self._container: av.container.InputContainer
        self._started: bool
        self._lined: Iterator[tuple[Fraction, _Decoded]]
        self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()
        # What it was holds this reader: in such a circle the decoder and its frames would stay for a while.
        self._lined = iter(())

    def frames(self, sampling: Sampling | None = None) -> Iterator[Frame]:
        """The frames from ``start`` to before ``end`` in the order they are shown, each with a VideoPicture.

        All are decoded and counted in ``Frame.index``, and the analysed ones marked ``sampled``: every N-th, or the
        first frame at or after each tick of ``fps``; both count from ``start``. A second call begins anew.

        ``Frame.time`` counts from the earliest start of the file's streams, so a picture that begins after the sound
        begins later than 0. It increases strictly; stamps that do not are put right (``media.line``).
        """
        if self._started:
            self._container.close()
            self._open()
        self._started = True
        return self._sampled(sampling or Sampling())

    # -- opening ----------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        self._started = False
        self._open_container()
        try:
            self._begin()
        except BaseException:
            self._container.close()
            raise

    def _open_container(self) -> None:
        self._errors = 0
        self._failure: str | None = None
        if self.path.exists() and not (self.path.is_file() or self.path.is_dir()):  # a pipe would be waited for
            raise MediaError(f"{shown(self.path)}: no regular file")
        try:
            self._container = open_container(self.path)
        except av.FFmpegError as error:
            raise MediaError(f"{shown(self.path)}: {_reason(self.path, error)}") from error

    def _begin(self) -> None:
        """Choose the stream and decode its first frame, which tells the size and how it is turned."""
        self._stream = _video_stream(self._container, self.path)
        self._is_avi = self._container.format.name == "avi"
        self._indexed = AviIndex(self._stream, self.path).end if self._is_avi else 0
        self._base = self._stream.time_base or Fraction(1, 90000)
        self._rate = _rate(self._stream)
        context = self._stream.codec_context
        pixels = context.width * context.height
        self._first_aspect: Fraction | None = _UNKNOWN
        self._aspect: Fraction | None = None
        self._repeated: Fraction | None = None
        self._sizes: set[tuple[int, int]] = set()
        self._line: Line[_Decoded] = Line(1 / self._rate, _ahead(pixels), start_time(self._container))
        self.seams = self._line.seams
        self.notes = self._left_aside()
        self._lined = self._on_line()
        begun = next(self._lined, None)
        if begun is None:
            reason = f" ({self._failure})" if self._failure else ""
            raise MediaError(f"{shown(self.path)}: no picture in it can be decoded{reason}", "decode")
        self._lined = chain([begun], self._lined)
        stream = self._stream  # not before: a damaged film has been opened again
        time, first = begun
        self._origin = self._find_origin(time)
        self._upright = Upright(first.frame, first.pixel)
        length, own = film_length(self._container, stream)
        start = max((stream.start_time or 0) * self._base - self._origin, Fraction(0))
        self._claimed_end = start + length if length and own else None
        self._indexed_end = start + self._indexed * self._base if self._indexed else None
        width, height = self._size or self._upright.size
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

    def _find_origin(self, first: Fraction) -> Fraction:
        """Where the frames' times begin, by the container's clock; ``first`` is the first frame's."""
        origin = start_time(self._container)
        if self._is_avi:
            return origin + first - (self._stream.start_time or 0) * self._base
        return min(origin, first)

    def _stamp(self, frame: av.VideoFrame) -> Fraction | None:
        """When the frame is shown, by the container's clock; None where it does not say.

        AVI has no presentation times, and FFmpeg's guesses at them come in the wrong order. Its decoding times are
        right, but for the delay of the first frame.
        """
        ticks = frame.dts if self._is_avi else frame.pts
        return None if ticks is None else ticks * self._base

    # -- decoding ---------------------------------------------------------------------------------------------------

    def _decode(self) -> Iterator[_Decoded]:
        """Every frame that can be decoded, in the order shown; errors are counted and stepped over.

        While several frames are decoded at once, an error costs those that follow: PyAV then leaves them where they
        are, and the decoder takes no more. So a damaged film is begun again, frame by frame.
        """
        given = 0
        try:
            for decoded in self._decoded_packets(at_once=True):
                given += 1
                yield decoded
            return
        except _DamagedError:
            self._container.close()
        self._open_container()
        self._stream = _video_stream(self._container, self.path)
        self._stream.codec_context.thread_count = 1
        yield from islice(self._decoded_packets(at_once=False), given, None)
        self._errors = max(self._errors, 1)

    def _decoded_packets(self, at_once: bool) -> Iterator[_Decoded]:
        index = AviIndex(self._stream, self.path) if self._is_avi else None
        packets = self._container.demux(self._stream)
        packet: av.Packet | None
        previous: int | None = None
        spoilt: deque[bool] = deque(maxlen=_IN_FLIGHT)
        begun = self._container.format.name not in _BROADCASTS
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError as error:
                if not (self._container.format.name == "mpjpeg" and ends_on_boundary(self.path)):
                    self._errors += 1
                    self._failure = _words(error)
                packet = None
            begun = begun or (packet is not None and packet.is_keyframe)
            if packet is not None and packet.size:
                if previous is not None and packet.dts is not None and (previous - packet.dts) * self._base > 1:
                    self._errors -= sum(spoilt)  # the packets' numbers do not go on where recordings were joined
                    spoilt.clear()
                previous = packet.dts
                spoilt.append(begun and packet.is_corrupt)
                self._errors += spoilt[-1]
                self._errors += index is not None and index.place(packet)
            elif packet is not None and packet.pts is not None:  # an empty one repeats its predecessor
                self._repeated = (packet.pts + (packet.duration or 0)) * self._base
                continue
            try:
                frames = self._stream.decode(packet)
            except av.error.EOFError:  # drained before
                frames = []
            except av.FFmpegError as error:
                if at_once and (begun or isinstance(error, av.error.BlockingIOError)):
                    raise _DamagedError from error
                self._errors += begun
                self._failure = _words(error)
                frames = []
            for frame in frames:
                if begun and frame.is_corrupt:
                    if at_once:  # several threads conceal damage now in this way, now in that
                        raise _DamagedError
                    self._errors += 1
                yield _Decoded(frame, self._pixel(frame))
            if packet is None:
                return

    def _pixel(self, frame: av.VideoFrame) -> Fraction | None:
        """The aspect ratio of this latest frame's pixels: the file's, until that in the stream changes.

        The decoder is some frames ahead of those that it gives; what it has read counts from a key frame on.
        """
        own = self._stream.codec_context.sample_aspect_ratio
        if self._first_aspect is _UNKNOWN:
            self._first_aspect, self._aspect = own, self._stream.sample_aspect_ratio
        elif frame.key_frame and own != self._first_aspect:
            self._aspect = own
        return self._aspect

    def _on_line(self) -> Iterator[tuple[Fraction, _Decoded]]:
        """Frames with their times by the container's clock, increasing strictly."""
        for decoded in self._decode():
            yield from self._line.put(decoded, self._stamp(decoded.frame), self._duration(decoded.frame))
        yield from self._line.ready(final=True)

    def _duration(self, frame: av.VideoFrame) -> Fraction | None:
        """Seconds; None where the stream does not say."""
        return frame.duration * self._base if frame.duration and frame.duration > 0 else None

    def _timed(self) -> Iterator[tuple[Fraction, _Decoded]]:
        """Frames with their times as a player has them; at the end the film is judged."""
        end = Fraction(0)
        for stamp, decoded in self._lined:
            time = stamp - self._origin
            end = time + (self._duration(decoded.frame) or 1 / self._rate)
            yield time, decoded
        if self._repeated is not None:
            end = max(end, self._repeated - self._origin)
        self.warning = self._judge(end)

    def _sampled(self, sampling: Sampling) -> Iterator[Frame]:
        start = exact(sampling.start or 0)
        end = None if sampling.end is None else exact(sampling.end)
        chosen = Chosen(sampling, start)
        waiting: deque[Callable[[Picture], Frame]] = deque()
        for index, (time, decoded) in enumerate(self._timed()):
            if end is not None and time >= end:
                self.warning = self._damage()
                break
            if time < start:
                continue
            duration = self._duration(decoded.frame)
            shown_for = None if duration is None else float(duration)
            waiting.append(partial(Frame, index, float(time), duration=shown_for, sampled=chosen(time)))
            yield from self._pictured(waiting, partial(self._upright, decoded.frame, decoded.pixel))
        yield from self._pictured(waiting, self._upright.rest)
        self.notes = [*self._left_aside(), *self._repairs(), *fitting_note(self._sizes, self.info)]

    def _pictured(
        self, waiting: deque[Callable[[Picture], Frame]], convert: Callable[[], list[av.VideoFrame]]
    ) -> Iterator[Frame]:
        """The first of ``waiting`` with the pictures that ``convert`` gives; they may come later than their times."""
        try:
            pictures = convert()
        except av.FFmpegError as error:
            raise MediaError(f"{shown(self.path)}: a frame cannot be converted ({_words(error)})") from error
        film = self.info.width, self.info.height
        for picture in pictures:
            if self.larger is None and picture.width * picture.height > film[0] * film[1]:
                self.larger = self._largest((picture.width, picture.height))
            self._sizes.add((picture.width, picture.height))
            yield waiting.popleft()(film_picture(picture, film))

    def _largest(self, size: tuple[int, int]) -> tuple[int, int]:
        """The size of the largest key frame, for no other changes it; at least ``size``."""
        with VideoReader(self.path) as other:
            other._stream.codec_context.skip_frame = "NONKEY"
            sizes = (Upright(decoded.frame, decoded.pixel).size for _, decoded in other._lined)
            return max(chain([size], sizes), key=lambda sides: sides[0] * sides[1])

    def _judge(self, end: Fraction) -> str | None:
        """What was wrong with the whole film that ended at ``end`` seconds; None if nothing was."""
        seconds, frames = _SHORTFALL
        least = max(seconds, frames / self._rate)
        if self._claimed_end is not None and self._claimed_end - end > least and not self._is_whole(end, least):
            return f"breaks off at {float(end):.2f} s of {float(self._claimed_end):.2f} s"
        if self._container.format.name == "mpegts" and ends_within_a_packet(self.path):
            return f"breaks off at {float(end):.2f} s"
        if self._errors == 0 and "matroska" in self._container.format.name and has_garbage(self.path):
            self._errors = 1
        if hole := hole_at_end(self.path):
            return f"its last {hole / 1e6:.0f} MB were never written"
        return self._damage()

    def _is_whole(self, end: Fraction, least: Fraction) -> bool:
        """Whether a film that ends at ``end`` is all there, though its header claims more than ``least`` beyond that.

        A header may count stray stamps, or be true of a picture that stands still to the end. That of an AVI may be
        plainly wrong; one that ends where its index ends is whole.
        """
        if self._line.strays or is_whole(self.path, self._container.format.name, self._stream):
            return True
        return self._indexed_end is not None and abs(self._indexed_end - end) <= least

    def _left_aside(self) -> list[str]:
        """What else is in the file and is not looked at."""
        notes = []
        videos = [stream for stream in self._container.streams.video if not _is_cover(stream)]
        if len(videos) > 1:
            notes.append(f"of its {len(videos)} video tracks only number {videos.index(self._stream) + 1} is analysed")
        if "matroska" in self._container.format.name and is_cropped(self.path):
            notes.append("its header says that the picture be cropped, which is not done")
        return notes

    def _repairs(self) -> list[str]:
        """What was put right in the times."""
        notes = []
        if strays := self._line.strays:
            first, count = float(strays[0] - self._origin), len(strays)
            stamps = "1 time stamp was" if count == 1 else f"{count} time stamps were"
            notes.append(f"{stamps} astray, at {first:.2f} s{' and later' * (count > 1)}, and put right")
        if seams := self._line.joints:
            first, count = float(seams[0] - self._origin), len(seams)
            notes.append(f"its clock begins anew at {first:.2f} s{' and later' * (count > 1)}; the parts are joined")
        return notes

    def _damage(self) -> str | None:
        if self._errors == 0:
            return None
        places = "1 place" if self._errors == 1 else f"{self._errors} places"
        return f"damaged in {places}; frames may be missing or spoilt"


def check_pixels(path: Path, width: int, height: int) -> None:
    """Raises MediaError for frames of a size of which a film's cannot be held."""
    if width * height > MOST_PIXELS:
        size, most = f"frames of {width} x {height} pixels", MOST_PIXELS // 1_000_000
        raise MediaError(f"{shown(path)}: {size} are too many (at most {most} million); make it smaller")


def film_picture(frame: av.VideoFrame, film: tuple[int, int]) -> VideoPicture:
    """A frame as its film, whose pictures have this (width, height), shows it."""
    picture, fit = VideoPicture(frame), Fit.of((frame.width, frame.height), film)
    return picture if fit is None else FittedPicture(picture, fit)


def fitting_note(sizes: set[tuple[int, int]], info: MediaInfo) -> list[str]:
    """What to say of frames of these sizes that are shown in the film of ``info``; nothing if they are all of its."""
    film = info.width, info.height
    if sizes <= {film}:
        return []
    names = ", ".join(f"{width}x{height}" for width, height in sorted(sizes - {film})[:3])
    more = " and others" if len(sizes - {film}) > 3 else ""
    return [f"frames of {names}{more} are fitted into {film[0]}x{film[1]}; boxes are in the pixels of that"]


def open_container(path: Path) -> av.container.InputContainer:
    """Open a film for FFmpeg. Raises av.FFmpegError.

    A hole at the file's end is not read: of some kinds of file, FFmpeg would search it for frames at length.
    """
    # The absolute path keeps FFmpeg from taking "a:b.mp4" for a protocol; titles may be in any encoding.
    name, options = str(path.absolute()), {"protocol_whitelist": "file"}
    if hole_at_end(path):
        return av.open(_Beginning(path), "r", options=options, metadata_errors="replace")
    return av.open(name, "r", options=options, metadata_errors="replace")


def hole_at_end(path: Path) -> int:
    """Bytes of a hole at the file's end; 0 where there is none that takes long."""
    if not path.is_file():
        return 0
    hole = path.stat().st_size - data_end(path)
    return hole if hole > _LARGE_HOLE else 0


class _Beginning(FileIO):
    """A file up to the hole at its end."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._end = data_end(path)

    def read(self, size: int | None = -1, /) -> bytes:
        left = max(0, self._end - self.tell())
        return super().read(left if size is None or size < 0 else min(size, left))

    def seek(self, place: int, whence: int = os.SEEK_SET, /) -> int:
        return super().seek(self._end + place) if whence == os.SEEK_END else super().seek(place, whence)


def start_time(container: av.container.InputContainer) -> Fraction:
    """Where a player's clock begins, in seconds of the container's: the earliest start of picture or sound.

    Sound that begins below zero is an encoder's priming, which is not played.
    """
    starts = [
        max(stream.start_time * stream.time_base, Fraction(0))
        if stream.type == "audio"
        else stream.start_time * stream.time_base
        for stream in (*container.streams.video, *container.streams.audio)
        if stream.start_time is not None and stream.time_base and not _is_cover(stream)
    ]
    return min(starts, default=Fraction(0))


def _rate(stream: av.VideoStream) -> Fraction:
    """Frames a second, as far as the stream says."""
    return stream.average_rate or stream.guessed_rate or stream.base_rate or Fraction(25)


def _ahead(pixels: int) -> int:
    """How many frames of this size may be held to see whether their time stamps come back."""
    return max(1, min(_MOST_AHEAD, int(_MOST_PIXELS_AHEAD / max(1, pixels))))


def _is_cover(stream: av.stream.Stream) -> bool:
    return bool(stream.disposition & Disposition.attached_pic)


def _video_stream(container: av.container.InputContainer, path: Path) -> av.VideoStream:
    streams = [stream for stream in container.streams.video if not _is_cover(stream)]
    if not streams or container.format.name in _NOT_FILMS:
        if "mov" in container.format.name and not len(container.streams):
            raise MediaError(f"{shown(path)}: {_index_reason(path)}")
        what = "sound without a picture" if container.streams.audio else "no picture in it"
        raise MediaError(f"{shown(path)}: not a video ({what})")
    best = container.streams.best("video")
    stream = best if best in streams else streams[0]
    if stream.codec_context is None:
        raise MediaError(f"{shown(path)}: its video codec is not known to FFmpeg; convert it to H.264")
    stream.thread_type = "AUTO"
    context = stream.codec_context
    pixels = context.width * context.height
    check_pixels(path, context.width, context.height)
    context.options = {"max_pixels": str(MOST_PIXELS)}  # should its frames grow
    alone = cores() == 1 or pixels * cores() <= _SMALL
    most = min(_MOST_THREADS, max(1, int(_MOST_THREAD_PIXELS / max(1, pixels))))
    context.thread_count = 1 if alone else min(_THREADS_EACH * cores(), most)
    return stream


def _index_reason(path: Path) -> str:
    """Why nothing is found in an mp4 or mov."""
    if has_index(path):
        return "its index (moov) cannot be read; it is damaged"
    return "incomplete: it ends before its index (moov), as after a recording or copy that was broken off"


def _words(error: av.FFmpegError) -> str:
    return error.strerror or str(error)


def _reason(path: Path, error: av.FFmpegError) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, PermissionError):
        return "no permission to read it"
    if path.is_file() and path.stat().st_size == 0:
        return "the file is empty"
    if path.is_file():
        with path.open("rb") as file:
            if file.read(8)[4:] == b"ftyp":
                return _index_reason(path)
    return f"not a video that can be read ({_words(error)})"
