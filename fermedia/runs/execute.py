"""Who does the work: tasks in, outcomes out, in any order.

An ``Executor`` takes tasks and gives an ``Outcome`` for each as it is done; both can be pickled. ``work`` does one task
whoever does it, so that results do not depend on the executor. The ledger is the driver's alone (``runs.batch``).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from pathlib import Path

from fermedia.options import AnalyzeOptions
from fermedia.outputs.cells import cell
from fermedia.outputs.summary import summarize
from fermedia.outputs.timeline import read_timeline
from fermedia.runs.derive import DERIVED
from fermedia.runs.folder import outputs
from fermedia.runs.item import Engine, OnFrames
from fermedia.runs.ledger import Outcome
from fermedia.runs.progress import Progress
from fermedia.runs.source import Source
from fermedia.types import MediaItem


@dataclass(frozen=True)
class Task:
    """An item to be done: made in ``staging``, which need not be there, and moved to ``place`` when it is complete."""

    item: MediaItem
    staging: Path
    place: Path


#: Does tasks with the options given, showing them on the display. A generator: closing it gives up what is left. Raises
#: what is no item's fault, as ModelError.
Executor = Callable[[AnalyzeOptions, Iterable[Task], Progress], Generator[Outcome]]


def in_process(options: AnalyzeOptions, tasks: Iterable[Task], progress: Progress) -> Generator[Outcome]:
    """The executor that does one task after another, here."""
    with Engine(options) as engine:
        for task in tasks:
            with progress.item(str(task.item.key)) as on_frames:
                outcome = work(engine, task, on_frames)
            yield outcome


def work(engine: Engine, task: Task, on_frames: OnFrames) -> Outcome:
    """Do one task. What fails is in the outcome; raises only what is not the item's fault (ModelError ...)."""
    shutil.rmtree(task.staging, ignore_errors=True)  # of a worker that died over it
    source = Source.of(task.item)
    result = engine.run(task.item, task.staging, task.place, on_frames)
    made: dict[str, int] = {}
    summary = ""
    if result.folder is not None:
        made = {name: size for name, size in outputs(result.folder).items() if name not in DERIVED}
        timeline = read_timeline(result.folder / "timeline.csv")
        table = summarize(timeline, cell(str(task.item.key)), result.end, engine.options.smooth)
        summary = table.to_csv(index=False, header=False, float_format="%.6f", lineterminator="\n")
    return Outcome(
        key=str(task.item.key),
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
