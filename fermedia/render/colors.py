"""The colours of the emotions in videos, plots and pages.

They are the palette of Okabe and Ito (2008, "Color Universal Design"), which people with protan, deutan and tritan
vision can tell apart. Its black would be invisible on the dark panels and is replaced by a grey, which is dark enough
for white paper. Any two colours differ by at least 12 CIEDE2000 units in each of the three kinds of vision, simulated
after Machado et al. (2009).
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
    """Convert "#RRGGBB" to (red, green, blue), each 0 to 255."""
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def text_on(background: RGB) -> RGB:
    """``DARK`` or ``LIGHT``, whichever has more contrast to the background (WCAG 2)."""
    glow = luminance(background) + 0.05
    return DARK if glow / (luminance(DARK) + 0.05) > (luminance(LIGHT) + 0.05) / glow else LIGHT


def luminance(color: RGB) -> float:
    """Relative luminance of an sRGB colour, 0 to 1 (WCAG 2)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in color)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
