"""Ctrl-C and SIGTERM end a run at once, whatever it is doing."""

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


def check() -> None:
    """Raise KeyboardInterrupt if it has been raised before, and somebody made something else of it or nothing."""
    if _interrupted.is_set():
        raise KeyboardInterrupt


@contextmanager
def held() -> Iterator[None]:
    """Within, an interruption waits for the end: of an import, which half done cannot be begun again."""
    _holding.set()
    try:
        yield
    finally:
        _holding.clear()
    check()


@contextmanager
def ended_promptly(status: int, how: str, seconds: float = 1.5) -> Iterator[None]:
    """Within, the first SIGINT or SIGTERM raises KeyboardInterrupt; what comes after it changes nothing.

    When the exception arrives here, be it as another that somebody made of it, or ``seconds`` after the signal if it
    does not (a decoder that does not come back), the process says the exception's text, or else ``how`` to go on, and
    ends with ``status`` at once: without taking down the libraries, which an interruption may have left where they
    would crash. So only for work that a kill cannot spoil. In another thread than the main one, which gets no signals,
    nothing is done.
    """
    if current_thread() is not main_thread():
        yield
        return
    ending = Lock()
    # Another thread may just be keeping a library quiet, which loses what is written to 2.
    terminal = _opened_again(2)

    def end(text: str) -> NoReturn:
        ending.acquire()  # whoever is first
        sys.stderr.flush()
        if terminal is not None:
            clear = "\r\x1b[K" if os.isatty(terminal) else ""  # a bar may stand there
            os.write(terminal, f"{clear}fermedia: interrupted; {text}\n".encode())
        os._exit(status)

    def stop(_number: int, _frame: FrameType | None) -> None:
        _interrupted.set()
        # What is raised where Python cannot pass it on would be shown; the time limit ends the process then.
        sys.unraisablehook = _nothing
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        if not _holding.is_set():
            raise KeyboardInterrupt

    def watch() -> None:
        # The bytes come even while the main thread is deep in a library, where the handler must wait.
        while number := os.read(reader, 1):
            if number[0] in _SIGNALS:
                time.sleep(seconds)
                end(how)
        os.close(reader)

    reader, writer = os.pipe()
    if sys.platform != "win32":  # there the bytes are written whatever the pipe is like
        os.set_blocking(writer, False)
    # What the caller's shell ignores stays ignored, as for jobs in the background.
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
    """Processes that are started within hear neither SIGINT nor SIGTERM, until they ask for them.

    Ctrl-C in a terminal goes to all processes there, and so does what a cluster's scheduler sends. It is the driver's
    to end its workers.
    """
    if sys.platform == "win32":
        import ctypes

        ignore = ctypes.windll.kernel32.SetConsoleCtrlHandler  # of no handler: Ctrl-C, by this process and its children
        ignore(None, True)
        try:
            yield
        finally:
            ignore(None, False)
    elif hasattr(signal, "pthread_sigmask"):
        from multiprocessing import resource_tracker

        # The first start would begin the tracker, which lets the signals through again.
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
