"""Codes as psychologists have them: CSV files, ELAN, BORIS."""

from __future__ import annotations

import math
import re
from pathlib import Path

import openpyxl
import pytest

from fermedia.errors import UsageError
from fermedia.study.code_files import read_codes
from fermedia.study.codes import Code, read_labels, translated, unknown_items
from fermedia.study.item_names import ItemNames

BORIS_AGGREGATED = """Observation id,Observation date,Description,Media file,Total length,FPS,Subject,Behavior,\
Behavioral category,Modifiers,Behavior type,Start (s),Stop (s),Duration (s),Comment start,Comment stop
Obs 1,2021-12-06 13:26:24,,T:/Study/day 1/talk.mp4,10.010,29.97,No focal subject,smile,,,STATE,1.000,3.500,2.500,,
Obs 1,2021-12-06 13:26:24,,T:/Study/day 1/talk.mp4,10.010,29.97,No focal subject,nod,,,POINT,4.000,4.000,NA,,
"""

BORIS_TABULAR = """Observation id\tObs 1

Media file(s)
Player #1\tT:/Study/talk.mp4

Time\tMedia file path\tTotal length\tFPS\tSubject\tBehavior\tBehavioral category\tModifiers\tComment\tStatus
1.0\tT:/Study/talk.mp4\t10.01\t29.97\tface 1\tsmile\t\t\t\tSTART
2.0\tT:/Study/talk.mp4\t10.01\t29.97\tface 0\tsmile\t\t\t\tSTART
3.5\tT:/Study/talk.mp4\t10.01\t29.97\tface 1\tsmile\t\t\t\tSTOP
"""

#: Two tiers on the time line, one of them subdivided without times, and one that refers to the first.
ELAN = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="" DATE="2024-01-01T10:00:00+01:00" FORMAT="3.0" VERSION="3.0">
<HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">
<MEDIA_DESCRIPTOR MEDIA_URL="file:///C:/My%20Study/talk%201.mp4" MIME_TYPE="video/mp4"
 RELATIVE_MEDIA_URL="./talk%201.mp4"/></HEADER>
<TIME_ORDER>
<TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="1000"/><TIME_SLOT TIME_SLOT_ID="ts2" TIME_VALUE="4000"/>
<TIME_SLOT TIME_SLOT_ID="ts3" TIME_VALUE="5000"/><TIME_SLOT TIME_SLOT_ID="ts4"/>
<TIME_SLOT TIME_SLOT_ID="ts5"/><TIME_SLOT TIME_SLOT_ID="ts6" TIME_VALUE="8000"/>
</TIME_ORDER>
<TIER LINGUISTIC_TYPE_REF="default" TIER_ID="emotion" ANNOTATOR="anna" PARTICIPANT="Mia">
<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2">
<ANNOTATION_VALUE>happy</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER>
<TIER LINGUISTIC_TYPE_REF="parts" TIER_ID="phases" ANNOTATOR="anna">
<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="b1" TIME_SLOT_REF1="ts3" TIME_SLOT_REF2="ts4">
<ANNOTATION_VALUE>sad</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="b2" TIME_SLOT_REF1="ts4" TIME_SLOT_REF2="ts5">
<ANNOTATION_VALUE>fear</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="b3" TIME_SLOT_REF1="ts5" TIME_SLOT_REF2="ts6">
<ANNOTATION_VALUE></ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER>
<TIER LINGUISTIC_TYPE_REF="sub" PARENT_REF="emotion" TIER_ID="strength" ANNOTATOR="anna">
<ANNOTATION><REF_ANNOTATION ANNOTATION_ID="c2" ANNOTATION_REF="a1" PREVIOUS_ANNOTATION="c1">
<ANNOTATION_VALUE>weak</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION>
<ANNOTATION><REF_ANNOTATION ANNOTATION_ID="c1" ANNOTATION_REF="a1">
<ANNOTATION_VALUE>strong</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION>
<ANNOTATION><REF_ANNOTATION ANNOTATION_ID="c3" ANNOTATION_REF="a1" PREVIOUS_ANNOTATION="c2">
<ANNOTATION_VALUE>gone</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION></TIER>
<TIER LINGUISTIC_TYPE_REF="same" PARENT_REF="strength" TIER_ID="deeper" ANNOTATOR="anna">
<ANNOTATION><REF_ANNOTATION ANNOTATION_ID="d1" ANNOTATION_REF="c2">
<ANNOTATION_VALUE>note</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION></TIER>
</ANNOTATION_DOCUMENT>
"""


def written(folder: Path, text: str, name: str = "anna.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def periods(codes: list[Code]) -> list[tuple[str, float, float]]:
    return [(code.label, code.begin, code.end) for code in codes]


def test_periods_with_semicolons_and_decimal_commas(tmp_path: Path) -> None:
    text = "\ufeffItem;Begin;End;Label;valence\nC:\\Study\\talk.mp4;0,5;1:02,25;Smile;-0,25\n;;;;\n"
    codes, notes = read_codes([written(tmp_path, text)])
    where = f"{tmp_path / 'anna.csv'} row 2"
    item = ("C:\\Study\\talk.mp4",)
    assert codes == [Code("anna", where, item, "Smile", 0.5, 62.25, numbers={"valence": -0.25})]
    assert notes == []


def test_moments_and_frames_have_no_end_and_files_may_have_several_coders(tmp_path: Path) -> None:
    text = "item,frame,time,label,coder,face_id\na.mp4,12,,sad,Ben,1\na.mp4,,0.5,sad,Caro,all\n"
    one, other = read_codes([written(tmp_path, text)])[0]
    assert (one.coder, one.frame, one.face, one.is_period) == ("Ben", "12", "1", False)
    assert math.isnan(one.begin)
    assert (other.coder, other.frame, other.begin, other.face, other.is_period) == ("Caro", "", 0.5, "", False)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("item,start,end,label\na,1,2,sad\n", "codes need item, label, and begin and end"),
        ("item,begin,end,lable\na,1,2,sad\n", "is lable meant as label"),
        ("item,begin,end,label\na,1,,sad\n", "row 2: has no end"),
        ("item,begin,end,label\n,1,2,sad\n", "row 2: has no item"),
        ("item,begin,end,label\na,3,2,sad\n", "row 2: ends at 2 s, before its begin at 3 s"),
        ("item,begin,end,label\na,x,2,sad\n", "begin must be a time in seconds, MM:SS or HH:MM:SS, got 'x'"),
        ("item,begin,end,label\na,nan,2,sad\n", "begin must be a time"),
        ("item,begin,end,label,valence\na,1,2,sad,good\n", "valence must be a number, got 'good'"),
        ("item,begin,end,label,face_id\na,1,2,sad,Mia\n", "face_id must be a number or empty, got 'Mia'"),
        ("item,begin,end,label,coder\na,1,2,sad,Machine\n", "a coder cannot be called Machine, which in the tables"),
        ("item,begin,end,label,coder\na,1,2,sad,all coders\n", "a coder cannot be called all coders"),
        ("item,begin,end,label\na,1,2,sad,more\n", "row 2 has 5 cells, and there are 4 columns"),
        ("sample,number,coder,label\nab,1,anna,sad\n", "give the sample's key: --key key.csv"),
        ("", "it is empty"),
    ],
)
def test_what_is_wrong_is_said_in_a_line_with_its_row(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError) as error:
        read_codes([written(tmp_path, text)])
    assert said in str(error.value)
    assert "anna.csv" in str(error.value)
    assert "\n" not in str(error.value)


def test_one_coder_has_one_kind_of_codes(tmp_path: Path) -> None:
    one = written(tmp_path, "item,begin,end,label,coder\na,1,2,sad,Ben\n", "x.csv")
    other = written(tmp_path, "item,time,label,coder\na,1,sad,Ben\n", "y.csv")
    with pytest.raises(UsageError, match=r"x\.csv row 2 codes periods and .*y\.csv row 2 single frames, both by Ben"):
        read_codes([one, other])


def test_two_sheets_by_one_name_are_refused(tmp_path: Path) -> None:
    text = "item,frame,label,coder\na,1,sad,Ann\na,1,happy,Ann\n"
    assert len(read_codes([written(tmp_path, text, "x.csv")])[0]) == 2  # one file may give a frame two labels
    other = written(tmp_path, "item,frame,label,coder\na,2,sad,Ann\na,1,sad,Ann\n", "y.csv")
    with pytest.raises(UsageError, match=r"x\.csv and .*y\.csv row 3: both are codes of one frame by Ann"):
        read_codes([tmp_path / "x.csv", other])


def test_a_row_without_anything_but_an_item_says_that_there_was_nothing(tmp_path: Path) -> None:
    (code,) = read_codes([written(tmp_path, "item,begin,end,label\na.mp4,,,\n")])[0]
    assert (code.label, code.begin, code.end) == ("", 0, 0)


def test_boris_aggregated(tmp_path: Path) -> None:
    codes, notes = read_codes([written(tmp_path, BORIS_AGGREGATED)])
    assert periods(codes) == [("smile", 1.0, 3.5), ("nod", 4.0, 4.0)]
    assert codes[0].items == ("T:/Study/day 1/talk.mp4", "Obs 1")
    assert [code.face for code in codes] == ["", ""]
    assert notes == []


def test_boris_tabular_with_its_preamble(tmp_path: Path) -> None:
    codes, notes = read_codes([written(tmp_path, BORIS_TABULAR)])
    assert periods(codes) == [("smile", 1.0, 3.5), ("smile", 2.0, math.inf)]
    assert [code.face for code in codes] == ["1", "0"]
    assert codes[0].items[-1] == "Obs 1"
    assert len(notes) == 1
    assert "smile never stops; counted to the video's end" in notes[0]


def test_boris_exported_as_a_workbook(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for line in BORIS_TABULAR.splitlines():
        book.worksheets[0].append(
            [float(text) if re.fullmatch(r"[0-9.]+", text) else text for text in line.split("\t")]
        )
    (tmp_path / "anna").mkdir()
    book.save(tmp_path / "anna/boris.xlsx")
    codes, notes = read_codes([tmp_path / "anna"])
    assert periods(codes) == [("smile", 1.0, 3.5), ("smile", 2.0, math.inf)]
    assert codes[0].items == ("T:/Study/talk.mp4", "Obs 1")
    assert "row 8: smile never stops" in notes[0]


def test_boris_names_media_in_several_ways(tmp_path: Path) -> None:
    text = BORIS_AGGREGATED.replace("T:/Study/day 1/talk.mp4", "1:/x/talk.mp4;2:/x/side.mp4", 1)
    text = text.replace("T:/Study/day 1/talk.mp4", "NA")
    one, other = read_codes([written(tmp_path, text.replace("Start (s),Stop (s)", "Start (seconds),Stop (seconds)"))])[
        0
    ]
    assert ItemNames({"day/talk.mp4": "/r/talk.mp4"}).find(one.items) == "day/talk.mp4"
    assert other.items == ("Obs 1",)


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ("4.0\tT:/Study/talk.mp4\t10\t30\tface 1\tsmile\t\t\t\tSTOP", "smile stops, and did not start"),
        ("4.0\tT:/Study/talk.mp4\t10\t30\tface 0\tsmile\t\t\t\tSTART", "smile starts, and has not stopped since"),
    ],
)
def test_events_of_boris_that_do_not_pair(tmp_path: Path, event: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_codes([written(tmp_path, BORIS_TABULAR + event + "\n")])


def test_subjects_who_are_no_faces_are_persons(tmp_path: Path) -> None:
    def read(text: str) -> list[tuple[str, str, bool]]:
        return [(code.face, code.person, code.is_only) for code in read_codes([written(tmp_path, text)])[0]]

    text = BORIS_AGGREGATED.replace("No focal subject,smile", "Mia,smile")
    assert read(text) == [("", "Mia", True), ("", "", False)]
    text = text.replace("No focal subject,nod", "Tom,nod")
    assert read(text) == [("", "Mia", False), ("", "Tom", False)]
    text = "item,begin,end,label,person,face_id\n"
    assert read(text + "a,1,2,sad,Mia,\na,1,2,sad,,3\n") == [("", "Mia", False), ("3", "", False)]
    with pytest.raises(UsageError, match="row 2: has a face_id and a person; give one of them"):
        read(text + "a,1,2,sad,Mia,3\n")


def test_elan_with_subdivided_and_referring_tiers(tmp_path: Path) -> None:
    codes, _ = read_codes([written(tmp_path, ELAN, "session 3.eaf")])
    assert periods(codes) == [
        ("happy", 1.0, 4.0),
        ("sad", 5.0, 6.0),
        ("fear", 6.0, 7.0),
        ("phases", 7.0, 8.0),  # without a text, the tier's name
        ("weak", 2.0, 3.0),
        ("strong", 1.0, 2.0),
        ("gone", 3.0, 4.0),
        ("note", 2.0, 3.0),
    ]
    assert {code.coder for code in codes} == {"anna"}
    assert codes[0].items == ("talk 1.mp4", "session 3")


def test_elans_annotator_media_and_offset(tmp_path: Path) -> None:
    """One annotator is that of all tiers; the video counts, not the audio before it, and its offset."""
    audio = '<MEDIA_DESCRIPTOR MEDIA_URL="file:///x/talk.wav" MIME_TYPE="audio/x-wav"/><MEDIA_DESCRIPTOR'
    text = ELAN.replace('TIER_ID="phases" ANNOTATOR="anna"', 'TIER_ID="phases"').replace("<MEDIA_DESCRIPTOR", audio)
    text = text.replace('MIME_TYPE="video/mp4"', 'MIME_TYPE="video/mp4" TIME_ORIGIN="2500"')
    codes, _ = read_codes([written(tmp_path, text, "session.eaf")], tiers=["emotion", "phases"])
    assert {code.coder for code in codes} == {"anna"}
    assert codes[0].items == ("talk 1.mp4", "talk.wav", "session")
    assert periods(codes)[:2] == [("happy", 3.5, 6.5), ("sad", 7.5, 8.5)]
    two = text.replace('TIER_ID="emotion" ANNOTATOR="anna"', 'TIER_ID="emotion" ANNOTATOR="ben"')
    assert {code.coder for code in read_codes([written(tmp_path, two, "both.eaf")])[0]} == {"anna", "ben", "both"}


def test_tiers_of_elan_are_chosen(tmp_path: Path) -> None:
    path = written(tmp_path, ELAN, "session.eaf")
    assert periods(read_codes([path], tiers=["emotion"])[0]) == [("happy", 1.0, 4.0)]
    with pytest.raises(UsageError, match="--tiers mood: no such tier; there are deeper, emotion, phases, strength"):
        read_codes([path], tiers=["mood"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nothing", "not a file of ELAN"),
        ("<html></html>", "not a file of ELAN, for it begins with html"),
        (ELAN.replace('TIME_SLOT_ID="ts1" TIME_VALUE="1000"', 'TIME_SLOT_ID="ts1"'), "annotation a1 has no time"),
        (ELAN.replace('ANNOTATION_REF="c2"', 'ANNOTATION_REF="d1"'), "annotation d1 has no time"),
        (ELAN.replace('TIME_VALUE="1000"', 'TIME_VALUE="soon"'), "a time must be in milliseconds, got 'soon'"),
    ],
)
def test_files_that_are_no_file_of_elan(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError) as error:
        read_codes([written(tmp_path, text, "a.eaf")])
    assert said in str(error.value)


def test_labels_get_their_meanings(tmp_path: Path) -> None:
    meanings = read_labels(written(tmp_path, "# ours\nSmile = happy\n\ntalk =\nfrown=SAD\n", "labels.txt"))
    given = ["smile", "talk", "Frown", "NEUTRAL", "suprise", "unclear", "Contempt", "contempt"]
    codes, notes = translated([Code("anna", "", ("a",), label, 0, 1) for label in given], meanings)
    assert [code.label for code in codes] == ["happy", "sad", "neutral", "suprise", "", "Contempt", "Contempt"]
    assert len(notes) == 1
    assert "the machine has no label Contempt, suprise (surprise?)" in notes[0]


def test_no_label_is_called_as_all_together() -> None:
    with pytest.raises(UsageError, match=r"a\.csv row 3: a label cannot be called all"):
        translated([Code("anna", "a.csv row 3", ("a",), "All", 0, 1)], {})
    assert translated([Code("anna", "", ("a",), "all", 0, 1)], {"all": "happy"})[0][0].label == "happy"


@pytest.mark.parametrize(("line", "said"), [("smile happy", "line 2 is not like smile = happy"), ("A=b", "says again")])
def test_files_of_labels_with_wrong_lines(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_labels(written(tmp_path, f"a = b\n{line}\n", "labels.txt"))


def test_codes_of_unknown_items_are_left_out_and_said() -> None:
    names = ItemNames({"day1/talk.mp4": "/r/day1/talk.mp4", "class/photos": "/r/class"})
    codes = [Code("a", "a.csv row 7", ("clas",), "sad"), Code("a", "a.csv row 8", ("no", "C:\\x\\talk.mp4"), "sad")]
    keys, notes = unknown_items(codes, names)
    assert keys == {("no", "C:\\x\\talk.mp4"): "day1/talk.mp4"}
    assert notes == ["a.csv row 7: no item clas in the results (did you mean class/photos?); 1 code left out"]


def test_a_folder_stands_for_a_coder(tmp_path: Path) -> None:
    for coder in ("anna", "ben"):
        (tmp_path / coder).mkdir()
        for name in ("p1.eaf", "p2.eaf"):
            text = ELAN.replace('ANNOTATOR="anna"', "").replace("talk%201", name.removesuffix(".eaf"))
            written(tmp_path / coder, text, name)
        written(tmp_path / coder, "no codes", "notes.docx")
    codes, _ = read_codes([tmp_path / "anna", tmp_path / "ben"], tiers=["emotion"])
    found = [(code.coder, code.items[0], code.label) for code in codes]
    assert found == [(coder, f"p{n}.mp4", "happy") for coder in ("anna", "ben") for n in (1, 2)]
    with pytest.raises(
        UsageError, match=r"p1\.eaf: both give codes of a coder called p1; name the files or folders apart"
    ):
        read_codes([tmp_path / "anna/p1.eaf", tmp_path / "ben/p1.eaf"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="empty: a folder without codes, which are "):
        read_codes([tmp_path / "empty"])
