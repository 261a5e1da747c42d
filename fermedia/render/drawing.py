"""Draw the annotations of faces: an outline, and a panel with the face's id or name, its emotion and seven bars.

Everything consists of small patches (``render.patches``) inside the image, whose size depends on the image's. Where
there is little space, a panel loses first the bars' names, then the bars, then everything but the id or name on the
emotion's colour. A face whose most probable emotion is not probable enough is labelled "undecided", in grey. A face
that was not classified is grey, too, with a thin outline and the reason as its label. What was measured
(``render.features``) is drawn below all that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import sqrt

import numpy as np

from fermedia.render.colors import DARK, EMOTION_COLORS, LIGHT, RGB, rgb, text_on
from fermedia.render.features import features
from fermedia.render.patches import LayerCache, Patch, Pixels, over
from fermedia.render.placing import PanelState, PanelStyle, Placement, Placer, Rect
from fermedia.render.sprites import corner, drawable, rounded, text_sprite, text_width, tint
from fermedia.types import EMOTIONS, Box, Observation

_TEXT = 0.0155  # text size relative to the square root of the image's area: 22 pixels at 1920x1080
_LEAST_TEXT, _LEAST_LABEL = 11, 9  # pixels; smaller letters run together
_UNDECIDED = "undecided"
#: The label of a face that was not classified, by the first reason of its quality.
_NOT_CLASSIFIED = {"small": "too small", "turned": "turned", "bent": "bent"}
_GRAY: RGB = (128, 132, 140)  # darker than neutral's
#: The colour of each label.
_COLORS: dict[str, RGB] = dict.fromkeys((*_NOT_CLASSIFIED.values(), _UNDECIDED), _GRAY)
_COLORS |= {e: rgb(EMOTION_COLORS[e]) for e in EMOTIONS}
_DIM: RGB = (178, 182, 190)
_OPACITY = 0.76


#: The most letters of a name in a panel.
_LONGEST_NAME = 16


@dataclass(frozen=True)
class Look:
    """How faces are drawn.

    Attributes:
        undecided: A face whose most probable emotion has a probability below this is labelled "undecided".
        draw: What to draw of the measures of each face (``options.DRAWN``).
        names: The names of faces by ``face_id`` (``--people``), shown in place of the id.
    """

    undecided: float = 0.0
    draw: tuple[str, ...] = ()
    names: Mapping[int, str] = field(default_factory=dict)


#: The usual look, without names.
PLAIN = Look()


class Painter:
    """Make the patches for the faces of one video, or of one photo.

    Args:
        width: Width of the image in pixels.
        height: Height of the image in pixels.
        look: How faces are drawn.
    """

    def __init__(self, width: int, height: int, look: Look = PLAIN) -> None:
        self._undecided, self._draw = look.undecided, look.draw
        names = {face_id: drawable(_short(name)) for face_id, name in look.names.items()}
        self._names = {face_id: name for face_id, name in names.items() if name}
        self._width, self._height = width, height
        self._text = max(_LEAST_TEXT, round(_TEXT * sqrt(width * height)))
        self._placer = Placer(width, height, margin=max(2, self._text // 4))

    def patches(self, observations: Sequence[Observation]) -> list[Patch]:
        """The patches to blend over the image, in order. In a video, call this for each analysed frame in turn."""
        seen, places = self._place(observations)
        called = [self._called(o) for o, _ in seen]
        frames = [p for (o, rect), word in zip(seen, called, strict=True) for p in _frame(o, word, rect, self._text)]
        placed = zip(seen, called, places, strict=True)
        size = self._width, self._height
        measured = [p for o, _ in seen for p in features(o, self._draw, self._text, size)] if self._draw else []
        return (
            measured
            + frames
            + [_panel(o, self._name(o.face_id), word, place, self._text) for (o, _), word, place in placed if place]
        )

    def pass_over(self, observations: Sequence[Observation]) -> None:
        """Only update the panels' places, for a frame that is drawn by another painter."""
        self._place(observations)

    def state(self) -> PanelState:
        """The panels' state after the last frame, for ``restore``."""
        return self._placer.state()

    def restore(self, state: PanelState) -> None:
        """Continue from the state of another painter of the same video."""
        self._placer.restore(state)

    def _called(self, observation: Observation) -> str:
        if observation.probabilities is None or observation.emotion is None:
            return _NOT_CLASSIFIED.get((observation.quality or "small").split()[0], _NOT_CLASSIFIED["small"])
        return observation.emotion if observation.probabilities.max() >= self._undecided else _UNDECIDED

    def _place(
        self, observations: Sequence[Observation]
    ) -> tuple[list[tuple[Observation, Rect]], list[Placement | None]]:
        seen = [(o, rect) for o in observations if (rect := self._inside(o.face.box))]
        ids = [o.face_id for o, _ in seen]
        reasons = [self._called(o) if o.probabilities is None else None for o, _ in seen]
        styles = [_styles(self._text, self._room(n), reason) for n, reason in zip(ids, reasons, strict=True)]
        return seen, self._placer.place(ids, [rect for _, rect in seen], styles)

    def _name(self, face_id: int) -> str:
        return self._names.get(face_id, f"#{face_id}")

    def _room(self, face_id: int) -> str:
        """A text as wide as the face's name, the same for all ids of as many digits."""
        return self._names.get(face_id, "#" + "0" * len(str(face_id)))

    def _inside(self, box: Box) -> Rect | None:
        """The part of a box inside the image, in whole pixels; None if a side is shorter than 4 pixels."""
        left, top = max(0, round(box.x)), max(0, round(box.y))
        right = min(self._width, round(box.x + box.width))
        bottom = min(self._height, round(box.y + box.height))
        return (left, top, right, bottom) if min(right - left, bottom - top) >= 4 else None


def overlay(observations: Sequence[Observation], width: int, height: int, look: Look = PLAIN) -> list[Patch]:
    """The patches for the faces of a single image of this size in pixels; arguments as for ``Painter``."""
    return Painter(width, height, look).patches(observations)


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1].rstrip() + "."


def _frame(observation: Observation, word: str, rect: Rect, text: int) -> list[Patch]:
    outline = _outline if observation.probabilities is not None else _thin_outline
    return [patch for patch in outline(rect, text, _COLORS[word]) if patch.rgba.size]


def _thin_outline(rect: Rect, text: int, color: RGB) -> list[Patch]:
    """The outline of a face that was not classified: four thin lines just inside ``rect``."""
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
    """The outline of a face: thin lines and thick corners just inside ``rect``, four patches of each."""
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
def _corners(size: int, thickness: float, radius: float, rim: float, color: RGB) -> list[tuple[Pixels, LayerCache]]:
    """The four corners of an outline (``sprites.corner``): upper left, upper right, lower left, lower right."""
    piece = corner(size, thickness, radius, rim, color)
    return [(turned, {}) for turned in (piece, piece[:, ::-1], piece[::-1], piece[::-1, ::-1])]


@lru_cache(maxsize=256)
def _line(width: int, height: int, color: RGB, opacity: float = 1.0) -> tuple[Pixels, LayerCache]:
    return tint(np.full((height, width), 255, np.uint8), color, opacity), {}


class _Sizes:
    """The dimensions of panels for a text size and a name, in pixels."""

    def __init__(self, text: int, name: str) -> None:
        self.text = text
        self.label = max(_LEAST_LABEL, round(text * 0.77))
        self.pad = round(text * 0.5)
        self.header = round(text * 1.3)
        self.row = max(round(text * 0.98), self.label + 2)
        self.bar = max(3, round(text * 0.36))
        self.thin_bar, self.thin_row = max(2, round(text * 0.18)), max(3, round(text * 0.3))
        self.chip = text_width(name, text) + round(text * 0.5)
        self.name = max(text_width(e, text) for e in (*EMOTIONS, _UNDECIDED))
        self.labels = max(text_width(e, self.label) for e in EMOTIONS)
        self.gap = round(text * 0.4)
        self.width = 2 * self.pad + self.chip + self.gap + self.name + self.gap + text_width("100%", text)
        self.tag_pad = round(text * 0.25)


@lru_cache(maxsize=128)
def _sizes(text: int, name: str) -> _Sizes:
    return _Sizes(text, name)


@lru_cache(maxsize=128)
def _styles(text: int, name: str, reason: str | None) -> tuple[PanelStyle, ...]:
    """The styles of a panel, most detailed first.

    ``name`` is as wide as the face's, ``reason`` why it was not classified, if so.
    """
    s = _sizes(text, name)
    if reason is not None:
        width = 3 * s.tag_pad + s.chip + s.gap + text_width(reason, text)
        tag = PanelStyle("tag", width, s.header + 2 * s.tag_pad, 0.5)
        return tag, PanelStyle("chip", s.chip, s.header, 0.9)
    return (
        PanelStyle("full", s.width, 2 * s.pad + s.header + s.gap + 7 * s.row, 0.0),
        PanelStyle("bars", s.width, 2 * s.pad + s.header + 7 * s.thin_row, 0.3),
        PanelStyle("tag", s.width - 2 * (s.pad - s.tag_pad), s.header + 2 * s.tag_pad, 0.5),
        PanelStyle("chip", s.chip, s.header, 0.9),
    )


def _panel(observation: Observation, name: str, word: str, place: Placement, text: int) -> Patch:
    style = place.style
    shares = [] if observation.probabilities is None else observation.probabilities.tolist()
    s = _sizes(text, name if not name.startswith("#") else "#" + "0" * (len(name) - 1))
    if style.name == "chip":
        return Patch(round(place.x), round(place.y), _chip(name, word, s.chip, s.header, text))
    canvas = _plate(style, word, s).copy()
    pad = _pad(style, s)
    over(canvas[pad : pad + s.header, pad : pad + s.chip], _chip(name, word, s.chip, s.header, text))
    if shares:
        percent = f"{100 * max(shares):.0f}%"
        _write(canvas, percent, style.width - pad - text_width(percent, text), pad, text, LIGHT)
    for n, track in enumerate(_tracks(style, s)):
        _inside(canvas, track)[...] = _bar(style, s, n, max(1, int(shares[n] * track[2])))
    return Patch(round(place.x), round(place.y), canvas)


@lru_cache(maxsize=32)
def _plate(style: PanelStyle, word: str, s: _Sizes) -> Pixels:
    """The part of a panel that all faces with this label share: the background and the texts."""
    canvas = _ground(style, s).copy()
    pad = _pad(style, s)
    _write(canvas, word, pad + s.chip + s.gap, pad, s.text, LIGHT if word in EMOTIONS else _DIM)
    if style.name == "full":
        for n in range(len(EMOTIONS)):
            top = pad + s.header + s.gap + n * s.row
            color = LIGHT if EMOTIONS[n] == word else _DIM
            _write(canvas, EMOTIONS[n], pad, top + (s.row - round(s.label * 1.3)) // 2, s.label, color)
    return canvas


def _pad(style: PanelStyle, s: _Sizes) -> int:
    return s.tag_pad if style.name == "tag" else s.pad


@lru_cache(maxsize=32)
def _tracks(style: PanelStyle, s: _Sizes) -> list[tuple[int, int, int, int]]:
    """Position and full size (x, y, width, height) of the seven bars in the panel, in the order of ``EMOTIONS``."""
    top = s.pad + s.header
    if style.name == "full":
        x, y = s.pad + s.labels + s.gap, top + s.gap + (s.row - s.bar) // 2
        return [(x, y + n * s.row, s.width - s.pad - x, s.bar) for n in range(len(EMOTIONS))]
    if style.name == "bars":
        y, width = top + s.thin_row - s.thin_bar, s.width - 2 * s.pad
        return [(s.pad, y + n * s.thin_row, width, s.thin_bar) for n in range(len(EMOTIONS))]
    return []


def _inside(canvas: Pixels, part: tuple[int, int, int, int]) -> Pixels:
    x, y, width, height = part
    return canvas[y : y + height, x : x + width]


@lru_cache(maxsize=32)
def _ground(style: PanelStyle, sizes: _Sizes) -> Pixels:
    """The background of a panel: dark, translucent, with rounded corners and a thin light edge."""
    radius = sizes.text * 0.4
    edge = max(1, round(sizes.text * 0.05))
    plate = tint(rounded(style.width, style.height, radius), (120, 124, 132), _OPACITY)
    inner = rounded(style.width - 2 * edge, style.height - 2 * edge, radius - edge)
    middle = plate[edge:-edge, edge:-edge]
    keep = (255 - inner)[:, :, None] / 255
    middle[...] = np.rint(middle * keep + tint(inner, DARK, _OPACITY)).astype(np.uint8)
    return plate


@lru_cache(maxsize=256)
def _chip(name: str, word: str, width: int, height: int, text: int) -> Pixels:
    """The face's name or id on the colour of its label."""
    color = _COLORS[word]
    chip = tint(rounded(width, height, text * 0.3), color)
    _write(chip, name, (width - text_width(name, text)) // 2, 0, text, text_on(color))
    return chip


@lru_cache(maxsize=512)
def _bar(style: PanelStyle, s: _Sizes, emotion: int, length: int) -> Pixels:
    """The part of a panel that holds an emotion's bar: the background, the empty bar, and ``length`` pixels filled."""
    x, y, width, height = _tracks(style, s)[emotion]
    track = _inside(_ground(style, s), (x, y, width, height)).copy()
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
