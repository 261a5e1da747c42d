"""Suppress the log messages that C++ libraries write to stderr, and nothing else."""

from __future__ import annotations

import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

#: Lines that LiteRT, TensorFlow and MediaPipe write to file descriptor 2; ``TF_CPP_MIN_LOG_LEVEL`` and
#: ``GLOG_minloglevel`` suppress none, or not all, of them. Such a line may follow an unfinished other line.
_CHATTER = re.compile(
    rb"INFO: (Created|Applying) TensorFlow Lite .*\n"
    rb"|WARNING: (All log messages before absl::InitializeLog|Logging before InitGoogle)\(\).*\n"
    rb"|[IWE]\d{4} \d\d:\d\d:\d+\.\d+ +\d+ [^\s:]+:\d+\] .*\n"
    rb"|To enable the following instructions: .*\n"
)

_LOCK = threading.RLock()
_greeted = False


@contextmanager
def quiet_litert() -> Iterator[None]:
    """Suppress LiteRT's startup messages while the first network is created and run.

    LiteRT prints them once in a process and has no option against it. The first network is loaded in the main thread
    before other threads start; later calls do nothing.
    """
    global _greeted
    if _greeted:
        yield
        return
    with quiet_stderr():
        yield
    _greeted = True


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Remove the libraries' log messages from what is written to file descriptor 2 inside.

    Everything else, from any thread or library, is written at the end, possibly after newer output. Without a
    descriptor 2, or without space for a temporary file, nothing is changed.
    """
    with _LOCK:
        try:
            kept = os.dup(2)
        except OSError:
            yield
            return
        try:
            said = _nameless()
        except OSError:
            os.close(kept)
            yield
            return
        with said:
            _flush()
            try:
                os.dup2(said.fileno(), 2)
                yield
            finally:
                _flush()
                os.dup2(kept, 2)
                os.close(kept)
                said.seek(0)
                _pass_on(_CHATTER.sub(b"", said.read()))


def _nameless() -> IO[bytes]:
    """An anonymous temporary file: in memory where the system supports it, else on the disk."""
    if sys.platform == "linux" and hasattr(os, "memfd_create"):
        return open(os.memfd_create("said"), "w+b")
    return tempfile.TemporaryFile()


def _flush() -> None:
    if sys.stderr is not None:
        sys.stderr.flush()


def _pass_on(content: bytes) -> None:
    """Write line by line, which is atomic for pipes, so that other threads' output appears between lines."""
    for line in content.splitlines(keepends=True):
        while line:
            line = line[os.write(2, line) :]
