"""What a folder of results remembers; and what only drawing depends on is changed without analysing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from tests.forks import Forks
from tests.killing import DIE, results
from tests.study_folder import Study
from tests.systems import KILLED

#: Looking at any frame would be a fault.
_BLIND = """
import fermedia.vision.observe
fermedia.vision.observe.Observer.see = None
"""


def pixels(path: Path) -> NDArray[np.float32]:
    """All frames of a video, grey."""
    with av.open(str(path)) as video:
        return np.stack([frame.to_ndarray(format="gray") for frame in video.decode(video=0)]).astype(np.float32)


@pytest.fixture
def study(forks: Forks, tmp_path: Path) -> Study:
    study = Study(forks, tmp_path)
    study.talk("a.mp4")
    study.video("b.mp4", 4)
    study.image("class/1.jpg")
    return study


def test_formats_are_remembered_until_they_are_taken_back(study: Study) -> None:
    study.analyze("--no-video", "--export", "srt,bids", "--format", "parquet")
    names = {"segments.srt", "segments_events.tsv", "segments_events.json", "timeline.parquet"}

    def there() -> set[str]:
        return names & {path.name for path in study.place("a.mp4").iterdir()}

    assert there() == names
    assert "remembers --export srt,bids --format parquet" in study.run("status")
    study.analyze("--no-video", "--redo", "all")
    assert there() == names
    study.video("c.mp4", 3)
    study.analyze("--no-video")
    assert (study.place("c.mp4") / "segments.srt").is_file()
    study.analyze("--no-video", "--export", "vtt")
    assert there() == {"timeline.parquet"}
    assert (study.place("a.mp4") / "segments.vtt").is_file()
    study.analyze("--no-video", "--export", "none", "--format", "csv")
    assert there() == set()
    assert "segments.vtt" not in (study.place("a.mp4") / "report.js").read_text()
    assert "remembers" not in study.run("status")
    assert "--export knows srt, vtt, elan, eaf, bids, and none alone" in study.analyze("--export", "srt,none", status=2)


def test_participants_are_remembered_until_they_are_taken_back(study: Study) -> None:
    people = study.folder / "people.csv"
    people.write_text("item,participant,condition\na.mp4,Ana,x\nb.mp4,Ben,x\nclass/photos,Ben,x\n")
    study.analyze("--no-video", "--participants", people)
    tables = [study.out / f"{name}.csv" for name in ("participants", "conditions", "comparisons")]
    before = [table.read_bytes() for table in tables]
    study.analyze("--no-video", "--export", "srt")  # the guide's "later"
    assert [table.read_bytes() for table in tables] == before
    people.write_text(people.read_text().replace("Ana", "Anna"))
    study.analyze("--no-video")
    assert "Anna" in pd.read_csv(tables[0])["participant"].tolist()
    people.unlink()
    said = study.analyze("--no-video")
    assert f"--participants {people}: cannot be read" in said
    assert "and those of participants are not updated" in said
    assert all(table.is_file() for table in tables)
    study.analyze("--no-video", "--participants", "none")
    assert not any(table.exists() for table in tables)
    assert "participants.csv" not in study.analyze("--no-video")
    assert study.status()["remembered"]["participants"] is None


def test_the_record_keeps_when_and_where_the_analysis_was(study: Study) -> None:
    def record() -> dict[str, Any]:
        return json.loads((study.out / "run.json").read_text())

    study.analyze("--no-video", inputs=(study.inputs / "a.mp4",))
    first = record()
    assert first["later_runs"] == []
    assert first["machine"].keys() == {"system", "python", "processors"}
    (study.out / "run.json").write_text('{"begun": 7')  # it is made from the ledger
    study.analyze("--no-video", "--export", "srt", before="import fermedia\nfermedia.__version__ = '99'")
    second = record()
    assert {name: second[name] for name in ("begun", "machine", "versions", "fermedia")} == {
        name: first[name] for name in ("begun", "machine", "versions", "fermedia")
    }
    assert [run["fermedia"] for run in second["later_runs"]] == ["99"]
    assert second["later_runs"][0]["state"] == second["state"] == "finished"
    assert second["inputs"] == [str(study.inputs)]
    assert first["begun"] in (study.out / "report/items.js").read_text()
    study.analyze("--no-video", "--smooth", "1")  # drawn anew
    assert record()["begun"] == first["begun"]
    study.analyze(
        "--no-video", "--smooth", "1", "--redo", "all", before="import fermedia\nfermedia.__version__ = '100'"
    )
    assert (record()["fermedia"], record()["later_runs"]) == ("100", [])


@pytest.mark.parametrize("options", [(), ("--no-video",)])
def test_what_is_drawn_changes_without_analysing_again(study: Study, options: tuple[str, ...]) -> None:
    study.analyze(*options, "--smooth", "0")
    timelines = {path: path.read_bytes() for path in study.out.rglob("timeline.csv")}
    said = study.analyze(*options, "--smooth", "0.4", "--undecided", "0.6", before=_BLIND)
    change = "--smooth 0.0, now 0.4; --undecided 0.4, now 0.6"
    assert f"3 items are drawn again, but not analysed again ({change})\n" in said
    assert {path: path.read_bytes() for path in timelines} == timelines
    (study.folder / "other").mkdir()
    whole = Study(study.forks, study.folder / "other")
    whole.analyze(*options, "--smooth", "0.4", "--undecided", "0.6", inputs=(study.inputs,))
    found, wanted = results(study.out), results(whole.out)
    assert found.keys() == wanted.keys()
    same = {
        "items.csv",
        "faces.csv",
        "summary.csv",
        *(name for name in found if name.endswith(("segments.csv", "timeline.csv"))),
    }
    assert {name: found[name] for name in same} == {name: wanted[name] for name in same}
    # Boxes stand in the timeline with two decimals, which may move an outline by a pixel: 1.1 was seen.
    for name in (name for name in found if name.endswith(".mp4")):
        assert np.abs(pixels(study.out / name) - pixels(whole.out / name)).mean() < 2
    study.analyze(*options, "--smooth", "0.4", "--undecided", "0.6", before=_BLIND)
    assert "--smooth 0.4" in study.run("status")


def test_killed_while_it_is_drawn_anew_and_continued(study: Study) -> None:
    study.analyze("--smooth", "0")
    kill = DIE + "import fermedia.jobs.item as item\nfirst = item.publish\n"
    kill += "item.publish = lambda staging, place: die() if place.name == 'b.mp4' else first(staging, place)\n"
    study.analyze("--smooth", "1", status=KILLED, before=kill)
    study.analyze("--smooth", "1", before=_BLIND)
    assert study.items() == ["a.mp4", "b.mp4", "class/photos"]
    smooths = {json.loads(p.read_text())["options"]["smooth"] for p in study.out.glob("items/**/item.json")}
    assert smooths == {1.0}


def test_settings_that_go_back_before_anything_was_drawn(study: Study) -> None:
    study.analyze("--no-video")
    before = study.made("a.mp4")
    stop = "import fermedia.jobs.execute\ndef begin(self): raise KeyboardInterrupt\n"
    stop += "fermedia.jobs.execute.Engine.__enter__ = begin\n"
    study.analyze("--no-video", "--smooth", "1", status=130, before=stop)
    study.analyze("--no-video", before=_BLIND)
    assert study.items() == ["a.mp4", "b.mp4", "class/photos"]
    assert study.made("a.mp4") == before


def test_a_change_of_more_than_drawing_is_refused_as_before(study: Study) -> None:
    study.analyze("--no-video")
    said = study.analyze("--no-video", "--smooth", "1", "--every", "2", status=2)
    assert "(--every 1, now 2; --smooth 0.5, now 1.0)" in said
    assert study.items() == ["a.mp4", "b.mp4", "class/photos"]
