"""Events from a file to tables, pages and figures, through the commands; and what a folder remembers of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from fermedia.cli import cli
from fermedia.columns import COURSES, EVENTS, MERGED, WINDOWS
from fermedia.errors import FermediaError, UsageError
from fermedia.report.events import read_courses, read_windows
from fermedia.report.pages import is_current
from fermedia.tables.finished import place
from tests.made_up import EVOKED, response, write_run
from tests.videos import moving_faces, numbered, write_video


def run(*arguments: str | Path) -> Result:
    """The command, in this process; what ``main`` would turn into a line is raised."""
    done = CliRunner().invoke(cli, [str(a) for a in arguments], standalone_mode=False)
    if isinstance(done.exception, FermediaError):
        raise done.exception
    assert done.exception is None, done.output
    return done


def data(page: Path) -> dict[str, Any]:
    """The data of a page."""
    return json.loads(page.read_text(encoding="utf-8").removeprefix("window.report = ").rstrip(";\n"))


# -- a study --


def make_study(folder: Path, count: int) -> Path:
    """People who see three events each, in two conditions, in made-up results; and the files of a study."""
    items, events, people = {}, ["item,begin,end,label,trial"], ["item,participant,condition"]
    for person in range(count):
        strength = 1.0 if person % 2 else 0.2
        items[f"p{person}.mp4"], seen = response(person, strength, rate=10.0)
        events += [f"p{person}.mp4,{b},{e},{label},{n}" for n, (b, e, label) in enumerate(seen, 1)]
        people.append(f"p{person}.mp4,P{person},{'company' if person % 2 else 'alone'}")
    write_run(folder / "results", items)
    (folder / "events.csv").write_text("\n".join(events) + "\n")
    (folder / "people.csv").write_text("\n".join(people) + "\n")
    return folder


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of eight people."""
    return make_study(tmp_path_factory.mktemp("study"), 8)


@pytest.fixture
def results(study: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(study / "results", tmp_path / "results"))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of two people."""
    return make_study(tmp_path_factory.mktemp("pair"), 2)


@pytest.fixture
def two(pair: Path, tmp_path: Path) -> Path:
    """The results of two people."""
    return Path(shutil.copytree(pair / "results", tmp_path / "two"))


OPTIONS = ("--baseline", "rest", "--before", "3", "--after", "12", "--bin", "1")


def test_a_study_shows_what_its_events_evoke(study: Path, results: Path) -> None:
    said = run("report", results, "--events", study / "events.csv", *OPTIONS).output
    assert "48 rows in" in said
    assert "of 24 events" in said
    windows = pd.read_csv(results / "windows.csv")
    assert tuple(windows) == WINDOWS.names
    everyone = windows[windows["level"] == "item"].set_index("label")
    for label in ("comedy", "loss"):
        assert everyone.loc[label, f"change_{EVOKED[label]}"].min() > 0.1
        assert everyone.loc[label, "change_neutral"].mean() < -0.1
    assert everyone.loc["rest", [f"change_{e}" for e in EVOKED.values()]].abs().max(axis=None) < 2e-6
    courses = pd.read_csv(results / "courses.csv")
    assert tuple(courses) == COURSES.names
    happy = courses[(courses["label"] == "comedy") & (courses["measure"] == "happy")].set_index("begin")
    assert happy.index.tolist() == [float(b) for b in range(-3, 12)]
    assert happy.loc[-1, "change"] < 0.1 < happy.loc[5, "change"]  # the answer begins after a second
    assert happy.loc[5, "change_low"] > 0
    assert happy["count"].tolist() == [8] * 15


def test_tables_pages_and_figures_agree(study: Path, results: Path, tmp_path: Path) -> None:
    run("report", results, "--events", study / "events.csv", *OPTIONS)
    windows, courses = read_windows(results), read_courses(results)
    assert windows is not None
    assert courses is not None
    section = data(results / "report/items.js")["run_events"]
    assert [row["label"] for row in section["windows"]] == list(dict.fromkeys(windows["label"]))
    comedy = windows[(windows["label"] == "comedy") & (windows["level"] == "item")]
    row = next(row for row in section["windows"] if row["label"] == "comedy")
    assert row["valence"] == pytest.approx(comedy["valence_mean"].mean(), abs=1e-4)
    assert row["change_valence"] == pytest.approx(comedy["change_valence"].mean(), abs=1e-4)
    drawn = next(course for course in section["courses"] if course["label"] == "comedy")
    table = courses[(courses["label"] == "comedy") & (courses["measure"] == "valence")]
    assert drawn["change"]["valence"] == pytest.approx(table["change"].tolist(), abs=1e-4)
    lane = data(place(results, "p0.mp4") / "report.js")["events"]
    assert [event[2] for event in lane] == ["rest", "loss", "comedy"]
    assert lane[0] == [0.0, 10.0, "rest", "1", None]
    run("merge", results, "--out", tmp_path / "all.csv", "--table", "windows")
    merged = pd.read_csv(tmp_path / "all.csv")
    assert list(merged) == [column.name for column in MERGED] + [n for n in WINDOWS.names if n != "item"]
    pd.testing.assert_frame_equal(merged[list(WINDOWS.names)], pd.read_csv(results / "windows.csv"))
    run("merge", results, "--out", tmp_path / "all.parquet", "--table", "windows")
    assert len(pd.read_parquet(tmp_path / "all.parquet")) == 48
    said = run("plot", results, "--kind", "courses", "--kind", "windows").output
    assert "of events in" in said
    assert sorted(path.name for path in (results / "plots").iterdir()) == [
        f"{name}.{suffix}" for name in ("courses", "windows") for suffix in ("png", "svg")
    ]
    svg = (results / "plots/courses.svg").read_text(encoding="utf-8")
    assert "comedy (8 items)" in svg
    assert not (place(results, "p0.mp4") / "plots").exists()


def test_participants_are_whom_means_are_over(study: Path, results: Path) -> None:
    from fermedia.store.ledger import Ledger

    with Ledger.open(results) as ledger:  # as a run with --participants remembers it
        ledger.tell({"participants": str(study / "people.csv")})
    run("report", results, "--events", study / "events.csv", *OPTIONS)
    courses = pd.read_csv(results / "courses.csv")
    assert set(courses["over"]) == {"participants"}
    assert set(courses["condition"]) == {"alone", "company"}
    assert courses["count"].max() == 4
    windows = pd.read_csv(results / "windows.csv")
    known = windows[windows["participant"].notna()]
    assert set(known["level"]) == {"item"}
    assert known["participant"].nunique() == 8
    section = data(results / "report/items.js")["run_events"]
    assert section["over"] == "participants"
    assert {row["units"] for row in section["windows"]} == {4}
    run("plot", results, "--kind", "windows")
    assert "company" in (results / "plots/windows.svg").read_text(encoding="utf-8")


def test_events_are_remembered_until_they_are_taken_back(pair: Path, two: Path) -> None:
    events = Path(shutil.copy(pair / "events.csv", two.parent / "events.csv"))
    run("report", two, "--events", events, "--baseline", "rest")
    first = (two / "windows.csv").read_text()
    run("report", two)
    assert (two / "windows.csv").read_text() == first
    run("report", two, "--baseline", "none")
    assert pd.read_csv(two / "windows.csv")["change_happy"].isna().all()
    with events.open("a") as file:
        file.write("p0.mp4,55,58,end,4\n")
    run("report", two)
    assert len(pd.read_csv(place(two, "p0.mp4") / "events.csv")) == 4
    said = CliRunner().invoke(cli, ["status", str(two)]).output
    assert f"--events {events}" in said
    assert "--baseline" not in said
    assert "damaged" not in said
    kept = (two / "windows.csv").read_text()
    events.rename(events.with_name("moved.csv"))
    said = run("report", two).output  # as after copying the folder to another machine
    assert "cannot be read" in said
    assert "windows.csv and courses.csv are not updated" in said
    assert (two / "windows.csv").read_text() == kept
    assert len(data(place(two, "p0.mp4") / "report.js")["events"]) == 4
    run("report", two, "--events", "none")
    assert not (two / "windows.csv").exists()
    assert not (two / "courses.csv").exists()
    assert not (place(two, "p0.mp4") / "events.csv").exists()
    assert data(two / "report/items.js")["run_events"] is None
    assert data(place(two, "p0.mp4") / "report.js")["events"] == []
    assert "--events" not in CliRunner().invoke(cli, ["status", str(two)]).output


def test_a_baseline_that_is_a_label_goes_with_the_events(pair: Path, two: Path) -> None:
    run("report", two, "--events", pair / "events.csv", "--baseline", "rest")
    run("report", two, "--events", "none")
    assert not (two / "windows.csv").exists()
    assert "--baseline" not in CliRunner().invoke(cli, ["status", str(two)]).output
    run("report", two, "--events", pair / "events.csv", "--baseline", "1s")
    run("report", two, "--events", "none")
    assert pd.read_csv(two / "windows.csv")["event"].isna().all()  # of whole videos, against their first second
    with pytest.raises(UsageError, match="--baseline must be longer than 0 seconds"):
        run("report", two, "--baseline", "0s")


def test_figures_of_events_show_the_chosen_emotions(pair: Path, two: Path) -> None:
    run("report", two, "--events", pair / "events.csv", "--baseline", "rest")
    for emotions, width in (("happy", "18"), ("happy,sad", "8.5")):
        run(
            "plot",
            two,
            "--kind",
            "windows",
            "--kind",
            "courses",
            "--format",
            "svg",
            "--emotions",
            emotions,
            "--width",
            width,
        )
        for name in ("windows", "courses"):
            drawn = (two / f"plots/{name}.svg").read_text()
            assert ">happy<" in drawn
            assert (">sad<" in drawn) is ("sad" in emotions)
            assert ">angry<" not in drawn
    run("plot", two, "--kind", "courses", "--faces", "0")


def test_tables_are_made_again_only_when_something_has_changed(pair: Path, two: Path) -> None:
    def made(*options: str) -> int:
        run("report", two, *options)
        return (two / "windows.csv").stat().st_mtime_ns

    first = made("--events", str(pair / "events.csv"), "--baseline", "rest")
    whole = (two / "windows.csv").read_text()
    assert made() == first
    assert made("--after", "7") != first
    assert made("--after", "5") != first
    assert (two / "windows.csv").read_text() == whole
    with (two / "windows.csv").open("a") as file:
        file.write("by hand\n")
    made()
    assert (two / "windows.csv").read_text() == whole
    (two / "courses.csv").unlink()
    made()
    assert (two / "courses.csv").is_file()


def test_a_baseline_alone_is_of_whole_videos(two: Path) -> None:
    run("report", two, "--baseline", "10s")
    windows = pd.read_csv(two / "windows.csv")
    assert len(windows) == 4
    assert windows["event"].isna().all()
    assert windows["change_neutral"].mean() < -0.1
    assert not (two / "courses.csv").exists()
    assert data(two / "report/items.js")["run_events"]["whole"]
    run("plot", two, "--kind", "windows")
    with pytest.raises(UsageError, match=r"has no courses.csv"):
        run("plot", two, "--kind", "courses")


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (("--baseline", "calm"), "is a label of events, and there are none; add --events, or give 10s"),
        (("--events", "{events}", "--baseline", "calm"), "no event has this label; there are comedy, loss, rest; or"),
        (("--events", "{other}"), r"names what is no video of the results: q0.mp4 \(did you mean p0.mp4\?\)"),
        (("--events", "{missing}"), "cannot be read"),
        (("--bin", "0"), "--bin must be greater than 0"),
        (("--before", "-1"), "--before must be 0 or more"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_not_remembered(
    pair: Path, two: Path, tmp_path: Path, options: tuple[str, ...], what: str
) -> None:
    paths = {"events": pair / "events.csv", "missing": tmp_path / "no.csv", "other": tmp_path / "other.csv"}
    paths["other"].write_text("item,begin,label\nq0.mp4,1,film\n")
    with pytest.raises(UsageError, match=what) as error:
        run("report", two, *(option.format(**paths) for option in options))
    assert "\n" not in str(error.value)
    assert not (two / "windows.csv").exists()
    run("report", two)
    assert not (two / "windows.csv").exists()


def test_tables_that_do_not_exist_are_said_so(two: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no windows; make them with fermedia report"):
        run("merge", two, "--out", tmp_path / "w.csv", "--table", "windows")
    with pytest.raises(UsageError, match=r"has no windows.csv"):
        run("plot", two, "--kind", "windows")


def test_a_file_of_the_user_is_kept(pair: Path, two: Path) -> None:
    mine = place(two, "p0.mp4") / "events.csv"
    mine.write_text("my own notes\n")
    run("report", two, "--events", pair / "events.csv")
    assert mine.with_name("events.csv.changed").read_text() == "my own notes\n"
    assert pd.read_csv(mine).columns.tolist() == list(EVENTS.names)


# -- real runs --


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    metadata = {"creation_time": "2026-05-04T12:03:00Z"}
    write_video(folder / "face.mp4", moving_faces(30, (240, 180)), 10, metadata=metadata)
    write_video(folder / "none.mp4", numbered(20, (160, 120)), 10)
    return folder


def test_a_run_takes_events_and_later_ones_keep_them(recordings: Path, tmp_path: Path) -> None:
    inputs, out, events = tmp_path / "in", tmp_path / "out", tmp_path / "events.csv"
    shutil.copytree(recordings, inputs)
    events.write_text("item;onset;duration;trial_type\nface.mp4;0,5;1,5;film\nnone.mp4;0;1;film\nface.mp4;2,5;9;late\n")
    analyze = ("analyze", inputs, "--out", out, "--no-video", "--quiet", "--measures", "--every", "2")
    run(*analyze, "--events", events, "--workers", "0")
    windows = pd.read_csv(out / "windows.csv").set_index(["item", "label", "level"])
    film = windows.loc["face.mp4", "film", "item"]
    assert film["frames"] == 8  # every second of 30 frames, a fifth of a second each, and one from before
    assert film["seconds"] == pytest.approx(1.5)
    assert film["happy_mean"] > 0.9
    assert film["measured"] > 0.9
    assert windows.loc[("face.mp4", "late", "item"), "seconds"] == pytest.approx(0.5)
    nobody = windows.loc["none.mp4", "film", "item"]
    assert (nobody["frames"], nobody["frames_with_face"], nobody["seconds"]) == (5, 0, 0)
    assert data(place(out, "face.mp4") / "report.js")["events"][0] == [0.5, 2.0, "film", None, None]

    first = {name: (out / name).read_text() for name in ("windows.csv", "courses.csv")}
    run(*analyze, "--redo", "all", "--workers", "2")
    assert {name: (out / name).read_text() for name in first} == first  # whatever the number of workers
    assert len(data(place(out, "face.mp4") / "report.js")["events"]) == 2
    assert is_current(place(out, "face.mp4"))
    status = json.loads(CliRunner().invoke(cli, ["status", str(out), "--check", "--json"]).output)
    assert status["damaged"] == {}
    before = (place(out, "face.mp4") / "report.js").stat().st_mtime_ns
    assert "written again" not in run(*analyze).output
    assert (place(out, "face.mp4") / "report.js").stat().st_mtime_ns == before

    events.unlink()
    said = run(*analyze).output
    assert "cannot be read" in said
    assert "windows.csv and courses.csv are not updated" in said
    assert {name: (out / name).read_text() for name in first} == first
    run(*analyze, "--events", "none")
    assert not (out / "windows.csv").exists()


def test_wrong_events_end_a_run_before_its_work(recordings: Path, tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text("item,begin,label\nface.mp4,soon,film\n")
    with pytest.raises(UsageError, match="row 2: begin is 'soon'"):
        run("analyze", recordings, "--out", tmp_path / "out", "--events", tmp_path / "events.csv")
    assert not (tmp_path / "out").exists()


def test_dates_are_compared_with_when_the_recording_was_made(recordings: Path, tmp_path: Path) -> None:
    run("analyze", recordings, "--out", tmp_path / "out", "--no-video", "--quiet")
    events = tmp_path / "events.csv"
    events.write_text("item,begin,label\nface.mp4,2026-05-04T14:03:01.5+02:00,film\n")
    said = run("report", tmp_path / "out", "--events", events, "--after", "1").output
    assert "placed by the time that the file says it was recorded" in said
    windows = pd.read_csv(tmp_path / "out/windows.csv")
    assert windows["begin"].tolist() == [1.5, 1.5]
    assert windows["end"].tolist() == [2.5, 2.5]
    events.write_text("item,begin,label\nnone.mp4,2026-05-04T14:03:01.5+02:00,film\n")
    with pytest.raises(UsageError, match=r"none.mp4 does not say when it was recorded; add a column recording_start"):
        run("report", tmp_path / "out", "--events", events)
