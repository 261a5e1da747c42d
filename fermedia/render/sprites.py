"""Anti-aliased text and shapes as small images, which are cached.

They are drawn several times too large and averaged down: at the smallest sizes, that keeps letters even and apart,
while hinted fonts run together. Sprites are premultiplied RGBA, uint8 (h, w, 4); masks are coverage, uint8 (h, w).
Both are shared and must not be changed.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fermedia.render.colors import RGB
from fermedia.render.patches import Pixels, over

_FINE = 4  # factor by which shapes are drawn too large
_WEIGHT = 0.022  # stroke around each letter, in text sizes: makes Pillow's font, Aileron Regular, a medium weight


_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@lru_cache(maxsize=16)
def _usual(pixels: int) -> _Font:
    return ImageFont.load_default(pixels)


#: Fonts with more letters than Pillow's, which only has those of English: by their files, as Linux, Windows and macOS
#: have them. Pillow looks for them where the system keeps its fonts.
_FURTHER = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf", "arial.ttf", "Arial.ttf")


@lru_cache(maxsize=16)
def _further(pixels: int) -> _Font:
    """A font with more letters: Matplotlib's (found without loading it), one of the system's, or else Pillow's."""
    found = find_spec("matplotlib")
    places = found.submodule_search_locations if found else None
    own = [str(Path(places[0], "mpl-data", "fonts", "ttf", _FURTHER[0]))] if places else []
    for name in (*own, *_FURTHER):
        with suppress(OSError):
            return ImageFont.truetype(name, pixels)
    return _usual(pixels)


@lru_cache(maxsize=512)
def _fonts(text: str) -> Callable[[int], _Font] | None:
    """The font, by its size in pixels, that has all letters of a text; None if neither has."""
    for fonts in (_usual, _further):
        font = fonts(24)
        missing = bytes(font.getmask("\uffff"))
        if all(letter.isspace() or bytes(font.getmask(letter)) != missing for letter in text):
            return fonts
    return None


def _font(text: str, pixels: int) -> _Font:
    return (_fonts(text) or _usual)(pixels)


def _enlarged(size: int) -> int:
    return 8 if size < 24 else 4


def drawable(text: str) -> str | None:
    """A text with letters that a font has: as it is, or without its accents; None if there are none for it."""
    bare = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return next((spelled for spelled in (text, bare) if _fonts(spelled) is not None), None)


@lru_cache(maxsize=512)
def text_width(text: str, size: int) -> int:
    """Width in pixels of ``text_mask``."""
    scale = _enlarged(size)
    return int(np.ceil(_font(text, size * scale).getlength(text) / scale)) + 1


@lru_cache(maxsize=512)
def text_mask(text: str, size: int) -> Pixels:
    """The mask of a line of text. All texts of a size have the same height (1.3 times the size) and baseline."""
    scale = _enlarged(size)
    width, height = text_width(text, size), round(size * 1.3)
    image = Image.new("L", (width * scale, height * scale))
    where = (scale // 2, round(size * 1.0) * scale)
    ImageDraw.Draw(image).text(
        where, text, 255, _font(text, size * scale), anchor="ls", stroke_width=size * scale * _WEIGHT
    )
    return np.asarray(image.resize((width, height), Image.Resampling.BOX))


@lru_cache(maxsize=512)
def text_sprite(text: str, size: int, color: RGB) -> Pixels:
    """The sprite of a line of text in one colour."""
    return tint(text_mask(text, size), color)


def tint(mask: Pixels, color: RGB, opacity: float = 1.0) -> Pixels:
    """The sprite of a mask in one colour."""
    rgba = np.multiply.outer(mask.astype(np.float32) * opacity, np.array([*color, 255], np.float32) / 255)
    return np.rint(rgba).astype(np.uint8)


@lru_cache(maxsize=128)
def rounded(width: int, height: int, radius: float) -> Pixels:
    """The mask of a filled rectangle with rounded corners; all sizes in pixels."""
    image = Image.new("L", (width * _FINE, height * _FINE))
    area = (0, 0, width * _FINE - 1, height * _FINE - 1)
    ImageDraw.Draw(image).rounded_rectangle(area, radius * _FINE, 255)
    return np.asarray(image.resize((width, height), Image.Resampling.BOX))


@lru_cache(maxsize=128)
def corner(size: int, thickness: float, radius: float, rim: float, color: RGB) -> Pixels:
    """The sprite (size, size) of the upper left corner of an outline with rounded corners and a dark rim on both sides.

    All sizes are in pixels. The line's outer edge is ``rim`` pixels inside the sprite's.
    """
    side = size * _FINE
    far = side * 2 + round(radius * _FINE) * 2  # the rest of the outline is outside the sprite
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
