"""Workers that break: for the code that ``Forks`` runs before the command. A worker is a fresh process, so what it is
to do must be importable::

    import fermedia.jobs.workers as w; from tests.breaking import crashing; w.serve = crashing
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from fermedia.jobs.item import Engine, OnFrames
from fermedia.jobs.scheduler import Job, Result
from fermedia.jobs.workers import serve
from fermedia.options import AnalyzeOptions
from tests.systems import KILL


def before(worker: str) -> str:
    """The code that makes all workers be ``worker`` of this module."""
    return f"import fermedia.jobs.workers as workers, tests.breaking as breaking\nworkers.serve = breaking.{worker}\n"


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
    """Its decoder crashes over ``video 3.mp4``."""
    _over_a_video(lambda: os.kill(os.getpid(), signal.SIGSEGV))
    telling(*arguments)


def killed(*arguments: Any) -> None:
    """Somebody kills it over ``video 3.mp4``, but only once."""
    _over_a_video(_die_once)
    telling(*arguments)


def hanging(*arguments: Any) -> None:
    """Its decoder never ends with ``video 3.mp4``."""
    _over_a_video(lambda: time.sleep(1000))
    telling(*arguments)


def hanging_with_the_lock() -> None:
    """In a process of a Ray cluster: says its number in a file, and never lets any Python run again."""

    def hang() -> None:
        with open(os.environ["FERMEDIA_TEST_HANGS"], "a") as file:
            print(os.getpid(), file=file)
        ctypes.PyDLL(None).sleep(1000)

    _over_a_video(hang)


def stillborn(*_: Any) -> None:
    """Does not come to life."""
    os.kill(os.getpid(), KILL)


def killed_at_the_start(*arguments: Any) -> None:
    """Somebody kills it while it starts, but only once."""
    _die_once()
    telling(*arguments)


def only_one_lives(*arguments: Any) -> None:
    """All but the first have no thread to load the models with."""
    if not _is_first():
        import fermedia.jobs.workers as workers

        def loaded(options: AnalyzeOptions, threads: int) -> Engine:
            raise RuntimeError("can't start new thread")

        workers._loaded = loaded
    telling(*arguments)


def measuring(*arguments: Any) -> None:
    """Says when it works."""
    import fermedia.jobs.execute as execute

    first = execute.work

    def work(engine: Engine, job: Job, on_frames: OnFrames) -> Result:
        print(f"FROM {time.monotonic()}", file=sys.stderr, flush=True)
        result = first(engine, job, on_frames)
        print(f"UNTIL {time.monotonic()}", file=sys.stderr, flush=True)
        return result

    execute.work = work
    telling(*arguments)


def hanging_while_it_is_opened(*arguments: Any) -> None:
    """FFmpeg never gets ``video 3.mp4`` open."""
    import fermedia.media.container as container

    first = container.open_container

    def opened(path: Any) -> Any:
        if path.name == "video 3.mp4":
            print("OVER IT", file=sys.stderr, flush=True)
            time.sleep(1000)
        return first(path)

    container.open_container = opened
    telling(*arguments)


def _die_once() -> None:
    if _is_first():
        os.kill(os.getpid(), KILL)


def _is_first() -> bool:
    """Whether no process has asked before."""
    try:
        os.close(os.open(os.environ["FERMEDIA_TEST_ONCE"], os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def _over_a_video(what: Callable[[], object]) -> None:
    from fermedia.media.video import VideoReader

    first = VideoReader._open

    def opened(self: VideoReader) -> None:
        if self.path.name == "video 3.mp4":
            print("OVER IT", file=sys.stderr, flush=True)
            what()
        first(self)

    VideoReader._open = opened  # type: ignore[method-assign]


#: Lengths in seconds from which on videos are divided, and of their spans, for short videos.
SPANS = "import fermedia.jobs.spans\nfermedia.jobs.spans.LONG, fermedia.jobs.spans.SPAN = 1.0, 0.7\n"


#: The same, and the spans of a video are never put together, so that it stays unfinished.
UNFINISHED = SPANS + "import time\nfrom fermedia.render.joined import JoinedVideo\n"
UNFINISHED += "JoinedVideo.__exit__ = lambda *_: time.sleep(1000)\n"


def dividing(*arguments: Any) -> None:
    """Works videos of over a second in spans."""
    exec(SPANS, {})
    telling(*arguments)


def never_joining(*arguments: Any) -> None:
    """Does so too, and gets no such video done."""
    exec(UNFINISHED, {})
    telling(*arguments)
