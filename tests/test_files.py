"""Files that are written whole or not at all, also while other programs have them open, as only Windows minds."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

from fermedia import files
from fermedia.errors import OutputError
from fermedia.files import sync, whole_file, write_csv
from fermedia.jobs.batch import run_batch
from fermedia.jobs.progress import Progress
from fermedia.options import AnalyzeOptions
from tests.videos import numbered, write_video


def refusing(monkeypatch: pytest.MonkeyPatch, name: str, times: int, number: int | None = 32) -> list[Path]:
    """Have the system refuse to put a file in the place of ``name``, so many times, as Windows does; the tries."""
    first = os.replace
    tries: list[Path] = []

    def replace(source: Path, target: Path) -> None:
        if Path(target).name == name and len(tries) < times:
            tries.append(Path(target))
            error = PermissionError(13, "Permission denied")
            if number is not None:
                error.winerror = number  # type: ignore[attr-defined]
            raise error
        first(source, target)

    monkeypatch.setattr(os, "replace", replace)
    return tries


@pytest.mark.parametrize("number", [5, 32, 33])
def test_what_is_open_for_a_moment_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    tries = refusing(monkeypatch, "a.csv", 3, number)
    write_csv(tmp_path / "a.csv", ["x"], [["1"]])
    assert len(tries) == 3
    assert os.listdir(tmp_path) == ["a.csv"]
    assert (tmp_path / "a.csv").read_bytes() == b"x\n1\n"


def test_what_stays_open_is_named_and_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_PATIENCE", 0.1)
    write_csv(tmp_path / "a.csv", ["x"], [["1"]])
    tries = refusing(monkeypatch, "a.csv", 10**9)
    with pytest.raises(PermissionError) as caught:
        write_csv(tmp_path / "a.csv", ["x"], [["2"]])
    assert len(tries) > 1
    assert caught.value.strerror == "a.csv is open in another program, or may not be changed; close it there"
    assert os.listdir(tmp_path) == ["a.csv"]
    assert (tmp_path / "a.csv").read_bytes() == b"x\n1\n"


def test_what_may_not_be_written_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = refusing(monkeypatch, "a.csv", 10**9, None)
    with pytest.raises(PermissionError):
        write_csv(tmp_path / "a.csv", ["x"], [["2"]])
    assert len(tries) == 1
    assert os.listdir(tmp_path) == []


def test_a_table_that_is_open_in_a_spreadsheet_costs_no_item(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named in one line, and the same command goes on."""
    video, out = write_video(tmp_path / "a.mp4", numbered(3, (160, 120))), tmp_path / "out"

    def run() -> None:
        with Progress(quiet=True) as progress:
            run_batch([video], out, AnalyzeOptions(video=False), progress=progress)

    monkeypatch.setattr(files, "_PATIENCE", 0.1)
    with monkeypatch.context() as opened:
        refusing(opened, "summary.csv", 10**9)
        with pytest.raises(OutputError) as caught:
            run()
    assert str(caught.value) == (
        f"{out}: cannot be written any more (summary.csv is open in another program, or may not be changed; close it "
        "there); 1 of 1 items are finished; to go on, give the same command again"
    )
    made = (out / "items/a.mp4/timeline.csv").stat().st_mtime_ns
    run()
    assert (out / "items/a.mp4/timeline.csv").stat().st_mtime_ns == made
    with (out / "summary.csv").open(newline="", encoding="utf-8") as file:
        assert {row["item"] for row in csv.DictReader(file)} == {"a.mp4"}


def test_what_breaks_off_leaves_no_file(tmp_path: Path) -> None:
    def write() -> None:
        with whole_file(tmp_path / "a.txt") as path, path.open("w") as file:
            file.write("a")
            raise ValueError("broken off")

    with pytest.raises(ValueError, match="broken off"):
        write()
    assert os.listdir(tmp_path) == []


def test_files_and_folders_are_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_text("a")
    synced: list[bool] = []
    first = os.fsync

    def fsync(file: int) -> None:
        first(file)
        synced.append(True)

    monkeypatch.setattr(os, "fsync", fsync)
    sync(tmp_path / "a")
    assert synced == [True]
    sync(tmp_path)


def test_a_folder_that_cannot_be_opened_needs_no_writing_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows."""

    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "a").write_text("a")
    monkeypatch.setattr(os, "open", refuse)
    sync(tmp_path)
    with pytest.raises(PermissionError):
        sync(tmp_path / "a")
