"""Read photos as upright 8-bit sRGB."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, UnidentifiedImageError
from PIL.ExifTags import Base

from fermedia.errors import MediaError
from fermedia.files import shown
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
    sRGB; without one, CMYK is converted by the plain formula. Transparent parts are laid on white. Grey of more than
    8 bits is scaled.

    Raises MediaError for a file that is missing, damaged or cut off, not a picture, or larger than ``MAX_PIXELS``.
    """
    try:
        with open_image(path) as image:
            _refuse_bombs(image, path)
            image.load()
            return ArrayPicture(_upright_rgb(image))
    except FileNotFoundError:
        raise MediaError(f"{shown(path)}: no such file") from None
    except PermissionError:
        raise MediaError(f"{shown(path)}: no permission to read it") from None
    except UnidentifiedImageError as error:
        reason = "the file is empty" if path.stat().st_size == 0 else "not a picture that can be read"
        raise MediaError(f"{shown(path)}: {reason}") from error
    except DAMAGE as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise MediaError(f"{shown(path)}: the picture is damaged ({reason})", "decode") from error


@contextmanager
def open_image(path: Path) -> Iterator[Image.Image]:
    """A picture's header, of any format, without Pillow's warnings and its limit on the size.

    Raises UnidentifiedImageError for what is no picture, and any of ``DAMAGE``.
    """
    with _UNGUARDED, _heif(path) if _is_heif(path) else Image.open(path) as image:
        yield image


def pixels(path: Path) -> int:
    """How many pixels a photo has, by its header; 0 where it cannot be read."""
    try:
        with open_image(path) as image:
            return image.width * image.height
    except DAMAGE:
        return 0


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


def _refuse_bombs(image: Image.Image, path: Path) -> None:
    if image.width * image.height > MAX_PIXELS:
        size, most = f"{image.width} x {image.height} pixels", MAX_PIXELS // 1_000_000
        raise MediaError(f"{shown(path)}: {size} are too many (at most {most} million); make it smaller")


def _upright_rgb(image: Image.Image) -> Color:
    """The loaded picture as RGB (h, w, 3), C-contiguous. Beside the two, only strips of it are held."""
    width, height = image.size
    orientation = _orientation(image)
    upright = np.empty((width, height, 3) if orientation >= 5 else (height, width, 3), np.uint8)
    stored = _STORED[orientation](upright)
    to_rgb = _conversion(image)
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


def _conversion(image: Image.Image) -> Callable[[Image.Image], NDArray[np.uint8]]:
    """What makes RGB (h, w, 3), or grey (h, w, 1), of the picture's strips."""
    if image.mode.startswith("I") or image.mode == "F":  # Pillow's own conversion would clip at 255
        floor, full = _levels(image)
        return lambda strip: np.round((_numbers(strip) - floor) * (255 / full)).astype(np.uint8)[:, :, None]
    mode = "RGBA" if image.has_transparency_data else image.mode if image.mode in ("L", "CMYK") else "RGB"
    to_srgb = _profile(image, mode)

    def to_rgb(strip: Image.Image) -> NDArray[np.uint8]:
        strip = strip if strip.mode == mode else strip.convert(mode)
        strip = to_srgb.apply(strip) if to_srgb else strip
        if mode == "RGBA":
            strip = Image.alpha_composite(Image.new("RGBA", strip.size, "white"), strip)
        return np.asarray(strip.convert("RGB"))

    return to_rgb


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
    """(black, white - black) of deep grey. Integers are 16 bits deep, floats reach to 1, 255 or 65535.

    Other ranges are stretched.
    """
    limits = (1, 255, 65535) if image.mode == "F" else (65535,)
    extremes = [(values.min(), values.max()) for values in map(_numbers, _strips(image))]
    low, high = float(min(low for low, _ in extremes)), float(max(high for _, high in extremes))
    fitting = [limit for limit in limits if low >= 0 and high <= limit]
    return (0.0, fitting[0]) if fitting else (low, high - low or 1)


def _numbers(strip: Image.Image) -> NDArray[np.float32]:
    return np.nan_to_num(np.asarray(strip).astype(np.float32), posinf=0, neginf=0)
