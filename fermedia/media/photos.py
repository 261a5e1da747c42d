"""Read photos as upright 8-bit RGB."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from fermedia.errors import MediaError
from fermedia.files import shown
from fermedia.pictures import ArrayPicture
from fermedia.types import Picture

#: Above this many pixels a photo is taken for a decompression bomb. As RGB, 300 megapixels are 0.9 GB.
MAX_PIXELS = 300_000_000

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


def read_photo(path: Path) -> Picture:
    """The photo as a viewer shows it: upright by its EXIF orientation, RGB; the first picture of an animation.

    Transparent parts are laid on white. 16-bit grey is scaled to 8 bits, CMYK converted without a colour profile.
    Raises MediaError for a file that is missing, damaged, not a picture, or larger than ``MAX_PIXELS``.
    """
    try:
        with _quiet_pillow(), Image.open(path) as image:
            _refuse_bombs(image, path)
            image.load()
            return ArrayPicture(np.asarray(_eight_bit_rgb(_upright(image))))
    except FileNotFoundError:
        raise MediaError(f"{shown(path)}: no such file") from None
    except PermissionError:
        raise MediaError(f"{shown(path)}: no permission to read it") from None
    except UnidentifiedImageError as error:
        raise MediaError(f"{shown(path)}: {_why_not(path)}") from error
    except DAMAGE as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise MediaError(f"{shown(path)}: the picture is damaged ({reason})", "decode") from error


@contextmanager
def _quiet_pillow() -> Iterator[None]:
    """No limit but ours on the size, and no warnings about odd metadata."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _refuse_bombs(image: Image.Image, path: Path) -> None:
    if image.width * image.height > MAX_PIXELS:
        size, most = f"{image.width} x {image.height} pixels", MAX_PIXELS // 1_000_000
        raise MediaError(f"{shown(path)}: {size} are too many (at most {most} million); make it smaller")


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except DAMAGE:  # the EXIF data, not the picture
        return image


def _eight_bit_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":  # Pillow's own conversion would clip at 255
        return Image.fromarray(_scaled(np.asarray(image))).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def _scaled(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Deep grey as uint8. Integers are 16 bits deep, floats reach to 1, 255 or 65535; other ranges are stretched."""
    limits = (1, 255, 65535) if values.dtype.kind == "f" else (65535,)
    gray = np.nan_to_num(values.astype(np.float32), posinf=0, neginf=0)
    low, high = float(gray.min()), float(gray.max())
    fitting = [limit for limit in limits if low >= 0 and high <= limit]
    floor, full = (0.0, fitting[0]) if fitting else (low, high - low or 1)
    scaled: NDArray[np.uint8] = np.round((gray - floor) * (255 / full)).astype(np.uint8)
    return scaled


def _why_not(path: Path) -> str:
    if path.stat().st_size == 0:
        return "the file is empty"
    if path.suffix.lower() in (".heic", ".heif"):
        return "HEIC pictures cannot be read; convert them to JPEG"
    return "not a picture that can be read"
