"""``fermedia remove``: nothing of an item is left, by name or in pixels, and later runs leave it out."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import pytest

from tests.forks import Forks, until
from tests.study_folder import Study
from tests.systems import needs_signals


@pytest.fixture
def study(forks: Forks, tmp_path: Path) -> Study:
    made = Study(forks, tmp_path)
    made.talk("anna.mp4")
    made.video("ben.mp4", 5)
    made.image("class/1.png")
    return made


def people(study: Study) -> Path:
    path = study.folder / "people.csv"
    path.write_text("item,participant,condition\nanna.mp4,Q7,x\nben.mp4,Q8,y\nclass/photos,Q9,y\n")
    return path


def traces(study: Study, *words: str) -> list[str]:
    """Where in the results one of these words is, in names or contents."""
    found = []
    for path in study.out.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        found += [str(path) for word in words if word in path.name or word.encode() in content]
    return found


def test_nothing_of_it_is_left_anywhere(study: Study) -> None:
    inputs = (study.inputs / "anna.mp4", study.inputs)
    study.analyze("--participants", people(study), "--export", "srt", inputs=inputs)
    study.run("plot")
    (study.place("anna.mp4") / "segments.csv.changed").write_text("anna")
    assert traces(study, "anna")
    assert "removed 1 item" in study.run("remove", "anna.mp4")
    assert traces(study, "anna", "Q7") == []
    assert study.items() == ["ben.mp4", "class/photos"]
    assert not list((study.out / "plots").glob("*"))
    assert "Q9" in (study.out / "participants.csv").read_text()
    run = json.loads((study.out / "run.json").read_text())
    assert run["removed"] == 1
    assert run["totals"]["items"] == run["totals"]["finished"] == 2
    assert run["inputs"] == ["(removed)", str(study.inputs)]
    assert "1 item, which later runs leave out" in study.run("status")
    assert study.status("--check")["damaged"] == {}


def test_later_runs_leave_it_out_by_path_and_by_content(study: Study) -> None:
    study.analyze("--no-video")
    study.run("remove", "anna.mp4", "class/photos")
    assert "2 items of the inputs are left out" in study.analyze("--no-video")
    assert study.items() == ["ben.mp4"]
    (study.inputs / "anna.mp4").rename(study.inputs / "renamed.mp4")
    study.image("class/2.png", 100)  # another content at the same path
    assert "2 items of the inputs are left out" in study.analyze("--no-video", "--redo", "all")
    assert study.items() == ["ben.mp4"]
    assert traces(study, "anna", "renamed") == []
    study.video("new.mp4", 7)
    study.analyze("--no-video")
    assert study.items() == ["ben.mp4", "new.mp4"]


def test_by_the_path_of_the_recording_and_again(study: Study) -> None:
    study.analyze("--no-video")
    assert "removed 1 item" in study.run("remove", study.inputs / "anna.mp4")
    assert "removed before" in study.run("remove", study.inputs / "anna.mp4")
    assert "removed before" in study.run("remove", "anna.mp4")
    assert study.items() == ["ben.mp4", "class/photos"]


def test_all_items_of_a_participant(study: Study) -> None:
    path = study.folder / "who.csv"
    path.write_text("item,participant\nanna.mp4,Q7\nben,Q8\nclass/photos,Q7\n")
    study.analyze("--no-video", "--participants", path)
    said = study.run("remove", "--participant", "Q9", status=2)
    assert "--participant Q9: nobody in" in said
    assert "it has Q7, Q8" in said
    assert "removed 2 items" in study.run("remove", "--participant", "Q7")
    assert study.items() == ["ben.mp4"]
    assert traces(study, "anna", "Q7") == []
    assert "removed before" in study.run("remove", "--participant", "Q7")
    assert "nothing to remove" in study.run("remove", status=2)


def test_all_items_of_a_person_unless_others_are_in_them(study: Study) -> None:
    path = study.folder / "names.csv"
    path.write_text("item,face_id,person\nanna.mp4,0,Mia\nben.mp4,0,Mia\nben.mp4,1,Tom\n")
    study.analyze("--no-video", "--people", path)
    before = {path: path.read_bytes() for path in study.out.rglob("*") if path.is_file()}
    said = study.run("remove", "--participant", "Mia", status=2)
    assert len(said.splitlines()) == 1
    assert "nothing is removed, since Mia is not alone in ben.mp4 (with Tom); an item is removed with everybody" in said
    assert {path: path.read_bytes() for path in study.out.rglob("*") if path.is_file()} == before
    assert "removed 2 items" in study.run("remove", "ben.mp4", "--participant", "Mia")
    assert study.items() == ["class/photos"]
    assert "removed before" in study.run("remove", "--participant", "Mia")
    assert "names what the results do not hold" not in study.analyze("--no-video")


def test_a_name_may_be_spelled_otherwise_but_not_shortened(study: Study) -> None:
    study.analyze("--no-video")
    assert "anna: is no item of" in (said := study.run("remove", "anna", status=2))
    assert "did you mean anna.mp4?" in said
    assert "removed 1 item" in study.run("remove", "class\\photos")
    assert "removed before" in study.run("remove", "./class\\photos/")
    assert study.items() == ["anna.mp4", "ben.mp4"]


def test_an_unknown_item_changes_nothing(study: Study) -> None:
    study.analyze("--no-video")
    before = {path: path.read_bytes() for path in study.out.rglob("*") if path.is_file()}
    said = study.run("remove", "ben.mp4", "ana.mp4", status=2)
    assert "ana.mp4: is no item of" in said
    assert "did you mean anna.mp4?" in said
    assert {path: path.read_bytes() for path in study.out.rglob("*") if path.is_file()} == before
    shutil.rmtree(study.out)
    study.out.mkdir()
    assert "has no results of fermedia" in study.run("remove", "a", status=2)


def test_files_of_the_user_stay_and_are_said(study: Study) -> None:
    study.analyze("--no-video")
    (study.place("anna.mp4") / "notes.txt").write_text("mine")
    assert "not of fermedia and stay: notes.txt" in study.run("remove", "anna.mp4")
    assert [path.name for path in study.place("anna.mp4").iterdir()] == ["notes.txt"]


def test_what_is_left_to_do_no_longer_counts(study: Study) -> None:
    """A run was interrupted before the item was done."""
    stop = "import os, signal, fermedia.jobs.item as item\n"
    stop += "item.publish = lambda *_: os.kill(os.getpid(), signal.SIGTERM)\n"
    study.analyze("--no-video", "--workers", "0", before=stop, status=130)
    assert study.status()["left"] == 3
    study.run("remove", "anna.mp4", "class/photos")
    assert study.status()["left"] == 1
    (study.inputs / "anna.mp4").rename(study.inputs / "renamed.mp4")  # its contents were not known from a run
    (study.inputs / "class").rename(study.inputs / "moved")
    study.analyze("--no-video")
    assert study.status()["left"] == 0
    assert study.items() == ["ben.mp4"]


def test_files_that_still_name_it(study: Study) -> None:
    """Nothing is said about its name, but that the baseline is gone with it."""
    events = study.folder / "events.csv"
    events.write_text("item,begin,end,label\nanna.mp4,0,0.2,rest\nanna.mp4,0.3,0.6,film\nben.mp4,0,0.1,film\n")
    study.analyze("--no-video", "--participants", people(study), "--events", events, "--baseline", "rest")
    assert (study.out / "windows.csv").exists()
    said = study.run("remove", "anna.mp4")
    assert "--baseline rest: no event has this label; there are film" in said
    assert "windows.csv and courses.csv are not written" in said
    said = study.analyze("--no-video", "--baseline", "none")
    assert "did you mean" not in said
    assert "names what" not in said
    assert "anna" not in said
    assert "film" in (study.out / "windows.csv").read_text()
    events.write_text("item,begin,end,label\nanna.mp4,0,0.2,rest\n")
    assert "has no event of what is left" in study.analyze("--no-video")


_STEPS = {
    "before the ledger": "import fermedia.commands.remove as r\nr.forget = stop\n",
    "after the ledger": "import fermedia.commands.remove as r\nr._delete = stop\n",
    "half deleted": "import fermedia.commands.remove as r\nfirst = r.remove\ndone = []\n"
    "def remove(path):\n    done.append(first(path))\n    len(done) > 2 and stop()\nr.remove = remove\n",
    "before the tables": "import fermedia.commands.remove as r\nr._write_again = stop\n",
}


@needs_signals
@pytest.mark.parametrize("step", _STEPS)
def test_an_interruption_is_finished_by_the_same_command(study: Study, step: str) -> None:
    study.analyze("--no-video")
    stop = "import os, signal, time\ndef stop(*_):\n    os.kill(os.getpid(), signal.SIGINT)\n    time.sleep(9)\n"
    status, said = study.forks.run("remove", study.out, "anna.mp4", before=stop + _STEPS[step])
    assert status == 130
    assert "to finish, give the same command again" in said
    assert (study.place("anna.mp4") / "item.json").exists() or step == "before the tables"
    study.run("remove", "anna.mp4")
    assert traces(study, "anna") == []
    assert study.items() == ["ben.mp4", "class/photos"]


def test_a_running_batch_is_respected(study: Study) -> None:
    study.analyze("--no-video")
    pause = "import time, fermedia.pipeline\nclass Pause:\n    def __init__(self, *_):\n"
    pause += "        print('PAUSE', flush=True)\n        time.sleep(100)\nfermedia.pipeline.VideoReader = Pause\n"
    study.video("late.mp4", 9)
    child = study.forks.start("analyze", study.inputs, "--out", study.out, "--no-video", "--workers", "0", before=pause)
    until(lambda: "PAUSE" in child.said(), child)
    assert "a run is writing into it" in study.run("remove", "anna.mp4", status=2)
    child.kill(signal.SIGTERM)
    child.wait()
    study.run("remove", "anna.mp4")
    assert "anna.mp4" not in study.items()


def test_a_copy_that_is_an_item_of_its_own_stays(study: Study) -> None:
    shutil.copy(study.inputs / "anna.mp4", study.inputs / "copy.mp4")
    study.analyze("--no-video")
    study.run("remove", "anna.mp4")
    said = study.analyze("--no-video")
    assert "1 item of the inputs is left out" in said
    assert sorted(study.items()) == ["ben.mp4", "class/photos", "copy.mp4"]
    shutil.copy(study.inputs / "anna.mp4", study.inputs / "another.mp4")
    study.analyze("--no-video")
    assert sorted(study.items()) == ["ben.mp4", "class/photos", "copy.mp4"]


def test_pages_show_the_events_that_are_known_now(study: Study) -> None:
    events = study.folder / "events.csv"
    events.write_text("item,begin,end,label\nanna.mp4,0,0.2,a\nben.mp4,0,0.1,b\n")
    study.analyze("--no-video", "--events", events)
    events.write_text("item,begin,end,label\nben.mp4,0,0.1,c\n")
    study.run("remove", "anna.mp4")
    assert study.status("--check")["damaged"] == {}
    assert '"c"' in (study.place("ben.mp4") / "report.js").read_text()
