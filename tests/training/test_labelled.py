"""Faces from folders of labelled images as people have them, and what is said of those that are left out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from fermedia import Classifier, FaceDetector
from fermedia.cli import cli
from fermedia.commands.demo import PORTRAITS
from fermedia.errors import DataError, UsageError
from fermedia.media.photos import read_photo
from fermedia.training.evaluate import evaluate, format_report
from fermedia.training.labelled import read_labelled
from fermedia.types import EMOTIONS
from fermedia.vision.framing import crop_face
from tests.fer import draw_face, make_set, write_folder, write_zip
from tests.videos import read_image


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def crops(tmp_path: Path) -> Path:
    """Two faces for each of four words, as other people call them, in no split."""
    rng = np.random.default_rng(0)
    for folder, emotion in (("Happiness", "happy"), ("5_surprised", "surprise"), ("anger", "angry"), ("SAD", "sad")):
        for i in range(2):
            save(tmp_path / "mine" / folder / f"{i}.png", draw_face(EMOTIONS.index(emotion), rng))
    return tmp_path / "mine"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two photos, in one of which a smaller face stands beside the large one, and one that shows nobody."""
    hopper, collins = (read_image(PORTRAITS / f"{name}.jpg")[:, :, ::-1] for name in ("hopper", "collins"))
    small = cv2.resize(collins, (300, 300), interpolation=cv2.INTER_AREA)
    both = np.hstack([cv2.copyMakeBorder(small, 150, 150, 0, 0, cv2.BORDER_REPLICATE), hopper])
    save(tmp_path / "photos" / "neutral" / "two.png", both)
    save(tmp_path / "photos" / "happy" / "one.png", collins)
    save(tmp_path / "photos" / "happy" / "sea.png", np.full((200, 300, 3), 140, np.uint8))
    return tmp_path / "photos"


def test_some_classes_under_other_names(crops: Path) -> None:
    labelled = read_labelled(crops)
    assert [EMOTIONS[label] for label in labelled.split.labels] == [
        *["surprise"] * 2, *["happy"] * 2, *["sad"] * 2, *["angry"] * 2,
    ]  # fmt: skip
    first = np.asarray(Image.open(crops / "5_surprised" / "0.png"))
    assert np.array_equal(labelled.split.images[0], first)
    assert (labelled.parts, labelled.searched) == ({"all": 8}, 0)
    assert labelled.left_out() == "there are none of disgust, fear, neutral"
    result = evaluate(crops)
    assert (result["labels"], result["split"], result["n"]) == ("folders", "all", 8)
    answers = Classifier.load().predict(labelled.split.images).argmax(1)
    right = answers == labelled.split.labels
    assert result["balanced_accuracy"] == right.reshape(4, 2).mean(1).mean()
    assert "Against the labels of the folders: 8 images" in format_report(result)
    assert "  disgust            -        -        -        0\n" in format_report(result)


def test_what_is_left_out_is_counted_and_named(crops: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert cli(["evaluate", str(crops)], standalone_mode=False) == 0
    whole = json.loads(json.dumps(evaluate(crops)))
    for folder in ("contempt", "contempt", "0"):
        save(crops / folder / f"{len(list(crops.rglob('*')))}.png", np.zeros((48, 48), np.uint8))
    (crops / "SAD" / "2.jpg").write_bytes(b"no image")
    (crops / "SAD" / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (crops / "SAD" / "notes.txt").write_text("of 1968")
    capsys.readouterr()
    assert cli(["evaluate", str(crops), "--json", str(tmp_path / "out.json")], standalone_mode=False) == 3
    assert capsys.readouterr().out.splitlines()[1] == (
        "left out: unreadable 2 (SAD/2.jpg: not an image that can be read, SAD/gone.jpg: no such file); "
        "in folders that are not classes 3 (2 in contempt, 1 in 0); not named as images 1 (SAD/notes.txt); "
        "there are none of disgust, fear, neutral"
    )
    result = json.loads((tmp_path / "out.json").read_text())
    assert result["confusion"] == whole["confusion"]
    assert result["pictures"]["other_folders"] == {"0": 1, "contempt": 2}
    assert list(result["pictures"]["unreadable"]) == ["SAD/2.jpg", "SAD/gone.jpg"]
    assert (result["pictures"]["pictures"], result["pictures"]["judged"]) == (10, 8)


def test_through_links(crops: Path, tmp_path: Path) -> None:
    """To files and folders, also where all images lie in one place, and round in circles."""
    linked = tmp_path / "linked"
    (linked / "surprise").mkdir(parents=True)
    (linked / "happy").symlink_to(crops / "Happiness")
    (linked / "surprise" / "a.png").symlink_to(crops / "5_surprised" / "0.png")
    (linked / "round").symlink_to(linked)
    (crops / "Happiness" / "round").symlink_to(linked)
    labelled = read_labelled(linked)
    assert [entry for entry in labelled.split.names if "round" not in entry] == [
        "happy/0.png", "happy/1.png", "surprise/a.png",
    ]  # fmt: skip
    assert labelled.source.others == {}


def test_a_zip_is_the_same_as_its_folder(photos: Path, tmp_path: Path) -> None:
    shutil.make_archive(str(tmp_path / "packed"), "zip", photos.parent, "photos")
    inside, packed = read_labelled(photos), read_labelled(tmp_path / "packed.zip")
    assert np.array_equal(inside.split.images, packed.split.images)
    assert [entry.member for entry in packed.faceless] == ["photos/happy/sea.png"]


def test_the_largest_face_of_a_photo_is_judged(photos: Path) -> None:
    labelled = read_labelled(photos)
    assert labelled.split.names == ("happy/one.png", "neutral/two.png")
    with FaceDetector() as detector:
        for name, crop in zip(("happy/one.png", "neutral/two.png"), labelled.split.images, strict=True):
            image = read_photo(photos / name)
            found = detector.detect(image)
            assert len(found) == (2 if "two" in name else 1)
            largest = max(found, key=lambda face: face.box.width)
            assert np.array_equal(crop, crop_face(image, largest, 48))
    assert [entry.member for entry in labelled.faceless] == ["happy/sea.png"]
    assert labelled.left_out() == (
        "no face found in 1 of 3 images (1 happy); there are none of angry, disgust, fear, sad, surprise"
    )
    result = evaluate(photos)
    assert (result["n"], result["pictures"]["searched"], result["labels"]) == (2, 3, "folders")
    assert "faces  the largest of each of 3 images" in format_report(result)


def test_what_a_image_is_taken_for(photos: Path, crops: Path) -> None:
    as_crops = read_labelled(photos, faces="crops")
    assert (len(as_crops.split), as_crops.searched) == (3, 0)
    one = read_photo(photos / "happy" / "one.png").gray()
    shrunk = cv2.resize(one, (48, 48), interpolation=cv2.INTER_AREA).astype(int)
    assert np.abs(as_crops.split.images[0].astype(int) - shrunk).mean() < 2
    save(photos / "sad" / "crop.png", one[60:108, 190:238])
    mixed = read_labelled(photos)
    assert (len(mixed.split), mixed.searched) == (3, 3)
    with pytest.raises(
        DataError, match=r"no face that can be classified in 1 image; if they are faces that were cut out, add"
    ):
        read_labelled(only(photos, "happy/sea.png"))
    with pytest.raises(UsageError, match="faces must be one of auto, find, crops, got 'all'"):
        read_labelled(crops, faces="all")  # type: ignore[arg-type]


def only(photos: Path, name: str) -> Path:
    target = photos.parent / "only" / name
    target.parent.mkdir(parents=True)
    shutil.copyfile(photos / name, target)
    return photos.parent / "only"


def test_parts(crops: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"mine has no parts \(train, test\), so there is no split 'test'; leave it"):
        read_labelled(crops, "test")
    assert len(read_labelled(crops, "all").split) == 8
    shutil.copytree(crops, tmp_path / "parted" / "train")
    shutil.copytree(crops / "anger", tmp_path / "parted" / "test" / "anger")
    parted = tmp_path / "parted"
    assert read_labelled(parted).parts == {"public": 2}  # the classes need not all be there
    assert read_labelled(parted, "all").parts == {"train": 8, "public": 2}
    with pytest.raises(DataError, match="has no images of the split 'private'; it has train, public"):
        read_labelled(parted, "private")
    shutil.copytree(crops / "anger", parted / "anger")
    with pytest.raises(DataError, match=r"the split of anger/0\.png and of others is unknown; give --split all"):
        read_labelled(parted)
    assert read_labelled(parted, "all").parts == {"train": 8, "public": 2, "all": 2}


def test_nothing_to_judge(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none does not exist; expected images in folders that are called by some of"):
        read_labelled(tmp_path / "none")
    save(tmp_path / "data" / "contempt" / "1.png", np.zeros((48, 48), np.uint8))
    with pytest.raises(DataError, match="data has no image in a folder that is called by a class; expected"):
        read_labelled(tmp_path / "data")
    (tmp_path / "bad" / "fear").mkdir(parents=True)
    (tmp_path / "bad" / "fear" / "1.png").write_bytes(b"")
    with pytest.raises(
        DataError, match=r"no face that can be classified in 1 image; the first: fear/1.png the file is empty"
    ):
        read_labelled(tmp_path / "bad")


def test_fer2013_itself_with_odd_ones(tmp_path: Path) -> None:
    """It stays FER-2013: its own head speaks, and what is not as it should be is left out."""
    made = make_set(train=1, public=3, private=0)
    folder = write_folder(tmp_path / "fer", made)
    Image.new("L", (64, 48)).save(folder / made[7].name)
    (folder / made[8].name).write_bytes(b"")
    save(folder / "test" / "contempt" / "PublicTest_1.png", np.zeros((48, 48), np.uint8))
    result = evaluate(folder)
    assert (result["labels"], result["head"], result["n"]) == ("fer2013", "fer2013", 19)
    assert result["splits"] == {"public": 21}
    assert result["pictures"]["left_out"] == (
        "no face found in 1 of 1 image (1 angry); unreadable 1 (test/angry/PublicTest_1008.jpg: the file is empty); "
        "in folders that are not classes 1 (1 in test/contempt)"
    )
    packed = evaluate(write_zip(tmp_path / "fer.zip", made))
    assert (packed["n"], packed["pictures"]["left_out"]) == (21, "")
