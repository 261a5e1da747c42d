"""What `--region` saves and finds, on a made-up meeting. Prints the tables of docs/detection.md.

    python scripts/measure_region.py [--seconds S] [--runs N]

The meeting has 1280x720 pixels and four tiles with a moving person in each. Runs with the region of a quarter of the
image alternate with runs without it, as processes of their own.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import measuring
import numpy as np
from made_up_videos import people

from fermedia.tables.timeline import read_timeline
from fermedia.types import Box

WIDTH, HEIGHT = 1280, 720

#: The quarter of the image that is the region.
QUARTER = Box(640, 0, 640, 360)


def meeting(width: float, seconds: float) -> Iterator[measuring.Image]:
    """A meeting, RGB; the faces' boxes have ``width`` pixels."""
    heads, scale = people(), width / 100
    for n in range(int(seconds * 25)):
        image = np.full((HEIGHT, WIDTH, 3), 40, np.uint8)
        for tile in range(4):
            row, column = divmod(tile, 2)
            x = (column + 0.5) * WIDTH / 2 + 0.2 * width * np.sin(n / 20 + tile)
            y = (row + 0.5) * HEIGHT / 2 + 0.1 * width * np.cos(n / 15 + tile)
            matrix = np.array([[scale, 0, x - 80 * scale], [0, scale, y - 80 * scale]])
            # Only the head, not what is around it, replaces what is there.
            cv2.warpAffine(
                heads[tile],
                matrix,
                (WIDTH, HEIGHT),
                dst=image,
                flags=cv2.INTER_AREA,
                borderMode=cv2.BORDER_TRANSPARENT,
            )
        yield measuring.grained(image[:, :, ::-1], n, 3, seed=0)


def write(path: Path, width: float, seconds: float) -> None:
    images = (av.VideoFrame.from_ndarray(image, format="rgb24") for image in meeting(width, seconds))
    measuring.encode(images, path, lambda *_: {"crf": "20", "preset": "veryfast"})


def found(out: Path) -> int:
    """The number of faces in all frames whose middles lie in the quarter."""
    timeline = read_timeline(out / "items" / "meeting.mp4" / "timeline.csv").dropna(subset=["x"])
    x, y = timeline["x"] + timeline["width"] / 2, timeline["y"] + timeline["height"] / 2
    return sum(map(QUARTER.holds, zip(x, y, strict=True)))


def main() -> None:
    parser = measuring.parser(__doc__)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    region = f"--region={QUARTER.x},{QUARTER.y},{QUARTER.width},{QUARTER.height}"
    measuring.head("face", "time, tables only", "time, with a video", "faces", "found without", "found with")
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        film = work / "meeting.mp4"
        for width in (100, 60, 45):
            write(film, width, options.seconds)
            tables = [ratio(film, work, region, "--no-video", "--no-faces") for _ in range(options.runs)]
            video = [ratio(film, work, region) for _ in range(options.runs)]
            counts = [found(work / name) for name in ("whole", "part")]
            measuring.row(width, spread(tables), spread(video), int(options.seconds * 25), *counts)


def ratio(film: Path, work: Path, region: str, *flags: str) -> float:
    """The processor time with the region, in that without; the results are in ``part`` and ``whole``."""
    for name in ("whole", "part"):
        shutil.rmtree(work / name, ignore_errors=True)
    whole = measuring.analyze(film, work / "whole", *flags)
    return measuring.analyze(film, work / "part", *flags, region).cpu / whole.cpu


def spread(ratios: list[float]) -> str:
    return f"{np.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


if __name__ == "__main__":
    main()
