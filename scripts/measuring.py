"""What the scripts have in common: arguments, tables and intervals, times, runs of the command, made-up videos."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

# The scripts measure the checkout that they stand in, and some use its tests' helpers.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fermedia.commands.demo import make_clip

ROOT = Path(__file__).resolve().parents[1]

Image = NDArray[np.uint8]


# -- arguments --------------------------------------------------------------------------------------------------------


def parser(
    script: str | None, *, data: bool = False, ferplus: bool = False, browser: bool = False
) -> argparse.ArgumentParser:
    """A parser whose help is the script's docstring.

    Args:
        script: The docstring.
        data: Whether FER-2013 is an argument, ``data``.
        ferplus: Whether the votes on it are an option that must be given, ``ferplus``.
        browser: Whether a browser is an option, ``browser``: a path, or None where there is none.
    """
    made = argparse.ArgumentParser(description=script, formatter_class=argparse.RawDescriptionHelpFormatter)
    if data:
        made.add_argument("data", type=Path, help="FER-2013: Kaggle's folder, a zip of it, or the original CSV")
    if ferplus:
        made.add_argument("--ferplus", type=Path, required=True, help="the FER+ votes")
    if browser:
        made.add_argument("--browser", default=shutil.which("chromium"), help="Chromium (default: on the path)")
    return made


# -- tables and intervals ---------------------------------------------------------------------------------------------


def line(cells: Iterable[object]) -> str:
    """A line of a Markdown table."""
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def table(columns: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table."""
    return "\n".join(map(line, (columns, ["---"] * len(columns), *rows)))


def head(*columns: str) -> None:
    """Print the head of a table whose rows follow one by one."""
    print(table(columns, []), flush=True)


def row(*cells: object) -> None:
    """Print a row, at once."""
    print(line(cells), flush=True)


def percent(share: float, interval: Sequence[float], digits: int = 1) -> str:
    """A share in percent with its interval, whose bounds have so many digits."""
    low, high = (f"{100 * bound:.{digits}f}" for bound in interval)
    return f"{share:.1%} ({low} to {high})"


def points(change: float, interval: Sequence[float], digits: int = 1) -> str:
    """By how many points something changes, with its interval; all are shares."""
    by, low, high = (f"{100 * part:+.{digits}f}" for part in (change, *interval))
    return f"{by} ({low} to {high})"


# -- times and runs ---------------------------------------------------------------------------------------------------


def milliseconds(do: Callable[[], object], times: int = 1, clock: Callable[[], float] = time.process_time) -> float:
    """What a call of ``do`` takes in the mean of so many, by default of all threads' processor time."""
    begun = clock()
    for _ in range(times):
        do()
    return 1000 * (clock() - begun) / times


@dataclass(frozen=True)
class Run:
    """What a run of the command took: seconds of the clock and of processors, MB of its largest process."""

    wall: float
    cpu: float
    peak: float


def analyze(inputs: Path, out: Path, *options: str) -> Run:
    """Run ``fermedia analyze`` as a process of its own."""
    command = [sys.executable, "-m", "fermedia", "analyze", str(inputs), "--out", str(out), "--quiet", *options]
    begun = time.perf_counter()
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, f"{' '.join(command)} ended with {status}"
    return Run(time.perf_counter() - begun, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


@contextmanager
def chromium(browser: str) -> Iterator[Any]:
    """A headless browser, by Playwright."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as engine:
        opened = engine.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


# -- made-up videos ---------------------------------------------------------------------------------------------------


def grained(image: NDArray[Any], n: int, strength: float, seed: int) -> Image:
    """Frame ``n`` of a video, (h, w) or (h, w, 3), with a camera's grain: so many grey values of standard deviation."""
    height, width = image.shape[:2]
    x, y = n * 37 % width, n * 23 % height
    grain = _grain(width, height, strength, seed)[y : y + height, x : x + width]
    return np.clip(image + (grain if image.ndim == 2 else grain[:, :, None]), 0, 255).astype(np.uint8)


@cache
def _grain(width: int, height: int, strength: float, seed: int) -> NDArray[np.int16]:
    """Of twice the size; every frame has another part of it."""
    return np.random.default_rng(seed).normal(0, strength, (2 * height, 2 * width)).astype(np.int16)


def make_video(work: Path, size: tuple[int, int], seconds: float) -> Path:
    """The demo's clip at another size, over and over, with a camera's grain so that the codec has something to do."""
    clip, path = work / "clip.mp4", work / f"{size[0]}x{size[1]}.mp4"
    if not clip.exists():
        make_clip(clip)
    large = (cv2.resize(image, size, interpolation=cv2.INTER_CUBIC) for image in _faces(clip))
    shown = islice((grained(image, n, 3, seed=0) for n, image in enumerate(large)), int(seconds * 25))
    frames = (av.VideoFrame.from_ndarray(image, format="rgb24") for image in shown)
    encode(frames, path, lambda *_: {"crf": "20", "preset": "veryfast"})
    return path


def encode(images: Iterable[av.VideoFrame], path: Path, options: Callable[[int, int], dict[str, str]]) -> int:
    """Write H.264 of 25 frames a second, with the ``options`` for a width and height; gives the number of frames."""
    stream: Any = None
    count = 0
    with av.open(str(path), "w") as video:
        for count, image in enumerate(images, 1):
            if stream is None:
                stream = video.add_stream("libx264", rate=25, options=options(image.width, image.height))
                stream.width, stream.height, stream.pix_fmt = image.width, image.height, "yuv420p"
            image.pts, image.time_base = count - 1, Fraction(1, 25)
            video.mux(stream.encode(image))
        if stream is not None:
            video.mux(stream.encode(None))
    return count


def _faces(clip: Path) -> Iterator[Image]:
    """The seconds of the clip in which one person is there, for ever."""
    while True:
        with av.open(str(clip)) as video:
            for frame in islice(video.decode(video=0), 25, 75):
                yield np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
