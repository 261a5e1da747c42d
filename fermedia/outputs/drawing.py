"""What is painted on a face: a frame around it and a panel with its id, its emotion and seven small bars.

Everything is made of small patches (``patches.py``), sized by the picture, and never leaves the picture. Where faces
are many or small, panels lose first the bars' names, then the bars, then all but the id in the emotion's colour. A face
whose best emotion is not probable enough is undecided, and grey; one that was not judged has a thin frame as well, and
its panel says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import sqrt

import numpy as np

from fermedia.outputs.colors import DARK, EMOTION_COLORS, LIGHT, RGB, rgb, text_on
from fermedia.outputs.patches import Made, Patch, Pixels, over
from fermedia.outputs.placing import Look, Memory, Place, Placer, Rect
from fermedia.outputs.sprites import corner, rounded, text_sprite, text_width, tint
from fermedia.types import EMOTIONS, Box, Observation

_TEXT = 0.0155  # size of the text, of the root of the picture's area: 22 pixels at 1920x1080
_LEAST_TEXT, _LEAST_LABEL = 11, 9  # pixels; below these letters run together
_NOT_JUDGED, _UNDECIDED = "too small", "undecided"
_GRAY: RGB = (128, 132, 140)  # darker than neutral's
#: By what a face is called.
_COLORS: dict[str, RGB] = {_NOT_JUDGED: _GRAY, _UNDECIDED: _GRAY} | {e: rgb(EMOTION_COLORS[e]) for e in EMOTIONS}
_DIM: RGB = (178, 182, 190)
_OPACITY = 0.76


class Painter:
    """Paints the faces of one film, or of one photo, of the given size in pixels.

    A face is called by its best emotion if that has at least the probability ``undecided``.
    """

    def __init__(self, width: int, height: int, undecided: float = 0.0) -> None:
        self._undecided = undecided
        self._width, self._height = width, height
        self._text = max(_LEAST_TEXT, round(_TEXT * sqrt(width * height)))
        self._placer = Placer(width, height, margin=max(2, self._text // 4))

    def patches(self, observations: Sequence[Observation]) -> list[Patch]:
        """What to lay over the picture, in this order. In a film, call it for one analysed frame after the other."""
        seen, places = self._place(observations)
        called = [self._called(o) for o, _ in seen]
        frames = [p for (o, rect), word in zip(seen, called, strict=True) for p in _frame(o, word, rect, self._text)]
        placed = zip(seen, called, places, strict=True)
        return frames + [_panel(o, word, place, self._text) for (o, _), word, place in placed if place]

    def pass_over(self, observations: Sequence[Observation]) -> None:
        """As ``patches``, for a frame that somebody else draws."""
        self._place(observations)

    def memory(self) -> Memory:
        """What the frames so far mean for the next ones."""
        return self._placer.memory()

    def recall(self, memory: Memory) -> None:
        """Go on where another painter of the same film was."""
        self._placer.recall(memory)

    def _called(self, observation: Observation) -> str:
        if observation.probabilities is None or observation.emotion is None:
            return _NOT_JUDGED
        return observation.emotion if observation.probabilities.max() >= self._undecided else _UNDECIDED

    def _place(self, observations: Sequence[Observation]) -> tuple[list[tuple[Observation, Rect]], list[Place | None]]:
        seen = [(o, rect) for o in observations if (rect := self._inside(o.face.box))]
        ids = [o.face_id for o, _ in seen]
        looks = [_looks(self._text, len(_name(o.face_id)), o.probabilities is not None) for o, _ in seen]
        return seen, self._placer.place(ids, [rect for _, rect in seen], looks)

    def _inside(self, box: Box) -> Rect | None:
        """The part of a box inside the picture, in whole pixels; None where nothing worth a frame is left."""
        left, top = max(0, round(box.x)), max(0, round(box.y))
        right = min(self._width, round(box.x + box.width))
        bottom = min(self._height, round(box.y + box.height))
        return (left, top, right, bottom) if min(right - left, bottom - top) >= 4 else None


def overlay(observations: Sequence[Observation], width: int, height: int, undecided: float = 0.0) -> list[Patch]:
    """What to lay over one picture of this size, standing for itself (see ``Painter``, also for films)."""
    return Painter(width, height, undecided).patches(observations)


def _name(face_id: int) -> str:
    return f"#{face_id}"


def _frame(observation: Observation, word: str, rect: Rect, text: int) -> list[Patch]:
    outline = _outline if observation.probabilities is not None else _thin_outline
    return [patch for patch in outline(rect, text, _COLORS[word]) if patch.rgba.size]


def _thin_outline(rect: Rect, text: int, color: RGB) -> list[Patch]:
    """Four fine lines just inside ``rect``."""
    left, top, right, bottom = (int(v) for v in rect)
    thin = max(1, round(text * 0.07))
    flat = _line(right - left, thin, color)
    tall = _line(thin, max(0, bottom - top - 2 * thin), color)
    return [
        Patch(left, top, *flat),
        Patch(left, bottom - thin, *flat),
        Patch(left, top + thin, *tall),
        Patch(right - thin, top + thin, *tall),
    ]


def _outline(rect: Rect, text: int, color: RGB) -> list[Patch]:
    """A fine frame with strong corners just inside ``rect``, as four corners and four lines."""
    left, top, right, bottom = (int(v) for v in rect)
    width, height = right - left, bottom - top
    size = max(2, min(round(0.2 * min(width, height)), min(width, height) // 2))
    strong = min(max(2.0, text * 0.14), size / 2)
    rim = max(1.0, text * 0.04)
    upper_left, upper_right, lower_left, lower_right = _corners(size, strong, min(text * 0.45, size * 0.6), rim, color)
    thin = max(1, round(strong / 3))
    inset = round(rim + (strong - thin) / 2)
    flat = _line(max(0, width - 2 * size), thin, color, 0.85)
    tall = _line(thin, max(0, height - 2 * size), color, 0.85)
    return [
        Patch(left, top, *upper_left),
        Patch(right - size, top, *upper_right),
        Patch(left, bottom - size, *lower_left),
        Patch(right - size, bottom - size, *lower_right),
        Patch(left + size, top + inset, *flat),
        Patch(left + size, bottom - inset - thin, *flat),
        Patch(left + inset, top + size, *tall),
        Patch(right - inset - thin, top + size, *tall),
    ]


@lru_cache(maxsize=128)
def _corners(size: int, thickness: float, radius: float, rim: float, color: RGB) -> list[tuple[Pixels, Made]]:
    """A frame's four corners (``sprites.corner``), row by row."""
    piece = corner(size, thickness, radius, rim, color)
    return [(turned, {}) for turned in (piece, piece[:, ::-1], piece[::-1], piece[::-1, ::-1])]


@lru_cache(maxsize=256)
def _line(width: int, height: int, color: RGB, opacity: float = 1.0) -> tuple[Pixels, Made]:
    return tint(np.full((height, width), 255, np.uint8), color, opacity), {}


class _Sizes:
    """The measures of panels for a text size; all in pixels."""

    def __init__(self, text: int, digits: int) -> None:
        self.text = text
        self.label = max(_LEAST_LABEL, round(text * 0.77))
        self.pad = round(text * 0.5)
        self.header = round(text * 1.3)
        self.row = max(round(text * 0.98), self.label + 2)
        self.bar = max(3, round(text * 0.36))
        self.thin_bar, self.thin_row = max(2, round(text * 0.18)), max(3, round(text * 0.3))
        self.chip = text_width("#" + "0" * (digits - 1), text) + round(text * 0.5)
        self.name = max(text_width(e, text) for e in (*EMOTIONS, _UNDECIDED))
        self.labels = max(text_width(e, self.label) for e in EMOTIONS)
        self.gap = round(text * 0.4)
        self.width = 2 * self.pad + self.chip + self.gap + self.name + self.gap + text_width("100%", text)
        self.tag_pad = round(text * 0.25)


@lru_cache(maxsize=32)
def _sizes(text: int, digits: int) -> _Sizes:
    return _Sizes(text, digits)


@lru_cache(maxsize=32)
def _looks(text: int, digits: int, judged: bool) -> tuple[Look, ...]:
    """From everything to next to nothing. ``digits`` is the length of the face's name."""
    s = _sizes(text, digits)
    looks = (
        Look("full", s.width, 2 * s.pad + s.header + s.gap + 7 * s.row, 0.0),
        Look("bars", s.width, 2 * s.pad + s.header + 7 * s.thin_row, 0.3),
        Look("tag", s.width - 2 * (s.pad - s.tag_pad), s.header + 2 * s.tag_pad, 0.5),
        Look("chip", s.chip, s.header, 0.9),
    )
    return looks if judged else looks[2:]


def _panel(observation: Observation, word: str, place: Place, text: int) -> Patch:
    look = place.look
    shares = [] if observation.probabilities is None else observation.probabilities.tolist()
    name = _name(observation.face_id)
    s = _sizes(text, len(name))
    if look.name == "chip":
        return Patch(round(place.x), round(place.y), _chip(name, word, s.chip, s.header, text))
    canvas = _plate(look, word, s).copy()
    pad = _pad(look, s)
    over(canvas[pad : pad + s.header, pad : pad + s.chip], _chip(name, word, s.chip, s.header, text))
    if shares:
        percent = f"{100 * max(shares):.0f}%"
        _write(canvas, percent, look.width - pad - text_width(percent, text), pad, text, LIGHT)
    for n, track in enumerate(_tracks(look, s)):
        _inside(canvas, track)[...] = _bar(look, s, n, max(1, int(shares[n] * track[2])))
    return Patch(round(place.x), round(place.y), canvas)


@lru_cache(maxsize=32)
def _plate(look: Look, word: str, s: _Sizes) -> Pixels:
    """What a panel is of whatever face that is called so."""
    canvas = _ground(look, s).copy()
    pad = _pad(look, s)
    _write(canvas, word, pad + s.chip + s.gap, pad, s.text, LIGHT if word in EMOTIONS else _DIM)
    if look.name == "full":
        for n in range(len(EMOTIONS)):
            top = pad + s.header + s.gap + n * s.row
            color = LIGHT if EMOTIONS[n] == word else _DIM
            _write(canvas, EMOTIONS[n], pad, top + (s.row - round(s.label * 1.3)) // 2, s.label, color)
    return canvas


def _pad(look: Look, s: _Sizes) -> int:
    return s.tag_pad if look.name == "tag" else s.pad


@lru_cache(maxsize=32)
def _tracks(look: Look, s: _Sizes) -> list[tuple[int, int, int, int]]:
    """Where the seven bars may reach, in the order of ``EMOTIONS``: x, y, width, height in the panel."""
    top = s.pad + s.header
    if look.name == "full":
        x, y = s.pad + s.labels + s.gap, top + s.gap + (s.row - s.bar) // 2
        return [(x, y + n * s.row, s.width - s.pad - x, s.bar) for n in range(len(EMOTIONS))]
    if look.name == "bars":
        y, width = top + s.thin_row - s.thin_bar, s.width - 2 * s.pad
        return [(s.pad, y + n * s.thin_row, width, s.thin_bar) for n in range(len(EMOTIONS))]
    return []


def _inside(canvas: Pixels, part: tuple[int, int, int, int]) -> Pixels:
    x, y, width, height = part
    return canvas[y : y + height, x : x + width]


@lru_cache(maxsize=32)
def _ground(look: Look, sizes: _Sizes) -> Pixels:
    """A dark glass plate with a fine light edge."""
    radius = sizes.text * 0.4
    edge = max(1, round(sizes.text * 0.05))
    plate = tint(rounded(look.width, look.height, radius), (120, 124, 132), _OPACITY)
    inner = rounded(look.width - 2 * edge, look.height - 2 * edge, radius - edge)
    middle = plate[edge:-edge, edge:-edge]
    keep = (255 - inner)[:, :, None] / 255
    middle[...] = np.rint(middle * keep + tint(inner, DARK, _OPACITY)).astype(np.uint8)
    return plate


@lru_cache(maxsize=256)
def _chip(name: str, word: str, width: int, height: int, text: int) -> Pixels:
    """The face's id on the colour of what it is called."""
    color = _COLORS[word]
    chip = tint(rounded(width, height, text * 0.3), color)
    _write(chip, name, (width - text_width(name, text)) // 2, 0, text, text_on(color))
    return chip


@lru_cache(maxsize=512)
def _bar(look: Look, s: _Sizes, emotion: int, length: int) -> Pixels:
    """A track on a panel's ground, with a bar of so many pixels on it."""
    x, y, width, height = _tracks(look, s)[emotion]
    track = _inside(_ground(look, s), (x, y, width, height)).copy()
    over(track, _tinted_bar(width, height, (255, 255, 255), 0.13))
    bar = _tinted_bar(width, height, _COLORS[EMOTIONS[emotion]], 1.0)
    if length < height:
        over(track[:, :length], bar[:, :length])
        return track
    cap = height // 2
    over(track[:, : length - cap], bar[:, : length - cap])
    over(track[:, length - cap : length], bar[:, width - cap :])
    return track


@lru_cache(maxsize=64)
def _tinted_bar(width: int, height: int, color: RGB, opacity: float) -> Pixels:
    return tint(rounded(width, height, height / 2 if height > 3 else 0), color, opacity)


def _write(canvas: Pixels, text: str, x: int, y: int, size: int, color: RGB) -> None:
    sprite = text_sprite(text, size, color)
    h, w = sprite.shape[:2]
    over(canvas[y : y + h, x : x + w], sprite)
