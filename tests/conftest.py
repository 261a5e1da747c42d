"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.films import moving_faces, numbered, write_film


def pytest_addoption(parser: pytest.Parser) -> None:
    """See ``tests``, which looks for it."""
    parser.addoption(
        "--without-posix",
        action="store_true",
        help="hide what only POSIX systems have, here and in all processes that tests start",
    )


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared recordings and data; the test is skipped where there is none."""
    default = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("FERMEDIA_SHARED", default))
    if not folder.is_dir():
        pytest.skip("no shared recordings here (set FERMEDIA_SHARED)")
    return folder


@pytest.fixture(scope="session")
def face_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds, 50 numbered frames of 480x360 at 25 a second, one moving face, AAC audio."""
    return write_film(tmp_path_factory.mktemp("films") / "face.mp4", moving_faces(50), audio="aac")


@pytest.fixture(scope="session")
def numbered_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty numbered frames of 320x240 at 25 a second, no face, no audio."""
    return write_film(tmp_path_factory.mktemp("films") / "numbers.mp4", numbered(40))
