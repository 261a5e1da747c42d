"""Milliseconds a face that the shipped network takes on one core, in batches of eight: median of many runs.

python scripts/time_model.py
"""

from __future__ import annotations

import statistics
import time
from functools import partial

import measuring
import numpy as np

from fermedia import Classifier
from fermedia.vision.classify import BATCH


def main() -> None:
    """Print the figures."""
    classifier = Classifier.load()
    faces = np.random.default_rng(0).integers(0, 256, (BATCH, 48, 48), dtype=np.uint8)
    batch = partial(classifier.predict, faces)
    runs = [measuring.milliseconds(batch, clock=time.perf_counter) / BATCH for _ in range(60)]
    print(f"{statistics.median(runs):.2f} ms a face (fastest {min(runs):.2f}), batches of {BATCH}, one thread")


if __name__ == "__main__":
    main()
