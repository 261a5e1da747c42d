"""Read photos as upright 8-bit sRGB."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage
from PIL import ImageCms, ImageFilter, UnidentifiedImageError
from PIL.ExifTags import Base

from fermedia.errors import MediaError
from fermedia.files import shown
from fermedia.images import ArrayImage
from fermedia.media import hdr
from fermedia.media.images import DAMAGE, open_image
from fermedia.types import Color, Image

#: A photo with more pixels counts as a decompression bomb. Reading takes 7 bytes for each pixel: 1.75 GB.
MAX_PIXELS = 250_000_000

#: Pixels that are converted at a time, so that a large photo does not need two more copies.
_STRIP = 1 << 20

#: EXIF orientation -> a view of the upright image in the stored orientation, through which the stored rows are written.
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


def read_photo(path: Path) -> Image:
    """Read a photo as a viewer shows it: upright, sRGB; the first image of an animation, the main one of a HEIC file.

    It is rotated by its EXIF orientation, HEIC and AVIF by their own boxes. An embedded ICC profile is converted to
    sRGB; without one, CMYK is converted by the plain formula. High dynamic range (PQ, HLG) becomes standard range.
    Transparency is composited on white. Grey of more than 8 bits is scaled by its range. A JPEG that lacks only its
    end marker is complete.

    Raises:
        MediaError: The file is missing, not a regular file, damaged or cut off, not an image, a raw image, or larger
            than ``MAX_PIXELS``.
    """
    with ExitStack() as stack:
        with _decoding(path):
            image = stack.enter_context(open_image(path))
            with path.open("rb") as file:
                head = file.read(_HEAD)
        _refuse(image, path, head)
        with _decoding(path):
            image = _loaded(image, path, stack)
        try:
            return ArrayImage(_upright_rgb(image, path, head))
        except MemoryError:
            raise MediaError(f"{shown(path)}: there is not enough memory to read it") from None


@contextmanager
def _decoding(path: Path) -> Iterator[None]:
    """Turn the decoder's errors, which are the file's fault, into MediaErrors; not for our own code."""
    try:
        yield
    except FileNotFoundError:
        raise MediaError(f"{shown(path)}: no such file") from None
    except PermissionError:
        raise MediaError(f"{shown(path)}: no permission to read it") from None
    except UnidentifiedImageError as error:
        reason = "the file is empty" if path.stat().st_size == 0 else "not an image that can be read"
        reason = reason if path.is_file() else "not a regular file"
        raise MediaError(f"{shown(path)}: {reason}") from error
    except DAMAGE as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise MediaError(f"{shown(path)}: the image is damaged ({reason})", "decode") from error


def _loaded(image: PILImage.Image, path: Path, stack: ExitStack) -> PILImage.Image:
    """The image with its pixels, valid until ``stack`` is closed."""
    try:
        image.load()
    except OSError:
        return stack.enter_context(_ended(path, image))
    return image


@contextmanager
def _ended(path: Path, image: PILImage.Image) -> Iterator[PILImage.Image]:
    """A JPEG without its end marker, with one added, if no pixel is missing: different filler bytes change nothing.

    Re-raises the OSError that is being handled in all other cases.
    """
    if image.format not in ("JPEG", "MPO") or image.info.get("progressive") or image.info.get("progression"):
        raise
    content = path.read_bytes()
    pixels = set()
    for filler in (b"", bytes(_FILLER), bytes([0x55]) * _FILLER):
        with PILImage.open(BytesIO(content + filler + _JPEG_END)) as filled:
            filled.load()
            pixels.add(hashlib.sha256(filled.tobytes()).digest())
    if len(pixels) > 1:
        raise
    with PILImage.open(BytesIO(content + _JPEG_END)) as ended:
        ended.load()
        yield ended


_JPEG_END, _FILLER = b"\xff\xd9", 4096


def _refuse(image: PILImage.Image, path: Path, head: bytes) -> None:
    """Raise MediaError for what must not be loaded: decompression bombs, extremely long images, and raw images, of
    which Pillow would read the preview."""
    size = f"{image.width} x {image.height} pixels"
    if image.width * image.height > MAX_PIXELS:
        raise MediaError(
            f"{shown(path)}: {size} are too many (at most {MAX_PIXELS // 1_000_000} million); make it smaller"
        )
    if max(image.size) > _LONGEST:
        raise MediaError(f"{shown(path)}: {size} are too long and narrow for an image; cut it into pieces")
    tags = getattr(image, "tag_v2", None)
    if tags is not None and image.format == "TIFF":
        is_raw = _DNG_VERSION in tags and _tag(image, _PHOTOMETRIC) not in _PLAIN
        if is_raw or (_tag(image, _SUBFILE) or 0) & 1 or head[8:10] == b"CR":  # of CR2 the first page is a preview
            raise MediaError(f"{shown(path)}: a raw image, of which only the preview could be read; develop it to JPEG")


#: The longest side in pixels: OpenCV's limit for writing.
_LONGEST = 1_000_000

#: Tags of TIFF (6.0; DNG 1.7): the kind of page (lowest bit: a smaller copy of another), the photometric interpretation
#: and its plain values (grey, grey, RGB, palette, CMYK, YCbCr), and the tag that every DNG has.
_SUBFILE, _PHOTOMETRIC, _PLAIN, _DNG_VERSION = 254, 262, (0, 1, 2, 3, 5, 6), 50706


def _tag(image: PILImage.Image, tag: int) -> int | None:
    """The (first) number of a TIFF's tag; None if there is none."""
    try:
        value = getattr(image, "tag_v2", {}).get(tag)  # is decoded here
    except DAMAGE:
        return None
    first = value[0] if isinstance(value, tuple) and value else value
    return first if isinstance(first, int) else None


def _upright_rgb(image: PILImage.Image, path: Path, head: bytes) -> Color:
    """The loaded image as upright RGB (h, w, 3), C-contiguous, converted in strips to save memory."""
    width, height = image.size
    orientation = _orientation(image)
    upright = np.empty((width, height, 3) if orientation >= 5 else (height, width, 3), np.uint8)
    stored = _STORED[orientation](upright)
    to_rgb = _conversion(image, path, head)
    top = 0
    for strip in _strips(image):
        stored[top : top + strip.height] = to_rgb(strip)
        top += strip.height
    return upright


def _strips(image: PILImage.Image) -> Iterator[PILImage.Image]:
    rows = max(1, _STRIP // image.width)
    for top in range(0, image.height, rows):
        yield image.crop((0, top, image.width, min(top + rows, image.height)))


def _orientation(image: PILImage.Image) -> int:
    """The EXIF orientation, 1..8; 1 for HEIC and TIFF, whose readers have rotated the image already."""
    try:
        value = image.getexif().get(Base.Orientation, 1)
    except DAMAGE:  # the EXIF data, not the image
        return 1
    return value if value in _STORED else 1


def _conversion(image: PILImage.Image, path: Path, head: bytes) -> Callable[[PILImage.Image], NDArray[np.uint8]]:
    """A function that converts a strip of the image to RGB (h, w, 3) or grey (h, w, 1)."""
    if transfer := _high_range(image, head):
        table = hdr.sdr_nodes(transfer).astype(np.float32).ravel()
        to_sdr = ImageFilter.Color3DLUT(hdr.NODES, table, _copy_table=False)
        return lambda strip: np.asarray(_on_white(strip).filter(to_sdr))
    if image.mode.startswith("I") or image.mode == "F":  # Pillow's own conversion would clip at 255
        floor, full = _levels(image)
        return lambda strip: np.round((_numbers(strip) - floor) * (255 / full)).astype(np.uint8)[:, :, None]
    mode = "RGBA" if image.has_transparency_data else image.mode if image.mode in ("L", "CMYK") else "RGB"
    to_srgb = _profile(image, mode)

    def to_rgb(strip: PILImage.Image) -> NDArray[np.uint8]:
        try:
            strip = strip if strip.mode == mode else strip.convert(mode)
        except ValueError as error:  # kinds of pixels, or of transparency, that Pillow does not convert
            raise MediaError(f"{shown(path)}: its colours cannot be read ({error})", "decode") from error
        return np.asarray(_on_white(to_srgb.apply(strip) if to_srgb else strip))

    return to_rgb


def _on_white(strip: PILImage.Image) -> PILImage.Image:
    """Convert to RGB, with transparency composited on white."""
    if strip.mode == "RGBA":
        strip = PILImage.alpha_composite(PILImage.new("RGBA", strip.size, "white"), strip)
    return strip.convert("RGB")


def _high_range(image: PILImage.Image, head: bytes) -> int | None:
    """hdr.PQ or hdr.HLG if declared in the colour box of HEIC and AVIF, in PNG's cICP, or in the ICC profile.

    ``head`` is the file's first ``_HEAD`` bytes.
    """
    # After the mark follow primaries, transfer and matrix, in one or two bytes each.
    mark, bytes_each = {"HEIF": (b"colrnclx", 2), "AVIF": (b"colrnclx", 2), "PNG": (b"cICP", 1)}.get(
        image.format or "", (b"", 0)
    )
    if mark and (at := head.find(mark)) >= 0:
        at += len(mark) + bytes_each
        if (code := int.from_bytes(head[at : at + bytes_each])) in (hdr.PQ, hdr.HLG):
            return code
    return _profile_range(_icc(image))


def _icc(image: PILImage.Image) -> bytes | None:
    """The embedded ICC profile; None without one, or where a damaged TIFF has something else in its place."""
    profile = image.info.get("icc_profile")
    return profile if isinstance(profile, bytes) else None


def _profile_range(profile: bytes | None) -> int | None:
    """hdr.PQ or hdr.HLG by an ICC profile: its cicp tag (ICC.1:2022, 9.2.17), else its name."""
    if not profile:
        return None
    at = profile.find(b"cicp\0\0\0\0")  # the tag's content, not its place in the table
    code = profile[at + 9] if 0 <= at < len(profile) - 9 else None
    if code in (hdr.PQ, hdr.HLG):
        return code
    try:
        name = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(BytesIO(profile)))
    except (*DAMAGE, ImageCms.PyCMSError):
        return None
    words = set(re.split("[^A-Za-z0-9]+", name))
    return hdr.PQ if words & {"PQ", "ST2084", "2084"} else hdr.HLG if "HLG" in words else None


#: Bytes of a file that are searched for the marks of high dynamic range.
_HEAD = 1 << 16


def _profile(image: PILImage.Image, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The transform from the embedded profile to sRGB; None without a usable profile, or if it is sRGB already."""
    embedded = _icc(image)
    if not embedded:
        return None
    try:
        profile = ImageCms.ImageCmsProfile(BytesIO(embedded))
        if "sRGB" in ImageCms.getProfileDescription(profile):
            return None
        result = "RGBA" if mode == "RGBA" else "RGB"
        return ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), mode, result)
    except (*DAMAGE, ImageCms.PyCMSError):  # the profile, not the image
        return None


def _levels(image: PILImage.Image) -> tuple[float, float]:
    """(black, white - black) of grey with more than 8 bits.

    The white of floats is 1, 255 or 65535. Integers have the declared depth, or the smallest of 10, 12, 14 and 16 bits
    that fits all values. Other ranges are scaled from their minimum to their maximum.
    """
    limits = (1, 255, 65535) if image.mode == "F" else _depths(image)
    extremes = [(values.min(), values.max()) for values in map(_numbers, _strips(image))]
    low, high = float(min(low for low, _ in extremes)), float(max(high for _, high in extremes))
    if image.mode != "F" and high < 256:  # too dark to infer the range
        limits = (65535,)
    fitting = [limit for limit in limits if low >= 0 and high <= limit]
    return (0.0, fitting[0]) if fitting else (low, high - low or 1)


def _depths(image: PILImage.Image) -> tuple[int, ...]:
    """The possible values of white in grey of 16 bits."""
    declared = _tag(image, _MOST_VALUE)
    if declared is not None and 0 < declared < 65535:
        return declared, 65535
    return tuple(2**bits - 1 for bits in (10, 12, 14, 16))


#: TIFF's MaxSampleValue.
_MOST_VALUE = 281


def _numbers(strip: PILImage.Image) -> NDArray[np.float32]:
    return np.nan_to_num(np.asarray(strip).astype(np.float32), posinf=0, neginf=0)
