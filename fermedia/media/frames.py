"""The decoded frames of a video: upright, in 8-bit 4:2:0, with square pixels and tagged colours."""

from __future__ import annotations

import tempfile
import threading
from contextlib import suppress
from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np
from av.sidedata.sidedata import SideData, SideDataContainer
from av.sidedata.sidedata import Type as SideDataType
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from fermedia.media import hdr
from fermedia.types import WHOLE, Color, Fit, Gray, Image, Part

Steps = list[tuple[str, dict[str, str]]]
"""Filters of libavfilter and their options."""

#: Pixel formats that need no conversion; the second is the first in full range.
_PLANAR_420 = ("yuv420p", "yuvj420p")

#: The luma of black in limited range, and the factor that then expands 16..235 to 0..255.
_BLACK, _EXPAND = 16.0, 255 / 219

#: A stream's AVColorSpace -> its matrix. Other values are unspecified: players then guess by the size.
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
#: only reverses the order of the rows in memory (negative strides); the filter after it copies them.
_TURNS: dict[tuple[int, int, int, int], tuple[int, Steps]] = {
    (1, 0, 0, 1): (0, []),
    (-1, 0, 0, 1): (0, [("hflip", {})]),
    (1, 0, 0, -1): (180, [("vflip", {}), ("copy", {})]),
    (-1, 0, 0, -1): (180, [("vflip", {}), ("hflip", {})]),
    (0, 1, -1, 0): (90, [("transpose", {"dir": "clock"})]),
    (0, -1, 1, 0): (270, [("transpose", {"dir": "cclock"})]),
    (0, 1, 1, 0): (90, [("transpose", {"dir": "cclock_flip"})]),
    (0, -1, -1, 0): (270, [("transpose", {"dir": "clock_flip"})]),
}


#: A more extreme aspect ratio of pixels is taken for an error in the file: such pixels count as square.
_LONGEST_PIXEL = 10

#: Sides, in pixels, of the smallest image that FFmpeg deinterlaces.
_LEAST_INTERLACED = 4


def _unknown_side_data(kinds: type[SideDataType], number: object) -> SideDataType:
    kind: Any = object.__new__(kinds)
    kind._name_, kind._value_ = f"UNKNOWN_{number}", number
    return kind


# PyAV knows the kinds of side data of the FFmpeg version it was written for, and rejects all side data of a frame with
# a newer kind, such as the EXIF data of motion JPEG or the views of spatial video.
SideDataType._missing_ = classmethod(_unknown_side_data)  # type: ignore[assignment]


class VideoImage(Image):
    """A decoded frame: 8-bit planar 4:2:0, upright, with square pixels and standard dynamic range.

    ``frame`` is an ``av.VideoFrame`` of format yuv420p (or yuvj420p, which is the same in full range). Its planes may
    have padded rows, and the decoder may still read them: copy them, do not modify them. Chroma planes of odd sizes
    are rounded up. Its colour tags are ``colorspace``, ``primaries`` and ``transfer`` (FFmpeg's numbers).

    It remains valid after its reader is closed, and several threads may read it at once.
    """

    def __init__(self, frame: av.VideoFrame) -> None:
        self._frame = frame
        #: Whether luma is 0..255 rather than 16..235.
        self.full_range = _full_range(frame)
        self.colorspace, self.primaries, self.transfer = frame.colorspace, frame.color_primaries, frame.color_trc
        self._matrix = _matrix(frame)
        self._lock = threading.Lock()  # PyAV changes a frame's tags temporarily while it converts it

    @property
    def frame(self) -> av.VideoFrame:
        """The pixels."""
        return self._frame

    @property
    def width(self) -> int:
        return self.frame.width

    @property
    def height(self) -> int:
        return self.frame.height

    @property
    def bt709(self) -> bool:
        """Whether the matrix is BT.709's; otherwise it is BT.601's or a rarer one."""
        return self._matrix is Colorspace.ITU709

    def gray(self, part: Part = WHOLE) -> Gray:
        """The luma, expanded to 0..255; C-contiguous."""
        luma = _samples(self.frame, 0)[part]
        if self.full_range:
            return luma.copy()
        above = cv2.subtract(luma, _BLACK)  # type: ignore[call-overload]  # its stub knows of no numbers
        return np.asarray(cv2.convertScaleAbs(above, above, _EXPAND), dtype=np.uint8)

    def rgb(self, size: tuple[int, int] | None = None, part: Part = WHOLE) -> Color:
        """RGB by the frame's own matrix and range (BT.709 or BT.601 by its size where untagged).

        A part's colours, which have half the resolution, are those from the even pixel at or before its start.
        """
        source = self.frame if part == WHOLE else _cut(self.frame, part)
        width, height = size or (source.width, source.height)
        shrinks = width < source.width or height < source.height
        with self._lock:
            frame = _converter.own.reformat(
                source,
                width,
                height,
                "gbrp",  # FFmpeg takes twice as long for rgb24, and halves the chroma resolution for even widths
                src_colorspace=self._matrix,
                src_color_range=_range(self.full_range),
                dst_color_range=ColorRange.JPEG,
                interpolation=Interpolation.AREA if shrinks else Interpolation.BILINEAR,
            )
        return np.asarray(cv2.merge([_samples(frame, plane) for plane in (2, 0, 1)]), np.uint8)


class FittedImage(VideoImage):
    """A frame whose shape differs from the video's, fitted into the video's image with black bars.

    The fitted image is only made when its pixels are requested.
    """

    def __init__(self, own: VideoImage, fit: Fit) -> None:
        super().__init__(own.frame)
        self.fit = fit
        self._own = own
        self._fitting = threading.Lock()
        self._fitted: av.VideoFrame | None = None

    @property
    def own(self) -> VideoImage:
        return self._own

    @property
    def width(self) -> int:
        assert self.fit is not None
        return self.fit.video[0]

    @property
    def height(self) -> int:
        assert self.fit is not None
        return self.fit.video[1]

    @property
    def frame(self) -> av.VideoFrame:
        with self._fitting:
            if self._fitted is None:
                self._fitted = self._fit_in()
            return self._fitted

    def _fit_in(self) -> av.VideoFrame:
        frame, fit = self._own.frame, self.fit
        assert fit is not None
        size = {"w": str(fit.width), "h": str(fit.height), "flags": "bicubic"}
        video = {"w": str(fit.video[0]), "h": str(fit.video[1]), "x": str(fit.x), "y": str(fit.y)}
        graph = _graph(frame, [("scale", size), ("pad", video)])
        graph.vpush(frame)
        graph.vpush(None)
        return _pulled(graph)[0]


def _samples(frame: av.VideoFrame, plane: int) -> Gray:
    """A plane of the frame (luma, chroma, or a plane of gbrp) without the rows' padding; a view."""
    held = frame.planes[plane]
    return np.frombuffer(memoryview(held), np.uint8).reshape(-1, held.line_size)[: held.height, : held.width]


def _cut(frame: av.VideoFrame, part: Part) -> av.VideoFrame:
    """Copy consecutive rows and columns of a frame; it has none of the frame's tags."""
    (top, bottom, _), (left, right, _) = (s.indices(n) for s, n in zip(part, (frame.height, frame.width), strict=True))
    copy = av.VideoFrame(right - left, bottom - top, frame.format.name)
    for plane, factor in enumerate((1, 2, 2)):
        into = _samples(copy, plane)
        height, width = into.shape
        y, x = top // factor, left // factor
        into[:] = _samples(frame, plane)[y : y + height, x : x + width]
    return copy


class _Converter(threading.local):
    """One reformatter for each thread: making one takes longer than many conversions."""

    def __init__(self) -> None:
        self.own = VideoReformatter()


_converter = _Converter()


class Upright:
    """Convert the decoded frames of one stream to upright 8-bit 4:2:0, each in its own shape.

    Frames are deinterlaced, pixels made square, high dynamic range converted to standard; alpha is dropped. Pixels that
    are not square are scaled along their shorter side, as players do, to an even number. Frames are returned in order,
    one for one, but later: an interlaced one needs its successor.

    ``rotation`` is by how many degrees clockwise the stored first frame is rotated; ``size`` is its resulting (width,
    height).

    Args:
        first: The first frame.
        pixel: The aspect ratio of its pixels, None for square.
    """

    def __init__(self, first: av.VideoFrame, pixel: Fraction | None = None) -> None:
        square = _square(first.width, first.height, pixel)
        self.rotation = _TURNS[_display_matrix(first)][0]
        self.size = square[::-1] if self.rotation in (90, 270) else square
        self._interlaced = False
        self._kind: tuple[object, ...] = ()
        self._graph: av.filter.Graph | None = None

    def __call__(self, frame: av.VideoFrame, pixel: Fraction | None = None) -> list[av.VideoFrame]:
        """Add a frame, with the aspect ratio of its pixels, and return the frames that are ready."""
        self._interlaced = self._interlaced or (
            frame.interlaced_frame and min(frame.width, frame.height) >= _LEAST_INTERLACED
        )
        tags = frame.colorspace, frame.color_range, frame.color_trc
        matrix = _display_matrix(frame)
        kind = (self._interlaced, frame.format.name, frame.width, frame.height, pixel, matrix, *tags)
        ready = []
        if kind != self._kind:
            ready = self.rest()
            self._kind = kind
            steps = self._steps(frame, _square(frame.width, frame.height, pixel)) + _TURNS[matrix][1]
            self._graph = _graph(frame, steps) if steps else None
        if self._graph is None:
            return [*ready, frame]
        self._graph.vpush(frame)
        return ready + _pulled(self._graph)

    def rest(self) -> list[av.VideoFrame]:
        """The remaining frames, when no other follows."""
        graph, self._graph, self._kind = self._graph, None, ()
        if graph is None:
            return []
        graph.vpush(None)
        return _pulled(graph)

    def _steps(self, frame: av.VideoFrame, square: tuple[int, int]) -> Steps:
        """The filters to ``square`` (width, height) in 4:2:0; none if the frame is that already."""
        width, height = square
        size = {"w": str(width), "h": str(height), "flags": "bicubic"}
        steps: Steps = []
        if self._interlaced:
            steps.append(("bwdif", {"mode": "send_frame", "deint": "interlaced"}))
        if frame.color_trc in (hdr.PQ, hdr.HLG) and not frame.format.is_rgb:
            steps += _standard_range(frame, size)
        elif frame.format.name not in _PLANAR_420 or (frame.width, frame.height) != square:
            steps += _planar_420(frame, size)
        return steps


def _square(width: int, height: int, pixel: Fraction | None) -> tuple[int, int]:
    """The size in square pixels."""
    if pixel is None or not Fraction(1, _LONGEST_PIXEL) <= pixel <= _LONGEST_PIXEL:
        return width, height
    if width * pixel >= width + 1:
        return 2 * round(width * pixel / 2), height
    if height / pixel >= height + 1:
        return width, 2 * round(height / pixel / 2)
    return width, height


def _planar_420(frame: av.VideoFrame, size: dict[str, str]) -> Steps:
    """The filters to 4:2:0 of this size with unchanged colour tags."""
    # Colorspace has FFmpeg's numbers.
    matrix, levels = str(int(_matrix(frame))), str(int(_range(_full_range(frame))))
    options = size | {"out_color_matrix": matrix, "out_range": levels}
    if not frame.format.is_rgb:
        options |= {"in_color_matrix": matrix, "in_range": levels}
    return [("scale", options), ("format", {"pix_fmts": "yuv420p"})]


def _standard_range(frame: av.VideoFrame, size: dict[str, str]) -> Steps:
    """The filters from high dynamic range to 4:2:0 of this size in BT.709. lut3d is fastest for floats."""
    matrix = _MATRICES.get(frame.colorspace, Colorspace.BT2020)
    return [
        ("scale", size | {"in_color_matrix": str(int(matrix)), "in_range": str(int(_range(_full_range(frame))))}),
        ("format", {"pix_fmts": "gbrpf32"}),
        ("lut3d", {"file": hdr.sdr_table(frame.color_trc)}),
        ("scale", {"flags": "bicubic", "out_color_matrix": "bt709", "out_range": "tv"}),
        ("format", {"pix_fmts": "yuv420p"}),
        ("setparams", {"color_primaries": "bt709", "color_trc": "bt709"}),
    ]


def _graph(frame: av.VideoFrame, steps: Steps) -> av.filter.Graph:
    graph = av.filter.Graph()
    size = f"{frame.width}x{frame.height}"
    tags = {"colorspace": str(frame.colorspace), "range": str(frame.color_range)}
    source = graph.add("buffer", video_size=size, pix_fmt=frame.format.name, time_base="1/1000", **tags)
    nodes = [
        _lut3d(graph, options["file"]) if name == "lut3d" else graph.add(name, **options) for name, options in steps
    ]
    graph.link_nodes(source, *nodes, graph.add("buffersink")).configure()
    return graph


def _lut3d(graph: av.filter.Graph, table: str) -> av.filter.context.FilterContext:
    """Make the filter, which reads its table from a file when it is created."""
    with tempfile.NamedTemporaryFile("w", suffix=".cube") as file:
        file.write(table)
        file.flush()
        return graph.add("lut3d", file=file.name)


def _pulled(graph: av.filter.Graph) -> list[av.VideoFrame]:
    frames = []
    with suppress(av.error.BlockingIOError, av.error.EOFError):
        while True:
            frames.append(graph.vpull())
    return frames


def _display_matrix(frame: av.VideoFrame) -> tuple[int, int, int, int]:
    """The display matrix as quarter turns and reflections; other angles are rounded."""
    # Not frame.side_data, which would form a reference cycle with the frame and keep it until a garbage collection.
    data = SideDataContainer(frame).get("DISPLAYMATRIX")  # type: ignore[call-arg]  # its stub lacks it
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
    """The frame's matrix; for an untagged one mpv's guess: BT.709 for high definition, else BT.601."""
    short, long = sorted((frame.width, frame.height))
    guess = Colorspace.ITU709 if long >= 1280 or short > 576 else Colorspace.ITU601
    return _MATRICES.get(frame.colorspace, guess)
