"""What a run says of itself while it goes on."""

from __future__ import annotations

import time

import pytest

from fermedia.jobs.progress import Progress
from fermedia.store.ledger import Failure, Outcome
from fermedia.store.source import SourceState

SOURCE = SourceState("/in/a.mp4", 100, "", "")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that the display believes in."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_one_line_says_how_far_all_of_it_is(clock: list[float]) -> None:
    with Progress(quiet=True) as progress:
        progress.begin({"a.mp4": 100, "b.mp4": 100, "c.mp4": 200})
        assert progress.line() == "0 of 3 items"
        clock[0] += 5  # the models are loaded
        progress.frames("a.mp4", 50, 0)
        clock[0] += 10
        progress.frames("a.mp4", None, 25)
        assert progress.line() == "0 of 3 items, 2.5 frames/s, 01:10 left, a.mp4 50%"
        progress.frames("b.mp4", 100, 0)
        progress.frames("b.mp4", None, 25)
        assert progress.line() == "0 of 3 items, 5.0 frames/s, 00:43 left, 2 at work"
        progress.report(Outcome("a.mp4", "video", SOURCE, failures=(Failure("a.mp4", "open", "a.mp4: no video"),)))
        assert progress.line() == "1 of 3 items, 1 failed, 5.0 frames/s, 00:22 left, b.mp4 25%"


def test_without_a_terminal_it_says_so_now_and_then(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(quiet=False) as progress:
        progress.begin({"a.mp4": 100})
        progress.frames("a.mp4", 1000, 0)
        for _ in range(100):
            clock[0] += 1
            progress.frames("a.mp4", None, 5)
        progress.report(Outcome("a.mp4", "video", SOURCE, {"timeline.csv": None}, 500, 500, 400, 400, 100.0))
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "0 of 1 items, 5.0 frames/s, 02:50 left, a.mp4 15%",
        "0 of 1 items, 5.0 frames/s, 02:20 left, a.mp4 30%",
        "0 of 1 items, 5.0 frames/s, 01:50 left, a.mp4 45%",
        "[1/1] a.mp4: 500 frames, 400 with a face, 5.0 frames/s",
    ]


def test_quiet_says_failures_alone(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(quiet=True) as progress:
        progress.begin({"a.mp4": 100})
        clock[0] += 100
        progress.frames("a.mp4", 10, 5)
        progress.report(Outcome("a.mp4", "video", SOURCE, failures=(Failure("a.mp4", "open", "a.mp4: no video"),)))
    assert capsys.readouterr().err == "fermedia: a.mp4: no video\n"
