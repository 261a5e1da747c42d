"""What is made of finished runs: merged tables, figures, groups."""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result
from PIL import Image as PIL

import fermedia
from fermedia.cli import cli
from fermedia.columns import MERGED, SUMMARY_COLUMNS, TIMELINE_COLUMNS
from fermedia.errors import FermediaError, OutputError, UsageError
from tests.videos import astronaut, moving_faces, numbered, write_video


def run(*arguments: str | Path) -> Result:
    """The command, in this process; what ``main`` would turn into a line is raised."""
    done = CliRunner().invoke(cli, [str(a) for a in arguments], standalone_mode=False)
    if isinstance(done.exception, FermediaError):
        raise done.exception
    assert done.exception is None, done.output
    return done


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    write_video(folder / "face $x$.mp4", moving_faces(24, (240, 180)))
    write_video(folder / "=none.mp4", numbered(5, (160, 120)))
    (folder / "class").mkdir()
    for name in ("b 10.jpg", "b 9.jpg"):
        PIL.fromarray(astronaut()[:256, 96:352]).save(folder / "class" / name)
    return folder


@pytest.fixture(scope="module")
def results(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("one") / "results"
    run("analyze", recordings, "--out", out, "--no-video", "--quiet")
    return out


@pytest.fixture
def another(results: Path, tmp_path: Path) -> Path:
    """A second run of the same name and content elsewhere."""
    return Path(shutil.copytree(results, tmp_path / "results"))


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_timelines_of_runs_become_one(results: Path, another: Path, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"all.{suffix}"
    run("merge", results, another, "--out", out)
    merged = fermedia.read_timeline(out)
    assert tuple(merged.columns) == ("run", "item", *TIMELINE_COLUMNS)
    assert merged["run"].unique().tolist() == [str(results), str(another)]  # of one name, hence their paths
    assert merged["item"].unique().tolist() == ["./=none.mp4", "class/photos", "face $x$.mp4"]
    paths = {key: results / "items" / key / "timeline.csv" for key in ("class/photos", "face $x$.mp4")}
    parts = {key: fermedia.read_timeline(path) for key, path in paths.items()}
    for (_, item), rows in merged.groupby(["run", "item"]):
        if item in parts:
            ours = rows[list(TIMELINE_COLUMNS)].reset_index(drop=True)
            pd.testing.assert_frame_equal(ours, parts[item], check_dtype=False)
    assert fermedia.summary(merged).groupby("run")["item"].nunique().tolist() == [3, 3]


def test_the_merged_csv_has_the_very_text_of_the_timelines(results: Path, tmp_path: Path) -> None:
    run("merge", results, "--out", tmp_path / "all.csv", "--quiet")
    with (tmp_path / "all.csv").open(newline="") as file:
        rows = [row for row in csv.reader(file) if row[1] == "face $x$.mp4"]
    with (results / "items/face $x$.mp4/timeline.csv").open(newline="") as file:
        assert [row[2:] for row in rows] == list(csv.reader(file))[1:]
    assert {row[0] for row in rows} == {"results"}


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_summaries_and_segments_too(results: Path, tmp_path: Path, suffix: str) -> None:
    read = {"csv": pd.read_csv, "parquet": pd.read_parquet}[suffix]
    run("merge", results, "--table", "summary", "--out", tmp_path / f"s.{suffix}")
    table = read(tmp_path / f"s.{suffix}")
    assert tuple(table.columns) == ("run", *SUMMARY_COLUMNS)
    assert sorted(table["item"]) == sorted(pd.read_csv(results / "summary.csv")["item"])
    run("merge", results, "--table", "segments", "--out", tmp_path / f"g.{suffix}")
    segments = read(tmp_path / f"g.{suffix}")
    video = results / "items/face $x$.mp4"
    ours = fermedia.segments(fermedia.read_timeline(video / "timeline.csv"), end=0.96)
    rows = [table.astype(object).fillna("").to_numpy().tolist() for table in (segments, ours)]
    assert [row[len(MERGED) :] for row in rows[0]] == rows[1]


def test_wrong_merges_say_what_is_wrong(results: Path, another: Path, tmp_path: Path) -> None:
    wrong: list[tuple[list[str | Path], str]] = [
        ([results, "--out", tmp_path / "all.xlsx"], "must end in .csv or .parquet"),
        ([results, tmp_path, "--out", tmp_path / "all.csv"], "has no results of fermedia"),
        ([results, results, "--out", tmp_path / "all.csv"], "given twice"),
    ]
    for arguments, message in wrong:
        with pytest.raises(UsageError, match=message):
            run("merge", *arguments)
    path = another / "items/face $x$.mp4/timeline.csv"
    path.write_text("source,frame\n")
    with pytest.raises(UsageError, match="has other columns"):
        run("merge", another, "--out", tmp_path / "all.csv")
    (another / "items/class/photos/item.json").unlink()
    with pytest.raises(UsageError, match="gone or damaged"):
        run("merge", another, "--out", tmp_path / "all.csv")
    assert not (tmp_path / "all.csv").exists()
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        run("merge", results, "--out", tmp_path / "file" / "all.csv")


PHOTOS = "items/class/photos"

#: A file of a run's folder, what is done to its bytes, and the commands that then refuse it in a line that matches.
DAMAGE: list[tuple[str, Callable[[bytes], bytes], dict[str, str]]] = [
    (f"{PHOTOS}/item.json", lambda b: b[:50], {"report": "cannot be read", "plot": "damaged", "merge": "damaged"}),
    (f"{PHOTOS}/item.json", lambda b: b"[1]", {"report": "does not describe", "plot": "damaged", "merge": "damaged"}),
    (f"{PHOTOS}/item.json", lambda b: b"{}", {"report": "does not describe", "plot": "damaged", "merge": "damaged"}),
    (f"{PHOTOS}/item.json", lambda b: b.replace(b'"photos"', b"3"), {"report": "does not describe"}),
    (
        f"{PHOTOS}/timeline.csv",
        lambda b: b + b"\xf1",
        {"report": "not a timeline", "plot": "not a", "merge": "damaged"},
    ),
    (f"{PHOTOS}/timeline.csv", lambda b: b + b"a.png,1\n", {"report": "not a timeline", "merge": "2 columns"}),
    (f"{PHOTOS}/timeline.csv", lambda b: re.sub(rb"(,1,0\.\d+),[\d.]+,", rb"\1,,", b), {"report": "x is missing"}),
    (
        f"{PHOTOS}/timeline.csv",
        lambda b: b.replace(b",1,0.", b",1,O."),
        {"report": "not a", "merge parquet": "damaged"},
    ),
    ("run.json", lambda b: b[:50], {"report": "run.json: cannot be read"}),
    ("run.json", lambda b: b"[1]", {"report": "run.json: cannot be read"}),
    ("summary.csv", lambda b: b.replace(b",item,", b",face,"), {"report": "no row for all"}),
    ("summary.csv", lambda b: b"item,level\n", {"report": "not a summary", "merge csv --table items": "not a summary"}),
    ("summary.csv", lambda b: b"\xff" + b, {"report": "damaged", "merge": "damaged"}),
    ("failures.csv", lambda b: b"\xff\n" + b, {"report": "damaged"}),
]


@pytest.mark.parametrize("number", range(len(DAMAGE)))
def test_damaged_results_are_refused_in_one_line(another: Path, tmp_path: Path, number: int) -> None:
    name, damage, commands = DAMAGE[number]
    path = another / name
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    assert path.read_bytes() != whole
    for command, message in commands.items():
        command, *more = command.split()
        if command == "merge":
            more = ["--out", str(tmp_path / f"all.{more[0] if more else 'csv'}"), *more[1:]]
        with pytest.raises(FermediaError, match=message) as raised:
            run(command, another, *more)
        assert "\n" not in str(raised.value)
    assert not list(tmp_path.glob("all.*"))


def test_a_run_has_its_figures(another: Path) -> None:
    said = run("plot", another).output
    assert "figures of 3 items" in said
    made = {str(p.relative_to(another)) for p in another.rglob("plots/*")}
    videos = {
        f"items/{key}/plots/{name}" for key in ("face $x$.mp4", "=none.mp4") for name in ("timeline", "distribution")
    }
    names = videos | {"items/class/photos/plots/distribution", "plots/heatmap"}
    assert made == {name + suffix for name in names for suffix in (".png", ".svg")}
    assert "face $x$.mp4" in (another / "items/face $x$.mp4/plots/timeline.svg").read_text()
    with pytest.raises(UsageError, match="has no results"):
        run("plot", another / "items")


def test_figures_of_what_is_asked_for(recordings: Path, another: Path, tmp_path: Path) -> None:
    said = run("plot", another, "--format", "pdf", "--items", "face*", "--faces", "0", "--width", "9").output
    assert "figures of 1 item in" in said
    made = {str(p.relative_to(another)) for p in another.rglob("plots/*")}
    assert made == {
        *(f"items/face $x$.mp4/plots/{name}.pdf" for name in ("timeline", "distribution")),
        "plots/heatmap.pdf",
    }
    assert (another / "plots/heatmap.pdf").read_bytes().startswith(b"%PDF")
    wrong = [
        (("--format", "gif"), "--format knows png, svg, pdf, got gif"),
        (("--emotions", "happy,joy"), "--emotions knows angry,.*got joy"),
        (("--items", "face.mp4"), r"--items face.mp4: no item is called so \(did you mean face \$x\$.mp4\?\)"),
        (("--items", "face*", "--faces", "77"), "--faces 77: no item has such a face or person"),
    ]
    for arguments, message in wrong:
        with pytest.raises(UsageError, match=message):
            run("plot", another, *arguments)
    names = tmp_path / "people.csv"
    names.write_text("item,face_id,person\nface $x$.mp4,0,Ana\n")
    run("analyze", recordings, "--out", another, "--no-video", "--quiet", "--people", names)
    said = run("plot", another, "--format", "svg", "--kind", "timeline", "--faces", "Ana,Bne").output
    assert "figures of 2 items in" in said
    assert "no item has a face or person Bne" in said
    assert ">Ana</text>" in (another / "items/face $x$.mp4/plots/timeline.svg").read_text()
    run("analyze", recordings, "--out", another, "--no-video", "--quiet", "--people", "none")
    who = tmp_path / "who.csv"
    who.write_text("item,participant,condition,a/b\nface $x$.mp4,Ana,x,1\nclass/photos,Ana,y,2\n")
    run("analyze", recordings, "--out", another, "--no-video", "--quiet", "--participants", who)
    said = run("plot", another, "--format", "svg").output
    assert "of all videos, of participants in" in said
    assert {path.name for path in (another / "plots").glob("*.svg")} == {
        "heatmap.svg",
        "by_condition.svg",
        "by_a_b.svg",
        "differences_condition.svg",
        "differences_a_b.svg",
    }


def test_figures_do_not_make_a_finished_item_unfinished(recordings: Path, another: Path) -> None:
    run("plot", another, "--quiet")
    inode = os.stat(another / "items/face $x$.mp4/item.json").st_ino
    run("analyze", recordings, "--out", another, "--no-video", "--quiet")
    assert os.stat(another / "items/face $x$.mp4/item.json").st_ino == inode


def test_participants_bring_tables_and_take_them_away(recordings: Path, another: Path, tmp_path: Path) -> None:
    who = tmp_path / "who.csv"
    rows = ("face $x$.mp4,Ana,before,30", "class/photos,Ben,before,40", "other.mp4,C,after,")
    who.write_text("\n".join(["item,participant,condition,#age", *rows]))
    command = ("analyze", recordings, "--out", another, "--no-video", "--quiet")
    said = run(*command, "--participants", who).output
    assert said == "fermedia: who.csv names what the results do not hold: other.mp4, and leaves out =none.mp4\n"
    people = pd.read_csv(another / "participants.csv")
    assert people["participant"].tolist() == ["Ana", "Ben"]
    items = pd.read_csv(another / "items.csv").set_index("item")
    assert people["happy_mean"][0] == items.loc["face $x$.mp4", "happy_mean"]
    assert items["participant"].fillna("").to_dict() == {
        "face $x$.mp4": "Ana",
        "class/photos": "Ben",
        "./=none.mp4": "",
    }
    for name in ("items", "faces", "summary"):
        table = pd.read_csv(another / f"{name}.csv")
        assert table.loc[table["item"] == "face $x$.mp4", ["participant", "condition"]].iloc[-1].tolist() == [
            "Ana",
            "before",
        ]
    described = pd.read_csv(another / "data_dictionary.csv").groupby("table")["column"].agg(tuple)
    for name in ("items", "faces", "summary", "participants", "conditions", "comparisons"):
        assert described[name] == tuple(pd.read_csv(another / f"{name}.csv", nrows=0))
    for name in ("timeline", "segments", "photos", "faces"):
        run("merge", another, "--table", name, "--out", tmp_path / "m.csv", "--quiet")
        merged = pd.read_csv(tmp_path / "m.csv")
        assert tuple(merged)[:4] == ("run", "item", "participant", "condition")
        if name == "timeline":
            timeline = fermedia.read_timeline(tmp_path / "m.csv")
            assert list(timeline)[:6] == ["run", "item", "participant", "condition", "age", "source"]
            assert timeline["participant"].fillna("").tolist() == merged["participant"].fillna("").tolist()
        ours = merged[merged["item"] == ("class/photos" if name == "photos" else "face $x$.mp4")]
        assert set(ours["participant"]) == {"Ben" if name == "photos" else "Ana"}
    conditions = pd.read_csv(another / "conditions.csv")
    assert set(conditions["condition"]) == {"before"}
    assert (conditions["participants"] == 2).all()
    run(*command, "--participants", "none")
    assert not (another / "participants.csv").exists()
    assert not (another / "conditions.csv").exists()
    assert "participant" not in pd.read_csv(another / "items.csv")
    who.write_text("item,who\n")
    with pytest.raises(UsageError, match="has no column participant;"):
        run("analyze", recordings, "--out", tmp_path / "new", "--participants", who)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("missing", "arguments", "extra"),
    [
        ("pyarrow", ["merge", "RESULTS", "--out", "all.parquet"], "parquet"),
        ("matplotlib", ["plot", "RESULTS"], "plots"),
        ("pyarrow", ["analyze", "RECORDINGS", "--out", "new", "--format", "parquet"], "parquet"),
    ],
)
def test_a_missing_package_is_one_line_and_no_work(
    missing: str, arguments: list[str], extra: str, recordings: Path, results: Path, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules[{missing!r}] = None\n")
    words = [{"RESULTS": str(results), "RECORDINGS": str(recordings)}.get(word, word) for word in arguments]
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{Path(fermedia.__file__).parents[1]}"}
    command = [sys.executable, "-m", "fermedia", *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f'pip install "fermedia[{extra}]"' in done.stderr
    assert {path.name for path in tmp_path.iterdir()} <= {"sitecustomize.py", "__pycache__"}
