"""Open a video file with FFmpeg, and select its video stream."""

from __future__ import annotations

import os
from fractions import Fraction
from io import FileIO
from pathlib import Path

import av
from av.stream import Disposition

from fermedia.errors import MediaError
from fermedia.files import shown
from fermedia.media.claims import data_end, has_index

#: Formats that list other files, and plain text, which FFmpeg would render as a terminal's output.
_NOT_VIDEOS = {"concat", "concatf", "dash", "hls", "tty"}

#: The size in bytes above which a hole at a file's end is not read.
_LARGE_HOLE = 1 << 26

#: The most pixels of a video's frames: fewer than of a photo (``media.photos``), since several are held at a time.
MOST_PIXELS = 100_000_000


def frame_size(path: Path) -> tuple[int, int]:
    """(width, height) of a video's frames as declared in its header; decodes nothing. Raises MediaError."""
    with open_video(path) as container:
        context = image_stream(container, path).codec_context
        return context.width, context.height


def check_pixels(path: Path, width: int, height: int) -> None:
    """Raise MediaError for frames of more than ``MOST_PIXELS``."""
    if width * height > MOST_PIXELS:
        size, most = f"frames of {width} x {height} pixels", MOST_PIXELS // 1_000_000
        raise MediaError(f"{shown(path)}: {size} are too many (at most {most} million); make it smaller")


def open_video(path: Path) -> av.container.InputContainer:
    """Open a video with FFmpeg. Raises MediaError with the reason."""
    if path.exists() and not (path.is_file() or path.is_dir()):  # reading a pipe could block
        raise MediaError(f"{shown(path)}: not a regular file")
    try:
        return open_container(path)
    except (av.FFmpegError, OSError) as error:
        raise MediaError(f"{shown(path)}: {_reason(path, error)}") from error


def open_container(path: Path) -> av.container.InputContainer:
    """Open a video with FFmpeg. Raises av.FFmpegError, OSError.

    A large hole at the file's end is not read: in some formats FFmpeg would search all of it for frames.
    """
    # The absolute path keeps FFmpeg from parsing "a:b.mp4" as a protocol; titles may be in any encoding.
    name, options = str(path.absolute()), {"protocol_whitelist": "file"}
    if hole_at_end(path):
        return av.open(_Beginning(path), "r", options=options, metadata_errors="replace")
    return av.open(name, "r", options=options, metadata_errors="replace")


def hole_at_end(path: Path) -> int:
    """The size in bytes of a large hole at the file's end; 0 if there is none."""
    if not path.is_file():
        return 0
    hole = path.stat().st_size - data_end(path)
    return hole if hole > _LARGE_HOLE else 0


class _Beginning(FileIO):
    """A file up to the hole at its end."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._end = data_end(path)

    def read(self, size: int | None = -1, /) -> bytes:
        left = max(0, self._end - self.tell())
        return super().read(left if size is None or size < 0 else min(size, left))

    def seek(self, place: int, whence: int = os.SEEK_SET, /) -> int:
        return super().seek(self._end + place) if whence == os.SEEK_END else super().seek(place, whence)


def image_stream(container: av.container.InputContainer, path: Path) -> av.VideoStream:
    """The video stream to analyse. Raises MediaError where none can be decoded."""
    streams = image_streams(container)
    if not streams or container.format.name in _NOT_VIDEOS:
        if "mov" in container.format.name and not len(container.streams):
            raise MediaError(f"{shown(path)}: {_index_reason(path)}")
        what = "audio without an image" if container.streams.audio else "no image in it"
        raise MediaError(f"{shown(path)}: not a video ({what})")
    best = container.streams.best("video")
    stream = best if best in streams else streams[0]
    if stream.codec_context is None:
        raise MediaError(f"{shown(path)}: its video codec is not known to FFmpeg; convert it to H.264")
    check_pixels(path, stream.codec_context.width, stream.codec_context.height)
    return stream


def image_streams(container: av.container.InputContainer) -> list[av.VideoStream]:
    """All video streams but cover images."""
    return [stream for stream in container.streams.video if not _is_cover(stream)]


def start_time(container: av.container.InputContainer) -> Fraction:
    """The earliest start of video or audio, where a player's clock begins, in seconds by the container's clock.

    Audio before zero is an encoder's priming, which is not played.
    """
    starts = [
        max(stream.start_time * stream.time_base, Fraction(0))
        if stream.type == "audio"
        else stream.start_time * stream.time_base
        for stream in (*container.streams.video, *container.streams.audio)
        if stream.start_time is not None and stream.time_base and not _is_cover(stream)
    ]
    return min(starts, default=Fraction(0))


def in_words(error: av.FFmpegError | OSError) -> str:
    """The message of FFmpeg or the system for an error."""
    return error.strerror or str(error)


def _is_cover(stream: av.stream.Stream) -> bool:
    return bool(stream.disposition & Disposition.attached_pic)


def _index_reason(path: Path) -> str:
    """Why an mp4 or mov has no readable streams."""
    if has_index(path):
        return "its index (moov) cannot be read; it is damaged"
    return "incomplete: it ends before its index (moov), as after a recording or copy that was broken off"


def _reason(path: Path, error: av.FFmpegError | OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, PermissionError):
        return "no permission to read it"
    if path.is_file() and path.stat().st_size == 0:
        return "the file is empty"
    if path.is_file():
        with path.open("rb") as file:
            if file.read(8)[4:] == b"ftyp":
                return _index_reason(path)
    return f"not a video that can be read ({in_words(error)})"
