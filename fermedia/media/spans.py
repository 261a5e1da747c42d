"""Read a video in independent parts, with exactly the frames and times that ``VideoReader.frames`` yields.

The frames of a part are known in advance from the video's packets. Where decoding yields others, or the file is
damaged, ``SeamError`` is raised: then the video has to be read as a whole.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Self

import av

from fermedia.media.container import open_container
from fermedia.media.decoder import Decoded, UnreachableError
from fermedia.media.frames import VideoImage
from fermedia.media.open_video import OpenVideo
from fermedia.media.sampling import Chosen, exact
from fermedia.options import Sampling
from fermedia.types import Frame

#: Formats that have an index of their packets, with presentation times.
_SEEKABLE = {"mov", "matroska"}


class SeamError(Exception):
    """The video cannot be read in parts."""


@dataclass(frozen=True)
class VideoIndex:
    """A video's frames and key frames.

    ``stamps`` are the frames' presentation times in ticks of the stream, increasing. ``keys`` are the key frames in
    order: the presentation time, the time to seek to, and the number of the first frame shown from there on, which
    is its own unless an edit list hides it.
    """

    stamps: tuple[int, ...]
    keys: tuple[tuple[int, int, int], ...]

    def key_before(self, number: int) -> int:
        """The index in ``keys`` of the last key frame at or before a frame; -1 if there is none."""
        return bisect_right(self.keys, number, key=lambda key: key[2]) - 1


class SpanReader:
    """Read one part of a video; a context manager. ``info`` is as in ``VideoReader``.

    Raises:
        MediaError: No frame can be decoded.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._video = OpenVideo(path)
        self._decoder = self._video.decoder
        self.info = self._video.info

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._video.close()

    def index(self) -> VideoIndex:
        """Read all packets of the video without decoding. Raises SeamError if their times are incomplete."""
        if not _SEEKABLE & set(self._decoder.container.format.name.split(",")):
            raise SeamError("this kind of file has no reliable index")
        stamps: list[int] = []
        keys: list[tuple[int, int]] = []
        try:
            with open_container(self.path) as container:
                for packet in container.demux(container.streams[self._decoder.stream.index]):
                    if packet.size == 0:
                        continue
                    pts = packet.pts
                    if pts is None or packet.is_corrupt:
                        raise SeamError("packets without times, or damaged")
                    if packet.is_keyframe:
                        keys.append((pts, pts if packet.dts is None else packet.dts))
                    if not packet.is_discard:
                        stamps.append(pts)
        except av.FFmpegError as error:
            raise SeamError(str(error)) from error
        stamps.sort()
        if len(set(stamps)) < len(stamps) or keys != sorted(keys):
            raise SeamError("two frames at one time")
        return VideoIndex(tuple(stamps), tuple((pts, seek, bisect_left(stamps, pts)) for pts, seek in keys))

    def time(self, stamp: int) -> Fraction:
        """A frame's time in seconds, as ``Frame.time`` has it."""
        return stamp * self._decoder.base - self._video.origin

    def chosen(self, index: VideoIndex, sampling: Sampling) -> tuple[range, list[bool]]:
        """The numbers of the frames from ``start`` to before ``end``, and whether each is sampled."""
        start = exact(sampling.start or 0)
        times = [self.time(stamp) for stamp in index.stamps]
        first = next((n for n, time in enumerate(times) if time >= start), len(times))
        end = len(times)
        if sampling.end is not None:
            end = next((n for n, time in enumerate(times) if time >= exact(sampling.end)), end)
        choose = Chosen(sampling, start)
        return range(first, end), [choose(time) for time in times[first:end]]

    def part(self, index: VideoIndex, numbers: range, sampled: Sequence[bool]) -> Iterator[Frame]:
        """Yield the frames with these numbers. Raises SeamError, at the latest after the last one."""
        upright = self._video.upright
        left = len(numbers)
        waiting: deque[tuple[int, Fraction | None]] = deque()
        for number, decoded in self._decoded_from(index, numbers.start):
            # An interlaced frame needs its neighbours; those outside the part are not yielded.
            if number >= numbers.start - 1:
                waiting.append((number, self._decoder.duration(decoded.frame)))
                for image in upright(decoded.frame, decoded.pixel):
                    number, duration = waiting.popleft()
                    if number in numbers:
                        left -= 1
                        yield self._frame(index, number, duration, image, sampled[number - numbers.start])
            if left == 0 and numbers.stop < len(index.stamps):
                return
        for image in upright.rest():
            number, duration = waiting.popleft()
            if number in numbers:
                left -= 1
                yield self._frame(index, number, duration, image, sampled[number - numbers.start])
        if left:
            raise SeamError("a frame was lost")

    def _frame(
        self, index: VideoIndex, number: int, duration: Fraction | None, image: av.VideoFrame, sampled: bool
    ) -> Frame:
        if (image.width, image.height) != (self.info.width, self.info.height):
            raise SeamError("its size changes")
        time = float(self.time(index.stamps[number]))
        return Frame(number, time, VideoImage(image), None if duration is None else float(duration), sampled)

    def _decoded_from(self, index: VideoIndex, first: int) -> Iterator[tuple[int, Decoded]]:
        """Yield (number, frame) from the last key frame at or before ``first`` on, as the index has them.

        If ``first`` is an interlaced key frame, start at the key frame before it.
        """
        key = index.key_before(first)
        if key < 0:
            raise SeamError("no key frame before the span")
        frames = self._expected(index, key)
        number, decoded = next(frames)
        if number == first and key > 0 and decoded.frame.interlaced_frame:
            frames = self._expected(index, key - 1)
        else:
            yield number, decoded
        yield from frames

    def _expected(self, index: VideoIndex, key: int) -> Iterator[tuple[int, Decoded]]:
        """Yield the frames from a key frame to the video's end. Raises SeamError if they differ from the index."""
        pts, seek, number = index.keys[key]
        last: Decoded | None = None
        for decoded in self._undamaged(pts, seek):
            stamp = decoded.frame.pts
            if stamp is None or stamp < pts:
                continue  # a leading frame, which belongs to the part before
            if number >= len(index.stamps) or stamp != index.stamps[number] or decoded.frame.is_corrupt:
                raise SeamError("other frames than the index says")
            yield number, decoded
            last = decoded
            number += 1
        if last is None or number < len(index.stamps):
            raise SeamError("fewer frames than the index says")
        if warning := self._video.verdict(self._video.end_of(self.time(index.stamps[-1]), last)):
            raise SeamError(warning)

    def _undamaged(self, pts: int, seek: int) -> Iterator[Decoded]:
        try:
            yield from self._decoder.frames_from(pts, seek)
        except (av.FFmpegError, UnreachableError) as error:
            raise SeamError(str(error)) from error
