"""A made-up study goes through all commands as the guide writes them, and gives the answer that was put into it."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[2]
CHAPTER = (ROOT / "docs/guide.md").read_text(encoding="utf-8").split("## A study from beginning to end")[1]
COMMANDS = [
    line
    for block in re.findall(r"```sh\n(.*?)```", CHAPTER.split("\n## ")[0], re.DOTALL)
    for line in block.splitlines()
]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study of two people, after all commands of the chapter but the last two."""
    folder = tmp_path_factory.mktemp("study")
    for command in COMMANDS[:-2]:
        run(command, folder)
    return folder / "study"


def run(command: str, folder: Path) -> str:
    program, *arguments = shlex.split(command)
    if program == "python":
        arguments = [str(ROOT / arguments[0]), *arguments[1:], "--people", "2"]
    else:
        assert program == "fermedia"
        arguments = ["-m", "fermedia", *arguments]
    done = subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, f"{command}\n{done.stderr}"
    return done.stderr


def test_the_chapter_has_the_commands_of_a_study() -> None:
    assert [command.split()[1] for command in COMMANDS] == [
        "scripts/make_study.py",
        *("analyze", "analyze", "agree", "plot", "export", "analyze", "remove"),
    ]


def test_the_answer_is_found(study: Path) -> None:
    windows = pd.read_csv(study / "results/windows.csv")
    people = windows[windows["level"] == "face"].set_index(["person", "label"])
    change = people["change_happy"].unstack().drop(index="companion")
    assert change["comedy"].between(0.2, 0.8).all()
    assert change["farewell"].abs().max() < 0.1
    assert change.loc["p02", "comedy"] > change.loc["p01", "comedy"]  # in company the smile lasts longer
    conditions = pd.read_csv(study / "results/conditions.csv")
    assert set(conditions["condition"].dropna()) == {"alone", "company"}


def test_coders_agree_with_it(study: Path) -> None:
    agreement = pd.read_csv(study / "agreement/agreement.csv").set_index(["coder_1", "coder_2", "label", "statistic"])
    assert agreement.loc[("codes_anna", "machine", "happy", "kappa"), "value"] > 0.85
    assert ("codes_anna", "machine", "all", "kappa") not in agreement.index  # of one label it would be 0
    said = (study / "agreement/method.txt").read_text(encoding="utf-8")
    assert "codes_anna: happy or not, Cohen's kappa 0." in said


def test_figures_and_tables_for_others_are_there(study: Path) -> None:
    made = {path.name for path in (study / "results/plots").iterdir()}
    assert {"courses.pdf", "windows.png", "by_condition.pdf"} <= made
    assert {"windows", "courses", "conditions"} <= set(pd.ExcelFile(study / "study.xlsx").sheet_names)


def test_faces_are_hidden_later_and_a_person_is_taken_out(study: Path) -> None:
    before = pd.read_csv(study / "results/faces.csv")
    clip = study / "results/items/p02.mp4/annotated.mp4"
    shown = clip.read_bytes()
    said = run(COMMANDS[-2], study.parent)
    assert "2 items are drawn again, but not analysed again" in said
    assert clip.read_bytes() != shown
    pd.testing.assert_frame_equal(pd.read_csv(study / "results/faces.csv"), before)
    run(COMMANDS[-1], study.parent)
    for table in ("faces", "items", "summary", "windows", "participants"):
        assert "p02" not in (study / f"results/{table}.csv").read_text(encoding="utf-8"), table
    assert not (study / "results/items/p02.mp4").exists()
