"""What lies in a folder and is left out: it is said, and nothing but regular files is ever opened."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest
from PIL import Image

from fermedia.errors import MediaError, UsageError
from fermedia.media.find import PHOTO_SUFFIXES, VIDEO_SUFFIXES, find_items
from fermedia.media.photos import read_photo
from fermedia.media.video import VideoReader


def said(caplog: pytest.LogCaptureFixture) -> str:
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(lines) <= 1
    return "".join(lines)


def test_what_is_opened_by_its_suffix_is_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for suffix in VIDEO_SUFFIXES | PHOTO_SUFFIXES:
        (tmp_path / f"x{suffix.upper()}").touch()
    taken = [file.suffix.lower() for item in find_items([tmp_path]) for file in item.files]
    assert sorted(taken) == sorted(VIDEO_SUFFIXES | PHOTO_SUFFIXES)
    assert {".m2t", ".divx", ".qt", ".mpo", ".jp2", ".tga", ".psd", ".h264"} <= set(taken)
    assert said(caplog) == ""


def test_one_line_counts_and_names_what_was_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("a.mp4", "a.LRV", "a.THM", "photo.jxl", "notes.txt", ".hidden.mp4"):
        (tmp_path / name).touch()
    for name in ("@eaDir", "#recycle", "$RECYCLE.BIN", ".Trash", ".Trash-1000", "sub"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "withdrawn.mp4").touch()
    (tmp_path / "sub" / "x.docx").touch()
    keys = [str(item.key) for item in find_items([tmp_path])]
    assert keys == ["a.mp4", "sub/withdrawn.mp4"]
    line = said(caplog)
    assert line.startswith("left out: 10 of the files and folders there (")
    for name in ("a.LRV", "a.THM", "photo.jxl", "notes.txt", "sub/x.docx", "@eaDir", "#recycle", "$RECYCLE.BIN"):
        assert name in line
    assert ".Trash" in line
    assert ".Trash-1000" in line
    assert "hidden" not in line


def test_of_many_names_some_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "a.mp4").touch()
    for number in range(100):
        (tmp_path / f"{number}.csv").touch()
    find_items([tmp_path])
    assert "left out: 100 of" in said(caplog)
    assert "and 70 more" in said(caplog)


def test_where_nothing_is_found_the_error_says_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "video.jxl").touch()
    with pytest.raises(UsageError, match=r"no video or image found in .*; left out: 1 of .*video\.jxl"):
        find_items([tmp_path])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes have names here")
def test_pipes_are_never_opened(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Who opens one waits for ever."""
    names = ["pipe.gif", "pipe.mp4", "pipe.jpg"]
    for name in names:
        os.mkfifo(tmp_path / name)
    (tmp_path / "link.gif").symlink_to(tmp_path / "pipe.gif")
    (tmp_path / "a.mp4").touch()
    assert [str(item.key) for item in find_items([tmp_path])] == ["a.mp4"]
    assert all(name in said(caplog) for name in [*names, "link.gif"])
    assert "not a regular file" in said(caplog)
    for name in [*names, "link.gif"]:
        with pytest.raises(UsageError, match="a pipe or device"):
            find_items([tmp_path / name])
        with pytest.raises(MediaError, match="not a regular file"):
            VideoReader(tmp_path / name)
        with pytest.raises(MediaError, match="not a regular file"):
            read_photo(tmp_path / name)


def test_a_folder_that_is_named_is_taken_whatever_it_is_called(tmp_path: Path) -> None:
    bin_ = tmp_path / "#recycle"
    bin_.mkdir()
    Image.new("RGB", (8, 8)).save(bin_ / "a.png")
    assert len(find_items([bin_])) == 1
