"""Fixtures that every test may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.forks import Forks
from tests.videos import moving_faces, numbered, write_video


def pytest_addoption(parser: pytest.Parser) -> None:
    """See ``tests``, which looks for it."""
    parser.addoption(
        "--without-posix",
        action="store_true",
        help="hide what only POSIX systems have, here and in all processes that tests start",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Without the signal that ends a test which hangs, a thread does, as on Windows."""
    if config.getoption("--without-posix"):
        config.option.timeout_method = "thread"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is known to take minutes has an hour."""
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.timeout(3600))


@pytest.fixture(autouse=True)
def never_in_real_time() -> Iterator[None]:
    """No test leaves the process with real-time priority, which a library may give it where it may, as root."""
    yield
    if hasattr(os, "sched_getscheduler"):
        assert os.sched_getscheduler(0) not in (os.SCHED_FIFO, os.SCHED_RR)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared recordings and data; the test is skipped where there is none."""
    default = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("FERMEDIA_SHARED", default))
    if not folder.is_dir():
        pytest.skip("no shared recordings here (set FERMEDIA_SHARED)")
    return folder


@pytest.fixture(scope="session")
def face_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds, 50 numbered frames of 480x360 at 25 a second, one moving face, AAC audio."""
    return write_video(tmp_path_factory.mktemp("videos") / "face.mp4", moving_faces(50), audio="aac")


@pytest.fixture(scope="session")
def numbered_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty numbered frames of 320x240 at 25 a second, no face, no audio."""
    return write_video(tmp_path_factory.mktemp("videos") / "numbers.mp4", numbered(40))


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    """The process that forks children, for the tests of one file."""
    with Forks(tmp_path_factory.mktemp("logs")) as server:
        yield server
