"""The timeline's exact text, and reading it back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fermedia.columns import TIMELINE_COLUMNS
from fermedia.errors import DataError, MediaError
from fermedia.images import ArrayImage
from fermedia.tables.smooth import smoothed_frames
from fermedia.tables.timeline import TimelineWriter, read_timeline, replayed, smoothed_timeline
from fermedia.types import EMOTIONS, Frame, Observation
from tests.seen import EVEN, HAPPY, face

IMAGE = ArrayImage(np.zeros((48, 64, 3), np.uint8))
SMALL = replace(face(9, 9, 12, 12, 8), probabilities=None, quality="small dark")


def test_exact_text(tmp_path: Path) -> None:
    path = tmp_path / "timeline.csv"
    with TimelineWriter(path, "talks/a, b.mp4") as writer:
        writer.write(Frame(0, 0.0, IMAGE), [face(1, 2.005, 30.25, 40, 0), face(-3, 5, 20, 20, 7, EVEN), SMALL])
        writer.write(Frame(1, 0.0333333333, IMAGE), None)
        writer.write(Frame(2, 0.0666666666, IMAGE), [])
    assert path.read_bytes().decode() == (
        "source,frame,timestamp,face_id,success,confidence,x,y,width,height,judged,"
        "angry,disgust,fear,happy,sad,surprise,neutral,emotion,valence,quality,person\n"
        '"talks/a, b.mp4",0,0.000000,0,1,0.900000,1.00,2.00,30.25,40.00,1,'
        "0.010000,0.010000,0.020000,0.830000,0.020000,0.060000,0.050000,happy,0.810000,,\n"
        '"talks/a, b.mp4",0,0.000000,7,1,0.900000,-3.00,5.00,20.00,20.00,1,'
        "0.120000,0.130000,0.140000,0.190000,0.140000,0.140000,0.140000,happy,0.050000,,\n"
        '"talks/a, b.mp4",0,0.000000,8,1,0.900000,9.00,9.00,12.00,12.00,0,,,,,,,,,,small dark,\n'
        '"talks/a, b.mp4",2,0.066667,,0,,,,,,0,,,,,,,,,,,\n'
    )


def test_timelines_of_older_versions_are_read(tmp_path: Path) -> None:
    """They say nothing of quality and of persons."""
    path = tmp_path / "timeline.csv"
    with TimelineWriter(path, "x.mp4") as writer:
        writer.write(Frame(0, 0.0, IMAGE), [replace(face(1, 2, 3, 4), quality="good"), SMALL])
    assert read_timeline(path)["quality"].tolist() == ["good", "small dark"]
    lines = path.read_text().splitlines()
    path.write_text("".join(line.rsplit(",", 2)[0] + "\n" for line in lines))
    table = read_timeline(path)
    assert tuple(table.columns) == TIMELINE_COLUMNS
    assert table["quality"].isna().all()
    assert [o.quality for o in next(replayed([Frame(0, 0.0, IMAGE)], table))[1] or ()] == [None, None]


def test_there_is_no_minus_zero(tmp_path: Path) -> None:
    path = tmp_path / "timeline.csv"
    with TimelineWriter(path, "x") as writer:
        writer.write(Frame(0, 0.0, IMAGE), [face(-0.001, 2, 3, 4, 0, [1e-8, 0, 0, 0, 0, 0, 1])])
    assert "-0." not in path.read_text()


def test_photos_are_named_and_have_no_time(tmp_path: Path) -> None:
    path = tmp_path / "timeline.csv"
    with TimelineWriter(path, "album") as writer:
        writer.write(Frame(0, None, IMAGE, name="NA"), [])
        writer.write(Frame(1, None, IMAGE, name="b.png"), [face(1, 2, 3, 4)])
    table = read_timeline(path)
    assert table["source"].tolist() == ["NA", "b.png"]
    assert table["timestamp"].isna().all()
    assert table["success"].tolist() == [False, True]


def test_read_back_with_types(tmp_path: Path) -> None:
    path = tmp_path / "timeline.csv"
    with TimelineWriter(path, "x.mp4") as writer:
        writer.write(Frame(0, 0.5, IMAGE), [])
        writer.write(Frame(1, 1.5, IMAGE), [face(1, 2, 3, 4, 5), SMALL])
    table = read_timeline(path)
    assert tuple(table.columns) == TIMELINE_COLUMNS
    types = {name: str(kind) for name, kind in table.dtypes.items()}
    assert (types["frame"], types["face_id"], types["success"], types["judged"]) == ("int64", "Int64", "bool", "bool")
    assert {types[c] for c in ("timestamp", "confidence", "x", "valence", *EMOTIONS)} == {"float64"}
    assert table["face_id"].isna().tolist() == [True, False, False]
    assert table["success"].tolist() == [False, True, True]
    assert table["judged"].tolist() == [False, True, False]
    for column in (*EMOTIONS, "emotion", "valence"):
        assert table[column].isna().tolist() == [True, False, True]
    assert table[list(EMOTIONS)].iloc[1].tolist() == pytest.approx(HAPPY)


def test_a_video_without_analysed_frames_is_a_table_of_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "timeline.csv"
    with TimelineWriter(path, "x.mp4") as writer:
        writer.write(Frame(0, 0.0, IMAGE), None)
    table = read_timeline(path)
    assert len(table) == 0
    assert str(table["success"].dtype) == "bool"


def test_written_probabilities_sum_to_one(tmp_path: Path) -> None:
    path = tmp_path / "timeline.csv"
    random = np.random.default_rng(0)
    with TimelineWriter(path, "x.mp4") as writer:
        for n, row in enumerate(random.dirichlet(np.full(7, 0.3), 200)):
            writer.write(Frame(n, n / 25, IMAGE), [face(1, 2, 3, 4, 0, row)])
    sums = read_timeline(path)[list(EMOTIONS)].sum(axis=1)
    assert sums.to_numpy() == pytest.approx(1, abs=7 * 0.5e-6 + 1e-7)


def test_a_name_that_is_no_text_and_one_of_two_lines(tmp_path: Path) -> None:
    path = tmp_path / "timeline.csv"
    with TimelineWriter(path, "x") as writer:
        writer.write(Frame(0, None, IMAGE, name=b"caf\xe9.jpg".decode("utf-8", "surrogateescape")), [])
        writer.write(Frame(1, None, IMAGE, name="two\nlines.jpg"), [])
    assert read_timeline(path)["source"].tolist() == ["caf\\xe9.jpg", "two\\nlines.jpg"]


def test_an_error_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "timeline.csv"
    with pytest.raises(KeyError), TimelineWriter(path, "x"):
        raise KeyError
    assert not path.exists()
    lost = TimelineWriter(tmp_path / "missing" / "t.csv", "x")
    with pytest.raises(MediaError, match=r"t\.csv of x cannot be written"), lost:
        pass


@pytest.mark.parametrize(
    ("text", "says"), [("a,b\n1,2\n", "columns are missing"), ("", "not a timeline"), (None, "No such")]
)
def test_what_is_no_timeline_is_refused(tmp_path: Path, text: str | None, says: str) -> None:
    path = tmp_path / "t.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(DataError, match=says) as caught:
        read_timeline(path)
    assert "\n" not in str(caught.value)


# -- steady -----------------------------------------------------------------------------------------------------------


def video(count: int = 80) -> Iterator[tuple[Frame, list[Observation] | None]]:
    """Three faces at uneven times, with gaps, unjudged moments and frames that are not sampled."""
    random = np.random.default_rng(1)
    time = 0.0
    for n in range(count):
        time += float(random.choice([0.01, 0.04, 0.2]))
        seen = [face(1, 2, 30, 40, i, random.dirichlet(np.full(7, 0.3))) for i in range(3) if random.random() < 0.7]
        seen = [o if random.random() < 0.8 else replace(o, probabilities=None) for o in seen]
        yield Frame(n, round(time, 6), IMAGE), None if n % 5 == 4 else seen


@pytest.mark.parametrize("seconds", [0.0, 0.1, 0.5, 3.0])
def test_a_steady_timeline_says_what_the_steady_video_shows(tmp_path: Path, seconds: float) -> None:
    path = tmp_path / "timeline.csv"
    drawn: list[Observation | None] = []
    with TimelineWriter(path, "x.mp4") as writer:
        for frame, raw, smoothed in smoothed_frames(video(), seconds):
            writer.write(frame, raw)
            drawn += list(smoothed or ()) or [None] * (smoothed is not None)
    table = smoothed_timeline(read_timeline(path), seconds)
    assert len(table) == len(drawn)
    assert table["judged"].tolist() == [o is not None and o.probabilities is not None for o in drawn]
    for row, o in zip(table.itertuples(), drawn, strict=True):
        if o is not None and o.probabilities is not None:
            values = [getattr(row, e) for e in EMOTIONS]
            assert values == pytest.approx(o.probabilities.tolist(), abs=2e-6)
            assert (row.emotion, row.valence) == (o.emotion, pytest.approx(o.valence, abs=2e-6))
    assert table.loc[~table["judged"], [*EMOTIONS, "emotion", "valence"]].isna().all(axis=None)


def test_images_have_no_time_to_be_steadied_over(tmp_path: Path) -> None:
    path = tmp_path / "timeline.csv"
    with TimelineWriter(path, "album") as writer:
        for n, seen in enumerate((HAPPY, EVEN)):
            writer.write(Frame(n, None, IMAGE, name=f"{n}.jpg"), [face(1, 2, 30, 40, 0, seen)])
    table = read_timeline(path)
    assert smoothed_timeline(table, 0.5).equals(table)
