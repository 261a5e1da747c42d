"""Names of items as people, Windows, macOS and other programs write them."""

from __future__ import annotations

import unicodedata

import pytest

from fermedia.errors import UsageError
from fermedia.study.item_names import ItemNames, nearest, spellings

NAMES = ItemNames(
    {
        "day1/talk.mp4": "/r/day1/talk.mp4",
        "day2/talk.mp4": "/r/second/talk.mp4",
        "day2/Zoe\u0308.mp4": "",
        "class/photos": "/r/class",
        "odd\\name.mp4": "",
        "./=sum.mp4": "",
        "p.01.mov": "",
    }
)


@pytest.mark.parametrize(
    ("name", "item"),
    [
        *((name, "day1/talk.mp4") for name in ("day1/talk.mp4", "day1\\talk.mp4", "./day1/talk.mp4/", "day1/talk")),
        *((name, "day2/talk.mp4") for name in ("second/talk.mp4", "/r/second/talk.mp4", "second\\talk")),
        *((name, "day2/Zoe\u0308.mp4") for name in ("day2\\Zo\u00eb.mp4", "Zo\u00eb.mp4", "Zoe\u0308")),
        *((name, "class/photos") for name in ("class/photos/", "class\\photos", "class", "photos")),
        *((name, "odd\\name.mp4") for name in ("odd\\name.mp4", "odd\\name")),
        *((name, "./=sum.mp4") for name in ("=sum.mp4", "./=sum.mp4", "=sum")),
        ("p.01", "p.01.mov"),
    ],
)
def test_an_item_is_found_by_its_name_or_the_end_of_it(name: str, item: str) -> None:
    assert NAMES.matches([name]) == [item]
    assert NAMES.find(["unknown", name]) == item


@pytest.mark.parametrize("name", ["day3/talk.mp4", "/x/day1/talk.mp4", "p.01.mp4", "Day1/talk.mp4", "p", "", "/", "."])
def test_another_folder_suffix_or_case_is_another_item(name: str) -> None:
    assert NAMES.matches([name]) == []


def test_a_recording_elsewhere_is_found_by_the_longest_end_of_its_path_or_its_stem() -> None:
    assert NAMES.find(["T:\\Study\\day1\\talk.mp4"]) == "day1/talk.mp4"
    assert NAMES.find(["Obs", "C:\\x\\class"]) == "class/photos"
    assert NAMES.find(["/tmp/p.01.mp4"]) == "p.01.mov"
    assert NAMES.find(["tlak.mp4", ""]) is None


def test_a_name_of_several_items_means_none() -> None:
    assert NAMES.matches(["talk"]) == ["day1/talk.mp4", "day2/talk.mp4"]
    assert NAMES.meant(["talk"]) == {}
    assert NAMES.hint("talk") == " (did you mean day1/talk.mp4 or day2/talk.mp4?)"
    with pytest.raises(UsageError, match=r"talk may be day1/talk\.mp4 or day2/talk\.mp4; write one of these"):
        NAMES.find(["talk"])


def test_a_part_of_a_name_means_no_item_that_is_named_as_a_whole() -> None:
    assert NAMES.meant(["class", "p.01"]) == {"class": "class/photos", "p.01": "p.01.mov"}
    assert NAMES.meant(["class", "class\\photos"]) == {"class\\photos": "class/photos"}


def test_the_nearest_names_are_those_of_the_file_whatever_its_folder() -> None:
    names = ["week1/P01_baseline.mp4", "week1/P02_baseline.mp4", "week2/Q7.mp4", "class/photos"]
    assert nearest("p01_baselin.mp4", names)[0] == "week1/P01_baseline.mp4"
    assert nearest("P02_baseline.MOV", names)[0] == "week1/P02_baseline.mp4"
    assert nearest("clas", names) == ["class/photos"]
    assert nearest("zzz", names) == []
    assert ItemNames.of(names).hint("zzz") == ""
    assert ItemNames.of(names).hint("q8", ["week2/Q7.mp4"]) == " (did you mean week2/Q7.mp4?)"


def test_all_spellings_of_a_whole_name_are_tried() -> None:
    name = "a\\Zo\u00eb.mp4"
    apart = unicodedata.normalize("NFD", name)
    assert set(spellings(name)) == {name, apart, name.replace("\\", "/"), apart.replace("\\", "/")}
