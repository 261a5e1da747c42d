"""The file of an annotated video: the encoded image and the source's audio."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from fermedia.errors import MediaError
from fermedia.files import shown
from fermedia.media.container import open_container
from fermedia.render.audio import Audio
from fermedia.types import MediaInfo

#: The least number of ticks per second of the video's clock; ``_clock`` has the exceptions.
_TICKS = 90_000

#: The most ticks that mp4 can store between two frames.
MOST_TICKS = 2**31 - 1

#: The index is at the front, so that the video can be played while it is being downloaded. The movie's time scale is
#: the image's, because it is the unit of a stream's start.
_MP4 = {"movflags": "+faststart", "movie_timescale": str(_TICKS)}

#: NUT supports any clock. Decoding times start below zero and must not be shifted.
_NUT = {"avoid_negative_ts": "disabled"}

#: Tags of the source that are copied.
_KEPT = {"title", "creation_time"}

#: Adds the image's stream to a video whose header is not written yet.
AddStream = Callable[[av.container.OutputContainer], av.VideoStream]


class Muxer:
    """Write the encoded image of a video into an mp4 file, together with the source's audio.

    Call ``open``, then ``begin``; at the end ``finish``, and in any case ``close``, which removes the file unless
    ``finish`` has succeeded.

    Args:
        path: The file to write.
        source: The source of the audio and of the clock; None for a video without audio.
        info: The source's metadata.
        start: Start of the video, in seconds of the source as a player shows it.
        end: End of the video, in the same seconds; if None, the audio continues to its own end.
        seams: The reader's, as for ``render.audio.Audio``.
        is_span: Write one span of a video: a NUT file without audio.
        audio: Whether the source's audio is written, too.

    Attributes:
        clock: Seconds per tick, from ``open`` on.

    Raises:
        MediaError: Writing failed (stage ``write``); raised by all methods.
    """

    clock: Fraction

    def __init__(
        self,
        path: Path,
        source: Path | None,
        info: MediaInfo,
        start: float | None = None,
        end: float | None = None,
        seams: Sequence[Fraction] | None = None,
        is_span: bool = False,
        audio: bool = True,
    ) -> None:
        self.path = path
        self._source_path = source
        self._duration = info.duration
        self._start = Fraction(start or 0)
        self._end = None if end is None else Fraction(end)
        self._seams = seams
        self._is_span = is_span
        self._with_audio = audio and not is_span
        self._video: av.container.OutputContainer | None = None
        self._source: av.container.InputContainer | None = None
        self._audio: Audio | None = None
        self._complete = False

    @property
    def warning(self) -> str | None:
        """What audio is missing or damaged, in one line; None if nothing is."""
        return self._audio.warning if self._audio else None

    @property
    def notes(self) -> list[str]:
        """Differences of the audio from the source's that are no errors, one line each."""
        return self._audio.notes if self._audio else []

    def open(self) -> None:
        """Open the source and choose the clock."""
        base = None
        if self._source_path is not None:
            with self.failures():
                source = self._listen(self._source_path)
                stream = source.streams.best("video")
                base = stream.time_base if stream else None
        self.clock = _clock(base, self._duration)

    def begin(self, add: AddStream) -> av.VideoStream:
        """Begin the file. ``add`` adds the image's stream, which is returned."""
        with self.failures():
            refused: Exception | None = None
            # Without audio that mp4 refuses, the video can still be written. Other errors occur again below.
            for anew in (False, True) if self._audio else ():
                try:
                    return self._open(add, self._audio, anew)
                except (av.FFmpegError, ValueError) as error:
                    refused = error
                    if self._video is not None:
                        _abandon(self._video)
            if self._audio and refused:
                self._audio.give_up(_reason(refused))
            return self._open(add)

    def ticks(self, time: float) -> int:
        """Convert a time of the source in seconds to ticks of the video."""
        return round((Fraction(time) - self._start) / self.clock)

    def last_ticks(self, pts: int, ticks: int) -> int:
        """The duration in ticks of the last frame, which is shown from ``pts`` on: at most to the video's ``end``."""
        if self._end is not None:
            ticks = min(ticks, round((self._end - self._start) / self.clock) - pts)
        return max(1, ticks)

    def mux(self, packet: av.Packet[Any]) -> None:
        """Write a packet into the file."""
        assert self._video is not None
        self._video.mux(packet)

    def add_audio(self, until: Fraction | None) -> None:
        """Add the audio that begins before ``until`` seconds of the video, or all that is left if None."""
        for packet in self._audio.packets(until) if self._audio else ():
            try:
                self.mux(packet)
            except (av.error.ArgumentError, av.error.InvalidDataError) as error:
                assert self._audio is not None
                self._audio.give_up(_reason(error), packet)

    def finish(self, frames: int) -> None:
        """Complete the file, and read it back to check that it has this number of frames."""
        if self._video is None:
            return
        with self.failures():
            self.add_audio(None)
            video, self._video = self._video, None
            video.close()
            if self._audio is not None and self._audio.must_be_encoded:
                self._encode_audio_anew()
            self._verify(frames)
        self._complete = True

    def close(self) -> None:
        """Close the source; remove the file if it is not complete."""
        if self._source is not None:
            self._source.close()
        if not self._complete:
            self._discard()

    @contextmanager
    def failures(self) -> Iterator[None]:
        """Raise errors of FFmpeg and the system as MediaError; a context manager."""
        try:
            yield
        except (av.FFmpegError, OSError) as error:
            message = (
                f"{shown(self._source_path or self.path)}: the annotated video cannot be written ({_reason(error)})"
            )
            raise MediaError(message, "write") from error

    def _listen(self, path: Path) -> av.container.InputContainer:
        """Open the source, and its audio if that is written."""
        self._source = open_container(path)
        if self._with_audio:
            self._audio = Audio(self._source, self._start, self._end, self._seams)
        return self._source

    def _open(self, add: AddStream, audio: Audio | None = None, anew: bool = False) -> av.VideoStream:
        kind, options = ("nut", _NUT) if self._is_span else ("mp4", _MP4)
        self._video = video = av.open(str(self.path.absolute()), "w", kind, options=options)
        stream = add(video)
        if self._source is not None and not self._is_span:
            video.metadata.update({k: v for k, v in self._source.metadata.items() if k in _KEPT})
        if audio is not None:
            audio.add_to(video, anew)
        video.start_encoding()
        return stream

    def _encode_audio_anew(self) -> None:
        """Write the file again with all audio encoded, because a track cannot be copied to its end."""
        assert self._source is not None
        assert self._source_path is not None
        self._source.close()
        self._listen(self._source_path)
        assert self._audio is not None
        first = self.path.with_suffix(".first.mp4")
        self.path.rename(first)
        try:
            with av.open(str(first.absolute())) as drawn:
                image = drawn.streams.video[0]
                self._video = video = av.open(str(self.path.absolute()), "w", "mp4", options=_MP4)
                stream = video.add_stream_from_template(image)
                stream.time_base = self.clock
                video.metadata.update(drawn.metadata)
                self._audio.add_to(video, anew=True)
                for packet in drawn.demux(image):
                    if packet.dts is not None and packet.time_base:
                        self.add_audio(packet.dts * packet.time_base)
                        packet.stream = stream
                        video.mux(packet)
                self.add_audio(None)
                self._video = None
                video.close()
        finally:
            first.unlink()

    def _verify(self, frames: int) -> None:
        """Read the video back and count its frames."""
        with av.open(str(self.path.absolute())) as video:
            count = sum(packet.size > 0 for packet in video.demux(video.streams.video[0]))
        if count != frames:
            raise MediaError(f"{shown(self.path)}: {count} frames arrived of {frames}", "write")

    def _discard(self) -> None:
        """Remove the file: if possible before closing it, since closing is then quick (no index is moved)."""
        _remove(self.path)
        video, self._video = self._video, None
        if video is not None:
            _abandon(video)
        _remove(self.path)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _abandon(video: av.container.OutputContainer) -> None:
    with suppress(av.FFmpegError, OSError):  # the file is removed anyway
        video.close()


def _remove(path: Path) -> None:
    # Windows raises PermissionError while the file is open: it is then removed with its folder.
    with suppress(PermissionError, NotADirectoryError):
        path.unlink(missing_ok=True)


def _clock(base: Fraction | None, duration: float | None) -> Fraction:
    """Seconds per tick: the source's divided by an integer, so that its times are exact, and fine enough for others.

    For very long videos, which may contain a gap of the same length, it is coarser, so that mp4 can store the gap.
    """
    most = int(min(_TICKS, MOST_TICKS / max(1.0, duration or 1.0)))
    if not base or base.denominator > 1_000_000:
        return Fraction(1, most)
    if most < _TICKS:
        return Fraction(1, base.denominator * max(1, most // base.denominator) if base.denominator <= most else most)
    return Fraction(1, base.denominator * -(-_TICKS // base.denominator))
