"""Write the annotated video: H.264 in mp4, with the source's frame times and audio."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np

from fermedia.media.frames import VideoImage
from fermedia.render.blur import Cover, hide_yuv420
from fermedia.render.drawing import PLAIN, Look, Painter
from fermedia.render.encoder import Encoder
from fermedia.render.muxer import Muxer
from fermedia.render.patches import Pixels, YuvPatch, YuvSpace, blend_yuv420, bt601, bt709, bt2020, to_yuv
from fermedia.render.placing import PanelState
from fermedia.threads import SerialQueue
from fermedia.types import Frame, MediaInfo, Observation

_BT2020 = (9, 10)  # AVCOL_SPC_BT2020_NCL and _CL


class FramePainter:
    """Draw the faces of a video into its frames, one after another, in the video's colour space.

    With a ``cover``, its faces are hidden.
    """

    def __init__(
        self,
        info: MediaInfo,
        look: Look = PLAIN,
        cover: Cover | None = None,
    ) -> None:
        self._cover = cover
        self._painter = Painter(info.width, info.height, look)
        self._patches: list[YuvPatch] = []
        self._space: YuvSpace | None = None
        self._last: Sequence[Observation] | None = None
        self._free: deque[av.VideoFrame] = deque()

    def restore(self, panel_state: PanelState, last: Sequence[Observation] | None) -> None:
        """Continue in the middle of a video.

        Args:
            panel_state: ``Painter.state`` from before the last analysed frame.
            last: The observations in that frame; None if there was none.
        """
        self._painter.restore(panel_state)
        self._last = last

    def paint(
        self, image: VideoImage, observations: Sequence[Observation] | None, time: float | None = None
    ) -> av.VideoFrame:
        """A copy with the faces drawn (the last analysed frame's if None): yuv420p, with even width and height.

        ``time`` is the frame's, in seconds, for the cover.
        """
        self._space = self._space or _space(image)
        for seen in (self._last, observations):
            if seen is not None:
                self._patches = [to_yuv(p, self._space) for p in self._painter.patches(seen)]
        self._last = None
        copy, planes = _even_copy(image.frame, self._free.popleft() if self._free else None)
        if self._cover is not None:
            hide_yuv420(planes, self._cover.at(time or 0.0))
        blend_yuv420(planes, self._patches)
        return copy

    def take_back(self, frame: av.VideoFrame) -> None:
        """Reuse the memory of a frame that is no longer needed. May be called in any thread.

        New memory for each frame fragmented the heap: at 1920x1080, it grew by 300 MB.
        """
        self._free.append(frame)


class AnnotatedVideoWriter:
    """Write one annotated video; a context manager and a sink.

    Every written frame appears once, at ``Frame.time - start`` seconds; frames that were not sampled show the last
    result. Frames with an odd width or height get another column or row, a copy of the last one. Frames are encoded
    while the next ones are drawn, so errors are raised a few frames later.

    At the end of the context, the video is complete and its frames have been counted; after an error, or without any
    frame, no file is left. ``warning`` is one line about missing or damaged audio, else None.

    Args:
        path: The file to write.
        source: Where audio and clock are from; None for a video of numbered images, which has neither.
        info: The source's metadata.
        start: Start of the video, in seconds of the source as a player shows it.
        end: End of the video, in the same seconds; if None, the audio continues to its own end.
        serial_queue: Small videos are encoded in it if it is given; others in a thread of their own.
        seams: The reader's, as for ``render.audio.Audio``.
        look: How faces are drawn.
        cover: Hides faces.
        audio: Whether the source's audio is written, too.

    Raises:
        MediaError: Encoding or writing failed (stage ``write``).
    """

    def __init__(
        self,
        path: Path,
        source: Path | None,
        info: MediaInfo,
        start: float | None = None,
        end: float | None = None,
        serial_queue: SerialQueue | None = None,
        seams: Sequence[Fraction] | None = None,
        look: Look = PLAIN,
        cover: Cover | None = None,
        audio: bool = True,
    ) -> None:
        self._painter = FramePainter(info, look, cover)
        self._muxer = Muxer(path, source, info, start, end, seams, audio=audio)
        self._encoder = Encoder(self._muxer, info, self._painter.take_back, serial_queue)

    @property
    def warning(self) -> str | None:
        """What audio is missing or damaged, in one line; None if nothing is."""
        return self._muxer.warning

    @property
    def notes(self) -> list[str]:
        """Differences of the audio from the source's that are no errors, one line each."""
        return self._muxer.notes

    def __enter__(self) -> Self:
        self._encoder.open()
        return self

    def write(self, frame: Frame, observations: Sequence[Observation] | None) -> None:
        """Add a frame with its faces. Its image must be a VideoImage, and is not changed."""
        self._encoder.add(frame, lambda image: self._painter.paint(image, observations, frame.time))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._encoder.close(complete=kind is None)


def _space(image: VideoImage) -> YuvSpace:
    if image.colorspace in _BT2020:
        return bt2020(image.full_range)
    return bt709(image.full_range) if image.bt709 else bt601(image.full_range)


def _even_copy(frame: av.VideoFrame, used: av.VideoFrame | None) -> tuple[av.VideoFrame, tuple[Pixels, Pixels, Pixels]]:
    """A copy with even width and height, as x264 requires, and views of its planes (Y, Cb, Cr).

    Where a size is odd, the last column or row is repeated. The copy is written into ``used`` if that has its size.
    """
    width, height = frame.width, frame.height
    size = width + width % 2, height + height % 2
    if used is not None and (used.width, used.height) == size:
        copy = used
        copy.make_writable()  # if the encoder still refers to its memory, the frame gets new memory
    else:
        copy = av.VideoFrame(*size, "yuv420p")
    sizes = [(width, height), *[((width + 1) // 2, (height + 1) // 2)] * 2]
    views = []
    for there, here, (w, h) in zip(frame.planes, copy.planes, sizes, strict=True):
        view = np.frombuffer(memoryview(here), np.uint8).reshape(-1, here.line_size)[: here.height, : here.width]
        view[:h, :w] = np.frombuffer(memoryview(there), np.uint8).reshape(-1, there.line_size)[:h, :w]
        view[h:] = view[h - 1 : h]
        view[:, w:] = view[:, w - 1 : w]
        views.append(view)
    return copy, (views[0], views[1], views[2])
