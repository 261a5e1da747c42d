"""Takes away, from the process that runs it, what only POSIX systems have; and gives files Windows' manners.

``python -m pytest --without-posix`` runs it in its own process, and puts this folder on PYTHONPATH, so that every
Python that a test starts runs it at its beginning. What is not ours is loaded before where it needs what goes: on
Windows it has ways of its own.
"""

from __future__ import annotations

import asyncio  # noqa: F401
import builtins
import errno
import io
import multiprocessing.popen_fork
import multiprocessing.popen_spawn_posix
import multiprocessing.resource_tracker
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

MODULES = ("fcntl", "grp", "pty", "pwd", "resource", "termios", "tty")
FUNCTIONS = ("fork", "forkpty", "geteuid", "mkfifo", "pread", "sysconf", "wait4")
SIGNALS = ("SIGKILL", "SIGSTOP", "SIGHUP", "SIGALRM", "pthread_sigmask", "alarm", "setitimer")

_listdir, _readlink, _open = os.listdir, os.readlink, open


def take_away() -> None:
    """Do it; once."""
    if not hasattr(os, "fork"):
        return
    try:
        import filelock  # noqa: F401
        import psutil
    except ModuleNotFoundError:  # pip's own processes, say
        pass
    else:
        psutil.PROCFS_PATH = "/./proc"
    _let_processes_begin_and_end()
    for name in MODULES:
        sys.modules[name] = None  # type: ignore[assignment]
    for name in [*FUNCTIONS, *(name for name in dir(os) if name.startswith("sched_"))]:
        delattr(os, name)
    for name in SIGNALS:
        delattr(signal, name)
    for module, name in ((builtins, "open"), (io, "open"), (os, "open"), (os, "stat"), (os, "lstat")):
        _hide_proc(module, name)
    for name in ("listdir", "scandir", "readlink"):
        _hide_proc(os, name)
    for name in ("replace", "rename", "unlink", "remove", "rmdir"):
        _keep_what_is_open(name)
    _open_no_folder()
    _write_down_only_what_may_be_written()
    shutil._use_fd_functions = False  # type: ignore[attr-defined]


def _let_processes_begin_and_end() -> None:
    """The standard library does it by what goes here, and otherwise on Windows."""
    multiprocessing.resource_tracker._HAVE_SIGMASK = False  # type: ignore[attr-defined]
    number = signal.SIGKILL
    forked: Any = multiprocessing.popen_fork.Popen
    forked.kill = lambda self: self._send_signal(number)
    subprocess.Popen.kill = lambda self: self.send_signal(number)  # type: ignore[method-assign]


def _hide_proc(module: Any, name: str) -> None:
    first = getattr(module, name)

    def looking(path: Any = ".", *arguments: Any, **options: Any) -> Any:
        if isinstance(path, str | bytes | os.PathLike) and os.fsdecode(path).startswith("/proc"):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return first(path, *arguments, **options)

    setattr(module, name, looking)


def _keep_what_is_open(name: str) -> None:
    """What this process has open can neither be moved nor removed, nor can a folder be moved with such a file in it."""
    first: Callable[..., Any] = getattr(os, name)

    def changing(path: Any, *others: Any, **options: Any) -> Any:
        if options.get("dir_fd") is None:
            opened = _opened()
            for changed in (path, *others[:1]):
                if any(f"{file}/".startswith(f"{os.path.realpath(os.fsdecode(changed))}/") for file in opened):
                    error = PermissionError(errno.EACCES, "The process cannot access the file", changed)
                    error.winerror = 32  # type: ignore[attr-defined]
                    raise error
        return first(path, *others, **options)

    setattr(os, name, changing)


def _opened() -> list[str]:
    found = []
    for number in _listdir("/proc/self/fd"):
        try:
            found.append(_readlink(f"/proc/self/fd/{number}"))
        except FileNotFoundError:
            continue
    return found


def _open_no_folder() -> None:
    first = os.open

    def opening(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
        file = first(path, flags, *arguments, **options)
        if flags & os.O_TMPFILE == os.O_TMPFILE:  # a file without a name, as one is there that goes when it is closed
            return file
        if options.get("dir_fd") is None and os.path.isdir(path):
            os.close(file)
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return file

    os.open = opening


def _write_down_only_what_may_be_written() -> None:
    first = os.fsync

    def writing(fd: Any) -> None:
        with _open(f"/proc/self/fdinfo/{fd}") as about:
            flags = about.read().split("flags:")[1].split()[0]
        if int(flags, 8) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        first(fd)

    os.fsync = writing


take_away()
