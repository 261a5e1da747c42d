"""The model that ships answers as it did when it was released."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fermedia.vision.classify import Classifier

GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text())


@pytest.mark.parametrize("labels", GOLDEN["outputs"])
def test_golden_outputs(labels: str) -> None:
    classifier = Classifier.load(labels=labels)
    assert classifier.sha256 == GOLDEN["sha256"], "another model ships: make golden.json anew"
    ramp = np.add.outer(np.arange(48), np.arange(48)).astype(np.uint8) * 2
    np.testing.assert_allclose(classifier.predict([ramp, ramp[::-1].copy()]), GOLDEN["outputs"][labels], atol=2e-3)
