"""Records of newer versions, edited ones, and what killed commands leave: one line, and nothing is lost."""

from __future__ import annotations

import json
import os
import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from fermedia.columns import SUMMARY
from fermedia.commands.merge import merge
from fermedia.commands.report import remake
from fermedia.commands.status import read_status
from fermedia.errors import FermediaError
from fermedia.files import HALF_WRITTEN, sweep, whole_file
from fermedia.names import LEDGER
from fermedia.store.ledger import Ledger
from tests.forks import Forks, until
from tests.killing import DIE, results
from tests.study_folder import Study
from tests.systems import KILLED, needs_open_files_to_go

#: The row of an item that failed.
OUTCOME: dict[str, Any] = {
    "row": "outcome",
    "key": "b.mp4",
    "kind": "video",
    "source": {"path": "b.mp4", "size": 1, "stamp": "", "digest": ""},
    "outputs": {},
    "failures": [],
}


@pytest.fixture(scope="module")
def made(forks: Forks, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A video with a face and an image, finished; nothing here is ever changed."""
    study = Study(forks, tmp_path_factory.mktemp("study"))
    study.talk("a.mp4", 60)
    study.image("class/1.jpg")
    study.analyze("--no-video")
    return study


@pytest.fixture
def study(made: Study, forks: Forks, tmp_path: Path) -> Study:
    """A copy of the results, which may be spoilt."""
    copy = Study(forks, tmp_path)
    copy.inputs.rmdir()
    copy.inputs = made.inputs
    shutil.copytree(made.out, copy.out)
    return copy


def every_command(study: Study, *without: str) -> dict[str, tuple[int, str]]:
    """The exit status of each command that reads results, and what it says; some may be left out."""
    commands = {
        "status": ("status", study.out),
        "check": ("status", "--check", study.out),
        "merge": ("merge", study.out, "--out", study.folder / "all.csv"),
        "report": ("report", study.out),
        "plot": ("plot", study.out, "--quiet"),
        "analyze": ("analyze", study.inputs, "--out", study.out, "--no-video", "--quiet"),
    }
    done = {name: study.forks.run(*command) for name, command in commands.items() if name not in without}
    assert not [said for _, said in done.values() if "Traceback" in said]
    return done


def row(**fields: Any) -> str:
    text = json.dumps(fields)
    return f'{text[:-1]}, "crc32": "{zlib.crc32(text.encode()):08x}"}}\n'


def rows(out: Path) -> Iterator[dict[str, Any]]:
    for line in (out / LEDGER).read_text().splitlines():
        found = json.loads(line)
        del found["crc32"]
        yield found


# -- the ledger -----------------------------------------------------------------------------------------------------


def test_what_a_newer_version_adds_to_the_ledger_is_passed_over(study: Study) -> None:
    newer = []
    for found in rows(study.out):
        if found["row"] == "outcome":
            found["source"]["owner"] = "somebody"
            found["failures"] = [{"item": "a.mp4", "stage": "audio", "error": "a.mp4: x", "weight": 3}]
            for output in found["outputs"].values():
                output["blake3"] = "0"
        newer.append(row(**found, since=9))
        newer.append(row(row="mood", value=[1]))
    (study.out / LEDGER).write_text("".join(newer))
    assert {name: status for name, (status, _) in every_command(study).items()} == {
        "status": 3,
        "check": 3,
        "merge": 0,
        "report": 0,
        "plot": 0,
        "analyze": 3,
    }


def test_summaries_are_values_and_those_of_older_ledgers_are_read(study: Study) -> None:
    header, *whole = (study.out / "summary.csv").read_text().splitlines()
    places = [SUMMARY.names.index(name) for name in SUMMARY.first_names]
    cells = [line.split(",") for line in whole]
    former = [[cell[place] for place in places] for cell in cells]  # the columns that older versions had
    face_id = SUMMARY.first_names.index("face_id")
    table = [",".join([*row[:face_id], row[face_id] or "all", *row[face_id + 1 :]]) for row in former]
    ours = Ledger.read(study.out).outcomes
    assert [row["level"] for row in ours["a.mp4"].summary] == ["face", "item"]
    assert all(isinstance(row["coverage"], float) for outcome in ours.values() for row in outcome.summary)
    older = []
    for found in rows(study.out):
        if found["row"] == "outcome":
            lines = [f"{line}\n" for line in table if line.startswith(f"{found['key']},")]
            found["summary"] = "".join(lines)
            assert len(lines) == len(ours[found["key"]].summary)
        older.append(row(**found))
    (study.out / LEDGER).write_text("".join(older))
    (study.out / "summary.csv").unlink()
    assert study.analyze("--no-video").startswith("2 of 2 items (2 of them before)")
    written = (study.out / "summary.csv").read_text().splitlines()
    kept = {*SUMMARY.first_names, "level"}
    wanted = [[text if name in kept else "" for name, text in zip(SUMMARY.names, cell, strict=True)] for cell in cells]
    assert written == [header, *map(",".join, wanted)]
    for key, outcome in Ledger.read(study.out).outcomes.items():
        for now, then in zip(outcome.summary, ours[key].summary, strict=True):
            assert now == {
                name: value if isinstance(value, str) else pytest.approx(value, abs=1e-6)
                for name, value in then.items()
                if name in kept
            }


@pytest.mark.parametrize(
    "wrong",
    [
        {"row": "outcome", "key": 7},
        {**OUTCOME, "summary": [{"coverage": "much"}]},
        {**OUTCOME, "summary": [7]},
        {**OUTCOME, "summary": "a.mp4,0\n"},
        {"row": "outcome", "key": "a.mp4", "kind": "video", "source": [], "failures": []},
        {"row": "items", "items": ["a.mp4"]},
        {"row": "settings"},
        {"row": "begun", "todo": "many"},
        {"row": "told", "told": 3},
        {"what": "no row"},
    ],
)
def test_what_cannot_be_understood_is_one_line(study: Study, wrong: dict[str, Any]) -> None:
    with (study.out / LEDGER).open("a") as file:
        file.write(row(**wrong))
    before = results(study.out)
    lines = len((study.out / LEDGER).read_text().splitlines())
    for status, said in every_command(study, "plot", "report").values():
        assert status == 2
        assert said.count("\n") == 1
        assert f"{LEDGER}: line {lines} cannot be understood" in said
    assert results(study.out) == before


def test_a_ledger_that_is_gone_is_said(study: Study) -> None:
    before = results(study.out)
    (study.out / LEDGER).rename(study.folder / "kept")
    done = every_command(study)
    assert {status for status, _ in done.values()} == {2}
    said = f"--out {study.out}: its ledger.jsonl, which says what is finished, is gone; put it back, or name another"
    assert said in done["analyze"][1]
    assert results(study.out) == before
    (study.folder / "kept").rename(study.out / LEDGER)
    assert study.analyze("--no-video").startswith("2 of 2 items (2 of them before)")


@needs_open_files_to_go
def test_a_ledger_that_is_deleted_while_a_run_goes_on_is_put_back(forks: Forks, tmp_path: Path) -> None:
    study = Study(forks, tmp_path)
    for number in (3, 4, 5):
        study.video(f"{number}.mp4", number)
    lose = f"""
import os
from fermedia.store.ledger import Ledger
first = Ledger.add
def add(self, *outcomes):
    first(self, *outcomes)
    if outcomes[0].key == "4.mp4":
        os.unlink({str(study.out / LEDGER)!r})
Ledger.add = add
"""
    study.analyze("--no-video", before=lose)
    assert study.items() == ["3.mp4", "4.mp4", "5.mp4"]
    assert study.analyze("--no-video").startswith("3 of 3 items (3 of them before)")


@needs_open_files_to_go
def test_another_ledger_in_its_place_is_not_written(forks: Forks, tmp_path: Path) -> None:
    study = Study(forks, tmp_path)
    study.video("3.mp4", 3)
    lose = f"""
import os, pathlib
from fermedia.store.ledger import Ledger
first = Ledger.begin
def begin(self, *about):
    first(self, *about)
    os.unlink({str(study.out / LEDGER)!r})
    pathlib.Path({str(study.out / LEDGER)!r}).write_text("mine")
Ledger.begin = begin
"""
    said = study.analyze("--no-video", "--quiet", before=lose, status=1)
    assert said.count("\n") == 1
    assert "ledger.jsonl: cannot be written any more (something else is in its place)" in said
    assert (study.out / LEDGER).read_text() == "mine"


# -- edited records -------------------------------------------------------------------------------------------------

ABSURD: list[Any] = [None, -1, 1e308, float("nan"), "x", "1/0", [], [None], {}, {"a": 1}, 10**30, True]


def leaves(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield way
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, (*way, name))


def changed(value: Any, way: tuple[Any, ...], to: Any) -> Any:
    if not way:
        return to
    return value | {way[0]: changed(value[way[0]], way[1:], to)}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["items/a.mp4/item.json", "items/class/photos/item.json", "run.json"])
def test_absurd_values_in_any_place_of_a_record_are_one_line(study: Study, name: str) -> None:
    path = study.out / name
    whole = json.loads(path.read_text())
    refused = []
    ways = [way for way in leaves(whole) if len(way) < 2 or name != "run.json"]
    for number, way in enumerate(ways):
        for value in (ABSURD * 2)[5 * number % len(ABSURD) :][: len(ABSURD) // 4]:
            path.write_text(json.dumps(changed(whole, way, value)))
            refused += refusals(study, remake)
    assert len(refused) > 10 or name == "run.json"
    assert not [line for line in refused if "\n" in line]


def refusals(study: Study, *commands: Callable[[Path], object]) -> list[str]:
    """What those commands say of the results that refuse them; any other error is raised."""
    said = []
    for command in commands:
        try:
            command(study.out)
        except FermediaError as error:
            said.append(str(error))
    return said


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("column", ["frame", "timestamp", "face_id", "x", "width", "happy", "emotion", "confidence"])
def test_absurd_values_in_a_timeline_are_one_line(study: Study, column: str) -> None:
    def merged(out: Path) -> None:
        merge([out], study.folder / "all.parquet")

    path = study.place("a.mp4") / "timeline.csv"
    whole = pd.read_csv(path, dtype=str, keep_default_na=False)
    for value in ("-5", "1e300", "9" * 20, "inf", "nan", "x", ""):
        table = whole.copy()
        table.loc[3, column] = value
        table.to_csv(path, index=False, lineterminator="\n")
        assert not [line for line in refusals(study, remake, merged, read_status) if "\n" in line]


def test_absurd_values_are_mended_by_analyze_and_refused_by_the_others(study: Study) -> None:
    path = study.place("a.mp4") / "item.json"
    own = path.read_text()
    for end in (-5, "soon", 1e300):
        path.write_text(json.dumps(json.loads(own) | {"end": end}))
        done = every_command(study)
        assert [done[name][0] for name in ("status", "check", "merge", "report", "plot", "analyze")] == [
            1,
            1,
            2,
            1,
            2,
            0,
        ]
        assert json.loads(path.read_text()) | {"seconds_taken": 0} == json.loads(own) | {"seconds_taken": 0}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in folders here")
@pytest.mark.parametrize(
    "name",
    ["run.json", "summary.csv", "failures.csv", "participants.csv", "report.html", LEDGER]
    + [f"items/a.mp4/{name}" for name in ("item.json", "timeline.csv", "segments.csv", "report.html", "report.js")]
    + ["items/a.mp4/previews/index.csv", "items/a.mp4/previews/video.jpg"],
)
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(study: Study, name: str) -> None:
    path = study.out / name
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    for command, (status, said) in every_command(study, "plot", "check").items():
        assert status in ((2,) if name == LEDGER else (0, 1, 2)), (command, said)
        assert said.count("\n") == 1 or status != 2
    if name != LEDGER:
        assert study.analyze("--no-video").endswith("report.html\n")


# -- after kills ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["segments.srt", "report.js", "report.html", "row"])
def test_killed_while_formats_are_added_the_page_lists_them_afterwards(study: Study, step: str) -> None:
    kill = DIE
    if step == "row":
        kill += "from fermedia.store.ledger import Ledger\nLedger.add = die\n"
    else:
        kill += f"""
from pathlib import Path
first = Path.replace
def replace(self, target):
    made = first(self, target)
    if Path(target).name == {step!r}:
        die()
    return made
Path.replace = replace
"""
    study.analyze("--no-video", "--export", "srt", status=KILLED, before=kill)
    study.analyze("--no-video")  # it is remembered
    assert '"segments.srt"' in (study.place("a.mp4") / "report.js").read_text()
    assert not list(study.out.rglob("*.changed*"))
    assert study.status("--check")["damaged"] == {}


def test_what_killed_commands_leave_goes_and_pages_never_list_it(study: Study) -> None:
    die_in = DIE + "import os\nfrom pathlib import Path\nPath.replace = die\n"
    assert study.forks.run("plot", study.out, "--quiet", before=die_in)[0] == KILLED
    table = study.folder / "tables" / "all.csv"
    table.parent.mkdir()
    assert study.forks.run("merge", study.out, "--out", table, before=die_in)[0] == KILLED
    assert len(list(study.out.rglob(f"{HALF_WRITTEN}*"))) == 1
    assert len(list(table.parent.iterdir())) == 1
    study.run("report")
    for page in study.out.rglob("*.js"):
        assert HALF_WRITTEN not in page.read_text()
    study.run("merge", "--out", table)
    assert [path.name for path in table.parent.iterdir()] == ["all.csv"]
    study.run("plot")
    assert not list(study.out.rglob(f"{HALF_WRITTEN}*"))
    assert study.forks.run("plot", study.out, "--quiet", before=die_in)[0] == KILLED
    study.analyze("--no-video")  # nobody may plot again
    assert not list(study.out.rglob(f"{HALF_WRITTEN}*"))


def test_what_is_being_written_is_not_swept_away(tmp_path: Path) -> None:
    elsewhere = tmp_path / f"{HALF_WRITTEN}00000000-1-x.csv"  # on another machine, as far as one can tell
    elsewhere.touch()
    (tmp_path / f"{HALF_WRITTEN}mine").touch()
    with whole_file(tmp_path / "table.csv") as temporary:
        sweep(tmp_path)
        assert temporary.exists()
        temporary.write_text("x")
    assert {path.name for path in tmp_path.iterdir()} == {"table.csv", elsewhere.name, f"{HALF_WRITTEN}mine"}
    sweep(tmp_path / "none")


def test_a_killed_run_and_its_checksums(forks: Forks, tmp_path: Path) -> None:
    """What stands in the ledger of a killed run is whole; what does not is made again and not taken for somebody's."""
    study = Study(forks, tmp_path)
    for number in (3, 4, 5):
        study.video(f"{number}.mp4", number)
    child = forks.start("analyze", study.inputs, "--out", study.out, "--no-video")
    until(lambda: (study.out / "items").is_dir(), child)
    child.kill()
    child.wait()
    assert study.status("--check")["damaged"] == {}
    study.analyze("--no-video")
    assert study.items() == ["3.mp4", "4.mp4", "5.mp4"]
    assert not list(study.out.rglob("*.changed*"))
    assert all(outcome.outputs for outcome in Ledger.read(study.out).outcomes.values())
