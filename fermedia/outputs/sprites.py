"""Anti-aliased text and shapes as small pictures, made once and kept.

Everything is drawn several times too large and averaged down, which keeps letters even and spaces open at the
smallest sizes, where hinted fonts crowd. Sprites are premultiplied RGBA, uint8 (h, w, 4); masks are uint8 (h, w).
Both are shared: do not write into them.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fermedia.outputs.colors import RGB
from fermedia.outputs.patches import Pixels, over

_FINE = 4  # shapes are drawn this many times too large
_WEIGHT = 0.022  # stroke around each letter, in text sizes: makes Pillow's regular Aileron a medium weight


@lru_cache(maxsize=16)
def _font(pixels: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(pixels)


def _enlarged(size: int) -> int:
    return 8 if size < 24 else 4


@lru_cache(maxsize=512)
def text_width(text: str, size: int) -> int:
    """Columns that ``text_mask`` takes."""
    scale = _enlarged(size)
    return int(np.ceil(_font(size * scale).getlength(text) / scale)) + 1


@lru_cache(maxsize=512)
def text_mask(text: str, size: int) -> Pixels:
    """A line of text as coverage 0..255. All texts of one size are as high (1.3 sizes) and share their baseline."""
    scale = _enlarged(size)
    width, height = text_width(text, size), round(size * 1.3)
    image = Image.new("L", (width * scale, height * scale))
    where = (scale // 2, round(size * 1.0) * scale)
    ImageDraw.Draw(image).text(where, text, 255, _font(size * scale), anchor="ls", stroke_width=size * scale * _WEIGHT)
    return np.asarray(image.resize((width, height), Image.Resampling.BOX))


@lru_cache(maxsize=512)
def text_sprite(text: str, size: int, color: RGB) -> Pixels:
    """A line of text in one colour."""
    return tint(text_mask(text, size), color)


def tint(mask: Pixels, color: RGB, opacity: float = 1.0) -> Pixels:
    """A mask in one colour."""
    rgba = np.multiply.outer(mask.astype(np.float32) * opacity, np.array([*color, 255], np.float32) / 255)
    return np.rint(rgba).astype(np.uint8)


@lru_cache(maxsize=128)
def rounded(width: int, height: int, radius: float) -> Pixels:
    """The mask of a filled rectangle with round corners."""
    image = Image.new("L", (width * _FINE, height * _FINE))
    area = (0, 0, width * _FINE - 1, height * _FINE - 1)
    ImageDraw.Draw(image).rounded_rectangle(area, radius * _FINE, 255)
    return np.asarray(image.resize((width, height), Image.Resampling.BOX))


@lru_cache(maxsize=128)
def corner(size: int, thickness: float, radius: float, rim: float, color: RGB) -> Pixels:
    """The upper left corner of a frame with round corners, ``size`` pixels long both ways, with a dark rim around it.

    The line's outer edge lies ``rim`` pixels inside the sprite's.
    """
    side = size * _FINE
    far = side * 2 + round(radius * _FINE) * 2  # the rest of the frame lies outside the sprite
    whole = Image.new("L", (side, side))
    ImageDraw.Draw(whole).rounded_rectangle(
        (0, 0, far, far), (radius + rim) * _FINE, None, 255, round((thickness + 2 * rim) * _FINE)
    )
    line = Image.new("L", (side, side))
    start = round(rim * _FINE)
    ImageDraw.Draw(line).rounded_rectangle(
        (start, start, far, far), radius * _FINE, None, 255, round(thickness * _FINE)
    )
    shade, ink = (np.asarray(m.resize((size, size), Image.Resampling.BOX)) for m in (whole, line))
    sprite = tint(shade, (0, 0, 0), 0.45)
    over(sprite, tint(ink, color))
    return sprite
