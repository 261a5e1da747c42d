"""Photos of every kind come out as upright 8-bit sRGB, or with one clear line."""

from __future__ import annotations

import re
import struct
import subprocess
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pillow_heif
import pytest
from PIL import Image, TiffImagePlugin

from fermedia.errors import MediaError
from fermedia.media import photos
from fermedia.media.images import open_image, pixels
from fermedia.media.photos import MAX_PIXELS, read_photo
from tests.systems import needs_permissions, needs_proc
from tests.videos import background, paint_number, read_number

UPRIGHT = paint_number(background((160, 120)), 1234)
RAMP = np.linspace(0, 65535, 160 * 120).reshape(120, 160).astype(np.uint16)


pillow_heif.register_heif_opener()  # so that the tests can save such files


def rgb(path: Path) -> np.ndarray:
    image = read_photo(path)
    array = image.rgb()
    assert array.shape == (image.height, image.width, 3)
    assert array.dtype == np.uint8
    assert array.flags.c_contiguous
    assert image.gray().shape == array.shape[:2]
    return array


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp", ".avif", ".heic"])
def test_exif_orientation(tmp_path: Path, orientation: int, suffix: str) -> None:
    # The stored image, from which a viewer has to come back to the upright one.
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
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif.tobytes(), quality=95)
    if suffix == ".heic" and orientation > 1:  # turned by its own boxes, as phones do; EXIF says the same once more
        tags = Image.Exif()
        tags.load(pillow_heif.open_heif(path).info["exif"])
        assert tags[0x0112] == orientation
        assert {b"irot", b"imir"} & set(re.findall(b"irot|imir", path.read_bytes()))
    upright = rgb(path)
    assert upright.shape == UPRIGHT.shape
    assert read_number(upright) == 1234
    assert np.abs(upright.astype(int) - UPRIGHT).mean() < 3


def test_heic_of_ten_bits_with_alpha_and_without_its_suffix(tmp_path: Path) -> None:
    deep = np.dstack([RAMP, 65535 - RAMP, RAMP // 2])
    path = tmp_path / "deep.heic"
    pillow_heif.encode("RGB;16", (160, 120), deep.tobytes(), str(path), quality=95)
    assert np.abs(rgb(path) - deep / 257).mean() < 3
    alpha = np.full((120, 160), 255, np.uint8)
    alpha[60:] = 0
    path = tmp_path / "sticker"
    Image.fromarray(np.dstack([UPRIGHT, alpha])).save(path, format="HEIF", quality=95)
    image = rgb(path)
    assert read_number(image) == 1234
    assert (image[64:] == 255).all()


def test_heic_s_main_image(tmp_path: Path) -> None:
    """A burst: the main image is not the first."""
    path = tmp_path / "burst.heic"
    images = [Image.fromarray(paint_number(UPRIGHT, n)) for n in (7, 8, 9)]
    images[0].save(path, save_all=True, append_images=images[1:], primary_index=1)
    assert read_number(rgb(path)) == 8


def test_photos_of_other_kinds_load_no_heif_library(tmp_path: Path) -> None:
    Image.fromarray(UPRIGHT).save(tmp_path / "photo.jpg")
    Image.fromarray(UPRIGHT).save(tmp_path / "photo.avif")
    code = (
        "import sys; from pathlib import Path; from fermedia.media.photos import read_photo\n"
        "for name in sys.argv[1:]: read_photo(Path(name))\n"
        "print(sorted(name for name in sys.modules if 'heif' in name))"
    )
    names = [str(tmp_path / name) for name in ("photo.jpg", "photo.avif")]
    done = subprocess.run([sys.executable, "-c", code, *names], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGB", "CMYK", "YCbCr", "LAB", "LA", "RGBA"])
def test_modes(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("photo.tif" if mode in ("YCbCr", "LAB", "CMYK") else "photo.png")
    # Pillow before 13 cannot read the uncompressed YCbCr that it writes.
    more: dict[str, Any] = {"compression": "jpeg", "quality": 95} if mode == "YCbCr" else {}
    Image.fromarray(UPRIGHT).convert("RGB" if mode == "LAB" else mode).save(path, **more)
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
    image = rgb(path)
    assert (image[:60] == UPRIGHT[:60]).all()
    assert (image[90:] == 255).all()
    assert np.abs(image[60:90] - (UPRIGHT[60:90] / 2 + 127.5)).max() < 2
    palette = tmp_path / "palette.gif"
    paletted = Image.fromarray(UPRIGHT).convert("P")
    paletted.save(palette, transparency=paletted.getpixel((150, 110)))
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


@pytest.mark.parametrize("step", [1, -1])
def test_deep_grey_is_stretched_by_the_whole_image(tmp_path: Path, step: int) -> None:
    values = np.linspace(-70_000, 500_000, 1_500 * 1_000).reshape(1_500, 1_000)[::step]
    Image.fromarray(values.astype(np.int32)).save(tmp_path / "photo.tif")
    gray = read_photo(tmp_path / "photo.tif").gray()
    assert np.abs(gray - (values + 70_000) * 255 / 570_000).max() <= 1


@pytest.mark.parametrize("compression", [1, 5, 8])
def test_16_bit_colour_tiff(tmp_path: Path, compression: int) -> None:
    path = tmp_path / "photo.tif"
    deep = np.dstack([RAMP // 2, RAMP, 65535 - RAMP])
    cv2.imwrite(str(path), deep[:, :, ::-1], [cv2.IMWRITE_TIFF_COMPRESSION, compression])
    assert np.abs(rgb(path) - deep / 257).max() <= 1


def test_16_bit_colour_with_alpha(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), np.dstack([RAMP // 2, RAMP, 65535 - RAMP, RAMP]))
    alpha = RAMP[:, :, None] / 65535
    expected = np.dstack([65535 - RAMP, RAMP, RAMP // 2]) / 257 * alpha + 255 * (1 - alpha)
    assert np.abs(rgb(path) - expected).max() < 3


# -- colour profiles ----------------------------------------------------------------------------------------------

#: Display P3's primaries, as its profile has them: X, Y, Z of red, green and blue under D50.
DISPLAY_P3 = np.array([[0.51512, 0.24120, -0.00105], [0.29198, 0.69225, 0.04189], [0.15710, 0.06657, 0.78407]])
SRGB = np.array([[0.43607, 0.22249, 0.01392], [0.38515, 0.71687, 0.09708], [0.14307, 0.06061, 0.71410]])


def profile(space: bytes, name: bytes, tags: dict[bytes, bytes]) -> bytes:
    """An ICC profile of version 2 for a display or printer."""
    tags = tags | {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", len(name) + 1) + name + bytes(80),
        b"wtpt": xyz(0.9642, 1, 0.8249),
    }
    table, content, at = b"", b"", 128 + 4 + 12 * len(tags)
    for key, value in tags.items():
        value += bytes(-len(value) % 4)
        table += key + struct.pack(">II", at + len(content), len(value))
        content += value
    body = struct.pack(">I", len(tags)) + table + content
    kind, connection = (b"prtr", b"Lab ") if space == b"CMYK" else (b"mntr", b"XYZ ")
    head = struct.pack(">I4xI", 128 + len(body), 0x02400000) + kind + space + connection
    return head.ljust(36, b"\0") + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061) + bytes(48) + body


def xyz(*values: float) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(value * 65536) for value in values))


def gamma(power: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(power * 256))


def of_primaries(primaries: np.ndarray, power: float, name: bytes = b"test") -> bytes:
    keys = (b"rXYZ", b"gXYZ", b"bXYZ")
    colours = {key: xyz(*row) for key, row in zip(keys, primaries, strict=True)}
    return profile(b"RGB ", name, colours | {key: gamma(power) for key in (b"rTRC", b"gTRC", b"bTRC")})


def as_srgb(image: np.ndarray, primaries: np.ndarray, power: float) -> np.ndarray:
    linear = (image / 255) ** power @ primaries @ np.linalg.inv(SRGB)
    linear = linear.clip(0, 1)
    return 255 * np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".avif", ".heic"])
def test_colours_of_a_profile_become_srgb(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"photo{suffix}"
    Image.fromarray(UPRIGHT).save(path, icc_profile=of_primaries(DISPLAY_P3, 2.2), quality=95)
    expected = as_srgb(UPRIGHT, DISPLAY_P3, 2.2)
    assert np.abs(expected - UPRIGHT).mean() > 5
    assert np.abs(rgb(path) - expected).mean() < 2.5


def test_profiles_of_transparent_palette_grey_and_cmyk_images(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    wide = of_primaries(DISPLAY_P3, 2.2)
    alpha = np.full((120, 160), 255, np.uint8)
    alpha[60:] = 0
    Image.fromarray(np.dstack([UPRIGHT, alpha])).save(path, icc_profile=wide)
    expected = as_srgb(UPRIGHT, DISPLAY_P3, 2.2)
    assert np.abs(rgb(path)[:60] - expected[:60]).max() < 3
    assert (rgb(path)[60:] == 255).all()
    palette = Image.fromarray(UPRIGHT).convert("P")
    palette.save(path, icc_profile=wide)
    expected = as_srgb(np.asarray(palette.convert("RGB")), DISPLAY_P3, 2.2)
    assert np.abs(rgb(path) - expected).max() < 3
    gray = Image.fromarray(UPRIGHT).convert("L")
    gray.save(path, icc_profile=profile(b"GRAY", b"test", {b"kTRC": gamma(1)}))
    expected = as_srgb(np.repeat(np.asarray(gray)[:, :, None], 3, axis=2), SRGB, 1)
    assert np.abs(rgb(path) - expected).max() < 3
    # A printer with odd inks: black is black, cyan is L* 50, a* -60, b* 0, and the two others cannot be seen on paper.
    cells = [(0, 128, 128) if ink & 1 else (128, 68, 128) if ink & 8 else (255, 128, 128) for ink in range(16)]
    matrix, straight = struct.pack(">9i", *(65536 * (i % 4 == 0) for i in range(9))), bytes(range(256))
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + matrix + straight * 4 + bytes(sum(cells, ())) + straight * 3
    for suffix in (".jpg", ".tif"):
        path = tmp_path / f"photo{suffix}"
        inks = Image.new("CMYK", (160, 120), (0, 255, 0, 0))
        inks.paste((255, 0, 0, 0), (0, 0, 80, 120))
        inks.save(path, icc_profile=profile(b"CMYK", b"test", {b"A2B0": table}), quality=95)
        teal, paper = rgb(path)[60, 20], rgb(path)[60, 140]
        assert np.abs(teal - np.array([0, 143, 119])).max() < 12
        assert paper.min() > 240


def test_profiles_that_say_srgb_or_nothing_change_no_pixel(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    wrong_kind = profile(b"GRAY", b"test", {b"kTRC": gamma(1)})
    for icc in (of_primaries(DISPLAY_P3, 2.2, b"sRGB IEC61966-2.1"), wrong_kind, b"spoilt", bytes(200)):
        Image.fromarray(UPRIGHT).save(path, icc_profile=icc)
        assert (rgb(path) == UPRIGHT).all()


def test_the_first_image_of_an_animation(tmp_path: Path) -> None:
    images = [Image.fromarray(paint_number(UPRIGHT, n)) for n in (7, 8, 9)]
    for suffix in (".webp", ".png", ".tif", ".avif"):
        images[0].save(tmp_path / f"photo{suffix}", save_all=True, append_images=images[1:])
        assert read_number(rgb(tmp_path / f"photo{suffix}")) == 7


@pytest.mark.parametrize("exif", [b"II*\0\x08\0\0\0\xff\xff\x12\x01\x03", b"no EXIF at all"])
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_damaged_exif_does_not_cost_the_image(tmp_path: Path, suffix: str, exif: bytes) -> None:
    path = tmp_path / f"photo{suffix}"
    Image.fromarray(UPRIGHT).save(path, exif=b"Exif\0\0" + exif, quality=95)
    assert read_number(rgb(path)) == 1234


def test_a_fault_of_ours_is_not_called_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(*_: object) -> None:
        raise TypeError("ours")

    Image.fromarray(UPRIGHT).save(tmp_path / "photo.png")
    for name in ("_refuse", "_upright_rgb", "_conversion", "_high_range"):
        with monkeypatch.context() as patch:
            patch.setattr(photos, name, fault)
            with pytest.raises(TypeError, match="ours"):
                read_photo(tmp_path / "photo.png")


@pytest.mark.parametrize("tag", [254, 262, 281, 34675, 50706])
@pytest.mark.parametrize("kind", [2, 3, 5, 12])
def test_tags_of_another_kind_than_they_should_be_do_not_cost_the_image(tmp_path: Path, tag: int, kind: int) -> None:
    """A text, numbers, fractions, floats where a profile or a number is expected."""
    path = tmp_path / "photo.tif"
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags.tagtype[tag] = kind
    tags[tag] = "x" if kind == 2 else (0, 0)
    with warnings.catch_warnings(action="ignore"):  # Pillow's, of what it is to write
        Image.fromarray(UPRIGHT).save(path, tiffinfo=tags)
    with suppress(MediaError):  # a raw image, or one Pillow does not open
        assert read_number(rgb(path)) == 1234


def test_pixels_that_pillow_does_not_convert_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(UPRIGHT).save(tmp_path / "photo.png")
    odd = Image.new("La", (8, 8))
    monkeypatch.setattr(photos, "_loaded", lambda *_: odd)
    with pytest.raises(MediaError, match=r"^photo\.png: its colours cannot be read \(conversion from La"):
        read_photo(tmp_path / "photo.png")


@needs_proc
def test_a_hundred_megapixels_are_read_and_painted_in_less_than_a_gigabyte(tmp_path: Path) -> None:
    """``scripts/measure_photos.py`` measures whole analyses."""
    path = tmp_path / "large.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("L", (12_000, 8_400), 90).convert("RGB").save(path, exif=exif)
    code = """
import sys
import warnings
from pathlib import Path
from fermedia.media.photos import read_photo
from fermedia.render.photos import PhotoWriter
from fermedia.types import Frame
image = read_photo(Path(sys.argv[1]))
assert image.gray().shape == image.rgb().shape[:2] == (12_000, 8_400)
PhotoWriter(Path(sys.argv[1]).parent / "annotated").write(Frame(0, None, image, name="large.jpg"), [])
print([line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")][0])
"""
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    with open_image(tmp_path / "annotated" / "large.jpg") as image:
        assert image.size == (8_400, 12_000)
    assert int(done.stdout) / 1024 < 900  # 64 before it begins


def test_bombs_are_refused_by_their_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 12_345)
    for size in ((50_000, 50_000), (25_001, 10_000)):
        bomb = tmp_path / "bomb.png"
        bomb.write_bytes(png_header(*size))
        with pytest.raises(MediaError) as caught:
            read_photo(bomb)
        assert str(caught.value) == (
            f"bomb.png: {size[0]} x {size[1]} pixels are too many (at most 250 million); make it smaller"
        )
    assert MAX_PIXELS == 250_000_000
    bomb.write_bytes(png_header(25_000, 10_000))
    with pytest.raises(MediaError, match=r"^bomb\.png: the image is damaged \("):
        read_photo(bomb)
    assert Image.MAX_IMAGE_PIXELS == 12_345


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims to be as large, with next to nothing in it."""
    chunks = b""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")):
        chunks += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return b"\x89PNG\r\n\x1a\n" + chunks


def test_what_is_no_image_is_refused_in_one_line(tmp_path: Path) -> None:
    whole = tmp_path / "whole.jpg"
    Image.fromarray(UPRIGHT).save(whole)
    heic = BytesIO()
    Image.fromarray(UPRIGHT).save(heic, "HEIF")
    cases = {
        "empty.jpg": (b"", "empty.jpg: the file is empty"),
        "text.jpg": (b"Dear diary", "text.jpg: not an image that can be read"),
        "phone.heic": (b"\0\0\0\x18ftypheic", "phone.heic: the image is damaged ("),
        "cut.heic": (heic.getvalue()[:-20], "cut.heic: the image is damaged ("),
        "cut.jpg": (whole.read_bytes()[:900], "cut.jpg: the image is damaged ("),
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


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".gif", ".tif", ".webp", ".bmp", ".avif", ".heic", ".ppm"])
def test_garbage_in_a_image_is_a_media_error_or_a_image(tmp_path: Path, suffix: str) -> None:
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


@needs_permissions
def test_no_permission(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    Image.fromarray(UPRIGHT).save(path)
    path.chmod(0)
    with pytest.raises(MediaError, match=r"^photo\.png: no permission to read it$"):
        read_photo(path)


def test_photos_are_read_by_several_threads_without_changing_pillow(tmp_path: Path) -> None:
    """Pillow's limit is lifted while any thread reads, and is as it was afterwards."""
    limit, filters = Image.MAX_IMAGE_PIXELS, list(warnings.filters)
    path = tmp_path / "large.png"
    Image.new("L", (10_000, 9_500)).save(path, compress_level=1)  # Pillow warns from 89 megapixels on
    with warnings.catch_warnings(), ThreadPoolExecutor(4) as pool:
        warnings.simplefilter("error")
        Image.MAX_IMAGE_PIXELS = 1_000_000
        try:
            assert set(pool.map(pixels, [path] * 200)) == {95_000_000}
            assert Image.MAX_IMAGE_PIXELS == 1_000_000
        finally:
            Image.MAX_IMAGE_PIXELS = limit
    assert warnings.filters == filters


def test_pixels_of_what_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "no.jpg").write_text("no")
    assert pixels(tmp_path / "no.jpg") == pixels(tmp_path / "gone.jpg") == 0
