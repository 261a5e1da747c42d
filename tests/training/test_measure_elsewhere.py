"""The figures of scripts/measure_elsewhere.py, against cases worked out by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from fermedia import Classifier
from fermedia.commands.demo import PORTRAITS
from fermedia.errors import DataError
from fermedia.types import EMOTIONS
from tests.loading import SCRIPTS, load_script

SCRIPT = SCRIPTS / "measure_elsewhere.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load_script("measure_elsewhere")


def made(*rows: tuple[str, str, float]) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (n, 7) and labels (n,) from (label, answer, confidence)."""
    labels = np.array([EMOTIONS.index(label) for label, _, _ in rows])
    probabilities = np.zeros((len(rows), 7), np.float32)
    for row, (_, answer, confidence) in zip(probabilities, rows, strict=True):
        row[:] = (1 - confidence) / 6
        row[EMOTIONS.index(answer)] = confidence
    return probabilities, labels


def test_the_figures_by_hand(script: ModuleType) -> None:
    """Neutral: two of two right; happy: one of two, and two not found; fear does not count but for itself."""
    probabilities, labels = made(
        ("neutral", "neutral", 0.9),
        ("neutral", "neutral", 0.35),
        ("happy", "happy", 0.9),
        ("happy", "sad", 0.35),
        ("fear", "sad", 0.9),
    )
    result = script.figures(probabilities, labels, np.array([EMOTIONS.index("happy")] * 2))
    assert {k: (v["n"], v["share"]) for k, v in result["recall"].items() if v["n"]} == {
        "fear": (1, 0.0), "happy": (4, 0.25), "neutral": (2, 1.0),
    }  # fmt: skip
    assert result["recall"]["sad"] == {"n": 0, "share": None, "interval": None}
    assert result["five"]["share"] == pytest.approx((1 + 0.25) / 2)
    assert result["everyday"]["share"] == pytest.approx((0.5 * 1 + 0.42 * 0.25) / 0.92)
    # Neutral is always right, so the interval is happy's: of four photos with a quarter right, 0 to 3 of them are.
    assert result["five"]["interval"] == pytest.approx([(1 + 0) / 2, (1 + 0.75) / 2])
    assert result["faces"] == 4
    # Both at 0.9 are right, at 0.35 one of two is; by frequency the neutral one of these counts 0.5 and the other 0.42.
    assert result["calibration_error"] == pytest.approx((0.1 + 0.15) / 2)
    gaps = 0.1, abs(0.5 / 0.92 - 0.35)
    assert result["calibration_error_everyday"] == pytest.approx(sum(gaps) / 2)
    rows = {row["below"]: row for row in result["undecided"]}
    assert [rows[low]["share"] for low in (0.0, 0.3, 0.4, 0.6)] == [0, 0, 0.5, 0.5]
    assert (rows[0.3]["accuracy_of_others"], rows[0.4]["accuracy_of_others"]) == (0.75, 1)
    assert rows[0.3]["everyday"]["accuracy_of_others"] == pytest.approx((0.5 + 0.21) / 0.92)
    assert rows[0.4]["everyday"] == {"share": pytest.approx(0.5), "accuracy_of_others": pytest.approx(1)}


def test_no_face_is_sure_enough(script: ModuleType) -> None:
    result = script.figures(*made(("sad", "sad", 0.2)), np.array([], np.int64))
    assert [row["accuracy_of_others"] for row in result["undecided"]] == [1.0, None, None, None, None]
    with pytest.raises(DataError, match="there are no photos of any of angry, happy, sad, surprise, neutral"):
        script.figures(*made(("fear", "fear", 0.9)), np.array([], np.int64))


def test_photos_through_the_whole_product(script: ModuleType, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    for folder in ("happy", "neutral", "contempt"):
        (photos / folder).mkdir(parents=True)
    (photos / "happy" / "collins.jpg").write_bytes((PORTRAITS / "collins.jpg").read_bytes())
    (photos / "neutral" / "hopper.jpg").write_bytes((PORTRAITS / "hopper.jpg").read_bytes())
    Image.new("RGB", (300, 200), "grey").save(photos / "neutral" / "nobody.png")
    Image.new("L", (48, 48)).save(photos / "contempt" / "1.png")
    done = subprocess.run(
        [sys.executable, SCRIPT, photos, "--json", tmp_path / "out.json"], capture_output=True, text=True, check=True
    )
    result = json.loads((tmp_path / "out.json").read_text())
    assert (result["photos"], result["found"]["share"]) == (3, pytest.approx(2 / 3))
    assert list(result["heads"]) == Classifier.load().heads
    for head, figures in result["heads"].items():
        assert (figures["recall"]["happy"]["n"], figures["recall"]["neutral"]["n"]) == (1, 2)
        assert figures["recall"]["neutral"]["share"] <= 0.5
        assert f"| `{head}` | {figures['five']['share']:.1%} (" in done.stdout
    assert "Left out: no face found in 1 of 3 images (1 neutral); in folders that are not classes 1" in done.stdout
    failed = subprocess.run([sys.executable, SCRIPT, tmp_path / "none"], capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    assert failed.stderr.startswith("measure_elsewhere: ")
    assert failed.stderr.count("\n") == 1
