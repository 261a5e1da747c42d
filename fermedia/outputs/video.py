"""The annotated film: H.264 in mp4, the source's own frame times and sound."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np

from fermedia.errors import MediaError
from fermedia.files import shown
from fermedia.media.video import VideoPicture, open_container
from fermedia.outputs.audio import Sound
from fermedia.outputs.drawing import Painter
from fermedia.outputs.patches import Pixels, YuvPatch, YuvSpace, blend_yuv420, bt601, bt709, bt2020, to_yuv
from fermedia.outputs.placing import Memory
from fermedia.threads import Behind, Lane
from fermedia.types import Frame, MediaInfo, Observation

#: x264's quality: near to transparent for most films, at about the size of a phone's recording. Its own choices by the
#: processor change the film (and one of them, mbtree's for AVX2, reads memory that nobody wrote: small films then came
#: out different from run to run), so they do not follow the machine.
_QUALITY = {"crf": "20", "preset": "veryfast", "x264-params": "cpu-independent=1"}

#: Pixels of frames that x264 holds to look ahead, and how many frames it would by this preset: those of 4096x2304 and
#: less it may.
_MOST_PIXELS_IN_X264, _LOOKAHEAD = 100e6, 10

#: Films of up to so many pixels are encoded by one thread. Four take a sixth more of the processors' time for them,
#: and change places with each other fifty times a frame, while there is other work enough for all processors.
_SMALL = 640 * 480

#: Drawn frames that may wait for x264, which keeps no more than three in four of two processors at work by itself; and
#: those in a lane: about as many as are judged at a time, so that they are drawn in one go.
_DRAWN_AHEAD, _AHEAD_IN_LANE = 8, 16

#: The same in pixels, of large frames.
_MOST_PIXELS_AHEAD = 80e6

#: Ticks a second of the film's clock, at least. See ``_clock``.
_TICKS = 90_000

#: Ticks that mp4 can hold between two frames.
_MOST_TICKS = 2**31 - 1

#: What a film's tags say that holds for the annotated one as well.
_KEPT = {"title", "creation_time"}

_UNSPECIFIED = 2  # AVCOL_*_UNSPECIFIED
_BT2020 = (9, 10)  # AVCOL_SPC_BT2020_NCL and _CL


def quality(width: int, height: int) -> dict[str, str]:
    """x264's options for a film of this size. The number of its threads changes the film, so that depends on nothing
    else."""
    most = max(1, int(_MOST_PIXELS_IN_X264 / (width * height)))
    if most >= _LOOKAHEAD:
        return _QUALITY | {"threads": "1" if _is_small(width, height) else "4"}
    held = {"rc-lookahead": str(most), "threads": str(min(4, most)), "bf": "0" if most < 4 else "3"}
    return _QUALITY | held


def _is_small(width: int, height: int) -> bool:
    """Whether one thread encodes a film of this size."""
    return width * height <= _SMALL


class FramePainter:
    """Lays the faces of one film over its frames, one after the other, without leaving their colour space."""

    def __init__(self, info: MediaInfo, undecided: float = 0.0) -> None:
        self._painter = Painter(info.width, info.height, undecided)
        self._patches: list[YuvPatch] = []
        self._space: YuvSpace | None = None
        self._last: Sequence[Observation] | None = None
        self._free: deque[av.VideoFrame] = deque()

    def recall(self, memory: Memory, last: Sequence[Observation] | None) -> None:
        """Go on in the middle of a film: ``memory`` is ``Painter.memory`` before its last analysed frame, and ``last``
        what was seen in that; None where there was none."""
        self._painter.recall(memory)
        self._last = last

    def paint(self, picture: VideoPicture, observations: Sequence[Observation] | None) -> av.VideoFrame:
        """A copy with the faces drawn (those of the last analysed frame if None), in yuv420p, its sides made even."""
        self._space = self._space or _space(picture)
        for seen in (self._last, observations):
            if seen is not None:
                self._patches = [to_yuv(p, self._space) for p in self._painter.patches(seen)]
        self._last = None
        copy, planes = _even_copy(picture.frame, self._free.popleft() if self._free else None)
        blend_yuv420(planes, self._patches)
        return copy

    def take_back(self, frame: av.VideoFrame) -> None:
        """Let a later frame be painted on one that is not needed any more. Any thread.

        New memory for each was found in 300 MB of pieces between other blocks in the end, at 1920x1080.
        """
        self._free.append(frame)


class FilmWriter:
    """Writes one annotated film; a context manager and a sink.

    Every frame that is written appears once, at ``Frame.time - start`` seconds; frames that were not sampled carry the
    last result. They are encoded while the next are drawn, so what fails shows a few frames later: in the ``lane``, if
    one is given and the film is small, else in a thread of its own. The film holds the span from ``start`` to ``end``
    (seconds of the source as a player shows it), its sound as well; without an ``end`` the sound goes on to its own
    end. Frames of an odd size get one more row or column like their last.
    ``warning`` is one line about sound that could not be kept, else None.

    ``source`` is where the sound and the clock come from; None for a film made of numbered pictures, which has neither.
    ``seams`` are its reader's, for the sound (``outputs.audio``). ``undecided`` is ``drawing.Painter``'s.

    At the end of the ``with`` the film is complete and has been read back; after an error, or without any frame, no
    file is left. Raises MediaError (stage ``write``).
    """

    def __init__(
        self,
        path: Path,
        source: Path | None,
        info: MediaInfo,
        start: float | None = None,
        end: float | None = None,
        lane: Lane | None = None,
        seams: Sequence[Fraction] | None = None,
        undecided: float = 0.0,
    ) -> None:
        self.path = path
        self._seams = seams
        self._source_path = source
        self._info = info
        self._start = Fraction(start or 0)
        self._end = None if end is None else Fraction(end)
        self._painter = FramePainter(info, undecided)
        self._held: tuple[av.VideoFrame, float | None] | None = None
        self._step = 1 / self._rate
        self._durations: dict[int, int] = {}
        self._written = 0
        self._film: av.container.OutputContainer | None = None
        # Where the encoder has threads of its own it is waited for, which nobody should do who has other work.
        in_lane = lane is not None and _is_small(info.width, info.height)
        self._encoder = Behind(self._take, _AHEAD_IN_LANE, lane) if in_lane else Behind(self._take, _ahead(info))
        self._source: av.container.InputContainer | None = None
        self._sound: Sound | None = None

    @property
    def warning(self) -> str | None:
        return self._sound.warning if self._sound else None

    @property
    def notes(self) -> list[str]:
        """What of the sound is not as it was, though nothing failed; one line each."""
        return self._sound.notes if self._sound else []

    def __enter__(self) -> Self:
        base = None
        if self._source_path is not None:
            with self._failures():
                self._listen()
                assert self._source is not None
                stream = self._source.streams.best("video")
                base = stream.time_base if stream else None
        self._clock = _clock(base, self._info.duration)
        return self

    def _listen(self) -> None:
        """Begin to read the source's sound."""
        assert self._source_path is not None
        self._source = open_container(self._source_path)
        self._sound = Sound(self._source, self._start, self._end, self._seams)

    def write(self, frame: Frame, observations: Sequence[Observation] | None) -> None:
        """Add a frame, whose picture is a VideoPicture and is not changed, with the faces seen in it."""
        picture = frame.picture
        if not isinstance(picture, VideoPicture) or frame.time is None:
            raise TypeError("a film is made of a video's frames")
        with self._failures():
            if self._film is None:
                self._begin(picture)
            copy = self._painter.paint(picture, observations)
            copy.pts = round((Fraction(frame.time) - self._start) / self._clock)
            copy.time_base = self._clock
        self._encoder.give((copy, frame.duration))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        complete = False
        try:
            if kind is None and self._film is not None:
                self._encoder.finish()
                with self._failures():
                    self._finish()
                    self._verify()
                complete = True
        finally:
            self._encoder.stop()
            if self._source is not None:
                self._source.close()
            if not complete:
                self._discard()

    # -- the stream -------------------------------------------------------------------------------------------------

    @property
    def _rate(self) -> Fraction:
        """Frames a second, for x264's planning only."""
        rate = self._info.average_rate
        return rate if rate and 1 <= rate <= 240 else Fraction(25)

    def _begin(self, picture: VideoPicture | None) -> None:
        refused: Exception | None = None
        # Sound that mp4 refuses must not cost the film. What else is wrong shows again.
        for anew in (False, True) if self._sound else ():
            try:
                return self._open(picture, anew=anew)
            except (av.FFmpegError, ValueError) as error:
                refused = error
                if self._film is not None:
                    _abandon(self._film)
        if self._sound and refused:
            self._sound.give_up(_reason(refused))
        return self._open(picture, with_sound=False)

    def _open(self, picture: VideoPicture | None, with_sound: bool = True, anew: bool = False) -> None:
        # The index goes to the front, so that the film plays while it is still being fetched.
        # Its own clock is the pictures', for by this it counts how late a stream begins.
        options = {"movflags": "+faststart", "movie_timescale": str(_TICKS)}
        self._film = film = av.open(str(self.path.absolute()), "w", "mp4", options=options)
        self._stream = self._add_stream(film, picture)
        if self._source is not None:
            film.metadata.update({k: v for k, v in self._source.metadata.items() if k in _KEPT})
        if with_sound and self._sound is not None:
            self._sound.add_to(film, anew)
        film.start_encoding()

    def _add_stream(self, film: av.container.OutputContainer, picture: VideoPicture | None) -> av.VideoStream:
        assert picture is not None
        stream = film.add_stream("libx264", rate=self._rate, options=self._quality(picture))
        stream.width, stream.height = (n + n % 2 for n in (picture.width, picture.height))
        stream.pix_fmt = "yuv420p"
        stream.time_base = self._clock
        context = stream.codec_context
        context.time_base = self._clock
        context.color_range = 2 if picture.full_range else 1
        context.colorspace = picture.colorspace or _UNSPECIFIED  # 0 is RGB
        context.color_primaries = picture.primaries or _UNSPECIFIED
        context.color_trc = picture.transfer or _UNSPECIFIED
        context.sample_aspect_ratio = Fraction(1)
        return stream

    def _quality(self, picture: VideoPicture) -> dict[str, str]:
        return quality(picture.width, picture.height)

    def _take(self, drawn: tuple[av.VideoFrame, float | None]) -> None:
        """Encode a frame with its duration, in the encoder's thread."""
        with self._failures():
            self._hold(*drawn)

    def _hold(self, frame: av.VideoFrame, duration: float | None) -> None:
        """Keep a frame until the next one says how long it is shown, and encode the one before."""
        assert frame.pts is not None
        if self._held is not None:
            before = self._held[0]
            assert before.pts is not None
            frame.pts = max(frame.pts, before.pts + 1)
            self._encode(before, frame.pts - before.pts)
            self._step = (frame.pts - before.pts) * self._clock
        self._held = frame, duration

    def _encode(self, frame: av.VideoFrame, ticks: int) -> None:
        assert frame.pts is not None
        self._add_sound(frame.pts * self._clock)
        while ticks > 0:  # shown for longer than mp4 can hold, it is there more than once
            self._durations[frame.pts] = min(ticks, _MOST_TICKS)
            self._mux(self._stream.encode(frame))
            self._written += 1
            frame.pts += _MOST_TICKS
            ticks -= _MOST_TICKS
        self._painter.take_back(frame)

    def _mux(self, packets: Sequence[av.Packet]) -> None:
        assert self._film is not None
        for packet in packets:
            if packet.pts is not None:
                packet.duration = self._durations.pop(packet.pts, packet.duration or 0)
            self._film.mux(packet)

    def _add_sound(self, until: Fraction | None) -> None:
        assert self._film is not None
        for packet in self._sound.packets(until) if self._sound else ():
            try:
                self._film.mux(packet)
            except (av.error.ArgumentError, av.error.InvalidDataError) as error:
                assert self._sound is not None
                self._sound.give_up(_reason(error), packet)

    def _finish(self) -> None:
        assert self._held is not None
        assert self._film is not None
        frame, duration = self._held
        ticks = round((Fraction(duration) if duration else self._step) / self._clock)
        if self._end is not None:
            ticks = min(ticks, round((self._end - self._start) / self._clock) - (frame.pts or 0))
        self._encode(frame, max(1, ticks))
        self._mux(self._stream.encode(None))
        self._add_sound(None)
        film, self._film = self._film, None
        film.close()
        if self._sound is not None and self._sound.must_be_encoded:
            self._sing_anew()

    def _sing_anew(self) -> None:
        """Put the film together again with all of its sound encoded: it cannot be copied to its end."""
        assert self._source is not None
        self._source.close()
        self._listen()
        assert self._sound is not None
        first = self.path.with_suffix(".first.mp4")
        self.path.rename(first)
        try:
            with av.open(str(first.absolute())) as drawn:
                picture = drawn.streams.video[0]
                options = {"movflags": "+faststart", "movie_timescale": str(_TICKS)}
                self._film = film = av.open(str(self.path.absolute()), "w", "mp4", options=options)
                stream = film.add_stream_from_template(picture)
                stream.time_base = self._clock
                film.metadata.update(drawn.metadata)
                self._sound.add_to(film, anew=True)
                for packet in drawn.demux(picture):
                    if packet.dts is not None and packet.time_base:
                        self._add_sound(packet.dts * packet.time_base)
                        packet.stream = stream
                        film.mux(packet)
                self._add_sound(None)
                self._film = None
                film.close()
        finally:
            first.unlink()

    # -- the file ---------------------------------------------------------------------------------------------------

    def _verify(self) -> None:
        """Read the film back and count its frames."""
        with av.open(str(self.path.absolute())) as film:
            count = sum(packet.size > 0 for packet in film.demux(film.streams.video[0]))
        if count != self._written:
            raise MediaError(f"{shown(self.path)}: {count} frames arrived of {self._written}", "write")

    def _discard(self) -> None:
        """Leave no file. Where an open one can go it goes first: closing is quick then, with no index to be moved."""
        _remove(self.path)
        film, self._film = self._film, None
        if film is not None:
            _abandon(film)
        _remove(self.path)

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except (av.FFmpegError, OSError) as error:
            message = (
                f"{shown(self._source_path or self.path)}: the annotated film cannot be written ({_reason(error)})"
            )
            raise MediaError(message, "write") from error


def _ahead(info: MediaInfo) -> int:
    """How many drawn frames may wait for x264."""
    return max(1, min(_DRAWN_AHEAD, int(_MOST_PIXELS_AHEAD / (info.width * info.height))))


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _abandon(film: av.container.OutputContainer) -> None:
    with suppress(av.FFmpegError, OSError):  # it is thrown away
        film.close()


def _remove(path: Path) -> None:
    with suppress(PermissionError):  # as Windows says while it is open; then it goes with the folder
        path.unlink(missing_ok=True)


def _clock(base: Fraction | None, duration: float | None) -> Fraction:
    """Seconds a tick: a whole part of the source's, so that its times are met exactly, and fine for any other.

    Of very long films, which may hold a gap as long, it is coarser, so that mp4 can count its ticks.
    """
    most = int(min(_TICKS, _MOST_TICKS / max(1.0, duration or 1.0)))
    if not base or base.denominator > 1_000_000:
        return Fraction(1, most)
    if most < _TICKS:
        return Fraction(1, base.denominator * max(1, most // base.denominator) if base.denominator <= most else most)
    return Fraction(1, base.denominator * -(-_TICKS // base.denominator))


def _space(picture: VideoPicture) -> YuvSpace:
    if picture.colorspace in _BT2020:
        return bt2020(picture.full_range)
    return bt709(picture.full_range) if picture.bt709 else bt601(picture.full_range)


def _even_copy(frame: av.VideoFrame, used: av.VideoFrame | None) -> tuple[av.VideoFrame, tuple[Pixels, Pixels, Pixels]]:
    """A copy that x264 can take, and views of its planes. The last column and row are repeated where sizes are odd.

    It is made of the one that was ``used`` before, if there is one of this size.
    """
    width, height = frame.width, frame.height
    size = width + width % 2, height + height % 2
    if used is not None and (used.width, used.height) == size:
        copy = used
        copy.make_writable()  # if an encoder should still read it, that keeps the pixels and this gets others
    else:
        copy = av.VideoFrame(*size, "yuv420p")
    sizes = [(width, height), *[((width + 1) // 2, (height + 1) // 2)] * 2]
    views = []
    for there, here, (w, h) in zip(frame.planes, copy.planes, sizes, strict=True):
        view = np.frombuffer(memoryview(here), np.uint8).reshape(-1, here.line_size)[: here.height, : here.width]
        view[:h, :w] = np.frombuffer(memoryview(there), np.uint8).reshape(-1, there.line_size)[:h, :w]
        view[h:] = view[h - 1 : h]
        view[:, w:] = view[:, w - 1 : w]
        views.append(view)
    return copy, (views[0], views[1], views[2])
