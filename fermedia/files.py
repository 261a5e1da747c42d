"""Where the shipped models are, digests, and files that appear whole or not at all."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fermedia.errors import ModelError


def models_dir() -> Path:
    """The folder of the shipped models: inside the installed package, or beside it in a source checkout."""
    here = Path(__file__).resolve().parent
    for folder in (here / "models", here.parent / "models"):
        if folder.is_dir():
            return folder
    raise ModelError(f"the model files are missing from {here}; reinstall fermedia")


def sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary path in the same folder; rename it to ``path`` at the end, or remove it on any error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".fermedia-", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a JSON file for people and programs, whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def write_csv(path: Path, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write a table, whole or not at all: UTF-8, plain line feeds, its columns' names first."""
    with whole_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def counted(n: int, thing: str) -> str:
    """So many of a thing whose plural ends in s: "1 epoch", "3,589 images"."""
    return f"{n:,} {thing}{'' if n == 1 else 's'}"


def shown(path: Path, whole: bool = False) -> str:
    """A file's name (or whole path) for a message: on one line and printable, whatever bytes it has."""
    return printable(str(path) if whole else path.name or str(path))


def printable(text: str) -> str:
    """``text`` on one line; what cannot be printed, line breaks too, as it would be written in Python."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
