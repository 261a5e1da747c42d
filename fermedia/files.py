"""Where the shipped models are, digests, and files that appear whole or not at all."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from fermedia.errors import ModelError
from fermedia.names import EXTENDED

#: Windows' numbers for "another program has it open", and seconds for which that is waited for: virus scanners and
#: indexers look at what is new for a moment.
_IN_USE, _PATIENCE = (5, 32, 33), 3.0


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
        patiently(partial(temporary.replace, path), path)
    finally:
        patiently(partial(temporary.unlink, missing_ok=True), path)


def patiently(change: Callable[[], object], path: Path) -> None:
    """Move or remove a file, or a folder, again and again while Windows says that another program has it open.

    ``path`` is what the user knows it by. Raises OSError, whose ``strerror`` says so if it stays open.
    """
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            change()
            return
        except PermissionError as error:
            if getattr(error, "winerror", None) not in _IN_USE:
                raise
            if time.monotonic() >= until:
                what = f"{shown(path)} is open in another program, or may not be changed; close it there"
                raise PermissionError(error.errno, what) from error
        time.sleep(0.05)


def sync(path: str | Path) -> None:
    """Have the content of a file, or the names in a folder, on the disk before anything else. Raises OSError."""
    is_folder = os.path.isdir(path)
    try:
        # Windows asks for a file that may be written.
        file = os.open(path, os.O_RDONLY if is_folder else os.O_RDWR)
    except PermissionError:
        if is_folder:  # Windows opens none, and writes names down by itself
            return
        raise
    try:
        os.fsync(file)
    finally:
        os.close(file)


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a JSON file for people and programs, whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8", newline="\n")


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
    return printable(str(path).removeprefix(EXTENDED) if whole else path.name or str(path))


def printable(text: str) -> str:
    """``text`` on one line; what cannot be printed, line breaks too, as it would be written in Python."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
