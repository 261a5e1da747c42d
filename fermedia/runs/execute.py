"""Who does the work: tasks in, outcomes out, in any order.

An ``Executor`` takes tasks and gives an ``Outcome`` for each as it is done. ``work`` does one job whoever does it, so
that results do not depend on the executor. The ledger is the driver's alone (``runs.batch``).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator, Iterable
from functools import partial

from fermedia.options import AnalyzeOptions
from fermedia.outputs.cells import cell
from fermedia.outputs.summary import summarize
from fermedia.outputs.timeline import read_timeline
from fermedia.runs.agenda import Agenda, Job, Result, Split, Task
from fermedia.runs.derive import DERIVED
from fermedia.runs.folder import outputs
from fermedia.runs.item import Engine, ItemResult, OnFrames, noted
from fermedia.runs.ledger import Outcome
from fermedia.runs.progress import Progress
from fermedia.runs.source import Source
from fermedia.runs.spans import LongFilm

#: Does tasks with the options given, showing them on the display. A generator: closing it gives up what is left. Raises
#: what is no item's fault, as ModelError.
Executor = Callable[[AnalyzeOptions, Iterable[Task], Progress], Generator[Outcome]]

#: Bytes of memory that a worker may need, with some to spare: an annotated film of 3840x2160 takes it to 1.6 GB, one of
#: 1920x1080 to 0.7 GB (``scripts/benchmark.py --worker-memory``).
WORKER_MEMORY = 2_000_000_000


def in_process(options: AnalyzeOptions, tasks: Iterable[Task], progress: Progress) -> Generator[Outcome]:
    """The executor that does one job after another, here."""
    agenda = Agenda(tasks)
    with Engine(options) as engine:
        while job := agenda.take(0):
            outcome = agenda.done(job, work(engine, job, partial(progress.frames, job.task.key)))
            if outcome:
                yield outcome


def work(engine: Engine, job: Job, on_frames: OnFrames) -> Result:
    """Do one job. What fails is in the outcome; raises only what is not the item's fault (ModelError ...)."""
    task = job.task
    result = ItemResult(task.item)
    split: Split | None = None
    film = LongFilm(engine, task)
    if job.step != "whole":
        with noted(result):
            split = film.begin(on_frames) if job.step == "begin" else film.step(job, result, on_frames)
        if result.folder or result.failures:
            return _outcome(engine, task, result, film.source())
        if split or job.step != "begin":
            return split
    for folder in (task.staging, task.spans):  # of a worker that died over it, and of spans that do not fit together
        shutil.rmtree(folder, ignore_errors=True)
    source = Source.of(task.item)
    return _outcome(engine, task, engine.run(task.item, task.staging, task.place, on_frames), source)


def _outcome(engine: Engine, task: Task, result: ItemResult, source: Source) -> Outcome:
    made: dict[str, int] = {}
    summary = ""
    if result.folder is not None:
        made = {name: size for name, size in outputs(result.folder).items() if name not in DERIVED}
        timeline = read_timeline(result.folder / "timeline.csv")
        table = summarize(timeline, cell(task.key), result.end, engine.options.smooth)
        summary = table.to_csv(index=False, header=False, float_format="%.6f", lineterminator="\n")
    return Outcome(
        key=task.key,
        kind=task.item.kind,
        source=source,
        outputs=made,
        frames=result.frames,
        analysed=result.analysed,
        with_face=result.with_face,
        faces=result.faces,
        seconds=round(result.seconds, 3),
        summary=summary,
        failures=tuple(result.failures),
    )
