"""The lock of a folder of results, so that only one run at a time writes there: a system lock on the file ``.lock``.

The system releases it when the process ends, for whatever reason; the file's existence means nothing. The ledger itself
is not locked, because on Windows it could then not be read by others.
"""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

from filelock import lock_descriptor

LOCK = ".lock"

#: The errors of file systems without locks, or (the last) without locks on read-only files; and Windows' own numbers.
_NO_LOCKS = {getattr(errno, name, None) for name in ("ENOLCK", "ENOSYS", "EOPNOTSUPP", "ENOTSUP", "EBADF")}
_NO_LOCKS_ON_WINDOWS = {1, 50}


class FolderLock:
    """A lock that is held until ``release``. On a file system without locks, two runs at once are not prevented."""

    def __init__(self, path: Path, file: int) -> None:
        self._path, self._file = path, file

    @classmethod
    def take(cls, folder: Path, patience: float) -> FolderLock | None:
        """Lock ``folder``; None if another process holds the lock for ``patience`` seconds. Raises OSError."""
        path, until = folder / LOCK, time.monotonic() + patience
        while True:
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                # The previous holder may have removed the file in between.
                taken = _locked(file) and _is_at(path, file)
            except BaseException:
                os.close(file)
                raise
            if taken:
                return cls(path, file)
            os.close(file)
            if time.monotonic() >= until:
                return None
            time.sleep(0.02)

    def release(self) -> None:
        """Release the lock and remove the file."""
        try:
            removed = _removed(self._path)
        finally:
            os.close(self._file)
        if not removed:  # Windows cannot remove an open file
            _removed(self._path)


def is_held(folder: Path) -> bool:
    """Whether any process, including this one, holds the lock of ``folder``. Raises OSError."""
    path = folder / LOCK
    try:
        # NFS only locks files opened for writing.
        file = os.open(path, os.O_RDWR if os.access(path, os.W_OK) else os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return not _locked(file)
    finally:
        os.close(file)


def _locked(file: int) -> bool:
    try:
        return lock_descriptor(file, blocking=False)
    except OSError as error:
        if error.errno in _NO_LOCKS or getattr(error, "winerror", None) in _NO_LOCKS_ON_WINDOWS:
            return True
        raise


def _is_at(path: Path, file: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(file))
    except FileNotFoundError:
        return False


def _removed(path: Path) -> bool:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return False
    return True
