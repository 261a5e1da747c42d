"""Execution of tasks: tasks in, outcomes out, in any order.

An ``Executor`` takes tasks and yields an ``Outcome`` for each when it is done. All executors use ``work`` for a job, so
results do not depend on the executor. Only the driver writes the ledger (``jobs.batch``).
"""

from __future__ import annotations

import shutil
from collections.abc import Generator, Iterable
from functools import lru_cache, partial
from pathlib import Path
from typing import Protocol

from fermedia.errors import MediaError
from fermedia.jobs.item import Engine, ItemResult, LongError, OnFrames, record_failures
from fermedia.jobs.progress import Progress
from fermedia.jobs.scheduler import Job, Result, Scheduler, Task
from fermedia.jobs.spans import LongVideo
from fermedia.media.container import frame_size
from fermedia.options import AnalyzeOptions
from fermedia.store.ledger import Outcome
from fermedia.store.source import SourceState
from fermedia.types import MediaItem


class Executor(Protocol):
    """Does the tasks of a run, in this process or elsewhere."""

    def __call__(self, options: AnalyzeOptions, tasks: Iterable[Task], progress: Progress, /) -> Generator[Outcome]:
        """Yield an outcome for each task, in any order, and report to ``progress``.

        Closing the generator abandons the remaining tasks. Raises errors that are not caused by an item, such as
        ModelError.
        """
        ...


#: Bytes of memory that a worker may need, with a margin: an annotated video of 3840x2160 takes 1.6 GB, one of 1920x1080
#: 0.7 GB (``scripts/benchmark.py --worker-memory``).
WORKER_MEMORY = 2_000_000_000

#: The same for large frames: bytes in any case, and per pixel of a frame. A video of 7680x4320 took 3.1 GB.
_BASE, _EACH_PIXEL = 1_170_000_000, 100


def memory_for(item: MediaItem) -> int:
    """Bytes of memory that an item may need: more than usual for a video with very large frames."""
    pixels = _frame_pixels(item.path) if item.kind == "video" else 0
    return max(WORKER_MEMORY, _BASE + _EACH_PIXEL * pixels)


@lru_cache(maxsize=16)  # called again for each span of a long video
def _frame_pixels(path: Path) -> int:
    """The number of pixels of a video's frames, from its header; 0 if it cannot be read, which is reported later."""
    try:
        width, height = frame_size(path)
    except MediaError:
        return 0
    return width * height


def in_process(options: AnalyzeOptions, tasks: Iterable[Task], progress: Progress) -> Generator[Outcome]:
    """The executor that does one job after another in this process."""
    scheduler = Scheduler(tasks)
    with Engine(options) as engine:
        while job := scheduler.take(0):
            outcome = scheduler.done(job, work(engine, job, partial(progress.frames, job.task.key)))
            if outcome:
                yield outcome


def work(engine: Engine, job: Job, on_frames: OnFrames) -> Result:
    """Do one job. Failures are in the outcome; only errors not caused by the item are raised (ModelError ...)."""
    task, split = job.task, None
    video = LongVideo(engine, task) if task.item.kind == "video" and job.step != "whole" and not task.drawn else None
    if video:
        result = ItemResult(task.item, task.people)
        with record_failures(result):
            split = video.go_on(on_frames) if job.step == "begin" else video.step(job, result, on_frames)
        if result.folder or result.failures:
            return _outcome(task, result, video.source())
        if split or job.step != "begin":
            return split
    for folder in (task.staging, task.spans):  # left by a worker that died; spans that could not be joined
        shutil.rmtree(folder, ignore_errors=True)
    source = SourceState.of(task.item)
    run = partial(engine.run, task.item, task.staging, task.place, on_frames, task.drawn, task.people)
    try:
        result = run(is_long=video.is_long if video else None)
    except LongError:
        assert video is not None
        result = ItemResult(task.item, task.people)
        with record_failures(result):
            split = video.begin(source, on_frames)
        if split:
            return split
        if not result.failures:
            shutil.rmtree(task.spans, ignore_errors=True)
            result = run()
    return _outcome(task, result, source)


def _outcome(task: Task, result: ItemResult, source: SourceState) -> Outcome:
    return Outcome(
        key=task.key,
        kind=task.item.kind,
        source=source,
        outputs=result.outputs,
        frames=result.frames,
        analysed=result.analysed,
        with_face=result.with_face,
        faces=result.faces,
        seconds=round(result.seconds, 3),
        summary=result.summary,
        failures=tuple(result.failures),
        people={str(face_id): name for face_id, name in sorted(result.people.items())},
    )
