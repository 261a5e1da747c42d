"""Read a file's headers and index: the video's duration, its frames' positions, and whether the file is complete."""

from __future__ import annotations

import os
import re
import struct
import sys
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

#: FFmpeg's unit of a file's duration, in ticks per second (AV_TIME_BASE).
_TICKS = 1_000_000

#: Bytes of a chunk's header; the index has the header's position, a packet that of the content after it.
_HEADER = 8


def video_length(container: Any, stream: Any) -> tuple[Fraction | None, bool]:
    """The declared duration: (seconds or None, whether it is the video stream's and not only the file's)."""
    if container.format.name == "avi" and stream.frames and stream.average_rate:
        return stream.frames / stream.average_rate, True  # the header's; FFmpeg shortens the duration of a cut file
    if stream.duration and stream.time_base:
        return stream.duration * stream.time_base, True
    end = re.fullmatch(r"(\d+):(\d+):(\d+\.?\d*)", stream.metadata.get("DURATION", ""))
    if end and stream.time_base:  # Matroska's tag says where the track ends
        seconds = int(end[1]) * 3600 + int(end[2]) * 60 + Fraction(end[3])
        return seconds - (stream.start_time or 0) * stream.time_base, True
    if container.duration:
        return Fraction(container.duration, _TICKS), not container.streams.audio
    return None, False


def is_whole(path: Path, name: str, stream: Any) -> bool:
    """Whether the file has the size that its structure declares, so that nothing was cut off, whatever durations its
    header has; False where it declares none. ``name`` is FFmpeg's name of the format."""
    size = path.stat().st_size
    if "mov" in name:
        if not stream.frames:  # of a fragmented one, FFmpeg lists what it has read so far
            return False
        return max((entry.pos + entry.size for entry in stream.index_entries), default=size + 1) <= size
    with path.open("rb") as file:
        if "matroska" in name:
            end = _matroska_end(file)
            return end is not None and end <= size
        if name == "asf":
            header = file.read(_ASF_SEARCHED)
            at = header.find(_ASF_PROPERTIES)
            # The file's size follows the object's size and an id.
            return 0 <= at <= len(header) - 48 and 0 < struct.unpack_from("<Q", header, at + 40)[0] <= size
        if name == "ogg":
            return _is_ended_ogg(file, size)
    return False


#: The id of ASF's file properties (Advanced Systems Format 3.2), and how many bytes are searched for it.
_ASF_PROPERTIES, _ASF_SEARCHED = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365"), 1 << 16

#: The largest page of Ogg in bytes (RFC 3533, 6).
_OGG_PAGE = 65_307


def _matroska_end(file: BinaryIO) -> int | None:
    """The segment's end by its declared size; None where that is unknown, as in live recordings, or not found."""
    at = 0
    for wanted in (_EBML, _SEGMENT):
        file.seek(at)
        header = file.read(12)
        if header[:4] != wanted or len(header) < 12:
            return None
        digits = 9 - header[4].bit_length()
        length = int.from_bytes(header[4 : 4 + digits]) & ((1 << 7 * digits) - 1)
        if not 1 <= digits <= 8 or length == (1 << 7 * digits) - 1:
            return None
        at += 4 + digits + length
    return at


_EBML, _SEGMENT = bytes.fromhex("1a45dfa3"), bytes.fromhex("18538067")


def _is_ended_ogg(file: BinaryIO, size: int) -> bool:
    """Whether the last page is marked as a stream's last."""
    file.seek(max(0, size - _OGG_PAGE))
    tail = file.read()
    at = tail.rfind(b"OggS")
    return 0 <= at < len(tail) - 5 and bool(tail[at + 5] & 4)


def ends_within_a_packet(path: Path) -> bool:
    """Whether a transport stream ends within a packet, so was cut off; it declares no size.

    A packet is 188 bytes from a sync byte on (ISO/IEC 13818-1), in some files after 4 bytes of a camera's or before 16
    of a tuner's.
    """
    with path.open("rb") as file:
        file.seek(-min(20 * 204, path.stat().st_size), os.SEEK_END)
        tail = file.read()
    for step in (188, 192, 204):
        for first in range(min(step, len(tail))):
            if set(tail[first::step]) == {0x47}:
                return (len(tail) - first - 1) % step + 1 < 188
    return False


def has_index(path: Path) -> bool:
    """Whether an mp4 or mov contains its whole index (moov) among its top-level boxes."""
    size, at = path.stat().st_size, 0
    with path.open("rb") as file:
        for _ in range(_MOST_BOXES):
            file.seek(at)
            header = file.read(16)
            if len(header) < 8:
                return False
            length = int.from_bytes(header[:4])
            length = int.from_bytes(header[8:]) if length == 1 else length or size - at
            if header[4:8] == b"moov":
                return at + length <= size
            at += max(length, 8)
    return False


#: The most boxes that are searched.
_MOST_BOXES = 10_000


def is_cropped(path: Path) -> bool:
    """Whether a Matroska file declares that the edges of its image are cropped; FFmpeg shows them."""
    with path.open("rb") as file:
        data = file.read(_MATROSKA_HEADER)
    return any(int.from_bytes(data[begin:end]) for begin, end in _inside(data, 0, len(data), _TO_CROP))


#: Bytes of a Matroska file that are searched for its tracks.
_MATROSKA_HEADER = 1 << 20

#: The path of elements to the cropping: segment, tracks, track, video; then bottom, top, left, right.
_TO_CROP = ({0x18538067}, {0x1654AE6B}, {0xAE}, {0xE0}, {0x54AA, 0x54BB, 0x54CC, 0x54DD})


def _inside(data: bytes, at: int, end: int, path: tuple[set[int], ...]) -> Iterator[tuple[int, int]]:
    """(begin, end) of the content of all elements on a path of ids, between two positions in the data."""
    while at + 2 <= end:
        name_length, digits = 9 - data[at].bit_length(), 0
        if name_length <= 4 and at + name_length < end:
            digits = 9 - data[at + name_length].bit_length()
        begin = at + name_length + digits
        if not 1 <= digits <= 8 or begin > end:
            return
        name = int.from_bytes(data[at : at + name_length])
        size = int.from_bytes(data[at + name_length : begin]) & ((1 << 7 * digits) - 1)
        at = min(begin + size, end)
        if name in path[0]:
            yield from [(begin, at)] if len(path) == 1 else _inside(data, begin, at, path[1:])


def data_end(path: Path) -> int:
    """The end of the last byte of a file that was ever written; space allocated after it is a hole."""
    size = path.stat().st_size
    if sys.platform == "win32" or not hasattr(os, "SEEK_DATA"):
        return size
    with path.open("rb") as file:
        at = 0
        for _ in range(_MOST_HOLES):
            try:
                at = os.lseek(file.fileno(), os.lseek(file.fileno(), at, os.SEEK_DATA), os.SEEK_HOLE)
            except OSError:  # no data from there on, or a file system without holes
                return at or size
    return size


#: The most holes that are examined in a file.
_MOST_HOLES = 10_000


def ends_on_boundary(path: Path) -> bool:
    """Whether motion JPEG in parts (multipart/x-mixed-replace) ends correctly, where FFmpeg expects another part."""
    with path.open("rb") as file:
        file.seek(-min(_LAST_LINE, path.stat().st_size), os.SEEK_END)
        lines = file.read().rstrip().splitlines()
    return bool(lines) and lines[-1].startswith(b"--")


#: Bytes at the end that are searched for the last boundary.
_LAST_LINE = 256


#: The most consecutive empty elements: skipping millions of them would take minutes.
_MOST_EMPTY = 10_000

#: Matroska's elements that contain the video's: the segment and its clusters (RFC 9559).
_HOLDERS = {0x18538067, 0x1F43B675}

#: The elements that may occur in or beside them, which are skipped.
_ELEMENTS = {
    *(0x1A45DFA3, 0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1C53BB6B, 0x1941A469, 0x1043A770, 0x1254C367),
    *(0xE7, 0xA7, 0xAB, 0x5854, 0xA3, 0xA0, 0xAF, 0xEC, 0xBF),
}


def has_garbage(path: Path) -> bool:
    """Whether a Matroska file has other bytes where an element should be; FFmpeg skips them without an error."""
    size, at, empty = path.stat().st_size, 0, 0
    with path.open("rb") as file:
        while at < size:
            file.seek(at)
            header = file.read(12)
            length = 9 - header[0].bit_length()  # of the name
            name = int.from_bytes(header[:length])
            if name not in _HOLDERS | _ELEMENTS or length == len(header):
                return at + len(header) < size
            behind = header[length:]
            digits = 9 - behind[0].bit_length()  # of the size, whose first bit set says how many there are
            at += length + digits
            if name in _ELEMENTS:
                content = int.from_bytes(behind[:digits]) & ((1 << 7 * digits) - 1)
                at += content
                empty = 0 if content else empty + 1
                if empty > _MOST_EMPTY:
                    return True
    return False


class AviIndex:
    """An AVI's index: the positions of the frames in the file.

    An AVI's frames have no times: the n-th is shown at n / rate, so a lost frame would shift all that follow. With the
    index each keeps its own number. ``count`` is the number of frames in it, 0 without an index, as in a file that was
    cut off.
    """

    def __init__(self, stream: Any, path: Path) -> None:
        self._entries = stream.index_entries
        complete = _is_complete(path)  # otherwise FFmpeg lists what it has read so far
        self.count = len(self._entries) if complete else 0
        stamps = [entry.timestamp for entry in self._entries if entry.size] if complete else []
        #: The end of the last frame in ticks, without empty ones, which repeat their predecessor.
        self.end = stamps[-1] + min((b - a for a, b in pairwise(stamps)), default=1) if stamps else 0
        self._next = 0

    def place(self, packet: Any) -> bool:
        """Set the time of the stream's next packet from the index; return whether frames before it are lost."""
        lost = False
        while self._next < self.count and packet.pos is not None:
            entry = self._entries[self._next]
            if entry.pos + _HEADER > packet.pos:  # not in the index
                break
            self._next += 1
            if entry.pos + _HEADER == packet.pos:
                packet.dts = entry.timestamp
                break
            lost = lost or entry.size > 0  # an empty one repeats its predecessor
        return lost


def _is_complete(path: Path) -> bool:
    """Whether the file ends with its last RIFF chunk, which a file that was cut off does not."""
    size, end, chunks = path.stat().st_size, 0, 0
    with path.open("rb") as file:
        while end < size and (chunks := chunks + 1) < _MOST_EMPTY:
            file.seek(end, os.SEEK_SET)
            header = file.read(8)
            if len(header) < 8 or header[:4] != b"RIFF":
                return False
            length = struct.unpack_from("<I", header, 4)[0]
            end += 8 + length + length % 2
    return end - size in (0, 1)
