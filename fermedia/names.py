"""File names and paths that are valid on every operating system."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from pathlib import Path

#: The file and the folder by which a results folder of fermedia is recognized.
LEDGER, ITEMS = "ledger.jsonl", "items"

#: The longest file name, in bytes, of common file systems (NAME_MAX).
_MOST_BYTES = 255

#: What Windows forbids in a name: these characters, and a period or space at its end. An existing ``%x..`` is escaped
#: too, so that it cannot be confused with an escaped character.
_FORBIDDEN = re.compile(r"""[\x00-\x1f<>:"|?*\\]|[. ]\Z|%(?=x[0-9a-f]{2})""", re.IGNORECASE)

#: The names that Windows reserves for devices, with any extension.
_DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3]) *(\.|\Z)", re.IGNORECASE)

#: The longest path, in characters, that every program on Windows opens, less a short (8.3) file name.
_LONGEST_PATH = 248

#: Windows' prefix for paths of any length.
EXTENDED = "\\\\?\\"


def portable(name: str) -> str:
    """Make a file name valid on all systems, so that results can be copied anywhere; distinct names stay distinct.

    What Windows forbids becomes ``%x`` and its code: ``a:b`` is ``a%x3Ab``, ``aux.mp4`` is ``%x61ux.mp4``. A name that
    becomes too long is truncated and ends in a part of its digest.
    """
    changed = _FORBIDDEN.sub(lambda found: _escaped(found[0]), name)
    if _DEVICE.match(changed):
        changed = _escaped(changed[0]) + changed[1:]
    if len(os.fsencode(changed)) <= _MOST_BYTES:
        return changed
    return fitting(changed, f"~{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}")


def _escaped(character: str) -> str:
    return f"%x{ord(character):02X}"


def fitting(stem: str, suffix: str) -> str:
    """``stem`` and ``suffix``, with ``stem`` truncated at a whole character so that the name fits file systems."""
    room = _MOST_BYTES - len(os.fsencode(suffix))
    while len(os.fsencode(stem)) > room:
        stem = stem[:-1]
    return stem + suffix


def reachable(path: Path, below: int = 0) -> Path:
    """The same path; on Windows a path that is too long for most programs gets the prefix with which it can be opened.

    Args:
        path: A file or folder.
        below: By how many characters the paths inside it may be longer.
    """
    if sys.platform != "win32":
        return path
    return Path(extended(os.path.abspath(path), below))


def extended(path: str, below: int = 0) -> str:
    """An absolute Windows path, with the prefix for long paths if it is too long with ``below`` more characters."""
    if len(path) + below < _LONGEST_PATH or path.startswith(EXTENDED):
        return path
    return f"{EXTENDED}UNC{path[1:]}" if path.startswith("\\\\") else EXTENDED + path
