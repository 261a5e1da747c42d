"""A run: many inputs, one folder of results, as often as it takes."""

from __future__ import annotations

import os
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import fermedia
from fermedia.errors import DataError, MediaError, OutputError, UsageError
from fermedia.files import shown
from fermedia.media.find import find_items
from fermedia.options import AnalyzeOptions
from fermedia.outputs.finished import notes, read_description
from fermedia.outputs.groups import Participants
from fermedia.outputs.report.batch import write_report
from fermedia.outputs.timeline import read_timeline
from fermedia.runs import derive, interrupt
from fermedia.runs.agenda import Task
from fermedia.runs.execute import Executor, in_process
from fermedia.runs.folder import RunFolder
from fermedia.runs.ledger import Failure, Ledger, Outcome
from fermedia.runs.progress import Progress
from fermedia.runs.settings import differences, made_with
from fermedia.runs.source import size
from fermedia.types import MediaItem
from fermedia.vision.classify import Classifier
from fermedia.vision.networks import DETECTOR_FILES

if TYPE_CHECKING:
    import pandas as pd

#: What is done again although it is done: what failed in whole or in part, or everything.
Redo = Literal["failed", "all"]


@dataclass
class Totals:
    """What the folder holds at the end of a run: of all runs into it, but for ``seconds``, which are the last one's.

    ``items`` are all known; ``finished`` those with results, ``earlier`` of them from runs before, ``left`` those that
    an interruption left undone.
    """

    items: int = 0
    finished: int = 0
    earlier: int = 0
    left: int = 0
    frames: int = 0
    frames_analysed: int = 0
    frames_with_face: int = 0
    faces: int = 0
    seconds: float = 0.0
    failures: list[Failure] = field(default_factory=list)

    @classmethod
    def of(cls, ledger: Ledger, earlier: int, seconds: float) -> Totals:
        """Count what stands in the ledger."""
        outcomes = [ledger.outcomes[key] for key in sorted(ledger.outcomes)]
        return cls(
            items=len(outcomes) + ledger.left,
            finished=sum(o.finished for o in outcomes),
            earlier=earlier,
            left=ledger.left,
            frames=sum(o.frames for o in outcomes),
            frames_analysed=sum(o.analysed for o in outcomes),
            frames_with_face=sum(o.with_face for o in outcomes),
            faces=sum(o.faces for o in outcomes),
            seconds=round(seconds, 2),
            failures=[failure for o in outcomes for failure in o.failures],
        )

    def record(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    def sentence(self, out: Path) -> str:
        """The last line of a run."""
        before = f" ({self.earlier} of them before)" if self.earlier else ""
        text = (
            f"{self.finished} of {self.items} items{before}, {self.frames_analysed} frames analysed, "
            f"{self.frames_with_face} with a face, in {self.seconds:.1f} s; open {out / 'report.html'}"
        )
        count = len(self.failures)
        return text + (f"; {count} failure{'s' * (count > 1)}, see {out / 'failures.csv'}" if self.failures else "")


def run_batch(
    inputs: Sequence[Path],
    out: Path,
    options: AnalyzeOptions,
    *,
    progress: Progress,
    redo: Redo | None = None,
    participants: Path | None = None,
    executor: Executor = in_process,
) -> Totals:
    """Analyse ``inputs`` into the folder ``out``, or go on with it; failures of single items are counted, not raised.

    What is finished, unchanged, and made with the same settings and models is not done again; nor is what failed,
    unless ``redo`` says so. ``participants`` is the file that says who is seen where (``outputs.groups``).

    Raises UsageError where an input is missing or that file is wrong, or ``out`` holds other things or results of
    other settings, ModelError where the model does not load, OutputError where ``out`` cannot be written any more, and
    KeyboardInterrupt, which says how to go on.
    """
    begun = time.monotonic()
    derive.check(options)
    people = Participants.read(participants) if participants else None
    items = find_items(inputs, exclude=out, sequences=options.sequence_fps is not None)
    classifier = Classifier.load(options.model, options.labels)
    settings = made_with(options, classifier.sha256, classifier.labels, DETECTOR_FILES.values())
    with interrupt.held():
        import_module("pandas")  # for the tables at the end, which must not take long after Ctrl-C
    with RunFolder(out) as folder:
        ledger = folder.ledger
        todo = _plan(folder, items, settings, redo)
        keys = [str(item.key) for item in items]
        gone = len(ledger.outcomes.keys() - set(keys))
        earlier = sum(outcome.finished for outcome in ledger.outcomes.values())
        record = _record(inputs, options, classifier)
        state = "stopped"
        try:
            ledger.begin(len(todo), gone, at=record["begun"], inputs=record["inputs"])
            folder.write_record(record | {"state": "running"})
            for outcome in filter(None, map(ledger.outcomes.get, keys)):
                if outcome.finished:  # before, and whole; more may be asked for now
                    derive.derive(folder.place(outcome.key), outcome.key, options)
            if todo:  # else no model need be loaded
                progress.begin({str(item.key): size(item.files) for item in todo})
                with closing(executor(options, _tasks(folder, todo), progress)) as outcomes:
                    for outcome in outcomes:
                        interrupt.check()  # else what it came to could stand as the item's failure
                        _check_room(out, outcome)
                        ledger.add(outcome)
                        progress.report(outcome)
                        _say_notes(folder, outcome, progress)
            folder.forget_spans()
            state = "finished"
        except KeyboardInterrupt:
            state = "interrupted"
            raise KeyboardInterrupt(_how_to_go_on(ledger, redo)) from None
        except (OSError, OutputError) as error:
            raise OutputError(f"{_words(out, error)}; {_how_to_go_on(ledger, redo)}") from error
        finally:
            totals = Totals.of(ledger, earlier, time.monotonic() - begun)
            try:
                folder.write_tables(keys)
                if complaint := folder.write_groups(people):
                    progress.note(complaint)
                folder.write_record(record | {"state": state, "totals": totals.record()})
                ledger.end(state)
                write_report(out, items=False)
            except (OSError, OutputError) as error:
                if state == "finished":
                    raise OutputError(f"{_words(out, error)}; {_how_to_go_on(ledger, redo)}") from error
    return totals


def analyze(path: str | Path, **options: Any) -> pd.DataFrame:
    """The timeline of a video, a picture or a folder, as ``timeline.csv`` has it; nothing is left on the disk.

    ``options`` are the fields of ``fermedia.options.AnalyzeOptions`` (``every=5``, ``start=10.0`` ...). Raises
    MediaError if nothing could be read, UsageError for a wrong option; warns of what was left out.
    """
    import pandas as pd

    known = {item.name for item in fields(AnalyzeOptions)}
    if unknown := sorted(set(options) - known):
        raise UsageError(f"analyze has no option {', '.join(unknown)}; there are: {', '.join(sorted(known))}")
    chosen = AnalyzeOptions(**options | {"video": False})
    with tempfile.TemporaryDirectory(prefix="fermedia-") as folder, Progress(quiet=True) as progress:
        totals = run_batch([Path(path)], Path(folder), chosen, progress=progress)
        for failure in totals.failures:
            if not totals.finished:
                raise MediaError(failure.error, failure.stage)
            warnings.warn(failure.error, stacklevel=2)
        tables = [read_timeline(p) for p in sorted(Path(folder).glob("items/**/timeline.csv"))]
    return pd.concat(tables, ignore_index=True)


def _plan(
    folder: RunFolder, items: Sequence[MediaItem], settings: dict[str, Any], redo: Redo | None
) -> list[MediaItem]:
    """The items to be done; the ledger says so too. Raises UsageError where results and settings do not go together."""
    ledger, where = folder.ledger, shown(folder.path, whole=True)
    other = differences(ledger.settings, settings) if ledger.settings else []
    if other and ledger.outcomes and redo != "all":
        raise UsageError(
            f"--out {where}: its results were made with other settings ({'; '.join(other)}); "
            "name another folder, or add --redo all to make them again"
        )
    if other or redo == "all" or ledger.settings is None:
        folder.forget_spans()
        ledger.settle(settings)
    todo: list[MediaItem] = []
    again: list[str] = []
    renewed: list[Outcome] = []
    for item in items:
        outcome = ledger.outcomes.get(str(item.key))
        source = outcome.source.renewed(item) if outcome else None
        if outcome and source and not _is_again(folder, outcome, redo):
            if source != outcome.source:
                renewed.append(replace(outcome, source=source))
            continue
        if outcome:
            if not source and outcome.source.path != os.path.abspath(item.path):
                key, other_path = (shown(Path(path), whole=True) for path in (outcome.key, outcome.source.path))
                raise UsageError(f"--out {where}: its results called {key} are of {other_path}; name another folder")
            again.append(outcome.key)
        todo.append(item)
    # What failed and is not there any more needs no mention.
    keys = {str(item.key) for item in items}
    again += [key for key, outcome in ledger.outcomes.items() if key not in keys and not outcome.finished]
    if again:
        ledger.discard(again)
    if renewed:
        ledger.add(*renewed)
    return todo


def _is_again(folder: RunFolder, outcome: Outcome, redo: Redo | None) -> bool:
    """Whether an unchanged item is done again."""
    return (redo == "failed" and bool(outcome.failures)) or (outcome.finished and not folder.holds(outcome))


def _say_notes(folder: RunFolder, outcome: Outcome, progress: Progress) -> None:
    """What was put right or left aside in an item is no failure, but should not be missed."""
    with suppress(DataError):  # no results, or damaged meanwhile: whoever reads them says so
        for note in notes(read_description(folder.place(outcome.key))):
            progress.note(f"{outcome.key}: {note}")


def _tasks(folder: RunFolder, items: Sequence[MediaItem]) -> Iterator[Task]:
    for number, item in enumerate(items, 1):
        key = str(item.key)
        yield Task(item, folder.staging / str(number), folder.place(key), folder.spans(key))


def _check_room(out: Path, outcome: Outcome) -> None:
    if any(failure.stage == "disk" for failure in outcome.failures):
        raise OutputError(f"{shown(out, whole=True)}: no room on the disk is left")


def _words(out: Path, error: OSError | OutputError) -> str:
    if isinstance(error, OutputError):
        return str(error)
    return f"{shown(out, whole=True)}: cannot be written any more ({error.strerror or error})"


def _how_to_go_on(ledger: Ledger, redo: Redo | None) -> str:
    finished = sum(outcome.finished for outcome in ledger.outcomes.values())
    items = len(ledger.outcomes) + ledger.left
    without = " without --redo all" if redo == "all" else ""
    return f"{finished} of {items} items are finished; to go on, give the same command again{without}"


def _record(inputs: Sequence[Path], options: AnalyzeOptions, classifier: Classifier) -> dict[str, Any]:
    packages = ["ai-edge-litert", "opencv-python-headless", "av", "numpy"]
    packages += ["mediapipe"] if options.runtime == "mediapipe" else []
    return {
        "fermedia": fermedia.__version__,
        "begun": datetime.now(UTC).isoformat(timespec="seconds"),
        "inputs": [os.path.abspath(path) for path in inputs],
        "options": options.record(),
        "model": {"name": classifier.name, "labels": classifier.labels, "sha256": classifier.sha256},
        "detectors": DETECTOR_FILES,
        "versions": {name: version(name) for name in packages},
    }
