"""The examples of CONTRIBUTING.md are applied to a copy of the package, and do what they say."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
EXAMPLES = {
    name: (patch, code)
    for name, patch, code in re.findall(
        r"<!-- example: (\w+) -->\n```diff\n(.*?)```\n```python\n(.*?)```", TEXT, flags=re.DOTALL
    )
}


def test_there_is_one_for_each_kind_of_change() -> None:
    assert set(EXAMPLES) == {"export", "column", "option", "detector", "panel"}


@pytest.mark.skipif(shutil.which("git") is None, reason="no git to apply the patches with")
@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_does_what_it_says(name: str, tmp_path: Path) -> None:
    patch, code = EXAMPLES[name]
    shutil.copytree(ROOT / "fermedia", tmp_path / "fermedia", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "models", tmp_path / "models")
    subprocess.run(["git", "apply", "-"], input=patch.encode(), cwd=tmp_path, check=True)
    assert run(code, tmp_path / "changed", tmp_path) == 0
    assert run(code, tmp_path / "unchanged", ROOT) != 0, "it was true before the patch"


def run(code: str, folder: Path, package: Path) -> int:
    folder.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(package)}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL).returncode
