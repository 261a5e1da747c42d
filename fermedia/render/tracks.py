"""An audio track of an annotated video: its packets are copied with new times, or decoded and encoded as AAC."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av

#: Codecs that are copied: those that all browsers play in mp4.
_COPIED = {"aac", "flac", "mp3", "opus"}
#: Those of them that no player can decode without the stream's header (AAC from MPEG-TS has it in its packets).
_NEED_HEADER = {"flac", "opus"}

#: Sampling rates of AAC.
_AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
#: Channel layouts of FFmpeg's AAC encoder by the number of channels; other numbers are mixed to stereo.
_AAC_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 8: "7.1"}
_AAC_BITS_PER_CHANNEL = 96_000
#: Samples in a packet of AAC.
_AAC_SAMPLES = 1024

#: Seconds of copied audio that are kept before the start, because decoders need some packets before their output is
#: right. They are not played, since their times are negative.
_SETTLE = Fraction(1, 10)

#: The longest gap in seconds that is filled with silence; after a longer one, the packets' times are shifted.
_LONG_GAP = 10

#: The most ticks that mp4 can store between two packets.
_MOST_TICKS = 2**31 - 1


def can_be_copied(stream: av.AudioStream) -> bool:
    """Whether a track can be copied into mp4 so that all browsers play it."""
    context = stream.codec_context
    name = context.codec.canonical_name
    return name in _COPIED and (name not in _NEED_HEADER or bool(context.extradata))


class Copied:
    """A copied track, up to the first packet whose format differs from the first one's.

    Attributes:
        stream: The source's track.
        out: The video's track.
        reached: The time of the video in seconds up to which there is audio; -1 before the first packet.
        changes: Whether the format has changed; no more packets are copied then.
        silent: Whether parts could not be decoded and are silent; never for a copied track.
        part: How often the source's clock has restarted, to be set before ``take``. Only ``Encoded`` uses it.

    Args:
        stream: The source's track.
        video: The video, before its header is written.
        zero: The time of the source, in seconds, at which the video starts.
        end: The end of the video in seconds; None for the track's own end.
    """

    def __init__(
        self, stream: av.AudioStream, video: av.container.OutputContainer, zero: Fraction, end: Fraction | None
    ) -> None:
        self.stream = stream
        self.out = video.add_stream_from_template(stream)
        self._base = stream.time_base or Fraction(1, 90000)
        self._shift = round(zero / self._base)
        self._end = end
        self._codec = stream.codec_context.codec.canonical_name
        self._kind: tuple[int, ...] = ()
        self._last: int | None = None
        self.reached = Fraction(-1)
        self.silent = self.changes = False
        self.part = 0

    def is_past(self, packet: av.Packet[Any]) -> bool:
        """Whether a packet of the source begins at or after the end of the video."""
        return self._end is not None and packet.pts is not None and (packet.pts - self._shift) * self._base >= self._end

    def take(self, packet: av.Packet[Any]) -> Iterator[av.Packet[Any]]:
        """Take a packet of the source; yield packets of the video. Raises ValueError for a too long gap."""
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
        if self._last is not None and packet.dts <= self._last:  # mp4 requires increasing times
            if 2 * (self._last - packet.dts) > (packet.duration or 0):  # already played, before the restart
                return
            packet.dts = self._last + 1
            packet.pts = max(packet.pts, packet.dts)
        if self._last is not None:
            _check_gap((packet.dts - self._last) * self._base, self.out)
        self._last = packet.dts
        packet.stream = self.out
        yield packet

    def finish(self) -> Iterator[av.Packet[Any]]:
        """End the track; yield its last packets of the video."""
        return iter(())


class Encoded:
    """A track that is decoded, resampled to a steady clock, cut to the video's length, and encoded as AAC.

    Where the format changes, it is converted to the first one. Gaps are filled with silence, except long ones: there,
    the times of the later packets are shifted, by a whole number of packets. Attributes and arguments are as for
    ``Copied``.
    """

    def __init__(
        self, stream: av.AudioStream, video: av.container.OutputContainer, zero: Fraction, end: Fraction | None
    ) -> None:
        context = stream.codec_context
        rate = context.sample_rate if context.sample_rate in _AAC_RATES else 48000
        self._layout = _AAC_LAYOUTS.get(context.layout.nb_channels, "stereo")
        self.stream = stream
        self.out = video.add_stream("aac", rate=rate, layout=self._layout)
        self.out.bit_rate = _AAC_BITS_PER_CHANNEL * self.out.layout.nb_channels
        self._rate = rate
        self._zero = zero
        self._end = end
        self._graph: av.filter.Graph | None = None
        self._kind: tuple[int, str, str, int] | None = None
        self._next: Fraction | None = None
        self._made = 0  # samples given to the encoder so far
        self._moves: list[tuple[int, int]] = []  # (first sample, samples by which packets from there on are shifted)
        self.reached = Fraction(-1)
        self.silent = False
        self.part = 0  # how often the source's clock has restarted: there, the audio is placed exactly

    def is_past(self, packet: av.Packet[Any]) -> bool:
        """Whether a packet of the source begins at or after the end of the video."""
        if self._end is None or packet.pts is None or packet.time_base is None:
            return False
        return packet.pts * packet.time_base - self._zero >= self._end

    def take(self, packet: av.Packet[Any]) -> Iterator[av.Packet[Any]]:
        """Take a packet of the source; yield packets of the video. Raises ValueError for a too long gap."""
        try:
            frames = self.stream.decode(packet)
        except av.error.InvalidDataError:  # the gap is filled with silence
            self.silent = True
            return
        for frame in frames:
            yield from self._take(frame)

    def finish(self) -> Iterator[av.Packet[Any]]:
        """End the track; yield its last packets of the video."""
        for frame in self.stream.decode(None):
            yield from self._take(frame)
        if self._graph is not None:
            yield from self._drained(self._graph)
            yield from self._encoded(None)

    def _take(self, frame: av.AudioFrame) -> Iterator[av.Packet[Any]]:
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
        """The video's sample at which a new filter starts, for audio of this time; silence fills what is between."""
        moved = self._moves[-1][1] if self._moves else 0
        ahead = round(time * self._rate) - self._made - moved
        if ahead > _LONG_GAP * self._rate:
            whole = -(-self._made // _AAC_SAMPLES) * _AAC_SAMPLES
            moved += (ahead - 2 * _AAC_SAMPLES) // _AAC_SAMPLES * _AAC_SAMPLES
            self._moves.append((whole, moved))
        return self._made + moved

    def _drained(self, graph: av.filter.Graph) -> Iterator[av.Packet[Any]]:
        graph.push(None)
        yield from self._filtered(graph)

    def _filtered(self, graph: av.filter.Graph) -> Iterator[av.Packet[Any]]:
        while True:
            try:
                frame = graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            assert isinstance(frame, av.AudioFrame)
            frame.pts, frame.time_base = self._made, Fraction(1, self._rate)
            self._made += frame.samples
            yield from self._encoded(frame)

    def _encoded(self, frame: av.AudioFrame | None) -> Iterator[av.Packet[Any]]:
        for packet in self.out.encode(frame):
            if packet.pts is not None and packet.dts is not None:
                moved = next((by for begin, by in reversed(self._moves) if packet.pts >= begin), 0)
                packet.pts, packet.dts = packet.pts + moved, packet.dts + moved
            yield packet

    def _build(self, frame: av.AudioFrame, begin: int) -> av.filter.Graph:
        """Build the filter that converts such frames to the video's format, from the video's sample ``begin`` on."""
        first = round(Fraction(begin * frame.sample_rate, self._rate))  # the filter counts in its input's samples
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


Track = Copied | Encoded


def _frame_kind(packet: av.Packet[Any], codec: str) -> tuple[int, ...]:
    """Sampling rate and channels by a packet's ADTS or MPEG audio header; empty if it has none."""
    data = bytes(memoryview(packet)[:4])
    if len(data) < 4 or data[0] != 0xFF:
        return ()
    if codec == "aac" and data[1] & 0xF6 == 0xF0:
        return data[2] >> 2, (data[2] & 1) << 2 | data[3] >> 6
    if codec == "mp3" and data[1] & 0xE0 == 0xE0:
        return data[1] >> 3 & 3, data[2] >> 2 & 3, data[3] >> 6 == 3  # others than mono have 2 channels
    return ()


def _check_gap(gap: Fraction, out: av.AudioStream) -> None:
    """Raise ValueError if a gap in seconds is longer than mp4 can store."""
    if gap * (out.codec_context.sample_rate or 48000) > _MOST_TICKS:
        raise ValueError(f"a gap of {float(gap / 3600):.1f} hours is longer than mp4 can hold")
