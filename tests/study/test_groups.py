"""Participants and conditions: figures worked out by hand, and files that are wrong."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

from fermedia.columns import COMPARISONS, CONDITIONS, PARTICIPANTS, SUMMARY_COLUMNS, given_columns
from fermedia.errors import UsageError
from fermedia.study.groups import Groups, interval, t_quantile
from fermedia.study.participants import Assignment, Participants
from fermedia.types import EMOTIONS


def row(item: str, face_id: str, seconds: float, happy: float, classified: float = 1.0) -> dict[str, object]:
    figures = {f"{e}_{m}": happy if e == "happy" else (1 - happy) / 6 for m in ("mean", "share") for e in EMOTIONS}
    if classified == 0:
        figures = dict.fromkeys(figures, math.nan)
    about: dict[str, object] = {
        "item": item,
        "level": "item" if face_id == "all" else "face",
        "frames": 10,
        "face_id": None if face_id == "all" else int(face_id),
        "frames_with_face": 10,
        "seconds": seconds,
    }
    return (
        about
        | {"judged": classified, "emotion": "happy" if classified else None, "valence_mean": happy - 0.1}
        | figures
    )


SUMMARY = pd.DataFrame(
    [
        row("a.mp4", "0", 10, 0.2),
        row("a.mp4", "1", 5, 0.9),
        row("a.mp4", "all", 10, 0.4),
        row("b.mp4", "all", 30, 0.8, classified=0.5),
        row("c/photos", "all", math.nan, 0.6),
        row("d.mp4", "all", 10, 0.0, classified=0),
        row("./=e.mp4", "all", 10, 0.1),
    ],
    columns=list(SUMMARY_COLUMNS),
).astype({"face_id": "Int64"})


def read(tmp_path: Path, text: str) -> Participants:
    path = tmp_path / "who.csv"
    path.write_text(text, encoding="utf-8")
    return Participants.read(path)


def compare(people: Participants, summary: pd.DataFrame = SUMMARY) -> tuple[Groups, list[str]]:
    known, said = people.matched(summary)
    return Groups.of(people, known, summary), said


def test_a_participant_is_the_mean_of_their_judged_time(tmp_path: Path) -> None:
    people = read(tmp_path, "item,participant,condition\na.mp4,Ana,x\nb.mp4,Ana,x\n=e.mp4,Ben,x\n")
    table = compare(people)[0].participants
    assert tuple(table.columns) == tuple(c.name for c in PARTICIPANTS.having(given_columns(["condition"])))
    ana, ben = table.to_dict("records")
    assert (ana["items"], ana["seconds"]) == (2, 25)
    assert ana["happy_mean"] == pytest.approx((10 * 0.4 + 15 * 0.8) / 25)
    assert ben["happy_share"] == pytest.approx(0.1)
    assert ana["valence_mean"] == pytest.approx((10 * 0.3 + 15 * 0.7) / 25)


def test_faces_of_one_item_may_be_different_people(tmp_path: Path) -> None:
    people = read(tmp_path, "item;face_id;participant;condition\r\na.mp4;00;Ana;x\r\na.mp4;1;Ben;x\r\n")
    table = compare(people)[0].participants
    assert table[["participant", "happy_mean"]].to_numpy().tolist() == [["Ana", 0.2], ["Ben", 0.9]]


def test_images_have_no_seconds_and_count_by_their_number(tmp_path: Path) -> None:
    people = read(tmp_path, "item,participant,condition\nc/photos/,Ana,x\na.mp4,Ana,x\n")
    (ana,) = compare(people)[0].participants.to_dict("records")
    assert math.isnan(ana["seconds"])
    assert ana["happy_mean"] == pytest.approx(0.5)


def test_each_participant_counts_once_in_a_condition(tmp_path: Path) -> None:
    text = "item,participant,condition\na.mp4,Ana,x\nb.mp4,Ben,x\nc/photos,Cleo,x\n=e.mp4,Dan,y\n"
    table = compare(read(tmp_path, text))[0].conditions
    assert tuple(table.columns) == tuple(c.name for c in CONDITIONS.having(given_columns(["condition"])))
    happy = table[(table["emotion"] == "happy") & (table["measure"] == "mean")].set_index("condition")
    low, high = interval([0.4, 0.8, 0.6], (0, 1))
    assert happy.loc["x", ["participants", "value", "sd", "low", "high"]].tolist() == pytest.approx(
        [3, 0.6, 0.2, low, high], abs=1e-6
    )
    assert happy.loc["y", "participants"] == 1
    assert happy.loc["y", ["sd", "low", "high"]].isna().all()
    assert len(table) == 2 * (2 * 7 + 1)  # and the valence


def test_without_factors_all_participants_are_one_group(tmp_path: Path) -> None:
    groups, _ = compare(read(tmp_path, "Participant;Item\r\nAna;a.mp4\r\nBen;b.mp4\r\n"))
    assert list(groups.participants.columns[:2]) == ["participant", "items"]
    assert list(groups.conditions.columns[:2]) == ["measure", "emotion"]
    assert (groups.conditions["participants"] == 2).all()
    assert groups.comparisons.empty


FACTORIAL = """Item,Participant,Condition,SESSION,#age,group
a.mp4,Ana,x,1,30,old
b.mp4,Ana,y,1,30,old
c/photos,Ben,x,2,4,new
=e.mp4,Ben,y,2,4,new
"""


def test_several_factors_have_rows_by_each_and_by_all_together(tmp_path: Path) -> None:
    groups, _ = compare(read(tmp_path, FACTORIAL))
    assert list(groups.participants.columns[:6]) == ["participant", "condition", "session", "group", "age", "items"]
    assert groups.participants["age"].tolist() == ["30", "30", "4", "4"]
    table = groups.conditions[(groups.conditions["emotion"] == "happy") & (groups.conditions["measure"] == "mean")]
    table = table[["condition", "session", "group", "participants", "value"]].fillna("")
    assert table.to_numpy().tolist() == [
        ["x", "", "", 2, 0.5],
        ["y", "", "", 2, 0.45],
        ["", "1", "", 1, 0.64],  # Ana's two items by their classified times of 10 and 15 seconds
        ["", "2", "", 1, 0.35],  # Ben's by their 10 frames each, as some are photos
        ["", "", "old", 1, 0.64],
        ["", "", "new", 1, 0.35],
        ["x", "1", "old", 1, 0.4],
        ["y", "1", "old", 1, 0.8],
        ["x", "2", "new", 1, 0.6],
        ["y", "2", "new", 1, 0.1],
    ]


def test_differences_are_within_participants(tmp_path: Path) -> None:
    values = {"before": [0.2, 0.3, 0.5, 0.4], "after": [0.6, 0.4, 0.7, 0.9]}
    summary = pd.DataFrame(
        [row(f"{n}{level}", "all", 10, happy) for level, cells in values.items() for n, happy in enumerate(cells)]
        + [row("single", "all", 10, 0.9)],
        columns=list(SUMMARY_COLUMNS),
    ).astype({"face_id": "Int64"})
    text = "".join(f"{n}{level},p{n},{level}\n" for level in values for n in range(4))
    groups, _ = compare(read(tmp_path, f"item,participant,condition\n{text}single,q,after\n"), summary)
    table = groups.comparisons
    assert tuple(table.columns) == COMPARISONS.names
    assert len(table) == 2 * 7 + 1
    happy = table[(table["emotion"] == "happy") & (table["measure"] == "share")].iloc[0]
    assert happy[["factor", "first", "second"]].tolist() == ["condition", "before", "after"]
    assert happy[["participants", "left_out"]].tolist() == [4, 1]
    test = stats.ttest_rel(values["after"], values["before"])
    low, high = test.confidence_interval(0.95)
    found = happy[["first_value", "second_value", "difference", "low", "high"]].tolist()
    assert found == pytest.approx([0.35, 0.65, 0.3, low, high], abs=1e-6)


@pytest.mark.parametrize("values", [[0.9, 0.99, 0.97], [0.001, 0.2, 0.0, 0.01], [0.4, 0.6, 0.5, 0.55]])
def test_intervals_of_shares_stay_within_their_limits(values: list[float]) -> None:
    mean, error, p = np.mean(values), stats.sem(values), len(values) - 1
    low, high = interval(values, (0, 1))
    assert 0 < low < mean < high < 1
    # The delta method in other words: a t interval of the logit, whose standard error is that of the mean, scaled.
    expected = special.expit(stats.t.interval(0.95, p, special.logit(mean), error / (mean * (1 - mean))))
    assert (low, high) == pytest.approx(tuple(expected))
    assert interval(values) == pytest.approx(stats.t.interval(0.95, p, mean, error))
    doubled = interval([2 * value - 1 for value in values], (-1, 1))
    assert doubled == pytest.approx((2 * low - 1, 2 * high - 1))


def test_where_all_are_at_a_limit_no_interval_is_made_up() -> None:
    assert all(map(math.isnan, interval([0.0, 0.0, 0.0], (0, 1))))
    assert all(map(math.isnan, interval([1.0, 1.0], (0, 1))))
    assert all(map(math.isnan, interval([0.3], (0, 1))))
    low, high = interval([0.999999, 0.0, 0.0], (0, 1))
    assert 0 < low < high < 1


def test_what_does_not_match_is_said_and_who_was_never_judged_left_out(tmp_path: Path) -> None:
    text = "item,face_id,participant,condition\na.mp4,7,Ana,x\nz.mp4,,Ben,x\nd.mp4,,Cleo,x\n"
    groups, (complaint,) = compare(read(tmp_path, text))
    assert complaint == (
        "who.csv names what the results do not hold: a.mp4 face 7, z.mp4, and leaves out =e.mp4, b.mp4, c/photos"
    )
    assert groups.participants.empty
    everybody = "item,participant,condition\n" + "".join(
        f"{item},{n},x\n" for n, item in enumerate(("b.mp4", "c/photos", "d.mp4", "=e.mp4"))
    )
    one = read(
        tmp_path, everybody.replace("participant,", "participant,face_id,").replace(",x", ",,x") + "a.mp4,5,0,x\n"
    )
    assert compare(one)[1] == []


def test_a_row_of_several_faces_is_said_aloud(tmp_path: Path) -> None:
    people = read(tmp_path, "item,participant\na.mp4,Ana\nb.mp4,Ben\nc/photos,Ben\nd.mp4,Cleo\n=e.mp4,Dan\n")
    (said,) = compare(people)[1]
    assert said == (
        "who.csv gives one participant to several faces: a.mp4 (2 faces); if they are several people, give each a row "
        "with its face_id"
    )


def test_a_column_of_notes_is_said_to_be_no_factor(tmp_path: Path) -> None:
    rows = "".join(f"{n}.mp4,p{n},note {n},x\n" for n in range(8))
    _, said = compare(read(tmp_path, f"item,participant,notes,condition\n{rows}"))
    assert any(
        "notes has another value in every row; if it is no factor, put # before its name" in text for text in said
    )
    _, said = compare(read(tmp_path, f"item,participant,#notes,condition\n{rows}"))
    assert not any("another value in every row" in text for text in said)


def test_each_item_and_face_has_its_participant_and_levels(tmp_path: Path) -> None:
    text = "item,face_id,participant,condition,group\na.mp4,0,Ana,x,old\na.mp4,1,Ben,x,new\n./=e.mp4,,Dan,y,old\n"
    people = read(tmp_path, text)
    given = Assignment.by(people, people.matched(SUMMARY)[0])
    assert [column.name for column in given.columns] == ["participant", "condition", "group"]
    assert given.of("a.mp4", "1") == ("Ben", "x", "new")
    assert given.of("a.mp4") == ("", "x", "")
    assert given.of("a.mp4", "2") == ("", "", "")
    assert given.of("./=e.mp4", "4") == given.of("./=e.mp4") == ("Dan", "y", "old")
    assert given.of("b.mp4") == ("", "", "")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("item,person\na,b\n", "has no column participant; it has item, person, and needs item, participant"),
        ("item,participant,condition\n", "has no rows"),
        ("item,participant,condition\na.mp4,Ana,\n", "row 2 has no condition"),
        ("item,participant,condition\na.mp4,Ana,x\na.mp4,Ben,x\n", "a.mp4 is there twice"),
        ("item,face_id,participant,condition\na.mp4,,Ana,x\na.mp4,1,Ben,x\n", "a.mp4 is there twice"),
        ("item,face_id,participant,condition\na.mp4,left,Ana,x\n", "face_id must be a number or empty, got 'left'"),
        ("item,participant,seconds\na.mp4,Ana,3\n", "a column cannot be called seconds, since tables have one"),
        ("item,participant,#\na.mp4,Ana,3\n", "a column has no name but #"),
        ("", "not a table"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        read(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("item,participant,condition\na,Ana,x\n\nb,B,x\n./a/,Ana,x\n", "in rows 2 and 5; both say the same: take one"),
        (
            "item,participant,condition\na,Ana,x\na,Ben,x\n",
            "both are of all its faces: tell its faces apart by a column face",
        ),
        ("item,face,participant,condition\na,0,Ana,x\na,1,Ben,x\n", r"face_id \(there is none, but face, condition\)"),
        (
            "item,face_id,participant,condition\na,,Ana,x\na,1,Ben,x\n",
            "one is of all its faces and one of face 1: give each",
        ),
        ("item,face_id,participant,condition\na,1,Ana,x\na,1,Ben,x\n", "both are of face 1: give each another face_id"),
        (
            "item,participant,condition\na, b.mp4,Ana,x\n",
            "row 2 has 4 cells, and there are 3 columns; a name or a number",
        ),
        ("item|participant|condition\na|b|c\n", "columns are parted by commas, semicolons or tabs"),
        (
            "file,person,condition\na,b,c\n",
            "has no column item, participant; it has file, person, condition, and needs",
        ),
        ("item,participant,condition,Item\na,b,c,d\n", "has the column item twice"),
    ],
)
def test_what_is_wrong_is_named_with_its_cause(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        read(tmp_path, text)


def test_capitals_blank_lines_and_empty_columns_do_no_harm(tmp_path: Path) -> None:
    people = read(tmp_path, "Item;Participant;Condition;;\r\n\r\na.mp4;Ana;x;;\r\n;;;;\r\nb.mp4;Ben;x\r\n")
    assert compare(people)[0].participants["participant"].tolist() == ["Ana", "Ben"]


def test_an_item_that_is_named_in_two_ways_counts_once(tmp_path: Path) -> None:
    people = read(tmp_path, "item,participant,condition\nc/photos,Ana,x\nc\\photos,Ana,y\n")
    groups, said = compare(people)
    assert groups.participants[["participant", "condition"]].to_numpy().tolist() == [["Ana", "x"]]
    assert "names twice, by two names, so that the first one counts: c/photos" in said[0]


def test_a_file_of_bytes_or_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "who.csv").write_bytes(b"\xff\xfe\x00item")
    with pytest.raises(UsageError, match="not a table"):
        Participants.read(tmp_path / "who.csv")
    with pytest.raises(UsageError, match="cannot be read"):
        Participants.read(tmp_path / "none.csv")


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 9, 10, 29, 30, 99, 100, 1001])
def test_students_t(freedom: int) -> None:
    assert t_quantile(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=1e-9)


def test_items_may_be_named_as_windows_and_macos_write_paths(tmp_path: Path) -> None:
    summary = pd.DataFrame(
        [
            row(r"odd\name.mp4", "all", 10, 0.3),
            row("c/photos", "all", math.nan, 0.6),
            row("Zoe\u0308.mp4", "all", 1, 0.2),
        ],
        columns=list(SUMMARY_COLUMNS),
    )
    text = "item,participant,condition\nc\\photos,Ana,x\nodd\\name.mp4,Ben,x\nZo\u00eb.mp4,Zoe,x\nd\\e.mp4,Eve,x\n"
    groups, said = compare(read(tmp_path, text), summary)
    assert list(groups.participants["participant"]) == ["Ana", "Ben", "Zoe"]
    assert said == [r"who.csv names what the results do not hold: d\e.mp4"]


def test_an_item_that_is_not_found_has_the_nearest_names(tmp_path: Path) -> None:
    people = read(tmp_path, "item,participant,condition\na.mp4,Ana,x\nB.mp4,Ben,x\nc/photo,Cleo,x\n")
    complaint = compare(people)[1][0]
    assert "B.mp4 (did you mean b.mp4" in complaint
    assert "c/photo (did you mean c/photos?)" in complaint
