"""Disks, folders, names and sources as they should not be: nothing is lost, and one line says what is wrong."""

from __future__ import annotations

import csv
import json
import mmap
import os
import subprocess
import sys
from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from PIL import Image as PIL

from fermedia.files import printable
from fermedia.jobs.batch import run_batch
from fermedia.jobs.progress import Progress
from fermedia.jobs.scheduler import Task
from fermedia.names import LEDGER, portable
from fermedia.options import AnalyzeOptions
from fermedia.store.fingerprints import Fingerprint
from fermedia.store.folder import RunFolder
from fermedia.store.ledger import Outcome
from fermedia.store.source import SourceState
from fermedia.tables.cells import cell
from fermedia.tables.timeline import read_timeline
from tests.forks import Forks
from tests.loading import SCRIPTS
from tests.systems import needs_any_name, needs_links, needs_open_files_to_go, needs_proc
from tests.videos import astronaut, numbered, write_video


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """Four videos."""
    (tmp_path / "in").mkdir()
    for name in "abcd":
        write_video(tmp_path / "in" / f"{name}.mp4", numbered(3, (160, 120)))
    return tmp_path / "in"


def failures(out: Path) -> list[tuple[str, str, str]]:
    with (out / "failures.csv").open(newline="", encoding="utf-8") as file:
        return [(row["item"], row["stage"], row["error"]) for row in csv.DictReader(file)]


def items(out: Path) -> list[str]:
    return list(pd.read_csv(out / "summary.csv").item)


# -- the disk -------------------------------------------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("only root can mount a small disk")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_stops_the_run_which_goes_on_when_there_is_room(forks: Forks, videos: Path, disk: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (9, 120, 160, 3), np.uint8)
    write_video(videos / "b.mp4", noise)  # its annotated video has no room
    out = disk / "out"
    status, said = forks.run("analyze", videos, "--out", out, "--quiet")
    assert status == 1
    assert said == (
        f"fermedia: {out}: the disk is full; 1 of 4 items are finished; to go on, give the same command again\n"
    )
    assert [path.name for path in (out / "items").iterdir()] == ["a.mp4"]
    assert not list(out.glob(".*"))
    assert forks.run("status", out)[1].splitlines()[:2] == [
        f"{out}: stopped",
        "items     1 of 4 finished, 0 failed, 3 left",
    ]
    subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
    status, said = forks.run("analyze", videos, "--out", out)
    assert status == 0, said
    assert items(out) == ["a.mp4", "b.mp4", "c.mp4", "d.mp4"]
    assert failures(out) == []


@pytest.mark.parametrize("pages", [0, 1, 2, 3])
def test_a_disk_that_is_full_from_the_beginning(forks: Forks, videos: Path, disk: Path, pages: int) -> None:
    out = disk / "out"
    (disk / "filler").write_bytes(bytes(65536 - pages * mmap.PAGESIZE))
    status, said = forks.run("analyze", videos, "--out", out, "--quiet")
    assert status == 1
    assert len(said.splitlines()) == 1
    assert "disk" in said or "device" in said
    (disk / "filler").unlink()
    subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
    status, said = forks.run("analyze", videos, "--out", out)
    assert status == 0, said
    assert items(out) == ["a.mp4", "b.mp4", "c.mp4", "d.mp4"]
    tables = {"items.csv", "faces.csv", "summary.csv", "failures.csv", "data_dictionary.csv", "run.json", LEDGER}
    assert {path.name for path in out.iterdir()} == {"items", "report", "report.html", *tables}


@pytest.mark.parametrize("row", ["begun", "outcome", "ended"])
def test_no_room_for_a_row_of_the_ledger(forks: Forks, videos: Path, tmp_path: Path, row: str) -> None:
    out = tmp_path / "out"
    full = f"""
import errno, os
first, full = os.write, False
def write(file, content):
    global full
    if full:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if b'"row": "{row}"' in content:
        full = True
        return first(file, content[:20])
    return first(file, content)
os.write = write
"""
    status, said = forks.run("analyze", videos, "--out", out, "--quiet", before=full)
    assert status == 1
    assert len(said.splitlines()) == 1
    assert f"{LEDGER}: cannot be written any more (No space left on device)" in said
    status, said = forks.run("analyze", videos, "--out", out)
    assert status == 0, said
    assert items(out) == ["a.mp4", "b.mp4", "c.mp4", "d.mp4"]


@needs_proc
def test_a_folder_that_cannot_be_made(forks: Forks, videos: Path) -> None:
    status, said = forks.run("analyze", videos, "--out", "/proc/fermedia")
    assert status == 2
    assert said == (
        "fermedia: --out /proc/fermedia: cannot be written (No such file or directory); name another folder\n"
    )


def test_what_is_in_the_way_of_results_is_not_touched(forks: Forks, videos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    forks.run("analyze", videos / "d.mp4", "--out", out)
    (out / "items/a.mp4").write_text("mine")
    (out / "items/b.mp4").mkdir()
    (out / "items/b.mp4/notes.txt").write_text("mine too")
    status, _ = forks.run("analyze", videos, "--out", out)
    assert status == 3
    words = "its results cannot be written (something else is in the place of its results)"
    assert failures(out) == [(f"{name}.mp4", "write", f"{name}.mp4: {words}") for name in "ab"]
    assert items(out) == ["c.mp4", "d.mp4"]
    assert (out / "items/a.mp4").read_text() == "mine"
    assert (out / "items/b.mp4/notes.txt").read_text() == "mine too"
    assert not list(out.glob(".*"))
    (out / "items/a.mp4").unlink()
    (out / "items/b.mp4/notes.txt").unlink()
    (out / "items/b.mp4").rmdir()
    assert forks.run("analyze", videos, "--out", out, "--redo", "failed")[0] == 0
    assert items(out) == ["a.mp4", "b.mp4", "c.mp4", "d.mp4"]


# -- sources that do not keep still ---------------------------------------------------------------------------------

#: Does something to ``b.mp4``, whose path is at hand, after its second frame.
_MEANWHILE = """
import os
from fermedia.media.video import VideoReader
first = VideoReader.frames
def frames(self, *arguments):
    for number, frame in enumerate(first(self, *arguments)):
        yield frame
        if number == 1 and self.path.name == "b.mp4":
            path = self.path
            {what}
VideoReader.frames = frames
"""


def test_a_video_that_changes_while_it_is_read(forks: Forks, videos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    status, _ = forks.run(
        "analyze", videos, "--out", out, before=_MEANWHILE.format(what="path.open('ab').write(b'more')")
    )
    assert status == 3
    text = "b.mp4: changed while it was read; give the same command again when it is complete"
    assert failures(out) == [("b.mp4", "read", text)]
    assert items(out) == ["a.mp4", "c.mp4", "d.mp4"]
    assert not (out / "items/b.mp4").exists()
    assert forks.run("analyze", videos, "--out", out)[0] == 0  # it is not the one that failed
    assert items(out) == ["a.mp4", "b.mp4", "c.mp4", "d.mp4"]


@needs_open_files_to_go
def test_a_video_that_vanishes_while_it_is_read(forks: Forks, videos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    status, _ = forks.run("analyze", videos, "--out", out, before=_MEANWHILE.format(what="path.unlink()"))
    assert status == 3
    assert failures(out) == [("b.mp4", "read", "b.mp4: vanished while it was read")]
    assert items(out) == ["a.mp4", "b.mp4", "c.mp4", "d.mp4"]  # all of it could be read
    assert len(pd.read_csv(out / "items/b.mp4/timeline.csv")) == 3


def test_images_that_change_and_vanish_while_they_are_read(forks: Forks, tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for name in ("1.png", "2.png", "3.png"):
        PIL.fromarray(astronaut()[:64, :64]).save(folder / name)
    meanwhile = """
import fermedia.pipeline
first = fermedia.pipeline.read_photo
def read_photo(path):
    if path.name == "3.png":
        path.unlink()
    image = first(path)
    if path.name == "2.png":
        path.open("ab").write(b"more")
    return image
fermedia.pipeline.read_photo = read_photo
"""
    status, _ = forks.run("analyze", folder, "--out", out, before=meanwhile)
    assert status == 3
    found = failures(out)
    assert [(item, stage) for item, stage, _ in found] == [("photos/3.png", "open"), ("photos/2.png", "read")]
    assert found[1][2] == "2.png: changed while it was read"
    assert list(pd.read_csv(out / "items/photos/timeline.csv").source) == ["1.png", "2.png"]
    assert forks.run("analyze", folder, "--out", out)[0] == 0  # both are as they are now
    assert failures(out) == []


def test_clocks_that_jump(forks: Forks, videos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for number, video in enumerate(sorted(videos.iterdir())):
        os.utime(video, ns=(2**62, 2**62) if number % 2 else (-(10**18), -(10**18)))
    back = "import time\nnow = [2e9]\ndef jump():\n    now[0] -= 1000\n    return now[0]\ntime.time = jump"
    status, said = forks.run("analyze", videos, "--out", out, before=back)
    assert status == 0, said
    assert "in -" not in said
    assert "(4 of them before)" in forks.run("analyze", videos, "--out", out, before=back)[1]


# -- names and folders ----------------------------------------------------------------------------------------------

NAMES = (
    b"=cmd|' !A0'.mp4",
    b"+1.mp4",
    b"-2.mp4",
    b"@x.mp4",
    b"\ttab.mp4",
    b'"quotes" and, commas.mp4',
    b"two\nlines.mp4",
    b"car\rriage.mp4",
    b"\rfirst.mp4",
    bytes(range(1, 32)) + b"\x7f.mp4",
    "\x80\x85\x9f\u2028\u2029\u202e.mp4".encode(),
    "Zoë 語 العربية.mp4".encode(),
    b"raw \xff\xfe.mp4",
    b"n" * 251 + b".mp4",
)


@needs_any_name
@pytest.mark.parametrize("workers", ["0", "2"])
def test_names_of_every_kind(forks: Forks, tmp_path: Path, workers: str) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    video = write_video(tmp_path / "video.mp4", numbered(2, (160, 120)))
    PIL.fromarray(astronaut()[:64, :64]).save(tmp_path / "image.png")
    for name in NAMES:
        place = Path(os.fsdecode(os.fsencode(folder) + b"/" + name))
        place.write_bytes(video.read_bytes())
        if len(name) < 255:
            place.with_name(place.name.replace(".mp4", ".png")).write_bytes((tmp_path / "image.png").read_bytes())
    (folder / "=bad.mov").write_text("no video")
    status, said = forks.run("analyze", folder, "--out", out, "--workers", workers)
    assert status == 3
    assert "Traceback" not in said
    made = {os.fsencode(path.name) for path in (out / "items").iterdir()}
    assert made == {*(os.fsencode(portable(os.fsdecode(name))) for name in NAMES), b"photos"}
    found = items(out)
    assert len(found) == len(NAMES) + 1
    # To pandas and pathlib the names are what they were, as far as they can be printed; to a spreadsheet no formula.
    texts = {printable(name.decode("utf-8", "backslashreplace")) for name in NAMES}
    assert {str(Path(name)) for name in found} == texts | {"photos"}
    assert not [name for name in found if name[0] in "=+-@"]
    images = read_timeline(out / "items/photos/timeline.csv").source
    assert {str(Path(name)) for name in images} == {t.replace(".mp4", ".png") for t in texts if len(t) < 255}
    assert not [name for name in images if name[0] in "=+-@" or not name.isprintable()]
    page = json.loads((out / "items/photos/report.js").read_text(encoding="utf-8")[len("window.report = ") : -2])
    for image in page["pictures"]:
        assert (out / "items/photos" / unquote(image["annotated"])).is_file()
    bad = [f for f in failures(out) if "bad.mov" in f[0]]
    assert [(item, error[:12]) for item, _, error in bad] == [("./=bad.mov", "./=bad.mov: ")]
    assert failures(out) == bad
    status, said = forks.run("analyze", folder, "--out", out)
    assert (status, f"({len(NAMES) + 1} of them before)" in said) == (3, True)
    assert forks.run("status", out)[0] == 3


def test_a_image_with_a_name_of_255_bytes(forks: Forks, tmp_path: Path) -> None:
    PIL.fromarray(astronaut()[:64, :64]).save(tmp_path / ("ü" * 125 + "n.png"))
    status, said = forks.run("analyze", tmp_path, "--out", tmp_path / "out")
    assert status == 0, said
    (name,) = os.listdir(tmp_path / "out/items/photos/annotated")
    assert name.endswith(".jpg")


@needs_any_name
def test_a_folder_with_a_carriage_return_in_its_name(forks: Forks, videos: Path, tmp_path: Path) -> None:
    """A run that meets it goes on, again too; so does what is made of its results."""
    place, out = tmp_path / "in" / "two\rlines\x1b[31m", tmp_path / "out"
    place.mkdir()
    (videos / "a.mp4").rename(place / "a.mp4")
    PIL.fromarray(astronaut()[:64, :64]).save(place / "p\r\n.png")
    for _ in range(2):
        status, said = forks.run("analyze", videos, "--out", out)
        assert status == 0, said
    assert len(items(out)) == 5
    for command in (("merge", out, "--out", tmp_path / "all.csv"), ("report", out), ("plot", out), ("status", out)):
        status, said = forks.run(*command)
        assert (status, "\x1b" in said or "\r" in said) == (0, False), said
    merged = read_timeline(tmp_path / "all.csv")
    assert set(merged.item) == set(items(out))


@pytest.mark.parametrize("name", ["=1+1", "+x", "-x", "@x", "\uff1d1", "\uff20x"])
def test_a_cell_that_would_be_a_formula_is_the_same_path_and_none(tmp_path: Path, name: str) -> None:
    table = tmp_path / "table.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["item"], [cell(name)]])
    read = pd.read_csv(table).item[0]
    assert Path(read) == Path(name)
    assert read[0] == "."


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("\tx", "\\tx"),
        ("\r=x", "\\r=x"),
        ("=\n", "./=\\n"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\ud800", "\\ud800"),
        ("\udcff", "\\xff"),
    ],
)
def test_a_cell_is_one_line_that_can_be_printed(name: str, shown: str) -> None:
    assert cell(name) == shown


@pytest.mark.parametrize("name", ["a.mp4", "a=b", "/abs", "./x", " =x", "語", "'x", "", "-1", "+2.5", "👨\u200d👩"])
def test_other_cells_stay(name: str) -> None:
    assert cell(name) == name


def test_a_folder_that_cannot_be_read_is_a_failure(forks: Forks, videos: Path, tmp_path: Path) -> None:
    out, lost = tmp_path / "out", videos / "lost"
    lost.mkdir()
    (videos / "a.mp4").rename(lost / "a.mp4")
    broken = f"""
import errno, os
from pathlib import Path
first = os.scandir
def scandir(path):
    if path == Path({str(lost)!r}):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
    return first(path)
os.scandir = scandir
"""
    reason = "lost: the folder cannot be read (Permission denied)"
    for workers in ("0", "1"):
        status, said = forks.run("analyze", videos, "--out", out, "--workers", workers, before=broken)
        assert (status, items(out)) == (3, ["b.mp4", "c.mp4", "d.mp4"]), said
    assert failures(out) == [("lost", "open", reason)]
    status, said = forks.run("status", out)
    assert (status, "3 of 4 finished, 1 failed" in said, reason in said) == (3, True, True), said
    assert forks.run("analyze", videos, "--out", out)[0] == 0
    assert (len(items(out)), failures(out)) == (4, [])


def test_a_single_input_that_cannot_be_read_says_why(forks: Forks, tmp_path: Path) -> None:
    (tmp_path / "x.mp4").write_text("no video")
    for number in range(5):
        status, said = forks.run("analyze", tmp_path / "x.mp4", "--out", tmp_path / str(number), "--quiet")
        assert (status, said.splitlines()) == (3, [f"fermedia: {failures(tmp_path / str(number))[0][2]}"])


@needs_links
def test_a_link_to_its_own_parent_and_results_among_the_inputs(forks: Forks, videos: Path) -> None:
    (videos / "sub").mkdir()
    (videos / "sub" / "up").symlink_to(videos, target_is_directory=True)
    (videos / "sub" / "self").symlink_to("self")
    for _ in range(2):
        status, said = forks.run("analyze", videos, "--out", videos / "sub" / "results")
        assert status == 0, said
        assert "4 of 4 items" in said
    assert items(videos / "sub" / "results") == ["a.mp4", "b.mp4", "c.mp4", "d.mp4"]


# -- many -----------------------------------------------------------------------------------------------------------


class Counting:
    """An executor that only looks at the sources: planning and the ledger are what is tested."""

    def __init__(self) -> None:
        self.done: list[int] = []
        self.files = 0

    def __call__(self, options: AnalyzeOptions, tasks: Iterable[Task], progress: Progress) -> Generator[Outcome]:
        self.done.append(0)
        for task in tasks:
            self.files = len(task.item.files)
            task.place.mkdir(parents=True, exist_ok=True)
            (task.place / "item.json").touch()
            self.done[-1] += 1
            outputs: dict[str, Fingerprint | None] = {"item.json": Fingerprint.of(task.place / "item.json")}
            yield Outcome(str(task.item.key), task.item.kind, SourceState.of(task.item), outputs)


def run_again(folder: Path, out: Path, counting: Counting) -> None:
    with pytest.MonkeyPatch.context() as patch, Progress(quiet=True) as progress:
        patch.setattr("fermedia.jobs.batch.mended", lambda _folder, outcome, *_: outcome)
        patch.setattr("fermedia.jobs.batch.write_report", lambda *_, **__: 0)
        run_batch([folder], out, AnalyzeOptions(), progress=progress, executor=counting)


def test_fifty_thousand_images_in_one_folder(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    PIL.fromarray(astronaut()[:16, :16]).save(folder / "0.png")
    for number in range(1, 50_000):
        os.link(folder / "0.png", folder / f"{number}.png")
    counting = Counting()
    run_again(folder, tmp_path / "out", counting)
    assert (counting.done, counting.files) == ([1], 50_000)
    run_again(folder, tmp_path / "out", counting)
    assert counting.done == [1]


def test_many_items_cost_one_row_each_and_the_tables_are_written_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for number in range(400):
        (folder / f"{number}.mp4").write_bytes(b"%d" % number)
    written: list[int] = []
    first = RunFolder.write_tables

    def write(run: RunFolder, keys: Sequence[str], *more: Any) -> list[str]:
        written.append(1)
        return first(run, keys, *more)

    monkeypatch.setattr(RunFolder, "write_tables", write)
    counting = Counting()
    run_again(folder, out, counting)
    assert written == [1]
    rows = (out / LEDGER).read_text().splitlines()
    assert len(rows) == 400 + 5  # settings, what was told, the items, the beginning and the end
    run_again(folder, out, counting)
    assert counting.done == [400]
    assert len((out / LEDGER).read_text().splitlines()) == 400 + 7
    (out / "items/7.mp4/item.json").unlink()
    run_again(folder, out, counting)
    assert counting.done == [400, 1]


@pytest.mark.slow
def test_spoilt_files_by_the_hundred(tmp_path: Path) -> None:
    command = [
        sys.executable,
        str(SCRIPTS / "fuzz.py"),
        "--count",
        "300",
        "--seed",
        "5",
        "--keep",
        str(tmp_path / "found"),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "300 mutations, 0 offences" in done.stdout
