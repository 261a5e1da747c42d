"""What it costs to see whether results are still what was made: per video, per image, and to read all of it.

    python scripts/measure_checks.py

Prints milliseconds for a finished video of 46 MB (its sizes, its samples as every run of ``analyze`` looks at them, and
all of it as ``status --check`` does), and for a folder of 2,000 annotated images. What is measured is in the system's
memory: from a disk each block costs what the disk takes.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import measuring
import numpy as np

from fermedia.store.fingerprints import Fingerprint, check, glance

VIDEOS, IMAGES = 20, 2_000


def main() -> None:
    """Make the folders, and print a line for each."""
    noise = np.random.default_rng(0).bytes(40 << 20)
    with tempfile.TemporaryDirectory() as folder:
        videos = [Path(folder, str(number)) for number in range(VIDEOS)]
        for video in videos:
            (video / "previews").mkdir(parents=True)
            (video / "annotated.mp4").write_bytes(noise)
            (video / "timeline.csv").write_bytes(noise[: 6 << 20])
            for name in ("item.json", "segments.csv", "report.html", "report.js"):
                (video / name).write_bytes(noise[:30_000])
            for number in range(20):
                (video / "previews" / f"{number}.jpg").write_bytes(noise[:8_000])
        _measure("a video", videos)
        photos = Path(folder, "photos")
        (photos / "annotated").mkdir(parents=True)
        for number in range(IMAGES):
            (photos / "annotated" / f"{number}.jpg").write_bytes(noise[:300_000])
        _measure(f"{IMAGES} images", [photos])


def _measure(name: str, places: list[Path]) -> None:
    known = [{path.name: Fingerprint.of(path) for path in place.iterdir()} for place in places]

    def each(what: Callable[..., object], *more: bool) -> float:
        given = zip(places, known, strict=True)
        return measuring.milliseconds(lambda: what(*next(given), *more), len(places), time.perf_counter)

    print(f"{name}: sizes {each(glance):.2f} ms, samples {each(check):.1f} ms, all {each(check, True):.0f} ms")


if __name__ == "__main__":
    main()
