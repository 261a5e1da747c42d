"""Runs that are killed, interrupted and continued end like one that was never disturbed."""

from __future__ import annotations

import json
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image as PIL

from fermedia.jobs.execute import work
from fermedia.jobs.item import Engine
from fermedia.jobs.scheduler import Job, Task
from fermedia.media.find import find_items
from fermedia.names import LEDGER
from fermedia.options import AnalyzeOptions
from fermedia.store.ledger import Ledger, Outcome
from fermedia.tables.timeline import read_timeline
from tests.forks import Forks, until
from tests.killing import DIE, killed_and_continued, killed_fifty_times, results
from tests.systems import KILLED, needs_signals
from tests.videos import astronaut, moving_faces, numbered, write_video

ROOT = Path(__file__).parents[2]

#: Code for a child that dies when it comes to a step.
STEPS = {
    "a video is being encoded": """
from fermedia.render.encoder import Encoder
Encoder._finish = die
""",
    "before the rename": """
import fermedia.jobs.item
fermedia.jobs.item.publish = die
""",
    "after the rename": """
import fermedia.jobs.item
first = fermedia.jobs.item.publish
def put(*paths):
    first(*paths)
    die()
fermedia.jobs.item.publish = put
""",
    "while the ledger is written": """
first = os.write
def write(file, content):
    if b'"row": "outcome"' in content:
        first(file, content[:len(content) // 2])
        die()
    return first(file, content)
os.write = write
""",
    "while the tables are written": """
import fermedia.store.folder
fermedia.store.folder.cell = die
""",
}


@pytest.fixture(scope="module")
def twenty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty items: videos with a face and without, photo folders, a video that is none."""
    folder = tmp_path_factory.mktemp("twenty")
    for number in range(13):
        images = moving_faces(6, (160, 120)) if number % 3 == 0 else numbered(4 + number % 4, (160, 120))
        write_video(folder / f"video {number}.mp4", images)
    for number in range(6):
        (folder / f"class {number}").mkdir()
        for name in ("a.jpg", "b.png")[: 1 + number % 2]:
            PIL.fromarray(astronaut()).resize((160, 160)).save(folder / f"class {number}" / name)
    (folder / "notes.mp4").write_text("not a video\n")
    return folder


@pytest.fixture(scope="module")
def undisturbed(forks: Forks, twenty: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of one run over the twenty."""
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    status, said = forks.run("analyze", twenty, "--out", out)
    assert status == 3, said
    return out


TABLES = {"items.csv", "faces.csv", "summary.csv", "failures.csv", "data_dictionary.csv"}
#: What every item's folder has.
ITEM = {"timeline.csv", "item.json", "previews", "report.html", "report.js"}
VIDEO = ITEM | {"annotated.mp4", "segments.csv"}


def finished(out: Path) -> int:
    """How many items the ledger has results of; 0 without one."""
    try:
        return sum(outcome.finished for outcome in Ledger.read(out).outcomes.values())
    except FileNotFoundError:
        return 0


def test_the_undisturbed_run_is_what_it_should_be(undisturbed: Path) -> None:
    assert finished(undisturbed) == 19
    names = results(undisturbed)
    assert sum(name.endswith("annotated.mp4") for name in names) == 13
    assert sum(name.endswith("timeline.csv") for name in names) == 19
    assert {name for name in names if "/" not in name} == {*TABLES, "report.html"}
    assert len((undisturbed / "failures.csv").read_text().splitlines()) == 2


def test_the_same_command_again_does_nothing_again(forks: Forks, twenty: Path, undisturbed: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (undisturbed / "items").rglob("*")}
    tables = results(undisturbed)
    fail = "import fermedia.jobs.execute\nfermedia.jobs.execute.Engine = None"  # it must not even be made
    status, said = forks.run("analyze", twenty, "--out", undisturbed, before=fail)
    assert status == 3  # what failed still has
    assert "19 of 20 items (19 of them before)" in said
    assert {path: path.stat().st_mtime_ns for path in (undisturbed / "items").rglob("*")} == before
    assert results(undisturbed) == tables


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_a_step_and_continued(
    forks: Forks, twenty: Path, undisturbed: Path, tmp_path: Path, step: str
) -> None:
    out, small = tmp_path / "out", sorted(twenty.glob("video 1*"))[:2]
    kill = DIE + STEPS[step]
    assert forks.run("analyze", *small, twenty / "notes.mp4", "--out", out, before=kill)[0] == KILLED
    # A crash must not look like a result to a person either.
    for place in (out / "items").glob("*"):
        assert {path.name for path in place.iterdir()} == VIDEO
    assert forks.run("status", out)[0] == 1
    status, said = forks.run("analyze", *small, twenty / "notes.mp4", "--out", out)
    assert status == 3, said
    assert {path.name for path in out.iterdir()} == {"items", "report", "report.html", "run.json", LEDGER, *TABLES}
    whole = results(undisturbed)
    for name, content in results(out).items():
        if name.startswith("items/"):
            assert content == whole[name], name
    for table in ("summary.csv", "failures.csv"):
        lines = (out / table).read_text().splitlines()
        assert len(lines) == {"summary.csv": 1 + 2, "failures.csv": 1 + 1}[table]
        assert set(lines) <= set((undisturbed / table).read_text().splitlines())
    assert forks.run("status", out)[0] == 3


def test_killed_at_random_moments_and_continued(forks: Forks, twenty: Path, undisturbed: Path, tmp_path: Path) -> None:
    """Five times."""
    whole = json.loads((undisturbed / "run.json").read_text())["totals"]["seconds"]
    moments = partial(random.Random(11).uniform, 0.1, 0.2 + whole / 5)
    killed_and_continued(forks, twenty, undisturbed, tmp_path / "out", 5, moments, status=3)


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--workers", "2")])
def test_killed_fifty_times(
    forks: Forks, twenty: Path, undisturbed: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    moments = partial(random.Random(5).uniform, 0.0, 9.0 if options else 3.0)  # workers have to start first

    def killed(out: Path, kills: int) -> int:
        return killed_and_continued(forks, twenty, undisturbed, out, kills, moments, *options, status=3)

    killed_fifty_times(tmp_path, killed)


#: A child that hears Ctrl-C again while it writes its tables.
_IMPATIENT = """
import os, signal
from fermedia.store.folder import RunFolder
first = RunFolder.write_tables
def write_tables(self, *given):
    signal.raise_signal(signal.SIGINT)
    return first(self, *given)
RunFolder.write_tables = write_tables
"""


@needs_signals
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_and_continued(
    forks: Forks, twenty: Path, undisturbed: Path, tmp_path: Path, sent: signal.Signals
) -> None:
    out = tmp_path / "out"
    child = forks.start("analyze", twenty, "--out", out, before=_IMPATIENT)
    until(lambda: finished(out) >= 3, child)
    child.kill(sent)
    assert child.wait() == 130
    said = child.said()
    assert "Traceback" not in said
    last = said.strip().splitlines()[-1]
    assert last == (
        f"fermedia: interrupted; {finished(out)} of 20 items are finished; to go on, give the same command again"
    )
    assert forks.run("status", out)[0] == 1
    assert json.loads((out / "run.json").read_text())["state"] == "interrupted"
    summary = (out / "summary.csv").read_text().splitlines()
    assert set(summary) <= set((undisturbed / "summary.csv").read_text().splitlines())
    assert len({line.split(",")[0] for line in summary[1:]}) == finished(out)
    assert not list(out.glob(".*"))
    if sent == signal.SIGINT:
        assert forks.run("analyze", twenty, "--out", out)[0] == 3
        assert results(out) == results(undisturbed)


#: A child that hears Ctrl-C before or after the row of its third item is in the ledger's file, and still in that step.
_WHILE_WRITING = """
import os, signal
first, count = os.write, 0
def write(file, content):
    global count
    here = b'"row": "outcome"' in content
    count += here
    if here and count == 3 and {before}:
        signal.raise_signal(signal.SIGINT)
    written = first(file, content)
    if here and count == 3:
        signal.raise_signal(signal.SIGINT)
    return written
os.write = write
"""


@pytest.mark.parametrize("before", [True, False])
def test_interrupted_while_the_ledger_is_written(
    forks: Forks, twenty: Path, undisturbed: Path, tmp_path: Path, before: bool
) -> None:
    out, four = tmp_path / "out", sorted(twenty.glob("video 1*"))
    status, said = forks.run("analyze", *four, "--out", out, before=_WHILE_WRITING.format(before=before))
    assert status == 130
    done = 2 if before else 3
    assert said.strip().splitlines()[-1] == (
        f"fermedia: interrupted; {done} of {len(four)} items are finished; to go on, give the same command again"
    )
    assert "Traceback" not in said
    assert len(Ledger.read(out).outcomes) == done
    summary = (out / "summary.csv").read_text().splitlines()
    assert len({line.split(",")[0] for line in summary[1:]}) == done
    assert forks.run("analyze", *four, "--out", out)[0] == 0
    found, whole = results(out), results(undisturbed)
    items = [name for name in whole if name.startswith("items/video 1")]
    assert {name: found[name] for name in items} == {name: whole[name] for name in items}
    assert not list(out.glob(".*"))


#: A child that is interrupted in the middle of what makes something else of it, as the import of a library in C does:
#: while the models are loaded, and while an item is worked on.
_OTHERWISE = {
    "models": "import fermedia.jobs.execute as module\nname = 'Engine'\n",
    "item": "import fermedia.pipeline as module\nname = 'VideoReader'\n",
}
_TURNED = """
import os, signal, sys
def turned(*_, **__):
    try:
        signal.raise_signal(signal.SIGINT)
        for _ in range(10**9): pass
    except KeyboardInterrupt:
        raise ImportError('initialization failed')
setattr(module, name, turned)
"""


@pytest.mark.parametrize("where", _OTHERWISE)
def test_an_interruption_that_comes_as_another_error_is_one_all_the_same(
    forks: Forks, twenty: Path, undisturbed: Path, tmp_path: Path, where: str
) -> None:
    out, video = tmp_path / "out", twenty / "video 1.mp4"
    status, said = forks.run("analyze", video, "--out", out, before=_OTHERWISE[where] + _TURNED)
    assert status == 130
    assert len(said.splitlines()) == 1
    assert said.startswith("fermedia: interrupted; ")
    assert said.endswith("to go on, give the same command again\n")
    assert forks.run("analyze", video, "--out", out)[0] == 0  # nothing stands there as failed
    name = "items/video 1.mp4/timeline.csv"
    assert (out / name).read_bytes() == (undisturbed / name).read_bytes()


def test_ctrl_c_while_libraries_are_loaded(twenty: Path, tmp_path: Path) -> None:
    """They are loaded whole: what is half loaded crashes when the tables at the end load it again."""
    code = (
        "import os, signal, sys, time\n"
        "import fermedia.jobs.batch\n"
        "class Slow:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'pandas._libs':\n"
        "            signal.raise_signal(signal.SIGINT)\n"
        "        if name == 'pandas.core.frame':\n"
        "            print('LATER', flush=True)\n"
        "assert 'pandas' not in sys.modules\n"
        "sys.meta_path.insert(0, Slow())\n"
        "from fermedia.cli import main\n"
        "main()\n"
    )
    command = [sys.executable, "-c", code, "analyze", str(twenty / "video 1.mp4"), "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 130
    assert done.stdout == "LATER\n"
    assert done.stderr == "fermedia: interrupted; to go on, give the same command again\n"


def test_ctrl_c_while_the_command_is_loaded() -> None:
    """Everything the command is made of is there only after a while."""
    code = (
        "import sys, os, signal, time\n"
        "class Slow:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'fermedia.cli':\n"
        "            signal.raise_signal(signal.SIGINT)\n"
        "            time.sleep(60)\n"
        "sys.meta_path.insert(0, Slow())\n"
        "from fermedia.__main__ import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 130
    assert done.stderr == "fermedia: interrupted; to go on, give the same command again\n"


def test_ctrl_c_while_python_runs_a_text(tmp_path: Path) -> None:
    """As `namedtuple` does: CPython then ends `python -m` by the signal instead of with the status."""
    (tmp_path / "interrupted.py").write_text(
        "import fermedia.cli as command\n"
        "def cli(**_):\n"
        "    exec('raise KeyboardInterrupt')\n"
        "command.cli = cli\n"
        "command.main()\n"
    )
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-m", "interrupted"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 130
    assert done.stderr == "fermedia: interrupted; to go on, give the same command again\n"


@needs_signals
def test_what_does_not_come_back_is_ended_all_the_same(forks: Forks, twenty: Path, tmp_path: Path) -> None:
    """A decoder in an endless loop hears nothing of Ctrl-C."""
    stuck = """
import threading, fermedia.pipeline
lock = threading.Lock()
lock.acquire()
class Stuck:
    def __init__(self, *_): print('STUCK', flush=True)
    def __enter__(self):
        while True:
            try: lock.acquire()
            except BaseException: pass
    def __exit__(self, *_): pass
fermedia.pipeline.VideoReader = Stuck
"""
    child = forks.start("analyze", twenty / "video 1.mp4", "--out", tmp_path / "out", before=stuck)
    until(lambda: "STUCK" in child.said(), child)
    child.kill(signal.SIGINT)
    assert child.wait() == 130
    assert child.said().strip().endswith("fermedia: interrupted; to go on, give the same command again")


def test_a_second_run_into_the_folder_is_refused(forks: Forks, twenty: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    child = forks.start("analyze", twenty / "video 1.mp4", "--out", out, before="import time\n" + _PAUSE)
    until(lambda: "PAUSE" in child.said(), child)
    staging = next(out.glob(".working-*"))
    status, said = forks.run("analyze", twenty / "video 2.mp4", "--out", out)
    assert status == 2
    assert said.strip() == f"fermedia: --out {out}: another run is writing into it; wait for it, or name another folder"
    assert staging.is_dir()
    assert forks.run("status", out)[1].splitlines()[0].endswith(": running")
    child.kill()
    child.wait()
    # The kernel has let go of the lock; what was half done goes.
    status, said = forks.run("analyze", twenty / "video 2.mp4", "--out", out, "--no-video")
    assert status == 0, said
    assert not list(out.glob(".working-*"))


_PAUSE = """
import fermedia.pipeline
class Pause:
    def __init__(self, *_):
        print('PAUSE', flush=True)
        time.sleep(100)
fermedia.pipeline.VideoReader = Pause
"""


def test_a_task_that_a_worker_died_over_can_be_done_by_another(twenty: Path, tmp_path: Path) -> None:
    (item,) = find_items([twenty / "video 1.mp4"])
    task = pickle.loads(
        pickle.dumps(Task(item, tmp_path / "staging", tmp_path / "items" / "video 1.mp4", tmp_path / "spans"))
    )
    task.staging.mkdir()
    (task.staging / "annotated.mp4").write_text("half of it")
    (task.staging / "other").write_text("of another attempt")
    with Engine(AnalyzeOptions(video=False)) as engine:
        outcome = work(engine, Job(task), lambda *_: None)
    assert isinstance(outcome, Outcome)
    assert set(outcome.outputs) == VIDEO - {"annotated.mp4"}
    assert {path.name for path in task.place.iterdir()} == set(outcome.outputs)
    assert outcome.failures == ()
    assert pickle.loads(pickle.dumps(outcome)) == outcome


# -- what is done again ---------------------------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Two videos and a folder of two images."""
    folder = tmp_path / "in"
    (folder / "class").mkdir(parents=True)
    write_video(folder / "a.mp4", numbered(3, (160, 120)))
    write_video(folder / "b.mp4", numbered(4, (160, 120)))
    for name in ("1.png", "2.png"):
        PIL.fromarray(astronaut()[:64, :64]).save(folder / "class" / name)
    return folder


def again(forks: Forks, small: Path, *options: str | Path, status: int = 0) -> set[str]:
    """Run once more; gives the items that were done."""
    out = small.parent / "out"
    places = {"a.mp4": "a.mp4", "b.mp4": "b.mp4", "class": "class/photos", "c.mp4": "c.mp4"}
    before = {name: _made(out / "items" / place) for name, place in places.items()}
    got, said = forks.run("analyze", small, "--out", out, *options)
    assert got == status, said
    return {name for name, place in places.items() if _made(out / "items" / place) != before[name]}


def _made(place: Path) -> int | None:
    return (place / "item.json").stat().st_ino if place.is_dir() else None


def outcomes(out: Path) -> list[str]:
    """The rows of the ledger that say what became of an item."""
    return [line for line in (out / LEDGER).read_text().splitlines() if '"row": "outcome"' in line]


def test_only_what_is_new_changed_or_missing_is_done(forks: Forks, small: Path) -> None:
    out = small.parent / "out"
    assert again(forks, small) == {"a.mp4", "b.mp4", "class"}
    assert again(forks, small) == set()
    for rows in (1, 0):  # the second time there is nothing to read
        count = len(outcomes(out))
        os.utime(small / "a.mp4", (2**31, 2**31))  # the future; the content is the same
        assert again(forks, small) == set()
        assert len(outcomes(out)) == count + rows
    write_video(small / "c.mp4", numbered(3, (160, 120)))
    assert again(forks, small) == {"c.mp4"}
    content = bytearray((small / "b.mp4").read_bytes())
    content[-1] ^= 1  # the size is the same
    (small / "b.mp4").write_bytes(content)
    assert again(forks, small) == {"b.mp4"}
    (out / "items/a.mp4/annotated.mp4").write_bytes(b"")
    assert again(forks, small) == {"a.mp4"}
    (out / "items/class/photos/annotated/1.png.jpg").unlink()
    assert again(forks, small) == {"class"}
    PIL.fromarray(astronaut()[:32, :32]).save(small / "class" / "3.png")
    assert again(forks, small) == {"class"}
    table = (out / "summary.csv").read_text()
    assert [line.split(",")[0] for line in table.splitlines()[1:]] == ["a.mp4", "b.mp4", "c.mp4", "class/photos"]


def test_more_can_be_made_of_finished_items_without_doing_them_again(forks: Forks, small: Path) -> None:
    video, images = (small.parent / "out/items" / key for key in ("a.mp4", "class/photos"))
    again(forks, small)
    (small.parent / "out/items/b.mp4/segments.csv").unlink()
    assert again(forks, small, "--export", "srt, bids", "--export", "srt", "--format", "parquet") == set()
    made = {"segments.srt", "segments_events.tsv", "segments_events.json", "timeline.parquet"}
    assert {p.name for p in video.iterdir()} == made | VIDEO
    assert "segments.srt" in (video / "report.js").read_text()  # the page offers it
    assert (small.parent / "out/items/b.mp4/segments.csv").is_file()
    assert {p.name for p in images.iterdir()} == ITEM | {"timeline.parquet", "annotated", "photos.csv"}
    pd.testing.assert_frame_equal(
        pd.read_parquet(video / "timeline.parquet"), read_timeline(video / "timeline.csv"), check_dtype=False
    )
    assert again(forks, small) == set()
    assert again(forks, small, "--redo", "all", "--export", "none", "--format", "csv") == {"a.mp4", "b.mp4", "class"}
    assert {p.name for p in video.iterdir()} == VIDEO


def test_inputs_that_vanish_leave_their_results(forks: Forks, small: Path) -> None:
    out = small.parent / "out"
    (small / "c.mp4").write_text("no video")
    again(forks, small, status=3)
    table = (out / "summary.csv").read_text()
    (small / "a.mp4").unlink()
    (small / "c.mp4").unlink()
    assert again(forks, small) == set()
    assert (out / "items/a.mp4/timeline.csv").is_file()
    rest = [line for line in table.splitlines() if not line.startswith("a.mp4,")]
    assert (out / "summary.csv").read_text().splitlines() == rest
    status, said = forks.run("status", out)
    assert status == 0
    assert "2 of 2 finished, 0 failed, 0 left\n" in said
    assert "\nearlier   a.mp4: not among the inputs any more\n" in said
    shutil.rmtree(out / "items/a.mp4")  # what nobody needs any more is nobody's failure
    assert again(forks, small, "--export", "srt") == set()
    assert (out / "items/b.mp4/segments.srt").is_file()


_DIE_BETWEEN = """
from pathlib import Path
first = Path.replace
def replace(self, target):
    if str(target).endswith('items/b.mp4'):
        die()
    return first(self, target)
Path.replace = replace
"""


def test_other_settings_are_refused_by_name_and_can_replace_all(forks: Forks, small: Path) -> None:
    out = small.parent / "out"
    again(forks, small)
    before = results(out)
    status, said = forks.run("analyze", small, "--out", out, "--every", "2", "--start", "0.04", "--no-video")
    assert status == 2
    assert said.strip() == (
        f"fermedia: --out {out}: its results were made with other settings (--every 1, now 2; --start not given, now "
        "0.04; --video, now --no-video); name another folder, or add --redo all to make them again"
    )
    assert results(out) == before
    # Killed in the second item, between the renames of the old and of the new: what is not yet replaced stays.
    options = ["--every", "2", "--redo", "all"]
    status, _ = forks.run("analyze", small, "--out", out, *options, before=DIE + _DIE_BETWEEN)
    assert status == KILLED
    assert [str(p.parent.relative_to(out)) for p in sorted(out.glob("items/**/item.json"))] == [
        "items/a.mp4",
        "items/class/photos",
    ]
    said = forks.run("status", out)[1]
    assert "1 of 3 finished, 0 failed, 2 left; 2 older results wait to be made again" in said
    assert "--every 2" in said
    assert again(forks, small, "--every", "2") == {"b.mp4", "class"}
    everies = {json.loads(p.read_text())["options"]["every"] for p in out.glob("items/**/item.json")}
    assert everies == {2}
    assert again(forks, small, "--every", "2", "--redo", "all") == {"a.mp4", "b.mp4", "class"}


def test_the_model_counts_by_its_content(forks: Forks, small: Path, tmp_path: Path) -> None:
    from fermedia.files import models_dir

    again(forks, small)
    (tmp_path / "model").mkdir()
    for name in ("card.json", "model.tflite"):
        (tmp_path / "model" / name).write_bytes((models_dir() / "emotion" / name).read_bytes())
    assert again(forks, small, "--model", tmp_path / "model", "--labels", "everyday") == set()
    status, said = forks.run("analyze", small, "--out", tmp_path / "out", "--labels", "ferplus")
    assert status == 2
    assert "--labels everyday, now ferplus" in said


def test_failed_ones_are_tried_again_when_asked_or_when_they_changed(forks: Forks, small: Path) -> None:
    out = small.parent / "out"
    (small / "c.mp4").write_text("no video")
    (small / "class" / "3.png").write_text("no image")
    again(forks, small, status=3)
    count = len(outcomes(out))
    again(forks, small, status=3)
    assert len(outcomes(out)) == count
    assert again(forks, small, "--redo", "failed", status=3) == {"class"}
    assert len(outcomes(out)) == count + 2
    assert len((out / "failures.csv").read_text().splitlines()) == 3
    write_video(small / "c.mp4", numbered(3, (160, 120)))
    assert again(forks, small, status=3) == {"c.mp4"}
    assert (out / "failures.csv").read_text().splitlines()[1:] == [
        line for line in (out / "failures.csv").read_text().splitlines() if "3.png" in line
    ]


def test_a_file_of_the_same_name_from_elsewhere_does_not_replace_a_result(forks: Forks, small: Path) -> None:
    out = small.parent / "out"
    again(forks, small)
    (small.parent / "other").mkdir()
    other = write_video(small.parent / "other" / "a.mp4", numbered(9, (160, 120)))
    before = {name: content for name, content in results(out).items() if name.startswith("items/")}
    status, said = forks.run("analyze", other, "--out", out)
    assert status == 0, said
    assert (
        "3 finished items are no longer among the inputs: kept, but not in the tables; --earlier includes them" in said
    )
    assert {name: content for name, content in results(out).items() if name in before} == before
    assert {line.split(",")[0] for line in (out / "summary.csv").read_text().splitlines()[1:]} == {"other/a.mp4"}
    # The same folder by another name is not done again.
    small.rename(small.parent / "moved")
    status, said = forks.run("analyze", small.parent / "moved", "--out", out)
    assert (status, "(3 of them before)" in said) == (0, True)


@pytest.mark.parametrize("spoil", ["cut", "garbage", "flipped"])
def test_a_spoilt_row_of_the_ledger_costs_its_item_only(forks: Forks, small: Path, spoil: str) -> None:
    out = small.parent / "out"
    again(forks, small)
    lines = (out / LEDGER).read_bytes().splitlines(keepends=True)
    row = next(number for number, line in enumerate(lines) if b'"key": "a.mp4"' in line)
    if spoil == "cut":
        del lines[row + 1 :]
        lines[row] = lines[row][:100]
    elif spoil == "garbage":
        lines[row] = b"\0\xff" * 50 + b"\n"
    else:
        lines[row] = lines[row].replace(b'"frames": 3', b'"frames": 7')
    (out / LEDGER).write_bytes(b"".join(lines))
    assert "a.mp4" in again(forks, small)
    assert again(forks, small) == set()
    assert Ledger.read(out).outcomes["a.mp4"].frames == 3
