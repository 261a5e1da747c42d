"""Names that every system has, and paths of any length."""

from __future__ import annotations

import os
import random
from pathlib import Path, PureWindowsPath

import pytest

from fermedia.names import extended, fitting, portable
from fermedia.tables.finished import place

SAME = ["a.mp4", "photos", "frame_%04d.png", "100%.mp4", "%xyz", "day 2", ".hidden", "console.mp4", "com.mp4", "com10"]
SAME += ["auxiliary", "a.con", "Zoë 語", "-dash", "~", "it's", "raw \udcff.mp4", "n" * 251 + ".mp4"]


@pytest.mark.parametrize("name", SAME)
def test_a_name_that_all_systems_have_stays(name: str) -> None:
    assert portable(name) == name


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("10:30.mp4", "10%x3A30.mp4"),
        ('<>:"|?*\\', "%x3C%x3E%x3A%x22%x7C%x3F%x2A%x5C"),
        ("two\nlines\x00", "two%x0Alines%x00"),
        ("point.", "point%x2E"),
        ("points...", "points..%x2E"),
        ("space ", "space%x20"),
        ("aux", "%x61ux"),
        ("AUX.mp4", "%x41UX.mp4"),
        ("con .a.b", "%x63on .a.b"),
        ("com1.mp4", "%x63om1.mp4"),
        ("LPT\u00b3", "%x4CPT\u00b3"),
        ("nul.", "nul%x2E"),
        ("a%x3Ab", "a%x25x3Ab"),
        ("%X3a", "%x25X3a"),
    ],
)
def test_what_windows_has_not_is_replaced(name: str, changed: str) -> None:
    assert portable(name) == changed


def test_windows_takes_them_all_and_no_two_become_one() -> None:
    """Names at random, of the characters that matter; also where capitals do not count."""
    chance = random.Random(2)
    pieces = [*'<>:"|?*\\. %xX3AaeE5\n\t', "aux", "con", "nul.", "com1", "lpt9", "%x3A", "%x25", "b"]
    names = {"".join(chance.choices(pieces, k=chance.randint(1, 5))) for _ in range(20_000)} - {".", ".."}
    changed = {name: portable(name) for name in names}
    for new in changed.values():
        assert not set(new) & {*map(chr, range(32)), *'<>:"|?*\\/'}
        assert not new.endswith((".", " "))
        assert not PureWindowsPath(new).is_reserved()
    folded = {name.casefold() for name in names}
    assert len({new.casefold() for new in changed.values()}) == len(folded)


def test_a_name_that_grows_too_long_is_cut_and_stays_another() -> None:
    names = [":" * 200 + "a.mp4", ":" * 200 + "b.mp4", "ü:" * 80]
    changed = [portable(name) for name in names]
    assert len(set(changed)) == 3
    assert all(len(os.fsencode(name)) <= 255 for name in changed)


def test_fitting_cuts_whole_characters() -> None:
    assert fitting("ü" * 200, ".jpg") == "ü" * 125 + ".jpg"
    assert fitting("short", ".jpg") == "short.jpg"


def test_an_items_place_is_its_key_in_such_names(tmp_path: Path) -> None:
    assert place(tmp_path, "day 2/10:30.mp4") == tmp_path / "items" / "day 2" / "10%x3A30.mp4"


@pytest.mark.parametrize(
    ("path", "below", "changed"),
    [
        (r"C:\videos\a.mp4", 0, r"C:\videos\a.mp4"),
        (r"C:\videos\a.mp4", 300, r"\\?\C:\videos\a.mp4"),
        ("C:\\" + "n" * 300, 0, "\\\\?\\C:\\" + "n" * 300),
        (r"\\server\videos\a.mp4", 0, r"\\server\videos\a.mp4"),
        (r"\\server\videos\a.mp4", 300, r"\\?\UNC\server\videos\a.mp4"),
        (r"\\?\C:\videos", 300, r"\\?\C:\videos"),
    ],
)
def test_long_paths_of_windows_get_its_prefix(path: str, below: int, changed: str) -> None:
    assert extended(path, below) == changed
    assert PureWindowsPath(changed).name == PureWindowsPath(path).name
