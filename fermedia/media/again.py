"""Read single frames of a video again, by their numbers, without decoding all of it where that can be avoided."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from fermedia.errors import MediaError
from fermedia.files import shown
from fermedia.media.find import find_items
from fermedia.media.sequence import SequenceReader
from fermedia.media.spans import SeamError, SpanReader
from fermedia.media.video import VideoReader
from fermedia.types import Frame, Reader


def video_frames(path: Path, numbers: Sequence[int], size: tuple[int, int]) -> Iterator[Frame]:
    """Yield frames of a video as ``VideoReader`` gives them, each at least once.

    Args:
        path: The video.
        numbers: The frames' numbers.
        size: Width and height of its frames in pixels, as in item.json.

    Raises:
        MediaError: The video, or one of the frames, cannot be read.
    """
    wanted = sorted(set(numbers))
    try:
        with SpanReader(path) as reader:
            index = reader.index()
            if wanted[-1] >= len(index.stamps) or size != (reader.info.width, reader.info.height):
                raise SeamError("other frames than were analysed")
        for _, group in groupby(wanted, index.key_before):
            near = list(group)
            part = range(near[0], near[-1] + 1)
            with SpanReader(path) as reader:
                yield from (f for f in reader.part(index, part, [True] * len(part)) if f.index in near)
    except SeamError:
        with VideoReader(path, size) as whole:
            yield from _picked(path, whole, wanted)


def sequence_frames(pattern: Path, rate: float, numbers: Sequence[int], size: tuple[int, int]) -> Iterator[Frame]:
    """Yield frames of numbered images, ``rate`` of them a second; the rest is as in ``video_frames``."""
    path = os.path.abspath(pattern)
    for item in find_items([pattern.parent], sequences=True):
        if item.kind == "sequence" and os.path.abspath(item.path) == path:
            with SequenceReader(item, rate, size) as reader:
                yield from _picked(pattern, reader, sorted(set(numbers)))
            return
    raise MediaError(f"{shown(pattern, whole=True)}: its images are gone")


def _picked(path: Path, reader: Reader, wanted: Sequence[int]) -> Iterator[Frame]:
    left = set(wanted)
    for frame in reader.frames():
        if frame.index in left:
            left.remove(frame.index)
            yield frame
        if not left:
            return
    raise MediaError(f"{shown(path, whole=True)}: frame {min(left)} cannot be read any more", "decode")
