"""Tone mapping from high to standard dynamic range: a colour table (3D LUT) for the frames of videos and for photos.

It resembles what phones and televisions do on a standard screen. Up to about 85 cd/m2, where faces are lit, brightness
is kept; above, it is compressed so that 1000 cd/m2 become white and highlights keep their detail. Hue is kept; colours
outside BT.709 are clipped to it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

#: AVColorTransferCharacteristic of the two kinds of high dynamic range (ITU-R BT.2100).
PQ, HLG = 16, 18

#: Graphics white in cd/m2, which becomes the white of standard range (ITU-R BT.2408-7, 2.1: HLG 75 %, PQ 58 %).
_WHITE = 203.0
#: The brightest level that keeps detail: HLG's nominal screen (BT.2100, table 5) and most discs'. Above it clips.
_PEAK = 1000.0
#: The gamma of standard range screens (ITU-R BT.1886).
_GAMMA = 2.4

#: The table's nodes along each axis; its users interpolate between them.
NODES = 33

#: Linear RGB of BT.2020 to BT.709 (ITU-R BT.2407-0, 2.2).
_TO_709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]])


def sdr_nodes(transfer: int) -> Values:
    """The table: R'G'B' of BT.709, 0..1, at nodes in R'G'B' of BT.2100 (``transfer`` is PQ or HLG).

    Shape (``NODES`` ** 3, 3), float64; red varies fastest.
    """
    levels = np.linspace(0, 1, NODES)
    blue, green, red = np.meshgrid(levels, levels, levels, indexing="ij")
    return to_sdr(np.stack([red, green, blue], axis=-1).reshape(-1, 3), transfer)


def sdr_table(transfer: int) -> str:
    """The table in Iridas' .cube format."""
    rows = sdr_nodes(transfer)
    return f"LUT_3D_SIZE {NODES}\n" + "\n".join("{:.6f} {:.6f} {:.6f}".format(*row) for row in rows.tolist()) + "\n"


def to_sdr(rgb: Values, transfer: int) -> Values:
    """Convert R'G'B' of BT.2100, shape (n, 3), 0..1, to R'G'B' of BT.709 for a BT.1886 screen."""
    light = pq_to_light(rgb) if transfer == PQ else _hlg_to_light(rgb)
    strongest = light.max(axis=1, keepdims=True)
    light = light * (_compressed(strongest) / np.maximum(strongest, 1e-9))
    return np.clip(light @ _TO_709.T / _WHITE, 0, 1) ** (1 / _GAMMA)


def pq_to_light(code: Values) -> Values:
    """PQ's EOTF (SMPTE ST 2084; BT.2100, table 4): 0..1 to cd/m2."""
    root = np.asarray(code) ** (1 / _M2)
    return 10_000 * (np.maximum(root - _C1, 0) / (_C2 - _C3 * root)) ** (1 / _M1)


def light_to_pq(light: Values) -> Values:
    """The inverse of ``pq_to_light``."""
    power = (np.asarray(light) / 10_000) ** _M1
    return ((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2


_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32


def _hlg_to_light(code: Values) -> Values:
    """HLG's inverse OETF and the OOTF of a screen of 1000 cd/m2 (BT.2100, table 5): 0..1 to cd/m2."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
    luminance = scene @ np.array([0.2627, 0.6780, 0.0593])
    return _PEAK * scene * luminance[:, None] ** 0.2


def _compressed(light: Values) -> Values:
    """BT.2390-10, 5.4.1 (EETF, black unchanged): 0.._PEAK to 0.._WHITE in cd/m2; below the knee nothing changes."""
    top = light_to_pq(np.array(_PEAK))
    level = np.minimum(light_to_pq(light) / top, 1)
    most = light_to_pq(np.array(_WHITE)) / top
    knee = 1.5 * most - 0.5
    t = np.maximum(level - knee, 0) / (1 - knee)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (-2 * t**3 + 3 * t**2) * most
    return pq_to_light(np.where(level < knee, level, spline) * top)
