"""Images held as arrays."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fermedia.images import ArrayImage, as_image
from tests.videos import astronaut


def test_rgb_and_grey_agree_with_opencv() -> None:
    image = ArrayImage(astronaut())
    assert (image.width, image.height) == (512, 512)
    assert (image.gray() == cv2.cvtColor(astronaut(), cv2.COLOR_RGB2GRAY)).all()
    assert (image.rgb() == astronaut()).all()


def test_bgr_and_grey_arrays() -> None:
    bgr = astronaut()[:, ::-1, ::-1]  # mirrored too: strides that run backwards
    image = as_image(bgr)
    assert (image.rgb() == bgr[:, :, ::-1]).all()
    assert image.rgb().flags.c_contiguous
    gray = np.ascontiguousarray(bgr[:, :, 1])
    flat = as_image(gray)
    assert (flat.gray() == gray).all()
    assert (flat.rgb() == gray[:, :, None]).all()
    assert as_image(image) is image


def test_the_array_is_copied() -> None:
    gray = np.zeros((20, 20), np.uint8)
    image = as_image(gray)
    gray[:] = 255
    assert image.gray().max() == 0


def test_sizes() -> None:
    stripes = np.zeros((240, 320, 3), np.uint8)
    stripes[:, ::2] = 255
    image = ArrayImage(stripes)
    assert image.rgb((160, 120)).shape == (120, 160, 3)
    assert np.abs(image.rgb((160, 120)).astype(int) - 127).max() < 2  # areas are averaged
    assert image.rgb((640, 480)).shape == (480, 640, 3)
    assert image.rgb((100, 30)).flags.c_contiguous


@pytest.mark.parametrize(
    "image",
    [np.zeros((4, 4), np.float32), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4), np.uint8), np.zeros(4, np.uint8)],
)
def test_other_arrays_are_refused_with_their_shape(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"an image is a uint8 array of shape .*, got \w+ \("):
        as_image(image)
