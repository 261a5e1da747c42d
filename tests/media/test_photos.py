"""Photos of every kind come out as upright 8-bit RGB, or with one clear line."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from fermedia.errors import MediaError
from fermedia.media.photos import MAX_PIXELS, read_photo
from tests.films import background, paint_number, read_number

UPRIGHT = paint_number(background((160, 120)), 1234)
RAMP = np.linspace(0, 65535, 160 * 120).reshape(120, 160).astype(np.uint16)


def rgb(path: Path) -> np.ndarray:
    picture = read_photo(path)
    array = picture.rgb()
    assert array.shape == (picture.height, picture.width, 3)
    assert array.dtype == np.uint8
    assert array.flags.c_contiguous
    assert picture.gray().shape == array.shape[:2]
    return array


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_exif_orientation(tmp_path: Path, orientation: int, suffix: str) -> None:
    # The stored picture, from which a viewer has to come back to the upright one.
    stored = {
        1: UPRIGHT,
        2: UPRIGHT[:, ::-1],
        3: UPRIGHT[::-1, ::-1],
        4: UPRIGHT[::-1],
        5: UPRIGHT.swapaxes(0, 1),
        6: np.rot90(UPRIGHT),
        7: np.rot90(UPRIGHT, 2).swapaxes(0, 1),
        8: np.rot90(UPRIGHT, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"photo{suffix}"
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif, quality=95)
    upright = rgb(path)
    assert upright.shape == UPRIGHT.shape
    assert read_number(upright) == 1234
    assert np.abs(upright.astype(int) - UPRIGHT).mean() < 3


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGB", "CMYK", "YCbCr", "LAB", "LA", "RGBA"])
def test_modes(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("photo.tif" if mode in ("YCbCr", "LAB", "CMYK") else "photo.png")
    Image.fromarray(UPRIGHT).convert("RGB" if mode == "LAB" else mode).save(path)
    assert read_number(rgb(path)) == 1234
    if mode in ("P", "RGB", "CMYK", "RGBA"):
        assert np.abs(rgb(path).astype(int) - UPRIGHT).mean() < (20 if mode == "P" else 4)


def test_a_cmyk_jpeg(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    Image.fromarray(UPRIGHT).convert("CMYK").save(path, quality=95)
    assert Image.open(path).mode == "CMYK"
    assert np.abs(rgb(path).astype(int) - UPRIGHT).mean() < 4


def test_transparency_lies_on_white(tmp_path: Path) -> None:
    alpha = np.zeros((120, 160), np.uint8)
    alpha[:60] = 255
    alpha[60:90] = 128
    path = tmp_path / "photo.png"
    Image.fromarray(np.dstack([UPRIGHT, alpha])).save(path)
    picture = rgb(path)
    assert (picture[:60] == UPRIGHT[:60]).all()
    assert (picture[90:] == 255).all()
    assert np.abs(picture[60:90] - (UPRIGHT[60:90] / 2 + 127.5)).max() < 2
    palette = tmp_path / "palette.gif"
    image = Image.fromarray(UPRIGHT).convert("P")
    image.save(palette, transparency=image.getpixel((150, 110)))
    assert (rgb(palette)[110, 150] == 255).all()


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bit_grey_is_scaled_not_clipped(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"photo{suffix}"
    Image.fromarray(RAMP).save(path)
    gray = read_photo(path).gray()
    assert np.abs(gray - RAMP / 257).max() <= 1
    dark = tmp_path / f"dark{suffix}"
    Image.fromarray(RAMP // 256).save(dark)  # its range is 16 bits, whatever of it is used
    assert read_photo(dark).gray().max() == 1


def test_16_bit_colour(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), np.dstack([RAMP // 2, RAMP, 65535 - RAMP]))
    expected = np.dstack([65535 - RAMP, RAMP, RAMP // 2]) / 257
    assert np.abs(rgb(path) - expected).max() <= 1


def test_deep_grey_of_other_kinds(tmp_path: Path) -> None:
    for values in (
        RAMP.astype(np.float32) / 65535,
        RAMP.astype(np.float32) / 257,
        RAMP.astype(np.int32),
        RAMP.astype(np.int32) * 9 - 70000,
    ):
        Image.fromarray(values).save(tmp_path / "photo.tif")
        assert np.abs(read_photo(tmp_path / "photo.tif").gray() - RAMP / 257).max() <= 1


def test_the_first_picture_of_an_animation(tmp_path: Path) -> None:
    pictures = [Image.fromarray(paint_number(UPRIGHT, n)) for n in (7, 8, 9)]
    for suffix in (".webp", ".png", ".tif"):
        pictures[0].save(tmp_path / f"photo{suffix}", save_all=True, append_images=pictures[1:])
        assert read_number(rgb(tmp_path / f"photo{suffix}")) == 7


def test_damaged_exif_does_not_cost_the_picture(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    Image.fromarray(UPRIGHT).save(path, exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01\x03", quality=95)
    assert read_number(rgb(path)) == 1234


def test_a_hundred_megapixels_are_read_and_bombs_refused(tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    Image.new("L", (12_000, 8_500)).save(large)
    assert read_photo(large).width == 12_000
    before = Image.MAX_IMAGE_PIXELS
    bomb = tmp_path / "bomb.png"
    bomb.write_bytes(png_header(40_000, 30_000))
    with pytest.raises(MediaError) as caught:
        read_photo(bomb)
    assert str(caught.value) == (
        f"bomb.png: 40000 x 30000 pixels are too many (at most {MAX_PIXELS // 10**6} million); make it smaller"
    )
    assert before == Image.MAX_IMAGE_PIXELS


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims to be as large, with next to nothing in it."""
    chunks = b""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")):
        chunks += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return b"\x89PNG\r\n\x1a\n" + chunks


def test_what_is_no_picture_is_refused_in_one_line(tmp_path: Path) -> None:
    whole = tmp_path / "whole.jpg"
    Image.fromarray(UPRIGHT).save(whole)
    cases = {
        "empty.jpg": (b"", "empty.jpg: the file is empty"),
        "text.jpg": (b"Dear diary", "text.jpg: not a picture that can be read"),
        "phone.heic": (b"\0\0\0\x18ftypheic", "phone.heic: HEIC pictures cannot be read; convert them to JPEG"),
        "cut.jpg": (whole.read_bytes()[:900], "cut.jpg: the picture is damaged ("),
        "li\nne.png": (b"", "li\\nne.png: the file is empty"),
    }
    for name, (content, message) in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(MediaError) as caught:
            read_photo(tmp_path / name)
        assert str(caught.value).startswith(message)
        assert "\n" not in str(caught.value)
    with pytest.raises(MediaError, match=r"^none\.png: no such file$"):
        read_photo(tmp_path / "none.png")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".gif", ".tif", ".webp", ".bmp", ".avif", ".ppm"])
def test_garbage_in_a_picture_is_a_media_error_or_a_picture(tmp_path: Path, suffix: str) -> None:
    """Whatever bytes are spoilt, nothing but a MediaError comes out."""
    path = tmp_path / f"photo{suffix}"
    Image.fromarray(UPRIGHT).save(path)
    data = path.read_bytes()
    rng = np.random.default_rng(3)
    refused = 0
    for _ in range(60):
        spoilt = bytearray(data)
        for at in rng.integers(0, min(len(data), 600), 8):
            spoilt[at] = rng.integers(256)
        path.write_bytes(spoilt[: rng.integers(1, len(data) + 1)])
        try:
            read_photo(path)
        except MediaError:
            refused += 1
    assert refused > 20


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    Image.fromarray(UPRIGHT).save(path)
    path.chmod(0)
    with pytest.raises(MediaError, match=r"^photo\.png: no permission to read it$"):
        read_photo(path)
