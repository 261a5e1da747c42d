"""How the time of a run falls with the workers, and what a large collection would take.

    python scripts/measure_workers.py                        eight films of 20 seconds, 640x360
    python scripts/measure_workers.py --size 1920x1080       larger ones
    python scripts/measure_workers.py --ray 2                also on a Ray cluster of so many nodes on this machine
    python scripts/measure_workers.py --hours 10000          the collection that is worked out (25 frames a second)

Every number of workers does the same films twice, in turn, and the faster time counts. What a run takes before its
first frame (libraries, models, workers) is measured on a film of one frame and taken off. Times are of one machine:
compare them with each other.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmark import make_film

from fermedia.runs.workers import fitting
from fermedia.threads import cores

#: Frames a second of the films, and of the collection.
RATE = 25


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each")
    parser.add_argument("--size", default="640x360")
    parser.add_argument("--workers", default="0,1,2", help="numbers to compare")
    parser.add_argument("--ray", type=int, metavar="NODES", help="also on a cluster of so many nodes")
    parser.add_argument("--hours", type=float, default=10_000, help="of the collection")
    arguments = parser.parse_args()
    width, height = map(int, arguments.size.split("x"))
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        film = make_film(work, (width, height), arguments.seconds)
        inputs, tiny = copies(film, work / "in", arguments.films), copies(film, work / "tiny", 2)
        frames = arguments.films * count(film)
        ways = {f"{n} workers": ["--workers", n] for n in arguments.workers.split(",")}
        cluster = start_cluster(arguments.ray) if arguments.ray else None
        if cluster:
            ways[f"Ray, {arguments.ray} nodes"] = ["--executor", "ray", "--ray-address", cluster.address]
        times: dict[str, list[float]] = {way: [] for way in ways}
        starts: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(2):
            for way, options in ways.items():
                starts[way].append(run(tiny, work / "out", [*options, "--end", "0.04"]))
                times[way].append(run(inputs, work / "out", options))
        if cluster:
            cluster.shutdown()
    report(arguments, frames, times, starts)


def report(
    arguments: argparse.Namespace, frames: int, times: dict[str, list[float]], starts: dict[str, list[float]]
) -> None:
    """Print the times by who did the work, and the collection."""
    print(f"{cores()} processors, by default {fitting()} workers; {arguments.films} films of {arguments.size},")
    print(f"{frames} frames\n\n| who | start, s | work, s | frames a second | ratio |\n|---|---|---|---|---|")
    work = {way: min(times[way]) - min(starts[way]) for way in times}
    first = next(iter(work.values()))
    for way, seconds in work.items():
        print(f"| {way} | {min(starts[way]):.1f} | {seconds:.1f} | {frames / seconds:.0f} | {first / seconds:.2f} |")
    each = frames / min(work.values()) / cores()
    total = arguments.hours * 3600 * RATE
    hours = total / each / 3600
    print(f"\n{arguments.hours:,.0f} hours at {RATE} frames a second are {total:.2g} frames; at {each:.0f} frames a")
    print(f"second and processor they take {hours:,.0f} processor hours,")
    for machines in (1, 10, 100):
        print(f"on {machines} machines of 32 processors {hours / 32 / machines / 24:.1f} days")


def copies(film: Path, folder: Path, number: int) -> Path:
    """A folder of so many of the film."""
    folder.mkdir()
    for n in range(number):
        os.link(film, folder / f"{n}.mp4")
    return folder


def count(film: Path) -> int:
    """Its frames."""
    from fermedia.media.video import VideoReader

    with VideoReader(film) as reader:
        return sum(1 for _ in reader.frames())


def run(inputs: Path, out: Path, options: list[str]) -> float:
    """Seconds of one run of the command into a new folder."""
    subprocess.run(["rm", "-rf", out], check=True)
    command = [sys.executable, "-m", "fermedia", "analyze", str(inputs), "--out", str(out), "--quiet", *options]
    begun = time.monotonic()
    subprocess.run(command, check=True)
    return time.monotonic() - begun


def start_cluster(nodes: int) -> Any:
    """A cluster whose nodes share this machine's processors."""
    from ray.cluster_utils import Cluster

    small: dict[str, Any] = {"object_store_memory": 80_000_000, "memory": 2_000_000_000}
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **small})
    for _ in range(nodes):
        made.add_node(num_cpus=max(1, cores() // nodes), **small)
    return made


if __name__ == "__main__":
    main()
