"""The network that ships, and model folders that are not as they should be."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from fermedia.errors import ModelError, UsageError
from fermedia.files import models_dir
from fermedia.types import EMOTIONS
from fermedia.vision.classify import _HELD, BATCH, Classifier
from tests.videos import head


def faces(count: int) -> list[np.ndarray]:
    """Crops that all differ."""
    portrait = cv2.cvtColor(head(), cv2.COLOR_RGB2GRAY)
    return [
        np.ascontiguousarray(cv2.resize(portrait[20 + i : 200, 40 : 220 - i], (48, 48), interpolation=cv2.INTER_AREA))
        for i in range(count)
    ]


def test_probabilities(classifier: Classifier) -> None:
    given = classifier.predict(np.stack(faces(5)))
    assert given.shape == (5, len(EMOTIONS))
    assert given.dtype == np.float32
    assert given.sum(1) == pytest.approx(np.ones(5), abs=1e-5)
    assert (given >= 0).all()


def test_no_faces(classifier: Classifier) -> None:
    nothing: list[Any] = [[], np.empty((0, 48, 48), np.uint8)]
    for none in nothing:
        given = classifier.predict(none)
        assert given.shape == (0, 7)
        assert given.dtype == np.float32


def test_a_result_depends_on_its_own_face_alone(classifier: Classifier) -> None:
    crops = faces(2 * BATCH + 3)
    together = classifier.predict(crops)
    assert len(np.unique(together, axis=0)) == len(crops)
    assert (classifier.predict(crops[::-1])[::-1] == together).all()
    for size in (1, 2, 5, BATCH, BATCH + 1):
        parts = [classifier.predict(crops[i : i + size]) for i in range(0, len(crops), size)]
        assert (np.concatenate(parts) == together).all()


def test_colour_is_blue_green_red(classifier: Classifier) -> None:
    color = np.ascontiguousarray(head()[20:200, 40:220, ::-1])
    color[..., 0] //= 4  # so that the order matters
    gray = np.asarray(cv2.cvtColor(color, cv2.COLOR_BGR2GRAY), np.uint8)
    swapped = np.asarray(cv2.cvtColor(color, cv2.COLOR_RGB2GRAY), np.uint8)
    assert (classifier.predict([color]) == classifier.predict([gray])).all()
    assert not np.allclose(classifier.predict([color]), classifier.predict([swapped]), atol=1e-4)


def test_sizes_may_differ_and_shrinking_averages_areas(classifier: Classifier) -> None:
    small = faces(1)[0]
    large = np.kron(small, np.ones((5, 5), np.uint8))
    assert classifier.predict([small, large])[0] == pytest.approx(classifier.predict([large])[0], abs=1e-5)
    noise = np.random.default_rng(0).normal(0, 40, large.shape)
    noisy = np.clip(large.astype(float) * 0.5 + 64 + noise, 0, 255).astype(np.uint8)
    calm = np.clip(small.astype(float) * 0.5 + 64, 0, 255).astype(np.uint8)
    assert classifier.predict([noisy])[0] == pytest.approx(classifier.predict([calm])[0], abs=0.15)
    assert classifier.predict([small[::2, ::2], np.zeros((1, 1), np.uint8), large[:, 7:90]]).shape == (3, 7)


def test_crops_need_not_be_contiguous(classifier: Classifier) -> None:
    crop = faces(1)[0]
    assert (classifier.predict([np.asfortranarray(crop)]) == classifier.predict([crop])).all()


def test_mirrored_is_the_mean_with_the_mirror_image(classifier: Classifier) -> None:
    crops = np.stack(faces(3))
    both = (classifier.predict(crops) + classifier.predict(np.ascontiguousarray(crops[:, :, ::-1]))) / 2
    assert classifier.predict(crops, mirrored=True) == pytest.approx(both, abs=1e-6)
    assert classifier.predict(crops[:, :, ::-1], mirrored=True) == pytest.approx(both, abs=1e-6)
    assert classifier.predict([], mirrored=True).shape == (0, 7)


@pytest.mark.parametrize(
    "face", [np.zeros((48, 48)), np.zeros((48, 48, 4), np.uint8), np.zeros((0, 4), np.uint8), np.zeros(48, np.uint8)]
)
def test_other_arrays_are_refused(classifier: Classifier, face: np.ndarray) -> None:
    with pytest.raises(ValueError, match="uint8"):
        classifier.predict([face])


def test_heads(classifier: Classifier) -> None:
    crops = faces(4)
    given = {head: Classifier.load(labels=head).predict(crops) for head in classifier.heads}
    assert (given[classifier.labels] == classifier.predict(crops)).all()
    for one, other in combinations(given.values(), 2):
        assert not np.allclose(one, other, atol=1e-3)
    with pytest.raises(UsageError, match="fer2013"):
        Classifier.load(labels="fairies")


# -- model folders ----------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("card.json", "model.tflite"):
        shutil.copy(models_dir() / "emotion" / name, tmp_path / name)
    return tmp_path


def change(folder: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    card = json.loads((folder / "card.json").read_text())
    edit(card)
    (folder / "card.json").write_text(json.dumps(card))


def test_a_folder_of_ones_own(folder: Path, classifier: Classifier) -> None:
    assert (Classifier.load(folder).predict(faces(2)) == classifier.predict(faces(2))).all()


DAMAGES: dict[str, Callable[[Path], object]] = {
    "no card": lambda f: (f / "card.json").unlink(),
    "no network": lambda f: (f / "model.tflite").unlink(),
    "no folder": shutil.rmtree,
    "card of half a file": lambda f: (f / "card.json").write_text('{"labels": ['),
    "card of another kind": lambda f: (f / "card.json").write_text("[1, 2]"),
    "card that is no text": lambda f: (f / "card.json").write_bytes(b"\xff\xfe\x00"),
    "network of half a file": lambda f: (f / "model.tflite").write_bytes((f / "model.tflite").read_bytes()[:-9]),
    "network with a changed byte": lambda f: (f / "model.tflite").write_bytes(
        (f / "model.tflite").read_bytes()[:-1] + b"\x7f\x7f"
    ),
    "labels in another order": lambda f: change(f, lambda c: c["labels"].reverse()),
    "a newer card": lambda f: change(f, lambda c: c.update(format=2)),
    "colour": lambda f: change(f, lambda c: c["input"].update(channels=3)),
    "a head that the network lacks": lambda f: change(f, lambda c: c.update(heads=["lips"], default_labels="lips")),
    "no checksum": lambda f: change(f, lambda c: c["files"].clear()),
    "a number for the labels": lambda f: change(f, lambda c: c.update(labels=7)),
    "words for the format": lambda f: change(f, lambda c: c.update(format="two")),
    "another input size": lambda f: change(f, lambda c: c["input"].update(height=50, width=50)),
    "an enormous input": lambda f: change(f, lambda c: c["input"].update(height=10**6, width=10**6)),
    "words for the size": lambda f: change(f, lambda c: c["input"].update(height="x", width="x")),
    "a card without end": lambda f: (f / "card.json").write_bytes(b" " * 20_000_000),
    "a card of endless depth": lambda f: (f / "card.json").write_text("[" * 100_000),
    "an infinite format": lambda f: (f / "card.json").write_text('{"format": 1e999}'),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_folder_is_one_clear_line(folder: Path, damage: str) -> None:
    DAMAGES[damage](folder)
    with pytest.raises(ModelError, match=folder.name) as caught:
        Classifier.load(folder)
    assert "\n" not in str(caught.value)


#: Values that nothing in a card may have.
WRONG: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1.5,
    10**400,
    float("inf"),
    "\x1b[31m",
    [],
    [1],
    [None],
    [["x"]],
    {},
    {"a": 1},
)


@pytest.mark.parametrize("way", sorted(_HELD), ids=".".join)
def test_a_card_with_a_value_of_any_kind_in_any_place(folder: Path, way: tuple[str, ...]) -> None:
    card = json.loads((folder / "card.json").read_text())
    for length in range(1, len(way) + 1):
        for value in (
            None,
            True,
            0,
            -1,
            1.5,
            10**400,
            float("inf"),
            "\x1b[31m",
            [],
            [1],
            [None],
            [["x"]],
            {},
            {"a": 1},
        ):
            spoilt = copy.deepcopy(card)
            inner = spoilt
            for name in way[: length - 1]:
                inner = inner[name]
            inner[way[length - 1]] = value
            (folder / "card.json").write_text(json.dumps(spoilt))
            with pytest.raises((ModelError, UsageError), match=folder.name) as caught:
                Classifier.load(folder)
            assert "\n" not in str(caught.value)


def test_a_file_that_is_no_network(folder: Path) -> None:
    import hashlib

    (folder / "model.tflite").write_bytes(b"nothing" * 50)
    checksum = hashlib.sha256(b"nothing" * 50).hexdigest()
    change(folder, lambda c: c["files"]["model.tflite"].update(sha256=checksum))
    with pytest.raises(ModelError, match=r"model\.tflite") as caught:
        Classifier.load(folder)
    assert "\n" not in str(caught.value)


def test_classifying_loads_no_tensorflow_and_prints_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-c",
         "import sys, numpy, fermedia\n"
         "assert fermedia.Classifier.load().predict(numpy.zeros((1, 48, 48), numpy.uint8)).shape == (1, 7)\n"
         "assert not [m for m in sys.modules if m.split('.')[0] == 'tensorflow'], 'tensorflow'\n"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
