"""What ``fermedia status`` says of a folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from fermedia.cli import cli
from fermedia.commands.status import read_status
from fermedia.options import AnalyzeOptions
from fermedia.store.ledger import Failure, Ledger, Outcome
from fermedia.store.settings import METHOD, differences, made_with
from fermedia.store.source import SourceState


def outcome(key: str, outputs: int = 1, *failures: str) -> Outcome:
    found = tuple(Failure(key, "open", f"{key}: {text}") for text in failures)
    return Outcome(
        key, "video", SourceState(f"/in/{key}", 1, "", ""), {"item.json": None} if outputs else {}, failures=found
    )


def make(folder: Path, *keys: str) -> None:
    """What the ledger says of these items is there."""
    for key in keys:
        (folder / "items" / key).mkdir(parents=True)
        (folder / "items" / key / "item.json").touch()


def status(folder: Path, *options: str) -> Result:
    return CliRunner().invoke(cli, ["status", str(folder), *options], standalone_mode=False)


def settings(**options: Any) -> dict[str, object]:
    return made_with(AnalyzeOptions(**options), "f" * 64, "fer2013", ["d" * 64, "e" * 64], ["c" * 64])


def test_from_the_first_item_to_the_last(tmp_path: Path) -> None:
    make(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    with Ledger.open(tmp_path) as ledger:
        ledger.settle(settings(every=3, video=False))
        ledger.begin(3, {"begun": "2026-01-01T00:00:00+00:00", "inputs": ["/in"]})
        ledger.add(outcome("b.mp4", 0, "no video"))
        ledger.add(outcome("a.mp4"))
        found = status(tmp_path)
        assert found.output.splitlines() == [
            f"{tmp_path}: running",
            "items     1 of 3 finished, 1 failed, 1 left",
            "settings  --every 3 --labels fer2013 --detector balanced --runtime litert "
            "--detection-confidence 0.5 --min-face 16.0 --max-yaw 60.0 --max-pitch 45.0 --no-measures --no-landmarks "
            "--smooth 0.5 --no-video --audio --faces --undecided 0.4",
            f"network   {'f' * 64}",
            "failed    b.mp4: no video",
        ]
        assert found.return_value == 1
    assert status(tmp_path).output.splitlines()[0] == f"{tmp_path}: interrupted"
    assert status(tmp_path).output.splitlines()[-1] == "to go on, give the same command again"
    with Ledger.open(tmp_path) as ledger:
        ledger.discard(["b.mp4"])
        assert (ledger.left, set(ledger.outdated)) == (2, set())
        ledger.discard(["a.mp4"])
        assert (ledger.left, set(ledger.outdated)) == (3, {"a.mp4"})
        ledger.add(outcome("a.mp4"))
        ledger.begin(2, {})
        ledger.add(outcome("b.mp4"), outcome("c.mp4"))
        ledger.end("finished", 1.0)
    found = status(tmp_path, "--json")
    record = json.loads(found.output)
    assert found.return_value == 0
    counts = ("state", "items", "finished", "failed", "left", "earlier", "outdated", "failures")
    assert [record[name] for name in counts] == ["finished", 3, 3, 0, 0, [], 0, []]
    assert record["settings"] == settings(every=3, video=False)


def test_failures_in_part_and_older_results(tmp_path: Path) -> None:
    make(tmp_path, "a.mp4", "b.mp4")
    with Ledger.open(tmp_path) as ledger:
        ledger.settle(settings())
        ledger.begin(2, {})
        ledger.add(outcome("a.mp4"), outcome("b.mp4", 1, "breaks off"))
        ledger.end("finished", 1.0)
    assert status(tmp_path).return_value == 3
    with Ledger.open(tmp_path) as ledger:
        ledger.settle(settings(every=2))
        ledger.begin(2, {})
        ledger.end("interrupted", 1.0)
    found = status(tmp_path)
    assert found.return_value == 1
    assert "items     0 of 2 finished, 0 failed, 2 left; 2 older results wait to be made again" in found.output


def test_a_row_cut_off_at_any_byte_is_as_if_it_were_not_there(tmp_path: Path) -> None:
    with Ledger.open(tmp_path) as ledger:
        ledger.settle(settings())
        ledger.begin(2, {})
        ledger.add(outcome("a.mp4"))
    whole = ledger.path.read_bytes()
    with Ledger.open(tmp_path) as ledger:
        ledger.add(outcome("b\udcff.mp4", 0, "näh"))
    longer = ledger.path.read_bytes()
    # The last byte is the line's end: without it the row is whole.
    for end in range(len(whole), len(longer) - 1):
        ledger.path.write_bytes(longer[:end])
        assert list(Ledger.read(tmp_path).outcomes) == ["a.mp4"]
        if end % 50 == 0:
            with Ledger.open(tmp_path) as again:
                again.add(outcome("c.mp4"))
            assert list(Ledger.read(tmp_path).outcomes) == ["a.mp4", "c.mp4"]
    ledger.path.write_bytes(longer[:-1])
    with Ledger.open(tmp_path) as again:
        again.add(outcome("c.mp4"))
    read = Ledger.read(tmp_path)
    assert list(read.outcomes) == ["a.mp4", "b\udcff.mp4", "c.mp4"]
    assert read.outcomes["b\udcff.mp4"] == outcome("b\udcff.mp4", 0, "näh")


@pytest.mark.parametrize("what", ["missing", "empty", "a file"])
def test_what_holds_no_results(tmp_path: Path, what: str) -> None:
    folder = tmp_path / "out"
    if what == "empty":
        folder.mkdir()
    elif what == "a file":
        folder.touch()
    done = subprocess.run([sys.executable, "-m", "fermedia", "status", str(folder)], capture_output=True, text=True)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == (1 if what != "a file" else 4), done.stderr
    assert "Traceback" not in done.stderr


def test_status_loads_none_of_the_libraries_that_work(tmp_path: Path) -> None:
    with Ledger.open(tmp_path) as ledger:
        ledger.settle(settings())
    code = (
        f"import sys\nfrom fermedia.cli import cli\ncli(['status', {str(tmp_path)!r}], standalone_mode=False)\n"
        "print([m for m in ('av', 'cv2', 'mediapipe', 'pandas', 'ai_edge_litert', 'tensorflow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_names_in_the_text_are_on_one_line(tmp_path: Path) -> None:
    with Ledger.open(tmp_path) as ledger:
        ledger.settle(settings())
        ledger.begin(1, {})
        ledger.add(outcome("two\nlines\udcff.mp4", 0, "bad"))
        ledger.end("finished", 1.0)
    assert len(read_status(tmp_path).text().splitlines()) == 5
    status(tmp_path)  # and can be printed


def test_an_option_of_a_newer_version_counts_as_its_default() -> None:
    old = settings()
    del old["smooth"]
    assert differences(old, settings()) == {}
    assert list(differences(old, settings(smooth=1.0)).values()) == ["--smooth 0.5, now 1.0"]
    assert list(differences(settings(), {**settings(), "network": "a" * 64}).values()) == [
        "the network ffffffff, now aaaaaaaa"
    ]
    newer = {**settings(), "method": METHOD + 1}
    assert list(differences(settings(), newer).values()) == [f"fermedia's method {METHOD}, now {METHOD + 1}"]


def test_names_that_a_file_of_few_characters_cannot_hold(tmp_path: Path) -> None:
    """As Windows writes what is not for its console."""
    with Ledger.open(tmp_path) as ledger:
        ledger.begin(1, {})
        ledger.add(outcome("語.mp4", 0, "no video"))
    command = [sys.executable, "-m", "fermedia", "status", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, env=os.environ | {"PYTHONIOENCODING": "cp1252"})
    assert done.stderr == b""
    assert rb"failed    \u8a9e.mp4: no video" in done.stdout
