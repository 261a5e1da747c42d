"""Encode drawn frames as H.264, each with the duration for which it is shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import partial
from typing import Any

import av

from fermedia.media.frames import VideoImage
from fermedia.render.muxer import MOST_TICKS, Muxer
from fermedia.threads import BackgroundWriter, SerialQueue
from fermedia.types import Frame, MediaInfo

#: x264's quality: for most videos hardly distinguishable from the source, at about the size of a phone's recording. The
#: code that x264 chooses by the processor changes the video, and one choice (mbtree's for AVX2) reads uninitialized
#: memory, by which small videos differed from run to run. So the video is made independent of the processor.
_QUALITY = {"crf": "20", "preset": "veryfast", "x264-params": "cpu-independent=1"}

#: The maximum number of pixels in the frames that x264 holds for its lookahead, and the lookahead of this preset in
#: frames, which it keeps up to 4096x2304.
_MOST_PIXELS_IN_X264, _LOOKAHEAD = 100e6, 10

#: Videos of up to this many pixels are encoded by one thread. For them, four threads take a sixth more processor time
#: and switch between each other fifty times per frame, while there is enough other work for all processors.
_SMALL = 640 * 480

#: The maximum number of drawn frames that wait for x264, which by itself keeps two processors busy for only three
#: quarters of the time; and the maximum in a serial queue: about as many as are classified at a time, so that they can
#: be drawn without a pause.
_DRAWN_AHEAD, _AHEAD_IN_TURN = 8, 16

#: The maximum number of pixels in frames that wait for x264; it matters for large frames.
_MOST_PIXELS_AHEAD = 80e6

_UNSPECIFIED = 2  # AVCOL_*_UNSPECIFIED


def quality(width: int, height: int) -> dict[str, str]:
    """x264's options for a video of this size in pixels.

    The number of threads changes the video, so it depends on nothing but the size.
    """
    most = max(1, int(_MOST_PIXELS_IN_X264 / (width * height)))
    if most >= _LOOKAHEAD:
        return _QUALITY | {"threads": "1" if _is_small(width, height) else "4"}
    held = {"rc-lookahead": str(most), "threads": str(min(4, most)), "bf": "0" if most < 4 else "3"}
    return _QUALITY | held


def planned_rate(info: MediaInfo) -> Fraction:
    """Frames per second for x264's rate control, and for the duration of a last frame whose duration is unknown."""
    rate = info.average_rate
    return rate if rate and 1 <= rate <= 240 else Fraction(25)


class Encoder:
    """Encode frames for a muxer while the next ones are drawn. Errors are raised a few frames later.

    Args:
        muxer: Receives the packets.
        info: The video's metadata.
        take_back: Called with each frame that is no longer needed.
        serial_queue: Small videos are encoded in it if it is given; others in a thread of their own.
        joins: Make a stream that can be joined to others of its kind (``render.joined``).

    Raises:
        MediaError: Encoding or writing failed (stage ``write``).
    """

    def __init__(
        self,
        muxer: Muxer,
        info: MediaInfo,
        take_back: Callable[[av.VideoFrame], None],
        serial_queue: SerialQueue | None = None,
        joins: bool = False,
    ) -> None:
        self._muxer = muxer
        self._rate = planned_rate(info)
        self._take_back = take_back
        self._joins = joins
        self._stream: av.VideoStream | None = None
        self._held: tuple[av.VideoFrame, float | None] | None = None
        self._step = 1 / self._rate
        self._durations: dict[int, int] = {}
        self._written = 0
        # x264's own threads would have to be waited for, and the threads of the queue have other work.
        in_turn = serial_queue is not None and _is_small(info.width, info.height)
        self._background = (
            BackgroundWriter(self._take, _AHEAD_IN_TURN, serial_queue)
            if in_turn
            else BackgroundWriter(self._take, _ahead(info))
        )

    def open(self) -> None:
        """Open the source of the muxer; call this first."""
        self._muxer.open()

    def add(self, frame: Frame, paint: Callable[[VideoImage], av.VideoFrame]) -> None:
        """Paint a frame, whose image must be a VideoImage, and encode it after those added before."""
        image = frame.image
        if not isinstance(image, VideoImage) or frame.time is None:
            raise TypeError("a video is made of a video's frames")
        if self._stream is None:
            self._stream = self._muxer.begin(partial(self._add_stream, image=image))
        with self._muxer.failures():
            drawn = paint(image)
        drawn.pts, drawn.time_base = self._muxer.ticks(frame.time), self._muxer.clock
        self._background.give((drawn, frame.duration))

    def close(self, complete: bool) -> None:
        """Finish the video. If it is not ``complete``, or has no frame, its file is removed."""
        try:
            if complete and self._stream is not None:
                self._background.finish()
                self._finish(self._stream)
        finally:
            self._background.stop()
            self._muxer.close()

    def _add_stream(self, video: av.container.OutputContainer, image: VideoImage) -> av.VideoStream:
        options = quality(image.width, image.height)
        if self._joins:
            options["x264-params"] += ":stitchable=1"
        stream = video.add_stream("libx264", rate=self._rate, options=options)
        stream.width, stream.height = (n + n % 2 for n in (image.width, image.height))
        stream.pix_fmt = "yuv420p"
        stream.time_base = self._muxer.clock
        context = stream.codec_context
        context.time_base = self._muxer.clock
        context.color_range = 2 if image.full_range else 1
        context.colorspace = image.colorspace or _UNSPECIFIED  # 0 is RGB
        context.color_primaries = image.primaries or _UNSPECIFIED
        context.color_trc = image.transfer or _UNSPECIFIED
        context.sample_aspect_ratio = Fraction(1)
        return stream

    def _take(self, drawn: tuple[av.VideoFrame, float | None]) -> None:
        """Encode a frame with its duration, in the encoder's thread or queue."""
        with self._muxer.failures():
            self._hold(*drawn)

    def _hold(self, frame: av.VideoFrame, duration: float | None) -> None:
        """Hold a frame until the next one tells how long it is shown, and encode the one before."""
        assert frame.pts is not None
        if self._held is not None:
            before = self._held[0]
            assert before.pts is not None
            frame.pts = max(frame.pts, before.pts + 1)
            ticks = frame.pts - before.pts
            self._step = ticks * self._muxer.clock
            self._encode(before, ticks)  # and give it back: its memory, with the time stamp, is reused
        self._held = frame, duration

    def _encode(self, frame: av.VideoFrame, ticks: int) -> None:
        assert frame.pts is not None
        assert self._stream is not None
        self._muxer.add_audio(frame.pts * self._muxer.clock)
        while ticks > 0:  # a frame with a duration that mp4 cannot hold is repeated
            self._durations[frame.pts] = min(ticks, MOST_TICKS)
            self._mux(self._stream.encode(frame))
            self._written += 1
            frame.pts += MOST_TICKS
            ticks -= MOST_TICKS
        self._take_back(frame)

    def _mux(self, packets: Sequence[av.Packet[Any]]) -> None:
        for packet in packets:
            if packet.pts is not None:
                packet.duration = self._durations.pop(packet.pts, packet.duration or 0)
            self._muxer.mux(packet)

    def _finish(self, stream: av.VideoStream) -> None:
        assert self._held is not None
        frame, duration = self._held
        with self._muxer.failures():
            ticks = round((Fraction(duration) if duration else self._step) / self._muxer.clock)
            self._encode(frame, self._muxer.last_ticks(frame.pts or 0, ticks))
            self._mux(stream.encode(None))
        self._muxer.finish(self._written)


def _is_small(width: int, height: int) -> bool:
    """Whether one thread encodes a video of this size."""
    return width * height <= _SMALL


def _ahead(info: MediaInfo) -> int:
    """The maximum number of drawn frames that wait for x264."""
    return max(1, min(_DRAWN_AHEAD, int(_MOST_PIXELS_AHEAD / (info.width * info.height))))
