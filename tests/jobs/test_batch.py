"""Whole runs over real files, through the real command."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest
from PIL import Image as PIL

import fermedia
from fermedia.columns import SEGMENT_COLUMNS, TIMELINE_COLUMNS
from fermedia.errors import MediaError, UsageError
from fermedia.options import LABELS
from fermedia.types import EMOTIONS
from tests.forks import Forks
from tests.systems import OPEN_FILES_GO, needs_signals
from tests.videos import astronaut, images, moving_faces, numbered, read_number, write_video


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The command as people start it."""
    command = [sys.executable, "-m", "fermedia", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def video_numbers(path: Path) -> list[tuple[float, int]]:
    return [(time, read_number(image)) for time, image in images(path)]


def tree(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as people have them: two videos of one name, images, a broken video, a text that calls itself one."""
    folder = tmp_path_factory.mktemp("recordings")
    write_video(folder / "talk.mp4", moving_faces(12), audio="aac")
    write_video(folder / "talk.mkv", numbered(6))
    (folder / "class 1").mkdir()
    for name in ("a 10.png", "a 9.jpg"):
        PIL.fromarray(astronaut()).save(folder / "class 1" / name)
    (folder / "class 1" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no image")
    (folder / "notes.mp4").write_text("not a video\n")
    (folder / "empty.mov").touch()
    return folder


@pytest.fixture(scope="module")
def results(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run over the folder, which several tests look at."""
    out = tmp_path_factory.mktemp("out") / "results"
    done = run("analyze", recordings, "--out", out, "--json")
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    (out.parent / "stdout.json").write_text(done.stdout)
    (out.parent / "stderr.txt").write_text(done.stderr)
    return out


def test_the_folder_holds_what_is_promised_and_nothing_else(results: Path) -> None:
    assert tree(results) == {
        "ledger.jsonl",
        "run.json",
        "items.csv",
        "faces.csv",
        "summary.csv",
        "failures.csv",
        "data_dictionary.csv",
        "report.html",
        *(f"report/{name}" for name in (*PAGE_FILES, "items.js")),
        *(f"items/{video}/{name}" for video in ("talk.mp4", "talk.mkv") for name in VIDEO_FILES),
        "items/talk.mp4/previews/0-" + rows(results / "items/talk.mp4/timeline.csv")[0]["emotion"] + ".jpg",
        *(f"items/class 1/photos/{name}" for name in PHOTO_FILES),
    }


PAGE_FILES = (
    "base.js",
    "batch.js",
    "drawing.js",
    "events.js",
    "measures.js",
    "video.js",
    "photos.js",
    "report.css",
    "timeline.js",
)
ITEM_FILES = ("timeline.csv", "item.json", "report.html", "report.js", "previews/index.csv")
VIDEO_FILES = (*ITEM_FILES, "annotated.mp4", "segments.csv", "previews/video.jpg")
PHOTO_FILES = (
    *ITEM_FILES,
    "photos.csv",
    "annotated/a 9.jpg",
    "annotated/a 10.png.jpg",
    "previews/0.jpg",
    "previews/1.jpg",
)


def test_segments_and_the_dictionary(results: Path) -> None:
    assert (results / "items/talk.mkv/segments.csv").read_text() == ",".join(SEGMENT_COLUMNS) + "\n"
    table = pd.read_csv(results / "data_dictionary.csv").groupby("table")["column"].agg(tuple)
    for name, path in {
        "timeline": "items/talk.mp4/timeline.csv",
        "segments": "items/talk.mp4/segments.csv",
        "summary": "summary.csv",
        "items": "items.csv",
        "faces": "faces.csv",
        "photos": "items/class 1/photos/photos.csv",
        "failures": "failures.csv",
    }.items():
        assert table[name] == tuple(pd.read_csv(results / path, nrows=0))


def test_failures_name_every_file_that_could_not_be_read(results: Path) -> None:
    failures = rows(results / "failures.csv")
    assert list(failures[0]) == ["item", "stage", "error"]
    assert {(f["item"], f["stage"]) for f in failures} == {
        ("notes.mp4", "open"),
        ("empty.mov", "open"),
        ("class 1/photos/broken.jpg", "decode"),
    }
    said = (results.parent / "stderr.txt").read_text()
    for name in ("notes.mp4", "empty.mov", "broken.jpg"):
        assert sum(name in line for line in said.splitlines()) == 1


def test_timeline_of_a_video(results: Path) -> None:
    timeline = rows(results / "items/talk.mp4/timeline.csv")
    assert tuple(timeline[0]) == TIMELINE_COLUMNS
    assert [int(r["frame"]) for r in timeline] == list(range(12))
    assert [r["timestamp"] for r in timeline] == [f"{n / 25:.6f}" for n in range(12)]
    assert {r["success"] for r in timeline} == {"1"}
    assert {r["face_id"] for r in timeline} == {"0"}
    for r in timeline:
        p = np.array([float(r[e]) for e in EMOTIONS])
        assert p.sum() == pytest.approx(1, abs=5e-6)
        assert r["emotion"] == EMOTIONS[int(p.argmax())]
    # The head drifts to the right, and the box with it.
    x = [float(r["x"]) for r in timeline]
    assert x[-1] - x[0] > 100


def test_a_video_without_faces_has_a_row_for_every_frame(results: Path) -> None:
    timeline = rows(results / "items/talk.mkv/timeline.csv")
    assert [(r["frame"], r["success"], r["face_id"], r["emotion"]) for r in timeline] == [
        (str(n), "0", "", "") for n in range(6)
    ]


def test_annotated_video_has_every_frame_once_at_its_time(results: Path) -> None:
    found = video_numbers(results / "items/talk.mp4/annotated.mp4")
    assert [number for _, number in found] == list(range(12))
    assert [t for t, _ in found] == pytest.approx([n / 25 for n in range(12)], abs=1e-3)
    with av.open(str(results / "items/talk.mp4/annotated.mp4")) as video:
        assert video.streams.video[0].codec_context.name == "h264"
        assert len(video.streams.audio) == 1


def test_images_are_one_item_in_natural_order(results: Path) -> None:
    timeline = rows(results / "items/class 1/photos/timeline.csv")
    assert [(r["source"], r["frame"], r["timestamp"], r["face_id"]) for r in timeline] == [
        ("a 9.jpg", "0", "", "0"),
        ("a 10.png", "1", "", "0"),
    ]


def test_summary_and_totals(results: Path) -> None:
    summary = pd.read_csv(results / "summary.csv")
    whole = summary[summary.level == "item"].set_index("item")
    items = pd.read_csv(results / "items.csv").set_index("item")
    assert items.kind.to_dict() == {"talk.mp4": "video", "talk.mkv": "video", "class 1/photos": "photos"}
    assert items.faces.to_dict() == {"talk.mp4": 1, "talk.mkv": 0, "class 1/photos": 2}
    same = [name for name in items if name in whole]
    pd.testing.assert_frame_equal(items[same], whole.loc[items.index, same])
    faces = pd.read_csv(results / "faces.csv")
    assert faces.item.tolist() == ["talk.mp4"]
    assert faces.face_id.tolist() == [0]
    assert faces.valence_mean[0] == whole.loc["talk.mp4", "valence_mean"]
    assert whole.coverage.to_dict() == {"talk.mp4": 1.0, "talk.mkv": 0.0, "class 1/photos": 1.0}
    assert whole.loc["talk.mp4", "seconds"] == pytest.approx(12 / 25, abs=1e-3)
    totals = json.loads((results.parent / "stdout.json").read_text())
    assert (totals["items"], totals["finished"], totals["frames"], len(totals["failures"])) == (5, 3, 20, 3)
    record = json.loads((results / "run.json").read_text())
    assert record["state"] == "finished"
    assert record["totals"] == totals


def test_a_folder_that_holds_other_things_is_refused(forks: Forks, recordings: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep me")
    (tmp_path / "run.json").write_text("{}")
    for out, words in (
        (tmp_path, "contains other files; name a new or empty folder"),
        (tmp_path / "mine.txt", "is a file"),
    ):
        status, said = forks.run("analyze", recordings / "talk.mkv", "--out", out)
        assert status == 2
        assert words in said
        assert "Traceback" not in said
    assert tree(tmp_path) == {"mine.txt", "run.json"}


def test_quiet_says_nothing(forks: Forks, recordings: Path, tmp_path: Path) -> None:
    said = forks.run("analyze", recordings / "talk.mkv", "--out", tmp_path / "out", "--quiet", "--no-video")
    assert said == (0, "")
    files = set(VIDEO_FILES) - {"annotated.mp4"}
    assert tree(tmp_path / "out/items") == {f"talk.mkv/{name}" for name in files}


def test_it_works_when_the_caller_has_closed_its_error_output(face_video: Path, tmp_path: Path) -> None:
    command = f"exec {sys.executable} -m fermedia analyze {face_video} --out {tmp_path / 'out'} --no-video 2>&-"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")
    assert (tmp_path / "out/items" / face_video.name / "timeline.csv").is_file()


def test_results_inside_the_input_folder_are_never_inputs(forks: Forks, tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", numbered(3))
    for _ in range(2):
        _, said = forks.run("analyze", tmp_path, "--out", tmp_path / "results", "--json", "--quiet")
        assert json.loads(said)["items"] == 1


def test_sampling_and_span(forks: Forks, tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", numbered(50))
    span = ("--every", "4", "--start", "0:00.4", "--end", "1.2")
    status, said = forks.run("analyze", video, "--out", tmp_path / "out", *span)
    assert status == 0, said
    timeline = rows(tmp_path / "out/items/a.mp4/timeline.csv")
    assert [int(r["frame"]) for r in timeline] == [10, 14, 18, 22, 26]  # counted from the start
    assert [float(r["timestamp"]) for r in timeline] == pytest.approx([n / 25 for n in (10, 14, 18, 22, 26)])
    assert [n for _, n in video_numbers(tmp_path / "out/items/a.mp4/annotated.mp4")] == list(range(10, 30))


def test_variable_rate_keeps_its_times(forks: Forks, tmp_path: Path) -> None:
    times = [Fraction(n, 1000) for n in (0, 40, 55, 200, 203, 900)]
    video = write_video(tmp_path / "phone.mp4", numbered(6), times=times)
    assert forks.run("analyze", video, "--out", tmp_path / "out")[0] == 0
    timeline = rows(tmp_path / "out/items/phone.mp4/timeline.csv")
    assert [float(r["timestamp"]) for r in timeline] == pytest.approx([float(t) for t in times], abs=1e-6)
    found = video_numbers(tmp_path / "out/items/phone.mp4/annotated.mp4")
    assert [number for _, number in found] == list(range(len(times)))
    assert [time for time, _ in found] == pytest.approx([float(time) for time in times], abs=1e-3)


def test_a_video_that_breaks_off_keeps_what_could_be_read(forks: Forks, tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.mp4", numbered(60), container_options={"movflags": "faststart"})
    content = whole.read_bytes()
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(content[: len(content) * 6 // 10])
    assert forks.run("analyze", broken, "--out", tmp_path / "out")[0] == 3
    timeline = rows(tmp_path / "out/items/broken.mp4/timeline.csv")
    assert 5 < len(timeline) < 60
    assert [(f["item"], f["stage"]) for f in rows(tmp_path / "out/failures.csv")] == [("broken.mp4", "decode")]


@needs_signals
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_run_leaves_only_what_is_finished(tmp_path: Path, sent: signal.Signals) -> None:
    (tmp_path / "in").mkdir()
    write_video(tmp_path / "in/a.mp4", numbered(3))
    write_video(tmp_path / "in/b.mp4", moving_faces(1500, (160, 120)))
    out = tmp_path / "out"
    command = [sys.executable, "-m", "fermedia", "analyze", str(tmp_path / "in"), "--out", str(out)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not (out / "items/a.mp4").is_dir():
        assert process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.02)
    os.kill(process.pid, sent)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert "interrupted" in said
    assert "Traceback" not in said
    assert tree(out) >= {"items/a.mp4/timeline.csv", "summary.csv", "failures.csv"}
    assert not [p for p in tree(out) if "b.mp4" in p or ("working" in p and OPEN_FILES_GO)]
    assert json.loads((out / "run.json").read_text())["state"] == "interrupted"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.mp4", "--out", "x"], "missing.mp4"),
        ([".", "--out", "x"], "no video or image"),
        (["a.mp4", "--out", "x", "--every", "0"], "--every must be greater than 0"),
        (["a.mp4", "--out", "x", "--every", "2", "--fps", "3"], "--every and --fps exclude each other"),
        (["a.mp4", "--out", "x", "--start", "5", "--end", "2"], "--end must lie after --start"),
        (["a.mp4", "--out", "x", "--start", "soon"], "not a time"),
        (["a.mp4", "--out", "x", "--detection-confidence", "2"], "must lie between 0 and 1"),
    ],
)
def test_wrong_calls_say_what_is_wrong(forks: Forks, tmp_path: Path, arguments: Sequence[str], message: str) -> None:
    status, said = forks.run("analyze", *arguments, cwd=tmp_path)
    assert status == 2
    assert message in said
    assert "Traceback" not in said
    assert not (tmp_path / "x").exists()


def test_each_head_can_be_asked_for(face_video: Path) -> None:
    default, *heads = (fermedia.analyze(face_video, every=25, labels=name) for name in (None, *LABELS))
    pd.testing.assert_frame_equal(default, heads[0])
    for one, other in combinations(heads, 2):
        assert (one.neutral - other.neutral).abs().min() > 1e-4
    with pytest.raises(UsageError, match="labels must be one of everyday, fer2013, ferplus, got 'mine'"):
        fermedia.analyze(face_video, labels="mine")


def test_a_damaged_model_is_refused(forks: Forks, tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", numbered(2))
    status, said = forks.run("analyze", video, "--out", tmp_path / "out", "--model", tmp_path)
    assert status == 1
    assert "card.json" in said
    assert not (tmp_path / "out").exists()


def test_the_python_interface_gives_the_timeline(face_video: Path, tmp_path: Path) -> None:
    table = fermedia.analyze(face_video, every=10)
    assert tuple(table.columns) == TIMELINE_COLUMNS
    assert table.frame.tolist() == [0, 10, 20, 30, 40]
    assert table.success.all()
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(MediaError, match=r"text\.mp4"):
        fermedia.analyze(tmp_path / "text.mp4")


def test_analysis_never_loads_tensorflow(face_video: Path) -> None:
    code = (
        f"import sys, fermedia; fermedia.analyze({str(face_video)!r}, every=25)\n"
        "print([m for m in ('tensorflow', 'keras') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_shared_recordings(shared: Path, tmp_path: Path) -> None:
    done = run("analyze", shared / "media", "--out", tmp_path / "x", "--no-video", "--every", "8", "--json")
    assert done.returncode == 0, done.stderr
    photos = rows(tmp_path / "x/items/photos/timeline.csv")
    assert [r["source"] for r in photos] == ["multi_face.jpg"] * 5 + ["single_face.jpg"]
    nobody = rows(tmp_path / "x/items/no_face.mp4/timeline.csv")
    assert {r["success"] for r in nobody} == {"0"}
    assert len(rows(tmp_path / "x/items/WolfgangLanger_Pexels.mp4/timeline.csv")) == 59
