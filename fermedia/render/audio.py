"""The audio of an annotated video, synchronous with its image.

Tracks that browsers play in mp4 are copied, others are encoded as AAC.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from typing import Any

import av

from fermedia.media.container import start_time
from fermedia.media.timestamps import TimestampRepair
from fermedia.render.tracks import Copied, Encoded, Track, can_be_copied

#: Seconds before a span from which its audio is read: files are indexed by their image, and the audio of the same time
#: may be stored some way from it.
_BEFORE = 5

#: Packets that are held back to decide whether a time stamp is stray.
_MOST_AHEAD = 16

#: Tags of a track that are copied; others (encoder, bit rate) would no longer be true.
_KEPT = {"language", "title"}


class Audio:
    """All audio tracks of a source, shifted to fit a video of a part of it. Call ``add_to`` first, then ``packets``.

    The tracks keep their order, language, title and disposition (such as "default"). Stray time stamps are corrected.
    Where the file's clock restarts, the audio continues as the image does; a track whose format changes there is
    encoded.

    Damage raises no error: the track has a gap or ends early, and ``warning`` says so. ``notes`` list other
    differences from the source.

    Args:
        source: The open source.
        start: Start of the part, in seconds of the source as a player shows it (``media.container.start_time``), like
            ``Frame.time``.
        end: End of the part, in the same seconds; if None, each track continues to its own end.
        seams: The image's shifts at restarts of the clock (``VideoReader.seams``), which may grow while the image is
            read. If None, each track follows its own time stamps.
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
        self._streams = [stream for stream in source.streams.audio if _is_readable(stream)]
        self._taken_in = {stream.index for stream in self._streams}
        several = len(source.streams.audio) > 1
        self._names = {
            stream.index: f"audio track {number}" if several else "the audio"
            for number, stream in enumerate(source.streams.audio, 1)
        }
        self._all: dict[int, Track] = {}
        self._tracks: dict[int, Track] = {}  # those that have not ended
        self._lines: dict[int, TimestampRepair[av.Packet[Any]]] = {}
        self._reached = Fraction(-1)
        self._demuxed: Iterator[av.Packet[Any]] | None = None

    @property
    def warning(self) -> str | None:
        """What is missing or damaged, in one line; None if nothing is."""
        return "; ".join(self._warnings.values()) or None

    @property
    def notes(self) -> list[str]:
        """What is left out, and what has been corrected so far, one line each."""
        found = []
        for index, name in self._names.items():
            if index not in self._taken_in:
                found.append(f"{name} is left out (FFmpeg does not know its codec)")
            elif index in self._lines and (told := self._lines[index].strays_told(self._zero - self._start)):
                found.append(f"of {name}, {told}")
        return found

    @property
    def must_be_encoded(self) -> bool:
        """Whether the format of a copied track changes; its audio is missing from the video from there on."""
        return any(isinstance(track, Copied) and track.changes for track in self._all.values())

    def add_to(self, video: av.container.OutputContainer, anew: bool = False) -> None:
        """Add the tracks to a video before its header is written; ``anew``: encode all, since mp4 refused a copy."""
        self._all = {}
        for stream in self._streams:
            kind = Copied if can_be_copied(stream) and not anew else Encoded
            track = self._all[stream.index] = kind(stream, video, self._zero, self._end)
            track.out.metadata.update({k: v for k, v in stream.metadata.items() if k in _KEPT})
            track.out.disposition = stream.disposition
            step = Fraction(stream.codec_context.frame_size or 1024, stream.codec_context.sample_rate)
            self._lines[stream.index] = TimestampRepair(step, _MOST_AHEAD, others=self._seams)
        self._tracks = dict(self._all)

    def give_up(self, why: str, packet: av.Packet[Any] | None = None) -> None:
        """Drop all tracks from here on, or only that of a ``packet`` of the video; ``why`` is for the warning."""
        for stream in self._streams:
            track = self._tracks.get(stream.index)
            if packet is None or (track is not None and packet.stream is track.out):
                self._drop(stream, why)

    def packets(self, until: Fraction | None = None) -> Iterator[av.Packet[Any]]:
        """Yield the packets that begin before ``until`` seconds of the video, or all that are left if None.

        Where the source stores a track later than the others, its packets may come later, too.
        """
        while self._tracks and (until is None or self._reached < until):
            for index in [index for index in self._tracks if self._lines[index].waits]:
                yield from self._placed(index, self._lines[index].ready(final=until is None))
            if any(self._lines[index].waits for index in self._tracks):
                return  # the image has not been read up to here yet
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

    def _placed(self, index: int, packets: Iterator[tuple[Fraction, av.Packet[Any]]]) -> Iterator[av.Packet[Any]]:
        """Set the packets' repaired times and give them to their track; yield the packets that it makes of them."""
        for time, packet in packets:
            if (track := self._tracks.get(index)) is None:
                return
            if packet.pts is not None and packet.time_base:
                moved = round(time / packet.time_base) - packet.pts
                packet.pts += moved
                packet.dts = None if packet.dts is None else packet.dts + moved
            track.part = len(self._lines[index].joints)
            yield from self._taken(track, packet)

    def _taken(self, track: Track, packet: av.Packet[Any] | None) -> Iterator[av.Packet[Any]]:
        """Give a packet to a track, or finish the track if the packet is None or past the end; yield what it makes."""
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
        """Record a warning; only the first of each track is kept."""
        name = self._names[stream.index]
        self._warnings.setdefault(name, f"{name} {what}")

    def _read(self) -> av.Packet[Any] | None:
        try:
            if self._demuxed is None:
                self._seek()
                self._demuxed = self._source.demux(self._streams)
            return next(self._demuxed, None)
        except av.FFmpegError as error:  # what has been read is kept
            self._warnings.setdefault("", f"the audio breaks off ({error.strerror or error})")
            return None

    def _seek(self) -> None:
        """Seek to shortly before the start, so that the audio before it need not be read.

        The image has been read up to there. If the clock restarted on the way, a time may occur at several places, and
        nothing is skipped.
        """
        if self._start > 0 and not self._seams:
            near = int((self._zero - _BEFORE) * 1_000_000)
            with suppress(av.FFmpegError):  # not seekable: everything is read, and what is before the start is dropped
                self._source.seek(max(near, 0))


def _is_readable(stream: av.AudioStream) -> bool:
    context = stream.codec_context
    return context is not None and context.sample_rate > 0 and context.layout.nb_channels > 0


def _put(line: TimestampRepair[av.Packet[Any]], packet: av.Packet[Any]) -> Iterator[tuple[Fraction, av.Packet[Any]]]:
    base = packet.time_base or Fraction(1, 90000)
    stamp = None if packet.pts is None else packet.pts * base
    return line.put(packet, stamp, packet.duration * base if packet.duration else None)
