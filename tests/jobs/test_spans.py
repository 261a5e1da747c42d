"""Long videos are worked in spans: without a seam, the same by one and by many, and little is lost by a kill.

The videos are short here, and so are the spans.
"""

from __future__ import annotations

import json
import math
import random
import signal
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import cv2
import numpy as np
import pandas as pd
import pytest

from fermedia.jobs import spans
from fermedia.jobs.batch import run_batch
from fermedia.jobs.execute import in_process
from fermedia.jobs.item import Engine
from fermedia.jobs.progress import Progress
from fermedia.jobs.scheduler import Task
from fermedia.media.open_video import OpenVideo
from fermedia.options import AnalyzeOptions
from fermedia.vision.observe import SEARCH_EVERY
from tests.breaking import SPANS, UNFINISHED, before
from tests.forks import Forks, until
from tests.jobs.test_workers import is_gone, workers
from tests.killing import DIE, killed_and_continued, killed_fifty_times, results
from tests.systems import KILLED, needs_signals
from tests.videos import heard_beeps, images, moving_faces, read_number, write_beeps, write_video


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A long video of uneven times with audio and B-frames, and one that is not long.

    Its key frames are where an undivided video is searched anyway: a span's first frame always is.
    """
    folder = tmp_path_factory.mktemp("videos")
    chance = random.Random(7)
    times = [Fraction(0)]
    while len(times) < 75:
        times.append(times[-1] + Fraction(chance.randint(20, 70), 1000))
        if len(times) % 10 == 1:
            times[-1] = math.ceil(times[-1] / SEARCH_EVERY) * Fraction(SEARCH_EVERY)
    options = {"g": "10", "bf": "3"}
    write_video(folder / "long.mp4", moving_faces(75, (240, 180)), times=times, audio="aac", options=options)
    write_video(folder / "short.mp4", moving_faces(10, (240, 180)))
    return folder


def run(source: Path, out: Path, lengths: tuple[float, float] | None, **options: object) -> Path:
    """Analyse one video in this process; gives the folder of its results."""
    with pytest.MonkeyPatch.context() as patch, Progress(quiet=True) as progress:
        if lengths:
            patch.setattr(spans, "LONG", lengths[0])
            patch.setattr(spans, "SPAN", lengths[1])
        chosen = AnalyzeOptions(**options)  # type: ignore[arg-type]
        totals = run_batch([source], out, chosen, progress=progress, executor=in_process)
    assert totals.failures == []
    assert not list(out.glob(".*"))
    return out / "items" / source.name


def previews(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "previews").iterdir()}


def audio(video: Path) -> list[tuple[int | None, bytes]]:
    with av.open(str(video)) as container:
        return [(packet.pts, bytes(packet)) for packet in container.demux(audio=0)]


@pytest.mark.parametrize("options", [{}, {"fps": 5.0}, {"start": 0.3, "end": 3.5, "every": 3, "smooth": 0.0}])
def test_there_is_no_seam(videos: Path, tmp_path: Path, options: dict[str, object]) -> None:
    source = videos / "long.mp4"
    one = run(source, tmp_path / "one", None, **options)
    many = run(source, tmp_path / "many", (1.0, 0.7), **options)
    record = json.loads((many / "item.json").read_text())
    assert record["spans"] >= 3
    for name, value in json.loads((one / "item.json").read_text()).items():
        assert record[name] == value or name == "seconds_taken"
    assert (many / "timeline.csv").read_bytes() == (one / "timeline.csv").read_bytes()
    expected, found = images(one / "annotated.mp4"), images(many / "annotated.mp4")
    assert [time for time, _ in found] == [time for time, _ in expected]
    assert [read_number(p) for _, p in found] == [read_number(p) for _, p in expected]
    for (_, a), (_, b) in zip(expected, found, strict=True):  # the panels too are where they were
        assert np.abs(a.astype(int) - b).mean() < 2.5
        assert np.percentile(np.abs(a.astype(int) - b), 99.5) < 40
    assert previews(many) == previews(one)
    assert len(previews(one)) > 2  # the video, its index, and faces
    assert audio(many / "annotated.mp4") == audio(one / "annotated.mp4")
    with av.open(str(one / "annotated.mp4")) as whole, av.open(str(many / "annotated.mp4")) as joined:
        assert whole.duration == joined.duration
        assert whole.streams.video[0].duration == joined.streams.video[0].duration


def test_a_video_of_tables_alone(videos: Path, tmp_path: Path) -> None:
    one = run(videos / "long.mp4", tmp_path / "one", None, video=False)
    many = run(videos / "long.mp4", tmp_path / "many", (1.0, 0.7), video=False)
    assert {path.name for path in many.iterdir()} == {path.name for path in one.iterdir()}
    assert previews(many) == previews(one)
    assert (many / "timeline.csv").read_bytes() == (one / "timeline.csv").read_bytes()


@pytest.mark.parametrize("kind", ["ts", "damaged"])
def test_what_cannot_be_divided_is_done_in_one_go(tmp_path: Path, kind: str) -> None:
    video = write_video(
        tmp_path / ("a.ts" if kind == "ts" else "a.mp4"), moving_faces(50, (240, 180)), options={"g": "10"}
    )
    if kind == "damaged":
        content = bytearray(video.read_bytes())
        middle = content.index(b"mdat") + (len(content) - content.index(b"mdat")) // 2
        content[middle : middle + 300] = bytes(300)
        video.write_bytes(content)
    for name, lengths in (("one", None), ("many", (1.0, 0.5))):
        with pytest.MonkeyPatch.context() as patch, Progress(quiet=True) as progress:
            if lengths:
                patch.setattr(spans, "LONG", lengths[0])
                patch.setattr(spans, "SPAN", lengths[1])
            totals = run_batch([video], tmp_path / name, AnalyzeOptions(), progress=progress, executor=in_process)
        assert len(totals.failures) == (kind == "damaged")
    assert results(tmp_path / "one") == results(tmp_path / "many")
    assert "spans" not in json.loads((tmp_path / "many/items" / video.name / "item.json").read_text())


@pytest.fixture(scope="module")
def undisturbed(forks: Forks, videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of one run by one process."""
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    status, said = forks.run("analyze", videos, "--out", out, before=SPANS)
    assert status == 0, said
    return out


def test_several_workers_share_a_video(forks: Forks, videos: Path, undisturbed: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    status, said = forks.run("analyze", videos, "--out", out, "--workers", "3", before=before("dividing"))
    assert status == 0, said
    assert results(out) == results(undisturbed)
    video = "items/long.mp4/annotated.mp4"
    assert (out / video).read_bytes() == (undisturbed / video).read_bytes()


@needs_signals
@pytest.mark.parametrize(("count", "waiting_for"), [("0", "video-000.nut"), ("2", "observe-001.npz")])
def test_interrupted_in_the_middle_of_a_video(
    forks: Forks, videos: Path, undisturbed: Path, tmp_path: Path, count: str, waiting_for: str
) -> None:
    out, options = tmp_path / "out", ("--workers", count)
    child = forks.start("analyze", videos, "--out", out, *options, before=UNFINISHED + before("never_joining"))
    until(lambda: list(out.glob(f".spans/*/{waiting_for}")), child)
    child.kill(signal.SIGTERM)
    assert child.wait() == 130, child.said()
    assert child.said().strip().splitlines()[-1].endswith("to go on, give the same command again")
    assert "Traceback" not in child.said()
    assert list(out.glob(f".spans/*/{waiting_for}"))  # it is not done again
    until(lambda: all(map(is_gone, workers(child))), child)
    status, said = forks.run("analyze", videos, "--out", out, *options, before=SPANS + before("dividing"))
    assert status == 0, said
    assert results(out) == results(undisturbed)
    assert not list(out.glob(".*"))


STEPS = {
    "a span is being looked at": """
import fermedia.jobs.spans as spans
first = spans.save
def save(path, **arrays):
    if path.name == 'observe-001.npz':
        die()
    first(path, **arrays)
spans.save = save
""",
    "the people are followed": "import fermedia.jobs.spans as spans\nspans.pack_found = die",
    "a span is being drawn": """
from fermedia.render.muxer import Muxer
first = Muxer.finish
def finish(self, frames):
    if self.path.parent.joinpath('video-000.json').exists():
        die()
    first(self, frames)
Muxer.finish = finish
""",
    "a span is drawn but not yet noted": """
import fermedia.jobs.spans as spans
first = spans.write_json
def write_json(path, value):
    if path.name == 'video-001.json':
        die()
    first(path, value)
spans.write_json = write_json
""",
    "the video is put together": "import fermedia.render.joined as joined\njoined.JoinedVideo.__exit__ = die",
    "before the rename": "import fermedia.jobs.item\nfermedia.jobs.item.publish = die",
    "after the rename": """
import fermedia.jobs.spans as spans
first = spans.shutil.rmtree
def rmtree(path, *arguments, **more):
    if path.parent.name == '.spans' and (path / 'video-000.json').exists():
        die()
    first(path, *arguments, **more)
class shutil:
    copyfile = spans.shutil.copyfile
shutil.rmtree = rmtree
spans.shutil = shutil
""",
}


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_a_step_and_continued(
    forks: Forks, videos: Path, undisturbed: Path, tmp_path: Path, step: str
) -> None:
    out = tmp_path / "out"
    assert forks.run("analyze", videos, "--out", out, before=SPANS + DIE + STEPS[step])[0] == KILLED
    kept = {path.name for path in out.glob(".spans/*/observe-*.npz")}
    assert kept
    count = "import fermedia.jobs.spans as s\nfirst = s.LongVideo._observe\n"
    count += "def observe(self, plan, span, on):\n    print('LOOKED', flush=True)\n    first(self, plan, span, on)\n"
    status, said = forks.run("analyze", videos, "--out", out, before=SPANS + count + "s.LongVideo._observe = observe\n")
    assert status == 0, said
    if step == "a span is being looked at":
        assert said.count("LOOKED") == json.loads((out / "items/long.mp4/item.json").read_text())["spans"] - len(kept)
    elif step != "after the rename":
        assert "LOOKED" not in said
    assert results(out) == results(undisturbed)
    assert not list(out.glob(".*"))


def test_spans_of_a_video_that_has_changed_are_not_used(forks: Forks, videos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    video = folder / "long.mp4"
    video.write_bytes((videos / "long.mp4").read_bytes())
    die = SPANS + DIE + STEPS["a span is being drawn"]
    assert forks.run("analyze", folder, "--out", tmp_path / "out", before=die)[0] == KILLED
    write_video(video, moving_faces(60, (240, 180)), options={"g": "12"})
    assert forks.run("analyze", folder, "--out", tmp_path / "out", before=SPANS)[0] == 0
    assert forks.run("analyze", folder, "--out", tmp_path / "anew", before=SPANS)[0] == 0
    assert results(tmp_path / "out") == results(tmp_path / "anew")


def test_killed_at_random_moments_and_continued(forks: Forks, videos: Path, undisturbed: Path, tmp_path: Path) -> None:
    moments = partial(random.Random(11).uniform, 0.2, 2.0)
    killed_and_continued(forks, videos, undisturbed, tmp_path / "out", 3, moments, before=SPANS)


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--workers", "2")])
def test_killed_fifty_times(
    forks: Forks, videos: Path, undisturbed: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    moments = partial(random.Random(7).uniform, 0.0, 9.0 if options else 2.5)  # workers have to start first
    code = before("dividing") if options else SPANS

    def killed(out: Path, kills: int) -> int:
        return killed_and_continued(forks, videos, undisturbed, out, kills, moments, *options, before=code)

    killed_fifty_times(tmp_path, killed)


def test_only_what_is_long_is_opened_to_be_divided(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(photos / name), np.full((40, 40), 90, np.uint8))
    opened: list[str] = []
    divided: list[str] = []
    first, begin = OpenVideo.__init__, spans.LongVideo.__init__

    def noted(self: OpenVideo, path: Path, *size: tuple[int, int] | None) -> None:
        opened.append(path.name)
        first(self, path, *size)

    def begun(self: spans.LongVideo, engine: Engine, task: Task) -> None:
        divided.append(task.item.path.name)
        begin(self, engine, task)

    monkeypatch.setattr(OpenVideo, "__init__", noted)
    monkeypatch.setattr(spans.LongVideo, "__init__", begun)
    run(videos / "short.mp4", tmp_path / "short", (1.0, 0.7))
    assert opened == ["short.mp4"]
    run(photos, tmp_path / "pictures", (1.0, 0.7))
    assert divided == ["short.mp4"]
    assert len(opened) == 1
    run(videos / "long.mp4", tmp_path / "long", (1.0, 0.7))
    assert opened[1:3] == ["long.mp4", "long.mp4"]  # to be looked at, and then to be divided


def test_audio_that_changes_its_format_is_heard_to_its_end(tmp_path: Path) -> None:
    """MP3 that goes on in mono cannot be copied to its end; of a video in spans, as of any, it is encoded then."""
    images = list(moving_faces(75, (240, 180)))
    stereo, mono = (
        write_beeps(tmp_path / f"{layout}.mkv", images, audio="libmp3lame", layout=layout, options={"g": "12"})
        for layout in ("stereo", "mono")
    )
    path = tmp_path / "video.mkv"
    with av.open(str(stereo)) as first, av.open(str(mono)) as second, av.open(str(path), "w") as video:
        streams = [video.add_stream_from_template(stream) for stream in first.streams]
        for packet in [*first.demux(), *second.demux()]:
            begins = packet.stream.type == "video" or (packet.pts or 0) * packet.time_base < 1
            if packet.size and packet.stream.container is (first if begins else second):
                packet.stream = streams[packet.stream_index]
                video.mux(packet)
    for lengths in (None, (1.0, 0.7)):
        item = run(path, tmp_path / f"out {lengths}", lengths)
        assert heard_beeps(item / "annotated.mp4") == pytest.approx([0, 1, 2], abs=0.06)
    assert json.loads((item / "item.json").read_text())["spans"] > 2


@pytest.mark.parametrize("lengths", [None, (1.0, 0.7)])
def test_a_timeline_that_was_written_is_read_once(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lengths: tuple[float, float] | None
) -> None:
    read: list[str] = []
    first = pd.read_csv

    def noted(path: Path, **options: object) -> object:
        read.append(path.name)
        return first(path, **options)

    monkeypatch.setattr(pd, "read_csv", noted)
    run(videos / "long.mp4", tmp_path / "out", lengths, export=("srt",))
    assert read.count("timeline.csv") == 1
