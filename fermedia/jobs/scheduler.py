"""The scheduler: the order of a run's jobs, the same for every executor.

A task is an item to analyse. Most tasks are one job. A long video has several (``jobs.spans``): its first job returns
``NextJobs``, whose parts can be done in any order, by any worker. Jobs and their results can be pickled.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from fermedia.files import shown
from fermedia.store.ledger import Failure, Outcome
from fermedia.store.source import SourceState
from fermedia.types import MediaItem

#: ``begin`` does an item, or finds that it is a video to be divided into spans; ``whole`` does it undivided in any
#: case. The others are for videos in spans: observe a span, track people through all, draw a span, join all.
Step = Literal["begin", "whole", "observe", "follow", "draw", "join"]


@dataclass(frozen=True)
class Task:
    """An item to analyse.

    Attributes:
        item: The item.
        staging: Folder for its outputs while they are incomplete; it need not exist.
        place: Folder to which the complete outputs are moved.
        spans: Folder for the finished spans of a long video, which are kept if the run is interrupted.
        drawn: Whether to keep the timeline in ``place`` and only make everything else again.
        people: The names of the item's faces by ``face_id`` (``--people``).
    """

    item: MediaItem
    staging: Path
    place: Path
    spans: Path
    drawn: bool = False
    people: Mapping[int, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return str(self.item.key)


@dataclass(frozen=True)
class Job:
    """A unit of work of a task; ``span`` is the index of its span, from 0."""

    task: Task
    step: Step = "begin"
    span: int = 0

    @property
    def name(self) -> tuple[str, Step, int]:
        """Identifies the job within a run."""
        return self.task.key, self.step, self.span


@dataclass(frozen=True)
class NextJobs:
    """The next jobs of a task, replacing all earlier ones: ``parts`` in any order, then ``then``."""

    parts: tuple[Job, ...]
    then: Job


Result = Outcome | NextJobs | None
"""The result of a job: the task's outcome, further jobs, or None, as for the parts of ``NextJobs``."""


class Scheduler:
    """Hands out jobs, takes their results, and returns the outcomes of tasks.

    Jobs of tasks already begun come first. A job whose worker died is retried once, when all else is done and no other
    job is running; if that fails, its task fails.
    """

    def __init__(self, tasks: Iterable[Task]) -> None:
        self._tasks = iter(tasks)
        self._ready: deque[Job] = deque()
        self._suspects: deque[Job] = deque()
        self._tried: set[tuple[str, Step, int]] = set()
        #: By item: the names of the valid jobs, handed out or not. Results of other jobs are ignored.
        self._open: dict[str, set[tuple[str, Step, int]]] = {}
        self._then: dict[str, Job] = {}

    def take(self, others: int) -> Job | None:
        """The next job, or None if there is none now; ``others`` is the number of running jobs."""
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
        """Take the result of a job. Returns the outcome of its task if this was the last job."""
        key = job.task.key
        if not self._counts(job):
            return None
        if isinstance(result, Outcome):
            return self._end(job, result)
        if isinstance(result, NextJobs):
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
        """Record that a job's worker died. Returns the outcome of its task if this was the second time."""
        if job.name in self._tried:
            return self.failed(job, f"{why}, twice; it was left out")
        self._tried.add(job.name)
        self._suspects.append(job)
        return None

    def lost(self, job: Job) -> None:
        """Schedule a job again that was lost for reasons unrelated to it."""
        self._ready.appendleft(job)

    def failed(self, job: Job, why: str) -> Outcome | None:
        """Give up a job and its task. Returns the task's outcome."""
        if not self._counts(job):
            return None
        item = job.task.item
        failure = Failure(job.task.key, "worker", f"{shown(item.path)}: {why}")
        return self._end(job, Outcome(job.task.key, item.kind, SourceState.seen(item), failures=(failure,)))

    def _counts(self, job: Job) -> bool:
        return job.name in self._open.get(job.task.key, ())

    def _end(self, job: Job, outcome: Outcome) -> Outcome:
        del self._open[job.task.key]
        self._then.pop(job.task.key, None)
        return outcome
