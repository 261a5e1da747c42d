"""The lock of a run's folder, so that one run at a time writes there: the file ``.lock``, held by the system.

It ends with the process, however that ended; the file itself says nothing. It is not the ledger that is locked, for on
Windows nobody could read that meanwhile.
"""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

from filelock import lock_descriptor

LOCK = ".lock"

#: What a file system says that has no locks, or (the last) none on what may only be read; and Windows' own numbers.
_NO_LOCKS = {getattr(errno, name, None) for name in ("ENOLCK", "ENOSYS", "EOPNOTSUPP", "ENOTSUP", "EBADF")}
_NO_LOCKS_ON_WINDOWS = {1, 50}


class FolderLock:
    """A lock that is held, until ``release``. Where the file system has no locks nothing guards against two runs."""

    def __init__(self, path: Path, file: int) -> None:
        self._path, self._file = path, file

    @classmethod
    def take(cls, folder: Path, patience: float) -> FolderLock | None:
        """The lock of ``folder``; None if somebody else holds it for all of ``patience`` seconds. Raises OSError."""
        path, until = folder / LOCK, time.monotonic() + patience
        while True:
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                # Who had it before may have removed the file in between.
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
        """Let others have it, and leave no file."""
        try:
            removed = _removed(self._path)
        finally:
            os.close(self._file)
        if not removed:  # Windows keeps what is open
            _removed(self._path)


def is_held(folder: Path) -> bool:
    """Whether somebody holds the lock of ``folder``, this process or another. Raises OSError."""
    path = folder / LOCK
    try:
        # NFS locks only what may be written.
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
