"""What systems ask of the names of files, and of their paths."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from pathlib import Path

#: Bytes of a file's name on all common file systems (NAME_MAX).
_MOST_BYTES = 255

#: What Windows does not have in a name: these characters, and a point or a space at its end. A name that reads as if
#: something in it had been replaced already must not be taken for that.
_FORBIDDEN = re.compile(r"""[\x00-\x1f<>:"|?*\\]|[. ]\Z|%(?=x[0-9a-f]{2})""", re.IGNORECASE)

#: The names that it keeps for devices, whatever follows their first point.
_DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3]) *(\.|\Z)", re.IGNORECASE)

#: Characters of a path on Windows up to which every program opens it, less a short file name.
_LONGEST_PATH = 248

#: What Windows has before a path that may be of any length.
EXTENDED = "\\\\?\\"


def portable(name: str) -> str:
    """A file's name as all systems can have it, so that results can be copied anywhere; no two names become one.

    What Windows does not allow becomes ``%x`` and its number: ``a:b`` is ``a%x3Ab``, ``aux.mp4`` ``%x61ux.mp4``. A
    name that grows too long ends in a part of its digest.
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
    """A name no longer than file systems have them: of ``stem`` as many whole characters as there is room for."""
    room = _MOST_BYTES - len(os.fsencode(suffix))
    while len(os.fsencode(stem)) > room:
        stem = stem[:-1]
    return stem + suffix


def reachable(path: Path, below: int = 0) -> Path:
    """The same file or folder; on Windows, if its path is too long for most programs, as it can be opened nevertheless.

    ``below`` is how many characters more the paths of what lies in it may have.
    """
    if sys.platform != "win32":
        return path
    return Path(extended(os.path.abspath(path), below))


def extended(path: str, below: int = 0) -> str:
    """An absolute path of Windows; with the prefix that lets it be long, if it and ``below`` characters more are."""
    if len(path) + below < _LONGEST_PATH or path.startswith(EXTENDED):
        return path
    return f"{EXTENDED}UNC{path[1:]}" if path.startswith("\\\\") else EXTENDED + path
