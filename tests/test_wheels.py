"""What a bare machine needs is there for it, built: no compiler is asked of anybody."""

from __future__ import annotations

import configparser
import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

SETUP = Path(__file__).parents[1] / "setup.cfg"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("pip") is None, reason="pip resolves the wheels, and is not here"),
]


def resolved(report: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What pip says to installing nothing but wheels, and installs none."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--retries", "1"]
    command += ["--only-binary", ":all:", "--report", str(report), *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def requirements() -> list[str]:
    """Those of the base install."""
    setup = configparser.ConfigParser()
    setup.read(SETUP, encoding="utf-8")
    return [line for line in setup["options"]["install_requires"].splitlines() if line and not line.startswith("#")]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skips where none can be reached."""
    done = resolved(tmp_path_factory.mktemp("pip") / "report.json", "--no-deps", "click")
    if done.returncode:
        pytest.skip(f"no registry of packages can be reached ({done.stderr.strip().splitlines()[-1]})")


@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize("python", ["3.11", "3.13"])
@pytest.mark.parametrize("platform", ["win_amd64", "macosx_14_0_arm64"])
def test_the_base_install_is_all_wheels(tmp_path: Path, platform: str, python: str) -> None:
    report = tmp_path / "report.json"
    where = ["--platform", platform, "--python-version", python, "--target", str(tmp_path / "nothing")]
    done = resolved(report, *where, *requirements())
    assert done.returncode == 0, done.stderr
    found = [item["download_info"]["url"] for item in json.loads(report.read_text(encoding="utf-8"))["install"]]
    assert len(found) >= len(requirements())
    assert all(url.endswith(".whl") for url in found)
