"""What is missing, damaged or changed in results is noticed, said and made again; what is not fermedia's stays."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import numpy as np
import pytest

from fermedia.store.fingerprints import Fingerprint
from fermedia.store.outputs import OWN
from fermedia.store.source import SourceState
from fermedia.types import MediaItem
from tests.forks import Forks
from tests.killing import DIE, results
from tests.study_folder import Study
from tests.systems import KILLED


@pytest.fixture(scope="module")
def whole(forks: Forks, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A video with a face and a folder of two images, finished."""
    study = Study(forks, tmp_path_factory.mktemp("study"))
    study.talk("a.mp4")
    study.image("class/1.jpg")
    study.image("class/2.png")
    study.analyze("--export", "srt")
    return study


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def zeroed(path: Path) -> None:
    """As a crash of the machine leaves it: of the same size and time."""
    status = path.stat()
    path.write_bytes(bytes(status.st_size))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def one_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


VIDEO = ("timeline.csv", "annotated.mp4", "item.json", "previews/video.jpg", "previews/index.csv")
DERIVED = ("segments.csv", "segments.srt", "report.html", "report.js")
PHOTOS = ("timeline.csv", "annotated/1.jpg", "previews/0.jpg")


NAMES = [f"a.mp4/{name}" for name in (*VIDEO, *DERIVED)] + [f"class/photos/{name}" for name in PHOTOS]
SPOILT = [(name, spoil) for name in NAMES for spoil in (Path.unlink, zeroed)]
SPOILT += [(f"a.mp4/{n}", spoil) for n in ("timeline.csv", "segments.csv", "annotated.mp4") for spoil in (emptied, cut)]
SPOILT += [("a.mp4/annotated.mp4", one_byte), ("a.mp4/item.json", one_byte), ("class/photos/annotated/1.jpg", one_byte)]


@pytest.mark.parametrize(("name", "spoil"), SPOILT)
def test_a_damaged_file_is_mended_and_said(whole: Study, name: str, spoil: Callable[[Path], None]) -> None:
    before = results(whole.out)
    path = whole.out / "items" / name
    spoil(path)
    key = "a.mp4" if name.startswith("a.mp4") else "class/photos"
    assert whole.status("--check")["damaged"].keys() == {key}
    said = whole.analyze()
    part = name.removeprefix(f"{key}/").split("/")[0]
    (line,) = [line for line in said.splitlines() if line.startswith(f"fermedia: {key}: {part} is ")]
    assert line.endswith("; written again" if part in DERIVED else "; it is analysed again")
    assert "known by content" not in said
    for aside in whole.out.rglob("*.changed*"):
        assert spoil in (cut, one_byte)
        aside.unlink()
    found = results(whole.out)
    assert {n: c for n, c in found.items() if not n.endswith("report.js")} == {
        n: c for n, c in before.items() if not n.endswith("report.js")
    }
    assert whole.status("--check")["damaged"] == {}
    assert not whole.analyze().startswith("fermedia: ")


def test_an_items_folder_that_is_deleted_is_made_again(whole: Study) -> None:
    before = results(whole.out)
    os.rename(whole.place("a.mp4"), whole.folder / "gone")
    assert whole.run("status", status=1).count("damaged   a.mp4: ") == 1
    for command in ("merge", "plot", "report"):
        options = ("--out", whole.folder / "x.csv") if command == "merge" else ()
        said = whole.run(command, *options, status=1 if command == "report" else 2)
        assert len(said.splitlines()) == 1
        assert "run fermedia analyze again" in said
    assert "are missing; it is analysed again" in whole.analyze()
    assert results(whole.out) == before


def test_what_somebody_wrote_into_a_table_is_kept_under_another_name(whole: Study) -> None:
    path = whole.place("a.mp4") / "segments.csv"
    own = path.read_text()
    for edited in (own + "mine\n", own + "mine too\n"):
        path.write_text(edited)
        assert "segments.csv is not what was made; written again" in whole.analyze()
        assert path.read_text() == own
    asides = sorted(whole.place("a.mp4").glob("*.changed*"))
    assert [aside.name for aside in asides] == ["segments.csv.changed", "segments.csv.changed-2"]
    assert asides[0].read_text() == own + "mine\n"
    subtitles = whole.place("a.mp4") / "segments.srt"
    subtitles.write_text("mine")
    whole.analyze("--export", "none")
    assert not subtitles.exists()
    assert (whole.place("a.mp4") / "segments.srt.changed").read_text() == "mine"
    whole.analyze("--export", "srt")
    timeline = whole.place("a.mp4") / "timeline.csv"
    edited = timeline.read_text().replace("happy", "happier")
    timeline.write_text(edited + "mine\n")
    whole.analyze()
    assert (whole.place("a.mp4") / "timeline.csv.changed").read_text() == edited + "mine\n"
    assert [aside.exists() for aside in asides] == [True, True]  # though the item was analysed again
    for aside in whole.place("a.mp4").glob("*.changed*"):
        aside.unlink()


def test_notes_in_an_items_folder_and_what_systems_leave_there_stay(whole: Study) -> None:
    place = whole.place("class/photos")
    notes = {place / "notes.txt": "mine", place / "annotated/.DS_Store": "x", place / "annotated/Thumbs.db": "y"}
    for path, text in notes.items():
        path.write_text(text)
    inode = whole.made("class/photos")
    assert "analysed again" not in whole.analyze()
    assert whole.made("class/photos") == inode
    (place / "item.json").unlink()
    whole.analyze()
    assert (place / "notes.txt").read_text() == "mine"
    (place / "notes.txt").unlink()
    assert {path.name for path in place.iterdir()} <= OWN


@pytest.mark.parametrize("step", range(5))
def test_killed_while_results_are_put_among_other_things(forks: Forks, tmp_path: Path, step: int) -> None:
    study = Study(forks, tmp_path)
    study.video("a.mp4", 3)
    study.analyze()
    (study.place("a.mp4") / "notes.txt").write_text("mine")
    for name in ("timeline.csv", "annotated.mp4", "report.html") if step % 2 else ("item.json", "segments.csv"):
        (study.place("a.mp4") / name).unlink()
    kill = f"""
from pathlib import Path
import fermedia.store.outputs
first, count = Path.replace, 0
def replace(self, target):
    global count
    if Path(target).parent.name == "a.mp4":
        if count == {step}:
            die()
        count += 1
    return first(self, target)
def put_among(*paths):
    Path.replace = replace
    among(*paths)
among = fermedia.store.outputs._publish_into
fermedia.store.outputs._publish_into = put_among
"""
    study.analyze(status=KILLED, before=DIE + kill)
    study.analyze()
    assert study.items() == ["a.mp4"]
    assert (study.place("a.mp4") / "notes.txt").read_text() == "mine"
    assert study.status("--check")["damaged"] == {}


def test_pages_that_are_made_again_are_not_damaged(whole: Study) -> None:
    whole.run("plot")
    whole.run("report")
    assert "plots/timeline.svg" in (whole.place("a.mp4") / "report.js").read_text()
    assert whole.status("--check")["damaged"] == {}
    assert not whole.analyze().startswith("fermedia: ")


def test_results_that_were_copied_elsewhere_are_whole(whole: Study) -> None:
    for path in whole.out.rglob("*"):
        os.utime(path, (1, 1))
    assert not whole.analyze().startswith("fermedia: ")
    assert whole.status("--check")["damaged"] == {}


def test_an_earlier_item_that_is_damaged_is_not_kept_for_ever(forks: Forks, tmp_path: Path) -> None:
    study = Study(forks, tmp_path)
    video = study.video("a.mp4", 3)
    study.video("b.mp4", 4)
    study.analyze("--no-video")
    video.unlink()
    (study.place("a.mp4") / "segments.csv").unlink()
    assert "written again" in study.analyze("--no-video", "--earlier")
    assert study.items() == ["b.mp4", "a.mp4"]
    zeroed(study.place("a.mp4") / "timeline.csv")
    said = study.analyze("--no-video")
    assert "a.mp4, which is not among the inputs any more: timeline.csv is not what was made; it is forgotten" in said
    assert study.items() == ["b.mp4"]
    assert study.run("status", "--check")
    assert (study.place("a.mp4") / "timeline.csv").exists()  # nothing is deleted


def test_long_files_are_looked_at_in_part_and_read_whole_when_their_time_changed(tmp_path: Path) -> None:
    path = tmp_path / "video"
    path.write_bytes(np.random.default_rng(0).bytes(1 << 20))
    was = Fingerprint.of(path)
    assert was.renewed(path) == was
    status = path.stat()
    for begin in (0, (1 << 19) - 10, (1 << 20) - 10, 200_000):
        content = bytearray(path.read_bytes())
        kept = content[begin : begin + 10]
        content[begin : begin + 10] = bytes(10)
        path.write_bytes(content)
        assert was.renewed(path) is None  # its time changed
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        assert (was.renewed(path) is None) == (begin != 200_000)
        assert was.renewed(path, thorough=True) is None
        content[begin : begin + 10] = kept
        path.write_bytes(content)
    assert was.renewed(path) not in (None, was)  # the same at another time
    os.truncate(path, (1 << 20) - 1)
    assert was.renewed(path) is None


def test_a_long_source_that_was_changed_in_any_place_counts_as_changed(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    path.write_bytes(bytes(5 << 20))
    item = MediaItem("video", PurePosixPath("video.mp4"), path, (path,))
    source = SourceState.of(item)
    os.utime(path, (1, 1))
    renewed = source.renewed(item)
    assert renewed is not None
    assert renewed.digest == source.digest
    with path.open("r+b") as file:
        file.seek(1_500_000)
        file.write(b"x")
    assert source.renewed(item) is None


def test_a_source_that_changed_is_analysed_again(forks: Forks, tmp_path: Path) -> None:
    study = Study(forks, tmp_path)
    video = study.video("a.mp4", 3)
    video.write_bytes(video.read_bytes() + bytes(4 << 20))  # an mp4 may end in what is nothing
    study.forks.run("analyze", video, "--out", study.out, "--no-video")
    before = study.made("a.mp4")
    content = bytearray(video.read_bytes())
    content[1_500_000] = 1
    video.write_bytes(content)
    study.forks.run("analyze", video, "--out", study.out, "--no-video")
    assert study.made("a.mp4") != before


def test_drawing_again_leaves_figures_and_events(forks: Forks, tmp_path: Path) -> None:
    study = Study(forks, tmp_path)
    study.talk("a.mp4")
    events = tmp_path / "events.csv"
    events.write_text("item,begin,end,label\na.mp4,0,0.2,film\n")
    study.analyze("--events", events)
    study.run("plot", "--format", "png")
    place = study.place("a.mp4")
    figures = {path.name: path.read_bytes() for path in (place / "plots").iterdir()}
    table = (place / "events.csv").read_bytes()
    events.unlink()
    before = study.made("a.mp4")
    said = study.analyze("--blur", "all")
    assert "1 item is drawn again" in said
    assert study.made("a.mp4") != before
    assert {path.name: path.read_bytes() for path in (place / "plots").iterdir()} == figures
    assert (place / "events.csv").read_bytes() == table
    assert "film" in (place / "report.js").read_text(encoding="utf-8")
    assert said.count("the events of the items stay") == 1
    assert study.status("--check")["damaged"] == {}
    study.analyze("--blur", "all", "--redo", "all")  # the figures are of other tables
    assert not (place / "plots").exists()
    assert (place / "events.csv").read_bytes() == table


def test_edited_tables_are_kept_when_the_item_is_analysed_again(forks: Forks, tmp_path: Path) -> None:
    study = Study(forks, tmp_path)
    study.talk("a.mp4")
    study.analyze("--no-video")
    place = study.place("a.mp4")

    def edit(name: str) -> None:
        with (place / name).open("a") as file:
            file.write("mine\n")

    edit("segments.csv")
    said = study.analyze("--no-video", "--redo", "all")
    assert "kept, while it is analysed again: segments.csv as segments.csv.changed" in said
    edit("timeline.csv")
    study.analyze("--no-video", "--redo", "all", "--every", "2")  # of other settings
    edit("segments.csv")
    study.talk("a.mp4", 30)
    study.analyze("--no-video", "--every", "2")
    for name in ("segments.csv.changed", "timeline.csv.changed", "segments.csv.changed-2"):
        assert (place / name).read_text().endswith("mine\n")
        assert not (place / name.partition(".changed")[0]).read_text().endswith("mine\n")
    study.analyze("--no-video", "--every", "2", "--redo", "all")
    assert len(list(place.glob("*.changed*"))) == 3  # what was not edited is not kept
