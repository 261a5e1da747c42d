"""Faces that have names (``--people``): the table, and everything that follows it."""

from __future__ import annotations

import csv
import json
import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fermedia.errors import UsageError
from fermedia.media.video import VideoReader
from fermedia.options import Sampling
from fermedia.study.participants import Participants
from fermedia.study.people import People, at_once, faces_of
from fermedia.tables.people import write_names
from tests.breaking import SPANS
from tests.forks import Forks
from tests.study_folder import Study
from tests.videos import astronaut, images, write_video


def table(folder: Path, *lines: str, name: str = "people.csv") -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


# -- the table --------------------------------------------------------------------------------------------------------


def test_names_are_found_for_items_by_their_names_or_parts_of_them(tmp_path: Path) -> None:
    people = People.read(
        table(tmp_path, "Item;FACE_ID;Person;note", "a.mp4;0;Zoë;x", "b/c;3;Ann, B.;", "d.mp4;1;;", "gone.mp4;1;Zoë;")
    )
    assert people.persons == ["Zoë", "Ann, B."]
    names, said = people.of({"a.mp4": "video", "b/c.mp4": "video", "d.mp4": "video", "gones.mp4": "video"})
    assert names == {"a.mp4": {0: "Zoë"}, "b/c.mp4": {3: "Ann, B."}}
    assert said == ["people.csv names what the results do not hold: gone.mp4 (did you mean gones.mp4?)"]


def test_photos_have_no_people(tmp_path: Path) -> None:
    names, said = People.read(table(tmp_path, "item,face_id,person", "p/photos,0,Zoë")).of({"p/photos": "photos"})
    assert names == {}
    assert said == ["people.csv: the faces of p/photos stay without names, since a face_id in photos is no person"]


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        (("item,face_id,person", "a.mp4,0,"), "names nobody; the column person is empty"),
        (("item,face_id,person", "a.mp4,one,Zoë"), "row 2: face_id must be a number, got 'one'"),
        (("item,face_id,person", ",1,Zoë"), "row 2 has no item"),
        (("item,person", "a.mp4,Zoë"), "has no column face_id"),
        (
            ("item,face_id,person", "a.mp4,1,Zoë", "./a.mp4,1,Ben"),
            "face 1 of a.mp4 is Zoë in row 2 and Ben in row 3; give each face one name",
        ),
    ],
)
def test_a_wrong_table_is_one_line(tmp_path: Path, lines: tuple[str, ...], complaint: str) -> None:
    with pytest.raises(UsageError) as error:
        People.read(table(tmp_path, *lines))
    assert complaint in str(error.value)


def test_names_of_other_results_are_doubted(tmp_path: Path) -> None:
    people = People.read(
        table(
            tmp_path,
            "item,face_id,person,first,last",
            *("a.mp4,0,Zoë,0.04,9.9", "a.mp4,1,Ben,3,4", "a.mp4,2,Ben,,", "a.mp4,7,Ben,1,2"),
        )
    )
    faces = pd.DataFrame({"item": "a.mp4", "face_id": [0, 1, 2], "first": [0.0, 8.0, 5.0], "last": [10.0, 9.0, 6.0]})
    assert people.doubts(faces) == [
        "people.csv names faces that are not there: a.mp4 face 7",
        "people.csv may be of other results: when it was written, a.mp4 face 1 (Ben) was seen at other times; check "
        "the names on report.html",
    ]


def test_a_list_means_names_before_ids() -> None:
    names = {0: "Ann, B.", 3: "7", 4: "Ann, B.", 5: "Zoë"}
    assert faces_of("Ann, B.", names) == {0, 4}
    assert faces_of("Zoë, 7,2", names) == {5, 3, 2}
    assert faces_of("Ben", names) == set()


def test_one_name_for_two_faces_of_a_frame_is_noticed() -> None:
    timeline = pd.DataFrame({"frame": [0, 0, 1, 1], "person": ["Zoë", "Ben", "Zoë", "Zoë"]})
    assert at_once(timeline) == ["Zoë"]


def test_only_the_column_of_names_is_written(tmp_path: Path) -> None:
    old = table(tmp_path, "frame,face_id,emotion", '0,0,"a, b"', "0,,", "1,2,sad", name="old.csv")
    write_names(old, {0: "Ann, B.", 2: "Zoë"})
    named = 'frame,face_id,emotion,person\n0,0,"a, b","Ann, B."\n0,,,\n1,2,sad,Zoë\n'
    assert old.read_text(encoding="utf-8") == named
    write_names(old, {2: "Zoë"})
    assert old.read_text(encoding="utf-8") == named.replace('"Ann, B."', "")


# -- participants who are people --------------------------------------------------------------------------------------

PEOPLE = {"a.mp4": {"0": "Ann", "1": "Ben", "3": "Ann"}, "b.mp4": {"0": "Ben"}}


def by_person(folder: Path, *lines: str) -> Participants:
    return Participants.read(table(folder, *lines, name="participants.csv"), named=True).by_person(PEOPLE)


def rows(participants: Participants) -> list[tuple[str, ...]]:
    return sorted(participants.table[["item", "face_id", "participant"]].itertuples(index=False, name=None))


def test_a_participant_without_an_item_has_the_faces_of_their_name(tmp_path: Path) -> None:
    found = by_person(tmp_path, "participant,condition", "Ann,one", "Ben,two", "Eve,two")
    expected = [("a.mp4", "0", "Ann"), ("a.mp4", "1", "Ben"), ("a.mp4", "3", "Ann"), ("b.mp4", "0", "Ben")]
    assert rows(found) == expected
    assert found.notes == ("participants.csv names participants who are not among the people: Eve",)
    assert set(found.table.loc[found.table["participant"] == "Ben", "condition"]) == {"two"}


def test_rows_of_an_item_are_about_the_faces_of_their_participant(tmp_path: Path) -> None:
    found = by_person(
        tmp_path, "item,participant,session", "a.mp4,Ann,1", "a.mp4,Ben,1", "b.mp4,Ben,2", "c.mp4,Ann,2", ",Ben,3"
    )
    assert [*rows(found)] == [
        *(("a.mp4", "0", "Ann"), ("a.mp4", "1", "Ben"), ("a.mp4", "3", "Ann"), ("b.mp4", "0", "Ben")),
        ("c.mp4", "all", "Ann"),
    ]
    assert list(found.table.loc[found.table["participant"] == "Ben", "session"]) == [
        "1",
        "2",
    ]  # an item's own row counts


def test_without_names_a_row_needs_an_item(tmp_path: Path) -> None:
    path = table(tmp_path, "participant,condition", "Ann,one", name="participants.csv")
    with pytest.raises(UsageError, match="has no column item"):
        Participants.read(path)
    with pytest.raises(UsageError, match=r"a\.mp4 Ann is there twice"):
        by_person(tmp_path, "item,participant,condition", "a.mp4,Ann,one", "a.mp4,Ann,two")


# -- a run ------------------------------------------------------------------------------------------------------------


def cut_film(path: Path, frames: int = 40) -> Path:
    """A face that is seen left, and after a cut right before another ground: two ``face_id``s of one person."""
    face = astronaut()[:256:2, 96:352:2]
    made = []
    for number in range(frames):
        after = number >= frames // 2
        image = np.full((180, 320, 3), (200, 190, 60) if after else (40, 60, 90), np.uint8)
        left = (180 if after else 20) + number % 3
        image[30:158, left : left + 128] = face
        made.append(image)
    return write_video(path, made)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, forks: Forks) -> Study:
    """A film with a cut, analysed with tables alone, then named."""
    folder = tmp_path_factory.mktemp("people")
    study = Study(forks, folder)
    cut_film(study.inputs / "cut.mp4")
    study.talk("talk.mp4", 12)
    study.analyze("--no-video", "--measures", "--export", "eaf", "--format", "parquet")
    named = table(folder, "item,face_id,person", "cut.mp4,0,Zoë", "cut.mp4,1,Zoë", "talk.mp4,0,Ben")
    said = study.analyze("--no-video", "--measures", "--people", named)
    assert "again" not in said  # neither analysed nor drawn
    return study


def two_faces(path: Path, frames: int = 75) -> Path:
    """Two faces side by side, which move a little; its key frames allow it to be divided."""
    face = astronaut()[:256:2, 96:352:2]
    made = []
    for number in range(frames):
        image = np.full((180, 320, 3), (40, 60, 90), np.uint8)
        image[30:158, 10 + number % 3 : 138 + number % 3] = face
        image[40:168, 180 - number % 2 : 308 - number % 2] = face[:, ::-1]
        made.append(image)
    return write_video(path, made, options={"g": "10"})


def read(study: Study, name: str) -> list[dict[str, str]]:
    with (study.out / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    "name",
    [
        *("faces.csv", "items/cut.mp4/timeline.csv", "items/cut.mp4/measures.csv", "items/cut.mp4/segments.csv"),
        "items/talk.mp4/timeline.csv",
    ],
)
def test_every_face_has_its_name(study: Study, name: str) -> None:
    found = [row for row in read(study, name) if row["face_id"]]
    assert found
    for row in found:
        whose = "Ben" if "talk" in name or row.get("item") == "talk.mp4" else "Zoë"
        assert row["person"] == whose


def test_parquet_and_the_summary_have_the_names_too(study: Study) -> None:
    parquet = pd.read_parquet(study.place("cut.mp4") / "timeline.parquet")
    assert set(parquet["person"].dropna()) == {"Zoë"}
    rows = read(study, "summary.csv")
    assert {(row["item"], row["face_id"]): row["person"] for row in rows} == {
        ("cut.mp4", "0"): "Zoë",
        ("cut.mp4", "1"): "Zoë",
        ("cut.mp4", ""): "",
        ("talk.mp4", "0"): "Ben",
        ("talk.mp4", ""): "",
    }
    assert [row["participant"] for row in read(study, "participants.csv")] == ["Zoë", "Ben"]
    assert "2 of 2 finished" in study.run("status", "--check")


def test_windows_are_of_people_across_the_cut(study: Study) -> None:
    events = table(study.folder, "item,begin,end,label", "cut.mp4,0,1.6,film", name="events.csv")
    study.analyze("--no-video", "--measures", "--events", events)
    rows = [row for row in read(study, "windows.csv") if row["level"] == "face"]
    assert [(row["face_id"], row["person"], row["participant"]) for row in rows] == [("0", "Zoë", "Zoë")]
    assert int(rows[0]["frames_with_face"]) == 40
    assert float(rows[0]["seconds"]) == pytest.approx(1.6, abs=1e-3)


def test_other_names_change_what_they_name_and_nothing_else(study: Study) -> None:
    before = (study.place("talk.mp4") / "timeline.csv").stat()
    other = table(study.folder, "item,face_id,person", "cut.mp4,1,Eva", "talk.mp4,0,Ben", name="other.csv")
    study.analyze("--no-video", "--measures", "--people", other)
    assert {row["face_id"]: row["person"] for row in read(study, "faces.csv") if row["item"] == "cut.mp4"} == {
        "0": "",
        "1": "Eva",
    }
    after = (study.place("talk.mp4") / "timeline.csv").stat()
    assert (before.st_mtime_ns, before.st_ino) == (after.st_mtime_ns, after.st_ino)
    study.analyze("--no-video", "--measures", "--people", "none")
    assert not any(row["person"] for row in read(study, "items/cut.mp4/timeline.csv"))
    assert not (study.out / "participants.csv").exists()


def test_a_lost_file_of_names_changes_nothing(study: Study) -> None:
    named = table(study.folder, "item,face_id,person", "talk.mp4,0,Ben", name="lost.csv")
    study.analyze("--no-video", "--measures", "--people", named)
    named.unlink()
    said = study.analyze("--no-video", "--measures")
    assert "the names of faces stay as they are" in said
    assert {row["person"] for row in read(study, "items/talk.mp4/timeline.csv")} == {"Ben"}


# -- drawn, hidden, chosen --------------------------------------------------------------------------------------------


def frame_of(study: Study, key: str, number: int) -> np.ndarray:
    with VideoReader(study.place(key) / "annotated.mp4") as reader:
        for frame in reader.frames(Sampling()):
            if frame.index == number:
                return frame.image.rgb().astype(int)
    raise AssertionError(number)


def test_names_are_drawn_and_hide_faces(tmp_path: Path, forks: Forks) -> None:
    study = Study(forks, tmp_path)
    cut_film(study.inputs / "cut.mp4")
    study.analyze()
    plain = frame_of(study, "cut.mp4", 32)
    timeline = pd.read_csv(study.place("cut.mp4") / "timeline.csv")
    named = table(tmp_path, "item,face_id,person", "cut.mp4,1,Zoë Ångström")
    said = study.analyze("--people", named)
    assert "1 item is drawn again, but not analysed again (names)" in said
    assert np.abs(frame_of(study, "cut.mp4", 32) - plain).max() > 60
    again = pd.read_csv(study.place("cut.mp4") / "timeline.csv")
    pd.testing.assert_frame_equal(again.drop(columns="person"), timeline.drop(columns="person"))

    said = study.analyze("--blur", "Zoë Ångström")
    assert "cut.mp4: faces without a name are not hidden: 0" in said
    hidden = frame_of(study, "cut.mp4", 32)
    face = timeline[timeline["frame"] == 32].iloc[0]
    left, top, size = (int(face[name] + d * face["width"]) for name, d in (("x", 0.2), ("y", 0.2), ("width", -0.4)))
    detail = [np.abs(np.diff(image[top : top + size, left : left + size], axis=1)).mean() for image in (plain, hidden)]
    assert detail[1] < detail[0] / 3
    assert "names nobody Zoe; there are Zoë Ångström" in study.analyze("--blur", "Zoe", status=2)


def test_only_one_person_is_kept(tmp_path: Path, forks: Forks) -> None:
    study = Study(forks, tmp_path)
    cut_film(study.inputs / "cut.mp4")
    assert "no face has a name" in study.analyze("--no-video", "--only", "Zoë", status=2)
    assert not study.out.exists()
    named = table(tmp_path, "item,face_id,person", "cut.mp4,1,Zoë")
    study.analyze("--no-video", "--only", "Zoë", "--people", named)
    assert [(row["face_id"], row["person"]) for row in read(study, "faces.csv")] == [("1", "Zoë")]
    assert int(read(study, "items.csv")[0]["frames_with_face"]) == 20
    other = table(tmp_path, "item,face_id,person", "cut.mp4,0,Zoë")
    said = study.analyze("--no-video", "--only", "Zoë", "--people", other)
    assert "its faces have other names; it is analysed again" in said
    assert [row["face_id"] for row in read(study, "faces.csv")] == ["0"]


def test_only_the_largest_face_of_each_photo_is_kept(tmp_path: Path, forks: Forks) -> None:
    study = Study(forks, tmp_path)
    face = astronaut()[:256, 96:352]
    image = np.full((300, 640, 3), 90, np.uint8)
    image[20:276, 20:276] = face
    image[60:188, 400:528] = face[::2, ::2]
    Image.fromarray(image).save(study.inputs / "two.png")
    study.analyze("--only", "largest")
    found = read(study, f"items/{read(study, 'items.csv')[0]['item']}/timeline.csv")
    assert [(row["face_id"], float(row["x"]) < 300) for row in found] == [("0", True)]


def test_a_long_video_in_spans_has_names_too(tmp_path: Path, forks: Forks) -> None:
    """It is drawn as a short one, though other workers may draw its spans."""
    study = Study(forks, tmp_path)
    two_faces(study.inputs / "two.mp4")
    named = table(tmp_path, "item,face_id,person", "two.mp4,0,Zoë Ångström", "two.mp4,1,Ed")
    study.analyze("--people", named)
    whole = images(study.place("two.mp4") / "annotated.mp4")
    study.out = tmp_path / "spans"
    study.analyze("--people", named, before=SPANS)
    about = json.loads((study.place("two.mp4") / "item.json").read_text(encoding="utf-8"))
    assert about["spans"] > 1
    pairs = zip(whole, images(study.place("two.mp4") / "annotated.mp4"), strict=True)
    # A span's first frame is searched anew, so that boxes may differ by a pixel.
    assert np.median([np.abs(one.astype(int) - other).mean() for (_, one), (_, other) in pairs]) < 4
    assert {row["person"] for row in read(study, "faces.csv")} == {"Zoë Ångström", "Ed"}


def test_one_name_in_two_forms_of_unicode_is_one_person(tmp_path: Path) -> None:
    apart = unicodedata.normalize("NFD", "Zoë")
    people = People.read(table(tmp_path, "item,face_id,person", f"a.mp4,0,{apart}", "a.mp4,1,Zoë"))
    assert people.persons == ["Zoë"]
    assert faces_of(apart, {0: "Zoë"}) == {0}
    found = Participants.read(table(tmp_path, "participant,condition", f"{apart},one", name="p.csv"), named=True)
    assert rows(found.by_person({"a.mp4": {"0": "Zoë"}})) == [("a.mp4", "0", "Zoë")]


def test_names_that_may_be_one_are_said(tmp_path: Path) -> None:
    people = People.read(table(tmp_path, "item,face_id,person", "r/a.mp4,0,Ada", r"r\a.mp4,0,Bob", "r/a.mp4,1,ada"))
    _, said = people.of({"r/a.mp4": "video"})
    assert said == [
        "people.csv: Ada and ada are different people by their spelling; is it one?",
        "people.csv gives a face two names, of which the first one counts: r/a.mp4 face 0 (Ada, Bob)",
    ]


def test_other_people_are_kept_when_names_change_with_what_is_drawn(tmp_path: Path, forks: Forks) -> None:
    study = Study(forks, tmp_path)
    cut_film(study.inputs / "cut.mp4")
    named = table(tmp_path, "item,face_id,person", "cut.mp4,0,Zoë", "cut.mp4,1,Ben")
    study.analyze("--no-video", "--only", "Zoë", "--people", named)
    table(tmp_path, "item,face_id,person", "cut.mp4,1,Zoë", "cut.mp4,0,Ben")
    study.analyze("--no-video", "--only", "Zoë", "--undecided", "0.3")
    assert [(row["face_id"], row["person"]) for row in read(study, "faces.csv")] == [("1", "Zoë")]


def test_faces_without_a_name_anywhere_are_told_of_when_one_is_hidden(tmp_path: Path, forks: Forks) -> None:
    study = Study(forks, tmp_path)
    study.talk("a.mp4", 8)
    study.talk("b.mp4", 9)
    named = table(tmp_path, "item,face_id,person", "a.mp4,0,Zoë")
    said = study.analyze("--people", named, "--blur", "Zoë")
    assert "b.mp4: faces without a name are not hidden: 0" in said
    assert "leave --blur out for that" in study.analyze("--blur", "none", status=2)


def test_windows_of_a_person_in_two_conditions_stay_apart(tmp_path: Path, forks: Forks) -> None:
    study = Study(forks, tmp_path)
    cut_film(study.inputs / "cut.mp4")
    named = table(tmp_path, "item,face_id,person", "cut.mp4,0,Zoë", "cut.mp4,1,Zoë")
    who = table(
        tmp_path, "item,face_id,participant,condition", "cut.mp4,0,Zoë,pre", "cut.mp4,1,Zoë,post", name="who.csv"
    )
    events = table(tmp_path, "item,begin,end,label", "cut.mp4,1,1.6,end", name="events.csv")
    study.analyze("--no-video", "--people", named, "--participants", who, "--events", events)
    faces = {row["condition"]: row["frames_with_face"] for row in read(study, "windows.csv") if row["level"] == "face"}
    assert faces == {"pre": "0", "post": "15"}
