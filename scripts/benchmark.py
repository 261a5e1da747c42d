"""What a frame costs, stage by stage, and how near the whole run comes to what the machine could give.

    python scripts/benchmark.py                          made-up videos of 640x360, 1280x720 and 1920x1080
    python scripts/benchmark.py --video VIDEO              a video of yours
    python scripts/benchmark.py --measures               only tables with and without --measures, at 1280x720
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

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from itertools import islice
from pathlib import Path, PurePosixPath
from statistics import median
from typing import Any

import av
import measuring
from measuring import analyze, encode, make_video

from fermedia.jobs.item import Engine
from fermedia.machine import cores, limit_malloc_arenas, use_batch_scheduling
from fermedia.media.frames import VideoImage
from fermedia.media.video import VideoReader
from fermedia.options import PRESETS, AnalyzeOptions
from fermedia.render.encoder import quality
from fermedia.render.video import FramePainter
from fermedia.types import Frame, MediaItem, Observation
from fermedia.vision.detect import DetectedFace, FaceDetector
from fermedia.vision.framing import crop_face
from fermedia.vision.measures import measured as figures
from fermedia.vision.mesh import FaceMesh
from fermedia.vision.observe import detection_interval

SIZES = ((640, 360), (1280, 720), (1920, 1080))

#: Frames whose cost is measured stage by stage; the first ones of a video may be lead-in.
SAMPLE = 100

FER = """
import json, sys, time, cv2
from fer.fer import FER
detector = FER()
video = cv2.VideoCapture(sys.argv[1])
count, faces, begun = 0, 0, None
while True:
    more, image = video.read()
    if not more:
        break
    found = len(detector.detect_emotions(image))
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
    parser = measuring.parser(__doc__)
    parser.add_argument("--video", type=Path, help="measure this video")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of the made-up videos")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured (default: 3)")
    parser.add_argument("--memory", action="store_true", help="also measure peak memory, at 1, 5 and 20 minutes")
    parser.add_argument("--worker-memory", action="store_true", help="measure nothing but the peak memory of a worker")
    parser.add_argument("--measures", action="store_true", help="measure nothing but what --measures adds")
    parser.add_argument("--detector", default="balanced", choices=PRESETS)
    parser.add_argument("--fer", type=Path, metavar="PYTHON", help="an interpreter in whose environment fer is")
    arguments = parser.parse_args()
    use_batch_scheduling()  # both as the command does
    limit_malloc_arenas()
    print(f"{cores()} processors, {busy()} of them busy with something else at the start\n")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        if arguments.worker_memory:
            worker_memory(work, arguments.seconds)
            return
        if arguments.measures:
            video = arguments.video or make_video(work, SIZES[1], arguments.seconds)
            measures(video, work, arguments.detector, arguments.rounds)
            return
        videos = [arguments.video] if arguments.video else [make_video(work, s, arguments.seconds) for s in SIZES]
        for video in videos:
            table(video, work, arguments.detector, arguments.rounds)
        first_result(videos[0], work)
        if arguments.fer:
            pair(videos[min(1, len(videos) - 1)], arguments.fer, arguments.detector, arguments.rounds)
        if arguments.memory:
            memory(videos[-1], work)


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


def table(video: Path, work: Path, preset: str, rounds: int) -> None:
    """One video: each stage alone, then all together."""
    stages: list[dict[str, Cost]] = []
    runs: list[dict[str, Cost]] = []
    for _ in range(max(1, rounds)):
        found, faces = alone(video, work, preset)
        stages.append(found)
        runs.append(together(video, work, preset))
    stage, run = ({name: middle([costs[name] for costs in given]) for name in given[0]} for given in (stages, runs))
    with VideoReader(video) as reader:
        info = reader.info
    print(f"## {video.name}: {info.width}x{info.height}, {info.codec}, {faces:.1f} faces a frame, {preset}\n")
    measuring.head("stage alone", "CPU ms a frame")
    for name, cost in stage.items():
        measuring.row(name, f"{cost.ms:.2f}")
    looking = sum(stage[s].ms for s in ("decoding", "detection", "framing", "classification"))
    writing = stage["drawing"].ms + stage["encoding"].ms
    print()
    measuring.head("whole run", "frames a second", "CPU ms a frame", "processors at work", "clock, times the best")
    best = {"tables alone": looking, "annotated video": looking + writing}
    best["tables with measures"] = looking + stage["measuring"].ms
    for name, cost in run.items():
        ratio = f"{1000 * cost.wall / cost.frames / (best[name] / cores()):.2f}" if name in best else ""
        measuring.row(name, f"{cost.rate:.0f}", f"{cost.ms:.1f}", f"{cost.cpu / cost.wall:.2f}", ratio)
    full, transcoded = run["annotated video"], run["merely transcoded"]
    print(
        f"\nThe annotated video takes {full.wall / transcoded.wall:.2f} times as long as merely transcoding, ", end=""
    )
    print(f"and {full.cpu / transcoded.cpu:.2f} times as much CPU time.\n")


def middle(costs: Sequence[Cost]) -> Cost:
    """The median of each, of several measurements of the same."""
    return Cost(median(c.wall for c in costs), median(c.cpu for c in costs), costs[0].frames)


def together(video: Path, work: Path, preset: str) -> dict[str, Cost]:
    """The whole runs, and those of the codec alone."""
    decoded, transcoded = Cost(), Cost()
    with measured(decoded):
        decoded.frames = sum(1 for _ in _bare(video))
    with measured(transcoded):
        transcoded.frames = transcode(video, work / "transcoded.mp4")
    tables, full = whole(video, work, preset, False), whole(video, work, preset, True)
    with_measures = whole(video, work, preset, False, measures=True)
    return {
        "merely decoded": decoded,
        "merely transcoded": transcoded,
        "tables alone": tables,
        "tables with measures": with_measures,
        "annotated video": full,
    }


def alone(video: Path, work: Path, preset: str) -> tuple[dict[str, Cost], float]:
    """The stages' cost, one after the other on the same frames, and faces a frame."""
    names = ("decoding", "detection", "framing", "classification", "measuring", "drawing", "encoding")
    costs = {name: Cost() for name in names}
    decoding = costs["decoding"]
    with VideoReader(video) as reader, Engine(AnalyzeOptions(detector=preset)) as engine:
        with measured(decoding):
            decoding.frames = sum(1 for _ in reader.frames())
        frames = list(islice(reader.frames(), SAMPLE))
        with FaceDetector(preset=preset) as detector, measured(costs["detection"], len(frames)):
            found = [*_found(frames, detector)]
        size = engine.classifier.input_size
        with measured(costs["framing"], len(frames)):
            crops = [crop_face(n.image, f, size) for n, faces in zip(frames, found, strict=True) for f in faces]
        with measured(costs["classification"], len(frames)):
            rows = engine.classifier.predict(crops)
        with FaceMesh() as reader_of_faces, measured(costs["measuring"], len(frames)):
            for frame, faces in zip(frames, found, strict=True):
                for face in faces:
                    figures(reader_of_faces.read(frame.image, face))
        answers = iter(rows)
        seen = [[Observation(f, i, next(answers)) for i, f in enumerate(faces)] for faces in found]
        painter = FramePainter(reader.info)
        with measured(costs["drawing"], len(frames)):
            images = [painter.paint(_video(frame), faces) for frame, faces in zip(frames, seen, strict=True)]
        with measured(costs["encoding"], len(frames)):
            encode(images, work / "encoded.mp4", quality)
    return costs, len(crops) / len(frames)


def _found(frames: Sequence[Frame], detector: FaceDetector) -> Iterator[Sequence[DetectedFace]]:
    """The faces of each frame, searched for and followed as the ``Observer`` does."""
    last: tuple[int, Sequence[DetectedFace]] = -1, []
    for frame in frames:
        number = detection_interval(frame.time or 0.0)
        last = number, detector.find(frame.image, last[1] if number == last[0] else None)
        yield last[1]


def _video(frame: Frame) -> VideoImage:
    assert isinstance(frame.image, VideoImage)
    return frame.image


def _bare(video: Path) -> Iterator[av.VideoFrame]:
    with av.open(str(video)) as source:
        source.streams.video[0].thread_type = "AUTO"
        yield from source.decode(video=0)


def transcode(video: Path, path: Path) -> int:
    """Decode and encode at the annotated video's settings, nothing else; gives the number of frames."""
    return encode(_bare(video), path, quality)


def whole(video: Path, work: Path, preset: str, annotated: bool, measures: bool = False) -> Cost:
    """One item through the engine, start-up not counted."""
    item = MediaItem("video", PurePosixPath(video.name), video, (video,))
    cost = Cost()
    import_module("pandas")  # which the command loads before it begins, too
    with Engine(AnalyzeOptions(video=annotated, detector=preset, measures=measures)) as engine:
        with measured(cost):
            result = engine.run(item, work / "staging", work / "place", lambda expected, done: None)
        assert not result.failures, result.failures
        cost.frames = result.frames
    return cost


def first_result(video: Path, work: Path) -> None:
    """From the command to the results of the video's first frame, complete on disk; the second time."""
    for _ in range(2):
        taken = analyze(video, work / "first", "--end", "0.01", "--redo", "all").wall
    print(f"From the command to the first frame's table and video, on a warm disk: {taken:.1f} seconds.\n", flush=True)


def pair(video: Path, python: Path, preset: str, rounds: int) -> None:
    """Tables alone beside fer with its default detector on the same video, in turn."""
    ours: list[Cost] = []
    theirs: list[Cost] = []
    for _ in range(max(1, rounds)):
        with tempfile.TemporaryDirectory() as folder:
            ours.append(whole(video, Path(folder), preset, False))
        answer = subprocess.run([python, "-c", FER, str(video)], capture_output=True, text=True)
        if answer.returncode:
            raise SystemExit(f"fer failed: {answer.stderr.strip().splitlines()[-1]}")
        wall, cpu, frames, faces = json.loads(answer.stdout.splitlines()[-1])
        theirs.append(Cost(wall, cpu, frames))
    print(f"## {video.name}: tables alone, beside fer\n")
    measuring.head("", "frames a second", "CPU ms a frame")
    for name, cost in ((f"fermedia, {preset}", middle(ours)), ("fer", middle(theirs))):
        measuring.row(name, f"{cost.rate:.1f}", f"{cost.ms:.1f}")
    times = [one.rate / other.rate for one, other in zip(ours, theirs, strict=True)]
    print(f"\n{median(times):.1f} times as many frames a second as fer ({min(times):.1f} to {max(times):.1f}).")
    print(f"fer counts {faces / frames:.2f} faces a frame.\n", flush=True)


def measures(video: Path, work: Path, preset: str, rounds: int) -> None:
    """Tables with and without measures, in turn: frames a second, and the command's peak memory."""
    costs: dict[bool, list[Cost]] = {False: [], True: []}
    peaks: dict[bool, list[float]] = {False: [], True: []}
    for number in range(max(1, rounds)):
        for asked in (False, True):
            costs[asked].append(whole(video, work, preset, False, asked))
            options = ("--no-video", "--detector", preset, *(["--measures"] if asked else []))
            peaks[asked].append(analyze(video, work / f"out-{number}-{asked}", *options).peak)
    print(f"## {video.name}: tables alone\n")
    measuring.head("", "frames a second", "CPU ms a frame", "peak memory, MB")
    for asked, name in ((False, "without measures"), (True, "with measures")):
        cost = middle(costs[asked])
        measuring.row(name, f"{cost.rate:.0f}", f"{cost.ms:.1f}", f"{median(peaks[asked]):.0f}")
    ratios = [one.rate / other.rate for one, other in zip(costs[True], costs[False], strict=True)]
    print(f"\n{median(ratios):.2f} times as many frames a second with them ({min(ratios):.2f} to {max(ratios):.2f}).")


def memory(video: Path, work: Path) -> None:
    """Peak memory of the command as a process of its own, on the video repeated to 1, 5 and 20 minutes."""
    print(f"## {video.name}: peak memory\n")
    measuring.head("minutes", "MB")
    for minutes in (1, 5, 20):
        long = repeated(video, work / f"{minutes}-minutes.mp4", minutes * 60)
        measuring.row(minutes, f"{analyze(long, work / f'out-{minutes}').peak:.0f}")


def worker_memory(work: Path, seconds: float) -> None:
    """Peak memory of one worker process, which has all processors to itself, with annotated videos."""
    measuring.head("one worker, video of", "MB")
    for size in (SIZES[0], SIZES[-1], (3840, 2160)):
        video = make_video(work, size, seconds)
        peak = analyze(video, work / f"out-{size[0]}", "--workers", "1").peak
        measuring.row(f"{size[0]}x{size[1]}", f"{peak:.0f}")


def repeated(video: Path, path: Path, seconds: float) -> Path:
    """The video over and over by copying its packets, not shorter than ``seconds``."""
    stream: Any = None
    shift = 0
    with av.open(str(path), "w") as out:
        while stream is None or shift * stream.time_base < seconds:
            with av.open(str(video)) as source:
                image: Any = source.streams.video[0]
                if stream is None:
                    stream = out.add_stream_from_template(image)
                    stream.time_base = image.time_base
                length = round(image.frames / image.average_rate / image.time_base)
                for packet in source.demux(image):
                    if packet.dts is not None and packet.pts is not None:
                        packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, stream
                        out.mux(packet)
                shift += length
    return path


if __name__ == "__main__":
    main()
