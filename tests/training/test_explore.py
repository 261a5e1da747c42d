"""What ``fermedia dataset`` finds and writes."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fermedia.errors import DataError, UsageError
from fermedia.training.explore import explore, format_summary
from fermedia.types import EMOTIONS
from tests.fer import Made, make_set, write_csv, write_folder

FILES = {"classes.csv", "classes.png", "samples.png", "faulty.csv", "blank.csv", "repeats.csv", "summary.json"}


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def odd() -> list[Made]:
    """A set with one blank image, a repeat within train, one across splits, and one of those with another label."""
    made = make_set(train=3, public=2, private=0)
    first, second = made[0], made[3]
    return [
        *made,
        Made("train", 6, 1, np.full((48, 48), 90, np.uint8)),
        Made("train", first.label, 2, first.pixels),
        Made("public", second.label, 3, second.pixels),
        Made("public", 5, 4, second.pixels),
    ]


def test_csv(odd: list[Made], tmp_path: Path) -> None:
    out = tmp_path / "out"
    summary = explore(write_csv(tmp_path / "fer2013.csv", odd), out)
    assert {p.name for p in out.iterdir()} == FILES
    assert summary == json.loads((out / "summary.json").read_text())
    assert (summary["images"], summary["faulty"], summary["blank"]) == (39, 0, 1)
    assert summary["splits"]["train"]["classes"]["angry"] == {"images": 4, "share": 4 / 23}
    assert summary["forms"] == {"CSV row 48x48": 39}
    assert summary["missing_classes"] == ["no images of private"]
    assert summary["repeats"] == {
        "groups": 2,
        "different_labels": 1,
        "within": {"train": 1, "public": 1},
        "across": {"public in train": 2},
    }
    train = np.stack([m.pixels for m in odd if m.split == "train"])
    assert summary["pixels"]["train"]["mean"] == pytest.approx(train.mean())
    assert summary["pixels"]["train"]["std"] == pytest.approx(train.std())
    assert rows_of(out / "classes.csv")[0] == {"split": "train", "class": "angry", "images": "4", "share": "0.173913"}
    assert rows_of(out / "blank.csv") == [{"split": "train", "class": "neutral", "image": "fer2013.csv line 37"}]
    table = rows_of(out / "repeats.csv")
    assert [(r["group"], r["split"], r["class"], r["across_splits"], r["different_labels"]) for r in table] == [
        ("1", "train", "angry", "0", "0"),
        ("1", "train", "angry", "0", "0"),
        ("2", "train", "disgust", "1", "1"),
        ("2", "public", "disgust", "1", "1"),
        ("2", "public", "surprise", "1", "1"),
    ]
    assert rows_of(out / "faulty.csv") == []
    text = format_summary(summary)
    assert "  angry             4   17.4%         2   12.5%\n" in text
    assert "  images of public that stand in train too: 2" in text


def test_works_on_what_is_there(tmp_path: Path) -> None:
    """Faulty images, a missing class and a missing split are told, not refused."""
    made = [m for m in make_set(train=0, public=3, private=0) if EMOTIONS[m.label] != "fear"]
    folder = write_folder(tmp_path / "data", made)
    files = sorted(folder.glob("test/angry/*.jpg"))
    files[0].write_bytes(b"")
    Image.new("L", (32, 40)).save(files[1])
    summary = explore(folder, tmp_path / "out")
    assert (summary["images"], summary["faulty"]) == (18, 2)
    assert summary["missing_classes"] == [
        "no images of train",
        "public has no image of fear (no folder test/fear)",
        "no images of private",
    ]
    assert summary["forms"] == {"JPEG 48x48 L": 16, "unreadable": 1, "JPEG 32x40 L": 1}
    assert [(r["image"], r["fault"]) for r in rows_of(tmp_path / "out" / "faulty.csv")] == [
        (f"test/angry/{files[0].name}", "is empty (0 bytes)"),
        (f"test/angry/{files[1].name}", "is 32x40 pixels, not 48x48"),
    ]
    for file in folder.glob("test/*/*.jpg"):
        file.write_text("no image")
    with pytest.raises(DataError, match=r"none of its 18 images can be read; the first: test/angry/\S+ cannot be read"):
        explore(folder, tmp_path / "out")


def test_images_are_the_same_each_time_and_show_the_faces(tmp_path: Path) -> None:
    data = write_csv(tmp_path / "fer2013.csv", make_set(train=2, public=1, private=1))
    explore(data, tmp_path / "a")
    explore(data, tmp_path / "b")
    for name in ("classes.png", "samples.png"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    with Image.open(tmp_path / "a" / "samples.png") as image:
        grey = np.asarray(image.convert("L"))
    assert (grey < 250).mean() > 0.2


def test_a_folder_of_somebody_elses_is_left_alone(tmp_path: Path) -> None:
    data = write_csv(tmp_path / "fer2013.csv", make_set(train=1, public=1, private=1))
    out = tmp_path / "out"
    out.mkdir()
    (out / "summary.json").write_text('{"mine": 1}')
    with pytest.raises(UsageError) as error:
        explore(data, out)
    assert str(error.value) == f"{out} exists and contains other files; give --out a new folder"
    assert [p.name for p in out.iterdir()] == ["summary.json"]
    explore(data, tmp_path / "own")
    explore(data, tmp_path / "own")  # its own results may be made again


def test_the_real_data(shared: Path, tmp_path: Path) -> None:
    data = shared / "data" / "fer2013.zip"
    if not data.is_file():
        pytest.skip("FER-2013 is not here")
    summary = explore(data, tmp_path)
    assert summary["splits"]["train"]["images"] == 28_709
    assert summary["splits"]["public"]["images"] == 3_589
    assert (summary["faulty"], summary["blank"]) == (0, 13)
    assert summary["repeats"]["within"]["train"] == 1_236
    assert summary["repeats"]["across"] == {"public in train": 280}
    assert summary["pixels"]["train"]["mean"] == pytest.approx(129.5, abs=0.1)
