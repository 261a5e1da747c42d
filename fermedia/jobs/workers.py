"""The worker pool: the executor that distributes jobs over processes of this machine.

Each worker is a newly started process (not a fork) that loads the models once and uses only its share of the
processors. It receives one job at a time through a pipe and answers with messages: memory needed, frames done, result.
It may be killed at any moment, since its incomplete outputs are in a staging folder and only the driver writes the
ledger.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from threading import Thread
from typing import TYPE_CHECKING, Any

from fermedia.errors import FermediaError, WorkerError
from fermedia.jobs.execute import WORKER_MEMORY, Executor, in_process
from fermedia.jobs.interrupt import unheard
from fermedia.jobs.progress import Progress
from fermedia.jobs.scheduler import Job, Result, Scheduler, Task
from fermedia.machine import cores, die_with_parent, free_memory, limit_malloc_arenas, pin_threads
from fermedia.options import AnalyzeOptions, RunOptions
from fermedia.store.ledger import Outcome

if TYPE_CHECKING:
    from fermedia.jobs.item import Engine

#: Number of workers in a row that may fail to start before no more are tried; seconds between two attempts if no
#: other worker is busy.
_MOST_STILLBORN, _PAUSE = 3, 0.2

#: Seconds between two progress messages of a worker.
_SEND_EVERY = 0.2

#: Exit codes from this on are Windows' codes of unhandled exceptions, such as 0xC0000005 for an access violation.
_CRASHED_ON_WINDOWS = 0xC0000000


def executor(running: RunOptions) -> Executor:
    """The executor that the options request."""
    if running.executor == "ray":
        from fermedia.jobs.cluster import Cluster

        return Cluster(running)
    if running.workers is None:
        return partial(_as_it_fits, running.timeout)
    return Workers(running.workers, running.timeout) if running.workers else in_process


def fitting(items: int) -> int:
    """The number of workers that suits this machine and this number of items.

    One per processor if there are that many items, since one video alone does not use all processors
    (docs/performance.md). With fewer items there are fewer workers, down to half the processors, each with more
    threads. Never more than fit into the free memory, but at least one.
    """
    count = max(cores() // 2, min(cores(), items))
    return max(1, min(count, free_memory() // WORKER_MEMORY))


def _as_it_fits(
    timeout: float | None, options: AnalyzeOptions, tasks: Iterable[Task], progress: Progress
) -> Generator[Outcome]:
    """The executor by default: a single task is done in this process, unless it has a time limit; several by workers.

    There are as many workers as ``fitting`` says.
    """
    rest = iter(tasks)
    first = list(islice(rest, cores()))
    alone = len(first) <= 1 and timeout is None
    chosen: Executor = in_process if alone else Workers(fitting(len(first)), timeout, free_memory())
    yield from chosen(options, chain(first, rest), progress)


class Workers:
    """The executor with worker processes, which are started as there is work for them.

    A worker that dies affects only its own job. If no further process can be started, the running ones continue.

    Args:
        count: Maximum number of workers.
        timeout: Seconds after which the worker of a job is killed and the job fails; None for no limit.
        memory: Bytes of memory for all jobs: those that together need more do not run at the same time. A job that
            alone needs more runs alone.
    """

    def __init__(self, count: int, timeout: float | None = None, memory: float = math.inf) -> None:
        self._count = count
        self._timeout = timeout
        self._memory = memory
        self._stillborn = 0

    def __call__(self, options: AnalyzeOptions, tasks: Iterable[Task], progress: Progress) -> Generator[Outcome]:
        scheduler = Scheduler(tasks)
        workers: list[_Worker] = []
        try:
            while True:
                self._assign_jobs(scheduler, workers, options)
                self._admit_waiting(workers)
                busy = [worker for worker in workers if worker.job]
                if not busy:
                    return
                for worker in _ready(busy):
                    yield from self._receive(worker, workers, scheduler, progress)
                for worker in [w for w in busy if w in workers and w.overdue(self._timeout)]:
                    yield from self._handle_exit(
                        worker, workers, scheduler, f"took longer than {self._timeout:g} seconds"
                    )
        finally:
            for worker in workers:
                worker.process.kill()
            for worker in workers:
                worker.end()

    def _assign_jobs(self, scheduler: Scheduler, workers: list[_Worker], options: AnalyzeOptions) -> None:
        """Give jobs to idle workers."""
        while True:
            idle = next((worker for worker in workers if not worker.job), None)
            others = sum(worker.job is not None for worker in workers)
            if idle is None and len(workers) >= self._count:
                return
            job = scheduler.take(others)
            if job is None:
                return
            if idle is None:
                try:
                    idle = _Worker.start(options, max(1, cores() // self._count))
                except OSError as error:
                    scheduler.lost(job)
                    self._continue_with(workers, f"cannot be started ({error.strerror or error})")
                    if any(worker.job for worker in workers):
                        return
                    time.sleep(_PAUSE)
                    continue
                workers.append(idle)
            idle.give(job)

    def _continue_with(self, workers: list[_Worker], why: str) -> None:
        """Handle a worker that failed to start, which may be temporary, as when memory is short for a moment.

        After several in a row, continue with the running workers; raises WorkerError if there are none.
        """
        self._stillborn += 1
        if self._stillborn < _MOST_STILLBORN:
            return
        if not workers:
            raise WorkerError(f"a worker process {why}; try fewer --workers, or --workers 0")
        self._count = len(workers)

    def _admit_waiting(self, workers: list[_Worker]) -> None:
        """Start the waiting jobs that fit into memory beside the running ones; at least one job in any case."""
        for worker in workers:
            taken = [other.needs for other in workers if other.at_work]
            if worker.asks and (not taken or sum(taken) + worker.needs <= self._memory):
                worker.begin()

    def _receive(
        self, worker: _Worker, workers: list[_Worker], scheduler: Scheduler, progress: Progress
    ) -> Iterator[Outcome]:
        """Handle the next message of a worker, or its death."""
        assert worker.job is not None
        try:
            message = worker.connection.recv()
        except (EOFError, OSError):
            yield from self._handle_exit(worker, workers, scheduler, None)
            return
        if isinstance(message, FermediaError):  # not caused by an item
            raise message
        if isinstance(message, _StartFailed):
            worker.why = message.why
        elif isinstance(message, _Ready):
            worker.is_ready, self._stillborn = True, 0
            worker.since = time.monotonic()
        elif isinstance(message, _Needs):
            worker.asks, worker.needs, worker.since = True, message.memory, None
        elif isinstance(message, _Frames):
            progress.frames(worker.job.task.key, message.expected, message.done)
        elif isinstance(message, _Done):
            job = worker.job
            worker.job, worker.at_work = None, False
            outcome = scheduler.done(job, message.result)
            if outcome:
                yield outcome

    def _handle_exit(
        self, worker: _Worker, workers: list[_Worker], scheduler: Scheduler, late: str | None
    ) -> Iterator[Outcome]:
        """Handle a worker that died, or kill it for the reason ``late``; its job is retried or fails."""
        assert worker.job is not None
        workers.remove(worker)
        worker.process.kill()
        worker.end()
        how = _exit_reason(worker.process.exitcode)
        if not late and not worker.is_ready:
            scheduler.lost(worker.job)
            self._continue_with(workers, worker.why or f"{how} while it started")
            return
        shutil.rmtree(worker.job.task.staging, ignore_errors=True)
        why = f"the process that worked on it {how}"
        outcome = scheduler.failed(worker.job, late) if late else scheduler.died(worker.job, why)
        if outcome:
            yield outcome


@dataclass(frozen=True)
class _Ready:
    """Message of a worker: the models are loaded."""


@dataclass(frozen=True)
class _StartFailed:
    """Message of a worker: the models cannot be loaded, so it exits."""

    why: str


@dataclass(frozen=True)
class _Needs:
    """Message of a worker: its job needs this many bytes of memory; it waits for ``_Begin``."""

    memory: float


@dataclass(frozen=True)
class _Begin:
    """The driver's answer to ``_Needs``: the job may begin."""


@dataclass(frozen=True)
class _Frames:
    """Message of a worker: progress, with the arguments of ``OnFrames``."""

    expected: int | None
    done: float


@dataclass(frozen=True)
class _Done:
    """Message of a worker: the job is done."""

    result: Result


@dataclass(eq=False)
class _Worker:
    """A worker process as the driver sees it.

    Attributes:
        process: The process.
        connection: The driver's end of the pipe.
        job: The job it was given; None if idle.
        is_ready: Whether the models are loaded.
        asks: Whether it waits for permission to begin the job.
        needs: Bytes of memory that the job needs.
        at_work: Whether it has permission.
        since: Time from which the time limit counts; None before the models are loaded and while it waits.
        why: Why it failed to start, if it reported that.
    """

    process: BaseProcess
    connection: Connection
    job: Job | None = None
    is_ready: bool = False
    asks: bool = False
    needs: float = 0.0
    at_work: bool = False
    since: float | None = None
    why: str = ""

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
        self.job, self.asks, self.at_work = job, False, False
        self.since = time.monotonic() if self.is_ready else None
        with suppress(OSError):  # it has died, which is noticed when its messages are received
            self.connection.send(job)

    def begin(self) -> None:
        self.asks, self.at_work, self.since = False, True, time.monotonic()
        with suppress(OSError):
            self.connection.send(_Begin())

    def overdue(self, timeout: float | None) -> bool:
        return bool(timeout and self.job and self.since is not None and time.monotonic() - self.since > timeout)

    def end(self) -> None:
        self.process.join()
        self.connection.close()


def _ready(busy: list[_Worker]) -> list[_Worker]:
    """The workers that have sent a message or died; waits for up to a second, and may return none."""
    said = wait([worker.connection for worker in busy], timeout=1.0)
    return [worker for worker in busy if worker.connection in said]


def _exit_reason(code: int | None) -> str:
    """Describe how a process with this exit code ended."""
    if code is not None and code >= _CRASHED_ON_WINDOWS:
        return f"crashed (0x{code:08X})"
    if code is None or code >= 0:
        return f"ended with status {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
    return f"was killed ({name}, perhaps for lack of memory)" if name == "SIGKILL" else f"crashed ({name})"


# -- in the worker --------------------------------------------------------------------------------------------------


def serve(connection: Connection, options: AnalyzeOptions, threads: int) -> None:
    """The main function of a worker process. Exits when the driver does, even if the driver was killed.

    Args:
        connection: The worker's end of the pipe.
        options: The options of the analysis.
        threads: Number of threads to use.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None
    with suppress(EOFError, ConnectionError):  # the driver has ended
        try:
            die_with_parent(parent.pid or 0)
            Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
            pin_threads(threads)
            limit_malloc_arenas()
            engine = _loaded(options, threads)
        except FermediaError as error:
            connection.send(error)
        except Exception as error:
            connection.send(_StartFailed(f"cannot load the models ({error})"))
        else:
            connection.send(_Ready())
            _work(connection, engine)
    os._exit(0)


def _loaded(options: AnalyzeOptions, threads: int) -> Engine:
    import cv2

    from fermedia.jobs.item import Engine

    cv2.setNumThreads(threads)
    return Engine(options)


def _work(connection: Connection, engine: Engine) -> None:
    """Do the jobs that the driver sends, until an error occurs that is not caused by an item."""
    from fermedia.jobs.execute import memory_for, work

    try:
        while True:
            job: Job = connection.recv()
            connection.send(_Needs(memory_for(job.task.item)))
            connection.recv()  # _Begin
            teller = _ProgressSender(connection)
            result = work(engine, job, teller.on_frames)
            teller.tell(None)
            connection.send(_Done(result))
    except FermediaError as error:
        connection.send(error)


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


class _ProgressSender:
    """Sends the progress to the driver, at intervals instead of for each frame."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._done = 0.0
        self._told = 0.0

    def on_frames(self, expected: int | None, done: float) -> None:
        self._done += done
        if expected or time.monotonic() - self._told >= _SEND_EVERY:
            self.tell(expected)

    def tell(self, expected: int | None) -> None:
        self._connection.send(_Frames(expected, self._done))
        self._done, self._told = 0.0, time.monotonic()
