"""The real detector and the network that ships, made once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fermedia.vision.classify import Classifier
from fermedia.vision.detect import FaceDetector


@pytest.fixture(scope="session")
def detector() -> Iterator[FaceDetector]:
    with FaceDetector() as made:
        yield made


@pytest.fixture(scope="session")
def classifier() -> Classifier:
    return Classifier.load()
