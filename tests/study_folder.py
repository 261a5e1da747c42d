"""A folder of recordings, its results, and what is said of them by everything that says something."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from PIL import Image

from fermedia.tables.finished import place
from tests.forks import Forks
from tests.videos import astronaut, moving_faces, numbered, write_video

SIZE = (160, 120)


class Study:
    """Recordings in ``inputs``, results in ``out``; ``run`` runs the command in a process of its own."""

    def __init__(self, forks: Forks, folder: Path) -> None:
        self.forks, self.folder, self.inputs, self.out = forks, folder, folder / "in", folder / "out"
        self.inputs.mkdir()

    def video(self, name: str, frames: int) -> Path:
        """A video of numbered frames without a face; another one for each number of them."""
        path = self.inputs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return write_video(path, numbered(frames, SIZE))

    def talk(self, name: str, frames: int = 20) -> Path:
        """A video with a face."""
        return write_video(self.inputs / name, moving_faces(frames, SIZE), audio="aac")

    def image(self, name: str, side: int = 96) -> Path:
        """An image with a face."""
        path = self.inputs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(astronaut()[:256, 96:352]).resize((side, side)).save(path)
        return path

    def analyze(self, *options: str | Path, inputs: tuple[Path, ...] = (), status: int = 0, before: str = "") -> str:
        """Run it; gives what it said."""
        command = ("analyze", *(inputs or (self.inputs,)), "--out", self.out, *options)
        got, said = self.forks.run(*command, before=before)
        assert got == status, said
        assert "Traceback" not in said
        return said

    def run(self, command: str, *options: str | Path, status: int = 0) -> str:
        """Another command over the results; gives what it said."""
        got, said = self.forks.run(command, self.out, *options)
        assert "Traceback" not in said
        assert got == status, said
        return said

    def place(self, key: str) -> Path:
        return place(self.out, key)

    def made(self, key: str) -> int:
        """Another number when the item was analysed again."""
        return (self.place(key) / "item.json").stat().st_ino

    def status(self, *options: str) -> dict[str, Any]:
        """``fermedia status``, whatever its exit status."""
        return json.loads(self.forks.run("status", self.out, "--json", *options)[1])

    def items(self) -> list[str]:
        """The items of the summary, of the page and of both kinds of merged tables, which must be the same."""
        found = _items(self.out / "summary.csv")
        text = (self.out / "report/items.js").read_text(encoding="utf-8")
        page = json.loads(text.removeprefix("window.report = ").rstrip(";\n"))
        assert sorted(row["key"] for row in page["items"]) == sorted(found)
        for table in ("timeline", "summary"):
            assert sorted(self.merged(table)) == sorted(found)
        assert self.status()["finished"] >= len(found) or self.status()["remembered"].get("earlier")
        return found

    def merged(self, table: str, *options: str) -> list[str]:
        """The items of a merged table."""
        path = self.folder / "merged.csv"
        self.run("merge", "--table", table, "--out", path, *options)
        return _items(path)


def _items(path: Path) -> list[str]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(dict.fromkeys(row["item"] for row in csv.DictReader(file)))
