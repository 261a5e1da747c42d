"""The sound of a recording, in step with its annotated film: copied where mp4 can hold it, else as AAC."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction

import av

from fermedia.media.video import start_time

#: Codecs that are copied into mp4 as they are.
_COPIED = {"aac", "ac3", "alac", "eac3", "flac", "mp3", "opus"}
#: Of these, the ones that no player understands without the stream's own header (AAC from MPEG-TS brings it along).
_NEED_HEADER = {"alac", "flac", "opus"}

#: Sampling rates that AAC has.
_AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
#: Channel layouts that FFmpeg's AAC encoder has, by the number of channels; more channels are mixed down to stereo.
_AAC_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 8: "7.1"}
_AAC_BITS_PER_CHANNEL = 96_000

#: Seconds of copied sound kept before the beginning of a span: decoders need some packets to settle. They are not
#: played, since their times are negative.
_SETTLE = Fraction(1, 10)

#: Seconds before a span from which its sound is read: files index the picture, and their sound may lie apart from it.
_BEFORE = 5

#: What a track's tags say of it in the film; others (encoder, bit rate) would no longer be true.
_KEPT = {"language", "title"}


class Sound:
    """The sound tracks of ``source``, moved to fit a film of the span from ``start`` to ``end`` (seconds); without an
    ``end`` each goes on to its own.

    All of them are kept, in their order, with language, title and what they are for (such as the default). Zero is
    where a player's clock begins (``media.video.start_time``), as it is for ``Frame.time``. Damage never raises: a
    track has a gap or ends early, and ``warning`` says so. ``add_to`` comes first, then ``packets``.
    """

    def __init__(self, source: av.container.InputContainer, start: Fraction, end: Fraction | None) -> None:
        self._source = source
        self._zero = start_time(source) + start
        self._end = None if end is None else end - start
        self._warnings: dict[str, str] = {}
        self._streams = [stream for stream in source.streams.audio if _is_readable(stream)]
        for stream in source.streams.audio:
            if stream not in self._streams:
                self._warn(stream, "is missing (FFmpeg does not know its codec)")
        self._tracks: dict[int, _Track] = {}
        self._reached = Fraction(-1)
        self._demuxed: Iterator[av.Packet] = iter(())
        if self._streams and start > 0:
            self._seek()

    @property
    def warning(self) -> str | None:
        """What is missing or spoilt, in one line; None when all is well."""
        return "; ".join(self._warnings.values()) or None

    def add_to(self, film: av.container.OutputContainer, anew: bool = False) -> None:
        """Add the tracks to a film that has not begun; all of them encoded ``anew`` should it have refused a copy."""
        self._tracks = {}
        for stream in self._streams:
            kind = _Copied if _can_be_copied(stream) and not anew else _Encoded
            track = self._tracks[stream.index] = kind(stream, film, self._zero, self._end)
            track.out.metadata.update({k: v for k, v in stream.metadata.items() if k in _KEPT})
            track.out.disposition = stream.disposition
        if self._streams:
            self._demuxed = self._source.demux(self._streams)

    def give_up(self, why: str, packet: av.Packet | None = None) -> None:
        """From here on there is no sound, or only that track is silent to which the film's ``packet`` belongs."""
        for stream in self._streams:
            track = self._tracks.get(stream.index)
            if packet is None or (track is not None and packet.stream is track.out):
                self._drop(stream, why)

    def packets(self, until: Fraction | None = None) -> Iterator[av.Packet]:
        """Packets that begin before ``until`` seconds of the film, as far as the source keeps its tracks together;
        to the end of the sound if None."""
        while self._tracks and (until is None or self._reached < until):
            packet = self._read()
            ending = list(self._tracks) if packet is None else [packet.stream_index]
            for track in [self._tracks[index] for index in ending if index in self._tracks]:
                yield from self._taken(track, packet)

    def _taken(self, track: _Track, packet: av.Packet | None) -> Iterator[av.Packet]:
        """What a track makes of the source's packet; of its end, if that is None, empty or past the span."""
        try:
            if packet is None or packet.size == 0 or track.is_past(packet):
                self._tracks.pop(track.stream.index, None)
                yield from track.finish()
            else:
                yield from track.take(packet)
                self._reached = max(self._reached, track.reached)
        except (av.FFmpegError, ValueError) as error:
            self._drop(track.stream, str(error))
        if track.silent:
            self._warn(track.stream, "cannot be decoded in places and is silent there")

    def _drop(self, stream: av.AudioStream, why: str) -> None:
        self._tracks.pop(stream.index, None)
        self._warn(stream, f"is missing or breaks off ({why})")

    def _warn(self, stream: av.AudioStream, what: str) -> None:
        """Only the first trouble of a track is told."""
        streams = list(self._source.streams.audio)
        name = "the sound" if len(streams) == 1 else f"sound track {streams.index(stream) + 1}"
        self._warnings.setdefault(name, f"{name} {what}")

    def _read(self) -> av.Packet | None:
        try:
            return next(self._demuxed, None)
        except av.FFmpegError as error:  # what has been read is still played
            self._warnings.setdefault("", f"the sound breaks off ({error.strerror or error})")
            return None

    def _seek(self) -> None:
        """Go near the beginning of the span, so that a long film's sound is not read in vain."""
        near = int((self._zero - _BEFORE) * 1_000_000)
        with suppress(av.FFmpegError):  # not seekable: all is read, and what comes too early is dropped
            self._source.seek(max(near, 0))


class _Copied:
    """Packets as they are, at new times."""

    def __init__(
        self, stream: av.AudioStream, film: av.container.OutputContainer, zero: Fraction, end: Fraction | None
    ) -> None:
        self.stream = stream
        self.out = film.add_stream_from_template(stream)
        self._base = stream.time_base or Fraction(1, 90000)
        self._shift = round(zero / self._base)
        self._end = end
        self._last: int | None = None
        self.reached = Fraction(-1)
        self.silent = False

    def is_past(self, packet: av.Packet) -> bool:
        return self._end is not None and packet.pts is not None and (packet.pts - self._shift) * self._base >= self._end

    def take(self, packet: av.Packet) -> Iterator[av.Packet]:
        if packet.pts is None or packet.dts is None:
            return
        packet.pts -= self._shift
        packet.dts -= self._shift
        self.reached = packet.pts * self._base
        if self.reached + (packet.duration or 0) * self._base <= -_SETTLE:
            return
        if self._last is not None and packet.dts <= self._last:  # mp4 wants them to grow
            packet.dts = self._last + 1
            packet.pts = max(packet.pts, packet.dts)
        self._last = packet.dts
        packet.stream = self.out
        yield packet

    def finish(self) -> Iterator[av.Packet]:
        return iter(())


class _Encoded:
    """Decoded, put on an even clock (gaps become silence), cut to the span, and encoded as AAC."""

    def __init__(
        self, stream: av.AudioStream, film: av.container.OutputContainer, zero: Fraction, end: Fraction | None
    ) -> None:
        context = stream.codec_context
        rate = context.sample_rate if context.sample_rate in _AAC_RATES else 48000
        self._layout = _AAC_LAYOUTS.get(context.layout.nb_channels, "stereo")
        self.stream = stream
        self.out = film.add_stream("aac", rate=rate, layout=self._layout)
        self.out.bit_rate = _AAC_BITS_PER_CHANNEL * self.out.layout.nb_channels
        self._rate = rate
        self._zero = zero
        self._end = end
        self._graph: av.filter.Graph | None = None
        self._kind: tuple[str, str, int] | None = None
        self._next: int | None = None
        self.reached = Fraction(-1)
        self.silent = False

    def is_past(self, packet: av.Packet) -> bool:
        if self._end is None or packet.pts is None or packet.time_base is None:
            return False
        return packet.pts * packet.time_base - self._zero >= self._end

    def take(self, packet: av.Packet) -> Iterator[av.Packet]:
        try:
            frames = self.stream.decode(packet)
        except av.error.InvalidDataError:  # the gap is filled with silence
            self.silent = True
            return
        for frame in frames:
            yield from self._take(frame)

    def finish(self) -> Iterator[av.Packet]:
        for frame in self.stream.decode(None):
            yield from self._take(frame)
        if self._graph is not None:
            self._graph.push(None)
            yield from self._filtered()
            yield from self.out.encode(None)

    def _take(self, frame: av.AudioFrame) -> Iterator[av.Packet]:
        base = frame.time_base or Fraction(1, frame.sample_rate)
        if frame.pts is None:
            frame.pts = self._next or 0
        else:
            frame.pts -= round(self._zero / base)
        self._next = frame.pts + round(Fraction(frame.samples, frame.sample_rate) / base)
        self.reached = self._next * base
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._graph is None:
            self._graph, self._kind = self._build(kind, base), kind
        if kind != self._kind:
            raise ValueError(f"its format changes at {float(self.reached):.1f} s")
        self._graph.push(frame)
        yield from self._filtered()

    def _filtered(self) -> Iterator[av.Packet]:
        assert self._graph is not None
        while True:
            try:
                frame = self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            assert isinstance(frame, av.AudioFrame)
            yield from self.out.encode(frame)

    def _build(self, kind: tuple[str, str, int], base: Fraction) -> av.filter.Graph:
        sample_format, layout, rate = kind
        graph = av.filter.Graph()
        nodes = [
            graph.add_abuffer(sample_rate=rate, format=sample_format, layout=layout, time_base=base),
            graph.add("aresample", f"{self._rate}:async=1:first_pts=0"),
            graph.add("aformat", f"sample_fmts=fltp:sample_rates={self._rate}:channel_layouts={self._layout}"),
        ]
        if self._end is not None:
            nodes.append(graph.add("atrim", f"end={float(self._end):.6f}"))
        graph.link_nodes(*nodes, graph.add("abuffersink")).configure()
        return graph


_Track = _Copied | _Encoded


def _is_readable(stream: av.AudioStream) -> bool:
    context = stream.codec_context
    return context is not None and context.sample_rate > 0 and context.layout.nb_channels > 0


def _can_be_copied(stream: av.AudioStream) -> bool:
    context = stream.codec_context
    name = context.codec.canonical_name
    return name in _COPIED and (name not in _NEED_HEADER or bool(context.extradata))
