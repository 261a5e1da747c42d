"""A film read in parts, each on its own, with the very frames and times that ``VideoReader.frames`` gives.

What a part holds is known beforehand from the film's packets alone. Where a part turns out otherwise, or the file is
damaged in any way, ``SeamError`` says so: then the film has to be read in one go.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import av

from fermedia.media.frames import VideoPicture
from fermedia.media.sampling import Chosen, exact
from fermedia.media.video import VideoReader, open_container
from fermedia.options import Sampling
from fermedia.types import Frame

#: Formats that have an index of their packets, with presentation times.
_SEEKABLE = {"mov", "matroska"}


class SeamError(Exception):
    """The film cannot be read in parts that fit together."""


@dataclass(frozen=True)
class FilmIndex:
    """Where a film's frames are.

    ``stamps`` are the frames' presentation times in ticks of the stream, rising. ``keys`` are the key frames, rising:
    each one's presentation time, the time to seek it by, and the number of the first frame shown from there on, which
    is its own unless an edit list hides it.
    """

    stamps: tuple[int, ...]
    keys: tuple[tuple[int, int, int], ...]

    def key_before(self, number: int) -> int:
        """The place in ``keys`` of the last one at or before a frame; -1 if there is none."""
        return bisect_right(self.keys, number, key=lambda key: key[2]) - 1


class SpanReader(VideoReader):
    """A video that is read in parts: one part for each reader."""

    def index(self) -> FilmIndex:
        """Read all packets of the film, and decode none. Raises SeamError where they say too little."""
        if not _SEEKABLE & set(self._container.format.name.split(",")):
            raise SeamError("this kind of file has no reliable index")
        stamps: list[int] = []
        keys: list[tuple[int, int]] = []
        try:
            with open_container(self.path) as container:
                for packet in container.demux(container.streams[self._stream.index]):
                    if packet.size == 0:
                        continue
                    pts = packet.pts
                    if pts is None or packet.is_corrupt:
                        raise SeamError("packets without times, or spoilt")
                    if packet.is_keyframe:
                        keys.append((pts, pts if packet.dts is None else packet.dts))
                    if not packet.is_discard:
                        stamps.append(pts)
        except av.FFmpegError as error:
            raise SeamError(str(error)) from error
        stamps.sort()
        if len(set(stamps)) < len(stamps) or keys != sorted(keys):
            raise SeamError("two frames at one time")
        return FilmIndex(tuple(stamps), tuple((pts, seek, bisect_left(stamps, pts)) for pts, seek in keys))

    def time(self, stamp: int) -> Fraction:
        """A frame's time in seconds, as ``Frame.time`` has it."""
        return stamp * self._base - self._origin

    def chosen(self, index: FilmIndex, sampling: Sampling) -> tuple[range, list[bool]]:
        """The numbers of the frames from ``start`` to before ``end``, and of each whether it is sampled."""
        start = exact(sampling.start or 0)
        times = [self.time(stamp) for stamp in index.stamps]
        first = next((n for n, time in enumerate(times) if time >= start), len(times))
        end = len(times)
        if sampling.end is not None:
            end = next((n for n, time in enumerate(times) if time >= exact(sampling.end)), end)
        choose = Chosen(sampling, start)
        return range(first, end), [choose(time) for time in times[first:end]]

    def part(self, index: FilmIndex, numbers: range, sampled: Sequence[bool]) -> Iterator[Frame]:
        """The frames with these numbers. Raises SeamError, at the latest when the last one has been given."""
        left = len(numbers)
        waiting: deque[tuple[int, Fraction | None]] = deque()
        for number, frame in self._decoded_from(index, numbers.start):
            # An interlaced frame needs its neighbours; those outside are not given.
            if number >= numbers.start - 1:
                duration = frame.duration * self._base if frame.duration and frame.duration > 0 else None
                waiting.append((number, duration))
                for picture in self._upright(frame, self._pixel(frame)):
                    number, duration = waiting.popleft()
                    if number in numbers:
                        left -= 1
                        yield self._frame(index, number, duration, picture, sampled[number - numbers.start])
            if left == 0 and numbers.stop < len(index.stamps):
                return
        for picture in self._upright.rest():
            number, duration = waiting.popleft()
            if number in numbers:
                left -= 1
                yield self._frame(index, number, duration, picture, sampled[number - numbers.start])
        if left or self.warning:
            raise SeamError(self.warning or "a frame was lost")

    def _frame(
        self, index: FilmIndex, number: int, duration: Fraction | None, picture: av.VideoFrame, sampled: bool
    ) -> Frame:
        if (picture.width, picture.height) != (self.info.width, self.info.height):
            raise SeamError("its size changes")
        time = float(self.time(index.stamps[number]))
        return Frame(number, time, VideoPicture(picture), None if duration is None else float(duration), sampled)

    def _decoded_from(self, index: FilmIndex, first: int) -> Iterator[tuple[int, av.VideoFrame]]:
        """Number and frame from the last key frame at or before ``first`` on, as they should come.

        From the one before that, if ``first`` is a key frame and interlaced.
        """
        key = index.key_before(first)
        if key < 0:
            raise SeamError("no key frame before the span")
        frames = self._expected(index, key)
        number, frame = next(frames)
        if number == first and key > 0 and frame.interlaced_frame:
            frames = self._expected(index, key - 1)
        else:
            yield number, frame
        yield from frames

    def _expected(self, index: FilmIndex, key: int) -> Iterator[tuple[int, av.VideoFrame]]:
        """The frames from a key frame to the film's end, as long as they are what the index says."""
        pts, seek, number = index.keys[key]
        last: av.VideoFrame | None = None
        for frame in self._decoded_packets_from(pts, seek):
            if frame.pts is None or frame.pts < pts:
                continue  # it leads the key frame and belongs to the part before
            if number >= len(index.stamps) or frame.pts != index.stamps[number] or frame.is_corrupt:
                raise SeamError("other frames than the index says")
            yield number, frame
            last = frame
            number += 1
        if last is None or number < len(index.stamps):
            raise SeamError("fewer frames than the index says")
        duration = last.duration * self._base if last.duration and last.duration > 0 else 1 / self._rate
        self.warning = self._judge(self.time(index.stamps[-1]) + duration)

    def _decoded_packets_from(self, pts: int, seek: int) -> Iterator[av.VideoFrame]:
        try:
            self._container.seek(seek, stream=self._stream)
            begun = False
            for packet in self._container.demux(self._stream):
                begun = begun or (packet.is_keyframe and packet.pts == pts)
                if not begun and (packet.size == 0 or (packet.is_keyframe and (packet.pts or 0) > pts)):
                    raise SeamError("the file cannot be read from there")
                if begun:
                    yield from self._stream.decode(packet)
        except av.FFmpegError as error:
            raise SeamError(str(error)) from error
