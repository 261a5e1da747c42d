"""Other programs' formats: their exact text, and what real parsers make of them."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import av
import pandas as pd
import pympi
import pytest
from av.subtitles.subtitle import AssSubtitle

from fermedia.columns import SEGMENT_COLUMNS
from fermedia.options import EXPORT_FILES, AnalyzeOptions
from fermedia.study.elan import ElanFile
from fermedia.tables.exports import EXPORTS
from fermedia.tables.people import with_names


def segment(face_id: int, emotion: str, begin: float, end: float) -> dict[str, object]:
    return {
        "source": "talk.mp4",
        "face_id": face_id,
        "emotion": emotion,
        "begin": begin,
        "end": end,
        "duration": end - begin,
        "mean": 0.75,
        "peak": 0.9,
        "peak_time": begin,
    }


#: Two faces that overlap, one segment after an hour.
TWO = pd.DataFrame(
    [segment(0, "happy", 0.5, 2.0004), segment(1, "sad", 1.25, 3), segment(0, "neutral", 3661.0015, 3662.5)],
    columns=list(SEGMENT_COLUMNS),
)
NONE = TWO.head(0)


def cues(path: Path) -> list[tuple[float, float, str]]:
    """(begin, end, text) as FFmpeg reads them."""
    found = []
    with av.open(str(path)) as file:
        for packet in file.demux(subtitles=0):
            for subtitle in packet.decode() if packet.size else ():
                assert isinstance(subtitle, AssSubtitle)
                assert packet.pts is not None
                assert packet.duration is not None
                text = subtitle.ass.decode().split(",", 8)[-1].replace("\\N", "\n")
                begin = float(packet.pts * packet.time_base)
                found.append((begin, begin + float(packet.duration * packet.time_base), text))
    return found


@pytest.mark.parametrize("name", ["srt", "vtt"])
def test_players_read_the_subtitles(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{name}"
    path.write_text(EXPORTS[name].texts(TWO)[0], encoding="utf-8")
    assert cues(path) == [
        pytest.approx(cue)
        for cue in [
            (0.5, 1.25, "#0 happy"),
            (1.25, 2.0, "#0 happy\n#1 sad"),
            (2.0, 3.0, "#1 sad"),
            (3661.002, 3662.5, "#0 neutral"),
        ]
    ]


def test_exact_subtitles() -> None:
    assert EXPORTS["srt"].texts(TWO.head(1)) == ("1\n00:00:00,500 --> 00:00:02,000\n#0 happy\n",)
    assert EXPORTS["vtt"].texts(TWO.head(1)) == ("WEBVTT\n\n00:00:00.500 --> 00:00:02.000\n#0 happy\n",)


def test_a_name_of_a_face_is_no_markup() -> None:
    table = TWO.head(1).astype({"face_id": object}).assign(face_id="<b>&")
    assert "#&lt;b&gt;&amp; happy" in EXPORTS["vtt"].texts(table)[0]


def test_an_elan_document_is_read_by_others(tmp_path: Path) -> None:
    path = tmp_path / "segments.eaf"
    path.write_text(EXPORTS["eaf"].texts(TWO.assign(source="/data/Zoë & Ana.mp4"))[0], encoding="utf-8")
    document = pympi.Elan.Eaf(str(path))
    assert list(document.get_tier_names()) == ["face 0", "face 1"]
    assert sorted(document.get_annotation_data_for_tier("face 0")) == [
        (500, 2000, "happy"),
        (3661002, 3662500, "neutral"),
    ]
    (media,) = document.get_linked_files()
    assert media["MEDIA_URL"] == "file:///data/Zo%C3%AB%20%26%20Ana.mp4"
    assert media["RELATIVE_MEDIA_URL"] == "./Zo%C3%AB%20%26%20Ana.mp4"
    assert media["MIME_TYPE"] == "video/mp4"


def test_an_elan_document_without_segments_is_one_too(tmp_path: Path) -> None:
    path = tmp_path / "segments.eaf"
    path.write_text(EXPORTS["eaf"].texts(NONE)[0], encoding="utf-8")
    document = pympi.Elan.Eaf(str(path))
    assert not document.get_annotation_data_for_tier("default")


def test_elan_takes_a_tier_per_face() -> None:
    (text,) = EXPORTS["elan"].texts(TWO)
    assert text == (
        "face 0\t00:00:00.500\t00:00:02.000\thappy\n"
        "face 1\t00:00:01.250\t00:00:03.000\tsad\n"
        "face 0\t01:01:01.002\t01:01:02.500\tneutral\n"
    )


def named(faces: dict[int, str], *rows: dict[str, object]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=list(SEGMENT_COLUMNS))
    return with_names(table, faces)


#: Anna before and after a cut, somebody without a name, and a face that is called Anna by mistake.
NAMED = named(
    {0: "Anna", 2: "Anna", 3: "Anna"},
    *(segment(0, "happy", 0, 1), segment(1, "sad", 0.5, 2.5), segment(2, "sad", 2, 3), segment(3, "angry", 2.5, 4)),
)


def test_a_person_is_one_tier_across_cuts_and_no_tier_has_overlaps(tmp_path: Path) -> None:
    path = tmp_path / "segments.eaf"
    path.write_text(EXPORTS["eaf"].texts(NAMED)[0], encoding="utf-8")
    document = pympi.Elan.Eaf(str(path))
    found = {name: sorted(document.get_annotation_data_for_tier(name)) for name in document.get_tier_names()}
    assert found == {
        "Anna": [(0, 1000, "happy"), (2000, 3000, "sad")],
        "face 1": [(500, 2500, "sad")],
        "Anna (face 3)": [(2500, 4000, "angry")],
    }
    tiers = ElanFile.read(path, "it").tiers
    assert [tier.participant for tier in tiers] == ["Anna", "", "Anna"]
    lines = EXPORTS["elan"].texts(NAMED)[0].splitlines()
    assert [line.split("\t")[0] for line in lines] == ["Anna", "face 1", "Anna", "Anna (face 3)"]


def test_a_person_called_as_a_face_is_not_mixed_with_it() -> None:
    table = named({1: "face 0"}, segment(0, "happy", 0, 1), segment(1, "sad", 2, 3))
    assert [line.split("\t")[0] for line in EXPORTS["elan"].texts(table)[0].splitlines()] == [
        "face 0",
        "face 0 (face 1)",
    ]


def test_conditions_that_are_met_at_once_have_tiers_of_their_own() -> None:
    table = named({0: "Anna"}, segment(0, "", 0, 2), segment(0, "", 1, 3)).drop(columns="emotion")
    both = table.assign(condition=["yaw>20", "happy<0.2"])
    tiers = [line.split("\t")[0] for line in EXPORTS["elan"].texts(both)[0].splitlines()]
    assert tiers == ["Anna yaw>20", "Anna happy<0.2"]
    assert EXPORTS["elan"].texts(table.head(1).assign(condition="yaw>20"))[0].startswith("Anna\t")


def test_subtitles_call_people_by_their_names() -> None:
    assert [line for line in EXPORTS["vtt"].texts(NAMED)[0].splitlines() if line[:1] in ("A", "#")] == [
        *("Anna happy", "Anna happy", "#1 sad", "#1 sad", "Anna sad", "#1 sad"),
        *("Anna sad", "Anna angry", "Anna angry"),
    ]


def test_bids_events_and_what_their_columns_are() -> None:
    table, description = EXPORTS["bids"].texts(TWO.assign(peak=[0.9, float("nan"), 0.9]))
    events = pd.read_csv(io.StringIO(table), sep="\t", na_values="n/a", keep_default_na=False)
    assert list(events)[:3] == ["onset", "duration", "trial_type"]
    assert events["onset"].tolist() == [0.5, 1.25, 3661.0015]
    assert events["onset"].is_monotonic_increasing
    assert "\tn/a\t" in table
    assert events["person"].isna().all()
    assert "Anna" in EXPORTS["bids"].texts(NAMED)[0]
    columns = json.loads(description)
    assert list(columns) == list(events)
    assert columns["onset"]["Units"] == columns["duration"]["Units"] == "s"
    assert set(events["trial_type"]) <= set(columns["trial_type"]["Levels"])
    assert all(column["Description"] for column in columns.values())


@pytest.mark.parametrize("name", EXPORT_FILES)
def test_without_segments_the_files_are_there_and_valid(name: str) -> None:
    texts = EXPORTS[name].texts(NONE)
    assert len(texts) == len(EXPORTS[name].files)
    assert name == "eaf" or not re.search(r"\d\d:\d\d", texts[0])


def test_every_format_can_be_asked_for() -> None:
    assert tuple(EXPORTS) == tuple(EXPORT_FILES)
    assert AnalyzeOptions(export=tuple(EXPORT_FILES)).export == tuple(EXPORT_FILES)
