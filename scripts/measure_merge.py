"""How much memory `fermedia merge` takes for more and more rows, and how long it takes a row.

    python scripts/measure_merge.py

Makes runs of made-up timelines in a temporary folder and merges each in a process of its own. About a minute.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import measuring
import numpy as np
import pandas as pd

from fermedia.commands.merge import merge
from fermedia.images import ArrayImage
from fermedia.store.ledger import Ledger, Outcome
from fermedia.store.source import SourceState
from fermedia.tables.finished import DESCRIPTION
from fermedia.tables.timeline import TimelineWriter
from fermedia.types import Box, Face, Frame, Observation
from tests.made_up import describe

#: Rows of one video, and videos of each run.
ROWS, VIDEOS = 50_000, (1, 4, 16)


def make_run(out: Path, videos: int) -> None:
    """A folder of results with that many videos of ``ROWS`` frames, all alike."""
    out.mkdir()
    rng = np.random.default_rng(0)
    image = ArrayImage(np.zeros((8, 8, 3), np.uint8))
    face = Face(Box(1, 2, 3, 4), 0.9, np.zeros((6, 2), np.float32))
    first = out / "timeline.csv"
    with TimelineWriter(first, "video.mp4") as writer:
        for index, p in enumerate(rng.dirichlet(np.ones(7), ROWS).astype(np.float32)):
            writer.write(Frame(index, index / 25, image), [Observation(face, 0, p)])
    describe(out, pd.read_csv(first))
    with Ledger.open(out) as ledger:
        for number in range(videos):
            folder = out / "items" / f"video {number}"
            folder.mkdir(parents=True)
            os.link(first, folder / "timeline.csv")
            os.link(out / DESCRIPTION, folder / DESCRIPTION)
            ledger.add(Outcome(folder.name, "video", SourceState("", 0, "", ""), {"timeline.csv": None}))


def measure(run: str, out: str) -> None:
    """In a process of its own: merge, and print rows, seconds and the peak of memory in MB."""
    begun = time.perf_counter()
    rows = merge([Path(run)], Path(out))
    print(rows, time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    """Print a table."""
    if len(sys.argv) > 1:
        measure(*sys.argv[1:])
        return
    measuring.head("into", "rows", "seconds per million rows", "peak of memory, MB")
    with tempfile.TemporaryDirectory() as folder:
        for videos in VIDEOS:
            run = Path(folder) / f"run {videos}"
            make_run(run, videos)
            for suffix in ("csv", "parquet"):
                command = [sys.executable, __file__, str(run), str(Path(folder) / f"all.{suffix}")]
                rows, seconds, memory = subprocess.run(
                    command, capture_output=True, text=True, check=True
                ).stdout.split()
                measuring.row(suffix, rows, f"{float(seconds) / int(rows) * 1e6:.1f}", f"{float(memory):.0f}")


if __name__ == "__main__":
    main()
