"""Every way of making a face worse does what it says, and their figures are those of the classifier on such faces."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fermedia.training import robustness
from fermedia.training.dataset import Split
from fermedia.training.plots import plot_robustness
from fermedia.training.robustness import TROUBLES, Trouble, format_robustness, measure_robustness
from fermedia.types import EMOTIONS
from fermedia.vision.classify import Classifier
from tests.fer import draw_face

BY_NAME = {trouble.name: trouble for trouble in TROUBLES}


def worse(name: str, strength: float, face: np.ndarray) -> list[np.ndarray]:
    return list(BY_NAME[name].apply(face, strength))


@pytest.fixture(scope="module")
def face() -> np.ndarray:
    return draw_face(EMOTIONS.index("happy"), np.random.default_rng(3))


def ramp(step: float = 2) -> np.ndarray:
    """Grey values that rise to the right, from 60."""
    return np.tile(60 + step * np.arange(48), (48, 1)).round().astype(np.uint8)


def test_what_was_asked_for_is_tried() -> None:
    assert set(BY_NAME["face size"].strengths) == {12, 16, 20, 24, 32, 48, 64, 96}
    assert set(BY_NAME["framing, shift"].strengths) == {5, 10}
    assert max(BY_NAME["roll"].strengths) == 30
    assert {10, 90} <= set(BY_NAME["JPEG quality"].strengths)


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda t: t.name)
def test_every_trouble_gives_faces_and_gets_worse_away_from_the_unchanged(trouble: Trouble, face: np.ndarray) -> None:
    damage = {}
    for strength in trouble.strengths:
        before = face.copy()
        variants = trouble.apply(face, strength)
        assert all(v.shape == (48, 48) and v.dtype == np.uint8 for v in variants)
        assert np.array_equal(face, before)
        assert all(np.array_equal(a, b) for a, b in zip(variants, trouble.apply(face, strength), strict=True))
        damage[strength] = np.mean([np.abs(v.astype(float) - face).mean() for v in variants])
    below = [damage[s] for s in trouble.strengths if s < trouble.unchanged]
    above = [damage[s] for s in trouble.strengths if s > trouble.unchanged]
    if trouble.name == "face size":
        assert max(above) < min(below)  # enlarging costs little
        above = []
    assert below == sorted(set(below), reverse=True)
    assert above == sorted(set(above))
    assert min(below + above) > 0.2


def test_a_small_face_keeps_its_place_and_loses_its_detail() -> None:
    checks = (np.indices((48, 48)).sum(0) % 2 * 200).astype(np.uint8)
    assert np.array_equal(worse("face size", 48, checks)[0], checks)
    assert np.ptp(worse("face size", 24, checks)[0]) <= 2  # averaged, not picked
    (small,) = worse("face size", 24, ramp())
    assert np.abs(small[:, 3:-3].astype(float) - ramp()[:, 3:-3]).max() <= 1.5
    (large,) = worse("face size", 96, ramp())
    assert np.abs(large[:, 3:-3].astype(float) - ramp()[:, 3:-3]).max() <= 1.5


def test_grey_values_are_clipped_and_never_wrap() -> None:
    grey = np.full((48, 48), 200, np.uint8)
    assert worse("brightness", 80, grey)[0][0, 0] == 255
    assert worse("brightness", -80, grey)[0][0, 0] == 120
    assert worse("exposure", 2, grey)[0][0, 0] == 255
    assert worse("exposure", 0.5, grey)[0][0, 0] == 100
    assert worse("contrast", 2, grey)[0][0, 0] == 255
    assert worse("contrast", 0.5, grey)[0][0, 0] == 164


def test_noise_has_its_strength_and_differs_from_face_to_face() -> None:
    one, other = np.full((48, 48), 100, np.uint8), np.full((48, 48), 120, np.uint8)
    noise = worse("noise", 20, one)[0].astype(float) - one
    assert noise.std() == pytest.approx(20, rel=0.06)
    assert abs(noise.mean()) < 1.5
    assert abs(np.corrcoef(noise.ravel(), (worse("noise", 20, other)[0].astype(float) - other).ravel())[0, 1]) < 0.1


def test_shifts_go_eight_ways_by_the_same_distance() -> None:
    across, down = ramp(2), ramp(2).T
    moved = []
    for x, y in zip(worse("framing, shift", 10, across), worse("framing, shift", 10, down), strict=True):
        moved.append([(x[24, 24] - across[24, 24].astype(float)) / 2, (y[24, 24] - down[24, 24].astype(float)) / 2])
    assert np.hypot(*np.transpose(moved)) == pytest.approx(4.8, abs=0.5)
    assert np.sum(moved, 0) == pytest.approx([0, 0], abs=1)
    assert len(np.unique(np.round(np.degrees(np.arctan2(*np.transpose(moved))) / 45) % 8)) == 8


def test_frames_grow_about_their_middle_and_faces_roll_to_both_sides() -> None:
    (wide,) = worse("framing, size", 20, ramp(2))
    assert float(wide[24, 34]) - float(wide[24, 14]) == pytest.approx(20 * 2 * 1.2, abs=2)
    assert float(wide[24, 24]) == pytest.approx(float(ramp(2)[24, 24]), abs=2)
    one, other = worse("roll", 15, ramp(2))
    # Ten pixels below the middle, a ramp turned by 15 degrees is read 10 sin 15 degrees to a side.
    steps = [(float(r[34, 24]) - float(r[14, 24])) / 2 / 20 for r in (one, other)]
    assert sorted(steps) == pytest.approx([-np.sin(np.radians(15)), np.sin(np.radians(15))], abs=0.05)


@pytest.fixture(scope="module")
def split() -> Split:
    """Forty drawn faces, more happy ones than others."""
    rng = np.random.default_rng(5)
    labels = rng.permutation([0, 1, 2, 3, 4, 5, 6, 3, 3, 3] * 4)
    return Split("public", tuple(map(str, range(40))), np.stack([draw_face(n, rng) for n in labels]), labels)


def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two troubles alone, for the time they take, and several batches."""
    monkeypatch.setattr(robustness, "_BATCH", 16)
    chosen = (
        Trouble("contrast", "factor", 1, (0.02, 1), BY_NAME["contrast"].apply),
        Trouble("roll", "degrees", 0, (30,), BY_NAME["roll"].apply),
    )
    monkeypatch.setattr(robustness, "TROUBLES", chosen)


def test_the_figures_are_those_of_the_classifier_on_worse_faces(split: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    few(monkeypatch)
    classifier = Classifier.load(None, "fer2013")
    result = measure_robustness(classifier, split, 1000)
    assert json.loads(json.dumps(result)) == result
    assert result == measure_robustness(classifier, split, 1000)

    def hits(images: list[np.ndarray]) -> np.ndarray:
        return classifier.predict(images).argmax(1) == split.labels

    plain = hits(list(split.images))
    assert (result["n"], result["head"], result["accuracy"]) == (40, "fer2013", plain.mean())
    assert result["balanced_accuracy"] == pytest.approx(np.mean([plain[split.labels == c].mean() for c in range(7)]))
    contrast, roll = result["troubles"]
    harsh, same = contrast["rows"]
    share = hits([worse("contrast", 0.02, f)[0] for f in split.images]).astype(float)
    assert share.mean() < plain.mean()
    assert harsh["accuracy"] == pytest.approx(share.mean())
    assert harsh["change"] == pytest.approx(share.mean() - plain.mean())
    half = 1.96 * (share - plain).std() / np.sqrt(40)
    assert harsh["change_interval"] == pytest.approx([harsh["change"] - half, harsh["change"] + half])
    assert (same["accuracy"], same["change"], same["change_interval"]) == (plain.mean(), 0, [0, 0])
    left, right = (hits([worse("roll", 30, f)[side] for f in split.images]) for side in (0, 1))
    assert roll["rows"][0]["accuracy"] == pytest.approx((left.mean() + right.mean()) / 2)
    both = (left + right.astype(float)) / 2
    recalls = [both[split.labels == c].mean() for c in range(7)]
    assert roll["rows"][0]["balanced_accuracy"] == pytest.approx(np.mean(recalls))


def test_a_sample_has_every_class_in_its_proportion(split: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    few(monkeypatch)
    seen: list[np.ndarray] = []

    class Spy:
        labels = "fer2013"

        def predict(self, faces: np.ndarray) -> np.ndarray:
            seen.append(faces)
            return np.eye(7, dtype=np.float32)[np.zeros(len(faces), int)]

    result = measure_robustness(Spy(), split, 20)  # type: ignore[arg-type]
    taken = [int(np.flatnonzero((split.images == f).all((1, 2)))[0]) for f in np.concatenate(seen[:2])]
    assert (result["n"], len(set(taken))) == (20, 20)
    assert np.bincount(split.labels[taken]).tolist() == [2, 2, 2, 8, 2, 2, 2]
    assert (result["accuracy"], result["balanced_accuracy"]) == (2 / 20, pytest.approx(1 / 7))


def test_report_and_plot(tmp_path: Path) -> None:
    rows = [
        {"strength": 5, "accuracy": 0.612, "balanced_accuracy": 0.5, "change": -0.088, "change_interval": [-0.1, -0.07]}
    ]
    trouble = {"name": "roll", "unit": "degrees", "unchanged": 0, "rows": rows}
    result = {"n": 1234, "head": "fer2013", "accuracy": 0.7, "balanced_accuracy": 0.65, "troubles": [trouble] * 10}
    text = "\n".join(format_robustness(result))
    assert "1,234 images, answers of the head 'fer2013'" in text
    (line, *_) = [line for line in text.splitlines() if "roll (degrees)" in line]
    assert line.split() == ["roll", "(degrees)", "5", "61.2%", "-8.8", "(-10.0", "to", "-7.0)", "50.0%"]
    plot_robustness(result, tmp_path / "robustness.png", "FER-2013 labels")
    with Image.open(tmp_path / "robustness.png") as image:
        assert min(image.size) > 600
