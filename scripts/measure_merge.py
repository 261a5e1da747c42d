"""How much memory `fermedia merge` takes for more and more rows, and how long it takes a row.

    python scripts/measure_merge.py

Makes runs of made-up timelines in a temporary folder and merges each in a process of its own. About a minute.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from fermedia.outputs.timeline import TimelineWriter
from fermedia.pictures import ArrayPicture
from fermedia.runs.folder import DESCRIPTION
from fermedia.runs.ledger import Ledger, Outcome
from fermedia.runs.merge import merge
from fermedia.runs.source import Source
from fermedia.types import Box, Face, Frame, Observation

#: Rows of one film, and films of each run.
ROWS, FILMS = 50_000, (1, 4, 16)


def make_run(out: Path, films: int) -> None:
    """A folder of results with that many films of ``ROWS`` frames, all alike."""
    rng = np.random.default_rng(0)
    picture = ArrayPicture(np.zeros((8, 8, 3), np.uint8))
    face = Face(Box(1, 2, 3, 4), 0.9, np.zeros((6, 2), np.float32))
    first = out / "timeline.csv"
    out.mkdir()
    with TimelineWriter(first, "film.mp4") as writer:
        for index, p in enumerate(rng.dirichlet(np.ones(7), ROWS).astype(np.float32)):
            writer.write(Frame(index, index / 25, picture), [Observation(face, 0, p)])
    with Ledger.open(out) as ledger:
        for number in range(films):
            folder = out / "items" / f"film {number}"
            folder.mkdir(parents=True)
            os.link(first, folder / "timeline.csv")
            (folder / DESCRIPTION).write_text(json.dumps({"kind": "video"}))
            ledger.add(Outcome(folder.name, "video", Source("", 0, "", ""), {"timeline.csv": 0}))


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
    print("| into | rows | seconds per million rows | peak of memory, MB |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for films in FILMS:
            run = Path(folder) / f"run {films}"
            make_run(run, films)
            for suffix in ("csv", "parquet"):
                command = [sys.executable, __file__, str(run), str(Path(folder) / f"all.{suffix}")]
                rows, seconds, memory = subprocess.run(
                    command, capture_output=True, text=True, check=True
                ).stdout.split()
                print(f"| {suffix} | {rows} | {float(seconds) / int(rows) * 1e6:.1f} | {float(memory):.0f} |")


if __name__ == "__main__":
    main()
