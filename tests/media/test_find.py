"""Which items a set of inputs comes to, and under which keys."""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from fermedia.errors import UsageError
from fermedia.media.find import find as sources
from fermedia.media.find import find_items, refused
from fermedia.media.keys import named
from fermedia.types import MediaItem
from tests.systems import needs_any_name, needs_links, needs_permissions


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def keys(items: list[MediaItem]) -> list[str]:
    found = [str(item.key) for item in items]
    for a, b in itertools.permutations([tuple(key.casefold().split("/")) for key in found], 2):
        assert a != b[: len(a)], "a key is a leading part of another"
    return found


def find(*inputs: Path, exclude: Path | None = None, sequences: bool = False) -> list[str]:
    return keys(find_items(inputs, exclude, sequences))


def test_a_folder_is_walked_in_natural_order(tmp_path: Path) -> None:
    touch(tmp_path, "b10.mp4", "b2.MP4", "A.mkv", "notes.txt", "day 2/x.mov", "day 10/x.mov", "10.jpg", "9.PNG")
    touch(tmp_path, "day 2/face.jpeg", "day 2/deep/er/y.avi", "data.csv", ".hidden.mp4", ".git/x.mp4")
    items = find_items([tmp_path], None)
    assert keys(items) == [
        "photos",
        "A.mkv",
        "b2.MP4",
        "b10.mp4",
        "day 2/photos",
        "day 2/x.mov",
        "day 2/deep/er/y.avi",
        "day 10/x.mov",
    ]
    photos = items[0]
    assert (photos.kind, photos.path) == ("photos", tmp_path)
    assert [file.name for file in photos.files] == ["9.PNG", "10.jpg"]
    video = items[1]
    assert (video.kind, video.path, video.files) == ("video", tmp_path / "A.mkv", (tmp_path / "A.mkv",))


def test_paths_stay_as_they_were_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "in/a.mp4", "b.mp4")
    monkeypatch.chdir(tmp_path)
    items = find_items([Path("in"), Path("b.mp4"), Path(".")], None)
    assert [item.path for item in items] == [Path("in/a.mp4"), Path("b.mp4")]
    assert keys(items) == ["a.mp4", "b.mp4"]


def test_single_files(tmp_path: Path) -> None:
    touch(tmp_path, "one/a.mp4", "one/1.jpg", "one/2.jpg", "one/3.jpg", "two/3.jpg")
    items = find_items([tmp_path / name for name in ("one/a.mp4", "one/2.jpg", "one/1.jpg")], None)
    assert keys(items) == ["a.mp4", "photos"]
    assert [file.name for file in items[1].files] == ["1.jpg", "2.jpg"]
    items = find_items([tmp_path / "one/1.jpg", tmp_path / "two/3.jpg"], None)
    assert keys(items) == ["one/photos", "two/photos"]


@needs_links
def test_the_same_file_counts_once(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "sub/b.mp4", "sub/1.jpg")
    (tmp_path / "link.mp4").symlink_to(tmp_path / "a.mp4")
    (tmp_path / "again").symlink_to(tmp_path / "sub")
    video, folder = tmp_path / "a.mp4", tmp_path
    assert find(video, folder, video, tmp_path / "sub" / ".." / "a.mp4") == ["a.mp4", "again/photos", "again/b.mp4"]
    assert find(tmp_path / "sub" / "1.jpg", tmp_path / "sub") == ["photos", "b.mp4"]


@needs_links
def test_links_that_lead_back_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "a/b/x.mp4")
    (tmp_path / "a/b/up").symlink_to(tmp_path / "a")
    (tmp_path / "a/self").symlink_to(tmp_path / "a/self")
    (tmp_path / "a/gone.mp4").symlink_to(tmp_path / "nowhere.mp4")
    for name in ("here", "there", "everywhere"):  # without a memory, three to the power of forty folders
        (tmp_path / "a" / name).symlink_to(tmp_path / "a")
    listed: list[Path] = []
    scandir = os.scandir

    def counting(path: Path) -> AbstractContextManager[Iterator[os.DirEntry[str]]]:
        listed.append(path)
        assert len(listed) < 10
        return scandir(path)

    monkeypatch.setattr(os, "scandir", counting)
    assert find(tmp_path / "a") == ["b/x.mp4"]


@needs_links
def test_nothing_inside_the_output_folder_is_an_input(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "out/items/a.mp4/annotated.mp4", "out/items/photos/1.jpg")
    out = tmp_path / "out"
    (tmp_path / "link").symlink_to(out / "items")
    assert find(tmp_path, exclude=out) == ["a.mp4"]
    assert find(tmp_path / "a.mp4", out, exclude=out) == ["a.mp4"]  # as a shell's * gives it
    assert find(tmp_path, exclude=tmp_path / "not yet") != []
    touch(tmp_path, "out 2/b.mp4")
    assert find(tmp_path, exclude=out) == ["a.mp4", "out 2/b.mp4"]
    with pytest.raises(UsageError, match=r"items lies inside the output folder; give another --out"):
        find(out / "items", exclude=out)
    with pytest.raises(UsageError, match=r"out is the output folder too; give another --out$"):
        find(out / ".." / "out", exclude=out)


def test_other_results_among_the_inputs_are_left_out_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    touch(tmp_path, "a.mp4", "day/results/items/a.mp4/annotated.mp4", "day/results/ledger.jsonl", "items/b.mp4")
    assert find(tmp_path) == ["a.mp4", "items/b.mp4"]
    assert "left out: 1 of the files and folders there (results of fermedia: day/results)" in caplog.text
    caplog.clear()
    assert find(tmp_path, exclude=tmp_path / "day/results") == ["a.mp4", "items/b.mp4"]
    assert caplog.text == ""
    video = tmp_path / "day/results/items/a.mp4/annotated.mp4"
    assert find(video) == ["annotated.mp4"]  # who names it means it


def test_colliding_inputs_get_their_folders_names(tmp_path: Path) -> None:
    touch(tmp_path, "p1/day/a.mp4", "p1/day/b.mp4", "p2/day/a.mp4", "p3/c.mp4", "p4/A.MP4")
    assert find(tmp_path / "p1/day", tmp_path / "p2/day", tmp_path / "p3") == [
        "p1/day/a.mp4",
        "p1/day/b.mp4",
        "p2/day/a.mp4",
        "c.mp4",
    ]
    assert find(tmp_path / "p1/day/a.mp4", tmp_path / "p4/A.MP4") == ["day/a.mp4", "p4/A.MP4"]
    # The input itself is called like a file of another one.
    touch(tmp_path, "x/a.mp4/inner.mp4")
    assert find(tmp_path / "p1/day", tmp_path / "x") == ["day/a.mp4", "day/b.mp4", "x/a.mp4/inner.mp4"]


def test_collisions_within_an_input_are_numbered(tmp_path: Path) -> None:
    touch(tmp_path, "1.jpg", "photos/a.mp4", "photos/2.jpg")
    assert find(tmp_path) == ["photos~2", "photos/photos", "photos/a.mp4"]
    other = tmp_path / "other"
    touch(other, "a.mp4", "A.mp4", "a~2.mp4", "B/x.mp4", "b/X.mp4", "e\u0301.mp4", "\u00e9.mp4")
    if len(os.listdir(other)) == 7:  # where capitals count
        assert sorted(find(other)) == sorted(
            ["A.mp4", "a~3.mp4", "a~2.mp4", "B/x.mp4", "b/X~2.mp4", "e\u0301.mp4", "\u00e9~2.mp4"]
        )


def test_what_is_known_keeps_its_key_and_nobody_else_gets_it(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.mp4", "photos/c.mp4", "d.mp4/e.mp4", "f/g.mp4")
    found = sources([tmp_path])
    names = [item.below.as_posix() for item in found]
    given = {names.index("b.mp4"): "a.mp4", names.index("f/g.mp4"): "f"}
    taken = {"photos": str(tmp_path), "D.mp4": str(tmp_path / "D.mp4"), "photos~2": "/elsewhere", "h": "/h"}
    items = dict(zip(names, map(str, (item.key for item in named(found, given, taken))), strict=True))
    assert (items["b.mp4"], items["f/g.mp4"]) == ("a.mp4", "f")
    assert items["a.mp4"] == "a~2.mp4"
    assert items["d.mp4/e.mp4"] == "d~2.mp4/e.mp4"
    assert items["photos/c.mp4"] == "photos~3/c.mp4"


def test_keys_do_not_depend_on_the_order_of_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "1.jpg", "photos/a.mp4", "photos/A.mp4", "b.mp4", "B.mp4", "photos~2/c.mp4")
    first = find(tmp_path)
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: nullcontext(list(scandir(path))[::-1]))
    assert find(tmp_path) == first


@needs_any_name
def test_odd_names(tmp_path: Path) -> None:
    names = ["line\nbreak.mp4", "quote'\".mp4", "bad\udcff.mp4", "-dash.mp4", "~.mp4", "a:b.mp4", "\u202e.mp4"]
    touch(tmp_path, *names)
    assert sorted(find(tmp_path)) == sorted(names)


def test_gifs_are_videos_if_they_move(tmp_path: Path) -> None:
    images = [Image.new("L", (8, 8), n) for n in (0, 255)]
    images[0].save(tmp_path / "moving.gif", save_all=True, append_images=images[1:])
    images[0].save(tmp_path / "still.gif")
    touch(tmp_path, "broken.gif")
    assert [(item.kind, str(item.key)) for item in find_items([tmp_path], None)] == [
        ("video", "broken.gif"),
        ("video", "moving.gif"),
        ("photos", "photos"),
    ]


def test_a_file_given_by_itself_is_taken_whatever_its_suffix(tmp_path: Path) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "image", format="PNG")
    touch(tmp_path, "clip.dat", ".hidden.mp4")
    items = find_items([tmp_path / "image", tmp_path / "clip.dat", tmp_path / ".hidden.mp4"], None)
    assert [(item.kind, str(item.key)) for item in items] == [
        ("photos", "photos"),
        ("video", "clip.dat"),
        ("video", ".hidden.mp4"),
    ]


@needs_links
def test_linked_photos_count_once(tmp_path: Path) -> None:
    touch(tmp_path, "all/1.jpg", "all/2.jpg", "some/3.jpg")
    (tmp_path / "some/best.jpg").symlink_to(tmp_path / "all/1.jpg")
    items = find_items([tmp_path], None)
    assert keys(items) == ["all/photos", "some/photos"]
    assert [file.name for file in items[1].files] == ["3.jpg"]
    assert find(tmp_path / "some", exclude=tmp_path / "all") == ["photos"]
    assert [file.name for file in find_items([tmp_path / "some"], tmp_path / "all")[0].files] == ["3.jpg"]


# -- sequences ----------------------------------------------------------------------------------------------------


def sequences(*inputs: Path) -> list[tuple[str, str, list[str]]]:
    items = find_items(inputs, None, sequences=True)
    keys(items)
    return [(item.kind, str(item.key), [file.name for file in item.files]) for item in items]


def test_numbered_images_are_a_video_if_asked_for(tmp_path: Path) -> None:
    touch(tmp_path, *(f"take/frame_{n:04d}.png" for n in (12, 9, 10, 8)), "take/a.mp4", "take/slate.png", "take/7.png")
    assert [(item.kind, item.numbers) for item in find_items([tmp_path], None)] == [("photos", ()), ("video", ())]
    sequence, photos, video = find_items([tmp_path], None, sequences=True)
    assert (sequence.kind, sequence.path) == ("sequence", tmp_path / "take/frame_%04d.png")
    assert str(sequence.key) == "take/frame_%04d.png"
    assert sequence.numbers == (8, 9, 10, 12)
    assert [file.name for file in sequence.files] == [f"frame_{n:04d}.png" for n in (8, 9, 10, 12)]
    assert (photos.kind, str(photos.key), photos.path) == ("photos", "take/photos", tmp_path / "take")
    assert [file.name for file in photos.files] == ["7.png", "slate.png"]
    assert (video.kind, str(video.key)) == ("video", "take/a.mp4")


def test_numbers_without_leading_zeros(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{n}.jpg" for n in (0, 1, 2, 9, 10, 11, 100)))
    assert sequences(tmp_path) == [("sequence", "%d.jpg", [f"{n}.jpg" for n in (0, 1, 2, 9, 10, 11, 100)])]


def test_leading_zeros_that_run_out(tmp_path: Path) -> None:
    names = ["f098.png", "f099.png", "f100.png", "f999.png", "f1000.png"]
    touch(tmp_path, *names)
    assert sequences(tmp_path) == [("sequence", "f%03d.png", names)]


def test_several_sequences_in_a_folder(tmp_path: Path) -> None:
    """The running number is the one that makes the longest sequence, wherever it stands in the name."""
    wanted = {
        "cam1_%02d.png": [f"cam1_{n:02d}.png" for n in range(5)],
        "cam2_%02d.png": [f"cam2_{n:02d}.png" for n in range(5)],
        "take3_%d_v2.png": [f"take3_{n}_v2.png" for n in (1, 2, 3)],
        "cam1_%02d.jpg": ["cam1_00.jpg", "cam1_01.jpg"],
    }
    touch(tmp_path, *(name for names in wanted.values() for name in names), "take3_3_v3.png")
    wanted["photos"] = ["take3_3_v3.png"]
    assert {key: files for _, key, files in sequences(tmp_path)} == wanted


def test_of_equal_sequences_the_last_number_runs(tmp_path: Path) -> None:
    touch(tmp_path, "day1_1.png", "day1_2.png", "day2_1.png")
    assert sequences(tmp_path) == [
        ("sequence", "day1_%d.png", ["day1_1.png", "day1_2.png"]),
        ("photos", "photos", ["day2_1.png"]),
    ]


def test_two_images_of_one_number(tmp_path: Path) -> None:
    touch(tmp_path, "a1.png", "a01.png", "a2.png", "A1.png")
    assert sequences(tmp_path) == [
        ("sequence", "a%d.png", ["a01.png", "a2.png"]),
        ("photos", "photos", ["A1.png", "a1.png"]),
    ]


def test_sequences_of_files_and_of_several_folders(tmp_path: Path) -> None:
    touch(tmp_path, "x/f1.png", "x/f2.png", "x/f3.png", "y/f1.png", "y/f2.png", "z/f1.png", "z/g2.png")
    assert sequences(tmp_path / "x/f3.png", tmp_path / "x/f1.png") == [("sequence", "f%d.png", ["f1.png", "f3.png"])]
    assert [key for _, key, _ in sequences(tmp_path)] == ["x/f%d.png", "y/f%d.png", "z/photos"]
    assert [key for _, key, _ in sequences(tmp_path / "x", tmp_path / "y")] == ["x/f%d.png", "y/f%d.png"]
    touch(tmp_path, "x/f%d.png/1.mp4")
    assert find(tmp_path / "x", sequences=True) == ["f%d~2.png", "f%d.png/1.mp4"]


def test_fifty_thousand_images_are_found_without_being_asked_about_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "many"
    touch(folder, *(f"f{n}.png" for n in range(2_000)))
    asked: list[object] = []

    def noted(function: Callable[..., Any]) -> Callable[..., Any]:
        def ask(*arguments: Any, **options: Any) -> Any:
            asked.append(arguments)
            return function(*arguments, **options)

        return ask

    for name in ("stat", "lstat", "readlink"):
        monkeypatch.setattr(os, name, noted(getattr(os, name)))
    assert len(find_items([folder], None, sequences=True)[0].files) == 2_000
    assert len(asked) < 100


def test_wrong_inputs(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4")
    with pytest.raises(UsageError) as caught:
        find(tmp_path / "a.mp4", tmp_path / "none\n.mp4")
    assert str(caught.value) == f"{tmp_path}/none\\n.mp4: no such file or folder"
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"^no video or image found in .*empty$"):
        find(tmp_path / "empty")
    assert find(tmp_path / "empty", tmp_path / "a.mp4") == ["a.mp4"]


@pytest.mark.parametrize("sequences", [False, True])
def test_a_folder_that_cannot_be_read_is_an_item_without_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sequences: bool
) -> None:
    touch(tmp_path, "a.mp4", "lost/b.mp4", "z/c.mp4")
    first = os.scandir

    def scandir(path: Path) -> Any:
        if Path(path).name == "lost":
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return first(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found = [(str(item.key), item.kind, len(item.files)) for item in find_items([tmp_path], sequences=sequences)]
    assert found == [("a.mp4", "video", 1), ("lost", "folder", 0), ("z/c.mp4", "video", 1)]
    assert str(refused(tmp_path / "lost")) == f"lost: the folder cannot be read ({os.strerror(errno.EIO)})"
    assert str(refused(tmp_path / "z")).endswith("(it can be now; give the command again)")


@needs_permissions
def test_locked_folders(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "locked/b.mp4")
    (tmp_path / "locked").chmod(0)
    assert [(str(item.key), item.kind) for item in find_items([tmp_path])] == [("a.mp4", "video"), ("locked", "folder")]
    with pytest.raises(UsageError, match="locked: the folder cannot be read"):
        find(tmp_path / "locked")
