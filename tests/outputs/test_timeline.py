"""The timeline's exact text, and reading it back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fermedia.errors import DataError, MediaError
from fermedia.outputs.timeline import TimelineWriter, read_timeline
from fermedia.pictures import ArrayPicture
from fermedia.types import EMOTIONS, TIMELINE_COLUMNS, Frame
from tests.outputs.seen import EVEN, HAPPY, face

PICTURE = ArrayPicture(np.zeros((48, 64, 3), np.uint8))


def test_exact_text(tmp_path: Path) -> None:
    path = tmp_path / "timeline.csv"
    with TimelineWriter(path, "talks/a, b.mp4") as writer:
        writer.write(Frame(0, 0.0, PICTURE), [face(1, 2.005, 30.25, 40, 0), face(-3, 5, 20, 20, 7, EVEN)])
        writer.write(Frame(1, 0.0333333333, PICTURE), None)
        writer.write(Frame(2, 0.0666666666, PICTURE), [])
    assert path.read_bytes().decode() == (
        "source,frame,timestamp,face_id,success,confidence,x,y,width,height,"
        "angry,disgust,fear,happy,sad,surprise,neutral,emotion,valence\n"
        '"talks/a, b.mp4",0,0.000000,0,1,0.900000,1.00,2.00,30.25,40.00,'
        "0.010000,0.010000,0.020000,0.830000,0.020000,0.060000,0.050000,happy,0.810000\n"
        '"talks/a, b.mp4",0,0.000000,7,1,0.900000,-3.00,5.00,20.00,20.00,'
        "0.120000,0.130000,0.140000,0.190000,0.140000,0.140000,0.140000,happy,0.050000\n"
        '"talks/a, b.mp4",2,0.066667,,0,,,,,,,,,,,,,,\n'
    )


def test_there_is_no_minus_zero(tmp_path: Path) -> None:
    path = tmp_path / "timeline.csv"
    with TimelineWriter(path, "x") as writer:
        writer.write(Frame(0, 0.0, PICTURE), [face(-0.001, 2, 3, 4, 0, [1e-8, 0, 0, 0, 0, 0, 1])])
    assert "-0." not in path.read_text()


def test_photos_are_named_and_have_no_time(tmp_path: Path) -> None:
    path = tmp_path / "timeline.csv"
    with TimelineWriter(path, "album") as writer:
        writer.write(Frame(0, None, PICTURE, name="NA"), [])
        writer.write(Frame(1, None, PICTURE, name="b.png"), [face(1, 2, 3, 4)])
    table = read_timeline(path)
    assert table["source"].tolist() == ["NA", "b.png"]
    assert table["timestamp"].isna().all()
    assert table["success"].tolist() == [False, True]


def test_read_back_with_types(tmp_path: Path) -> None:
    path = tmp_path / "timeline.csv"
    with TimelineWriter(path, "x.mp4") as writer:
        writer.write(Frame(0, 0.5, PICTURE), [])
        writer.write(Frame(1, 1.5, PICTURE), [face(1, 2, 3, 4, 5)])
    table = read_timeline(path)
    assert tuple(table.columns) == TIMELINE_COLUMNS
    types = {name: str(kind) for name, kind in table.dtypes.items()}
    assert (types["frame"], types["face_id"], types["success"]) == ("int64", "Int64", "bool")
    assert {types[c] for c in ("timestamp", "confidence", "x", "valence", *EMOTIONS)} == {"float64"}
    assert table["face_id"].isna().tolist() == [True, False]
    assert table["emotion"].isna().tolist() == [True, False]
    assert table[list(EMOTIONS)].iloc[1].tolist() == pytest.approx(HAPPY)


def test_a_film_without_analysed_frames_is_a_table_of_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "timeline.csv"
    with TimelineWriter(path, "x.mp4") as writer:
        writer.write(Frame(0, 0.0, PICTURE), None)
    table = read_timeline(path)
    assert len(table) == 0
    assert str(table["success"].dtype) == "bool"


def test_written_probabilities_sum_to_one(tmp_path: Path) -> None:
    path = tmp_path / "timeline.csv"
    random = np.random.default_rng(0)
    with TimelineWriter(path, "x.mp4") as writer:
        for n, row in enumerate(random.dirichlet(np.full(7, 0.3), 200)):
            writer.write(Frame(n, n / 25, PICTURE), [face(1, 2, 3, 4, 0, row)])
    sums = read_timeline(path)[list(EMOTIONS)].sum(axis=1)
    assert sums.to_numpy() == pytest.approx(1, abs=7 * 0.5e-6 + 1e-7)


def test_a_name_that_is_no_text_and_one_of_two_lines(tmp_path: Path) -> None:
    path = tmp_path / "timeline.csv"
    with TimelineWriter(path, "x") as writer:
        writer.write(Frame(0, None, PICTURE, name=b"caf\xe9.jpg".decode("utf-8", "surrogateescape")), [])
        writer.write(Frame(1, None, PICTURE, name="two\nlines.jpg"), [])
    assert read_timeline(path)["source"].tolist() == ["caf\\xe9.jpg", "two\nlines.jpg"]


def test_an_error_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "timeline.csv"
    with pytest.raises(KeyError), TimelineWriter(path, "x"):
        raise KeyError
    assert not path.exists()
    lost = TimelineWriter(tmp_path / "missing" / "t.csv", "x")
    with pytest.raises(MediaError, match=r"t\.csv of x cannot be written"), lost:
        pass


@pytest.mark.parametrize(
    ("text", "says"), [("a,b\n1,2\n", "not all of its columns"), ("", "not a timeline"), (None, "No such")]
)
def test_what_is_no_timeline_is_refused(tmp_path: Path, text: str | None, says: str) -> None:
    path = tmp_path / "t.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(DataError, match=says) as caught:
        read_timeline(path)
    assert "\n" not in str(caught.value)
