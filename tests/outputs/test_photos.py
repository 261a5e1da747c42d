"""Annotated pictures: names, sizes, what is painted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fermedia.errors import MediaError
from fermedia.outputs.photos import PhotoWriter
from fermedia.pictures import ArrayPicture
from fermedia.types import Frame
from tests.films import background
from tests.outputs.seen import face

PICTURE = ArrayPicture(background((201, 150)))


def written(folder: Path, *names: str) -> list[str]:
    with PhotoWriter(folder) as writer:
        for n, name in enumerate(names):
            writer.write(Frame(n, None, PICTURE, name=name), [])
    return sorted(path.name for path in folder.iterdir())


def test_names(tmp_path: Path) -> None:
    assert written(tmp_path, "a.jpg", "b.JPEG", "c.png", "noext", ".hidden") == [
        ".hidden.jpg", "a.jpg", "b.JPEG", "c.png.jpg", "noext.jpg",
    ]  # fmt: skip


def test_names_never_meet(tmp_path: Path) -> None:
    assert written(tmp_path, "a.png", "a.png.jpg", "A.PNG", "x.jpg", "X.jpg") == [
        "A.PNG.3.jpg", "X.2.jpg", "a.png.2.jpg", "a.png.jpg", "x.jpg",
    ]  # fmt: skip


def test_same_size_and_painted_only_at_the_face(tmp_path: Path) -> None:
    before = PICTURE.rgb().copy()
    with PhotoWriter(tmp_path / "annotated") as writer:
        writer.write(Frame(0, None, PICTURE, name="a.png"), [face(5, 60, 50, 60)])
        writer.write(Frame(1, None, PICTURE, name="b.png"), None)
    assert [path.name for path in (tmp_path / "annotated").iterdir()] == ["a.png.jpg"]
    with Image.open(tmp_path / "annotated" / "a.png.jpg") as image:
        assert (image.format, image.size, image.mode) == ("JPEG", (201, 150), "RGB")
        change = np.abs(np.asarray(image).astype(int) - before).max(axis=2)
    assert change[:30].max() < 16  # JPEG's own
    assert change[60:120, 5:55].max() > 60
    assert np.array_equal(PICTURE.rgb(), before)


def test_a_picture_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "annotated").write_text("a file, not a folder")
    with pytest.raises(MediaError, match=r"^a\.jpg: the annotated picture cannot be written") as caught:
        written(tmp_path / "annotated", "a.jpg")
    assert caught.value.stage == "write"
