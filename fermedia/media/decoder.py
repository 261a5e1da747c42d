"""Decode a video's packets into frames, also where some are damaged."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import av

from fermedia.machine import cores
from fermedia.media.claims import AviIndex, ends_on_boundary
from fermedia.media.container import MOST_PIXELS, image_stream, in_words, open_video

#: Formats whose recordings may start anywhere: errors before the first key frame are no damage.
_BROADCASTS = {"mpegts", "mpeg", "mpegvideo", "h264", "hevc"}

#: Decoding threads for each processor: they wait for earlier frames and for the consumer.
_THREADS_EACH = 2
#: The most decoding threads; each holds some frames.
_MOST_THREADS = 16
#: The most pixels in one frame for each of the threads together.
_MOST_THREAD_PIXELS = 128e6
#: Pixels times processors up to which the caller's thread alone decodes fast enough: more threads would only add
#: waiting. It is 1280x720 on two processors.
_SMALL = 2e6

#: Packets before a restart of a transport stream's clock that FFmpeg may report as corrupt, because they were still
#: being assembled.
_IN_FLIGHT = 3

#: A marker: an aspect ratio that no stream has.
_UNKNOWN = Fraction(-1)


class UnreachableError(Exception):
    """Reading cannot start at a key frame."""


class _DamagedError(Exception):
    """A packet cannot be decoded."""


class Decoded(NamedTuple):
    """A decoded frame and its pixels' aspect ratio, None for square pixels."""

    frame: av.VideoFrame
    pixel: Fraction | None


class Decoder:
    """A video file's video stream, open for decoding until ``close``.

    ``container`` and ``stream`` are PyAV's, ``base`` is the stream's time base in seconds, and ``rate`` its frames per
    second, declared or guessed. ``errors`` counts what could not be read or decoded so far, ``failure`` is the last
    error's message. ``repeated`` is the time until which empty packets repeat the last frame, in seconds by the
    container's clock; None without such packets.

    Raises:
        MediaError: The file cannot be opened or has no video stream that can be decoded.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.repeated: Fraction | None = None
        self._first_aspect: Fraction | None = _UNKNOWN
        self._aspect: Fraction | None = None
        self._open()
        self.is_avi = self.container.format.name == "avi"
        self.base = self.stream.time_base or Fraction(1, 90000)
        self.rate = self.stream.average_rate or self.stream.guessed_rate or self.stream.base_rate or Fraction(25)

    def close(self) -> None:
        self.container.close()

    def _open(self) -> None:
        self.errors = 0
        self.failure: str | None = None
        self.container = open_video(self.path)
        try:
            self.stream = image_stream(self.container, self.path)
            context = self.stream.codec_context
            context.options = {"max_pixels": str(MOST_PIXELS)}  # later frames may be larger
            self.stream.thread_type = "AUTO"
            context.thread_count = _threads(context.width * context.height)
        except BaseException:
            self.container.close()
            raise

    def frames(self) -> Iterator[Decoded]:
        """Yield every frame that can be decoded, in display order; errors are counted and skipped.

        When several threads decode, an error loses the frames that follow: PyAV leaves them in the decoder, which
        then accepts no more packets. So a damaged video is decoded again with one thread.
        """
        given = 0
        try:
            for decoded in self._decoded(at_once=True):
                given += 1
                yield decoded
            return
        except _DamagedError:
            self.container.close()
        self._open()
        self.stream.codec_context.thread_count = 1
        yield from islice(self._decoded(at_once=False), given, None)
        self.errors = max(self.errors, 1)

    def frames_from(self, key: int, seek: int) -> Iterator[Decoded]:
        """Yield every frame from a key frame on.

        Args:
            key: The key frame's presentation time, in ticks of the stream.
            seek: The time to seek to for it, in ticks.

        Raises:
            av.FFmpegError: The video is damaged.
            UnreachableError: Reading cannot start with that frame.
        """
        self.container.seek(seek, stream=self.stream)
        begun = False
        for packet in self.container.demux(self.stream):
            begun = begun or (packet.is_keyframe and packet.pts == key)
            if not begun and (packet.size == 0 or (packet.is_keyframe and (packet.pts or 0) > key)):
                raise UnreachableError("the file cannot be read from there")
            if begun:
                for frame in self.stream.decode(packet):
                    yield Decoded(frame, self._pixel(frame))

    def leave_out_all_but_key_frames(self) -> None:
        self.stream.codec_context.skip_frame = "NONKEY"

    def stamp(self, frame: av.VideoFrame) -> Fraction | None:
        """The frame's presentation time, in seconds by the container's clock; None if it has none.

        AVI has no presentation times, and FFmpeg's estimates are in the wrong order. Its decoding times are right,
        except for the delay of the first frame.
        """
        ticks = frame.dts if self.is_avi else frame.pts
        return None if ticks is None else ticks * self.base

    def duration(self, frame: av.VideoFrame) -> Fraction | None:
        """The frame's duration in seconds; None if the stream has none."""
        return frame.duration * self.base if frame.duration and frame.duration > 0 else None

    def _decoded(self, at_once: bool) -> Iterator[Decoded]:
        index = AviIndex(self.stream, self.path) if self.is_avi else None
        packets = self.container.demux(self.stream)
        packet: av.Packet[Any] | None
        previous: int | None = None
        spoilt: deque[bool] = deque(maxlen=_IN_FLIGHT)
        begun = self.container.format.name not in _BROADCASTS
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError as error:
                if not (self.container.format.name == "mpjpeg" and ends_on_boundary(self.path)):
                    self.errors += 1
                    self.failure = in_words(error)
                packet = None
            begun = begun or (packet is not None and packet.is_keyframe)
            if packet is not None and packet.size:
                if previous is not None and packet.dts is not None and (previous - packet.dts) * self.base > 1:
                    self.errors -= sum(spoilt)  # packet numbers are not continuous where recordings were joined
                    spoilt.clear()
                previous = packet.dts
                spoilt.append(begun and packet.is_corrupt)
                self.errors += spoilt[-1]
                self.errors += index is not None and index.place(packet)
            elif packet is not None and packet.pts is not None:  # an empty one repeats its predecessor
                self.repeated = (packet.pts + (packet.duration or 0)) * self.base
                continue
            try:
                frames = self.stream.decode(packet)
            except av.error.EOFError:  # already drained
                frames = []
            except av.FFmpegError as error:
                if at_once and (begun or isinstance(error, av.error.BlockingIOError)):
                    raise _DamagedError from error
                self.errors += begun
                self.failure = in_words(error)
                frames = []
            for frame in frames:
                if begun and frame.is_corrupt:
                    if at_once:  # with several threads, how damage is concealed varies from run to run
                        raise _DamagedError
                    self.errors += 1
                yield Decoded(frame, self._pixel(frame))
            if packet is None:
                return

    def _pixel(self, frame: av.VideoFrame) -> Fraction | None:
        """The aspect ratio of the latest frame's pixels: the file's, until the stream's own changes.

        The decoder is some frames ahead of those that it returns, so a new value applies from the next key frame on.
        """
        own = self.stream.codec_context.sample_aspect_ratio
        if self._first_aspect is _UNKNOWN:
            self._first_aspect, self._aspect = own, self.stream.sample_aspect_ratio
        elif frame.key_frame and own != self._first_aspect:
            self._aspect = own
        return self._aspect


def _threads(pixels: int) -> int:
    """The number of decoding threads for frames of so many pixels."""
    if cores() == 1 or pixels * cores() <= _SMALL:
        return 1
    return min(_THREADS_EACH * cores(), _MOST_THREADS, max(1, int(_MOST_THREAD_PIXELS / max(1, pixels))))
