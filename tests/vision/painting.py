"""Portraits whose lids are drawn down, whose eyes look aside, or whose mouths open. RGB or BGR, uint8."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

import fermedia.commands
from fermedia.types import Measures, Mesh
from fermedia.vision.detect import FaceDetector
from fermedia.vision.measures import measured
from fermedia.vision.mesh import FaceMesh
from tests.videos import Pixels as Pixels
from tests.videos import read_image

#: Points of the mesh along the lids of the person's right and left eye, corner to corner, and along the brow above.
_UPPER = ((33, 246, 161, 160, 159, 158, 157, 173, 133), (362, 398, 384, 385, 386, 387, 388, 466, 263))
_LOWER = ((33, 7, 163, 144, 145, 153, 154, 155, 133), (362, 382, 381, 380, 374, 373, 390, 249, 263))
_BROWS = ((46, 53, 52, 65, 55), (285, 295, 282, 283, 276))
_IRISES = (468, 473)


def portrait(name: str) -> Pixels:
    """One of the package's own, "collins" or "hopper", BGR."""
    return read_image(Path(fermedia.commands.__file__).parent / "portraits" / f"{name}.jpg")


def rolled(image: Pixels, degrees: float) -> Pixels:
    """The image turned clockwise around its middle; the corners repeat its edge."""
    height, width = image.shape[:2]
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), -degrees, 1)
    turned = cv2.warpAffine(image, turn, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(turned, np.uint8)


def mesh_of(image: Pixels, reader: FaceMesh, detector: FaceDetector) -> Mesh:
    """The mesh of an image's largest face."""
    image = np.ascontiguousarray(image)
    return reader.read(image, detector.detect(image)[0])


def measures_of(image: Pixels, reader: FaceMesh, detector: FaceDetector) -> Measures:
    """Its measures."""
    return measured(mesh_of(image, reader, detector))


def with_lids(image: Pixels, mesh: Mesh, closed: float) -> Pixels:
    """The image with both upper lids drawn down by a share of the eyes' opening, 0 (as it is) to 1 (shut)."""
    x, y = _grid(image)
    source = y.copy()
    for upper, lower, brow in zip(_UPPER, _LOWER, _BROWS, strict=True):
        up, low, top = (_line(mesh, points, x[0]) for points in (upper, lower, brow))
        ends = sorted(mesh.landmarks[[upper[0], upper[-1]], 0].tolist())
        inside = (x >= ends[0]) & (x <= ends[1])
        lid = up + closed * np.maximum(low - up, 0)  # where it is to be; the skin from the brow to it is stretched
        stretched = top + (y - top) * (up - top) / np.maximum(lid - top, 1)
        source = np.where(inside & (y > top) & (y <= lid), stretched, source)
    return _warped(image, x, source)


def with_look(image: Pixels, mesh: Mesh, right: float, down: float) -> Pixels:
    """The image with both irises moved by so many pixels; the skin around the eyes stays."""
    x, y = _grid(image)
    shift = np.zeros_like(x)
    for iris in _IRISES:
        middle = mesh.landmarks[iris]
        radius = float(np.linalg.norm(mesh.landmarks[iris + 1 : iris + 5, :2] - middle[:2], axis=1).mean())
        away = np.hypot(x - middle[0] - right, y - middle[1] - down) / radius
        shift += np.clip(2.2 - away, 0, 1)  # the whole iris moves, and what is two of its radii away does not
    return _warped(image, x - shift * right, y - shift * down)


def with_mouth(image: Pixels, mesh: Mesh, opened: float) -> Pixels:
    """The image with the jaw dropped by so many pixels, and darkness between the lips."""
    x, y = _grid(image)
    right, left, upper, chin = mesh.landmarks[[61, 291, 13, 152], :2].astype(np.float64)
    split = np.interp(x, (right[0], upper[0], left[0]), (right[1], upper[1], left[1]))  # the line between the lips
    across = (x - (right[0] + left[0]) / 2) / (left[0] - right[0])
    drop = opened * np.clip(1 - (2 * across) ** 2, 0, 1)
    fades = np.clip(1 - (y - chin[1]) / (0.5 * (chin[1] - upper[1])), 0, 1)  # below the chin
    below = y > split
    moved = _warped(image, x, np.where(below, np.maximum(y - drop * fades, split), y))
    moved[below & (y <= split + drop)] = 25
    return moved


def _grid(image: Pixels) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The middle of each pixel."""
    height, width = image.shape[:2]
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    return x, y


def _line(mesh: Mesh, points: tuple[int, ...], x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The height of a line through points of the mesh, at each column."""
    places = mesh.landmarks[list(points), :2]
    order = places[:, 0].argsort()
    return np.interp(x, places[order, 0], places[order, 1])


def _warped(image: Pixels, x: NDArray[np.float64], y: NDArray[np.float64]) -> Pixels:
    maps = (x - 0.5).astype(np.float32), (y - 0.5).astype(np.float32)
    return np.asarray(cv2.remap(image, *maps, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE), np.uint8)
