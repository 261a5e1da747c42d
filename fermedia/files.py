"""File helpers: the folder of the shipped models, digests, atomic writes, and names for messages."""

from __future__ import annotations

import csv
import errno
import hashlib
import json
import os
import platform
import tempfile
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from fermedia.errors import ModelError, UsageError
from fermedia.names import EXTENDED

#: Whether a path is a junction, Windows' link between folders; Python 3.11 has no such function yet.
_is_junction: Callable[[Path], bool] = getattr(os.path, "isjunction", lambda _: False)

#: The prefix of the names of files that are being written.
HALF_WRITTEN = ".fermedia-"

#: Windows' error codes for "another program has it open", and for how many seconds to retry: virus scanners and
#: indexers open new files for a moment.
_IN_USE, _PATIENCE = (5, 32, 33), 3.0


def models_dir() -> Path:
    """The folder of the shipped models: inside the installed package, or beside it in a source checkout.

    Raises:
        ModelError: There is none.
    """
    here = Path(__file__).resolve().parent
    for folder in (here / "models", here.parent / "models"):
        if folder.is_dir():
            return folder
    raise ModelError(f"the model files are missing from {here}; reinstall fermedia")


def sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def regular(path: Path) -> Path:
    """Return ``path``. Raises OSError for a pipe or device, reading from which could block."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Write a file atomically: yield a temporary path in the same folder, then rename it to ``path``.

    The temporary file is removed on any error.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f"{_mine()}{os.getpid()}-", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        patiently(partial(temporary.replace, path), path)
    finally:
        patiently(partial(temporary.unlink, missing_ok=True), path)


def unlinked(root: Path, *names: str) -> Path:
    """Join ``names`` to ``root``, which may itself be a link. Raises UsageError where one of ``names`` is a link.

    A results folder may come from somebody else, and a link in it could direct output anywhere.
    """
    path = root
    for name in names:
        path = path / name
        if path.is_symlink() or _is_junction(path):
            raise UsageError(f"{shown(path, whole=True)}: is a link, which may lead anywhere; put a folder there")
    return path


def sweep(folder: Path) -> None:
    """Remove temporary files that killed processes of this machine left in a folder."""
    from psutil import pid_exists

    mine = _mine()
    for name in os.listdir(folder) if folder.is_dir() else ():
        process, dash, _ = name.removeprefix(mine).partition("-")
        if name.startswith(mine) and dash and process.isdecimal() and not pid_exists(int(process)):
            with suppress(OSError):
                (folder / name).unlink()


def _mine() -> str:
    """The prefix of this machine's temporary files; other machines may still be writing theirs."""
    return f"{HALF_WRITTEN}{zlib.crc32(platform.node().encode()):08x}-"


def patiently(change: Callable[[], object], path: Path) -> None:
    """Call ``change``, which moves or removes a file or folder, and retry while another program has it open (Windows).

    Args:
        change: Does it.
        path: The path to name in a message.

    Raises:
        OSError: It failed; ``strerror`` says so if the file stayed open.
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
    """Flush the content of a file, or the entries of a folder, to the disk (fsync). Raises OSError."""
    is_folder = os.path.isdir(path)
    try:
        # Windows flushes only files that are open for writing.
        file = os.open(path, os.O_RDONLY if is_folder else os.O_RDWR)
    except PermissionError:
        if is_folder:  # Windows does not open folders, and flushes their entries by itself
            return
        raise
    try:
        os.fsync(file)
    finally:
        os.close(file)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically: UTF-8, line feeds."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write an indented JSON file atomically."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def write_csv(path: Path, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write a CSV file atomically: UTF-8, line feeds, a header row."""
    with whole_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def counted(n: int, thing: str) -> str:
    """A number and a noun whose plural ends in s: "1 epoch", "3,589 images"."""
    return f"{n:,} {thing}{'' if n == 1 else 's'}"


def few(names: Sequence[str], most: int, between: str = ", ") -> str:
    """The first ``most`` of some names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return between.join(names[:most]) + more


def shown(path: Path, whole: bool = False) -> str:
    """A file's name (or ``whole`` path) for a message: on one line and printable, whatever bytes it contains."""
    return printable(str(path).removeprefix(EXTENDED) if whole else path.name or str(path))


def printable(text: str) -> str:
    """``text`` on one line, with unprintable characters and line breaks as Python escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
