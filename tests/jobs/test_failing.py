"""Stages in threads, one of which fails, fills the disk or is interrupted: the others stop, and nothing hangs."""

from __future__ import annotations

import csv
import random
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from tests.forks import Forks, until
from tests.systems import OPEN_FILES_GO, needs_signals
from tests.videos import moving_faces, numbered, write_video

#: A run that hangs is ended by this, with a status that no test expects.
_LIMIT = "import signal\nif hasattr(signal, 'alarm'): signal.alarm(90)\n"

#: What is called often in a video, and raises the 20th time.
_FAIL = """
from {module} import {owner}
first, seen = {owner}.{method}, []
def fails(self, *arguments, **named):
    seen.append(1)
    if len(seen) == 20:
        raise RuntimeError("time 20")
    return first(self, *arguments, **named)
{owner}.{method} = fails
"""
STAGES = {
    "decoding": ("fermedia.media.frames", "Upright", "__call__"),
    "searching": ("fermedia.vision.detect", "FaceDetector", "detect"),
    "following a face": ("fermedia.vision.detect", "FaceDetector", "follow"),
    "following a person": ("fermedia.vision.track", "Tracker", "update"),
    "the table": ("fermedia.tables.timeline", "TimelineWriter", "write"),
    "drawing": ("fermedia.render.video", "FramePainter", "paint"),
    "encoding": ("fermedia.render.encoder", "Encoder", "_encode"),
}


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of 120 frames with a face, and one of three without."""
    folder = tmp_path_factory.mktemp("videos")
    write_video(folder / "long.mp4", moving_faces(120, (240, 180)), audio="aac")
    write_video(folder / "short.mp4", numbered(3, (160, 120)))
    return folder


def failures(out: Path) -> list[tuple[str, str, str]]:
    with (out / "failures.csv").open(newline="", encoding="utf-8") as file:
        return [(row["item"], row["stage"], row["error"]) for row in csv.DictReader(file)]


def finished(out: Path) -> list[str]:
    """The items that are there; nothing else may be."""
    assert not OPEN_FILES_GO or not list(out.glob(".*"))
    return sorted(path.name for path in (out / "items").glob("*"))


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_that_fails_stops_the_others_and_says_why(
    forks: Forks, videos: Path, tmp_path: Path, stage: str
) -> None:
    module, owner, method = STAGES[stage]
    fail = _LIMIT + _FAIL.format(module=module, owner=owner, method=method)
    status, said = forks.run("analyze", videos, "--out", tmp_path / "out", before=fail)
    assert status == 3, said
    assert "Traceback" not in said
    text = "long.mp4: RuntimeError: time 20 (a bug in fermedia; please report it)"
    assert failures(tmp_path / "out") == [("long.mp4", "internal", text)]
    assert finished(tmp_path / "out") == ["short.mp4"]


def test_a_file_for_which_there_is_no_room(forks: Forks, videos: Path, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (30, 240, 320, 3), np.uint8)
    pytest.importorskip("resource")
    large = write_video(tmp_path / "large.mp4", noise)
    limit = f"import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, ({large.stat().st_size // 4},) * 2)"
    inputs = large, videos / "short.mp4"
    status, said = forks.run("analyze", *inputs, "--out", tmp_path / "out", before=_LIMIT + limit)
    assert status == 3, said
    assert "Traceback" not in said
    text = "large.mp4: the annotated video cannot be written (File too large)"
    assert failures(tmp_path / "out") == [("large.mp4", "write", text)]
    assert finished(tmp_path / "out") == ["short.mp4"]


@needs_signals
def test_interrupted_while_a_library_is_kept_quiet(forks: Forks, videos: Path, tmp_path: Path) -> None:
    """The last words are heard although what is written to descriptor 2 is held back just then."""
    slow = """
import contextlib, os, time
from fermedia.vision import networks
from fermedia.vision.quiet import quiet_stderr
@contextlib.contextmanager
def slowly():
    with quiet_stderr():
        os.write(1, b"QUIET")
        time.sleep(2)
        yield
networks.quiet_litert = slowly
"""
    child = forks.start("analyze", videos, "--out", tmp_path / "out", before=_LIMIT + slow)
    until(lambda: "QUIET" in child.said(), child)
    child.kill(signal.SIGINT)
    assert child.wait() == 130
    assert "fermedia: interrupted; " in child.said()


@needs_signals
def test_interrupted_at_any_moment(forks: Forks, videos: Path, tmp_path: Path) -> None:
    video = videos / "long.mp4"
    whole = tmp_path / "whole"
    begun = time.monotonic()
    assert forks.run("analyze", video, "--out", whole)[0] == 0
    length = time.monotonic() - begun
    timeline = (whole / "items/long.mp4/timeline.csv").read_bytes()
    chance = random.Random(3)
    hits = 0
    for number in range(30):
        out = tmp_path / str(number)
        child = forks.start("analyze", video, "--out", out, before=_LIMIT + "print('BEGUN', flush=True)")
        until(lambda child=child: "BEGUN" in child.said(), child)
        time.sleep(0.05 + chance.uniform(0, length))
        child.kill(signal.SIGINT)
        status = child.wait()
        assert "Traceback" not in child.said()
        assert status == 0 or "fermedia: interrupted; " in child.said()
        assert status in (0, 130), child.said()
        if finished(out):  # too late: not even the pages of the run need be there, but the item is whole
            assert (out / "items/long.mp4/timeline.csv").read_bytes() == timeline
            length *= 0.8
            continue
        assert status == 130, child.said()
        if hits % 4 == 0:
            assert forks.run("analyze", video, "--out", out, before=_LIMIT)[0] == 0
            assert (out / "items/long.mp4/timeline.csv").read_bytes() == timeline
        hits += 1
        if hits == 10:
            break
    assert hits == 10
