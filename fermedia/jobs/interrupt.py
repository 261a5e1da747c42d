"""Signal handling: Ctrl-C and SIGTERM end a command promptly, whatever it is doing."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Lock, Thread, current_thread, main_thread
from types import FrameType
from typing import NoReturn

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

_interrupted = Event()
_holding = Event()


@contextmanager
def ended_while_loading() -> Iterator[None]:
    """In this block, SIGINT and SIGTERM end the process at once with a one-line message: no work has begun."""
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number, handler in before.items():
        if handler != signal.SIG_IGN:  # as for jobs in the background
            signal.signal(number, _end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    os.write(2, b"fermedia: interrupted; to go on, give the same command again\n")
    os._exit(130)


def take_sigterm() -> None:
    """Make SIGTERM raise KeyboardInterrupt, as Ctrl-C does."""
    signal.signal(signal.SIGTERM, _raise)


def _raise(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


@contextmanager
def sigterm_kept() -> Iterator[None]:
    """Restore the handler of SIGTERM after this block, in which a library may replace it."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if current_thread() is main_thread():
            signal.signal(signal.SIGTERM, before)


def check() -> None:
    """Raise KeyboardInterrupt again if it was raised before, and other code swallowed or converted it."""
    if _interrupted.is_set():
        raise KeyboardInterrupt


@contextmanager
def held() -> Iterator[None]:
    """Delay interruptions to the end of this block: an import that is interrupted cannot be repeated."""
    _holding.set()
    try:
        yield
    finally:
        _holding.clear()
    check()


@contextmanager
def ended_promptly(status: int, how: str, seconds: float = 1.5) -> Iterator[None]:
    """In this block, the first SIGINT or SIGTERM raises KeyboardInterrupt; later ones are ignored.

    When the exception arrives here, even converted to another, or ``seconds`` after the signal if it does not (because
    a decoder hangs, for example), the process prints the exception's text, or else ``how`` to continue, and exits with
    ``status`` at once. It does not finalize libraries, which might crash after an interruption; so use this only for
    work that a kill cannot damage. Outside of the main thread, which alone gets signals, it does nothing.
    """
    if current_thread() is not main_thread():
        yield
        return
    ending = Lock()
    # Another thread may be silencing a library, which redirects descriptor 2.
    terminal = _opened_again(2)

    def end(text: str) -> NoReturn:
        ending.acquire()  # only the first caller continues
        sys.stderr.flush()
        if terminal is not None:
            clear = "\r\x1b[K" if os.isatty(terminal) else ""  # there may be a progress bar
            os.write(terminal, f"{clear}fermedia: interrupted; {text}\n".encode())
        os._exit(status)

    def stop(_number: int, _frame: FrameType | None) -> None:
        _interrupted.set()
        # An exception raised where Python cannot propagate it would be printed; the time limit ends the process then.
        sys.unraisablehook = _nothing
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        if not _holding.is_set():
            raise KeyboardInterrupt

    def watch() -> None:
        # The bytes arrive even while the main thread is in a library, where the Python handler has to wait.
        while number := os.read(reader, 1):
            if number[0] in _SIGNALS:
                time.sleep(seconds)
                end(how)
        os.close(reader)

    reader, writer = os.pipe()
    if sys.platform != "win32":  # Windows writes the bytes to a blocking pipe, too
        os.set_blocking(writer, False)
    # Signals that the caller's shell ignores stay ignored, as for background jobs.
    before = {number: signal.getsignal(number) for number in _SIGNALS if signal.getsignal(number) != signal.SIG_IGN}
    wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    Thread(target=watch, name="interrupt", daemon=True).start()
    for number in before:
        signal.signal(number, stop)
    try:
        yield
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            end(str(error) or how)
        if _interrupted.is_set():
            end(how)
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(wakeup)
        os.close(writer)
        if terminal is not None:
            os.close(terminal)


@contextmanager
def unheard() -> Iterator[None]:
    """Block SIGINT and SIGTERM for processes that are started in this block, until they unblock them.

    Ctrl-C in a terminal goes to all processes there, as do signals of a cluster's scheduler; but ending the workers is
    the driver's task.
    """
    if sys.platform == "win32":
        import ctypes

        ignore = ctypes.windll.kernel32.SetConsoleCtrlHandler  # NULL: ignore Ctrl-C, here and in children
        ignore(None, True)
        try:
            yield
        finally:
            ignore(None, False)
    elif hasattr(signal, "pthread_sigmask"):
        from multiprocessing import resource_tracker

        # The first process would start the resource tracker, which unblocks the signals again.
        resource_tracker.ensure_running()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    else:
        yield


def _opened_again(descriptor: int) -> int | None:
    try:
        return os.dup(descriptor)
    except OSError:  # it is closed
        return None


def _nothing(*_: object) -> None:
    pass
