"""The sound of a recording, in step with its annotated film: copied where browsers play it in mp4, else as AAC."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from fractions import Fraction

import av

from fermedia.media.line import Line
from fermedia.media.video import start_time

#: Codecs that are copied into mp4 as they are: those that all browsers play there.
_COPIED = {"aac", "flac", "mp3", "opus"}
#: Of these, the ones that no player understands without the stream's own header (AAC from MPEG-TS brings it along).
_NEED_HEADER = {"flac", "opus"}

#: Sampling rates that AAC has.
_AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
#: Channel layouts that FFmpeg's AAC encoder has, by the number of channels; more channels are mixed down to stereo.
_AAC_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 8: "7.1"}
_AAC_BITS_PER_CHANNEL = 96_000
#: Samples in a packet of AAC.
_AAC_SAMPLES = 1024

#: Seconds of copied sound kept before the beginning of a span: decoders need some packets to settle. They are not
#: played, since their times are negative.
_SETTLE = Fraction(1, 10)

#: Seconds before a span from which its sound is read: files index the picture, and their sound may lie apart from it.
_BEFORE = 5

#: Packets that are held to see whether a time stamp is stray.
_MOST_AHEAD = 16

#: Seconds: a longer gap is not filled with silence, its packets come later instead.
_LONG_GAP = 10

#: Ticks that mp4 can hold between two packets.
_MOST_TICKS = 2**31 - 1

#: What a track's tags say of it in the film; others (encoder, bit rate) would no longer be true.
_KEPT = {"language", "title"}


class Sound:
    """The sound tracks of ``source``, moved to fit a film of the span from ``start`` to ``end`` (seconds); without an
    ``end`` each goes on to its own.

    All of them are kept, in their order, with language, title and what they are for (such as the default). Zero is
    where a player's clock begins (``media.video.start_time``), as it is for ``Frame.time``. Stray time stamps are put
    right, and where the file's clock begins anew the sound goes on as the picture does: ``seams`` are the picture's
    (``VideoReader.seams``), which may still be read; without them each track follows its own. Where the format
    changes there, the track is encoded.

    Damage never raises: a track has a gap or ends early, and ``warning`` says so; ``notes`` say what is no damage but
    not as it was. ``add_to`` comes first, then ``packets``.
    """

    def __init__(
        self,
        source: av.container.InputContainer,
        start: Fraction,
        end: Fraction | None,
        seams: Sequence[Fraction] | None = None,
    ) -> None:
        self._source = source
        self._seams = seams
        self._start = start
        self._zero = start_time(source) + start
        self._end = None if end is None else end - start
        self._warnings: dict[str, str] = {}
        self.notes: list[str] = []
        self._streams = [stream for stream in source.streams.audio if _is_readable(stream)]
        for stream in source.streams.audio:
            if stream not in self._streams:
                self.notes.append(f"{self._name(stream)} is left out (FFmpeg does not know its codec)")
        self._all: dict[int, _Track] = {}
        self._tracks: dict[int, _Track] = {}  # those that have not ended
        self._lines: dict[int, Line[av.Packet]] = {}
        self._reached = Fraction(-1)
        self._demuxed: Iterator[av.Packet] | None = None

    @property
    def warning(self) -> str | None:
        """What is missing or spoilt, in one line; None when all is well."""
        return "; ".join(self._warnings.values()) or None

    @property
    def must_be_encoded(self) -> bool:
        """Whether a track that was copied turned out to change its format; from there on it is not in the film."""
        return any(isinstance(track, _Copied) and track.changes for track in self._all.values())

    def add_to(self, film: av.container.OutputContainer, anew: bool = False) -> None:
        """Add the tracks to a film that has not begun; all of them encoded ``anew`` should it have refused a copy."""
        self._all = {}
        for stream in self._streams:
            kind = _Copied if _can_be_copied(stream) and not anew else _Encoded
            track = self._all[stream.index] = kind(stream, film, self._zero, self._end)
            track.out.metadata.update({k: v for k, v in stream.metadata.items() if k in _KEPT})
            track.out.disposition = stream.disposition
            step = Fraction(stream.codec_context.frame_size or 1024, stream.codec_context.sample_rate)
            self._lines[stream.index] = Line(step, _MOST_AHEAD, others=self._seams)
        self._tracks = dict(self._all)

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
            for index in [index for index in self._tracks if self._lines[index].waits]:
                yield from self._placed(index, self._lines[index].ready(final=until is None))
            if any(self._lines[index].waits for index in self._tracks):
                return  # the picture has not come so far
            packet = self._read()
            if packet is not None and packet.size:
                if packet.stream_index in self._tracks:
                    yield from self._placed(packet.stream_index, _put(self._lines[packet.stream_index], packet))
                continue
            ending = [packet.stream_index] if packet else list(self._tracks)
            for index in [index for index in ending if index in self._tracks]:
                yield from self._placed(index, self._lines[index].ready(final=True))
                if index in self._tracks:
                    yield from self._taken(self._tracks[index], None)

    def _placed(self, index: int, packets: Iterator[tuple[Fraction, av.Packet]]) -> Iterator[av.Packet]:
        """What a track makes of the source's packets at their times."""
        for time, packet in packets:
            if (track := self._tracks.get(index)) is None:
                return
            if packet.pts is not None and packet.time_base:
                moved = round(time / packet.time_base) - packet.pts
                packet.pts += moved
                packet.dts = None if packet.dts is None else packet.dts + moved
            track.part = len(self._lines[index].joints)
            yield from self._taken(track, packet)

    def _taken(self, track: _Track, packet: av.Packet | None) -> Iterator[av.Packet]:
        """What a track makes of the source's packet; of its end, if that is None or past the span."""
        try:
            if packet is None or track.is_past(packet):
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
        name = self._name(stream)
        self._warnings.setdefault(name, f"{name} {what}")

    def _name(self, stream: av.AudioStream) -> str:
        streams = list(self._source.streams.audio)
        return "the sound" if len(streams) == 1 else f"sound track {streams.index(stream) + 1}"

    def _read(self) -> av.Packet | None:
        try:
            if self._demuxed is None:
                self._seek()
                self._demuxed = self._source.demux(self._streams)
            return next(self._demuxed, None)
        except av.FFmpegError as error:  # what has been read is still played
            self._warnings.setdefault("", f"the sound breaks off ({error.strerror or error})")
            return None

    def _seek(self) -> None:
        """Go near the beginning of the span, so that a long film's sound is not read in vain.

        The picture has been read up to there. If the clock began anew on the way, no time leads to one place.
        """
        if self._start > 0 and not self._seams:
            near = int((self._zero - _BEFORE) * 1_000_000)
            with suppress(av.FFmpegError):  # not seekable: all is read, and what comes too early is dropped
                self._source.seek(max(near, 0))


class _Copied:
    """Packets as they are, at new times, as long as their format is the first one's; ``changes`` says if it is not."""

    def __init__(
        self, stream: av.AudioStream, film: av.container.OutputContainer, zero: Fraction, end: Fraction | None
    ) -> None:
        self.stream = stream
        self.out = film.add_stream_from_template(stream)
        self._base = stream.time_base or Fraction(1, 90000)
        self._shift = round(zero / self._base)
        self._end = end
        self._codec = stream.codec_context.codec.canonical_name
        self._kind: tuple[int, ...] = ()
        self._last: int | None = None
        self.reached = Fraction(-1)
        self.silent = self.changes = False
        self.part = 0

    def is_past(self, packet: av.Packet) -> bool:
        return self._end is not None and packet.pts is not None and (packet.pts - self._shift) * self._base >= self._end

    def take(self, packet: av.Packet) -> Iterator[av.Packet]:
        if packet.pts is None or packet.dts is None:
            return
        kind = _frame_kind(packet, self._codec)
        self._kind = self._kind or kind
        self.changes = self.changes or kind != self._kind or packet.has_sidedata("new_extradata")
        packet.pts -= self._shift
        packet.dts -= self._shift
        self.reached = packet.pts * self._base
        if self.changes or self.reached + (packet.duration or 0) * self._base <= -_SETTLE:
            return
        if self._last is not None and packet.dts <= self._last:  # mp4 wants them to grow
            if 2 * (self._last - packet.dts) > (packet.duration or 0):  # it is played already, before a seam
                return
            packet.dts = self._last + 1
            packet.pts = max(packet.pts, packet.dts)
        if self._last is not None:
            _check_gap((packet.dts - self._last) * self._base, self.out)
        self._last = packet.dts
        packet.stream = self.out
        yield packet

    def finish(self) -> Iterator[av.Packet]:
        return iter(())


class _Encoded:
    """Decoded, put on an even clock (gaps become silence), cut to the span, and encoded as AAC.

    Where the format changes it is converted to the first one's. Long gaps are not filled: the packets after them are
    moved by what is left out, in whole packets.
    """

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
        self._kind: tuple[int, str, str, int] | None = None
        self._next: Fraction | None = None
        self._made = 0  # samples that were given to the encoder
        self._moves: list[tuple[int, int]] = []  # from this one on, packets are so many samples later
        self.reached = Fraction(-1)
        self.silent = False
        self.part = 0  # how often the source's clock began anew: there, the sound is put at its very place

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
            yield from self._drained(self._graph)
            yield from self._encoded(None)

    def _take(self, frame: av.AudioFrame) -> Iterator[av.Packet]:
        before = self._next or Fraction(0)
        time = before if frame.pts is None or not frame.time_base else frame.pts * frame.time_base - self._zero
        frame.pts, frame.time_base = round(time * frame.sample_rate), Fraction(1, frame.sample_rate)
        kind = (self.part, frame.format.name, frame.layout.name, frame.sample_rate)
        gap = time - before
        if self._graph is None or kind != self._kind or gap > _LONG_GAP:
            if self._graph is not None:
                yield from self._drained(self._graph)
            _check_gap(gap, self.out)
            self._graph, self._kind = self._build(frame, self._begin(time)), kind
        self._next = time + Fraction(frame.samples, frame.sample_rate)
        self.reached = self._next
        self._graph.push(frame)
        yield from self._filtered(self._graph)

    def _begin(self, time: Fraction) -> int:
        """The sample of the film with which sound goes on that comes at ``time``; silence leads from there to it."""
        moved = self._moves[-1][1] if self._moves else 0
        ahead = round(time * self._rate) - self._made - moved
        if ahead > _LONG_GAP * self._rate:
            whole = -(-self._made // _AAC_SAMPLES) * _AAC_SAMPLES
            moved += (ahead - 2 * _AAC_SAMPLES) // _AAC_SAMPLES * _AAC_SAMPLES
            self._moves.append((whole, moved))
        return self._made + moved

    def _drained(self, graph: av.filter.Graph) -> Iterator[av.Packet]:
        graph.push(None)
        yield from self._filtered(graph)

    def _filtered(self, graph: av.filter.Graph) -> Iterator[av.Packet]:
        while True:
            try:
                frame = graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            assert isinstance(frame, av.AudioFrame)
            frame.pts, frame.time_base = self._made, Fraction(1, self._rate)
            self._made += frame.samples
            yield from self._encoded(frame)

    def _encoded(self, frame: av.AudioFrame | None) -> Iterator[av.Packet]:
        for packet in self.out.encode(frame):
            if packet.pts is not None and packet.dts is not None:
                moved = next((by for begin, by in reversed(self._moves) if packet.pts >= begin), 0)
                packet.pts, packet.dts = packet.pts + moved, packet.dts + moved
            yield packet

    def _build(self, frame: av.AudioFrame, begin: int) -> av.filter.Graph:
        """What converts such frames to the film's format, from its sample ``begin`` on."""
        first = round(Fraction(begin * frame.sample_rate, self._rate))  # the filter counts as its input does
        graph = av.filter.Graph()
        nodes = [
            graph.add_abuffer(
                sample_rate=frame.sample_rate,
                format=frame.format.name,
                layout=frame.layout.name,
                time_base=frame.time_base,
            ),
            graph.add("aresample", f"{self._rate}:async=1:first_pts={first}"),
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


def _put(line: Line[av.Packet], packet: av.Packet) -> Iterator[tuple[Fraction, av.Packet]]:
    base = packet.time_base or Fraction(1, 90000)
    stamp = None if packet.pts is None else packet.pts * base
    return line.put(packet, stamp, packet.duration * base if packet.duration else None)


def _frame_kind(packet: av.Packet, codec: str) -> tuple[int, ...]:
    """What the header of a packet says of rate and channels, where it has one: ADTS, or an MPEG audio frame's."""
    data = bytes(memoryview(packet)[:4])
    if len(data) < 4 or data[0] != 0xFF:
        return ()
    if codec == "aac" and data[1] & 0xF6 == 0xF0:
        return data[2] >> 2, (data[2] & 1) << 2 | data[3] >> 6
    if codec == "mp3" and data[1] & 0xE0 == 0xE0:
        return data[1] >> 3 & 3, data[2] >> 2 & 3, data[3] >> 6 == 3  # of the modes, only mono is another number
    return ()


def _check_gap(gap: Fraction, out: av.AudioStream) -> None:
    """Raises ValueError for a gap of so many seconds that mp4 cannot hold it."""
    if gap * (out.codec_context.sample_rate or 48000) > _MOST_TICKS:
        raise ValueError(f"a gap of {float(gap / 3600):.1f} hours is longer than mp4 can hold")
