"""The shipped model's page says what was measured of the shipped model, and one command writes it anew."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from fermedia.files import models_dir, sha256
from fermedia.training import robustness
from fermedia.training.dataset import Dataset, load
from fermedia.types import EMOTIONS
from fermedia.vision.classify import Classifier
from tests.fer import Made, agreeing_votes, make_set, write_csv, write_votes
from tests.loading import load_script

SHIPPED = models_dir() / "emotion"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load_script("model_page")


def test_the_shipped_page_is_of_the_shipped_model(script: ModuleType) -> None:
    """Fails after a new model until scripts/model_page.py has been run."""
    result = json.loads((SHIPPED / "evaluation.json").read_text())
    assert result["model"] == {"path": "models/emotion", "sha256": sha256(SHIPPED / "model.tflite")}
    assert "/" not in result["data"]
    card = json.loads((SHIPPED / "card.json").read_text())
    page = (SHIPPED / "README.md").read_text()
    texts = {name: (SHIPPED / f"{name}.md").read_text() for name in script.TEXTS}
    assert script.fill(page, script.parts(result, card, texts)) == page


def test_only_what_stands_between_the_markers_is_replaced(script: ModuleType) -> None:
    page = "Before\n<!-- begin a -->\nold\n\nold\n<!-- end a -->\nbetween\n<!-- begin b -->\n<!-- end b -->\nafter\n"
    filled = script.fill(page, {"a": "\\1 new\n", "b": "table"})
    assert filled == (
        "Before\n<!-- begin a -->\n\\1 new\n<!-- end a -->\nbetween\n<!-- begin b -->\ntable\n<!-- end b -->\nafter\n"
    )
    assert script.fill(filled, {"a": "\\1 new\n", "b": "table"}) == filled
    for contents in ({"a": ""}, {"a": "", "b": "", "c": ""}):
        with pytest.raises(ValueError, match=r"the page has the markers \['a', 'b'\], and needs"):
            script.fill(page, contents)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[Made]]:
    """A set as one table with votes: the crowd sees the angry as neutral; two tests are training repeats."""
    images = make_set(train=3, public=4, private=0, seed=2)
    images += [Made("public", m.label, 9000 + i, m.pixels) for i, m in enumerate(images[6:8])]
    votes = agreeing_votes(images)
    for row, image in zip(votes, images, strict=True):
        if EMOTIONS[image.label] == "angry":
            row[:] = [9, 0, 0, 0, 1, 0, 0, 0, 0, 0]
    folder = tmp_path_factory.mktemp("made")
    return write_csv(folder / "fer2013.csv", images), write_votes(folder / "fer2013new.csv", images, votes), images


def test_heads_are_compared_where_the_labellings_agree(script: ModuleType, made: tuple[Path, Path, list[Made]]) -> None:
    data, votes, images = made
    dataset = load(data, ["train", "public"], votes)
    result = script.compare_heads(dataset, SHIPPED)
    agreed = [m for m in images if m.split == "public" and EMOTIONS[m.label] != "angry" and m.number < 9000]
    labels, faces = np.array([m.label for m in agreed]), [m.pixels for m in agreed]
    assert result["n"] == len(agreed) == 24
    answers = {head: Classifier.load(None, head).predict(faces).argmax(1) for head in ("fer2013", "ferplus")}
    for head, other in (("fer2013", "ferplus"), ("ferplus", "fer2013")):
        right, theirs = answers[head] == labels, answers[other] == labels
        assert result[head]["accuracy"] == right.mean()
        assert result[head]["balanced_accuracy"] == pytest.approx(right.mean())  # four of each
        assert result[head]["alone_right"] == (right & ~theirs).sum()
        low, high = result[head]["accuracy_interval"]
        assert low < right.mean() < high
        own = result[head]["balances"][str(result["balance"])]
        assert own["accuracy"] == right.mean()


def test_the_verdict_counts_the_faces_that_one_head_alone_has_right(script: ModuleType) -> None:
    def verdict(fer2013: int, ferplus: int) -> str:
        return script._verdict({"fer2013": {"alone_right": fer2013}, "ferplus": {"alone_right": ferplus}})

    # Two-sided sign tests by hand: 2 (1 + 10) / 2^10 = 0.021; 2 (1 + 10 + 45) / 2^10 = 0.109.
    assert verdict(1, 9) == "These faces speak for the head `ferplus` (McNemar's exact test, p = 0.021)."
    assert verdict(90, 10) == "These faces speak for the head `fer2013` (McNemar's exact test, p < 0.001)."
    assert verdict(2, 8) == "The heads do not differ more than by chance (McNemar's exact test, p = 0.109)."
    assert "do not differ" in verdict(0, 0)


def test_other_balances(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """A head that halves its logits, corrected for half of balanced accuracy; without it, it answers as it did."""
    rng = np.random.default_rng(0)
    share = np.array([0.3, 0.02, 0.1, 0.3, 0.08, 0.1, 0.1])
    logits = rng.normal(0, 1, (50, 7)) + np.log(share)

    def corrected(balance: float) -> np.ndarray:
        return logits + np.log(1 - balance + balance / (7 * share))

    class Head:
        def predict(self, faces: np.ndarray) -> np.ndarray:
            scaled = np.exp(corrected(0.5) / 2)
            return (scaled / scaled.sum(1, keepdims=True)).astype(np.float32)

    answers = {balance: corrected(balance).argmax(1) for balance in script.BALANCES}
    images = rng.integers(0, 256, (50, 48, 48), dtype=np.uint8)
    votes = np.zeros((50, 10), np.float32)
    labels = answers[1.0]
    votes[np.arange(50), np.array([4, 5, 6, 1, 3, 2, 0])[labels]] = 10
    monkeypatch.setattr(script.Classifier, "load", lambda model, head: Head())
    monkeypatch.setattr(script, "frequencies", lambda train: {"fer2013": share, "ferplus": share})
    card = {"calibration": {"temperatures": {"fer2013": 2, "ferplus": 2}, "balance": 0.5}}
    monkeypatch.setattr(script.json, "loads", lambda text: card)
    names = tuple(map(str, range(50)))
    test = script.load.__globals__["Split"]("public", names, images, labels, votes)
    train = script.load.__globals__["Split"]("train", names, images[:, ::-1], labels, votes)
    result = script.compare_heads(Dataset(Path("made"), {"train": train, "public": test}), SHIPPED)
    assert result["fer2013"]["balances"]["1.0"]["accuracy"] == 1
    shares = {balance: float((a == labels).mean()) for balance, a in answers.items()}
    assert len(set(shares.values())) > 2
    assert {float(b): s["accuracy"] for b, s in result["ferplus"]["balances"].items()} == shares


def test_one_command_writes_figures_plots_and_page(
    script: ModuleType, made: tuple[Path, Path, list[Made]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(robustness, "TROUBLES", robustness.TROUBLES[-2:])
    model = tmp_path / "emotion"
    model.mkdir()
    for name in ("card.json", "model.tflite", "README.md"):
        shutil.copy(SHIPPED / name, model / name)
    (model / "method.md").write_text("It was made *like this*.\n")
    (model / "elsewhere.md").write_text("Elsewhere it has a half.\n")
    data, votes, _ = made
    options = ["--ferplus", str(votes), "--model", str(model), "--sample", "9"]
    monkeypatch.setattr(sys, "argv", ["model_page.py", str(data), *options])
    script.main()
    result = json.loads((model / "evaluation.json").read_text())
    assert (result["data"], result["model"]["path"]) == ("fer2013.csv", "models/emotion")
    assert str(tmp_path) not in (model / "evaluation.json").read_text()
    page = (model / "README.md").read_text()
    assert "\n<!-- begin method -->\nIt was made *like this*.\n<!-- end method -->\n" in page
    low, high = (100 * bound for bound in result["accuracy_interval"])
    assert f"| 30 | **{result['accuracy']:.1%}** ({low:.1f} to {high:.1f}) |" in page
    fresh = result["ferplus"]["without_training_repeats"]
    assert f"| FER+ | without training repeats | {fresh['n']} | **{fresh['accuracy']:.1%}**" in page
    recall = result["per_class"]["disgust"]
    assert f"| disgust | {recall['support']} | {recall['recall']:.1%} (" in page
    row = result["robustness"]["troubles"][1]["rows"][-1]
    assert f"| roll (degrees) | 30 | {row['accuracy']:.1%} | {100 * row['change']:+.1f} (" in page
    assert "n = 9, head `fer2013`" in page
    images = {f"{kind}{head}.png" for kind in ("confusion", "reliability") for head in ("", "_ferplus")}
    assert images | {"robustness.png"} <= {p.name for p in model.iterdir()}
    linked = {part.split(")")[0] for part in page.split("](")[1:]}
    assert linked <= {p.name for p in model.iterdir()}
