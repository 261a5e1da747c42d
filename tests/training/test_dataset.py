"""Reading FER-2013 and FER+ in every form, and what is said of data that is not as it should be."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fermedia.errors import DataError
from fermedia.training.dataset import (
    Split,
    digests,
    load,
    majority_labels,
    repeats,
    seen,
    vote_distribution,
)
from fermedia.training.sources import open_source
from fermedia.types import EMOTIONS
from tests.fer import Made, agreeing_votes, make_set, write_csv, write_folder, write_votes, write_zip

MADE = make_set()


def pixels_of(split: str) -> NDArray[np.uint8]:
    return np.stack([m.pixels for m in MADE if m.split == split])


def labels_of(split: str) -> list[int]:
    return [m.label for m in MADE if m.split == split]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "fer2013", MADE)


def test_folder(folder: Path) -> None:
    dataset = load(folder)
    assert list(dataset) == ["train", "public", "private"]
    for name, n in (("train", 28), ("public", 14), ("private", 14)):
        split = dataset[name]
        assert len(split) == n
        assert split.images.shape == (n, 48, 48)
        assert split.images.dtype == np.uint8
        order = np.argsort([m.name for m in MADE if m.split == name])
        assert split.labels.tolist() == np.array(labels_of(name))[order].tolist()
        # JPEG changes the pixels a little; another face would differ by far more.
        assert np.abs(split.images.astype(int) - pixels_of(name)[order]).mean() < 4
    assert dataset["public"].names[0] == "test/angry/PublicTest_1028.jpg"


@pytest.mark.parametrize("top", ["", "archive"])
def test_zip_is_the_same_as_its_folder(folder: Path, tmp_path: Path, top: str) -> None:
    packed = load(write_zip(tmp_path / "fer.zip", MADE, top))
    assert packed.digest == load(folder).digest
    assert packed["train"].names == load(folder)["train"].names


@pytest.mark.parametrize("name", ["fer2013.csv", "icml_face_data.csv"])
def test_csv(tmp_path: Path, name: str) -> None:
    dataset = load(write_csv(tmp_path / name, MADE))
    for split in dataset.values():
        assert np.array_equal(split.images, pixels_of(split.name))
        assert split.labels.tolist() == labels_of(split.name)
    assert dataset["train"].names[1] == f"{name} line 3"


def test_folder_or_zip_that_holds_the_csv(tmp_path: Path) -> None:
    table = write_csv(tmp_path / "icml_face_data.csv", MADE)
    with zipfile.ZipFile(tmp_path / "kaggle.zip", "w") as file:
        file.write(table, "challenges/icml_face_data.csv")
    assert load(tmp_path / "kaggle.zip").digest == load(table).digest == load(tmp_path).digest


def test_digest_sees_pixels_labels_and_names(tmp_path: Path) -> None:
    table = write_csv(tmp_path / "fer2013.csv", MADE)
    before = load(table).digest
    text = table.read_text()
    first = text.splitlines()[1]
    label, rest = first.split(",", 1)
    table.write_text(text.replace(first, f"{int(label) + 1},{rest}"))
    other_label = load(table).digest
    grey = int(rest.split(" ", 1)[0])
    table.write_text(text.replace(first, f"{label},{grey ^ 1} {rest.split(' ', 1)[1]}"))
    assert len({before, other_label, load(table).digest}) == 3
    assert load(table, ["public"]).digest != before


def test_only_what_is_asked_for_must_be_there(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "d", [m for m in MADE if m.split == "private"])
    assert len(load(folder, ["private"])["private"]) == 14
    with pytest.raises(DataError) as error:
        load(folder, ["public"])
    assert str(error.value) == f"{folder} has no images of the split 'public'; it has private"


def test_split_by_folder_where_names_say_nothing(tmp_path: Path) -> None:
    for i, made in enumerate(MADE):
        top = {"train": "train", "public": "validation", "private": "test"}[made.split]
        file = tmp_path / "three" / top / EMOTIONS[made.label] / f"im{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(made.pixels).save(file)
    three = load(tmp_path / "three")
    assert {k: len(v) for k, v in three.items()} == {"train": 28, "public": 14, "private": 14}
    assert {n.split("/")[0] for n in three["private"].names} == {"test"}
    (tmp_path / "three" / "validation").rename(tmp_path / "elsewhere")
    two = open_source(tmp_path / "three").counts()
    assert (sum(two["train"]), sum(two["public"]), sum(two["private"])) == (28, 14, 0)


def test_file_name_wins_over_folder_and_synonyms_are_known(tmp_path: Path) -> None:
    words = ("anger", "Disgusted", "fearful", "happiness", "sadness", "SURPRISED", "neutral")
    for made in make_set(train=0, public=0, private=1):
        file = tmp_path / "train" / words[made.label] / f"PrivateTest_{made.number}.png"
        file.parent.mkdir(parents=True)
        Image.fromarray(made.pixels).save(file)
    split = load(tmp_path, ["private"])["private"]
    assert sorted(split.labels.tolist()) == list(range(7))
    assert split.labels[split.names.index("train/SURPRISED/PrivateTest_1005.png")] == EMOTIONS.index("surprise")


def test_other_image_modes_of_grey(folder: Path) -> None:
    files = sorted(folder.glob("train/happy/*.jpg"))
    grey = np.asarray(Image.open(files[0]))
    for file, mode in zip(files, ("RGB", "RGBA", "LA", "P"), strict=True):
        Image.fromarray(grey).convert(mode).save(file, "PNG")
    split = load(folder, ["train"])["train"]
    rows = [i for i, n in enumerate(split.names) if "happy" in n]
    assert all(np.array_equal(split.images[i], grey) for i in rows)


def message(data: Path, splits: Sequence[str] = ("train", "public", "private"), ferplus: Path | None = None) -> str:
    with pytest.raises(DataError) as error:
        load(data, splits, ferplus)
    text = str(error.value)
    assert "\n" not in text
    return text


def test_not_there_and_not_a_data_set(tmp_path: Path) -> None:
    expected = (
        "expected train/<class>/... and test/<class>/... with images (a folder or a zip of it), "
        "or fer2013.csv or icml_face_data.csv"
    )
    assert message(tmp_path / "none") == f"{tmp_path / 'none'} does not exist; {expected}"
    assert message(tmp_path) == f"{tmp_path} is not a FER-2013 data set; {expected}"
    note = tmp_path / "notes.txt"
    note.write_text("hello")
    assert message(note) == f"{note} is neither a folder, nor a CSV, nor a complete zip file; {expected}"
    packed = write_zip(tmp_path / "cut.zip", MADE)
    packed.write_bytes(packed.read_bytes()[:5000])
    assert message(packed) == f"{packed} is neither a folder, nor a CSV, nor a complete zip file; {expected}"


def test_missing_class_folder(folder: Path) -> None:
    for file in (folder / "train" / "disgust").iterdir():
        file.unlink()
    (folder / "train" / "disgust").rmdir()
    assert message(folder) == f"{folder}: the class 'disgust' is missing: no folder train/disgust"
    assert len(load(folder, ["public"])["public"]) == 14
    for file in (folder / "test" / "sad").glob("Private*"):
        file.unlink()
    assert len(load(folder, ["private"])["private"]) == 12  # the folder is there, the selection just lacks it
    for file in (folder / "test" / "sad").glob("*"):
        file.unlink()
    assert message(folder, ["private"]) == f"{folder}: the class 'sad' is missing: no folder test/sad"


def test_unknown_class_folder(folder: Path) -> None:
    (folder / "train" / "contempt").mkdir()
    Image.new("L", (48, 48)).save(folder / "train" / "contempt" / "Training_1.png")
    assert message(folder) == (
        f"{folder}: train/contempt/Training_1.png is in no class folder; "
        "the classes are angry, disgust, fear, happy, sad, surprise, neutral"
    )


def test_unknown_split(folder: Path) -> None:
    (folder / "train").rename(folder / "faces")
    for file in list((folder / "faces").glob("*/*.jpg")):
        file.rename(file.with_name(file.name.replace("Training_", "")))
    assert message(folder, ["train"]) == (
        f"{folder}: the split of faces/angry/1000.jpg is unknown: neither its name (Training_, PublicTest_, "
        "PrivateTest_) nor a folder above its class (train, test) says it"
    )


def test_the_same_name_twice(folder: Path) -> None:
    write_folder(folder / "copy", MADE[:1])
    assert message(folder) == (
        f"{folder} holds train/angry/Training_1000.jpg twice: copy/train/angry/Training_1000.jpg "
        "and train/angry/Training_1000.jpg; remove one copy"
    )


HINT = "remove or replace such images, `fermedia dataset` lists them all"


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (lambda f: f.write_bytes(f.read_bytes()[:400]), "cannot be read (image file is truncated"),
        (lambda f: f.write_bytes(b""), "is empty (0 bytes)"),
        (lambda f: f.write_text("hello"), "cannot be read (not an image)"),
        (lambda f: Image.new("L", (64, 48)).save(f), "is 64x48 pixels, not 48x48"),
        (lambda f: Image.new("RGB", (48, 48), (200, 10, 10)).save(f), "is in colour; FER-2013's images are grey"),
        (lambda f: Image.fromarray(np.zeros((48, 48), np.uint16)).save(f, "PNG"), "has more than 8 bits per pixel"),
    ],
)
def test_faulty_image(folder: Path, spoil: Callable[[Path], object], fault: str) -> None:
    spoil(folder / "train/fear/Training_1008.jpg")
    text = message(folder, ["train"])
    assert text.startswith(f"{folder}: train/fear/Training_1008.jpg {fault}")
    assert text.endswith(HINT)
    assert len(load(folder, ["public"])["public"]) == 14
    (folder / "train/sad/Training_1017.jpg").write_bytes(b"")
    assert f" (2 faulty images in all); {HINT}" in message(folder, ["train"])


def test_damaged_member_of_a_zip(tmp_path: Path) -> None:
    packed = write_zip(tmp_path / "fer.zip", MADE)
    content = bytearray(packed.read_bytes())
    content[content.index(b"\xff\xd8") + 300] ^= 0xFF
    packed.write_bytes(content)
    assert message(packed).startswith(f"{packed}: train/angry/Training_1000.jpg cannot be read (Bad CRC-32 for file")


def edit(table: Path, line: int, change: Callable[[str], str]) -> str:
    lines = table.read_text().splitlines()
    lines[line - 1] = change(lines[line - 1])
    table.write_text("\n".join(lines) + "\n")
    return message(table)


def test_csv_faults_name_the_line(tmp_path: Path) -> None:
    def fresh() -> Path:
        return write_csv(tmp_path / "fer2013.csv", MADE)

    table = fresh()
    text = edit(table, 5, lambda s: s.replace(" ", "", 1))
    assert text == f"{table}: fer2013.csv line 5 has 2303 pixels, not 2304; {HINT}"
    table = fresh()
    text = edit(table, 5, lambda s: s.replace(" ", " 999 ", 1).rsplit(" ", 1)[0] + ",Training")
    assert text == f"{table}: fer2013.csv line 5 has pixels outside 0..255; {HINT}"
    assert edit(fresh(), 5, lambda s: s.replace(" ", " x ", 1)).endswith(
        f"line 5 has pixels that are not integers; {HINT}"
    )
    assert edit(fresh(), 5, lambda s: "9" + s[1:]) == "fer2013.csv line 5: the emotion is '9', none of 0..6"
    assert edit(fresh(), 5, lambda s: s.replace("Training", "Test")) == (
        "fer2013.csv line 5: the usage is 'Test', none of Training, PublicTest, PrivateTest"
    )
    table = fresh()
    assert edit(table, 5, lambda s: s.split(",")[0]) == f"{table}: fer2013.csv line 5 has 1 columns of 3"
    text = edit(fresh(), 1, lambda s: s.replace("Usage", "Use"))
    assert text.startswith(f"{table}: fer2013.csv has no column 'usage'")
    table.write_text("emotion,pixels,Usage\n")
    assert message(table) == f"{table}: fer2013.csv has no rows below its header"
    table.write_bytes(b"\xff\xfe\x00\x01")
    assert message(table).startswith(f"{table}: fer2013.csv is not a CSV text (")


def test_csv_lacks_a_class(tmp_path: Path) -> None:
    table = write_csv(tmp_path / "fer2013.csv", [m for m in MADE if m.label != 1])
    assert message(table, ["train"]) == (
        f"{table}: the class 'disgust' is missing: no row of fer2013.csv with emotion 1 and usage Training"
    )


# FER+. Columns: neutral, happiness, surprise, sadness, anger, disgust, fear, contempt, unknown, not a face.
VOTES = np.array(
    [
        [1, 0, 0, 0, 9, 0, 0, 0, 0, 0],  # the single vote for neutral is an outlier
        [4, 4, 0, 0, 0, 2, 0, 0, 0, 0],  # no single winner
        [3, 0, 0, 0, 0, 0, 0, 6, 1, 0],  # contempt
        [2, 0, 0, 0, 0, 0, 0, 0, 8, 0],  # unknown
        [0, 5, 0, 0, 0, 0, 0, 0, 0, 5],  # as many say that it is no face
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],  # no votes
    ],
    np.float32,
)


def test_vote_distribution() -> None:
    target, known = vote_distribution(VOTES)
    assert known.tolist() == [True, True, True, False, False, False]
    assert target.dtype == np.float32
    expected = np.zeros((6, 8))
    expected[0, 0] = 1  # angry
    expected[1, [1, 3, 6]] = 0.2, 0.4, 0.4  # disgust, happy, neutral
    expected[2, [6, 7]] = 3 / 9, 6 / 9  # neutral, contempt
    assert np.allclose(target, expected)


def test_majority_labels() -> None:
    labels, known = majority_labels(VOTES)
    assert known.tolist() == [True, False, False, False, False, False]
    assert labels.tolist() == [0, -1, -1, -1, -1, -1]
    labels, known = majority_labels(agreeing_votes(MADE).astype(np.float32))
    assert known.all()
    assert labels.tolist() == [m.label for m in MADE]


def votes_of(split: Split) -> NDArray[np.float32]:
    """The votes of a split that has some."""
    assert split.votes is not None
    return split.votes


def test_votes_by_name(folder: Path, tmp_path: Path) -> None:
    votes = agreeing_votes(MADE)
    votes[:, 8] = np.arange(len(MADE))  # tells the rows apart
    file = write_votes(tmp_path / "ferplus_votes.csv", MADE[1:][::-1], votes[1:][::-1])
    dataset = load(folder, ferplus=file)
    for split in dataset.values():
        for name, row in zip(split.names, votes_of(split), strict=True):
            number = int(name.split("_")[1].split(".")[0]) - 1000
            assert row[8] == (number if number else 0)
    first = dataset["train"].names.index("train/angry/Training_1000.jpg")
    assert not votes_of(dataset["train"])[first].any()
    assert load(folder)["train"].votes is None
    assert votes_of(dataset.joined()).shape == (56, 10)


def test_microsofts_votes_by_row(tmp_path: Path) -> None:
    table = write_csv(tmp_path / "fer2013.csv", MADE)
    votes = agreeing_votes(MADE)
    votes[:, 8] = np.arange(len(MADE)) + 1
    file = write_votes(tmp_path / "fer2013new.csv", MADE, votes)
    file.write_text(file.read_text().replace("fer0000003.png", ""))
    dataset = load(table, ["public", "train"], file)
    assert votes_of(dataset["train"])[:, 8].tolist() == [1, 2, 3, 0, *range(5, 29)]
    assert votes_of(dataset["public"])[:, 8].tolist() == list(range(29, 43))
    shorter = write_votes(tmp_path / "fer2013new.csv", MADE[:-1], votes[:-1])
    assert message(table, ["train"], shorter) == (
        f"{shorter} does not fit {table}: its 55 rows must stand for the 56 rows there, with the same usage; "
        "both files must be complete and in their original order"
    )


def test_microsofts_votes_by_their_own_image_names(tmp_path: Path) -> None:
    for i, made in enumerate(MADE[:28]):
        file = tmp_path / "d" / "train" / EMOTIONS[made.label] / f"fer{i:07d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(made.pixels).save(file)
    votes = write_votes(tmp_path / "fer2013new.csv", MADE, agreeing_votes(MADE))
    split = load(tmp_path / "d", ["train"], votes)["train"]
    assert majority_labels(votes_of(split))[0].tolist() == split.labels.tolist()


def test_votes_that_do_not_fit(folder: Path, tmp_path: Path) -> None:
    votes = agreeing_votes(MADE)
    microsoft = write_votes(tmp_path / "fer2013new.csv", MADE, votes)
    assert message(folder, ["train"], microsoft) == (
        f"{microsoft} has votes on none of the images of {folder} (it names 'fer0000000.png'); "
        "Microsoft's fer2013new.csv goes with the original CSV"
    )
    ours = write_votes(tmp_path / "ferplus_votes.csv", MADE, votes)
    table = write_csv(tmp_path / "fer2013.csv", MADE)
    assert message(table, ["train"], ours).endswith("; a CSV data set needs Microsoft's fer2013new.csv")
    text = message(folder, ["train"], table)
    assert text.startswith(f"{table} is not a file of FER+ votes: its columns must be image,neutral,")
    assert message(folder, ["train"], tmp_path / "none.csv").startswith(
        f"{tmp_path / 'none.csv'}: cannot be read as a file of FER+ votes ("
    )
    text = ours.read_text()
    ours.write_text(text.replace(",8,", ",many,", 1))
    assert message(folder, ["train"], ours) == (
        f"{ours}: the votes must be numbers (could not convert string to float: 'many')"
    )
    ours.write_text(text + "test/angry/PublicTest_9.jpg,1\n")
    assert message(folder, ["train"], ours) == f"{ours}: row 58 has 2 columns, its header 11"


def test_repeats_and_digests(tmp_path: Path) -> None:
    twin = [m for m in MADE if m.split == "train"][5]
    again = [*MADE, Made("public", twin.label + 1, 2000, twin.pixels), Made("train", 6, 2001, twin.pixels)]
    dataset = load(write_csv(tmp_path / "fer2013.csv", again))
    [group] = repeats(dataset.values())
    assert [(m.split, m.emotion) for m in group] == [("train", "disgust"), ("train", "neutral"), ("public", "fear")]
    known = digests(dataset["train"].images)
    assert known.dtype == np.uint64
    assert len(known) == 28  # 29 images, one of them twice
    assert (np.diff(known.astype(object)) > 0).all()
    hit = seen(dataset["public"].images, known)
    assert hit.tolist() == [name == "fer2013.csv line 58" for name in dataset["public"].names]
    assert not seen(dataset["private"].images, known).any()


def packed_table(path: Path, *parts: tuple[bytes, int]) -> Path:
    """A zip with a table of these parts, each of them so many times."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed, packed.open("fer2013.csv", "w") as table:
        table.write(b"emotion,pixels,Usage\n")
        for part, times in parts:
            for _ in range(times):
                table.write(part)
    return path


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (b"1" * 100_000, r"fer2013\.csv is not a CSV text \(a row of more than 200,000 characters\)$"),
        (b'"\n",' * 10_000, r"fer2013\.csv is not a CSV text \(a row of more than 200,000 characters\)$"),
        (b"0,,Training\n" * 10_000, r"fer2013\.csv is not a CSV text \(more than 1,000,000 rows\)$"),
    ],
)
def test_a_table_without_end_is_not_read_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: bytes, message: str
) -> None:
    taken = 0
    first = zipfile.ZipExtFile.read1

    def read1(self: zipfile.ZipExtFile, size: int = -1) -> bytes:
        nonlocal taken
        content = first(self, size)
        taken += len(content)
        return content

    monkeypatch.setattr(zipfile.ZipExtFile, "read1", read1)
    with pytest.raises(DataError, match=message):
        open_source(packed_table(tmp_path / "t.zip", (part, 300)))
    assert taken < 15_000_000


def test_a_file_of_votes_without_end(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "votes.csv"
    path.write_bytes(b"1" * 1_000_000)
    with pytest.raises(DataError, match="a row of more than 200,000 characters"):
        load(folder, ferplus=path)


@pytest.mark.parametrize("packed", [True, False])
def test_a_image_that_is_far_too_large_is_not_read_whole(folder: Path, tmp_path: Path, packed: bool) -> None:
    name = "train/happy/Training_9999.png"
    if packed:
        with zipfile.ZipFile(write_zip(tmp_path / "fer.zip", MADE, ""), "a", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name, bytes(60_000_000))
    else:
        with (folder / name).open("wb") as file:
            file.truncate(60_000_000)
    source = open_source(tmp_path / "fer.zip" if packed else folder)
    (fault,) = [item.fault for item in source.read(["train"]) if item.entry.name == name]
    assert fault == "cannot be read (it has more than 50,000,000 bytes)"


def test_a_photo_in_a_zip_that_is_far_too_large_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fermedia.training.stores._MOST_BYTES", 100_000)
    with zipfile.ZipFile(tmp_path / "photos.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("happy/a.png", bytes(200_000))
    (shown,) = open_source(tmp_path / "photos.zip", any_folders=True).show([""])
    assert shown.fault == "cannot be read (unpacked it has 200,000 bytes)"
