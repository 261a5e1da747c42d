"""Workers: what they make is the same however many there are, and one that dies costs its own item only."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image as PIL

from fermedia.jobs import workers as module
from fermedia.jobs.execute import WORKER_MEMORY, memory_for
from fermedia.media.find import find_items
from fermedia.store.ledger import Ledger
from tests.breaking import before
from tests.forks import Child, Forks, until
from tests.killing import results
from tests.systems import KILL, KILLED, needs_masks, needs_proc, needs_signals
from tests.videos import astronaut, moving_faces, numbered, write_video


@pytest.fixture(scope="module")
def five(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four videos and a photo folder."""
    folder = tmp_path_factory.mktemp("five")
    for number in range(4):
        images = moving_faces(12, (240, 180)) if number % 2 else numbered(5 + number, (160, 120))
        write_video(folder / f"video {number}.mp4", images, audio="aac")
    (folder / "class").mkdir()
    PIL.fromarray(astronaut()).resize((160, 160)).save(folder / "class" / "a.png")
    return folder


@pytest.fixture(scope="module")
def alone(forks: Forks, five: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of one process."""
    out = tmp_path_factory.mktemp("alone") / "out"
    status, said = forks.run("analyze", five, "--out", out, "--workers", "0")
    assert status == 0, said
    return out


def without_video_3(out: Path) -> dict[str, str]:
    """The results below ``items`` but for those of video 3."""
    return {
        name: content
        for name, content in results(out).items()
        if name.startswith("items/") and not name.startswith("items/video 3")
    }


def workers(child: Child) -> list[int]:
    """The numbers of all workers so far."""
    return workers_of(child.said())


def workers_of(said: str) -> list[int]:
    return [int(number) for number in re.findall(r"WORKER (\d+)", said)]


def is_gone(number: int) -> bool:
    """Whether a process has ended, collected or not."""
    try:
        return psutil.Process(number).status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return True


def test_results_are_the_same_however_many_work(forks: Forks, five: Path, alone: Path, tmp_path: Path) -> None:
    status, said = forks.run("analyze", five, "--out", tmp_path / "out", "--workers", "3")
    assert status == 0, said
    assert "5 of 5 items" in said
    assert "[5/5] " in said
    assert results(tmp_path / "out") == results(alone)
    assert {p.name: p.read_bytes() for p in (tmp_path / "out/items").rglob("*.mp4/annotated.mp4")} == {
        p.name: p.read_bytes() for p in (alone / "items").rglob("*.mp4/annotated.mp4")
    }
    assert not list((tmp_path / "out").glob(".*"))


@needs_masks
def test_signals_to_all_processes_are_the_drivers_to_hear(
    forks: Forks, five: Path, alone: Path, tmp_path: Path
) -> None:
    status, said = forks.run("analyze", five, "--out", tmp_path / "out", "--workers", "2", before=before("deaf"))
    assert status == 0, said
    assert "Traceback" not in said
    assert len(re.findall("WORKER", said)) == 2
    assert results(tmp_path / "out") == results(alone)


@needs_signals
def test_a_crash_costs_its_item_which_is_tried_again_alone(
    forks: Forks, five: Path, alone: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    status, said = forks.run("analyze", five, "--out", out, "--workers", "2", before=before("crashing"))
    assert status == 3, said
    assert said.count("OVER IT") == 2
    assert said.count("[4/5] ") == 1  # the others came first
    (failure,) = Ledger.read(out).outcomes["video 3.mp4"].failures
    assert failure.stage == "worker"
    assert failure.error == "video 3.mp4: the process that worked on it crashed (SIGSEGV), twice; it was left out"
    assert without_video_3(out) == without_video_3(alone)
    assert not list(out.glob(".*"))


def test_a_worker_that_is_killed_once_costs_nothing(
    forks: Forks, five: Path, alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    status, said = forks.run("analyze", five, "--out", out, "--workers", "1", before=once(tmp_path) + before("killed"))
    assert status == 0, said
    assert len(re.findall("WORKER", said)) == 2  # one in the place of the one that died, which nobody else could take
    assert results(out) == results(alone)


def once(tmp_path: Path) -> str:
    return f"import os\nos.environ['FERMEDIA_TEST_ONCE'] = {str(tmp_path / 'once')!r}\n"


@pytest.mark.parametrize("count", ["1", "2"])
def test_a_worker_that_is_killed_while_it_starts_costs_nothing(
    forks: Forks, five: Path, alone: Path, tmp_path: Path, count: str
) -> None:
    out, killed = tmp_path / "out", once(tmp_path) + before("killed_at_the_start")
    status, said = forks.run("analyze", five, "--out", out, "--workers", count, before=killed)
    assert status == 0, said
    assert results(out) == results(alone)


def test_those_that_have_started_go_on_without_those_that_cannot(
    forks: Forks, five: Path, alone: Path, tmp_path: Path
) -> None:
    out, few = tmp_path / "out", once(tmp_path) + before("only_one_lives")
    status, said = forks.run("analyze", five, "--out", out, "--workers", "2", before=few)
    assert (status, "Traceback" in said) == (0, False), said
    assert results(out) == results(alone)


@pytest.mark.parametrize("started", [0, 1])
def test_where_no_process_can_be_started(forks: Forks, five: Path, alone: Path, tmp_path: Path, started: int) -> None:
    refused = f"""
import errno, os, itertools
from multiprocessing.context import SpawnProcess
first, calls = SpawnProcess.start, itertools.count()
def start(self):
    if next(calls) >= {started}:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    first(self)
SpawnProcess.start = start
"""
    out = tmp_path / "out"
    status, said = forks.run("analyze", five, "--out", out, "--workers", "2", before=refused)
    if started:
        assert status == 0, said
        assert results(out) == results(alone)
    else:
        words = "a worker process cannot be started (Resource temporarily unavailable)"
        assert (status, said) == (1, f"fermedia: {words}; try fewer --workers, or --workers 0\n")


@needs_proc
def test_a_stopped_worker_ends_with_its_driver(forks: Forks, five: Path, tmp_path: Path) -> None:
    child = forks.start("analyze", five, "--out", tmp_path / "out", "--workers", "2", before=before("hanging"))
    until(lambda: "OVER IT" in child.said() and len(workers(child)) == 2, child)
    for number in workers(child):
        os.kill(number, signal.SIGSTOP)
    child.kill()
    assert child.wait() == KILLED
    until(lambda: all(map(is_gone, workers(child))), child)


def test_what_needs_more_memory_than_there_is_is_done_one_by_one(
    forks: Forks, five: Path, alone: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    little = before("measuring") + "workers.executor = lambda running: workers.Workers(2, None, 3e9)\n"
    status, said = forks.run("analyze", five, "--out", out, "--workers", "2", before=little)
    assert status == 0, said
    assert len(workers_of(said)) == 2
    times = re.findall(r"(FROM|UNTIL) ([0-9.]+)", said)
    assert [word for word, _ in sorted(times, key=lambda time: float(time[1]))] == ["FROM", "UNTIL"] * 5
    assert results(out) == results(alone)


def test_a_video_of_large_frames_is_reckoned_with_more_memory(five: Path, tmp_path: Path) -> None:
    video = write_video(tmp_path / "large.mp4", np.zeros((1, 4320, 7680, 3), np.uint8), codec="mpeg4")
    (large,) = find_items([video])
    assert 4e9 < memory_for(large) < 5e9
    assert {memory_for(item) for item in find_items([five])} == {WORKER_MEMORY}
    (tmp_path / "none.mp4").write_text("no video")
    assert memory_for(find_items([tmp_path / "none.mp4"])[0]) == WORKER_MEMORY


@pytest.mark.parametrize("how", ["hanging", "hanging_while_it_is_opened"])
def test_what_takes_too_long_is_ended(forks: Forks, five: Path, alone: Path, tmp_path: Path, how: str) -> None:
    out = tmp_path / "out"
    status, said = forks.run("analyze", five, "--out", out, "--timeout", "8", before=before(how))
    assert status == 3, said
    assert said.count("OVER IT") == 1
    (failure,) = Ledger.read(out).outcomes["video 3.mp4"].failures
    assert (failure.stage, failure.error) == ("worker", "video 3.mp4: took longer than 8 seconds")
    assert without_video_3(out) == without_video_3(alone)


@pytest.mark.parametrize("sent", [pytest.param(signal.SIGINT, marks=[needs_signals, needs_masks]), KILL])
def test_the_end_of_a_run_ends_its_workers(forks: Forks, five: Path, alone: Path, tmp_path: Path, sent: int) -> None:
    out = tmp_path / "out"
    child = forks.start("analyze", five, "--out", out, "--workers", "2", before=before("hanging"))
    until(lambda: "OVER IT" in child.said() and len(workers(child)) == 2, child)
    child.kill(sent)
    assert child.wait() == (KILLED if sent == KILL else 130)
    until(lambda: all(map(is_gone, workers(child))), child)
    if sent != KILL:
        assert child.said().strip().splitlines()[-1].endswith("to go on, give the same command again")
        assert not list(out.glob(".*"))
    else:
        status, said = forks.run("analyze", five, "--out", out)
        assert status == 0, said
        assert results(out) == results(alone)


@needs_signals
def test_workers_that_cannot_start_end_the_run(forks: Forks, five: Path, tmp_path: Path) -> None:
    status, said = forks.run("analyze", five, "--out", tmp_path / "out", "--workers", "1", before=before("stillborn"))
    assert status == 1
    assert said.splitlines() == [
        "fermedia: a worker process was killed (SIGKILL, perhaps for lack of memory) while it started; "
        "try fewer --workers, or --workers 0"
    ]


def test_options_that_cannot_be_met(forks: Forks, five: Path, tmp_path: Path) -> None:
    status, said = forks.run("analyze", five, "--out", tmp_path / "out", "--workers", "0", "--timeout", "5")
    assert status == 2
    assert said.strip() == "fermedia: --timeout needs a process that can be ended; give --workers 1 or more"
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("processors", "memory", "items", "count"),
    [
        (2, 24e9, 2, 2),
        (8, 24e9, 2, 4),
        (8, 24e9, 6, 6),
        (8, 24e9, 100, 8),
        (8, 5e9, 100, 2),
        (1, 24e9, 9, 1),
        (8, 0, 9, 1),
    ],
)
def test_as_many_workers_as_processors_items_and_memory_allow(
    monkeypatch: pytest.MonkeyPatch, processors: int, memory: float, items: int, count: int
) -> None:
    monkeypatch.setattr(module, "cores", lambda: processors)
    monkeypatch.setattr(module, "free_memory", lambda: int(memory))
    assert module.fitting(items) == count


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (None, "ended with status None"),
        (3, "ended with status 3"),
        (-9, "was killed (SIGKILL, perhaps for lack of memory)"),
        (-11, "crashed (SIGSEGV)"),
        (0xC0000005, "crashed (0xC0000005)"),  # Windows' access violation
    ],
)
def test_how_a_process_ended_is_said(code: int | None, words: str) -> None:
    assert module._exit_reason(code) == words
