"""What a frame costs, stage by stage, and how near the whole run comes to what the machine could give.

    python scripts/benchmark.py                          made-up films of 640x360, 1280x720 and 1920x1080
    python scripts/benchmark.py --film FILM              a film of yours
    python scripts/benchmark.py --worker-memory          only the peak memory of one worker, at three sizes
    python scripts/benchmark.py --memory                 peak memory at 1, 5 and 20 minutes as well (takes long)
    python scripts/benchmark.py --fer PYTHON             beside fer (PyPI), by an interpreter that has it installed
                                                         (with "opencv-contrib-python<5": its default detector needs it)

Times are of one run on one machine: compare them with each other, not with those of another machine. All is measured
``--rounds`` times, in turn, and the medians are printed, for machines have slower minutes. CPU time is that of all
threads. The best is the stages' CPU time shared by all processors without a moment's loss. Where anything else
runs on the machine, the frames a second and all that is by the clock are worse than they could be; CPU times less so.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from importlib import import_module
from itertools import islice
from pathlib import Path, PurePosixPath
from statistics import median
from typing import Any

import av
import cv2
import numpy as np

from fermedia.machine import cores, share_heaps, take_long_turns
from fermedia.media.frames import VideoPicture
from fermedia.media.video import VideoReader
from fermedia.options import AnalyzeOptions
from fermedia.outputs.video import FramePainter, quality
from fermedia.runs.demo import make_clip
from fermedia.runs.item import Engine
from fermedia.types import Frame, MediaItem, Observation
from fermedia.vision.detect import FaceDetector, Found
from fermedia.vision.framing import crop_face
from fermedia.vision.observe import stretch

SIZES = ((640, 360), (1280, 720), (1920, 1080))

#: Frames whose cost is measured stage by stage; the first ones of a film may be lead-in.
SAMPLE = 100

FER = """
import json, sys, time, cv2
from fer.fer import FER
detector = FER()
film = cv2.VideoCapture(sys.argv[1])
count, faces, begun = 0, 0, None
while True:
    more, picture = film.read()
    if not more:
        break
    found = len(detector.detect_emotions(picture))
    if begun is None:  # the first frame builds the network
        begun = time.perf_counter(), time.process_time()
    else:
        count, faces = count + 1, faces + found
wall, cpu = time.perf_counter() - begun[0], time.process_time() - begun[1]
print(json.dumps([wall, cpu, count, faces]))
"""


@dataclass
class Cost:
    """Seconds of the clock and of all processors, for ``frames``."""

    wall: float = 0.0
    cpu: float = 0.0
    frames: int = 0

    @property
    def ms(self) -> float:
        """CPU milliseconds a frame."""
        return 1000 * self.cpu / max(1, self.frames)

    @property
    def rate(self) -> float:
        """Frames a second of the clock."""
        return self.frames / self.wall if self.wall else 0.0


@contextmanager
def measured(cost: Cost, frames: int = 0) -> Iterator[None]:
    """Add what happens inside to ``cost``."""
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    cost.wall += time.perf_counter() - wall
    cost.cpu += time.process_time() - cpu
    cost.frames += frames


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--film", type=Path, help="measure this film")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of the made-up films")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured (default: 3)")
    parser.add_argument("--memory", action="store_true", help="also measure peak memory, at 1, 5 and 20 minutes")
    parser.add_argument("--worker-memory", action="store_true", help="measure nothing but the peak memory of a worker")
    parser.add_argument("--detector", default="balanced", choices=("fast", "balanced", "thorough"))
    parser.add_argument("--fer", type=Path, metavar="PYTHON", help="an interpreter in whose environment fer is")
    arguments = parser.parse_args()
    take_long_turns()  # both as the command does
    share_heaps()
    print(f"{cores()} processors, {busy()} of them busy with something else at the start\n")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        if arguments.worker_memory:
            worker_memory(work, arguments.seconds)
            return
        films = [arguments.film] if arguments.film else [make_film(work, s, arguments.seconds) for s in SIZES]
        for film in films:
            table(film, work, arguments.detector, arguments.rounds)
        first_result(films[0], work)
        if arguments.fer:
            pair(films[min(1, len(films) - 1)], arguments.fer, arguments.detector, arguments.rounds)
        if arguments.memory:
            memory(films[-1], work)


def busy(seconds: float = 1.0) -> str:
    """How many processors are at work although this program sleeps; "?" where the system does not say."""
    try:
        before = _idle()
        time.sleep(seconds)
        idle = (_idle() - before) / os.sysconf("SC_CLK_TCK") / seconds
    except (OSError, ValueError):
        return "?"
    return f"{max(0.0, cores() - idle):.1f}"


def _idle() -> int:
    """Ticks for which processors had nothing to do."""
    _, _, _, _, idle, waiting, *_ = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    return int(idle) + int(waiting)


def make_film(work: Path, size: tuple[int, int], seconds: float) -> Path:
    """The demo's clip at another size, over and over, with a camera's grain so that the codec has something to do."""
    clip, path = work / "clip.mp4", work / f"{size[0]}x{size[1]}.mp4"
    if not clip.exists():
        make_clip(clip)
    rng = np.random.default_rng(0)
    # The same few patterns of noise over and over.
    grain = [rng.normal(0, 3, (size[1], size[0], 1)) for _ in range(5)]
    with av.open(str(path), "w") as film:
        stream = film.add_stream("libx264", rate=25, options={"crf": "20", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for index, picture in enumerate(islice(_faces(clip), int(seconds * 25))):
            large = cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC) + grain[index % 5]
            frame = av.VideoFrame.from_ndarray(np.clip(large, 0, 255).astype(np.uint8), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            film.mux(stream.encode(frame))
        film.mux(stream.encode(None))
    return path


def _faces(clip: Path) -> Iterator[np.ndarray]:
    """The seconds of the clip in which one person is there, for ever."""
    while True:
        with av.open(str(clip)) as film:
            for frame in islice(film.decode(video=0), 25, 75):
                yield frame.to_ndarray(format="rgb24")


def table(film: Path, work: Path, preset: str, rounds: int) -> None:
    """One film: each stage alone, then all together."""
    stages: list[dict[str, Cost]] = []
    runs: list[dict[str, Cost]] = []
    for _ in range(max(1, rounds)):
        found, faces = alone(film, work, preset)
        stages.append(found)
        runs.append(together(film, work, preset))
    stage, run = ({name: middle([costs[name] for costs in given]) for name in given[0]} for given in (stages, runs))
    with VideoReader(film) as reader:
        info = reader.info
    print(f"## {film.name}: {info.width}x{info.height}, {info.codec}, {faces:.1f} faces a frame, {preset}\n")
    print("| stage alone | CPU ms a frame |\n|---|---|")
    for name, cost in stage.items():
        print(f"| {name} | {cost.ms:.2f} |")
    looking = sum(stage[s].ms for s in ("decoding", "detection", "framing", "classification"))
    writing = stage["drawing"].ms + stage["encoding"].ms
    print("\n| whole run | frames a second | CPU ms a frame | processors at work | clock, times the best |")
    print("|---|---|---|---|---|")
    best = {"tables alone": looking, "annotated film": looking + writing}
    for name, cost in run.items():
        ratio = f"{1000 * cost.wall / cost.frames / (best[name] / cores()):.2f}" if name in best else ""
        print(f"| {name} | {cost.rate:.0f} | {cost.ms:.1f} | {cost.cpu / cost.wall:.2f} | {ratio} |")
    full, transcoded = run["annotated film"], run["merely transcoded"]
    print(f"\nThe annotated film takes {full.wall / transcoded.wall:.2f} times as long as merely transcoding, ", end="")
    print(f"and {full.cpu / transcoded.cpu:.2f} times as much CPU time.\n")


def middle(costs: Sequence[Cost]) -> Cost:
    """The median of each, of several measurements of the same."""
    return Cost(median(c.wall for c in costs), median(c.cpu for c in costs), costs[0].frames)


def together(film: Path, work: Path, preset: str) -> dict[str, Cost]:
    """The whole runs, and those of the codec alone."""
    decoded, transcoded = Cost(), Cost()
    with measured(decoded):
        decoded.frames = sum(1 for _ in _bare(film))
    with measured(transcoded):
        transcoded.frames = transcode(film, work / "transcoded.mp4")
    tables, full = whole(film, work, preset, False), whole(film, work, preset, True)
    return {
        "merely decoded": decoded,
        "merely transcoded": transcoded,
        "tables alone": tables,
        "annotated film": full,
    }


def alone(film: Path, work: Path, preset: str) -> tuple[dict[str, Cost], float]:
    """The stages' cost, one after the other on the same frames, and faces a frame."""
    costs = {n: Cost() for n in ("decoding", "detection", "framing", "classification", "drawing", "encoding")}
    decoding = costs["decoding"]
    with VideoReader(film) as reader, Engine(AnalyzeOptions(detector=preset)) as engine:
        with measured(decoding):
            decoding.frames = sum(1 for _ in reader.frames())
        frames = list(islice(reader.frames(), SAMPLE))
        with FaceDetector(preset=preset) as detector, measured(costs["detection"], len(frames)):
            found = [*_found(frames, detector)]
        size = engine.classifier.input_size
        with measured(costs["framing"], len(frames)):
            crops = [crop_face(n.picture, f, size) for n, faces in zip(frames, found, strict=True) for f in faces]
        with measured(costs["classification"], len(frames)):
            rows = engine.classifier.predict(crops)
        answers = iter(rows)
        seen = [[Observation(f, i, next(answers)) for i, f in enumerate(faces)] for faces in found]
        painter = FramePainter(reader.info)
        with measured(costs["drawing"], len(frames)):
            pictures = [painter.paint(_film(frame), faces) for frame, faces in zip(frames, seen, strict=True)]
        with measured(costs["encoding"], len(frames)):
            encode(pictures, work / "encoded.mp4")
    return costs, len(crops) / len(frames)


def _found(frames: Sequence[Frame], detector: FaceDetector) -> Iterator[Sequence[Found]]:
    """The faces of each frame, searched for and followed as the ``Observer`` does."""
    last: tuple[int, Sequence[Found]] = -1, []
    for frame in frames:
        number = stretch(frame.time or 0.0)
        last = number, detector.find(frame.picture, last[1] if number == last[0] else None)
        yield last[1]


def _film(frame: Frame) -> VideoPicture:
    assert isinstance(frame.picture, VideoPicture)
    return frame.picture


def _bare(film: Path) -> Iterator[av.VideoFrame]:
    with av.open(str(film)) as source:
        source.streams.video[0].thread_type = "AUTO"
        yield from source.decode(video=0)


def transcode(film: Path, path: Path) -> int:
    """Decode and encode at the annotated film's settings, nothing else; gives the number of frames."""
    return encode(_bare(film), path)


def encode(pictures: Sequence[av.VideoFrame] | Iterator[av.VideoFrame], path: Path) -> int:
    """Encode as the annotated film is; gives the number of frames."""
    stream: Any = None
    count = 0
    with av.open(str(path), "w") as film:
        for count, picture in enumerate(pictures, 1):
            if stream is None:
                stream = film.add_stream("libx264", rate=25, options=quality(picture.width, picture.height))
                stream.width, stream.height, stream.pix_fmt = picture.width, picture.height, "yuv420p"
            picture.pts, picture.time_base = count, Fraction(1, 25)
            film.mux(stream.encode(picture))
        if stream is not None:
            film.mux(stream.encode(None))
    return count


def whole(film: Path, work: Path, preset: str, video: bool) -> Cost:
    """One item through the engine, start-up not counted."""
    item = MediaItem("video", PurePosixPath(film.name), film, (film,))
    cost = Cost()
    import_module("pandas")  # which the command loads before it begins, too
    with Engine(AnalyzeOptions(video=video, detector=preset)) as engine:
        with measured(cost):
            result = engine.run(item, work / "staging", work / "place", lambda expected, done: None)
        assert not result.failures, result.failures
        cost.frames = result.frames
    return cost


def first_result(film: Path, work: Path) -> None:
    """From the command to the results of the film's first frame, complete on disk; the second time."""
    command = [sys.executable, "-m", "fermedia", "analyze", str(film), "--end", "0.01", "--redo", "all", "--quiet"]
    for _ in range(2):
        begun = time.perf_counter()
        subprocess.run([*command, "--out", str(work / "first")], check=True)
        taken = time.perf_counter() - begun
    print(f"From the command to the first frame's table and film, on a warm disk: {taken:.1f} seconds.\n", flush=True)


def pair(film: Path, python: Path, preset: str, rounds: int) -> None:
    """Tables alone beside fer with its default detector on the same film, in turn."""
    ours: list[Cost] = []
    theirs: list[Cost] = []
    for _ in range(max(1, rounds)):
        with tempfile.TemporaryDirectory() as folder:
            ours.append(whole(film, Path(folder), preset, False))
        answer = subprocess.run([python, "-c", FER, str(film)], capture_output=True, text=True)
        if answer.returncode:
            raise SystemExit(f"fer failed: {answer.stderr.strip().splitlines()[-1]}")
        wall, cpu, frames, faces = json.loads(answer.stdout.splitlines()[-1])
        theirs.append(Cost(wall, cpu, frames))
    print(f"## {film.name}: tables alone, beside fer\n")
    print("| | frames a second | CPU ms a frame |\n|---|---|---|")
    for name, cost in ((f"fermedia, {preset}", middle(ours)), ("fer", middle(theirs))):
        print(f"| {name} | {cost.rate:.1f} | {cost.ms:.1f} |")
    times = [one.rate / other.rate for one, other in zip(ours, theirs, strict=True)]
    print(f"\n{median(times):.1f} times as many frames a second as fer ({min(times):.1f} to {max(times):.1f}).")
    print(f"fer counts {faces / frames:.2f} faces a frame.\n", flush=True)


def memory(film: Path, work: Path) -> None:
    """Peak memory of the command as a process of its own, on the film repeated to 1, 5 and 20 minutes."""
    print(f"## {film.name}: peak memory\n\n| minutes | MB |\n|---|---|")
    for minutes in (1, 5, 20):
        long = repeated(film, work / f"{minutes}-minutes.mp4", minutes * 60)
        print(f"| {minutes} | {peak(long, work / f'out-{minutes}'):.0f} |", flush=True)


def worker_memory(work: Path, seconds: float) -> None:
    """Peak memory of one worker process, which has all processors to itself, with annotated films."""
    print("| one worker, film of | MB |\n|---|---|")
    for size in (SIZES[0], SIZES[-1], (3840, 2160)):
        film = make_film(work, size, seconds)
        print(f"| {size[0]}x{size[1]} | {peak(film, work / f'out-{size[0]}', '--workers', '1'):.0f} |", flush=True)


def peak(film: Path, out: Path, *options: str) -> float:
    """Megabytes that the largest process of a run of the command held at most."""
    command = [sys.executable, "-m", "fermedia", "analyze", str(film), "--out", str(out), "--quiet", *options]
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, f"{' '.join(command)} ended with {status}"
    return usage.ru_maxrss / 1024


def repeated(film: Path, path: Path, seconds: float) -> Path:
    """The film over and over by copying its packets, not shorter than ``seconds``."""
    stream: Any = None
    shift = 0
    with av.open(str(path), "w") as out:
        while stream is None or shift * stream.time_base < seconds:
            with av.open(str(film)) as source:
                picture: Any = source.streams.video[0]
                if stream is None:
                    stream = out.add_stream_from_template(picture)
                    stream.time_base = picture.time_base
                length = round(picture.frames / picture.average_rate / picture.time_base)
                for packet in source.demux(picture):
                    if packet.dts is not None and packet.pts is not None:
                        packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, stream
                        out.mux(packet)
                shift += length
    return path


if __name__ == "__main__":
    main()
