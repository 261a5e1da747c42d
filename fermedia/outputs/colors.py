"""The colour of each emotion: one choice for films, plots and pages.

Okabe and Ito's palette (2008, "Color Universal Design"), which people with protan, deutan and tritan vision tell
apart; a grey stands in for its black, which would vanish on the dark panels, as a lighter grey would on white paper.
No two colours come closer than 12 CIEDE2000 units under any of the three, simulated after Machado et al. (2009).
"""

from __future__ import annotations

#: Emotion -> colour as "#RRGGBB", in the order of ``types.EMOTIONS``.
EMOTION_COLORS = {
    "angry": "#D55E00",
    "disgust": "#009E73",
    "fear": "#CC79A7",
    "happy": "#F0E442",
    "sad": "#0072B2",
    "surprise": "#56B4E9",
    "neutral": "#C4C4C4",
}

RGB = tuple[int, int, int]

DARK: RGB = (16, 18, 22)
LIGHT: RGB = (248, 249, 250)


def rgb(color: str) -> RGB:
    """(red, green, blue), 0..255, of "#RRGGBB"."""
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def text_on(background: RGB) -> RGB:
    """Dark or light, whichever reads better on the background (WCAG 2 contrast)."""
    glow = luminance(background) + 0.05
    return DARK if glow / (luminance(DARK) + 0.05) > (luminance(LIGHT) + 0.05) / glow else LIGHT


def luminance(color: RGB) -> float:
    """Relative luminance of an sRGB colour, 0..1 (WCAG 2)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in color)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
