"""Milliseconds a face that the shipped network takes on one core, in batches of eight: median of many runs.

python scripts/time_model.py
"""

from __future__ import annotations

import statistics
import time

import numpy as np

from fermedia import Classifier
from fermedia.vision.classify import BATCH


def main() -> None:
    """Print the figures."""
    classifier = Classifier.load()
    faces = np.random.default_rng(0).integers(0, 256, (BATCH, 48, 48), dtype=np.uint8)
    runs = []
    for _ in range(60):
        begun = time.perf_counter()
        classifier.predict(faces)
        runs.append((time.perf_counter() - begun) / BATCH * 1000)
    print(f"{statistics.median(runs):.2f} ms a face (fastest {min(runs):.2f}), batches of {BATCH}, one thread")


if __name__ == "__main__":
    main()
