"""``--measures``, from a video to its tables: what people do is in them, the same however the work is shared."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import fermedia
from fermedia.columns import BLINK_COLUMNS, CUT_COLUMNS, MEASURE_COLUMNS, MEASURED
from fermedia.options import EXPORT_FILES
from fermedia.store.ledger import Ledger
from fermedia.tables.measures import read_measures
from fermedia.types import BLENDSHAPES, EMOTIONS
from fermedia.vision.networks import MESH_FILES
from tests.acting import BLINKS, RATE, SECONDS, SPEAKS_FROM, write_acting
from tests.breaking import SPANS
from tests.forks import Forks
from tests.killing import results
from tests.videos import astronaut, background
from tests.vision.painting import portrait

FRAMES = RATE * SECONDS
EXPORTED = [name for names in EXPORT_FILES.values() for name in names]


@pytest.fixture(scope="module")
def acting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_acting(tmp_path_factory.mktemp("acting") / "talk.mp4")


@pytest.fixture(scope="module")
def measured(forks: Forks, acting: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of one process, of the video alone."""
    out = tmp_path_factory.mktemp("measured") / "out"
    status, said = forks.run("analyze", acting, "--out", out, "--landmarks", "--format", "parquet", "--no-video")
    assert status == 0, said
    return out


@pytest.fixture(scope="module")
def item(measured: Path) -> Path:
    return measured / "items/talk.mp4"


def left_and_right(timeline: pd.DataFrame) -> list[int]:
    return timeline.groupby("face_id")["x"].mean().sort_values().index.tolist()


def test_measures_stand_beside_the_timeline(item: Path) -> None:
    timeline, measures = fermedia.read_timeline(item / "timeline.csv"), read_measures(item / "measures.csv")
    assert tuple(measures.columns) == MEASURE_COLUMNS
    assert len(measures) == 2 * FRAMES
    for name in ("source", "frame", "timestamp", "face_id", "quality"):
        assert measures[name].tolist() == timeline[name].tolist(), name
    assert set(timeline["quality"]) == {"good"}
    shares = measures[["presence", "speaking", *BLENDSHAPES]]
    assert ((shares >= 0) & (shares <= 1)).all(axis=None)
    assert (measures["presence"] > 0.9).all()
    assert measures[["yaw", "pitch", "roll"]].abs().max().max() < 20


def test_who_blinks_and_when(item: Path) -> None:
    left, right = left_and_right(fermedia.read_timeline(item / "timeline.csv"))
    blinks = pd.read_csv(item / "blinks.csv")
    assert tuple(blinks.columns) == BLINK_COLUMNS
    assert set(blinks["face_id"]) == {left} != {right}
    assert blinks["begin"].tolist() == pytest.approx(BLINKS, abs=0.09)
    assert (blinks["end"] - blinks["begin"]).tolist() == pytest.approx(blinks["duration"].tolist(), abs=2e-6)
    assert blinks["depth"].between(0.38, 1).all()


def test_who_speaks_and_when(item: Path) -> None:
    left, right = left_and_right(fermedia.read_timeline(item / "timeline.csv"))
    measures = read_measures(item / "measures.csv")
    speaks = {face: rows.set_index("timestamp")["speaking"] for face, rows in measures.groupby("face_id")}
    assert speaks[left].max() < 0.1
    assert speaks[right][: SPEAKS_FROM - 0.6].max() < 0.1
    assert speaks[right][SPEAKS_FROM + 0.6 :].median() > 0.7


def test_landmarks_are_the_points_that_were_measured(item: Path) -> None:
    points, measures = pd.read_parquet(item / "landmarks.parquet"), read_measures(item / "measures.csv")
    assert len(points.columns) == 4 + 3 * 478
    assert points[["frame", "face_id"]].to_numpy().tolist() == measures[["frame", "face_id"]].to_numpy().tolist()
    timeline = fermedia.read_timeline(item / "timeline.csv")
    assert points["x_4"].between(timeline["x"], timeline["x"] + timeline["width"]).all()  # the nose's tip
    assert points["y_4"].between(timeline["y"], timeline["y"] + timeline["height"]).all()
    corners = [points[[f"{axis}_{n}" for axis in "xyz"]].to_numpy(float) for n in (33, 263, 61, 291)]
    width = np.linalg.norm(corners[3] - corners[2], axis=1) / np.linalg.norm(corners[1] - corners[0], axis=1)
    assert width == pytest.approx(measures["mouth_width"].to_numpy(), abs=1e-3)


def test_parquet_has_what_csv_has(item: Path) -> None:
    table = pd.read_parquet(item / "measures.parquet")
    pd.testing.assert_frame_equal(table, read_measures(item / "measures.csv"), check_dtype=False)


def test_the_run_says_what_it_was_made_with(measured: Path) -> None:
    record = json.loads((measured / "run.json").read_text())
    assert record["mesh"] == MESH_FILES
    settings = Ledger.read(measured).settings
    assert settings is not None
    assert settings["mesh"] == sorted(MESH_FILES.values())
    assert settings["measures"] is settings["landmarks"] is True
    outputs = Ledger.read(measured).outcomes["talk.mp4"].outputs
    assert {"measures.csv", "blinks.csv", "landmarks.parquet", "measures.parquet"} <= outputs.keys()


@pytest.mark.parametrize(("workers", "before"), [("2", ""), ("0", SPANS)])
def test_it_is_the_same_with_workers_and_across_spans(
    forks: Forks, acting: Path, measured: Path, tmp_path: Path, workers: str, before: str
) -> None:
    options = ("--landmarks", "--format", "parquet", "--no-video", "--workers", workers)
    status, said = forks.run("analyze", acting, "--out", tmp_path / "out", *options, before=before)
    assert status == 0, said
    one, other = (
        {name: content for name, content in results(out).items() if not name.endswith(("item.json", "report.js"))}
        for out in (measured, tmp_path / "out")
    )
    assert one == other
    described = json.loads((tmp_path / "out/items/talk.mp4/item.json").read_text())
    assert ("spans" in described) == bool(before)


def test_python_gives_the_same(acting: Path, item: Path) -> None:
    table = fermedia.analyze(acting, measures=True, landmarks=True)
    written = read_measures(item / "measures.csv")
    pd.testing.assert_frame_equal(table[list(MEASURED)], written[list(MEASURED)], check_dtype=False, atol=1.1e-4)
    first = next(fermedia.observe(acting, landmarks=True))
    assert [o.quality for o in first.observations] == ["good", "good"]
    for o, presence in zip(first.observations, written["presence"], strict=False):
        assert o.measures is not None
        assert o.measures.presence == pytest.approx(presence, abs=1e-4)
        assert o.landmarks is not None
        assert o.landmarks.shape == (478, 3)
    bare = next(fermedia.observe(acting))
    assert [(o.measures, o.landmarks) for o in bare.observations] == [(None, None)] * 2


def test_photos_have_measures_too(forks: Forks, tmp_path: Path) -> None:
    from PIL import Image

    folder = tmp_path / "class"
    folder.mkdir()
    Image.fromarray(astronaut()).save(folder / "a.png")
    Image.fromarray(portrait("hopper")[:, :, ::-1]).save(folder / "b.png")
    Image.fromarray(background((200, 100))).save(folder / "c.png")
    status, said = forks.run("analyze", folder, "--out", tmp_path / "out", "--measures")
    assert status == 0, said
    item = tmp_path / "out/items/photos"
    measures = read_measures(item / "measures.csv")
    assert measures["source"].tolist() == ["a.png", "b.png", "c.png"]
    assert measures["yaw"].notna().tolist() == [True, True, False]
    assert measures["speaking"].isna().all()
    assert not (item / "blinks.csv").exists()
    assert not (item / "landmarks.parquet").exists()


def test_small_faces_have_none(forks: Forks, acting: Path, tmp_path: Path) -> None:
    options = ("--measures", "--min-face", "1000", "--end", "0.2", "--no-video")
    assert forks.run("analyze", acting, "--out", tmp_path / "out", *options)[0] == 0
    measures = read_measures(tmp_path / "out/items/talk.mp4/measures.csv")
    assert set(measures["quality"]) == {"small"}
    assert measures[list(MEASURED)].isna().all(axis=None)


def test_without_the_option_there_is_nothing(forks: Forks, acting: Path, measured: Path, tmp_path: Path) -> None:
    """The option is a setting: other results are refused, and made anew without a remnant if that is asked for."""
    out = tmp_path / "out"
    assert forks.run("analyze", acting, "--out", out, "--measures", "--end", "0.2")[0] == 0
    status, said = forks.run("analyze", acting, "--out", out, "--end", "0.2")
    assert status == 2
    assert "--measures, now --no-measures" in said
    assert forks.run("analyze", acting, "--out", out, "--end", "0.2", "--redo", "all")[0] == 0
    item = out / "items/talk.mp4"
    assert not {"measures.csv", "blinks.csv"} & {path.name for path in item.iterdir()}
    assert "mesh" not in json.loads((out / "run.json").read_text())


def test_what_is_lost_is_made_again(forks: Forks, acting: Path, tmp_path: Path) -> None:
    """Blinks from the measures; measures from the video."""
    out, options = tmp_path / "out", ("--measures", "--end", "1.2", "--no-video")
    assert forks.run("analyze", acting, "--out", out, *options)[0] == 0
    item, undisturbed = out / "items/talk.mp4", results(out)
    (item / "blinks.csv").unlink()
    status, said = forks.run("analyze", acting, "--out", out, *options)
    assert status == 0
    assert "blinks.csv" in said
    assert "analysed again" not in said
    assert results(out) == undisturbed
    (item / "measures.csv").write_text("")
    status, said = forks.run("analyze", acting, "--out", out, *options)
    assert status == 0
    assert "measures.csv" in said
    assert "analysed again" in said
    assert results(out) == undisturbed


def test_drawing_anew_keeps_the_measures(forks: Forks, acting: Path, tmp_path: Path) -> None:
    out, options = tmp_path / "out", ("--landmarks", "--end", "0.4")
    assert forks.run("analyze", acting, "--out", out, *options)[0] == 0
    item = out / "items/talk.mp4"
    before = {name: (item / name).read_bytes() for name in ("measures.csv", "blinks.csv", "landmarks.parquet")}
    status, said = forks.run("analyze", acting, "--out", out, *options, "--undecided", "0.6")
    assert status == 0
    assert "drawn again" in said
    assert {name: (item / name).read_bytes() for name in before} == before


def test_landmarks_need_pyarrow(forks: Forks, acting: Path, tmp_path: Path) -> None:
    hidden = "import sys, importlib.util as u\nfirst = u.find_spec\nimport fermedia.store.derive as d\n"
    hidden += "d.find_spec = lambda name: None if name == 'pyarrow' else first(name)\n"
    status, said = forks.run("analyze", acting, "--out", tmp_path / "out", "--landmarks", before=hidden)
    assert status != 0
    (line,) = said.strip().splitlines()
    assert "--landmarks" in line
    assert "fermedia[parquet]" in line


def by_face(summary: pd.DataFrame) -> pd.DataFrame:
    """A summary by its faces' ids as text, and "all" for the item."""
    names = [
        "all" if level == "item" else f"{face:.0f}" for level, face in zip(summary.level, summary.face_id, strict=True)
    ]
    return summary.set_axis(pd.Index(names), axis=0)


def test_the_summary_has_means_shares_and_rates(measured: Path, item: Path) -> None:
    summary = by_face(pd.read_csv(measured / "summary.csv"))
    measures = read_measures(item / "measures.csv")
    left, right = left_and_right(fermedia.read_timeline(item / "timeline.csv"))
    one, other, both = (summary.loc[name] for name in (str(left), str(right), "all"))
    assert one["measured"] == other["measured"] == one["good_share"] == other["good_share"] == 1
    assert (one["blinks"], other["blinks"], both["blinks"]) == (3, 0, 3)
    assert one["blinks_per_minute"] == pytest.approx(60 * 3 / SECONDS, rel=0.01)
    assert both["blinks_per_minute"] == pytest.approx(60 * 3 / SECONDS / 2, rel=0.01)
    assert one["speaking_share"] == 0
    assert other["speaking_share"] == pytest.approx((SECONDS - SPEAKS_FROM) / SECONDS, abs=0.15)
    for face, row in ((left, one), (right, other)):
        mine = measures[measures["face_id"] == face]
        for name in ("yaw", "right_eye", "mouth_width", "jawOpen"):
            assert row[f"{name}_mean"] == pytest.approx(mine[name].mean(), abs=2e-3)
        assert row["looks_at_camera_share"] == pytest.approx(mine["looks_at_camera"].mean(), abs=0.02)
        silent = [row[f"{emotion}_share_silent"] for emotion in EMOTIONS]
        assert sum(silent) == pytest.approx(1)
    assert one["happy_share_silent"] == one["happy_share"]
    again = fermedia.summary(fermedia.read_timeline(item / "timeline.csv").join(measures[list(MEASURED)]), end=4.0)
    ours = by_face(again)[["blinks", "speaking_share", "yaw_mean", "happy_share_silent"]].astype(float)
    pd.testing.assert_frame_equal(ours, summary[list(ours)].astype(float), atol=1e-5)


def test_people_and_conditions_are_compared_by_what_was_measured(
    forks: Forks, acting: Path, measured: Path, tmp_path: Path
) -> None:
    out, people = tmp_path / "out", tmp_path / "people.csv"
    shutil.copytree(measured, out)
    people.write_text("item,face_id,participant,condition\ntalk.mp4,0,Ana,x\ntalk.mp4,1,Ben,x\n")
    options = ("--landmarks", "--no-video", "--participants", people)
    assert forks.run("analyze", acting, "--out", out, *options)[0] == 0
    summary = by_face(pd.read_csv(out / "summary.csv"))
    table = pd.read_csv(out / "participants.csv").set_index("participant")
    conditions = pd.read_csv(out / "conditions.csv").set_index("measure")
    for name in ("yaw_mean", "blinks_per_minute", "speaking_share", "happy_share_silent", "jawOpen_mean"):
        assert table.loc["Ana", name] == pytest.approx(summary.loc["0", name], abs=1e-5)
        assert conditions.loc[name, "participants"] == 2
        assert conditions.loc[name, "value"] == pytest.approx(table[name].mean(), abs=1e-5)
        assert pd.isna(conditions.loc[name, "emotion"])
    assert conditions.loc["mean", "emotion"].tolist() == list(EMOTIONS)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_tables_of_measures_are_merged(forks: Forks, measured: Path, item: Path, tmp_path: Path, suffix: str) -> None:
    for table, count in (("measures", 2 * FRAMES), ("blinks", 3)):
        out = tmp_path / f"{table}.{suffix}"
        status, said = forks.run("merge", measured, "--table", table, "--out", out)
        assert (status, said.split()[0]) == (0, str(count)), said
        merged = pd.read_csv(out) if suffix == "csv" else pd.read_parquet(out)
        ours = pd.read_csv(item / f"{table}.csv")
        assert list(merged.columns) == ["run", "item", *ours.columns]
        for name in ours:  # what is 0 or 1 is true or false in Parquet
            same = merged[name].astype(float) if name == "looks_at_camera" else merged[name]
            pd.testing.assert_series_equal(same, ours[name], check_dtype=False)


def test_segments_by_condition(forks: Forks, measured: Path, item: Path, tmp_path: Path) -> None:
    right = left_and_right(fermedia.read_timeline(item / "timeline.csv"))[1]
    conditions, exports = ("speaking > .5", "yaw>80", "right_eye<0.9"), "srt,vtt,elan,eaf,bids"
    status, said = forks.run("segments", measured, *conditions, "--out", tmp_path / "cut", "--export", exports)
    assert (status, said.split()[0]) == (0, "3"), said
    found = pd.read_csv(tmp_path / "cut/talk.mp4/segments.csv")
    assert tuple(found.columns) == CUT_COLUMNS
    speech = found[found["condition"] == "speaking>.5"]
    assert speech["face_id"].tolist() == [right]
    assert speech["begin"].item() == pytest.approx(SPEAKS_FROM, abs=0.5)
    assert speech["end"].item() == pytest.approx(SECONDS)
    assert speech["peak"].item() > speech["mean"].item() > 0.5
    open_eyes = found[found["condition"] == "right_eye<0.9"]
    assert open_eyes["duration"].tolist() == pytest.approx([SECONDS] * 2)
    assert (open_eyes["peak"] < open_eyes["mean"]).all()  # the smallest, where it is to be below
    files = {name: (tmp_path / "cut/talk.mp4" / name).read_text() for name in EXPORTED}
    assert all("speaking>.5" in files[name] for name in ("segments.srt", "segments_elan.txt", "segments_events.tsv"))
    assert "speaking&gt;.5" in files["segments.vtt"]
    described = json.loads(files["segments_events.json"])
    assert set(described) == set(files["segments_events.tsv"].splitlines()[0].split("\t"))
    assert "Levels" not in described["trial_type"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("yaw=20",), "yaw>20"),
        (("anger>0.5",), "there is no column anger"),
        (("yaw>20", "--export", "doc"), "--export knows srt"),
    ],
)
def test_what_is_no_condition_is_said(
    forks: Forks, measured: Path, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    status, said = forks.run("segments", measured, *arguments, "--out", tmp_path / "cut")
    assert status == 2
    (line,) = said.strip().splitlines()
    assert words in line
    assert not (tmp_path / "cut").exists()


def test_results_without_measures_say_so(forks: Forks, acting: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert forks.run("analyze", acting, "--out", out, "--no-video", "--end", "1")[0] == 0
    summary = pd.read_csv(out / "summary.csv")
    assert summary["good_share"].tolist() == [1, 1, 1]
    assert summary[["measured", "yaw_mean", "blinks", "happy_share_silent"]].isna().all(axis=None)
    for command in (("merge", out, "--table", "blinks", "--out", tmp_path / "all.csv"),):
        status, said = forks.run(*command)
        assert status == 2
        assert "--measures" in said
    status, said = forks.run("segments", out, "yaw>20", "--out", tmp_path / "cut")
    assert status == 2
    assert "--measures" in said
    assert forks.run("segments", out, "happy>0.01", "--out", tmp_path / "cut")[0] == 0
    assert forks.run("segments", out, "happy>0.01", "--out", out / "cut")[0] == 2


def test_faces_turned_too_far_are_not_read(forks: Forks, acting: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert forks.run("analyze", acting, "--out", out, "--no-video", "--end", "1", "--max-yaw", "0.001")[0] == 0
    timeline = fermedia.read_timeline(out / "items/talk.mp4/timeline.csv")
    assert not timeline["judged"].any()
    assert set(timeline["quality"]) == {"turned"}
    summary = pd.read_csv(out / "summary.csv")
    assert summary["judged"].tolist() == [0, 0, 0]
    assert summary["turned_share"].tolist() == [1, 1, 1]
    assert summary["bent_share"].tolist() == summary["good_share"].tolist() == [0, 0, 0]
