"""What the tests of runs share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.runs.forks import Forks


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    """The process that forks children, for the tests of one file."""
    with Forks(tmp_path_factory.mktemp("logs")) as server:
        yield server
