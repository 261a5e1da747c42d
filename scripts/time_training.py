"""What a training step costs, and what computing the small pictures' kernel gradients as matrix products saves of it.

    python scripts/time_training.py --width 1.5

The two ways take turns in one process, on faces of noise. Needs the extra `train`.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np

from fermedia.options import TrainOptions
from fermedia.training import fit
from fermedia.training.checkpoint import State
from fermedia.training.dataset import Split

STEPS, ROUNDS = 10, 5


def main() -> None:
    """Print the milliseconds of a step both ways, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=float, default=1.0, help="factor on the network's channels (default 1)")
    options = TrainOptions(width=parser.parse_args().width)
    rng = np.random.default_rng(0)
    count = options.batch_size * STEPS
    images = rng.integers(0, 256, (count, 48, 48), dtype=np.uint8)
    faces = Split("noise", tuple(map(str, range(count))), images, rng.integers(0, 7, count))
    ways = {}
    for name, positions in (("products", fit.FEW_POSITIONS), ("oneDNN", 0)):
        fit.FEW_POSITIONS = positions
        trainer = fit.Trainer(faces, faces, options, State(options.record(), {"ferplus": None}))
        batches = list(trainer.batches(0))
        trainer._step(*batches[0])  # traced once, while FEW_POSITIONS says which way
        ways[name] = (trainer, batches)
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, (trainer, batches) in ways.items():
            begun = time.perf_counter()
            for batch in batches:
                float(trainer._step(*batch)["loss"])
            taken[name].append((time.perf_counter() - begun) / STEPS * 1000)
    medians = {name: statistics.median(times) for name, times in taken.items()}
    figures = ", ".join(f"{name} {median:.0f} ms" for name, median in medians.items())
    print(
        f"a step of {options.batch_size} faces: {figures}; {medians['oneDNN'] / medians['products']:.2f} times as quick"
    )


if __name__ == "__main__":
    main()
