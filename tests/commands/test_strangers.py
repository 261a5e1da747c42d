"""Folders of results and other inputs that somebody planted: nothing is written, read or waited for through them."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from PIL import Image as PIL

from fermedia.files import models_dir
from fermedia.names import LEDGER
from fermedia.store.ledger import Ledger, _line
from fermedia.tables.finished import place
from tests.forks import Forks
from tests.systems import needs_any_name, needs_links
from tests.videos import astronaut, numbered, write_video

needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes have no place among files here")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("in") / "x.mp4", numbered(3, (160, 120)))


@pytest.fixture(scope="module")
def made(forks: Forks, video: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of the video."""
    out = tmp_path_factory.mktemp("made") / "out"
    assert forks.run("analyze", video, "--out", out)[0] == 0
    return out


@pytest.fixture
def out(made: Path, tmp_path: Path) -> Path:
    """A copy of them."""
    return shutil.copytree(made, tmp_path / "out")


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def commands(video: Path, out: Path, tmp_path: Path) -> dict[str, tuple[str | Path, ...]]:
    """What reads a folder of results or writes into it."""
    return {
        "analyze": ("analyze", video, "--out", out, "--redo", "all"),
        "export": ("analyze", video, "--out", out, "--export", "srt"),
        "plot": ("plot", out),
        "report": ("report", out),
        "merge": ("merge", out, "--out", tmp_path / "all.csv"),
        "tables": ("export", out, "--to", "xlsx", "--out", tmp_path / "all.xlsx"),
        "status": ("status", out),
    }


# -- keys -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["/victim", "../victim", "a/../../victim", "//victim", "./..//victim", "..", "/", ""])
def test_a_key_stays_below_items(tmp_path: Path, key: str) -> None:
    assert tmp_path / "out" / "items" in [place(tmp_path / "out", key), *place(tmp_path / "out", key).parents]
    assert ".." not in place(tmp_path / "out", key).parts


@pytest.mark.parametrize("command", ["export", "plot", "report", "merge", "tables", "status"])
def test_a_ledger_that_names_a_place_elsewhere(
    forks: Forks, video: Path, out: Path, tmp_path: Path, command: str
) -> None:
    victim = tmp_path / "victim"
    shutil.copytree(out / "items/x.mp4", victim)
    (outcome,) = Ledger.read(out).outcomes.values()
    with (out / LEDGER).open("ab") as file:
        file.write(_line({"row": "outcome", **asdict(replace(outcome, key=str(victim)))}))
    before = files(victim)
    _, said = forks.run(*commands(video, out, tmp_path)[command])
    assert "Traceback" not in said
    assert files(victim) == before
    merged = tmp_path / "all.csv"
    assert not merged.exists() or str(victim) not in merged.read_text()


# -- links ----------------------------------------------------------------------------------------------------------

#: Places in a folder of results that somebody has turned into a link.
PLANTED = ("items", "items/x.mp4", "report", "plots", "items/x.mp4/plots", LEDGER, ".spans", "summary.csv", ".lock")


@needs_links
@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_link_is_never_written_through(
    forks: Forks, video: Path, out: Path, tmp_path: Path, planted: str
) -> None:
    path, victim = out / planted, tmp_path / "victim"
    if path.exists():
        path.rename(victim)
    elif planted == ".lock":
        victim.write_text("mine")
    else:
        victim.mkdir()
    path.symlink_to(victim)
    before = files(victim) if victim.is_dir() else victim.read_bytes()
    for command in commands(video, out, tmp_path).values():
        _, said = forks.run(*command)
        assert "Traceback" not in said, command
        assert (files(victim) if victim.is_dir() else victim.read_bytes()) == before, command


@needs_links
def test_the_folder_of_results_itself_may_be_a_link(forks: Forks, video: Path, out: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(out)
    for command in commands(video, tmp_path / "link", tmp_path).values():
        assert forks.run(*command)[0] == 0, command


@needs_links
def test_links_in_a_circle_below_items(forks: Forks, video: Path, out: Path, tmp_path: Path) -> None:
    (out / "items" / "round").symlink_to(out / "items")
    for command in commands(video, out, tmp_path).values():
        assert forks.run(*command)[0] == 0, command


@needs_links
def test_the_demo_follows_no_link(forks: Forks, tmp_path: Path) -> None:
    victim, out = tmp_path / "victim", tmp_path / "demo"
    victim.mkdir()
    for name in ("recordings", "results"):
        out.mkdir()
        (out / name).symlink_to(victim)
        status, said = forks.run("demo", "--out", out)
        assert status == 2, said
        assert f"{name}: is a link" in said
        assert not list(victim.iterdir())
        shutil.rmtree(out)


@needs_links
def test_the_demo_replaces_a_link_in_place_of_a_portrait(forks: Forks, tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("mine")
    recordings = tmp_path / "demo/recordings"
    recordings.mkdir(parents=True)
    (tmp_path / "demo/results").mkdir()
    (tmp_path / "demo/results" / LEDGER).touch()
    (recordings / "hopper.jpg").symlink_to(tmp_path / "victim")
    end = "import fermedia.commands.demo as d\ndef run(*_, **__):\n    raise SystemExit(0)\nd.run_batch = run"
    assert forks.run("demo", "--out", tmp_path / "demo", before=end)[0] == 0
    assert (tmp_path / "victim").read_text() == "mine"
    assert (recordings / "hopper.jpg").read_bytes()[:2] == b"\xff\xd8"


# -- files of results are nobody's output ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["summary.csv", "items/x.mp4/timeline.csv", "new.csv", "items/new.parquet"])
def test_merge_writes_into_no_results(forks: Forks, out: Path, tmp_path: Path, name: str) -> None:
    before = files(out)
    status, said = forks.run("merge", out, "--out", name, cwd=out)
    assert (status, "lies in the results in" in said) == (2, True), said
    assert files(out) == before


@pytest.mark.parametrize("given", [("--json", "run.json"), ("--out", ".")])
def test_evaluate_writes_into_no_results(forks: Forks, out: Path, tmp_path: Path, given: tuple[str, str]) -> None:
    before = files(out)
    status, said = forks.run("evaluate", tmp_path, *given, cwd=out)
    assert (status, "lies in the results in" in said) == (2, True), said
    assert files(out) == before


# -- pipes ----------------------------------------------------------------------------------------------------------


@needs_pipes
@pytest.mark.parametrize(
    "name",
    [LEDGER, "run.json", "summary.csv", "failures.csv", "report.html"]
    + [f"items/x.mp4/{name}" for name in ("item.json", "timeline.csv", "segments.csv", "report.html", "report.js")]
    + ["items/x.mp4/previews/previews.csv"],
)
def test_a_pipe_in_place_of_a_file_is_not_waited_for(
    forks: Forks, video: Path, out: Path, tmp_path: Path, name: str
) -> None:
    (out / name).unlink(missing_ok=True)
    (out / name).parent.mkdir(exist_ok=True)
    for command in commands(video, out, tmp_path).values():
        if not (out / name).exists():  # a run has put a file there
            os.mkfifo(out / name)
        _, said = forks.run(*command)
        assert "Traceback" not in said, command


@needs_pipes
@pytest.mark.parametrize(
    "arguments",
    [
        ("analyze", "{pipe}", "--out", "out"),
        ("analyze", "{video}", "--out", "out", "--participants", "{pipe}"),
        ("analyze", "{video}", "--out", "out", "--model", "{folder}"),
        ("evaluate", "{pipe}"),
        ("evaluate", "{folder}"),
        ("dataset", "{pipe}", "--out", "out"),
    ],
)
def test_a_pipe_given_as_an_input_is_one_line(
    forks: Forks, video: Path, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    names = {"pipe": folder / "card.json", "video": video, "folder": folder}
    os.mkfifo(folder / "card.json")
    status, said = forks.run(*(part.format(**names) for part in arguments), cwd=tmp_path)
    assert status in (1, 2), said
    assert len(said.splitlines()) == 1


# -- images over which something fails ----------------------------------------------------------------------------

#: Where a fault is put, and what it then costs.
FAULTS: dict[str, str] = {
    "detection": "from fermedia.vision.detect import FaceDetector as C\nname = 'detect'",
    "reading": "import fermedia.pipeline as C\nname = 'read_photo'",
    "painting": "import fermedia.render.photos as C\nname = 'overlay'",
}


@pytest.mark.parametrize("where", FAULTS)
def test_a_fault_over_one_image_costs_only_it(forks: Forks, tmp_path: Path, where: str) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for name in "abcd":
        PIL.fromarray(astronaut()[:64, :64]).save(folder / f"{name}.png")
    broken = f"""
import itertools
{FAULTS[where]}
first, calls = getattr(C, name), itertools.count()
def broken(*arguments, **named):
    if next(calls) == 2:
        raise AssertionError("boo")
    return first(*arguments, **named)
setattr(C, name, broken)
"""
    status, said = forks.run("analyze", folder, "--out", out, before=broken)
    assert status == 3, said
    (failure,) = Ledger.read(out).outcomes["photos"].failures
    assert failure.stage == "internal"
    assert failure.error.endswith(".png: AssertionError: boo (a bug in fermedia; please report it)")
    lost = failure.item.removeprefix("photos/")
    assert {path.name for path in (out / "items/photos/annotated").iterdir()} == {
        f"{name}.png.jpg" for name in "abcd"
    } - {f"{lost}.jpg"}


# -- what the machine refuses ---------------------------------------------------------------------------------------

_WHEN_THE_FOLDER_IS_GONE = "import os\nos.mkdir('gone')\nos.chdir('gone')\nos.rmdir(os.getcwd())"


@needs_links
@pytest.mark.parametrize(
    "arguments",
    [
        ("analyze", "x.mp4", "--out", "y"),
        ("demo",),
        ("status", "x"),
        ("merge", "x", "--out", "y.csv"),
        ("plot", "x"),
        ("report", "x"),
        ("dataset", "x", "--out", "y"),
        ("evaluate", "x"),
    ],
)
def test_a_current_folder_that_is_gone(forks: Forks, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    status, said = forks.run(*arguments, before=_WHEN_THE_FOLDER_IS_GONE, cwd=tmp_path)
    assert (status in (1, 2), len(said.splitlines())) == (True, 1), said
    assert said.startswith("fermedia: ")


def test_the_demo_where_nothing_may_be_written(forks: Forks, tmp_path: Path) -> None:
    denied = """
import errno, tempfile
def mkstemp(*_, **__):
    raise PermissionError(errno.EACCES, "Permission denied")
tempfile.mkstemp = mkstemp
"""
    status, said = forks.run("demo", "--out", tmp_path / "demo", before=denied)
    assert (status, said) == (1, f"fermedia: --out {tmp_path / 'demo'}: cannot be written (Permission denied)\n")


def _limit(what: str, most: int) -> str:
    return f"import resource\nresource.setrlimit(resource.{what}, ({most},) * 2)"


@pytest.mark.parametrize("most", range(8, 40, 2))
def test_few_open_files_are_called_that(forks: Forks, video: Path, tmp_path: Path, most: int) -> None:
    pytest.importorskip("resource")
    status, said = forks.run("analyze", video, "--out", tmp_path / "out", before=_limit("RLIMIT_NOFILE", most))
    assert "Traceback" not in said
    assert "reinstall" not in said
    assert status == 0 or os.strerror(errno.EMFILE) in said, said


def test_a_limit_on_files_sizes_is_called_that(video: Path, tmp_path: Path) -> None:
    pytest.importorskip("resource")
    for most in (1, 100, 500, 1000, 2000, 5000):
        program = f"{_limit('RLIMIT_FSIZE', most)}\nfrom fermedia.cli import main\nmain()"
        command = [sys.executable, "-c", program, "analyze", str(video), "--out", str(tmp_path / str(most))]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert done.returncode in (1, 3), done.stderr
        assert "Traceback" not in done.stderr
        assert os.strerror(errno.EFBIG) in done.stderr
        assert os.strerror(errno.ENOSPC) not in done.stderr
        assert "no room" not in done.stderr


# -- what is said ---------------------------------------------------------------------------------------------------


@needs_any_name
def test_nothing_that_is_said_steers_the_terminal(forks: Forks, video: Path, out: Path, tmp_path: Path) -> None:
    """Neither the closing lines, nor errors, nor what a model calls itself."""
    strange = out.rename(tmp_path / "o\x1b[31mut\x9b")
    for command in commands(video, strange, tmp_path).values():
        status, said = forks.run(*command)
        assert (status, not {"\x1b", "\x9b"} & set(said)) == (0, True), said
    shutil.copytree(models_dir() / "emotion", tmp_path / "model")
    card = tmp_path / "model/card.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | {"heads": ["\x1b[2J"], "default_labels": "\x1b[2J"}))
    for labels in ((), ("--labels", "fer2013")):
        given = ("analyze", video, "--out", tmp_path / "new", "--model", tmp_path / "model", *labels)
        status, said = forks.run(*given)
        assert (status in (1, 2), "\x1b" in said, len(said.splitlines())) == (True, False, 1), said
