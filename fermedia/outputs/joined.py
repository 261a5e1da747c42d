"""The annotated film of a long recording, made in spans: each encoded for itself, then put together without a seam.

The spans are streams of H.264 with the same headers, each from a key frame on, so their packets only follow each other.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import chain, pairwise
from pathlib import Path
from typing import Self

import av

from fermedia.media.video import VideoPicture
from fermedia.outputs.placing import Memory
from fermedia.outputs.video import FilmWriter
from fermedia.types import MediaInfo, Observation


class SpanWriter(FilmWriter):
    """Writes one span of a film, without its sound, for ``JoinedFilm``.

    ``start`` is the whole film's. The file is NUT, which keeps any clock. ``memory`` and ``last`` are of the frames
    before the span (``FramePainter.recall``).
    """

    def __init__(
        self,
        path: Path,
        source: Path,
        info: MediaInfo,
        start: float | None,
        memory: Memory,
        last: Sequence[Observation] | None,
        undecided: float = 0.0,
    ) -> None:
        super().__init__(path, source, info, start, undecided=undecided)
        self._painter.recall(memory, last)

    def __enter__(self) -> Self:
        super().__enter__()
        self._sound = None
        return self

    def _quality(self, picture: VideoPicture) -> dict[str, str]:
        options = super()._quality(picture)
        return options | {"x264-params": options["x264-params"] + ":stitchable=1"}

    def _open(self, picture: VideoPicture | None, with_sound: bool = True, anew: bool = False) -> None:
        # Decoding begins before zero; the times are to stay.
        options = {"avoid_negative_ts": "disabled"}
        self._film = av.open(str(self.path.absolute()), "w", "nut", options=options)
        self._stream = self._add_stream(self._film, picture)
        self._film.start_encoding()


class JoinedFilm(FilmWriter):
    """Puts the spans of a film together, with the source's sound; a context manager like ``FilmWriter``.

    Raises MediaError (stage ``write``).
    """

    def join(self, spans: Sequence[Path], last_duration: float | None) -> None:
        """Write the film from all of its spans, in order; the last frame is shown for so many seconds, if known."""
        with self._failures():
            coded = [self._ticks(packet) for packet in _packets(spans)]
            shown = sorted(coded)
            steps = [after - before for before, after in pairwise(shown)]
            durations = dict(zip(shown, [*steps, self._last_step(shown, last_duration)], strict=True))
            # So many packets come before their turn; that long before the first picture decoding begins.
            delay = max(number - bisect_left(shown, ticks) for number, ticks in enumerate(coded))
            early = [ticks - shown[delay] + shown[0] for ticks in shown[:delay]]
            with av.open(str(spans[0])) as first:
                self._template = first.streams.video[0]
                self._begin(None)
            film = self._film
            assert film is not None
            for packet, ticks, dts in zip(_packets(spans), coded, chain(early, shown), strict=False):
                self._add_sound(ticks * self._clock)
                packet.pts, packet.dts, packet.duration = ticks, dts, durations[ticks]
                packet.time_base, packet.stream = self._clock, self._stream
                film.mux(packet)
                self._written += 1

    def _ticks(self, packet: av.Packet) -> int:
        assert packet.pts is not None
        assert packet.time_base is not None
        return round(packet.pts * packet.time_base / self._clock)

    def _last_step(self, times: Sequence[int], duration: float | None) -> int:
        step = times[-1] - times[-2] if len(times) > 1 else round(self._step / self._clock)
        ticks = round(Fraction(duration) / self._clock) if duration else step
        if self._end is not None:
            ticks = min(ticks, round((self._end - self._start) / self._clock) - times[-1])
        return max(1, ticks)

    def _add_stream(self, film: av.container.OutputContainer, picture: VideoPicture | None) -> av.VideoStream:
        stream = film.add_stream_from_template(self._template)
        stream.time_base = self._clock
        return stream

    def _finish(self) -> None:
        self._add_sound(None)
        film, self._film = self._film, None
        assert film is not None
        film.close()


def _packets(spans: Sequence[Path]) -> Iterator[av.Packet]:
    """Those of all spans, in the order in which they are decoded."""
    for path in spans:
        with av.open(str(path.absolute())) as film:
            yield from (packet for packet in film.demux(film.streams.video[0]) if packet.size)
