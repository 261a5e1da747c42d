"""The executor that distributes jobs over a Ray cluster.

The jobs are those of ``jobs.scheduler``, including spans of long videos; only the driver writes the ledger. Inputs and
results must be on storage that all nodes see under the same paths, which is checked first. A job whose node is lost is
done by another.
"""

from __future__ import annotations

import faulthandler
import os
import secrets
import socket
import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from functools import lru_cache, partial
from itertools import chain, islice
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import fermedia
from fermedia.errors import FermediaError, MissingExtraError, UsageError, WorkerError
from fermedia.files import shown
from fermedia.jobs.execute import WORKER_MEMORY, work
from fermedia.jobs.interrupt import sigterm_kept
from fermedia.jobs.item import Engine
from fermedia.jobs.progress import Progress
from fermedia.jobs.scheduler import Job, Scheduler, Task
from fermedia.machine import pin_threads
from fermedia.options import AnalyzeOptions, RunOptions
from fermedia.store.ledger import Outcome
from fermedia.vision.classify import Classifier

#: Processors that a job requests, if the nodes have as many.
_CPUS = 2

#: Jobs submitted to Ray per job that can run, so that no node has to wait for the driver.
_AHEAD = 2

#: A job that has lost this many nodes has failed.
_MOST_LOST = 5

#: Number of inputs that every node must see.
_PROBED_INPUTS = 20

#: Advice if there is no cluster, and if it refuses the connection.
_START = "start one with ray start, or name it with --ray-address"
_TOKEN = (
    "if the cluster requires a token, set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN, or RAY_AUTH_TOKEN_PATH, as "
    "on its head (docs/cluster.md)"
)

#: Seconds to wait for an answer from the cluster's address, and for the connection.
_PATIENCE, _PATIENCE_WITH_RAY = 10.0, 90.0


class Cluster:
    """The executor of a Ray cluster. Raises MissingExtraError if Ray is not installed."""

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
            first = list(islice(rest, _PROBED_INPUTS))
            nodes = self._nodes()
            self._check(options, first, nodes)
            cpus = int(min(_CPUS, *(node["Resources"].get("CPU", 0) for node in nodes)))
            if cpus < 1:
                raise WorkerError("--executor ray: a node of the cluster has no free processor")
            # Not more than the smallest node has: Ray would wait for a larger one forever.
            memory = min(WORKER_MEMORY, *(node["Resources"].get("memory", WORKER_MEMORY) for node in nodes))
            at_once = sum(int(node["Resources"]["CPU"]) // cpus for node in nodes) * _AHEAD
            remote = self._ray.remote(num_cpus=cpus, memory=memory, max_retries=0)(_do)
            jobs: dict[Any, Job] = {}
            scheduler = Scheduler(chain(first, rest))
            try:
                while True:
                    while len(jobs) < (self._running.workers or at_once) and (job := scheduler.take(len(jobs))):
                        jobs[remote.remote(options, job, cpus, self._running.timeout)] = job
                    if not jobs:
                        return
                    done, _ = self._ray.wait(list(jobs), timeout=1.0)
                    for ref in done:
                        yield from self._take(ref, jobs.pop(ref), scheduler, progress)
            finally:
                # Closing the connection kills its jobs. Cancelling one by force at the moment when its result arrives
                # would abort this process (ray 2.60.0, "Tried to complete task that was not pending").
                for ref in () if ours else jobs:
                    with suppress(self._ray.exceptions.RayError):
                        self._ray.cancel(ref)

    def _take(self, ref: Any, job: Job, scheduler: Scheduler, progress: Progress) -> Iterator[Outcome]:
        """Handle the end of a job: its result, its error, or the loss of its worker or node."""
        errors = self._ray.exceptions
        outcome: Outcome | None
        try:
            result, expected, frames = self._ray.get(ref)
        except errors.RayTaskError as error:
            if isinstance(error.cause, FermediaError):
                raise error.cause from None
            raise WorkerError(f"--executor ray: a node failed ({error.cause!r})") from error
        except (errors.NodeDiedError, errors.ObjectLostError, errors.OwnerDiedError) as error:
            self._lost[job.name] += 1
            if self._lost[job.name] < _MOST_LOST:
                scheduler.lost(job)
                return
            outcome = scheduler.failed(job, f"{_MOST_LOST} nodes that worked on it were lost ({type(error).__name__})")
        except errors.OutOfMemoryError:
            outcome = scheduler.died(job, "the process that worked on it was killed for lack of memory")
        except errors.WorkerCrashedError:
            if _size(_sign(job)) > 0:
                outcome = scheduler.failed(job, f"took longer than {self._running.timeout:g} seconds")
            else:
                outcome = scheduler.died(job, "the process that worked on it crashed")
        else:
            progress.frames(job.task.key, expected, frames)
            outcome = scheduler.done(job, result)
        if outcome:
            yield outcome

    @contextmanager
    def _connected(self) -> Iterator[bool]:
        """Connect if necessary; yields whether the connection was made here, and will be closed here."""
        if self._ray.is_initialized():
            yield False
            return
        address = self._running.ray_address or _known_address() or "auto"
        where = "that Ray knows of" if address == "auto" else f"at {address}"
        try:
            answers = _answers(address)
        except OSError as error:
            raise WorkerError(f"--executor ray: no cluster {where} ({error}); {_START}") from error
        connect = partial(self._ray.init, address, log_to_driver=False, logging_level="ERROR", namespace="fermedia")
        try:
            with sigterm_kept():  # Ray would replace the handler of SIGTERM; ours ends the run sooner
                _within(_PATIENCE_WITH_RAY, connect)
        except (OSError, ValueError, RuntimeError, self._ray.exceptions.RayError) as error:
            what = (str(error) or type(error).__name__).splitlines()[0].partition(". ")[0]
            if answers:
                what = f"what answers {where} refuses the connection ({what})"
                raise WorkerError(f"--executor ray: {what}; {_TOKEN}") from error
            raise WorkerError(f"--executor ray: no cluster {where} ({what}); {_START}") from error
        try:
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
        check = self._ray.remote(num_cpus=0, max_retries=1)(_discover)
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


def _discover(
    options: AnalyzeOptions, folder: Path, token: str, files: list[tuple[Path, int]], node: str
) -> tuple[Path | None, str, str]:
    """The first path that differs from what the driver sees (or None), this node's version, and its network."""
    missing = next((path for path, size in files if _size(path) != size), None)
    if _text(folder / "probe") != token:
        missing = folder
    if missing is None:
        with suppress(OSError):
            (folder / f"seen-{node}").write_text(token)
    network = "" if missing else Classifier.load(options.model, options.labels).sha256
    return missing, fermedia.__version__, network


def _do(options: AnalyzeOptions, job: Job, threads: int, timeout: float | None) -> tuple[Any, int | None, float]:
    """Do a job. Returns its result, the expected number of frames (None if unknown), and the frames done."""
    frames: list[tuple[int | None, float]] = []
    engine = _engine(options, threads)
    with _ended_after(timeout, _sign(job)):
        result = work(engine, job, lambda *told: frames.append(told))
    expected = next((count for count, _ in frames if count), None)
    return result, expected, sum(done for _, done in frames)


@contextmanager
def _ended_after(timeout: float | None, sign: Path) -> Iterator[None]:
    """Exit the process if the block takes longer than ``timeout``, after writing the traceback to ``sign``.

    At once, so that it gets no other job, and even if a library hangs while holding Python's lock.
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
    """The file beside the job's output that is not empty if the job exceeded the time limit."""
    staging = job.task.staging
    return staging.with_name(f"{staging.name}-{job.step}-{job.span}.late")


@lru_cache(maxsize=1)
def _engine(options: AnalyzeOptions, threads: int) -> Engine:
    """This process's engine, loaded once."""
    import cv2

    pin_threads(threads)
    cv2.setNumThreads(threads)
    return Engine(options)


def _within(seconds: float, call: Callable[[], object]) -> None:
    """Call a function in its own thread. Raises its exception, or TimeoutError if it does not return in time."""
    ended: Future[object] = Future()

    def run() -> None:
        try:
            ended.set_result(call())
        except BaseException as error:
            ended.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        ended.result(seconds)
    except TimeoutError as error:
        raise TimeoutError(str(error) or f"no answer within {seconds:g} seconds") from error


def _known_address() -> str:
    """The address of the cluster that Ray would choose itself: from its variable, or the last one started here."""
    if address := os.environ.get("RAY_ADDRESS"):
        return address
    folder = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or ("/tmp" if os.sep == "/" else gettempdir())
    return _text(Path(folder) / "ray" / "ray_current_cluster").strip()


def _answers(address: str) -> bool:
    """Whether an address accepts connections; False if it has no host and port. Raises OSError if nothing answers.

    Ray would wait forever, for example if a cluster has ended but its address remains.
    """
    host, _, port = address.rpartition("/")[2].rpartition(":")
    if not host or not port.isdigit():
        return False
    socket.create_connection((host.strip("[]"), int(port)), _PATIENCE).close()
    return True


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
