"""Read a video file as upright frames with the times at which a player shows them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Self

import av

from fermedia.errors import MediaError
from fermedia.files import shown
from fermedia.media.container import in_words
from fermedia.media.frames import FittedImage, Upright, VideoImage
from fermedia.media.open_video import OpenVideo
from fermedia.media.sampling import Chosen, exact
from fermedia.options import Sampling
from fermedia.types import Fit, Frame, Image, MediaInfo


class VideoReader:
    """A video file open for decoding; a context manager and a ``Reader``.

    ``info`` is the metadata. ``warning`` says what could not be read ("breaks off at 3.20 s of 10.00 s"), None if
    everything was; ``notes`` say what is ignored and what was repaired, one line each. Both are final when ``frames``
    has ended. ``seams`` are the shifts where the file's clock restarts, as far as frames were read
    (``media.timestamps``).

    All frames have the same size: others are fitted in, centred, and their ``Image.own`` keeps its shape. Once a frame
    was larger, ``larger`` is the ``size`` that fits all frames.

    Args:
        path: The file.
        size: (width, height) of all frames; by default the first one's.

    Raises:
        MediaError: No frame can be decoded.
    """

    def __init__(self, path: Path, size: tuple[int, int] | None = None) -> None:
        self.path = path
        self.warning: str | None = None
        self.larger: tuple[int, int] | None = None
        self._size = size
        self._started = False
        self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._video.close()

    def frames(self, sampling: Sampling | None = None) -> Iterator[Frame]:
        """Yield the frames from ``start`` to before ``end`` in display order, each with a VideoImage.

        All are decoded and counted in ``Frame.index``, and those to analyse marked ``sampled``: every N-th, or the
        first frame at or after each tick of ``fps``; both count from ``start``. A second call starts over.

        ``Frame.time`` is in seconds from the earliest start of the file's streams, so video that starts after the audio
        starts later than 0. It increases strictly; other stamps are repaired (``media.timestamps``).
        """
        if self._started:
            self._video.close()
            self._open()
        self._started = True
        return self._sampled(sampling or Sampling())

    def _open(self) -> None:
        self._video = OpenVideo(self.path, self._size)
        self._sizes: set[tuple[int, int]] = set()
        self.info, self.seams, self.notes = self._video.info, self._video.seams, self._video.left_aside()

    def _sampled(self, sampling: Sampling) -> Iterator[Frame]:
        video = self._video
        start = exact(sampling.start or 0)
        end = None if sampling.end is None else exact(sampling.end)
        chosen = Chosen(sampling, start)
        waiting: deque[Callable[[Image], Frame]] = deque()
        for index, (time, decoded) in enumerate(video.frames()):
            if end is not None and time >= end:
                self.warning = video.damage()
                break
            if time < start:
                continue
            duration = video.decoder.duration(decoded.frame)
            shown_for = None if duration is None else float(duration)
            waiting.append(partial(Frame, index, float(time), duration=shown_for, sampled=chosen(time)))
            yield from self._converted(waiting, partial(video.upright, decoded.frame, decoded.pixel))
        else:
            self.warning = video.verdict()
        yield from self._converted(waiting, video.upright.rest)
        self.notes = [*video.left_aside(), *video.repairs(), *fitting_note(self._sizes, self.info)]

    def _converted(
        self, waiting: deque[Callable[[Image], Frame]], convert: Callable[[], list[av.VideoFrame]]
    ) -> Iterator[Frame]:
        """Yield the first of the ``waiting`` frames, as many as ``convert`` returns images (none or several)."""
        try:
            images = convert()
        except av.FFmpegError as error:
            raise MediaError(f"{shown(self.path)}: a frame cannot be converted ({in_words(error)})") from error
        size = self.info.width, self.info.height
        for image in images:
            if self.larger is None and image.width * image.height > size[0] * size[1]:
                self.larger = self._largest((image.width, image.height))
            self._sizes.add((image.width, image.height))
            yield waiting.popleft()(video_image(image, size))

    def _largest(self, size: tuple[int, int]) -> tuple[int, int]:
        """The size of the largest key frame, since the size changes only there; at least ``size``."""
        with OpenVideo(self.path) as other:
            other.decoder.leave_out_all_but_key_frames()
            sizes = (Upright(decoded.frame, decoded.pixel).size for _, decoded in other.frames())
            return max(chain([size], sizes), key=lambda sides: sides[0] * sides[1])


def video_image(frame: av.VideoFrame, video: tuple[int, int]) -> VideoImage:
    """A frame as an image of its video, whose (width, height) is ``video``."""
    image, fit = VideoImage(frame), Fit.of((frame.width, frame.height), video)
    return image if fit is None else FittedImage(image, fit)


def fitting_note(sizes: set[tuple[int, int]], info: MediaInfo) -> list[str]:
    """A note that frames of other sizes are fitted into the video's; empty if all ``sizes`` are the video's."""
    video = info.width, info.height
    if sizes <= {video}:
        return []
    names = ", ".join(f"{width}x{height}" for width, height in sorted(sizes - {video})[:3])
    more = " and others" if len(sizes - {video}) > 3 else ""
    return [f"frames of {names}{more} are fitted into {video[0]}x{video[1]}; boxes are in the pixels of that"]
