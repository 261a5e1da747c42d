"""Participants and conditions: figures worked out by hand, and files that are wrong."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest
from scipy import stats

from fermedia.columns import CONDITIONS, PARTICIPANTS, SUMMARY_COLUMNS
from fermedia.errors import UsageError
from fermedia.outputs.groups import Participants, t_quantile
from fermedia.types import EMOTIONS


def row(item: str, face_id: str, seconds: float, happy: float, judged: float = 1.0) -> dict[str, object]:
    figures = {f"{e}_{m}": happy if e == "happy" else (1 - happy) / 6 for m in ("mean", "share") for e in EMOTIONS}
    if judged == 0:
        figures = dict.fromkeys(figures, math.nan)
    about = {"item": item, "face_id": face_id, "frames": 10, "frames_with_face": 10, "seconds": seconds}
    return about | {"judged": judged, "emotion": "happy" if judged else None} | figures


SUMMARY = pd.DataFrame(
    [
        row("a.mp4", "0", 10, 0.2),
        row("a.mp4", "1", 5, 0.9),
        row("a.mp4", "all", 10, 0.4),
        row("b.mp4", "all", 30, 0.8, judged=0.5),
        row("c/photos", "all", math.nan, 0.6),
        row("d.mp4", "all", 10, 0.0, judged=0),
        row("./=e.mp4", "all", 10, 0.1),
    ],
    columns=list(SUMMARY_COLUMNS),
)


def read(tmp_path: Path, text: str) -> Participants:
    path = tmp_path / "who.csv"
    path.write_text(text, encoding="utf-8")
    return Participants.read(path)


def test_a_participant_is_the_mean_of_their_judged_time(tmp_path: Path) -> None:
    people = read(tmp_path, "item,participant,condition\na.mp4,Ana,x\nb.mp4,Ana,x\n=e.mp4,Ben,x\n")
    table, _, _ = people.compare(SUMMARY)
    assert tuple(table.columns) == PARTICIPANTS.names
    ana, ben = table.to_dict("records")
    assert (ana["items"], ana["seconds"]) == (2, 25)
    assert ana["happy_mean"] == pytest.approx((10 * 0.4 + 15 * 0.8) / 25)
    assert ben["happy_share"] == pytest.approx(0.1)


def test_faces_of_one_item_may_be_different_people(tmp_path: Path) -> None:
    people = read(tmp_path, "item;face_id;participant;condition\r\na.mp4;0;Ana;x\r\na.mp4;1;Ben;x\r\n")
    table, _, _ = people.compare(SUMMARY)
    assert table[["participant", "happy_mean"]].to_numpy().tolist() == [["Ana", 0.2], ["Ben", 0.9]]


def test_pictures_have_no_seconds_and_count_by_their_number(tmp_path: Path) -> None:
    people = read(tmp_path, "item,participant,condition\nc/photos/,Ana,x\na.mp4,Ana,x\n")
    (ana,) = people.compare(SUMMARY)[0].to_dict("records")
    assert math.isnan(ana["seconds"])
    assert ana["happy_mean"] == pytest.approx(0.5)


def test_each_participant_counts_once_in_a_condition(tmp_path: Path) -> None:
    text = "item,participant,condition\na.mp4,Ana,x\nb.mp4,Ben,x\nc/photos,Cleo,x\n=e.mp4,Dan,y\n"
    _, table, _ = read(tmp_path, text).compare(SUMMARY)
    assert tuple(table.columns) == CONDITIONS.names
    happy = table[(table["emotion"] == "happy") & (table["measure"] == "mean")].set_index("condition")
    values = [0.4, 0.8, 0.6]
    low, high = stats.t.interval(0.95, 2, loc=0.6, scale=stats.sem(values))
    assert happy.loc["x", ["participants", "value", "sd", "low", "high"]].tolist() == pytest.approx(
        [3, 0.6, 0.2, low, high], abs=1e-6
    )
    assert happy.loc["y", "participants"] == 1
    assert happy.loc["y", ["sd", "low", "high"]].isna().all()
    assert len(table) == 2 * 2 * 7


def test_what_does_not_match_is_said_and_who_was_never_judged_left_out(tmp_path: Path) -> None:
    text = "item,face_id,participant,condition\na.mp4,7,Ana,x\nz.mp4,,Ben,x\nd.mp4,,Cleo,x\n"
    table, _, complaint = read(tmp_path, text).compare(SUMMARY)
    assert complaint == (
        "who.csv names what the results do not hold: a.mp4 face 7, z.mp4, and leaves out =e.mp4, b.mp4, c/photos"
    )
    assert table.empty
    everybody = "item,participant,condition\n" + "".join(
        f"{item},{n},x\n" for n, item in enumerate(("a.mp4", "b.mp4", "c/photos", "d.mp4", "=e.mp4"))
    )
    assert read(tmp_path, everybody).compare(SUMMARY)[2] is None


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("item,person\na,b\n", "has no column participant, condition"),
        ("item,participant,condition\n", "has no rows"),
        ("item,participant,condition\na.mp4,Ana,\n", "row 2 has no condition"),
        ("item,participant,condition\na.mp4,Ana,x\na.mp4,Ben,x\n", "a.mp4 is there twice"),
        ("item,face_id,participant,condition\na.mp4,,Ana,x\na.mp4,1,Ben,x\n", "a.mp4 is there twice"),
        ("item,face_id,participant,condition\na.mp4,left,Ana,x\n", "face_id must be a number or empty, got 'left'"),
        ("", "not a table"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        read(tmp_path, text)


def test_a_file_of_bytes_or_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "who.csv").write_bytes(b"\xff\xfe\x00item")
    with pytest.raises(UsageError, match="not a table"):
        Participants.read(tmp_path / "who.csv")
    with pytest.raises(UsageError, match="cannot be read"):
        Participants.read(tmp_path / "none.csv")


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 9, 10, 29, 30, 99, 100, 1001])
def test_students_t(freedom: int) -> None:
    assert t_quantile(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=1e-9)


def test_items_may_be_named_as_windows_writes_paths(tmp_path: Path) -> None:
    summary = pd.DataFrame([row(r"odd\name.mp4", "all", 10, 0.3), row("c/photos", "all", math.nan, 0.6)])
    people = read(tmp_path, "item,participant,condition\nc\\photos,Ana,x\nodd\\name.mp4,Ben,x\nd\\e.mp4,Eve,x\n")
    table, _, complaint = people.compare(summary)
    assert list(table["participant"]) == ["Ana", "Ben"]
    assert complaint == r"who.csv names what the results do not hold: d\e.mp4"
