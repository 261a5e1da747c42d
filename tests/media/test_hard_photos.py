"""Photos as cameras, phones and other programs really write them."""

from __future__ import annotations

from contextlib import suppress
from io import BytesIO
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image, TiffImagePlugin

from fermedia.errors import MediaError
from fermedia.media import hdr
from fermedia.media.images import further_images
from fermedia.media.photos import read_photo
from tests.videos import astronaut

#: Linear RGB of BT.709 to BT.2020 (ITU-R BT.2087-0).
TO_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])


def in_pq(image: np.ndarray) -> np.ndarray:
    """An image of standard range as a phone stores it in PQ: white at 203 cd/m2, in 16 bits."""
    light = (image / 255.0) ** 2.4 @ TO_2020.T * 203
    return np.round(hdr.light_to_pq(np.clip(light, 0, None)) * 65535).astype(np.uint16)


def nclx(data: bytes, transfer: int) -> bytes:
    at = data.index(b"colrnclx") + 8
    return data[:at] + (9).to_bytes(2) + transfer.to_bytes(2) + (9).to_bytes(2) + data[at + 6 :]


def check_standard(path: Path) -> None:
    seen = read_photo(path).rgb().astype(int)
    expected = astronaut().astype(int)
    assert abs(seen.mean() - expected.mean()) < 10
    assert np.abs(seen - expected).mean() < 12
    assert seen.max() > 230


@pytest.mark.parametrize("suffix", [".heic", ".avif"])
def test_a_photo_in_pq_becomes_standard_range(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    codes = (in_pq(astronaut()) >> 8).astype(np.uint8)
    if suffix == ".heic":
        image = pillow_heif.from_pillow(Image.fromarray(codes))
        image.save(path, quality=95, color_primaries=9, transfer_characteristics=16, matrix_coefficients=9)
    else:
        Image.fromarray(codes).save(path, quality=95)
        path.write_bytes(nclx(path.read_bytes(), 16))
    if suffix == ".heic":
        check_standard(path)
    else:  # its colours are stored by another matrix than the box now says
        assert read_photo(path).rgb().max() > 230


@pytest.mark.parametrize(("transfer", "white"), [(16, 0.58), (18, 0.75)])
def test_a_png_says_its_range_in_a_chunk(tmp_path: Path, transfer: int, white: float) -> None:
    buffer = BytesIO()
    Image.new("RGB", (64, 64), (round(255 * white),) * 3).save(buffer, "PNG")
    data = buffer.getvalue()
    import zlib

    chunk = b"cICP" + bytes([9, transfer, 0, 1])
    chunk = (4).to_bytes(4) + chunk + zlib.crc32(chunk).to_bytes(4)
    path = tmp_path / "a.png"
    path.write_bytes(data[:33] + chunk + data[33:])
    assert read_photo(path).rgb().min() > 190
    path.write_bytes(data)
    assert read_photo(path).rgb().max() == round(255 * white)


def test_a_jpeg_without_an_end_is_whole_if_no_pixel_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(astronaut()).save(path, quality=90)
    data, whole = path.read_bytes(), read_photo(path).rgb()
    path.write_bytes(data[:-2])
    assert np.array_equal(read_photo(path).rgb(), whole)
    for share in (0.5, 0.98):
        path.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(MediaError, match="damaged"):
            read_photo(path)
    Image.fromarray(astronaut()).save(path, progressive=True)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(MediaError, match="damaged"):
        read_photo(path)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_deep_grey_is_stretched_by_its_evident_range(tmp_path: Path, suffix: str, bits: int) -> None:
    gray = astronaut()[:, :, 1]
    path = tmp_path / f"a{suffix}"
    Image.fromarray((gray.astype(np.int64) * (2**bits - 1) // 255).astype(np.uint16)).save(path)
    assert np.abs(read_photo(path).gray().astype(int) - gray).max() <= 1


def test_deep_grey_is_stretched_by_its_declared_range(tmp_path: Path) -> None:
    gray = (astronaut()[:, :, 1] // 4).astype(np.uint16) * 16  # dark, up to 1008 of 4095
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[281] = 4095
    path = tmp_path / "a.tif"
    Image.fromarray(gray).save(path, tiffinfo=tags)
    assert np.abs(read_photo(path).gray().astype(int) - gray * (255 / 4095)).max() <= 1


@pytest.mark.parametrize(
    "tags", [{254: 1, 50706: b"\x01\x04\x00\x00"}, {254: 1}, {50706: b"\x01\x04\x00\x00", 262: 34892}]
)
def test_a_raw_image_is_never_read_as_its_thumbnail(tmp_path: Path, tags: dict[int, object]) -> None:
    written = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, value in tags.items():
        written[tag] = value
        written.tagtype[tag] = 1 if isinstance(value, bytes) else 4
    path = tmp_path / "a.dng"
    Image.fromarray(astronaut()).resize((160, 120)).save(path, "TIFF", tiffinfo=written)
    with pytest.raises(MediaError, match=r"raw image|not an image"):
        read_photo(path)


def test_a_dng_that_holds_a_image_is_read(tmp_path: Path) -> None:
    written = TiffImagePlugin.ImageFileDirectory_v2()
    written[50706] = b"\x01\x04\x00\x00"
    written.tagtype[50706] = 1
    path = tmp_path / "a.dng"
    Image.fromarray(astronaut()).save(path, "TIFF", tiffinfo=written)
    assert np.array_equal(read_photo(path).rgb(), astronaut())


@pytest.mark.parametrize("suffix", [".tif", ".webp", ".png", ".avif"])
def test_pages_and_animations_are_counted(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    pages = [Image.fromarray(np.roll(astronaut(), n * 40, axis=1)).resize((64, 64)) for n in range(3)]
    pages[0].save(path, save_all=True, append_images=pages[1:])
    assert further_images(path) == 2
    pages[0].save(path)
    assert further_images(path) == 0


def test_a_strip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("L", (1, 1_100_000)).save(path)
    with pytest.raises(MediaError, match="too long and narrow for an image"):
        read_photo(path)


def test_libtiff_says_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.tif"
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[50000] = b"abc"
    tags.tagtype[50000] = 7
    Image.fromarray(astronaut()).save(path, compression="tiff_lzw", tiffinfo=tags)
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(40):
        spoilt = bytearray(content)
        for place in rng.integers(8, len(spoilt), 5):
            spoilt[place] = rng.integers(256)
        path.write_bytes(spoilt)
        with suppress(MediaError):
            read_photo(path)
    assert capfd.readouterr().err == ""
