"""A run of ``analyze``: all inputs into one folder of results, continuing earlier runs."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fermedia.columns import FACES
from fermedia.errors import DataError, MissingExtraError, OutputError, UsageError
from fermedia.files import few, shown
from fermedia.jobs import interrupt
from fermedia.jobs.execute import Executor, in_process
from fermedia.jobs.plan import Plan, Redo, mended, plan, sentence_of_earlier
from fermedia.jobs.progress import Progress
from fermedia.jobs.scheduler import Task
from fermedia.media.find import find
from fermedia.options import LARGEST, NOTHING, AnalyzeOptions, EventOptions
from fermedia.render.blur import ALL, OTHERS
from fermedia.report.batch import write_report
from fermedia.store import derive
from fermedia.store.events import renew_pages, write_events
from fermedia.store.fingerprints import check, in_words, size
from fermedia.store.folder import RunFolder
from fermedia.store.identity import same_content
from fermedia.store.ledger import Failure, Ledger, Outcome
from fermedia.store.outputs import remove_images
from fermedia.store.record import about_run, run_record
from fermedia.store.remembered import RememberedOptions, participants_of
from fermedia.store.removal import removed_among
from fermedia.store.settings import hides, made_with
from fermedia.study.events import EventFiles
from fermedia.study.participants import Participants
from fermedia.study.people import Names, People, at_once, faces_of, words
from fermedia.tables.finished import notes, read_description
from fermedia.tables.tables import read_csv
from fermedia.tables.timeline import read_timeline
from fermedia.vision.classify import Classifier
from fermedia.vision.networks import DETECTOR_FILES, MESH_FILES

if TYPE_CHECKING:
    pass

#: Maximum number of failures of earlier runs that are reported again.
_MOST_SAID = 20


@dataclass
class Totals:
    """The totals of the tables at the end of a run, over all runs into the folder; ``seconds`` is the last run's.

    ``items`` counts all inputs; ``finished`` those with results, ``earlier`` those of them from earlier runs, and
    ``left`` those not done because of an interruption.
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
        """Count the outcomes in the ledger."""
        outcomes = ledger.chosen()
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
    people: Path | None = None,
    earlier: bool | None = None,
    events: EventOptions | None = None,
    executor: Executor = in_process,
) -> Totals:
    """Analyse ``inputs`` into the folder ``out``, or continue an earlier run.

    Failures of items are counted, not raised. Items that are finished, unchanged, and made with the same settings and
    models are not analysed again.

    Args:
        inputs: Files and folders.
        out: The folder of results.
        options: The options of the analysis.
        progress: The display.
        redo: Whether to analyse again what failed, or everything.
        participants: The file of participants and conditions (``study.participants``); None for the remembered one.
        people: The file that names faces (``study.people``); None for the remembered one.
        earlier: Whether tables include items that are no longer among the inputs; None for the remembered option.
        events: Events, and what is computed around them; None for the remembered options.
        executor: Does the tasks.

    Raises:
        UsageError: An input is missing, ``participants``, ``people`` or ``events`` are wrong, or ``out`` holds other
            things or results of other settings.
        ModelError: The model cannot be loaded.
        OutputError: ``out`` cannot be written.
        KeyboardInterrupt: The run was interrupted; the message says how to continue.
    """
    begun = time.monotonic()
    derive.check(options)
    known = _remembered(out).changed(options, None, None, people=people)
    if people and known.people:
        People.read(people)
    _check_names(options, known)
    if participants and str(participants) != NOTHING:
        Participants.read(participants, named=known.people is not None)
    if events is not None and events.events is not None and str(events.events) != NOTHING:
        EventFiles.read(events.events)
    found = find(inputs, exclude=out, sequences=options.sequence_fps is not None)
    classifier = Classifier.load(options.model, options.labels)
    models = DETECTOR_FILES.values(), MESH_FILES.values()
    settings = made_with(options, classifier.sha256, classifier.labels, *models)
    with interrupt.held():
        import_module("pandas")  # for the tables at the end, which must not take long after Ctrl-C
    with RunFolder(out) as folder:
        ledger = folder.ledger
        remembered = RememberedOptions.of(ledger.remembered).changed(options, participants, earlier, events, people)
        options = remembered.applied(options)
        derive.check(options)
        try:
            planned = plan(folder, found, settings, redo, partial(_names, remembered=remembered))
        except OSError as error:
            raise OutputError(_words(out, error)) from error
        if remembered.record() != ledger.remembered:
            ledger.tell(remembered.record())
        before = sum(outcome.finished for outcome in ledger.chosen())
        _say_failures(ledger, planned.keys, progress)
        state = "stopped"
        try:
            ledger.begin(len(planned.todo), about_run(inputs, options, whole=not (before or planned.drawn)))
            folder.write_record(run_record(ledger, options, classifier))
            for note in planned.notes:
                progress.note(note)
            _mend(folder, planned, options, progress)
            if planned.todo:  # otherwise no model needs to be loaded
                progress.begin({str(item.key): size(item.files) for item in planned.todo})
                with closing(executor(options, _tasks(folder, planned), progress)) as outcomes:
                    for outcome in outcomes:
                        interrupt.check()  # otherwise an interruption could be recorded as the item's failure
                        _check_room(out, outcome)
                        ledger.add(outcome)
                        progress.report(outcome)
                        if hides(settings) and not outcome.finished and remove_images(folder.place(outcome.key)):
                            progress.note(f"{outcome.key}: its earlier images, which show faces, are deleted")
                        _say_notes(folder, outcome, progress)
                        _say_doubts(folder, outcome, options, progress)
            folder.forget_spans()
            state = "finished"
        except KeyboardInterrupt:
            state = "interrupted"
            with suppress(OSError, UsageError):
                ledger.catch_up()
            raise KeyboardInterrupt(_how_to_go_on(ledger, redo)) from None
        except (OSError, OutputError) as error:
            raise OutputError(f"{_words(out, error)}; {_how_to_go_on(ledger, redo)}") from error
        finally:
            totals = Totals.of(ledger, before, time.monotonic() - begun)
            try:
                if state != "finished":  # before the tables, for which a full disk has no room
                    ledger.end(state, totals.seconds)
                _write_tables(folder, planned.keys, remembered, progress)
                if state == "finished":
                    _write_events(folder, remembered, planned.keys, progress)
                    ledger.end(state, totals.seconds)
                folder.write_record(run_record(ledger, options, classifier, totals.record()))
                write_report(out, [outcome.key for outcome in ledger.chosen() if outcome.finished], items=False)
                for line in (same_content(ledger.chosen()), sentence_of_earlier(ledger)):
                    if line:
                        progress.note(line)
            except (OSError, OutputError) as error:
                if state == "finished":
                    raise OutputError(f"{_words(out, error)}; {_how_to_go_on(ledger, redo)}") from error
    return totals


def _remembered(out: Path) -> RememberedOptions:
    """What a folder remembers before the run has it to itself."""
    with suppress(OSError, UsageError):  # reported later
        return RememberedOptions.of(Ledger.read(out).remembered)
    return RememberedOptions()


def _check_names(options: AnalyzeOptions, remembered: RememberedOptions) -> None:
    """Raise UsageError or MissingExtraError if an option has names, and --people does not have these."""
    for flag, text, known in (("--blur", options.blur, (ALL, OTHERS)), ("--only", options.only, (LARGEST,))):
        if text is None or text in known or (flag == "--blur" and all(map(str.isdecimal, text.split(",")))):
            continue
        if text == NOTHING:
            raise UsageError(f"{flag} {text}: leave {flag} out for that")
        if remembered.people is None:
            raise UsageError(f"{flag} {text}: no face has a name; give faces names with --people")
        People.read(Path(remembered.people)).check(flag, text)


def _names(ledger: Ledger, remembered: RememberedOptions) -> tuple[dict[str, Names], list[str]]:
    """The names of the faces of all items, by key, and messages.

    A remembered file that cannot be read any more changes nothing.
    """
    if remembered.people is None:
        return {}, []
    try:
        people = People.read(Path(remembered.people))
    except (UsageError, MissingExtraError) as error:
        earlier = [*ledger.outdated.values(), *ledger.outcomes.values()]
        kept = {outcome.key: outcome.names for outcome in earlier}
        return kept, [f"{error}; the names of faces stay as they are"]
    return _without_removed(people, ledger).of({key: kind for key, (kind, _) in ledger.named.items()})


def _without_removed(people: People, ledger: Ledger) -> People:
    """The people without the rows of items that ``fermedia remove`` took out, which are not to be found any more."""
    items = people.table["item"]
    return replace(people, table=people.table[~items.isin(removed_among(ledger, items))])


def _mend(folder: RunFolder, planned: Plan, options: AnalyzeOptions, progress: Progress) -> None:
    """Update the derived files of all finished items, including earlier ones, to the current options."""
    ledger, kept = folder.ledger, planned.kept
    kept += [(o, check(folder.place(o.key), o.outputs)[1]) for o in ledger.chosen() if not ledger.is_present(o.key)]
    for outcome, broken in kept:
        derived = {name: what for name, what in broken.items() if name in derive.DERIVED}
        now = mended(folder, outcome, derived, options, planned.people.get(outcome.key, {}))
        if derived:
            progress.note(f"{outcome.key}: {in_words(derived)}; written again")
        if now.people != outcome.people:
            _say_doubts(folder, now, options, progress)
        if now != outcome:
            ledger.add(now)


def _write_tables(folder: RunFolder, keys: Sequence[str], remembered: RememberedOptions, progress: Progress) -> None:
    participants = None
    try:
        participants = participants_of(folder.ledger)
        if participants is None:
            folder.remove_groups()
    except (UsageError, MissingExtraError) as error:
        progress.note(f"{error}; the tables are written without it, and those of participants are not updated")
    for said in folder.write_tables(keys, participants):
        progress.note(said)
    if remembered.people is not None:
        with suppress(UsageError, MissingExtraError):  # said before
            people = People.read(Path(remembered.people))
            if (only := (folder.ledger.settings or {}).get("only")) not in (None, LARGEST):
                kept = people.table["person"].isin(words(only, people.persons))
                people = replace(people, table=people.table[kept])  # nobody else is to be there
            for said in people.doubts(read_csv(folder.path / "faces.csv", FACES)):
                progress.note(said)


def _write_events(folder: RunFolder, remembered: RememberedOptions, keys: Sequence[str], progress: Progress) -> None:
    try:
        participants = participants_of(folder.ledger)
        for note in write_events(folder.path, folder.ledger, remembered.events, participants, keys).notes:
            progress.note(note)
    except (UsageError, DataError, MissingExtraError) as error:
        progress.note(f"{error}; windows.csv and courses.csv are not updated, and the events of the items stay")
    try:
        renew_pages(folder.path, folder.ledger)
    except DataError as error:
        progress.note(f"{error}; pages are not updated")


def _say_failures(ledger: Ledger, keys: Sequence[str], progress: Progress) -> None:
    """Report again the failures of earlier runs that are not retried, since they determine the exit status, too."""
    failures = [failure for key in keys if key in ledger.outcomes for failure in ledger.outcomes[key].failures]
    for failure in failures[:_MOST_SAID]:
        progress.note(f"{failure.line()} (before; --redo failed tries it again)")
    if len(failures) > _MOST_SAID:
        progress.note(f"and {len(failures) - _MOST_SAID} more failures before, see failures.csv")


def _say_notes(folder: RunFolder, outcome: Outcome, progress: Progress) -> None:
    """Report the notes on an item: what was corrected or ignored."""
    with suppress(DataError):  # no results, or damaged meanwhile, which is reported elsewhere
        for note in notes(read_description(folder.place(outcome.key))):
            progress.note(f"{outcome.key}: {note}")


def _say_doubts(folder: RunFolder, outcome: Outcome, options: AnalyzeOptions, progress: Progress) -> None:
    """Report names in an item that cannot be right, or that hide less than they seem to."""
    names = outcome.names
    hides = options.blur not in (None, ALL, OTHERS) and not all(map(str.isdecimal, str(options.blur).split(",")))
    if not outcome.finished or not (names or hides) or outcome.kind == "photos":
        return
    with suppress(DataError):
        timeline = read_timeline(folder.place(outcome.key) / derive.TIMELINE)
        for name in at_once(timeline):
            progress.note(f"{outcome.key}: {name} is the name of two faces in one frame")
        if options.blur not in (None, ALL, OTHERS):
            faces = {int(face_id) for face_id in timeline["face_id"].dropna().unique()}
            shown_faces = sorted(faces - names.keys() - faces_of(str(options.blur), names))
            if shown_faces:
                which = few(list(map(str, shown_faces)), 5)
                progress.note(f"{outcome.key}: faces without a name are not hidden: {which}")


def _tasks(folder: RunFolder, planned: Plan) -> Iterator[Task]:
    for number, item in enumerate(planned.todo, 1):
        key = str(item.key)
        yield Task(
            item,
            folder.staging / str(number),
            folder.place(key),
            folder.spans(key),
            key in planned.drawn,
            planned.people.get(key, {}),
        )


def _check_room(out: Path, outcome: Outcome) -> None:
    if any(failure.stage == "disk" for failure in outcome.failures):
        raise OutputError(f"{shown(out, whole=True)}: the disk is full")


def _words(out: Path, error: OSError | OutputError) -> str:
    if isinstance(error, OutputError):
        return str(error)
    return f"{shown(out, whole=True)}: cannot be written any more ({error.strerror or error})"


def _how_to_go_on(ledger: Ledger, redo: Redo | None) -> str:
    finished = sum(outcome.finished for outcome in ledger.chosen())
    items = len(ledger.chosen()) + ledger.left
    without = " without --redo all" if redo == "all" else ""
    return f"{finished} of {items} items are finished; to go on, give the same command again{without}"
