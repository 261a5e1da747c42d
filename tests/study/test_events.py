"""Events of every origin become the same records, find their items, and wrong files are refused with a reason."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import openpyxl
import pytest

from fermedia.errors import UsageError
from fermedia.study.boris import read_boris
from fermedia.study.events import Event, EventFiles, beyond
from fermedia.study.given import read_rows

ITEMS: dict[str, datetime | None] = {"ana.mp4": None, "day 2/ben.mp4": None}


def read(path: Path, text: str, encoding: str = "utf-8") -> EventFiles:
    path.write_text(text, encoding=encoding)
    return EventFiles.read(path)


def one(tmp_path: Path, row: str, header: str = "item,begin,end,label") -> Event:
    """The only event of a table."""
    found, _ = read(tmp_path / "events.csv", f"{header}\n{row}\n").matched(ITEMS)
    ((event,),) = found.values()
    return event


@pytest.mark.parametrize(
    ("begin", "seconds"),
    [("1.5", 1.5), ('"1,5"', 1.5), ("01:30", 90), ("1:30.25", 90.25), ('"0:01,5"', 1.5), ("1:00:00", 3600), ("0", 0)],
)
def test_times_are_written_as_people_do(tmp_path: Path, begin: str, seconds: float) -> None:
    assert one(tmp_path, f"ana.mp4,{begin},,film") == Event(seconds, None, "film")


@pytest.mark.parametrize(
    ("header", "row", "event"),
    [
        ("Item;Onset;Duration;Trial_Type;Trial", "ana.mp4;0,5;1,25;film;7", Event(0.5, 1.75, "film", "7")),
        ("item\tbegin\tend\tlabel\tcondition", "ana.mp4\t1\t2\tfilm\tA", Event(1, 2, "film", "", "A")),
        ("label,end,begin,item", "film,2,1,ana.mp4", Event(1, 2, "film")),
        ("item,onset,duration,trial_type", "ana.mp4,1,n/a,film", Event(1, None, "film")),
        ("item,onset,duration,trial_type", "ana.mp4,1,0,film", Event(1, None, "film")),
        ("item,begin,end,duration,label", "ana.mp4,1,3,2.0,film", Event(1, 3, "film")),
        ("item,begin,label", "./ana.mp4/,1,=1+1", Event(1, None, "./=1+1")),
    ],
)
def test_tables_are_read_whatever_their_columns_are_called(tmp_path: Path, header: str, row: str, event: Event) -> None:
    assert one(tmp_path, row, header) == event


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16"])
def test_other_encodings_are_read(tmp_path: Path, encoding: str) -> None:
    found, _ = read(tmp_path / "e.csv", "item;begin;label\nana.mp4;1;Überraschung\n", encoding).matched(ITEMS)
    assert found["ana.mp4"][0].label == "Überraschung"


def test_a_workbook_is_read_like_a_csv(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in (["item", "begin", "end", "label"], ["ana.mp4", 1.5, timedelta(minutes=1), "film"]):
        book.worksheets[0].append(row)
    book.save(tmp_path / "e.xlsx")
    (tmp_path / "~$e.xlsx").write_text("Excel has it open")
    for path in (tmp_path / "e.xlsx", tmp_path):
        found, _ = EventFiles.read(path).matched(ITEMS)
        assert found == {"ana.mp4": [Event(1.5, 60, "film")]}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "is empty"),
        ("item,begin,label\n", "has no rows"),
        ("item,begin\nana.mp4,1\n", "has no column label; it has item, begin"),
        ("item begin label\nana.mp4 1 film\n", "columns are parted by"),
        ("item,begin,onset,label\nana.mp4,1,1,a\n", "has the column begin and onset twice"),
        ("item,begin,label\nana.mp4,1:75,film\n", "row 2: begin is '1:75', which is no time"),
        ("item,begin,label\nana.mp4,-1,film\n", "row 2: begin is '-1', which is no time"),
        ("item,begin,label\nana.mp4,nan,film\n", "row 2: begin is 'nan', which is no time"),
        ("item,begin,label\nana.mp4,later,film\n", "row 2: begin is 'later', which is no time"),
        ("item,begin,label\nana.mp4,,film\n", "row 2 has no begin"),
        ("item,begin,label\n\nana.mp4,1,\n", "row 3 has no label"),
        ("item,begin,end,label\nana.mp4,3,2,film\n", "row 2: film ends before it begins: 3 to 2 s"),
        ("item,begin,end,duration,label\na,1,3,5,film\n", "end and duration contradict each other: 3, 5"),
        ("item,begin,label\nana.mp4,1,5,film\n", "row 2 has 4 cells, and there are 3 columns"),
        ("item,begin,label\nana.mp4,2026-05-04T14:03:05,film\n", "a time of day without its zone"),
        ("item,begin,label,recording_start\na,14:00:00,film,14:00:05\n", "begin is before recording_start"),
        ("item,begin,label,recording_start\na,14:00:00,film,soon\n", "recording_start is 'soon', which is no time"),
        ("item,begin,label,recording_start\na,25:00:00,film,14:00:00\n", "begin is '25:00:00', which is no time"),
        ("item,begin,label,recording_start\na,2026-05-04T14:00,x,14:00\n", "must both have a date or both none"),
        ("item,begin,label\nana.mp4\0,1,film\n", "not a table of text"),
    ],
)
def test_wrong_tables_are_refused_with_the_row(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "events.csv"
    with pytest.raises(UsageError) as error:
        read(path, text)
    assert str(error.value).startswith(f"--events {path}: ")
    assert what in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        EventFiles.read(tmp_path / "no.csv")
    with pytest.raises(UsageError, match="holds no file that ends in"):
        EventFiles.read(tmp_path)


# -- items --


def test_items_are_found_as_participants_find_them(tmp_path: Path) -> None:
    text = "item,begin,label\nana.mp4,1,a\nday 2\\ben.mp4,2,b\n./day 2/ben.mp4/,1,c\n"
    found, notes = read(tmp_path / "e.csv", text).matched(ITEMS)
    assert {key: [e.label for e in events] for key, events in found.items()} == {
        "ana.mp4": ["a"],
        "day 2/ben.mp4": ["c", "b"],  # by begin
    }
    assert notes == []


def test_a_file_name_means_an_item_that_no_row_names_as_a_whole(tmp_path: Path) -> None:
    items = {"ana.mp4": None, "day 2/ben.mp4": None}
    found, notes = read(tmp_path / "e.csv", "item,begin,label\nana,1,a\nben.mp4,2,b\nben,3,c\n").matched(items)
    assert {key: len(events) for key, events in found.items()} == {"ana.mp4": 1, "day 2/ben.mp4": 2}
    assert notes == []
    found, notes = read(tmp_path / "e.csv", "item,begin,label\nben.mp4,2,b\nday 2/ben.mp4,3,c\n").matched(items)
    assert [event.label for event in found["day 2/ben.mp4"]] == ["c"]
    assert "no video of the results: ben.mp4 (did you mean day 2/ben.mp4?)" in notes[0]


def test_unknown_items_are_said_with_the_nearest_names(tmp_path: Path) -> None:
    text = "item,begin,label\nanna.mp4,1,a\nbem.mp4,1,b\nxyz,1,c\n1,1,d\nday 2/ben.mp4,1,e\n"
    found, notes = read(tmp_path / "e.csv", text).matched(ITEMS)
    assert list(found) == ["day 2/ben.mp4"]
    assert notes == [
        "e.csv names what is no video of the results: anna.mp4 (did you mean ana.mp4?), "
        "bem.mp4 (did you mean day 2/ben.mp4?), xyz and 1 more",
        "e.csv has no events of ana.mp4",
    ]


def test_a_star_is_every_video(tmp_path: Path) -> None:
    found, notes = read(tmp_path / "e.csv", "item,begin,label\n*,1,a\n").matched(ITEMS)
    assert list(found) == list(ITEMS)
    assert notes == []


def test_without_items_a_file_is_of_the_video_that_it_is_named_after(tmp_path: Path) -> None:
    text = "onset\tduration\ttrial_type\n1\t2\tfilm\n"
    items = {"sub-01_task-talk_video.mp4": None, "sub-02_task-talk_video.mp4": None}
    for name in ("sub-01_task-talk_events.tsv", "sub-03_task-talk_events.tsv"):
        (tmp_path / name).write_text(text)
    (tmp_path / "participants.tsv").write_text("participant_id\nsub-01\n")  # BIDS has these, too
    found, notes = EventFiles.read(tmp_path).matched(items)
    assert found == {"sub-01_task-talk_video.mp4": [Event(1, 3, "film")]}
    assert "sub-03_task-talk_events.tsv" in notes[0]
    found, _ = EventFiles.read(tmp_path / "sub-03_task-talk_events.tsv").matched({"only.mp4": None})
    assert list(found) == ["only.mp4"]  # there is no other


def test_events_beyond_a_video_are_said() -> None:
    events = {"ana.mp4": [Event(1, 2, "a"), Event(10, 12, "b"), Event(11, None, "c"), Event(-2, 1, "d")]}
    assert list(beyond(events, {"ana.mp4": (0.0, 10.0)})) == [
        "ana.mp4: 2 events of 4 begin after its end (10.0 s)",
        "ana.mp4: 1 event of 4 begin before it does",
    ]
    assert list(beyond(events, {"ana.mp4": (2.0, 20.0)})) == [
        "ana.mp4: 2 events of 4 begin before what was analysed of it (from 2.0 s)"
    ]


# -- times of day --


def test_times_of_day_count_from_the_start_of_the_recording(tmp_path: Path) -> None:
    header = "item,begin,end,label,recording_start"
    assert one(tmp_path, 'ana.mp4,14:03:05,"14:03:06,5",a,14:03:00', header) == Event(5, 6.5, "a")
    assert one(tmp_path, "ana.mp4,00:00:10,,a,23:59:50", header) == Event(20, None, "a")
    assert one(tmp_path, "ana.mp4,2026-05-04 14:03:05,,a,2026-05-04T14:03", header) == Event(5, None, "a")
    other_zone = "ana.mp4,2026-05-04T14:03:05+02:00,,a,2026-05-04T12:03:00Z"
    assert one(tmp_path, other_zone, header) == Event(5, None, "a")


def test_dates_count_from_when_the_video_says_it_was_recorded(tmp_path: Path) -> None:
    text = "item,begin,end,label\nana.mp4,2026-05-04T14:03:05+02:00,2026-05-04T14:03:07+02:00,a\n"
    files = read(tmp_path / "e.csv", text)
    recorded = datetime(2026, 5, 4, 12, 3, tzinfo=UTC)
    found, notes = files.matched({"ana.mp4": recorded})
    assert found == {"ana.mp4": [Event(5, 7, "a")]}
    assert "2026-05-04 12:03:00+00:00" in notes[0]
    assert "some cameras write the end" in notes[0]
    with pytest.raises(UsageError, match=r"ana.mp4 does not say when it was recorded; add a column recording_start"):
        files.matched({"ana.mp4": None})


# -- BORIS --

AGGREGATED = (
    "Observation id,Observation date,Description,Observation type,Source,Time offset (s),Coding duration,"
    "Media duration (s),FPS (frame/s),Subject,Observation duration by subject by observation,Behavior,"
    "Behavioral category,Modifier #1,Behavior type,Start (s),Stop (s),Duration (s),Media file name,"
    "Image index start,Image index stop,Image file path start,Image file path stop,Comment start,Comment stop\n"
    "obs 1,2026-05-04 14:00:00,,Media file(s),player #1:/data/ana.mp4,0.0,60,60.0,25.0,P1,60,smile,face,,STATE,"
    "1.500,3.000,1.500,/data/ana.mp4,37,75,,,,\n"
    "obs 1,2026-05-04 14:00:00,,Media file(s),player #1:/data/ana.mp4,0.0,60,60.0,25.0,P1,60,knock,,,POINT,"
    "4.000,4.000,NA,/data/ana.mp4,100,100,,,,\n"
)
TABULAR = (
    "Observation id\tSubject\tBehavior\tBehavioral category\tBehavior type\tTime\tMedia file name\tImage index\n"
    "obs 1\tP1\tsmile\tface\tSTART\t1.5\tC:\\data\\ana.mp4\t37\n"
    "obs 1\tP2\tsmile\tface\tSTART\t2.0\tC:\\data\\ana.mp4\t50\n"
    "obs 1\tP1\tsmile\tface\tSTOP\t3.0\tC:\\data\\ana.mp4\t75\n"
    "obs 1\tNo focal subject\tknock\t\tPOINT\t4.0\tC:\\data\\ana.mp4\t100\n"
    "obs 1\tP2\tsmile\tface\tSTOP\t5.0\tC:\\data\\ana.mp4\t125\n"
)
OLD = (
    "Observation id\tobs 1\n\nMedia file(s)\n\nPlayer #1\t/data/ana.mp4\n\n"
    "Time\tMedia file path\tTotal length\tFPS\tSubject\tBehavior\tBehavioral category\tModifiers\tComment\tStatus\n"
    "1.5\t/data/ana.mp4\t60\t25\tP1\tsmile\tface\t\t\tSTART\n"
    "3.0\t/data/ana.mp4\t60\t25\tP1\tsmile\tface\t\t\tSTOP\n"
    "4.0\t/data/ana.mp4\t60\t25\t\tknock\t\t\t\tPOINT\n"
)


#: Commas above the header are no separators.
COMMAS = OLD.replace("obs 1", "obs 1, of Monday, the first").replace("Observation id\t", "Observation id: ")


@pytest.mark.parametrize("text", [AGGREGATED, OLD, COMMAS])
def test_exports_of_boris_are_read(tmp_path: Path, text: str) -> None:
    found, notes = read(tmp_path / "boris.tsv", text).matched(ITEMS)
    assert found == {"ana.mp4": [Event(1.5, 3, "smile"), Event(4, None, "knock")]}
    assert notes == ["boris.tsv has no events of day 2/ben.mp4"]


def test_states_of_boris_are_paired_by_subject(tmp_path: Path) -> None:
    (tmp_path / "b.tsv").write_text(TABULAR)
    coded = read_boris(read_rows(tmp_path / "b.tsv", "b.tsv", "it"), "b.tsv")
    assert coded is not None
    assert [(c.begin, c.end, c.behavior, c.subject) for c in coded] == [
        (1.5, 3.0, "smile", "P1"),
        (2.0, 5.0, "smile", "P2"),
        (4.0, 4.0, "knock", "No focal subject"),
    ]
    assert {c.items for c in coded} == {("C:\\data\\ana.mp4", "obs 1")}


@pytest.mark.parametrize(
    ("drop", "what"),
    [
        ("STOP\t3.0", "row 2: smile begins at 1.5 s and does not end"),
        ("START\t1.5", "row 3: smile stops"),
    ],
)
def test_unpaired_states_of_boris_are_refused(tmp_path: Path, drop: str, what: str) -> None:
    text = "".join(line for line in TABULAR.splitlines(keepends=True) if drop not in line)
    with pytest.raises(UsageError, match=what):
        read(tmp_path / "b.tsv", text)


def test_times_of_boris_are_seconds_or_clock_times(tmp_path: Path) -> None:
    text = AGGREGATED.replace("1.500,3.000", "00:00:01.500,00:01:03.000")
    assert read(tmp_path / "b.csv", text).matched(ITEMS)[0]["ana.mp4"][0] == Event(1.5, 63, "smile")
    with pytest.raises(UsageError, match=r"row 2: start \(s\) must be a time in seconds or HH:MM:SS, got 'soon'"):
        read(tmp_path / "b.csv", AGGREGATED.replace("1.500,3.000", "soon,3.000"))


# -- ELAN --

EAF = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="" DATE="2026-05-04T14:00:00+02:00" FORMAT="3.0" VERSION="3.0">
  <HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">
    <MEDIA_DESCRIPTOR MEDIA_URL="file:///C:/data/day%202/ana.mp4" MIME_TYPE="video/mp4" RELATIVE_MEDIA_URL=""{origin}/>
  </HEADER>
  <TIME_ORDER>
    <TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="1500"/>
    <TIME_SLOT TIME_SLOT_ID="ts2"/>
    <TIME_SLOT TIME_SLOT_ID="ts3" TIME_VALUE="3500"/>
    <TIME_SLOT TIME_SLOT_ID="ts4" TIME_VALUE="4000"/>
    <TIME_SLOT TIME_SLOT_ID="ts5" TIME_VALUE="4000"/>
  </TIME_ORDER>
  <TIER LINGUISTIC_TYPE_REF="parts" TIER_ID="scene">
    <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2">
      <ANNOTATION_VALUE>film</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
    <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a2" TIME_SLOT_REF1="ts2" TIME_SLOT_REF2="ts3">
      <ANNOTATION_VALUE>pause</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
    <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a5" TIME_SLOT_REF1="ts4" TIME_SLOT_REF2="ts5">
      <ANNOTATION_VALUE></ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
  </TIER>
  <TIER LINGUISTIC_TYPE_REF="words" PARENT_REF="scene" TIER_ID="detail">
    <ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a3" ANNOTATION_REF="a1">
      <ANNOTATION_VALUE>first</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION>
    <ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a4" ANNOTATION_REF="a1" PREVIOUS_ANNOTATION="a3">
      <ANNOTATION_VALUE>second</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION>
  </TIER>
</ANNOTATION_DOCUMENT>
"""


def test_annotations_of_elan_are_read_with_those_below_others(tmp_path: Path) -> None:
    found, _ = read(tmp_path / "codes.eaf", EAF.format(origin="")).matched(ITEMS)
    assert found == {
        "ana.mp4": [
            Event(1.5, 2.0, "first"),
            Event(1.5, 2.5, "film"),  # its end has no time of its own
            Event(2.0, 2.5, "second"),
            Event(2.5, 3.5, "pause"),
            Event(4.0, None, "scene"),  # without a value, a tier says what it is
        ]
    }


def test_the_offset_of_a_recording_in_elan_is_added(tmp_path: Path) -> None:
    found, _ = read(tmp_path / "codes.eaf", EAF.format(origin=' TIME_ORIGIN="10000"')).matched(ITEMS)
    assert found["ana.mp4"][0] == Event(11.5, 12.0, "first")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("no xml", "is not a file of ELAN"),
        ("<html/>", "is not a file of ELAN, for it begins with html"),
        (EAF.format(origin="").replace('TIME_VALUE="1500"', ""), "annotation a1 has no time"),
        (EAF.format(origin="").replace('"ts4" TIME_SLOT_REF2="ts5"', '"ts8" TIME_SLOT_REF2="ts9"'), "a5 has no time"),
        (EAF.format(origin="").replace('ANNOTATION_REF="a1"', 'ANNOTATION_REF="a9"'), "annotation a3 has no time"),
        (EAF.format(origin="").replace('"1500"', '"soon"'), "a time must be in milliseconds, got 'soon'"),
    ],
)
def test_damaged_files_of_elan_are_refused(tmp_path: Path, text: str, what: str) -> None:
    with pytest.raises(UsageError, match=what):
        read(tmp_path / "codes.eaf", text)
