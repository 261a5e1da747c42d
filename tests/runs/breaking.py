"""Workers that break: for the code that ``Forks`` runs before the command. A worker is a fresh process, so what it is
to do must be importable::

    import fermedia.runs.workers as w; from tests.runs.breaking import crashing; w.serve = crashing
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from fermedia.runs.workers import serve
from tests.systems import KILL


def before(worker: str) -> str:
    """The code that makes all workers be ``worker`` of this module."""
    return (
        f"import fermedia.runs.workers as workers, tests.runs.breaking as breaking\nworkers.serve = breaking.{worker}\n"
    )


def telling(*arguments: Any) -> None:
    """Says its number."""
    print(f"WORKER {os.getpid()}", file=sys.stderr, flush=True)
    serve(*arguments)


def deaf(*arguments: Any) -> None:
    """Gets what Ctrl-C in a terminal and a scheduler's end of a job send to all processes."""
    signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGTERM)
    telling(*arguments)


def crashing(*arguments: Any) -> None:
    """Its decoder crashes over ``film 3.mp4``."""
    _over_a_film(lambda: os.kill(os.getpid(), signal.SIGSEGV))
    telling(*arguments)


def killed(*arguments: Any) -> None:
    """Somebody kills it over ``film 3.mp4``, but only once."""
    _over_a_film(_die_once)
    telling(*arguments)


def hanging(*arguments: Any) -> None:
    """Its decoder never ends with ``film 3.mp4``."""
    _over_a_film(lambda: time.sleep(1000))
    telling(*arguments)


def hanging_with_the_lock() -> None:
    """In a process of a Ray cluster: says its number in a file, and never lets any Python run again."""

    def hang() -> None:
        with open(os.environ["FERMEDIA_TEST_HANGS"], "a") as file:
            print(os.getpid(), file=file)
        ctypes.PyDLL(None).sleep(1000)

    _over_a_film(hang)


def stillborn(*_: Any) -> None:
    """Does not come to life."""
    os.kill(os.getpid(), KILL)


def _die_once() -> None:
    try:
        os.close(os.open(os.environ["FERMEDIA_TEST_ONCE"], os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    os.kill(os.getpid(), KILL)


def _over_a_film(what: Callable[[], object]) -> None:
    from fermedia.media.video import VideoReader

    first = VideoReader._open

    def opened(self: VideoReader) -> None:
        if self.path.name == "film 3.mp4":
            print("OVER IT", file=sys.stderr, flush=True)
            what()
        first(self)

    VideoReader._open = opened  # type: ignore[method-assign]


#: Lengths in seconds from which on films are divided, and of their spans, for short films.
SPANS = "import fermedia.runs.spans\nfermedia.runs.spans.LONG, fermedia.runs.spans.SPAN = 1.0, 0.7\n"


#: The same, and the spans of a film are never put together, so that it stays unfinished.
UNFINISHED = SPANS + "import time\nfrom fermedia.outputs.joined import JoinedFilm\n"
UNFINISHED += "JoinedFilm._finish = lambda *_: time.sleep(1000)\n"


def dividing(*arguments: Any) -> None:
    """Works films of over a second in spans."""
    exec(SPANS, {})
    telling(*arguments)


def never_joining(*arguments: Any) -> None:
    """Does so too, and gets no such film done."""
    exec(UNFINISHED, {})
    telling(*arguments)
