"""The documentation is current: pages made from the code, commands that parse, an example that runs."""

from __future__ import annotations

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from fermedia.cli import cli
from fermedia.columns import TABLES
from tests import fer
from tests.loading import load_script

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
IN_THE_SITE = load_script("build_site").pages_and_what_they_show()
MADE = load_script("write_docs").PAGES


@pytest.mark.parametrize("name", MADE)
def test_pages_made_from_the_code_are_current(name: str) -> None:
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == MADE[name](), "run python scripts/write_docs.py"


def test_every_command_and_option_is_documented() -> None:
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    for name, command in cli.commands.items():
        assert f"## fermedia {name}\n" in page
        assert command.help
        part = page.split(f"## fermedia {name}\n")[1].split("\n## ")[0]
        for option in command.params:
            if isinstance(option, click.Option):
                assert option.help, f"fermedia {name} {option.opts[0]} has no help"
                assert all(f"`{flag}" in part or f" {flag}" in part for flag in option.opts)


def test_every_column_is_documented() -> None:
    page = (ROOT / "docs" / "columns.md").read_text(encoding="utf-8")
    for table in TABLES:
        part = page.split(f"## {table.name}\n")[1].split("\n## ")[0]
        assert re.findall(r"^\| `(\w+)`", part, re.MULTILINE) == list(table.names)


def calls(page: Path) -> list[list[str]]:
    """The calls of fermedia in a page's shell blocks."""
    lines = "\n".join(re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)).splitlines()
    return [
        words[1:]
        for line in lines
        for command in line.split("&&")
        if (words := shlex.split(command, comments=True)) and words[0] == "fermedia"
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_in_the_pages_are_right(page: Path) -> None:
    for name, *arguments in calls(page):
        cli.commands[name].make_context(name, arguments)  # raises for what it does not know, or lacks


def test_the_pages_have_commands() -> None:
    assert {"demo", "analyze", "train"} <= {name for name, *_ in calls(ROOT / "README.md")}
    assert {"analyze", "plot", "merge", "status", "train"} <= {name for name, *_ in calls(ROOT / "docs" / "guide.md")}


def said(*command: str, cwd: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "fermedia", *command], capture_output=True, text=True, cwd=cwd, env=environment
    )
    assert done.returncode == 0, (command, done.stdout, done.stderr)


def test_the_readmes_commands_run(face_video: Path, tmp_path: Path) -> None:
    """All but the set-up, which .ci/run does; a training of one epoch stands for one of hours."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    mentioned = [command.split() for command in re.findall(r"`fermedia ([a-z]+ results[^`]*)`", text)]
    assert {name for name, *_ in mentioned} == {"status", "report", "plot", "merge", "export"}
    analyze, *training = (call for call in calls(ROOT / "README.md") if call[0] != "demo")
    (tmp_path / "interviews").mkdir()
    shutil.copy(face_video, tmp_path / "interviews")
    said(*analyze, cwd=tmp_path)
    shutil.copytree(tmp_path / "results", tmp_path / "more")
    for command in mentioned:
        said(*command, cwd=tmp_path)
    assert (tmp_path / "all.csv").is_file()

    there = tmp_path / "training"
    there.mkdir()
    shutil.copy(face_video, there / "interview.mp4")
    images = fer.make_set(train=16, public=4, private=4)
    fer.write_csv(there / "fer2013.csv", images)
    fer.write_votes(there / "fer2013new.csv", images, fer.agreeing_votes(images))
    assert [name for name, *_ in training] == ["dataset", "train", "evaluate", "analyze"]
    for command in training:
        if command[0] == "train":
            at = command.index("--hours")
            command[at : at + 2] = ["--epochs", "1", "--width", "0.25", "--batch-size", "16"]
        said(*command, cwd=there)
    assert (there / "results/items/interview.mp4/timeline.csv").is_file()


@pytest.mark.parametrize(
    "page", [page for page in IN_THE_SITE if page.suffix == ".md"], ids=lambda page: str(page.relative_to(ROOT))
)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text(encoding="utf-8")):
        path, _, part = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked in IN_THE_SITE, target
        if part:
            titles = re.findall(r"^#+ (.*)", linked.read_text(encoding="utf-8"), re.MULTILINE)
            assert part in {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}, target


def test_the_example_runs(face_video: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "docs" / "example.py"), str(face_video)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("25 frames, 1 faces\n")
    assert re.search(r"happy +0\.0 +2\.0\n", done.stdout)
    assert (tmp_path / "timeline.svg").stat().st_size > 1000


def test_the_notebook_runs(face_video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cell by cell, with what a notebook would show of each: the value of its last line."""
    shutil.copy(face_video, tmp_path / "interview.mp4")
    monkeypatch.chdir(tmp_path)
    cells = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "notebook.md").read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, object] = {}
    shown = []
    for cell in cells:
        code = ast.parse("\n".join(line for line in cell.splitlines() if not line.startswith("%")))
        last = code.body[-1]
        if isinstance(last, ast.Expr):
            code.body.pop()
        exec(compile(code, "cell", "exec"), names)
        if isinstance(last, ast.Expr):
            shown.append(eval(compile(ast.Expression(last.value), "cell", "eval"), names))
    frame, (emotion, smoothed), smiles, head, summary, segments, figure, pose, (movement, strength) = shown
    assert frame.time == 1.0
    assert "<rect " in frame._repr_html_()
    assert emotion == "happy"
    assert smoothed.shape == (7,)
    assert smiles == 50
    assert len(head) == 5
    assert summary["level"].tolist() == ["face", "item"]
    assert segments["emotion"].tolist() == ["happy"]
    assert max(map(abs, pose)) < 25
    assert movement.startswith("mouthSmile")
    assert 0.5 < strength <= 1
    assert {path.name for path in tmp_path.iterdir()} == {"interview.mp4"}
    figure.savefig(tmp_path / "figure.png")


def test_the_citation_has_the_version() -> None:
    import fermedia

    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {fermedia.__version__}\n" in text
    assert text.startswith("cff-version: 1.2.0\n")
