"""The real detector and the network that ships, made once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fermedia.vision.classify import Classifier
from fermedia.vision.detect import FaceDetector
from fermedia.vision.observe import Observer


@pytest.fixture(scope="session")
def detector() -> Iterator[FaceDetector]:
    with FaceDetector() as made:
        yield made


@pytest.fixture(scope="session")
def classifier() -> Classifier:
    return Classifier.load()


@pytest.fixture(scope="session")
def observer(classifier: Classifier) -> Iterator[Observer]:
    with Observer(classifier, threads=2) as made:
        yield made
