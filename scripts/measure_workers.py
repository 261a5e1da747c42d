"""How the time of a run falls with the workers, and what a large collection would take.

    python scripts/measure_workers.py                        eight videos of 20 seconds, 640x360
    python scripts/measure_workers.py --size 1920x1080       larger ones
    python scripts/measure_workers.py --ray 2                also on a Ray cluster of so many nodes on this machine
    python scripts/measure_workers.py --hours 10000          the collection that is worked out (25 frames a second)

Every number of workers does the same videos twice, in turn, and the faster time counts. What a run takes before its
first frame (libraries, models, workers) is measured on two videos of one frame and taken off. Times are of one machine
and of what else it does: compare them with each other. Processor time is that of all threads of all processes (on Ray
it is not known), and hardly depends on what else goes on: the collection is worked out from it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import measuring
from measuring import Run, analyze, make_video

from fermedia.jobs.workers import fitting
from fermedia.machine import cores

#: Frames a second of the videos, and of the collection.
RATE = 25

#: The runs, by who did the work.
Runs = dict[str, list[Run]]


def main() -> None:
    """Print the table."""
    parser = measuring.parser(__doc__)
    parser.add_argument("--videos", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each")
    parser.add_argument("--size", default="640x360")
    parser.add_argument("--workers", default="0,1,2", help="numbers to compare")
    parser.add_argument("--ray", type=int, metavar="NODES", help="also on a cluster of so many nodes")
    parser.add_argument("--hours", type=float, default=10_000, help="of the collection")
    arguments = parser.parse_args()
    width, height = map(int, arguments.size.split("x"))
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        video = make_video(work, (width, height), arguments.seconds)
        inputs, tiny = copies(video, work / "in", arguments.videos), copies(video, work / "tiny", 2)
        frames = arguments.videos * count(video)
        ways = {f"{n} workers": ["--workers", n] for n in arguments.workers.split(",")}
        cluster = start_cluster(arguments.ray) if arguments.ray else None
        if cluster:
            ways[f"Ray, {arguments.ray} nodes"] = ["--executor", "ray", "--ray-address", cluster.address]
        times: Runs = {way: [] for way in ways}
        starts: Runs = {way: [] for way in ways}
        for _ in range(2):
            for way, options in ways.items():
                starts[way].append(run(tiny, work / "out", [*options, "--end", "0.04"]))
                times[way].append(run(inputs, work / "out", options))
        if cluster:
            cluster.shutdown()
    report(arguments, frames, times, starts)


def report(arguments: argparse.Namespace, frames: int, times: Runs, starts: Runs) -> None:
    """Print the times by who did the work, and the collection."""
    videos, default = arguments.videos, fitting(arguments.videos)
    print(f"{cores()} processors, by default {default} workers; {videos} videos of {arguments.size}, {frames} frames\n")
    measuring.head("who", "start, s", "work, s", "frames a second", "ratio", "processor ms a frame")
    begin = {way: _least_wall(starts[way]) for way in times}
    work = {way: _least_wall(times[way]) - begin[way] for way in times}
    cpu = {way: 1000 * (_least_cpu(times[way]) - _least_cpu(starts[way])) / frames for way in times}
    first = next(iter(work.values()))
    for way, seconds in work.items():
        shown = "" if way.startswith("Ray") else f"{cpu[way]:.0f}"
        rate, ratio = frames / seconds, first / seconds
        measuring.row(way, f"{begin[way]:.1f}", f"{seconds:.1f}", f"{rate:.0f}", f"{ratio:.2f}", shown)
    dearest = max(cost for way, cost in cpu.items() if not way.startswith("Ray"))
    total = arguments.hours * 3600 * RATE
    hours = total * dearest / 1000 / 3600
    print(f"\n{arguments.hours:,.0f} hours at {RATE} frames a second are {total:.2g} frames;")
    print(f"at {dearest:.0f} ms each they take {hours:,.0f} processor hours,")
    for machines in (1, 10, 100):
        print(f"on {machines} machines of 32 processors {hours / 32 / machines / 24:.1f} days")


def _least_wall(runs: list[Run]) -> float:
    return min(run.wall for run in runs)


def _least_cpu(runs: list[Run]) -> float:
    return min(run.cpu for run in runs)


def copies(video: Path, folder: Path, number: int) -> Path:
    """A folder of so many of the video."""
    folder.mkdir()
    for n in range(number):
        os.link(video, folder / f"{n}.mp4")
    return folder


def count(video: Path) -> int:
    """Its frames."""
    from fermedia.media.video import VideoReader

    with VideoReader(video) as reader:
        return sum(1 for _ in reader.frames())


def run(inputs: Path, out: Path, options: list[str]) -> Run:
    """One run of the command into a new folder."""
    shutil.rmtree(out, ignore_errors=True)
    return analyze(inputs, out, *options)


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
