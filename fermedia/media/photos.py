"""Read photos as upright 8-bit sRGB."""

from __future__ import annotations

import ctypes
import ctypes.util
import hashlib
import logging
import re
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageFilter, UnidentifiedImageError
from PIL.ExifTags import Base

from fermedia.errors import MediaError
from fermedia.files import shown
from fermedia.media import hdr
from fermedia.pictures import ArrayPicture
from fermedia.types import Color, Picture

#: Above this many pixels a photo is taken for a decompression bomb. While it is read, a pixel takes 7 bytes: 1.75 GB.
MAX_PIXELS = 250_000_000

#: What Pillow's readers raise for files that are damaged inside.
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

#: Pixels that are converted at a time, so that a large photo is never held in two more copies.
_STRIP = 1 << 20

#: Brands of ISO files (ISO/IEC 23008-12, annex B) that libheif reads, and those that are Pillow's own.
_HEIF = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
_AVIF = {b"avif", b"avis"}

#: EXIF orientation -> the upright picture seen as it is stored: a view, through which the stored rows are written.
_STORED: dict[int, Callable[[Color], Color]] = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: upright.swapaxes(0, 1)[::-1],
    7: lambda upright: upright.swapaxes(0, 1)[::-1, ::-1],
    8: lambda upright: upright.swapaxes(0, 1)[:, ::-1],
}


def read_photo(path: Path) -> Picture:
    """The photo as a viewer shows it: upright, sRGB; the first picture of an animation, the main one of a HEIC file.

    It is turned by its EXIF orientation, HEIC and AVIF by their own boxes. Colours of an embedded ICC profile become
    sRGB; without one, CMYK is converted by the plain formula. High dynamic range (PQ, HLG) becomes standard range.
    Transparent parts are laid on white. Grey of more than 8 bits is scaled by its range. A JPEG that lacks nothing but
    the mark at its end is whole.

    Raises MediaError for a file that is missing, no regular file, damaged or cut off, not a picture, a raw one, or
    larger than ``MAX_PIXELS``.
    """
    try:
        with open_image(path) as image:
            _refuse(image, path)
            try:
                image.load()
            except OSError:
                with _ended(path, image) as whole:
                    return ArrayPicture(_upright_rgb(whole, path))
            return ArrayPicture(_upright_rgb(image, path))
    except FileNotFoundError:
        raise MediaError(f"{shown(path)}: no such file") from None
    except PermissionError:
        raise MediaError(f"{shown(path)}: no permission to read it") from None
    except UnidentifiedImageError as error:
        reason = "the file is empty" if path.stat().st_size == 0 else "not a picture that can be read"
        reason = reason if path.is_file() else "no regular file"
        raise MediaError(f"{shown(path)}: {reason}") from error
    except DAMAGE as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise MediaError(f"{shown(path)}: the picture is damaged ({reason})", "decode") from error


@contextmanager
def open_image(path: Path) -> Iterator[Image.Image]:
    """A picture's header, of any format, without Pillow's warnings and its limit on the size.

    Raises UnidentifiedImageError for what is no picture, and any of ``DAMAGE``.
    """
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise UnidentifiedImageError("no regular file")
    with _UNGUARDED, _heif(path) if _is_heif(path) else Image.open(path) as image:
        yield image


def further_pictures(path: Path) -> int:
    """How many pictures a file holds behind the first, as pages or as an animation; 0 where it cannot be read.

    Those that cameras add to one picture (depth, a second eye) do not count.
    """
    try:
        with open_image(path) as image:
            return getattr(image, "n_frames", 1) - 1 if image.format in _SEVERAL else 0
    except DAMAGE:
        return 0


#: Formats whose files may hold pages or an animation.
_SEVERAL = {"TIFF", "WEBP", "PNG", "AVIF", "GIF"}


@contextmanager
def _ended(path: Path, image: Image.Image) -> Iterator[Image.Image]:
    """A JPEG whose end is missing, with an end, if that costs no pixel: whatever stands before it makes no difference.

    Raises the OSError that is being handled for all else.
    """
    if image.format not in ("JPEG", "MPO") or image.info.get("progressive") or image.info.get("progression"):
        raise
    content = path.read_bytes()
    pixels = set()
    for filler in (b"", bytes(_FILLER), bytes([0x55]) * _FILLER):
        with Image.open(BytesIO(content + filler + _JPEG_END)) as filled:
            filled.load()
            pixels.add(hashlib.sha256(filled.tobytes()).digest())
    if len(pixels) > 1:
        raise
    with Image.open(BytesIO(content + _JPEG_END)) as ended:
        ended.load()
        yield ended


_JPEG_END, _FILLER = b"\xff\xd9", 4096


def pixels(path: Path) -> int:
    """How many pixels a photo has, by its header; 0 where it cannot be read."""
    try:
        with open_image(path) as image:
            return image.width * image.height
    except DAMAGE:
        return 0


def _silence() -> None:
    """Keep libtiff from printing what it thinks of a file, and Pillow from saying it without being asked."""
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    beside = Path(Image.__file__).parents[1] / "pillow.libs"  # where wheels have it
    system = ctypes.util.find_library("tiff") if not beside.is_dir() else None
    for library in [*map(str, beside.glob("libtiff*")), *([system] if system else [])]:
        with suppress(OSError, AttributeError):
            loaded = ctypes.CDLL(library)
            for handler in (loaded.TIFFSetErrorHandler, loaded.TIFFSetWarningHandler):
                handler.restype, handler.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
                handler(None)


_silence()


class _Unguarded:
    """Takes away Pillow's warnings and limit, which are the whole process's, as long as any thread is inside."""

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
    from pillow_heif import HeifImageFile  # only those who have such photos wait for it

    return HeifImageFile(path)


def _refuse(image: Image.Image, path: Path) -> None:
    """Raises MediaError for what must not be loaded: bombs, strips, and raw pictures, of which Pillow has a preview."""
    size = f"{image.width} x {image.height} pixels"
    if image.width * image.height > MAX_PIXELS:
        raise MediaError(
            f"{shown(path)}: {size} are too many (at most {MAX_PIXELS // 1_000_000} million); make it smaller"
        )
    if max(image.size) > _LONGEST:
        raise MediaError(f"{shown(path)}: {size} are a strip, no picture; cut it into pieces")
    tags = getattr(image, "tag_v2", None)
    if tags is not None and image.format == "TIFF":
        is_raw = _DNG_VERSION in tags and tags.get(_PHOTOMETRIC) not in _PLAIN
        if is_raw or tags.get(_SUBFILE, 0) & 1 or _is_canon_raw(path):
            raise MediaError(
                f"{shown(path)}: a raw picture, of which only the preview could be read; develop it to JPEG"
            )


#: The longest side in pixels: OpenCV writes no longer one.
_LONGEST = 1_000_000

#: Tags of TIFF (6.0; DNG 1.7): what kind of page it is (the lowest bit: a smaller copy of another), what its values
#: mean (grey, grey, RGB, palette, CMYK, YCbCr), and what all DNG have.
_SUBFILE, _PHOTOMETRIC, _PLAIN, _DNG_VERSION = 254, 262, (0, 1, 2, 3, 5, 6), 50706


def _is_canon_raw(path: Path) -> bool:
    """CR2, whose first page is a preview."""
    with path.open("rb") as file:
        return file.read(10)[8:] == b"CR"


def _upright_rgb(image: Image.Image, path: Path) -> Color:
    """The loaded picture as RGB (h, w, 3), C-contiguous. Beside the two, only strips of it are held."""
    width, height = image.size
    orientation = _orientation(image)
    upright = np.empty((width, height, 3) if orientation >= 5 else (height, width, 3), np.uint8)
    stored = _STORED[orientation](upright)
    to_rgb = _conversion(image, path)
    top = 0
    for strip in _strips(image):
        stored[top : top + strip.height] = to_rgb(strip)
        top += strip.height
    return upright


def _strips(image: Image.Image) -> Iterator[Image.Image]:
    rows = max(1, _STRIP // image.width)
    for top in range(0, image.height, rows):
        yield image.crop((0, top, image.width, min(top + rows, image.height)))


def _orientation(image: Image.Image) -> int:
    """EXIF's, 1..8. The readers of HEIC and TIFF have turned the picture already, and then it is 1."""
    try:
        value = image.getexif().get(Base.Orientation, 1)
        return value if value in _STORED else 1
    except DAMAGE:  # the EXIF data, not the picture
        return 1


def _conversion(image: Image.Image, path: Path) -> Callable[[Image.Image], NDArray[np.uint8]]:
    """What makes RGB (h, w, 3), or grey (h, w, 1), of the picture's strips."""
    if transfer := _high_range(image, path):
        table = hdr.sdr_nodes(transfer).astype(np.float32).ravel()
        to_sdr = ImageFilter.Color3DLUT(hdr.NODES, table, _copy_table=False)
        return lambda strip: np.asarray(_on_white(strip).filter(to_sdr))
    if image.mode.startswith("I") or image.mode == "F":  # Pillow's own conversion would clip at 255
        floor, full = _levels(image)
        return lambda strip: np.round((_numbers(strip) - floor) * (255 / full)).astype(np.uint8)[:, :, None]
    mode = "RGBA" if image.has_transparency_data else image.mode if image.mode in ("L", "CMYK") else "RGB"
    to_srgb = _profile(image, mode)

    def to_rgb(strip: Image.Image) -> NDArray[np.uint8]:
        strip = strip if strip.mode == mode else strip.convert(mode)
        return np.asarray(_on_white(to_srgb.apply(strip) if to_srgb else strip))

    return to_rgb


def _on_white(strip: Image.Image) -> Image.Image:
    """RGB, with transparent parts laid on white."""
    if strip.mode == "RGBA":
        strip = Image.alpha_composite(Image.new("RGBA", strip.size, "white"), strip)
    return strip.convert("RGB")


def _high_range(image: Image.Image, path: Path) -> int | None:
    """hdr.PQ or hdr.HLG where the file says so: in HEIC's and AVIF's colour box, in PNG's cICP, or by its profile."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    # Behind the mark stand primaries, transfer and matrix, in one or two bytes each.
    mark, bytes_each = {"HEIF": (b"colrnclx", 2), "AVIF": (b"colrnclx", 2), "PNG": (b"cICP", 1)}.get(
        image.format or "", (b"", 0)
    )
    if mark and (at := head.find(mark)) >= 0:
        at += len(mark) + bytes_each
        if (code := int.from_bytes(head[at : at + bytes_each])) in (hdr.PQ, hdr.HLG):
            return code
    return _profile_range(image.info.get("icc_profile"))


def _profile_range(profile: bytes | None) -> int | None:
    """The same by an ICC profile: its cicp tag (ICC.1:2022, 9.2.17), else its name."""
    if not profile:
        return None
    at = profile.find(b"cicp\0\0\0\0")  # the tag's content, not its place in the table
    if at >= 0 and profile[at + 9] in (hdr.PQ, hdr.HLG):
        return profile[at + 9]
    try:
        name = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(BytesIO(profile)))
    except (*DAMAGE, ImageCms.PyCMSError):
        return None
    words = set(re.split("[^A-Za-z0-9]+", name))
    return hdr.PQ if words & {"PQ", "ST2084", "2084"} else hdr.HLG if "HLG" in words else None


#: Bytes of a file in which the marks of high dynamic range are looked for.
_HEAD = 1 << 16


def _profile(image: Image.Image, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From the colours of the embedded profile to sRGB; None where there is none, none for this mode, or no need."""
    try:
        profile = ImageCms.ImageCmsProfile(BytesIO(image.info["icc_profile"]))
        if "sRGB" in ImageCms.getProfileDescription(profile):
            return None
        result = "RGBA" if mode == "RGBA" else "RGB"
        return ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), mode, result)
    except (*DAMAGE, ImageCms.PyCMSError):  # the profile, not the picture
        return None


def _levels(image: Image.Image) -> tuple[float, float]:
    """(black, white - black) of deep grey. Floats reach to 1, 255 or 65535; integers are as many bits deep as the file
    says, or else the fewest of 10, 12, 14 and 16 that hold them all.

    Other ranges are stretched.
    """
    limits = (1, 255, 65535) if image.mode == "F" else _depths(image)
    extremes = [(values.min(), values.max()) for values in map(_numbers, _strips(image))]
    low, high = float(min(low for low, _ in extremes)), float(max(high for _, high in extremes))
    if image.mode != "F" and high < 256:  # so dark that it says nothing of its range
        limits = (65535,)
    fitting = [limit for limit in limits if low >= 0 and high <= limit]
    return (0.0, fitting[0]) if fitting else (low, high - low or 1)


def _depths(image: Image.Image) -> tuple[int, ...]:
    """The numbers that may be white in grey of 16 bits."""
    tags = getattr(image, "tag_v2", None) or {}
    declared = tags.get(_MOST_VALUE)
    declared = declared[0] if isinstance(declared, tuple) and declared else declared
    if isinstance(declared, int) and 0 < declared < 65535:
        return declared, 65535
    return tuple(2**bits - 1 for bits in (10, 12, 14, 16))


#: TIFF's MaxSampleValue.
_MOST_VALUE = 281


def _numbers(strip: Image.Image) -> NDArray[np.float32]:
    return np.nan_to_num(np.asarray(strip).astype(np.float32), posinf=0, neginf=0)
