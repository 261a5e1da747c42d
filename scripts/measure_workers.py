"""How the time of a run falls with the workers, and what a large collection would take.

    python scripts/measure_workers.py                        eight films of 20 seconds, 640x360
    python scripts/measure_workers.py --size 1920x1080       larger ones
    python scripts/measure_workers.py --ray 2                also on a Ray cluster of so many nodes on this machine
    python scripts/measure_workers.py --hours 10000          the collection that is worked out (25 frames a second)

Every number of workers does the same films twice, in turn, and the faster time counts. What a run takes before its
first frame (libraries, models, workers) is measured on two films of one frame and taken off. Times are of one machine
and of what else it does: compare them with each other. Processor time is that of all threads of all processes (on Ray
it is not known), and hardly depends on what else goes on: the collection is worked out from it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmark import make_film

from fermedia.machine import cores
from fermedia.runs.workers import fitting

#: Frames a second of the films, and of the collection.
RATE = 25

#: By who did the work: seconds of the clock and of processors, of each run.
Times = dict[str, list[tuple[float, float]]]


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
        times: Times = {way: [] for way in ways}
        starts: Times = {way: [] for way in ways}
        for _ in range(2):
            for way, options in ways.items():
                starts[way].append(run(tiny, work / "out", [*options, "--end", "0.04"]))
                times[way].append(run(inputs, work / "out", options))
        if cluster:
            cluster.shutdown()
    report(arguments, frames, times, starts)


def report(arguments: argparse.Namespace, frames: int, times: Times, starts: Times) -> None:
    """Print the times by who did the work, and the collection."""
    films, default = arguments.films, fitting(arguments.films)
    print(f"{cores()} processors, by default {default} workers; {films} films of {arguments.size}, {frames} frames\n")
    print("| who | start, s | work, s | frames a second | ratio | processor ms a frame |")
    print("|---|---|---|---|---|---|")
    work = {way: min(times[way])[0] - min(starts[way])[0] for way in times}
    cpu = {way: 1000 * (_least_cpu(times[way]) - _least_cpu(starts[way])) / frames for way in times}
    first = next(iter(work.values()))
    for way, seconds in work.items():
        shown = "" if way.startswith("Ray") else f"{cpu[way]:.0f}"
        rate, ratio = frames / seconds, first / seconds
        print(f"| {way} | {min(starts[way])[0]:.1f} | {seconds:.1f} | {rate:.0f} | {ratio:.2f} | {shown} |")
    dearest = max(cost for way, cost in cpu.items() if not way.startswith("Ray"))
    total = arguments.hours * 3600 * RATE
    hours = total * dearest / 1000 / 3600
    print(f"\n{arguments.hours:,.0f} hours at {RATE} frames a second are {total:.2g} frames;")
    print(f"at {dearest:.0f} ms each they take {hours:,.0f} processor hours,")
    for machines in (1, 10, 100):
        print(f"on {machines} machines of 32 processors {hours / 32 / machines / 24:.1f} days")


def _least_cpu(runs: list[tuple[float, float]]) -> float:
    return min(cpu for _, cpu in runs)


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


def run(inputs: Path, out: Path, options: list[str]) -> tuple[float, float]:
    """Seconds of the clock, and of processors, of one run of the command into a new folder."""
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "fermedia", "analyze", str(inputs), "--out", str(out), "--quiet", *options]
    begun = time.monotonic()
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, f"{' '.join(command)} ended with {status}"
    return time.monotonic() - begun, usage.ru_utime + usage.ru_stime


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
