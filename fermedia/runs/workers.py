"""Many at work: the executor that shares the jobs out among processes of this machine.

Each worker is a process started fresh, loads the models once, and keeps to its share of the processors. It gets one job
at a time through a pipe and answers with messages: the frames that are done, and the result. It may be killed at any
moment: whatever it was making is in its staging folder, and the driver alone writes the ledger.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from threading import Thread
from typing import Any

from fermedia.errors import FermediaError, WorkerError
from fermedia.machine import cores, free_memory, keep_to, share_heaps
from fermedia.options import AnalyzeOptions, RunOptions
from fermedia.runs.agenda import Agenda, Job, Task
from fermedia.runs.execute import WORKER_MEMORY, Executor, in_process
from fermedia.runs.interrupt import unheard
from fermedia.runs.ledger import Outcome
from fermedia.runs.progress import Progress

#: Seconds between two messages about frames.
_TELL_EVERY = 0.2

#: From here on exit statuses are Windows' numbers of exceptions that nobody caught, as 0xC0000005 for a wrong address.
_CRASHED_ON_WINDOWS = 0xC0000000


def executor(running: RunOptions) -> Executor:
    """The executor that the options ask for."""
    if running.executor == "ray":
        from fermedia.runs.cluster import Cluster

        return Cluster(running)
    if running.workers is None:
        return partial(_as_it_fits, running.timeout)
    return Workers(running.workers, running.timeout) if running.workers else in_process


def fitting(items: int) -> int:
    """How many workers suit this machine and so many items.

    One for each processor, if there are as many items: one film alone does not keep all processors at work
    (docs/performance.md). Fewer items are given more threads each, since a worker works in several. No more
    than memory allows.
    """
    count = max(cores() // 2, min(cores(), items))
    return max(1, min(count, free_memory() // WORKER_MEMORY))


def _as_it_fits(
    timeout: float | None, options: AnalyzeOptions, tasks: Iterable[Task], progress: Progress
) -> Generator[Outcome]:
    """One task is done here, unless it must be ended at a time; several by as many workers as fit."""
    rest = iter(tasks)
    first = list(islice(rest, cores()))
    alone = len(first) <= 1 and timeout is None
    chosen: Executor = in_process if alone else Workers(fitting(len(first)), timeout)
    yield from chosen(options, chain(first, rest), progress)


class Workers:
    """The executor: up to ``count`` processes, started as there is work for them.

    A worker that dies costs only its own job; one that takes longer than ``timeout`` seconds for a job is ended.
    """

    def __init__(self, count: int, timeout: float | None = None) -> None:
        self._count = count
        self._timeout = timeout

    def __call__(self, options: AnalyzeOptions, tasks: Iterable[Task], progress: Progress) -> Generator[Outcome]:
        agenda = Agenda(tasks)
        crew: list[_Worker] = []
        try:
            while True:
                self._share_out(agenda, crew, options)
                busy = [worker for worker in crew if worker.job]
                if not busy:
                    return
                for worker in _heard(busy):
                    yield from self._hear(worker, crew, agenda, progress)
                for worker in [w for w in busy if w in crew and w.overdue(self._timeout)]:
                    yield from self._lose(worker, crew, agenda, f"took longer than {self._timeout:g} seconds")
        finally:
            for worker in crew:
                worker.process.kill()
            for worker in crew:
                worker.end()

    def _share_out(self, agenda: Agenda, crew: list[_Worker], options: AnalyzeOptions) -> None:
        """Give jobs to whoever has none."""
        while True:
            idle = next((worker for worker in crew if not worker.job), None)
            others = sum(worker.job is not None for worker in crew)
            if idle is None and len(crew) >= self._count:
                return
            job = agenda.take(others)
            if job is None:
                return
            if idle is None:
                idle = _Worker.start(options, max(1, cores() // self._count))
                crew.append(idle)
            idle.give(job)

    def _hear(self, worker: _Worker, crew: list[_Worker], agenda: Agenda, progress: Progress) -> Iterator[Outcome]:
        """Take one message, or learn that the worker has died."""
        assert worker.job is not None
        try:
            message = worker.connection.recv()
        except (EOFError, OSError):
            yield from self._lose(worker, crew, agenda, None)
            return
        if isinstance(message, FermediaError):  # no item's fault
            raise message
        if isinstance(message, _Ready):
            worker.begin()
        elif isinstance(message, _Frames):
            progress.frames(worker.job.task.key, message.expected, message.done)
        elif isinstance(message, _Done):
            job, worker.job = worker.job, None
            outcome = agenda.done(job, message.result)
            if outcome:
                yield outcome

    def _lose(self, worker: _Worker, crew: list[_Worker], agenda: Agenda, late: str | None) -> Iterator[Outcome]:
        """A worker has died, or (``late`` says why) is ended; its job is tried again, or fails."""
        assert worker.job is not None
        crew.remove(worker)
        worker.process.kill()
        worker.end()
        how = _how(worker.process.exitcode)
        if not late and worker.since is None:
            raise WorkerError(f"a worker process {how} while it started; try fewer --workers, or --workers 0")
        shutil.rmtree(worker.job.task.staging, ignore_errors=True)
        why = f"the process that worked on it {how}"
        outcome = agenda.failed(worker.job, late) if late else agenda.died(worker.job, why)
        if outcome:
            yield outcome


@dataclass(frozen=True)
class _Ready:
    """The models are loaded."""


@dataclass(frozen=True)
class _Frames:
    """What ``OnFrames`` is called with."""

    expected: int | None
    done: float


@dataclass(frozen=True)
class _Done:
    """The job is done."""

    result: Any


@dataclass(eq=False)
class _Worker:
    """A worker process as the driver sees it; ``since`` is when it began its job, None while it starts."""

    process: BaseProcess
    connection: Connection
    job: Job | None = None
    since: float | None = None
    _ready: bool = field(default=False)

    @classmethod
    def start(cls, options: AnalyzeOptions, threads: int) -> _Worker:
        context = multiprocessing.get_context("spawn")
        ours: Any
        ours, theirs = context.Pipe()  # of another class on Windows
        process = context.Process(target=serve, args=(theirs, options, threads), name="fermedia-worker", daemon=True)
        with unheard():
            process.start()
        theirs.close()
        return cls(process, ours)

    def give(self, job: Job) -> None:
        self.job = job
        self.since = time.monotonic() if self._ready else None
        with suppress(OSError):  # it has died: that is heard next
            self.connection.send(job)

    def begin(self) -> None:
        self._ready, self.since = True, time.monotonic()

    def overdue(self, timeout: float | None) -> bool:
        return bool(timeout and self.job and self.since is not None and time.monotonic() - self.since > timeout)

    def end(self) -> None:
        self.process.join()
        self.connection.close()


def _heard(busy: list[_Worker]) -> list[_Worker]:
    """Those that have said something, or have died; may be none after a second."""
    said = wait([worker.connection for worker in busy], timeout=1.0)
    return [worker for worker in busy if worker.connection in said]


def _how(code: int | None) -> str:
    if code is not None and code >= _CRASHED_ON_WINDOWS:
        return f"crashed (0x{code:08X})"
    if code is None or code >= 0:
        return f"ended with status {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
    return f"was killed ({name}, as for want of memory)" if name == "SIGKILL" else f"crashed ({name})"


# -- in the worker --------------------------------------------------------------------------------------------------


def serve(connection: Connection, options: AnalyzeOptions, threads: int) -> None:
    """A worker's life. It ends with its driver, however that ended."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    keep_to(threads)
    share_heaps()
    import cv2

    from fermedia.runs.execute import work
    from fermedia.runs.item import Engine

    cv2.setNumThreads(threads)
    try:
        with Engine(options) as engine:
            connection.send(_Ready())
            while True:
                teller = _Teller(connection)
                result = work(engine, connection.recv(), teller.on_frames)
                teller.tell(None)
                connection.send(_Done(result))
    except FermediaError as error:
        connection.send(error)
    except (EOFError, ConnectionError):  # the driver has gone
        pass
    os._exit(0)


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


class _Teller:
    """Tells the driver of the frames that are done, not of each."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._done = 0.0
        self._told = 0.0

    def on_frames(self, expected: int | None, done: float) -> None:
        self._done += done
        if expected or time.monotonic() - self._told >= _TELL_EVERY:
            self.tell(expected)

    def tell(self, expected: int | None) -> None:
        self._connection.send(_Frames(expected, self._done))
        self._done, self._told = 0.0, time.monotonic()
