"""Random augmentation of the training faces. Never used at test time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fermedia.types import Gray


@dataclass(frozen=True)
class Augmentation:
    """How much a training face is varied. Every range is symmetric about "unchanged".

    The geometric ranges cover the variation of a face detector's box (the eyes in FER-2013 scatter by 7 % of the
    frame); the photometric ones, small size and noise that of webcams and distant faces.
    """

    rotation: float = 12.0  #: degrees
    scale: float = 0.12  #: of the logarithm of the size
    shift: float = 3.0  #: pixels of 48
    brightness: float = 15.0  #: grey values
    contrast: float = 0.25  #: of the logarithm of the gain
    erasing: float = 0.3  #: share of faces with a rectangle of one grey laid over them (Zhong et al. 2017)
    small: float = 0.1  #: share of faces that are shrunk to 16..40 pixels and enlarged again
    noise: float = 0.1  #: share of faces with Gaussian noise of up to 12 grey values

    def scaled(self, strength: float) -> Augmentation:
        """The augmentation with every range and share multiplied by ``strength``."""
        return Augmentation(**{k: v * strength for k, v in vars(self).items()})

    def __call__(self, faces: NDArray[np.uint8], crop: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """Augment grey faces (n, h, w) to (n, crop, crop, 1), float32, 0..255. Half of them are mirrored."""
        n, (height, width) = len(faces), faces.shape[1:]
        angle = rng.uniform(-self.rotation, self.rotation, n)
        size = np.exp(rng.uniform(-self.scale, self.scale, n))
        shift = rng.uniform(-self.shift, self.shift, (n, 2)) - [(width - crop) / 2, (height - crop) / 2]
        mirror = rng.random(n) < 0.5
        small = rng.random(n) < self.small
        erase = rng.random(n) < self.erasing
        out: NDArray[Any] = np.empty((n, crop, crop), np.float32)
        for i, face in enumerate(faces):
            if small[i]:
                face = _shrink(face, int(rng.integers(16, 41)))
            matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle[i], size[i])
            matrix[:, 2] += shift[i]
            varied = cv2.warpAffine(face, matrix, (crop, crop), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            out[i] = varied[:, ::-1] if mirror[i] else varied
            if erase[i]:
                _erase(out[i], rng)
        gain = np.exp(rng.uniform(-self.contrast, self.contrast, (n, 1, 1)))
        out = (out - 128) * gain + 128 + rng.uniform(-self.brightness, self.brightness, (n, 1, 1))
        noisy = np.flatnonzero(rng.random(n) < self.noise)
        out[noisy] += rng.normal(size=(len(noisy), crop, crop)) * rng.uniform(0, 12, (len(noisy), 1, 1))
        return np.clip(out, 0, 255).astype(np.float32)[..., None]


def mix(a: NDArray[np.float32], b: NDArray[np.float32], share: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mixup (Zhang et al. 2018): ``share`` (n,) times the rows of ``a`` plus ``1 - share`` times those of ``b``."""
    share = share.reshape(-1, *[1] * (a.ndim - 1))
    return np.asarray(share * a + (1 - share) * b, np.float32)


def _shrink(face: Gray, side: int) -> Gray:
    height, width = face.shape
    small = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _erase(face: NDArray[np.float32], rng: np.random.Generator) -> None:
    height, width = face.shape
    h, w = rng.integers(height // 8, height // 2, 2)
    y, x = rng.integers(0, height - h + 1), rng.integers(0, width - w + 1)
    face[y : y + h, x : x + w] = rng.integers(0, 256)
