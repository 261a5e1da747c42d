"""The annotated video of a long source, made in spans that are encoded separately and then joined without encoding.

The spans are H.264 streams with the same headers, each starting with a key frame, so their packets can be concatenated.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import partial
from itertools import chain, pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av

from fermedia.render.blur import Cover
from fermedia.render.drawing import PLAIN, Look
from fermedia.render.encoder import Encoder, planned_rate
from fermedia.render.muxer import Muxer
from fermedia.render.placing import PanelState
from fermedia.render.video import FramePainter
from fermedia.types import Frame, MediaInfo, Observation


class SpanWriter:
    """Write one span of a video, without audio, for ``JoinedVideo``; a context manager and a sink.

    Args:
        path: The file to write.
        source: The source of the video.
        info: The source's metadata.
        start: Start of the whole video in seconds, as for ``AnnotatedVideoWriter``.
        panel_state: State from before the span, as for ``FramePainter.restore``.
        last: Observations from before the span, as for ``FramePainter.restore``.
        undecided, draw: As for ``drawing.Painter``.
        cover: Hides faces.

    Raises:
        MediaError: Encoding or writing failed (stage ``write``).
    """

    def __init__(
        self,
        path: Path,
        source: Path,
        info: MediaInfo,
        start: float | None,
        panel_state: PanelState,
        last: Sequence[Observation] | None,
        look: Look = PLAIN,
        cover: Cover | None = None,
    ) -> None:
        self._painter = FramePainter(info, look, cover)
        self._painter.restore(panel_state, last)
        muxer = Muxer(path, source, info, start, is_span=True)
        self._encoder = Encoder(muxer, info, self._painter.take_back, joins=True)

    def __enter__(self) -> Self:
        self._encoder.open()
        return self

    def write(self, frame: Frame, observations: Sequence[Observation] | None) -> None:
        """Add a frame as ``AnnotatedVideoWriter.write`` does."""
        self._encoder.add(frame, lambda image: self._painter.paint(image, observations, frame.time))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._encoder.close(complete=kind is None)


class JoinedVideo:
    """Join the spans of a video and add the source's audio; a context manager.

    Arguments, ``warning``, ``notes`` and the completeness of the file are as for ``AnnotatedVideoWriter``.

    Raises:
        MediaError: Writing failed (stage ``write``).
    """

    def __init__(
        self, path: Path, source: Path, info: MediaInfo, start: float | None, end: float | None, audio: bool = True
    ) -> None:
        self._muxer = Muxer(path, source, info, start, end, audio=audio)
        self._step = 1 / planned_rate(info)
        self._written = 0

    @property
    def warning(self) -> str | None:
        """What audio is missing or damaged, in one line; None if nothing is."""
        return self._muxer.warning

    @property
    def notes(self) -> list[str]:
        """Differences of the audio from the source's that are no errors, one line each."""
        return self._muxer.notes

    def __enter__(self) -> Self:
        self._muxer.open()
        return self

    def join(self, spans: Sequence[Path], last_duration: float | None) -> None:
        """Write the video from all its spans, in order. ``last_duration`` is the last frame's in seconds, if known."""
        muxer = self._muxer
        with muxer.failures():
            coded = [self._ticks(packet) for packet in _packets(spans)]
            shown = sorted(coded)
            steps = [after - before for before, after in pairwise(shown)]
            durations = dict(zip(shown, [*steps, self._last_step(shown, last_duration)], strict=True))
            # The most places by which a packet precedes its turn to be shown; decoding starts that much earlier.
            delay = max(number - bisect_left(shown, ticks) for number, ticks in enumerate(coded))
            early = [ticks - shown[delay] + shown[0] for ticks in shown[:delay]]
            with av.open(str(spans[0])) as first:
                stream = muxer.begin(partial(self._add_stream, template=first.streams.video[0]))
            for packet, ticks, dts in zip(_packets(spans), coded, chain(early, shown), strict=False):
                muxer.add_audio(ticks * muxer.clock)
                packet.pts, packet.dts, packet.duration = ticks, dts, durations[ticks]
                packet.time_base, packet.stream = muxer.clock, stream
                muxer.mux(packet)
                self._written += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._muxer.finish(self._written)
        finally:
            self._muxer.close()

    def _ticks(self, packet: av.Packet[Any]) -> int:
        assert packet.pts is not None
        assert packet.time_base is not None
        return round(packet.pts * packet.time_base / self._muxer.clock)

    def _last_step(self, times: Sequence[int], duration: float | None) -> int:
        clock = self._muxer.clock
        step = times[-1] - times[-2] if len(times) > 1 else round(self._step / clock)
        return self._muxer.last_ticks(times[-1], round(Fraction(duration) / clock) if duration else step)

    def _add_stream(self, video: av.container.OutputContainer, template: av.VideoStream) -> av.VideoStream:
        stream = video.add_stream_from_template(template)
        stream.time_base = self._muxer.clock
        return stream


def _packets(spans: Sequence[Path]) -> Iterator[av.Packet[Any]]:
    """The packets of all spans, in decoding order."""
    for path in spans:
        with av.open(str(path.absolute())) as video:
            yield from (packet for packet in video.demux(video.streams.video[0]) if packet.size)
