"""What a decoded frame of a video is: its pixels, upright, in 8-bit 4:2:0, with the meaning of their colours."""

from __future__ import annotations

from fractions import Fraction
from functools import cached_property

import av
import cv2
import numpy as np
from av.sidedata.sidedata import SideData
from av.video.reformatter import ColorRange, Colorspace, Interpolation

from fermedia.types import Color, Gray, Picture

#: Pixel formats that are taken as they are; the second is the first in full range.
_PLANAR_420 = ("yuv420p", "yuvj420p")

#: From 16..235 to 0..255.
_EXPAND = np.clip(np.round((np.arange(256) - 16) * (255 / 219)), 0, 255).astype(np.uint8)

#: A stream's AVColorSpace -> the matrix that undoes it. All else is unspecified: players then guess by the size.
_MATRICES = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}

#: Rounded display matrix (a, b, c, d) -> degrees clockwise, and the filters of libavfilter that do the same. A vflip
#: only makes the rows run backwards in memory; the filter after it writes them forwards.
_TURNS: dict[tuple[int, int, int, int], tuple[int, list[tuple[str, str | None]]]] = {
    (1, 0, 0, 1): (0, []),
    (-1, 0, 0, 1): (0, [("hflip", None)]),
    (1, 0, 0, -1): (180, [("vflip", None), ("copy", None)]),
    (-1, 0, 0, -1): (180, [("vflip", None), ("hflip", None)]),
    (0, 1, -1, 0): (90, [("transpose", "clock")]),
    (0, -1, 1, 0): (270, [("transpose", "cclock")]),
    (0, 1, 1, 0): (90, [("transpose", "cclock_flip")]),
    (0, -1, -1, 0): (270, [("transpose", "clock_flip")]),
}


class VideoPicture(Picture):
    """A decoded frame: 8-bit planar 4:2:0, upright.

    ``frame`` is an ``av.VideoFrame`` of format yuv420p (or yuvj420p, which is the same in full range). Its planes may
    have padded rows, and the decoder may still read them: copy, never write into them. Chroma planes of odd sizes
    are rounded up.
    """

    def __init__(self, frame: av.VideoFrame) -> None:
        self.frame = frame

    @property
    def width(self) -> int:
        return self.frame.width

    @property
    def height(self) -> int:
        return self.frame.height

    @property
    def full_range(self) -> bool:
        """Whether luma is 0..255 rather than 16..235."""
        return _full_range(self.frame)

    @property
    def bt709(self) -> bool:
        """Whether the colours are BT.709's; BT.601's (or a rarer matrix) if not."""
        return _matrix(self.frame) is Colorspace.ITU709

    @cached_property
    def _gray(self) -> Gray:
        plane = self.frame.planes[0]
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(self.height, plane.line_size)[:, : self.width]
        return rows.copy() if self.full_range else np.asarray(cv2.LUT(rows, _EXPAND), dtype=np.uint8)

    def gray(self) -> Gray:
        """The luma, expanded to 0..255; C-contiguous."""
        return self._gray

    def rgb(self, size: tuple[int, int] | None = None) -> Color:
        """RGB by the frame's own matrix and range (BT.709 or BT.601 by its size where untagged)."""
        width, height = size or (self.width, self.height)
        shrinks = width < self.width or height < self.height
        frame = self.frame.reformat(
            width,
            height,
            "rgb24",
            src_colorspace=_matrix(self.frame),
            src_color_range=_range(self.full_range),
            dst_color_range=ColorRange.JPEG,
            interpolation=Interpolation.AREA if shrinks else Interpolation.BILINEAR,
        )
        return np.ascontiguousarray(frame.to_ndarray())  # rows may be padded


class Upright:
    """Turns the decoded frames of one stream into upright 8-bit 4:2:0 of one size.

    Alpha is dropped. ``rotation`` is how many degrees clockwise the stored picture is turned; ``size`` is the upright
    (width, height), the first frame's: should later ones differ, they are scaled, as players do.
    """

    def __init__(self, first: av.VideoFrame) -> None:
        self._stored = first.width, first.height
        self.rotation, self._filters = _TURNS[_display_matrix(first)]
        self.size = self._stored[::-1] if self.rotation in (90, 270) else self._stored
        self._graph: av.filter.Graph | None = None

    def __call__(self, frame: av.VideoFrame) -> av.VideoFrame:
        frame = self._planar_420(frame)
        if not self._filters:
            return frame
        if self._graph is None:
            self._graph = self._build(frame)
        self._graph.vpush(frame)
        return self._graph.vpull()

    def _planar_420(self, frame: av.VideoFrame) -> av.VideoFrame:
        if frame.format.name in _PLANAR_420 and (frame.width, frame.height) == self._stored:
            return frame
        levels = _range(_full_range(frame))
        matrix = _matrix(frame)
        width, height = self._stored
        return frame.reformat(
            width,
            height,
            "yuv420p",
            src_colorspace=matrix,
            dst_colorspace=matrix,
            src_color_range=levels,
            dst_color_range=levels,
        )

    def _build(self, frame: av.VideoFrame) -> av.filter.Graph:
        graph = av.filter.Graph()
        source = graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 1000)
        )
        nodes = [graph.add(name, argument) for name, argument in self._filters]
        graph.link_nodes(source, *nodes, graph.add("buffersink")).configure()
        return graph


def _display_matrix(frame: av.VideoFrame) -> tuple[int, int, int, int]:
    """The display matrix as quarter turns and mirrors; angles between them are rounded."""
    data = frame.side_data.get("DISPLAYMATRIX")
    if not isinstance(data, SideData):
        return 1, 0, 0, 1
    a, b, _, c, d, *_ = np.frombuffer(bytes(data), np.int32).tolist()
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return (1 if a >= 0 else -1), 0, 0, (1 if d >= 0 else -1)
    return 0, (1 if b >= 0 else -1), (1 if c >= 0 else -1), 0


def _full_range(frame: av.VideoFrame) -> bool:
    return not frame.format.is_rgb and (frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj"))


def _range(full: bool) -> ColorRange:
    return ColorRange.JPEG if full else ColorRange.MPEG


def _matrix(frame: av.VideoFrame) -> Colorspace:
    """The frame's own matrix; for an untagged one mpv's guess: high definition is BT.709, else BT.601."""
    short, long = sorted((frame.width, frame.height))
    guess = Colorspace.ITU709 if long >= 1280 or short > 576 else Colorspace.ITU601
    return _MATRICES.get(frame.colorspace, guess)
