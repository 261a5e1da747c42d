"""What is to be done next: the order of a run's work, the same for every executor.

A task is an item to be done. Most are one job. A long film is many (``runs.spans``): its first job answers with a
``Split``, whose parts anybody may do in any order. Jobs and their results can be pickled.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fermedia.files import shown
from fermedia.runs.ledger import Failure, Outcome
from fermedia.runs.source import Source
from fermedia.types import MediaItem

#: ``begin`` does an item, or finds that it is a film to be done in spans; ``whole`` does it undivided in any case. The
#: others are a film's: look at a span, follow the people through all of them, draw a span, and put all together.
Step = Literal["begin", "whole", "look", "follow", "draw", "join"]


@dataclass(frozen=True)
class Task:
    """An item to be done: made in ``staging``, which need not be there, and moved to ``place`` when it is complete.

    ``spans`` is where the finished spans of a long film wait for the others; they stay there if the run is interrupted.
    """

    item: MediaItem
    staging: Path
    place: Path
    spans: Path

    @property
    def key(self) -> str:
        return str(self.item.key)


@dataclass(frozen=True)
class Job:
    """A piece of work for a task; ``span`` is the number of the span that it is about, from 0."""

    task: Task
    step: Step = "begin"
    span: int = 0

    @property
    def name(self) -> tuple[str, Step, int]:
        """Tells it from all others of a run."""
        return self.task.key, self.step, self.span


@dataclass(frozen=True)
class Split:
    """The next jobs of a task, in place of all that were known: ``parts`` in any order, then ``then``."""

    parts: tuple[Job, ...]
    then: Job


Result = Outcome | Split | None
"""What a job gives: the task's outcome, more jobs, or nothing, as the parts of a ``Split`` do."""


class Agenda:
    """Hands out jobs, takes their results, and says when a task has its outcome.

    What is begun comes before what is new. A job over which its worker died is tried once more when all else is done
    and nobody else is at work, and then fails its task.
    """

    def __init__(self, tasks: Iterable[Task]) -> None:
        self._tasks = iter(tasks)
        self._ready: deque[Job] = deque()
        self._suspects: deque[Job] = deque()
        self._tried: set[tuple[str, Step, int]] = set()
        #: By item: the jobs that count, handed out or not. The result of any other comes too late.
        self._open: dict[str, set[tuple[str, Step, int]]] = {}
        self._then: dict[str, Job] = {}

    def take(self, others: int) -> Job | None:
        """The next job, None if there is none now; ``others`` are at work at the moment."""
        while self._ready:
            job = self._ready.popleft()
            if self._counts(job):
                return job
        task = next(self._tasks, None)
        if task is not None:
            job = Job(task)
            self._open[task.key] = {job.name}
            return job
        while self._suspects and others == 0:
            job = self._suspects.popleft()
            if self._counts(job):
                return job
        return None

    def done(self, job: Job, result: Result) -> Outcome | None:
        """A job is done. Gives the outcome of its task if this was the last one."""
        key = job.task.key
        if not self._counts(job):
            return None
        if isinstance(result, Outcome):
            return self._end(job, result)
        if isinstance(result, Split):
            self._then[key] = result.then
            self._open[key] = {part.name for part in result.parts}
            self._ready.extend(result.parts)
        else:
            self._open[key].remove(job.name)
        if not self._open[key]:
            then = self._then.pop(key)
            self._open[key] = {then.name}
            self._ready.appendleft(then)
        return None

    def died(self, job: Job, why: str) -> Outcome | None:
        """Its worker died over a job. Gives the outcome of its task if that was not the first time."""
        if job.name in self._tried:
            return self.failed(job, f"{why}, twice; it was left out")
        self._tried.add(job.name)
        self._suspects.append(job)
        return None

    def lost(self, job: Job) -> None:
        """It was nobody's fault: the job is to be done again."""
        self._ready.appendleft(job)

    def failed(self, job: Job, why: str) -> Outcome | None:
        """A job is given up, and with it its task, whose outcome this gives."""
        if not self._counts(job):
            return None
        item = job.task.item
        failure = Failure(job.task.key, "worker", f"{shown(item.path)}: {why}")
        return self._end(job, Outcome(job.task.key, item.kind, Source.of(item), failures=(failure,)))

    def _counts(self, job: Job) -> bool:
        return job.name in self._open.get(job.task.key, ())

    def _end(self, job: Job, outcome: Outcome) -> Outcome:
        del self._open[job.task.key]
        self._then.pop(job.task.key, None)
        return outcome
