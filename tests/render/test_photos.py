"""Annotated images: names, sizes, what is painted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from fermedia.errors import MediaError
from fermedia.images import ArrayImage
from fermedia.render.drawing import overlay
from fermedia.render.patches import blend_rgb
from fermedia.render.photos import PhotoWriter
from fermedia.types import Frame
from tests.seen import face
from tests.videos import background

IMAGE = ArrayImage(background((201, 150)))


def written(folder: Path, *names: str) -> list[str]:
    with PhotoWriter(folder) as writer:
        for n, name in enumerate(names):
            writer.write(Frame(n, None, IMAGE, name=name), [])
    return sorted(path.name for path in folder.iterdir())


def test_names(tmp_path: Path) -> None:
    assert written(tmp_path, "a.jpg", "b.JPEG", "c.png", "noext", ".hidden", "d.heic") == [
        ".hidden.jpg", "a.jpg", "b.JPEG", "c.png.jpg", "d.heic.jpg", "noext.jpg",
    ]  # fmt: skip


def test_names_never_meet(tmp_path: Path) -> None:
    assert written(tmp_path, "a.png", "a.png.jpg", "A.PNG", "x.jpg", "X.jpg") == [
        "A.PNG.3.jpg", "X.2.jpg", "a.png.2.jpg", "a.png.jpg", "x.jpg",
    ]  # fmt: skip
    assert written(tmp_path / "one", "a.heic", "a.jpg", "a.png", "a.avif", "a.heic.jpg", "a.jpeg") == [
        "a.avif.jpg", "a.heic.2.jpg", "a.heic.jpg", "a.jpeg", "a.jpg", "a.png.jpg",
    ]  # fmt: skip


def test_same_size_and_painted_only_at_the_face(tmp_path: Path) -> None:
    before = IMAGE.rgb().copy()
    with PhotoWriter(tmp_path / "annotated") as writer:
        writer.write(Frame(0, None, IMAGE, name="a.png"), [face(5, 60, 50, 60)])
        writer.write(Frame(1, None, IMAGE, name="b.png"), None)
    assert [path.name for path in (tmp_path / "annotated").iterdir()] == ["a.png.jpg"]
    with Image.open(tmp_path / "annotated" / "a.png.jpg") as image:
        assert (image.format, image.size, image.mode) == ("JPEG", (201, 150), "RGB")
        after = np.asarray(image).astype(int)
    assert isinstance(image, JpegImageFile)
    assert image.layer[0][1:3] == image.layer[1][1:3] == (1, 1)  # colours at full resolution
    expected = before.copy()
    blend_rgb(expected, overlay([face(5, 60, 50, 60)], 201, 150))
    assert np.abs(expected.astype(int) - before).max() > 100
    assert np.abs(after - expected).mean() < 1.5
    assert np.abs(after - before)[:30].max() < 16  # JPEG's own
    assert np.array_equal(IMAGE.rgb(), before)


def test_a_panorama_that_is_too_long_for_jpeg(tmp_path: Path) -> None:
    rows = np.repeat(np.array([[[200, 40, 90]], [[10, 60, 30]]], np.uint8), 65_501, axis=1)
    with PhotoWriter(tmp_path) as writer:
        writer.write(Frame(0, None, ArrayImage(rows), name="wide.jpg"), [])
        writer.write(Frame(1, None, ArrayImage(rows[:, 1:].copy()), name="less.jpg"), [])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["less.jpg", "wide.jpg.png"]
    with Image.open(tmp_path / "wide.jpg.png") as image:
        assert (np.asarray(image) == rows).all()
    with Image.open(tmp_path / "less.jpg") as image:
        assert image.size == (65_500, 2)


def test_a_image_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "annotated").write_text("a file, not a folder")
    with pytest.raises(MediaError, match=r"^a\.jpg: the annotated image cannot be written") as caught:
        written(tmp_path / "annotated", "a.jpg")
    assert caught.value.stage == "write"
