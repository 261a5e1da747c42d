"""Open images of any format with Pillow, and read their headers."""

from __future__ import annotations

import ctypes
import ctypes.util
import logging
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock

from PIL import Image, UnidentifiedImageError

#: What Pillow's readers raise for damaged files. Catch them around Pillow's calls only: around our own code they would
#: present our errors as damaged files.
DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    ArithmeticError,
    MemoryError,
    RuntimeError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)

#: Brands of ISO files (ISO/IEC 23008-12, annex B) that libheif reads, and those that Pillow reads itself.
_HEIF = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
_AVIF = {b"avif", b"avis"}


@contextmanager
def open_image(path: Path) -> Iterator[Image.Image]:
    """Open an image of any format, without Pillow's warnings and size limit; only the header is read.

    Raises UnidentifiedImageError if the file is no image, and any of ``DAMAGE``.
    """
    if path.exists() and not path.is_file():  # reading a pipe could block
        raise UnidentifiedImageError("not a regular file")
    with _UNGUARDED, _heif(path) if _is_heif(path) else Image.open(path) as image:
        yield image


def further_images(path: Path) -> int:
    """The number of images after the first, as pages or an animation; 0 if the file cannot be read.

    Images that cameras add to the main one (depth, a second eye) do not count.
    """
    try:
        with open_image(path) as image:
            return getattr(image, "n_frames", 1) - 1 if image.format in _SEVERAL else 0
    except DAMAGE:
        return 0


#: Formats whose files may contain pages or an animation.
_SEVERAL = {"TIFF", "WEBP", "PNG", "AVIF", "GIF"}


def pixels(path: Path) -> int:
    """The number of pixels of a photo by its header; 0 if it cannot be read."""
    try:
        with open_image(path) as image:
            return image.width * image.height
    except DAMAGE:
        return 0


def _silence() -> None:
    """Keep libtiff from printing its warnings, and Pillow from logging without a configured handler."""
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    beside = Path(Image.__file__).parents[1] / "pillow.libs"  # in wheels
    system = ctypes.util.find_library("tiff") if not beside.is_dir() else None
    for library in [*map(str, beside.glob("libtiff*")), *([system] if system else [])]:
        with suppress(OSError, AttributeError):
            loaded = ctypes.CDLL(library)
            for handler in (loaded.TIFFSetErrorHandler, loaded.TIFFSetWarningHandler):
                handler.restype, handler.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
                handler(None)


_silence()


class _Unguarded:
    """Disable Pillow's warnings and limit, which are global to the process, while any thread is inside."""

    def __init__(self) -> None:
        self._lock, self._inside = Lock(), 0

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._warnings = warnings.catch_warnings()
                self._warnings.__enter__()
                warnings.simplefilter("ignore")
                self._limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                Image.MAX_IMAGE_PIXELS = self._limit
                self._warnings.__exit__(None, None, None)


_UNGUARDED = _Unguarded()


def _is_heif(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(64)
    if head[4:8] != b"ftyp":
        return False
    end = min(int.from_bytes(head[:4], "big"), len(head))
    brands = {head[i : i + 4] for i in range(8, end, 4)}
    return bool(brands & _HEIF) and not brands & _AVIF


def _heif(path: Path) -> Image.Image:
    from pillow_heif import HeifImageFile  # imported only for such photos

    return HeifImageFile(path)
