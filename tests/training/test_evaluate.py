"""Figures against cases worked out by hand, and whole evaluations of the model that ships."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fermedia.errors import DataError, ModelError, UsageError
from fermedia.files import models_dir, sha256
from fermedia.training import metrics, robustness
from fermedia.training.dataset import Split, digests, load
from fermedia.training.evaluate import TRAINING_DIGESTS, evaluate, evaluate_split, format_report, write_report
from fermedia.training.metrics import (
    cross_fitted_ece,
    ece_by_chance,
    fit_temperature,
    measure,
    reliability,
    with_temperature,
)
from fermedia.training.plots import plot_confusion
from fermedia.types import EMOTIONS
from fermedia.vision.classify import Classifier
from tests.fer import Made, agreeing_votes, draw_face, make_set, write_csv, write_folder, write_votes


def answers(*pairs: tuple[int, float]) -> NDArray[np.float32]:
    """Probabilities (n, 7) from (answer, confidence); the rest is spread evenly."""
    table = np.empty((len(pairs), 7), np.float32)
    for row, (answer, confidence) in zip(table, pairs, strict=True):
        row[:] = (1 - confidence) / 6
        row[answer] = confidence
    return table


# Labels: 3 angry, 1 disgust, 4 happy. Two of the angry, no disgust and three of the happy are right.
LABELS = np.array([0, 0, 0, 1, 3, 3, 3, 3])
PROBABILITIES = answers((0, 0.9), (0, 0.9), (3, 0.5), (0, 0.5), (3, 0.9), (3, 0.9), (3, 0.5), (6, 0.5))


def test_measure_by_hand() -> None:
    result = measure(PROBABILITIES, LABELS)
    assert (result["n"], result["accuracy"]) == (8, 5 / 8)
    # Wilson's interval of 5 in 8, from its formula with z = 1.96.
    z, p, n = 1.959964, 5 / 8, 8
    middle, half = (
        (p + z**2 / (2 * n)) / (1 + z**2 / n),
        z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / (1 + z**2 / n),
    )
    assert result["accuracy_interval"] == pytest.approx([middle - half, middle + half], abs=1e-6)
    # Only three classes have images: recalls 2/3, 0, 3/4.
    assert result["balanced_accuracy"] == pytest.approx((2 / 3 + 0 + 3 / 4) / 3)
    # angry: precision 2/3, recall 2/3; disgust: 0; happy: precision 3/4, recall 3/4.
    assert result["macro_f1"] == pytest.approx((2 / 3 + 0 + 3 / 4) / 3)
    third = pytest.approx(2 / 3)
    intervals = {name: row.pop("recall_interval") for name, row in result["per_class"].items()}
    assert result["per_class"]["angry"] == {"precision": third, "recall": third, "f1": third, "support": 3}
    assert result["per_class"]["happy"] == {"precision": 0.75, "recall": 0.75, "f1": 0.75, "support": 4}
    assert result["per_class"]["fear"] == {"precision": 0, "recall": 0, "f1": 0, "support": 0}
    assert intervals["angry"] == pytest.approx([0.2077, 0.9385], abs=1e-4)  # Wilson's of 2 in 3
    assert intervals["disgust"] == pytest.approx([0, 0.7935], abs=1e-4)  # of 0 in 1
    assert intervals["fear"] is None
    assert list(result["per_class"]) == list(EMOTIONS)
    confusion = np.zeros((7, 7), int)
    confusion[0, 0], confusion[0, 3], confusion[1, 0], confusion[3, 3], confusion[3, 6] = 2, 1, 1, 3, 1
    assert result["confusion"] == confusion.tolist()
    # Four answers at 0.9, all right; four at 0.5, one right.
    assert result["ece"] == pytest.approx(0.5 * abs(1 - 0.9) + 0.5 * abs(0.25 - 0.5))
    wrong = (1 - 0.5) / 6
    expected = -(4 * math.log(0.9) + math.log(0.5) + 3 * math.log(wrong)) / 8
    assert result["nll"] == pytest.approx(expected, rel=1e-6)
    assert json.loads(json.dumps(result)) == result


def test_reliability_bins() -> None:
    bins = reliability(PROBABILITIES, LABELS)
    assert len(bins) == 15
    assert [(b["n"], b["confidence"], b["accuracy"]) for b in bins if b["n"]] == [
        (4, pytest.approx(0.5), 0.25),
        (4, pytest.approx(0.9), 1.0),
    ]
    assert all(b["low"] < b["confidence"] <= b["high"] for b in bins if b["n"])
    sure = reliability(answers((0, 1.0)), np.array([0]))
    assert (sure[-1]["n"], sure[-1]["accuracy"]) == (1, 1.0)


def test_a_perfectly_calibrated_and_a_boasting_answer() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.3, 1, 20_000)
    labels = np.where(rng.random(20_000) < confidence, 2, 4)
    assert measure(answers(*((2, c) for c in confidence)), labels)["ece"] < 0.015
    boasting = measure(answers(*((2, min(1.0, c + 0.2)) for c in confidence)), labels)["ece"]
    assert boasting == pytest.approx(np.mean(np.minimum(1, confidence + 0.2) - confidence), abs=0.015)


def drawn(n: int, sharpness: float, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Probabilities (n, 7) of a network whose logits are ``sharpness`` times too large, and labels of the true ones."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (n, 7))
    true = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = (true.cumsum(1) > rng.random((n, 1))).argmax(1)
    given = np.exp(sharpness * logits) / np.exp(sharpness * logits).sum(1, keepdims=True)
    return given.astype(np.float32), labels


def test_temperature_and_its_inverse() -> None:
    sharp, labels = drawn(4000, 2.5)
    assert fit_temperature(sharp, labels) == pytest.approx(2.5, rel=0.06)
    true, _ = drawn(4000, 1)
    assert with_temperature(sharp, 2.5) == pytest.approx(true, abs=1e-4)
    assert with_temperature(true, 1) == pytest.approx(true, abs=1e-6)


def test_the_cross_fitted_error_forgives_a_wrong_temperature_and_nothing_else() -> None:
    true, labels = drawn(4000, 1)
    sharp, _ = drawn(4000, 2.5)
    chance = ece_by_chance(true)
    assert measure(sharp, labels)["ece"] > 0.15
    assert cross_fitted_ece(sharp, labels) == pytest.approx(chance, abs=0.008)
    assert cross_fitted_ece(sharp, labels) == cross_fitted_ece(sharp, labels)
    result = measure(true, labels)
    assert (result["ece_cross_fitted"], result["ece_by_chance"]) == (cross_fitted_ece(true, labels), chance)
    # Sure and unsure answers are right equally often: no temperature repairs that.
    mixed = answers(*[(0, 0.95), (0, 0.35)] * 500)
    error = cross_fitted_ece(mixed, np.tile([0, 0, 1, 1], 250))
    assert error is not None
    assert error > 0.1


def test_no_image_takes_part_in_its_own_temperature(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every temperature is fitted on a half, and used on exactly the other one."""
    fitted: list[set[float]] = []

    def spy(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
        fitted.append(set(probabilities[:, 0].tolist()))
        return 1.0

    def used(probabilities: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
        assert not fitted[-1] & set(probabilities[:, 0].tolist())
        assert len(fitted[-1]) + len(probabilities) == 301
        return probabilities

    monkeypatch.setattr(metrics, "fit_temperature", spy)
    monkeypatch.setattr(metrics, "with_temperature", used)
    probabilities, labels = drawn(301, 1)
    assert cross_fitted_ece(probabilities, labels) == pytest.approx(measure(probabilities, labels)["ece"])
    assert len({frozenset(half) for half in fitted}) == 20


def test_too_few_images_have_no_cross_fitted_error() -> None:
    assert cross_fitted_ece(*drawn(99, 1)) is None
    assert cross_fitted_ece(*drawn(100, 1)) is not None


def test_the_error_of_chance_falls_with_the_number_of_images() -> None:
    few, many = (ece_by_chance(drawn(n, 1)[0]) for n in (400, 6400))
    assert few == pytest.approx(4 * many, rel=0.15)  # with the square root
    assert measure(*drawn(6400, 1))["ece"] == pytest.approx(many, abs=0.008)


def test_zero_probability_gives_a_finite_loss() -> None:
    sure_and_wrong = measure(answers((0, 1.0)), np.array([1]))
    assert sure_and_wrong["nll"] == pytest.approx(-math.log(1e-7))


SHIPPED = models_dir() / "emotion"


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made-up faces, PrivateTest alone."""
    return write_folder(tmp_path_factory.mktemp("data") / "d", make_set(train=0, public=0, private=3))


def test_private_alone(private: Path, tmp_path: Path) -> None:
    result = evaluate(private, "private")
    write_report(result, json_file=tmp_path / "out.json", out=tmp_path / "plots")
    assert json.loads((tmp_path / "out.json").read_text()) == result
    assert (result["n"], result["split"], result["splits"]) == (21, "private", {"private": 21})
    assert (result["labels"], result["head"]) == ("fer2013", "fer2013")
    assert result["model"] == {"path": str(SHIPPED), "sha256": sha256(SHIPPED / "model.tflite")}
    split = load(private, ["private"])["private"]
    hits = Classifier.load(None, "fer2013").predict(split.images).argmax(1) == split.labels
    assert result["accuracy"] == hits.mean()
    assert [sum(row) for row in result["confusion"]] == [3] * 7
    # The model brings the digests of its training images; drawn faces are none of them.
    assert result["training_repeats"]["n"] == 0
    assert result["training_repeats"]["known_from"].startswith(f"the model's {TRAINING_DIGESTS}; none found")
    assert result["accuracy_without_training_repeats"] == result["accuracy"]
    assert {p.name for p in (tmp_path / "plots").iterdir()} == {"confusion.png", "reliability.png"}
    with Image.open(tmp_path / "plots" / "confusion.png") as image:
        assert min(image.size) > 600
    text = format_report(result)
    assert "robustness" not in result
    assert "Robustness" not in text
    assert "cross-fitted" not in text
    enough = format_report(result | {"ece_cross_fitted": 0.0123})
    assert "cross-fitted       0.0123   with temperatures fitted on the other images" in enough
    assert f"chance alone gives {result['ece_by_chance']:.4f}" in text
    assert f"accuracy            {result['accuracy']:7.2%}   95 % interval" in text
    assert "(private 21)" in text


def test_the_command_needs_the_base_install_alone(private: Path, tmp_path: Path) -> None:
    """Where matplotlib is missing, too, it says what it left out."""
    code = (
        "import sys\n"
        "for name in ('tensorflow', 'keras', 'scipy', 'sklearn', 'matplotlib'): sys.modules[name] = None\n"
        "from fermedia.cli import main\n"
        "main()"
    )
    options = ["--split", "private", "--robustness", "--sample", "1"]
    files = ["--json", str(tmp_path / "out.json"), "--out", str(tmp_path / "plots")]
    command = [sys.executable, "-c", code, "evaluate", str(private), *options, *files]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == (
        'fermedia: no plots: --out DIR needs packages that are not installed; run: pip install "fermedia[plots]"\n'
    )
    assert "Robustness: 1 image," in done.stdout
    assert json.loads((tmp_path / "out.json").read_text())["n"] == 21
    assert not (tmp_path / "plots").exists()


def test_nothing_of_the_confusion_is_cut_off(tmp_path: Path) -> None:
    counts = np.diag([310, 31, 73, 880, 395, 441, 1242])
    plot_confusion(counts.tolist(), tmp_path / "confusion.png", "FER+ labels (most votes), 3,372 images")
    with Image.open(tmp_path / "confusion.png") as image:
        pixels = np.asarray(image.convert("L"))
    assert (pixels[:, :3] == 255).all()
    assert (pixels[:, -3:] == 255).all()


def test_repeats_of_training_images_are_left_out(tmp_path: Path) -> None:
    made = make_set(train=2, public=2, private=2)
    twins = [Made("private", m.label, 5000 + m.number, m.pixels) for m in made if m.split == "train"][:5]
    data = write_csv(tmp_path / "fer2013.csv", made + twins)
    result = evaluate(data, "private")
    assert result["training_repeats"] == {"n": 5, "known_from": "the data's training split"}
    assert (result["n"], result["without_training_repeats"]["n"]) == (19, 14)
    split = load(data, ["private"])["private"]
    hits = Classifier.load(None, "fer2013").predict(split.images[:14]).argmax(1) == split.labels[:14]
    assert result["accuracy_without_training_repeats"] == hits.mean()
    assert "without what also stands in the training set (5 images)" in format_report(result)
    train = evaluate(data, "train")
    assert train["accuracy_without_training_repeats"] is None
    assert "every image stands in the training set" in format_report(train)


def test_splits_and_what_is_there(tmp_path: Path) -> None:
    made = make_set(train=1, public=2, private=3)
    data = write_csv(tmp_path / "fer2013.csv", made)
    assert evaluate(data, "test")["splits"] == {"public": 14, "private": 21}
    assert evaluate(data, "all")["n"] == 42
    part = write_csv(tmp_path / "part.csv", [m for m in made if m.split == "private"])
    assert evaluate(part, "test")["splits"] == {"private": 21}
    with pytest.raises(DataError, match="has no images of the split 'train'; it has private"):
        evaluate(part, "train")
    with pytest.raises(UsageError, match=r"the split must be one of train, public, private, test, all, got 'tset'"):
        evaluate(part, "tset")


def test_a_broken_training_image_does_not_stop_the_private_test(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "d", make_set(train=1, public=0, private=1))
    next(folder.glob("train/fear/*")).write_bytes(b"")
    assert evaluate(folder, "private")["n"] == 7


def test_model_folder_without_digests_says_so(private: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    for name in ("card.json", "model.tflite"):
        (model / name).write_bytes((SHIPPED / name).read_bytes())
    with pytest.raises(ModelError, match=r"empty: is not a model folder, it has no card.json"):
        evaluate(private, "private", model=tmp_path / "empty")
    result = evaluate(private, "private", model=model)
    assert result["training_repeats"]["n"] is None
    assert result["accuracy_without_training_repeats"] is None
    assert f"the data has no training split, and {model} no {TRAINING_DIGESTS}" in format_report(result)
    split = load(private, ["private"])["private"]
    np.save(model / TRAINING_DIGESTS, digests(split.images[:4]))
    assert evaluate(private, "private", model=model)["without_training_repeats"]["n"] == 17
    (model / TRAINING_DIGESTS).write_bytes(b"\x93NUMPY")
    with pytest.raises(ModelError, match=rf"{TRAINING_DIGESTS} is damaged \("):
        evaluate(private, "private", model=model)


def test_ferplus(private: Path, tmp_path: Path) -> None:
    """A crowd that agrees with the labels on all but the angry (no majority) and the sad (neutral)."""
    made = make_set(train=0, public=0, private=3)
    votes = agreeing_votes(made)
    for row, image in zip(votes, made, strict=True):
        if EMOTIONS[image.label] == "angry":
            row[:] = [5, 5, 0, 0, 0, 0, 0, 0, 0, 0]
        if EMOTIONS[image.label] == "sad":
            row[:] = [9, 0, 0, 1, 0, 0, 0, 0, 0, 0]
    file = write_votes(tmp_path / "ferplus_votes.csv", made, votes)
    result = evaluate(private, "private", ferplus=file)
    crowd = result["ferplus"]
    assert (result["n"], crowd["n"], crowd["labels"]) == (21, 18, "ferplus")
    support = {e: row["support"] for e, row in crowd["per_class"].items()}
    assert support == {"angry": 0, "disgust": 3, "fear": 3, "happy": 3, "sad": 0, "surprise": 3, "neutral": 6}
    assert "Against the FER+ labels (most votes): 18 images" in format_report(result)
    write_report(result, out=tmp_path / "plots")
    assert (tmp_path / "plots" / "confusion_ferplus.png").stat().st_size > 10_000
    assert "ferplus" not in evaluate(private, "private")
    if "ferplus" in json.loads((SHIPPED / "card.json").read_text())["heads"]:
        alone = evaluate(private, "private", ferplus=file, labels="ferplus")
        assert {k: alone[k] for k in crowd} == crowd
        plain = evaluate(private, "private", labels="ferplus")
        assert (plain["n"], plain["labels"], plain["head"]) == (21, "fer2013", "ferplus")


def test_evaluate_split_takes_loaded_images() -> None:
    rng = np.random.default_rng(1)
    images = np.stack([draw_face(label, rng) for label in range(7)])
    split = Split("private", tuple("abcdefg"), images, np.arange(7))
    result = evaluate_split(split, training=digests(split.images[:2]))
    assert (result["n"], result["without_training_repeats"]["n"]) == (7, 5)


def test_robustness_is_measured_where_asked_on_images_that_repeat_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trouble = robustness.Trouble("roll", "degrees", 0, (10,), robustness.TROUBLES[-1].apply)
    monkeypatch.setattr(robustness, "TROUBLES", (trouble,))
    made = make_set(train=1, public=4, private=0)
    twins = [Made("public", m.label, 5000 + m.number, m.pixels) for m in made if m.split == "train"][:3]
    data = write_csv(tmp_path / "fer2013.csv", made + twins)
    result = evaluate(data, "public", robustness=100)
    assert (result["n"], result["robustness"]["n"]) == (31, 28)
    assert result["robustness"]["accuracy"] == result["accuracy_without_training_repeats"]
    assert evaluate(data, "public", robustness=10)["robustness"]["n"] == 10
    assert "Robustness: 28 images, answers of the head 'fer2013'" in format_report(result)
    write_report(result, out=tmp_path / "plots")
    assert (tmp_path / "plots" / "robustness.png").stat().st_size > 10_000
    train = evaluate(data, "train", robustness=100)  # nothing but repeats: better than no figures
    assert train["robustness"]["n"] == 7


def test_fer2013_speaks_unless_another_head_is_asked_for(private: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "model.tflite").write_bytes((SHIPPED / "model.tflite").read_bytes())
    card = json.loads((SHIPPED / "card.json").read_text())
    for heads, default, asked, speaks in (
        (["fer2013", "ferplus"], "ferplus", None, "fer2013"),
        (["fer2013", "ferplus"], "fer2013", "ferplus", "ferplus"),
        (["ferplus"], "ferplus", None, "ferplus"),
    ):
        (model / "card.json").write_text(json.dumps(card | {"heads": heads, "default_labels": default}))
        assert evaluate(private, "private", model=model, labels=asked)["head"] == speaks
