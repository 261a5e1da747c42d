"""``fermedia agree`` on results whose every second is known."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from fermedia.cli import cli
from fermedia.columns import AGREEMENT, CONFUSION, TIMELINE_COLUMNS
from fermedia.errors import FermediaError, UsageError
from fermedia.options import AnalyzeOptions
from fermedia.study.agreement import kappa
from fermedia.tables.tables import complete
from tests.made_up import add_measures, describe, photo_timeline, write_ledger, write_results
from tests.tables.test_segments import every, video

Numbers = dict[tuple[str, str, str, str], float]


def run(*arguments: str | Path) -> Result:
    done = CliRunner().invoke(cli, [str(a) for a in arguments], standalone_mode=False)
    if isinstance(done.exception, FermediaError):
        raise done.exception
    assert done.exception is None, done.output
    return done


def made(timeline: pd.DataFrame) -> pd.DataFrame:
    """A timeline with all columns; face 1 has the larger box."""
    table = complete(timeline).reindex(columns=list(TIMELINE_COLUMNS)).assign(source="a.mp4")
    size = 100.0 + 50 * table["face_id"].fillna(0).astype(int)
    table["confidence"] = 0.9
    for name in ("x", "y", "width", "height"):
        table[name] = size.where(table["success"])
    return table.assign(success=table["success"].astype(int), judged=table["judged"].astype(int))


#: Happy for four seconds, nobody for two, sad for four.
ONE = made(video(every(0.1, (0, 4, "happy", 1.0), (6, 10, "sad", 1.0)), frames=[round(n / 10, 6) for n in range(100)]))
#: Two faces: 0 is always neutral, 1, the larger, is surprised.
TWO = made(video([*every(0.1, (0, 5, "neutral", 1.0)), *every(0.1, (0, 5, "surprise", 1.0), face_id=1)]))


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "results"
    items = {"day/one.mp4": ONE, "day/two.mp4": TWO, "album/photos": photo_timeline(4)}
    write_results(folder, items)
    describe(folder / "items/day/one.mp4", ONE, end=10.0)
    add_measures(folder / "items/day/two.mp4", TWO)
    describe(folder / "items/day/two.mp4", TWO, end=5.0, options=AnalyzeOptions(measures=True).record())
    write_ledger(folder, items)
    return folder


def codes(folder: Path, text: str, name: str = "anna.csv") -> Path:
    path = folder / name
    path.write_text("item,begin,end,label\n" + text, encoding="utf-8")
    return path


def numbers(out: Path) -> Numbers:
    """The values by coders, label and statistic."""
    with (out / "agreement.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == AGREEMENT.names
    return {
        (row["coder_1"], row["coder_2"], row["label"], row["statistic"]): float(row["value"] or "nan") for row in rows
    }


def table(out: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(out / name, keep_default_na=False, na_values=[""])


def test_one_coder_and_the_machine(results: Path, tmp_path: Path) -> None:
    """Of the eight seconds with a face, anna has four of happy and the first two of sad."""
    path = codes(tmp_path, "one.mp4,0,5,happy\none.mp4,6,8,sad\n")
    said = run("agree", results, path, "--out", tmp_path / "out")
    found = numbers(tmp_path / "out")
    pair = ("anna", "machine")
    assert found[*pair, "happy", "overlap"] == pytest.approx(1)
    assert found[*pair, "happy", "kappa"] == pytest.approx(1)
    assert found[*pair, "sad", "overlap"] == pytest.approx(0.5)
    assert found[*pair, "sad", "f1"] == pytest.approx(2 / 3)
    assert found[*pair, "sad", "agreement"] == pytest.approx(6 / 8)
    assert found[*pair, "sad", "kappa"] == pytest.approx(float(kappa(np.array([[4.0, 2], [0, 2]]))))
    # Over all, only what has one of the machine's labels: six seconds.
    assert found[*pair, "all", "agreement"] == pytest.approx(1)
    rows = table(tmp_path / "out", "agreement.csv")
    assert rows.loc[rows["label"] == "all", "seconds"].unique() == pytest.approx([6])
    assert rows.loc[rows["label"] == "sad", "seconds"].unique() == pytest.approx([8])
    assert rows["low"].isna().all()  # one item
    assert rows["unit"].unique().tolist() == ["time"]
    assert "agreement of 1 coder on 1 item in" in said.output
    names = {"agreement.csv", "agreement.html", "agreement.pdf", "agreement.png", "confusion.csv", "method.txt"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    text = (tmp_path / "out/method.txt").read_text()
    assert text.startswith("One coder (anna) coded periods of 1 item.")
    assert "With a single item, no intervals can be given." in text
    assert "macro F1 1.00, agreement 100 %" in text


def test_time_without_a_code_is_what_it_is_said_to_be(results: Path, tmp_path: Path) -> None:
    path = codes(tmp_path, "one.mp4,0,5,happy\none.mp4,6,8,sad\n")
    other = codes(tmp_path, "one.mp4,0,4,happy\n", "ben.csv")
    values = {}
    for gaps in ("none", "neutral", "skip"):
        run("agree", results, path, other, "--gaps", gaps, "--out", tmp_path / gaps)
        values[gaps] = numbers(tmp_path / gaps)
    # 8 to 10 s of sad are neutral to anna then.
    assert values["neutral"]["anna", "machine", "all", "agreement"] == pytest.approx(6 / 8)
    # Both happy for 4 s and both nothing for 3 (5 to 6, 8 to 10), of 10 s; skipped, only the 4 s are left.
    assert values["none"]["anna", "ben", "all", "agreement"] == pytest.approx(7 / 10)
    assert values["skip"]["anna", "ben", "all", "agreement"] == pytest.approx(1)
    confusion = table(tmp_path / "none", "confusion.csv")
    assert tuple(confusion.columns) == CONFUSION.names
    cells = confusion[confusion["coder_2"] == "ben"].set_index(["label_1", "label_2"])["seconds"]
    assert {key: value for key, value in cells.items() if value} == pytest.approx(
        {("happy", "happy"): 4, ("happy", "none"): 1, ("sad", "none"): 2, ("none", "none"): 3}
    )


def test_overlapping_codes_count_for_their_labels_and_not_together(results: Path, tmp_path: Path) -> None:
    path = codes(tmp_path, "one.mp4,0,4,happy\none.mp4,2,4,sad\none.mp4,6,10,sad\none.mp4,0,10,sits\n")
    done = run("agree", results, path, "--out", tmp_path / "out")
    assert "the machine has no label sits; compared between coders only" in done.output
    found = numbers(tmp_path / "out")
    rows = table(tmp_path / "out", "agreement.csv")
    assert rows.loc[rows["label"] == "all", "seconds"].unique() == pytest.approx([6])  # 0 to 2 and 6 to 10
    assert found["anna", "machine", "sad", "agreement"] == pytest.approx(6 / 8)
    assert found["anna", "machine", "happy", "agreement"] == pytest.approx(1)
    assert "sits" not in set(rows["label"])


def test_codes_that_do_not_fit_the_video_are_cut_or_left_out_and_said(results: Path, tmp_path: Path) -> None:
    text = "one.mp4,0,4,happy\none.mp4,6,12,sad\none.mp4,11,12,happy\none.mp4,5000,6000,sad\none.mp4,3,3,sad\n"
    done = run("agree", results, codes(tmp_path, text + "onee.mp4,0,1,sad\n"), "--out", tmp_path / "out")
    assert numbers(tmp_path / "out")["anna", "machine", "all", "agreement"] == pytest.approx(1)
    for words in (
        "1 code is longer than the video, and counted up to its end (the first: ",
        "anna.csv row 3; day/one.mp4, 0.00 to 10.00 s)",
        "1 code is outside of the analysed part of the video, and not counted (the first",
        "times are seconds, and these may be milliseconds",
        "1 code is without duration, or too short to hold an analysed frame",
        "row 7: no item onee.mp4 in the results (did you mean day/one.mp4?)",
    ):
        assert words in done.output
    page = (tmp_path / "out/agreement.html").read_text(encoding="utf-8")
    assert "milliseconds" in page  # the page says so, too


def test_codes_without_a_face_are_of_the_largest(results: Path, tmp_path: Path) -> None:
    path = codes(tmp_path, "two.mp4,0,5,surprise\n")
    done = run("agree", results, path, "--out", tmp_path / "out")
    assert "has 2 faces; codes without a face_id or person are of the largest in each frame" in done.output
    assert numbers(tmp_path / "out")["anna", "machine", "all", "agreement"] == 1
    small = tmp_path / "ben.csv"
    small.write_text("item,begin,end,label,face_id\ntwo.mp4,0,5,neutral,0\ntwo.mp4,0,5,sad,1\ntwo.mp4,0,5,sad,7\n")
    done = run("agree", results, small, "--out", tmp_path / "faces")
    assert "two.mp4 has the faces 0, 1, and no face 7 (1 code left out)" in done.output
    assert numbers(tmp_path / "faces")["ben", "machine", "all", "agreement"] == pytest.approx(0.5)


def test_codes_of_a_person_are_of_all_of_their_faces(results: Path, tmp_path: Path) -> None:
    parts = ((0, 2, "happy", 0), (2, 4, "sad", 2), (0, 4, "surprise", 1))
    rows = [seen for begin, end, shows, face in parts for seen in every(0.1, (begin, end, shows, 1.0), face_id=face)]
    timeline = made(video(rows))
    timeline["person"] = timeline["face_id"].map({0: "Anna", 1: "Ben", 2: "Anna"})
    folder = write_results(tmp_path / "results", {"cut.mp4": timeline, "two.mp4": TWO})
    describe(folder / "items/cut.mp4", timeline, end=4.0)
    write_ledger(folder, {"cut.mp4": timeline, "two.mp4": TWO})
    path = tmp_path / "carl.csv"
    header = "item,begin,end,label,person\n"
    path.write_text(header + "cut.mp4,0,2,happy,Anna\ncut.mp4,2,4,angry,Anna\ncut.mp4,0,4,surprise,Ben\n")
    done = run("agree", folder, path, "--out", tmp_path / "out")
    assert numbers(tmp_path / "out")["carl", "machine", "all", "agreement"] == pytest.approx(0.75, abs=0.03)
    assert "largest" not in done.output
    path.write_text(header + "cut.mp4,0,2,happy,Ana\n")
    with pytest.raises(UsageError, match=r"carl\.csv row 2: cut\.mp4 has no person Ana; there are Anna, Ben; name"):
        run("agree", folder, path, "--out", tmp_path / "out")
    path.write_text(header + "two.mp4,0,2,happy,Ana\n")
    with pytest.raises(UsageError, match=r"two\.mp4 has no person Ana, for no face has a name"):
        run("agree", folder, path, "--out", tmp_path / "out")


def test_an_item_in_which_there_was_nothing_needs_a_row(results: Path, tmp_path: Path) -> None:
    anna = codes(tmp_path, "one.mp4,0,4,happy\ntwo.mp4,0,1,happy\n")
    ben = codes(tmp_path, "one.mp4,0,4,happy\n", "ben.csv")
    done = run("agree", results, anna, ben, "--out", tmp_path / "out")
    assert "ben has no code of day/two.mp4, which others coded, and is not compared there" in done.output
    assert numbers(tmp_path / "out")["anna", "ben", "happy", "agreement"] == 1
    ben = codes(tmp_path, "one.mp4,0,4,happy\ntwo.mp4,,,\n", "ben.csv")
    done = run("agree", results, anna, ben, "--out", tmp_path / "both")
    assert "has no code of" not in done.output
    assert numbers(tmp_path / "both")["anna", "ben", "happy", "agreement"] == pytest.approx(14 / 15)


def test_single_frames_count_alike_and_photos_go_by_their_names(results: Path, tmp_path: Path) -> None:
    path = tmp_path / "anna.csv"
    rows = ["one.mp4,0,happy", "one.mp4,39,sad", "one.mp4,70,sad", "one.mp4,50,sad", "one.mp4,999,sad", "one.mp4,60,"]
    path.write_text("item,frame,label\n" + "\n".join(rows) + "\nalbum,image 2.jpg,happy\n")
    done = run("agree", results, path, "--out", tmp_path / "out")
    assert "1 code is of a frame that was not analysed" in done.output
    rows = table(tmp_path / "out", "agreement.csv")
    assert rows["unit"].unique().tolist() == ["frames"]
    assert rows["seconds"].isna().all()
    assert rows.loc[rows["label"] == "all", "frames"].unique().tolist() == [4]  # there is no face in frame 50
    timed = tmp_path / "ben.csv"
    timed.write_text('item,time,label\none.mp4,0.05,happy\none.mp4,"3,95",sad\none.mp4,7,sad\none.mp4,44,sad\n')
    done = run("agree", results, timed, "--out", tmp_path / "timed")
    assert "1 code is outside of the analysed part of the video" in done.output
    assert numbers(tmp_path / "timed")["ben", "machine", "all", "agreement"] == pytest.approx(2 / 3)


def test_valence_and_measures_are_correlated(results: Path, tmp_path: Path) -> None:
    measures = pd.read_csv(results / "items/day/two.mp4/measures.csv")
    large = measures[measures["face_id"] == 1]
    rows = [f"two.mp4,{frame},{2 * yaw + 1},0.5" for frame, yaw in large[["frame", "yaw"]].to_numpy().tolist()]
    path = tmp_path / "anna.csv"
    path.write_text("item,frame,yaw,valence\n" + "\n".join(row.replace(".0,", ",", 1) for row in rows) + "\n")
    run("agree", results, path, "--out", tmp_path / "out")
    found = numbers(tmp_path / "out")
    assert found["anna", "machine", "yaw", "r"] == pytest.approx(1)
    assert np.isnan(found["anna", "machine", "valence", "r"])  # neither varies
    assert found["anna", "machine", "yaw", "icc3"] < 1  # another scale
    assert "Pearson's r 1.00" in (tmp_path / "out/method.txt").read_text()


def test_three_coders_and_a_bootstrap_over_people(results: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    files = []
    for name in ("anna", "ben", "caro"):
        cuts = rng.uniform(2, 5, 2).round(2)
        text = f"one.mp4,0,{cuts[0]},happy\none.mp4,6,{cuts[1] + 5},sad\ntwo.mp4,0,{cuts[1]},happy\n"
        files.append(codes(tmp_path, text, f"{name}.csv"))
    people = tmp_path / "people.csv"
    people.write_text("item,participant,condition\none,P1,a\nday/two.mp4,P1,b\n")
    for name, more in (("a", ()), ("b", ()), ("people", ("--participants", people))):
        run("agree", results, *files, "--out", tmp_path / name, *more)
    assert (tmp_path / "a/agreement.csv").read_text() == (tmp_path / "b/agreement.csv").read_text()
    rows = table(tmp_path / "a", "agreement.csv")
    several = rows[(rows["coder_1"] == "all coders") & (rows["label"] == "all")].set_index("statistic")
    assert list(several.index) == ["agreement", "fleiss_kappa", "ac1"]
    assert several["coder_2"].isna().all()
    pairs = rows[(rows["statistic"] == "agreement") & (rows["label"] == "all") & rows["coder_2"].isin(["ben", "caro"])]
    assert several.loc["agreement", "value"] == pytest.approx(pairs["value"].mean(), abs=1e-5)
    assert (several["low"] <= several["value"]).all()
    assert several["clusters"].tolist() == [2, 2, 2]
    alone = table(tmp_path / "people", "agreement.csv")
    assert alone["low"].isna().all()  # both items are of one person
    assert alone["clusters"].unique().tolist() == [1]
    assert "With a single person, no intervals" in (tmp_path / "people/method.txt").read_text()


def test_items_without_a_participant_are_named(results: Path, tmp_path: Path) -> None:
    people = tmp_path / "people.csv"
    people.write_text("item,participant,condition\none,P1,a\nthree,P2,b\n")
    path = codes(tmp_path, "one.mp4,0,4,happy\ntwo.mp4,0,1,happy\n")
    done = run("agree", results, path, "--participants", people, "--gaps", "NEUTRAL", "--out", tmp_path / "out")
    assert "people.csv does not say who is seen in day/two.mp4, which count as people of their own" in done.output
    assert "from 2,000 bootstrap resamples of the 2 people" in (tmp_path / "out/method.txt").read_text()
    assert "time without a code counted as neutral" in (tmp_path / "out/method.txt").read_text()


def test_what_cannot_be_compared_is_one_line_and_writes_nothing(results: Path, tmp_path: Path) -> None:
    path = codes(tmp_path, "other.mp4,0,4,happy\n")
    with pytest.raises(UsageError, match=r"nothing can be compared: .*anna.csv row 2: no item other.mp4"):
        run("agree", results, path, "--out", tmp_path / "out")
    path = codes(tmp_path, "one.mp4,11,12,happy\n")
    with pytest.raises(UsageError, match="nothing can be compared"):
        run("agree", results, path, "--gaps", "skip", "--out", tmp_path / "out")
    path = codes(tmp_path, "one.mp4,0,4,happy\n")
    with pytest.raises(UsageError, match="lies in the results"):
        run("agree", results, path, "--out", results / "agreement")
    with pytest.raises(UsageError, match="has no results of fermedia"):
        run("agree", tmp_path, path, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not (results / "agreement").exists()
