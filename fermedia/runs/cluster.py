"""Many machines at work: the executor that hands the jobs to a Ray cluster.

The jobs are those of ``runs.agenda``, spans of long films among them; the driver alone writes the ledger. Inputs and
results lie on storage that all nodes see by the same paths, which is checked before anything is done. A job whose node
is lost is done by another.
"""

from __future__ import annotations

import faulthandler
import secrets
import signal
import socket
import threading
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path
from typing import Any

import fermedia
from fermedia.errors import FermediaError, MissingExtraError, UsageError, WorkerError
from fermedia.files import shown
from fermedia.machine import keep_to
from fermedia.options import AnalyzeOptions, RunOptions
from fermedia.runs.agenda import Agenda, Job, Task
from fermedia.runs.execute import WORKER_MEMORY, work
from fermedia.runs.item import Engine
from fermedia.runs.ledger import Outcome
from fermedia.runs.progress import Progress
from fermedia.vision.classify import Classifier

#: Processors that a job asks for, if the nodes have as many.
_CPUS = 2

#: Jobs handed to Ray for each that can be at work, so that no node has to wait for the driver.
_AHEAD = 2

#: A job that has lost so many nodes is no longer taken for unlucky.
_MOST_LOST = 5

#: Inputs that every node is asked for.
_LOOKED_FOR = 20

#: Seconds for which the cluster may keep us waiting at the door.
_PATIENCE = 10.0


class Cluster:
    """The executor."""

    def __init__(self, running: RunOptions) -> None:
        self._running = running
        try:
            import ray
        except ModuleNotFoundError as error:
            raise MissingExtraError("--executor ray", "ray") from error
        self._ray: Any = ray
        self._lost: Counter[Any] = Counter()

    def __call__(self, options: AnalyzeOptions, tasks: Iterable[Task], progress: Progress) -> Generator[Outcome]:
        with self._connected() as ours:
            rest = iter(tasks)
            first = list(islice(rest, _LOOKED_FOR))
            nodes = self._nodes()
            self._check(options, first, nodes)
            cpus = int(min(_CPUS, *(node["Resources"].get("CPU", 0) for node in nodes)))
            if cpus < 1:
                raise WorkerError("--executor ray: a node of the cluster has no processor to give")
            # No more than the smallest node has: Ray would wait for a larger one for ever.
            memory = min(WORKER_MEMORY, *(node["Resources"].get("memory", WORKER_MEMORY) for node in nodes))
            at_once = sum(int(node["Resources"]["CPU"]) // cpus for node in nodes) * _AHEAD
            remote = self._ray.remote(num_cpus=cpus, memory=memory, max_retries=0)(_do)
            jobs: dict[Any, Job] = {}
            agenda = Agenda(chain(first, rest))
            try:
                while True:
                    while len(jobs) < (self._running.workers or at_once) and (job := agenda.take(len(jobs))):
                        jobs[remote.remote(options, job, cpus, self._running.timeout)] = job
                    if not jobs:
                        return
                    done, _ = self._ray.wait(list(jobs), timeout=1.0)
                    for ref in done:
                        yield from self._take(ref, jobs.pop(ref), agenda, progress)
            finally:
                # With the connection end its jobs, by a kill. Cancelling one by force at the moment when its answer
                # comes would abort this process (ray 2.60.0, "Tried to complete task that was not pending").
                for ref in () if ours else jobs:
                    with suppress(self._ray.exceptions.RayError):
                        self._ray.cancel(ref)

    def _take(self, ref: Any, job: Job, agenda: Agenda, progress: Progress) -> Iterator[Outcome]:
        """A job has ended in one way or another."""
        errors = self._ray.exceptions
        outcome: Outcome | None
        try:
            result, expected, frames = self._ray.get(ref)
        except errors.RayTaskError as error:
            if isinstance(error.cause, FermediaError):
                raise error.cause from None
            raise WorkerError(f"--executor ray: a node cannot do the work ({error.cause!r})") from error
        except (errors.NodeDiedError, errors.ObjectLostError, errors.OwnerDiedError) as error:
            self._lost[job.name] += 1
            if self._lost[job.name] < _MOST_LOST:
                agenda.lost(job)
                return
            outcome = agenda.failed(job, f"{_MOST_LOST} nodes were lost over it ({type(error).__name__})")
        except errors.OutOfMemoryError:
            outcome = agenda.died(job, "the process that worked on it was ended for want of memory")
        except errors.WorkerCrashedError:
            if _size(_sign(job)) > 0:
                outcome = agenda.failed(job, f"took longer than {self._running.timeout:g} seconds")
            else:
                outcome = agenda.died(job, "the process that worked on it crashed")
        else:
            progress.frames(job.task.key, expected, frames)
            outcome = agenda.done(job, result)
        if outcome:
            yield outcome

    @contextmanager
    def _connected(self) -> Iterator[bool]:
        """Be connected; gives whether this made the connection, and will end it."""
        if self._ray.is_initialized():
            yield False
            return
        on_main = threading.current_thread() is threading.main_thread()
        before = signal.getsignal(signal.SIGTERM)
        address = self._running.ray_address or "auto"
        try:
            _knock(address)
            self._ray.init(address, log_to_driver=False, logging_level="ERROR", namespace="fermedia")
        except (OSError, ValueError, RuntimeError) as error:
            where = "no cluster that Ray knows of" if address == "auto" else f"no cluster at {address}"
            raise WorkerError(
                f"--executor ray: {where} ({str(error).splitlines()[0]}); start one with ray start, or name it with "
                "--ray-address"
            ) from error
        try:
            if on_main:
                signal.signal(signal.SIGTERM, before)  # Ray takes it, and we end more promptly
            yield True
        finally:
            self._ray.shutdown()

    def _nodes(self) -> list[dict[str, Any]]:
        return [node for node in self._ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]

    def _check(self, options: AnalyzeOptions, tasks: list[Task], nodes: list[dict[str, Any]]) -> None:
        """Raise UsageError unless every node sees the inputs and the results' folder, and is of one version."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        token, folder = secrets.token_hex(8), tasks[0].staging.parent
        (folder / "probe").write_text(token)
        files = [(task.item.files[0], _size(task.item.files[0])) for task in tasks]
        classifier = Classifier.load(options.model, options.labels)
        check = self._ray.remote(num_cpus=0, max_retries=1)(_look_around)
        answers = [
            check.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote(
                options, folder, token, files, node["NodeID"]
            )
            for node in nodes
        ]
        for node, answer in zip(nodes, answers, strict=True):
            name = node["NodeManagerAddress"]
            missing, version, network = self._ray.get(answer)
            if missing is None and _text(folder / f"seen-{node['NodeID']}") != token:
                missing = folder
            if missing is not None:
                where = shown(missing, whole=True)
                raise UsageError(
                    f"--executor ray: node {name} does not see {where} as this machine does; put the inputs and --out "
                    "on storage that all nodes have at the same path"
                )
            if (version, network) != (fermedia.__version__, classifier.sha256):
                raise UsageError(
                    f"--executor ray: node {name} has fermedia {version}, network {network[:8]}; here it is "
                    f"{fermedia.__version__}, {classifier.sha256[:8]}; install the same on all nodes"
                )


# -- on a node ------------------------------------------------------------------------------------------------------


def _look_around(
    options: AnalyzeOptions, folder: Path, token: str, files: list[tuple[Path, int]], node: str
) -> tuple[Path | None, str, str]:
    """The first path that is not as the driver sees it, None if all are; this node's version, and its network."""
    missing = next((path for path, size in files if _size(path) != size), None)
    if _text(folder / "probe") != token:
        missing = folder
    if missing is None:
        with suppress(OSError):
            (folder / f"seen-{node}").write_text(token)
    network = "" if missing else Classifier.load(options.model, options.labels).sha256
    return missing, fermedia.__version__, network


def _do(options: AnalyzeOptions, job: Job, threads: int, timeout: float | None) -> tuple[Any, int | None, float]:
    """A job's result; and the frames that were expected (None if none were named) and done."""
    frames: list[tuple[int | None, float]] = []
    engine = _engine(options, threads)
    with _ended_after(timeout, _sign(job)):
        result = work(engine, job, lambda *told: frames.append(told))
    expected = next((count for count, _ in frames if count), None)
    return result, expected, sum(done for _, done in frames)


@contextmanager
def _ended_after(timeout: float | None, sign: Path) -> Iterator[None]:
    """End the process if what is within takes longer, having said in ``sign`` where it was.

    At once, so that it gets no other job, and even if a library hangs that lets no Python run.
    """
    if timeout is None:
        yield
        return
    with sign.open("w") as file:
        faulthandler.dump_traceback_later(timeout, exit=True, file=file)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
    with suppress(OSError):
        sign.unlink()


def _sign(job: Job) -> Path:
    """Holds something if the job's process was ended because it took too long; beside what it makes."""
    staging = job.task.staging
    return staging.with_name(f"{staging.name}-{job.step}-{job.span}.late")


@lru_cache(maxsize=1)
def _engine(options: AnalyzeOptions, threads: int) -> Engine:
    """This process's, loaded once."""
    import cv2

    keep_to(threads)
    cv2.setNumThreads(threads)
    return Engine(options)


def _knock(address: str) -> None:
    """Raise OSError if nobody is there: Ray would wait for minutes."""
    host, _, port = address.rpartition("/")[2].rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), _PATIENCE).close()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
