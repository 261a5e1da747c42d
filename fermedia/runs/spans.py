"""Long films, worked in spans: little is lost when a run is interrupted, and many can work on one film.

How a film is divided depends on the film alone. Each span is looked at by itself and written down; when all are, the
people are followed through the whole film and the timeline is written; then each span is drawn and encoded; at last the
film is put together, and the frames of its faces' strongest moments are read once more. What is finished waits in the
task's folder ``spans``, from run to run::

    plan.npz              the film's frames, its spans, and which file it was
    look-000.npz ...      what each frame of a span shows
    timeline.csv, followed.json, steady-000.npz ...    who is who, their strongest moments, and what is to be drawn
    film-000.nut ...      a span of the annotated film, and film-000.json when it is complete

A film that cannot be read in parts that fit together, as a damaged one, is done undivided.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from fermedia.errors import MediaError
from fermedia.files import shown, sync, whole_file, write_json
from fermedia.machine import give_back_memory
from fermedia.media.spans import FilmIndex, SeamError, SpanReader
from fermedia.media.video import VideoReader
from fermedia.outputs.drawing import Painter
from fermedia.outputs.joined import JoinedFilm, SpanWriter
from fermedia.outputs.placing import Memory
from fermedia.outputs.previews import FOLDER, Moment, MomentPreviews, Moments
from fermedia.outputs.timeline import TimelineWriter
from fermedia.runs.agenda import Job, Split, Task
from fermedia.runs.item import Engine, ItemResult, OnFrames, plain
from fermedia.runs.ledger import Failure
from fermedia.runs.packed import Found, load, pack_found, pack_seen, save, unpack_found, unpack_seen, without_pixels
from fermedia.runs.source import Source
from fermedia.threads import ahead
from fermedia.types import Box, Frame, MediaInfo
from fermedia.vision.observe import Seen, followed
from fermedia.vision.smooth import steadied

#: Films longer than this are divided, into spans of this length or more, each from a key frame on. Seconds of the film.
#: Whoever changes them changes the method (``runs.settings``).
LONG, SPAN = 600.0, 120.0


#: So many decoded frames wait to be drawn at most, and of large ones so many pixels, but always two.
_MOST_AHEAD, _MOST_PIXELS_AHEAD = 8, 8e6

#: What is known of a film when its people have been followed.
_KNOWN = ("frames", "analysed", "with_face", "faces", "end", "seconds")


@dataclass(frozen=True)
class Plan:
    """How a film is divided: ``spans`` are numbers of frames, ``sampled`` says which of all of these are analysed."""

    source: Source
    index: FilmIndex
    spans: tuple[range, ...]
    sampled: list[bool]

    def sampled_in(self, span: int) -> list[bool]:
        begin, numbers = self.spans[0].start, self.spans[span]
        return self.sampled[numbers.start - begin : numbers.stop - begin]


class LongFilm:
    """One film of a task; its steps are done by any workers, in any order that the ``Agenda`` allows."""

    def __init__(self, engine: Engine, task: Task) -> None:
        self._engine, self._options = engine, engine.options
        self._task, self._path, self._folder = task, task.item.path, task.spans
        #: Each frame is looked at and then drawn.
        self._share = 0.5 if self._options.video else 1.0

    def begin(self, on_frames: OnFrames) -> Split | None:
        """Divide the film, or go on with what an earlier run left. None if it is to be done undivided."""
        if self._task.item.kind != "video":
            return None
        try:
            plan = self._kept_plan() or self._new_plan()
        except (SeamError, MediaError):  # who does it undivided says what is wrong
            return None
        if plan is None:
            return None
        todo = [n for n in range(len(plan.spans)) if not self._file("look", n).exists()]
        done = len(plan.sampled) - sum(len(plan.spans[n]) for n in todo)
        on_frames(max(1, round(len(plan.sampled) - self._share * done)), 0)
        return Split(tuple(Job(self._task, "look", n) for n in todo), Job(self._task, "follow"))

    def step(self, job: Job, result: ItemResult, on_frames: OnFrames) -> Split | None:
        """Do one of the other jobs. ``result`` has a folder when it was the last one."""
        try:
            plan = self._plan()
            if job.step == "look":
                self._look(plan, job.span, on_frames)
            elif job.step == "follow":
                return self._follow(plan, result)
            elif job.step == "draw":
                self._draw(plan, job.span, on_frames)
            else:
                self._join(plan, result)
        except SeamError:  # the others' files stay, for they are still at work
            return Split((), Job(self._task, "whole"))
        finally:
            give_back_memory()
        return None

    def source(self) -> Source:
        """What the film was when it was divided, or is now if that is not known any more."""
        with suppress(OSError, ValueError, KeyError):
            return self._plan().source
        return Source.of(self._task.item)

    # -- the plan ---------------------------------------------------------------------------------------------------

    def _new_plan(self) -> Plan | None:
        shutil.rmtree(self._folder, ignore_errors=True)
        source = Source.of(self._task.item)
        with SpanReader(self._path) as reader:
            end = min(reader.info.duration or 0.0, self._options.end or float("inf"))
            if end - (self._options.start or 0.0) <= LONG:
                return None
            index = reader.index()
            numbers, sampled = reader.chosen(index, self._options)
            spans = tuple(_divided(index, numbers, lambda n: float(reader.time(index.stamps[n]))))
        if len(spans) < 2:
            return None
        plan = Plan(source, index, spans, sampled)
        self._folder.mkdir(parents=True, exist_ok=True)
        save(
            self._folder / "plan.npz",
            source=json.dumps(asdict(source)),
            stamps=np.array(index.stamps, np.int64),
            keys=np.array(index.keys, np.int64),
            spans=np.array([(numbers.start, numbers.stop) for numbers in spans], np.int64),
            sampled=np.array(sampled, bool),
        )
        return plan

    def _plan(self) -> Plan:
        stored = load(self._folder / "plan.npz")
        index = FilmIndex(tuple(stored["stamps"].tolist()), tuple(map(tuple, stored["keys"].tolist())))
        spans = tuple(range(*span) for span in stored["spans"].tolist())
        return Plan(Source(**json.loads(str(stored["source"]))), index, spans, stored["sampled"].tolist())

    def _kept_plan(self) -> Plan | None:
        """That of an earlier run, if the film is still the same."""
        with suppress(OSError, ValueError, KeyError):
            plan = self._plan()
            if plan.source.renewed(self._task.item):
                return plan
        return None

    def _check_unchanged(self, plan: Plan) -> None:
        if not plan.source.renewed(self._task.item):
            text = "changed or vanished while it was read; give the same command again when it is complete"
            raise MediaError(f"{shown(self._path)}: {text}", "read")

    # -- the steps --------------------------------------------------------------------------------------------------

    def _look(self, plan: Plan, span: int, on_frames: OnFrames) -> None:
        begun = time.monotonic()
        found: list[Seen] = []
        with ExitStack() as stack:
            _, frames = self._frames(plan, span, stack)
            for seen in stack.enter_context(closing(self._engine.observer.see(frames))):
                found.append(without_pixels(seen))
                on_frames(None, self._share)
        self._check_unchanged(plan)
        save(self._file("look", span), seconds=time.monotonic() - begun, **pack_seen(found))

    def _follow(self, plan: Plan, result: ItemResult) -> Split:
        begun = time.monotonic()
        draws, duration = self._options.video, None
        info, moments = self._info(), Moments()
        drawings = _Drawings(Painter(info.width, info.height), plan.spans, self._save_drawings)
        with TimelineWriter(self._folder / "timeline.csv", str(self._path)) as timeline:
            looked = followed(self._seen(plan, result))
            for frame, raw, steady in steadied(looked, self._options.smooth):
                timeline.write(frame, raw)
                moments.look(frame, steady)
                result.add(frame, raw)
                duration = frame.duration
                if draws:
                    drawings.add(frame.index, steady)
        result.seconds += time.monotonic() - begun
        known = {name: getattr(result, name) for name in _KNOWN}
        chosen = [asdict(moment) for moment in moments.chosen()]
        write_json(self._folder / "followed.json", known | {"duration": duration, "moments": chosen})
        todo = [n for n in range(len(plan.spans)) if draws and not self._drawn(n).exists()]
        return Split(tuple(Job(self._task, "draw", n) for n in todo), Job(self._task, "join"))

    def _draw(self, plan: Plan, span: int, on_frames: OnFrames) -> None:
        begun = time.monotonic()
        stored = load(self._file("steady", span))
        last, *found = unpack_found(stored)
        memory = json.loads(str(stored["memory"]))
        with whole_file(self._file("film", span)) as path:
            with ExitStack() as stack:
                info, part = self._frames(plan, span, stack)
                frames = stack.enter_context(closing(ahead(part, _waiting(info))))
                options = self._options
                film = SpanWriter(path, self._path, info, options.start, memory, last, options.undecided)
                stack.enter_context(film)
                for frame, seen in zip(frames, found, strict=True):
                    film.write(frame, seen)
                    on_frames(None, self._share)
            sync(path)
        self._check_unchanged(plan)
        write_json(self._drawn(span), {"seconds": time.monotonic() - begun})

    def _join(self, plan: Plan, result: ItemResult) -> None:
        begun = time.monotonic()
        known = json.loads((self._folder / "followed.json").read_text(encoding="utf-8"))
        for name in _KNOWN:
            setattr(result, name, known[name])
        staging, options, info = self._task.staging, self._options, self._info()
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        shutil.copyfile(self._folder / "timeline.csv", staging / "timeline.csv")
        spans = range(len(plan.spans))
        film: JoinedFilm | None = None
        if self._options.video:
            film = JoinedFilm(staging / "annotated.mp4", self._path, info, options.start, options.end)
            with film:
                film.join([self._file("film", n) for n in spans], known["duration"])
            result.seconds += sum(json.loads(self._drawn(n).read_text(encoding="utf-8"))["seconds"] for n in spans)
            give_back_memory()
            if film.warning:
                text = f"{shown(self._path)}: {film.warning}"
                result.failures.append(Failure(self._task.key, "sound", text))
        self._cut(plan, [_moment(record) for record in known["moments"]], staging / FOLDER)
        self._check_unchanged(plan)
        result.seconds += time.monotonic() - begun
        with VideoReader(self._path) as reader:
            notes = [*reader.notes, *(film.notes if film else [])]
        details = {"media": plain(info), "warning": "; ".join(notes) or None, "notes": notes, "spans": len(plan.spans)}
        self._engine.complete(result, staging, self._task.place, details)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _cut(self, plan: Plan, moments: Sequence[Moment], folder: Path) -> None:
        """Go back to the frames of these moments, and to no more of the film than that takes."""
        with MomentPreviews(folder, moments) as previews:
            for numbers in _together(plan.index, sorted({moment.frame for moment in moments})):
                part = range(numbers[0], numbers[-1] + 1)
                with SpanReader(self._path) as reader:
                    for frame in reader.part(plan.index, part, [True] * len(part)):
                        previews.write(frame)
                give_back_memory()

    # -- their files ------------------------------------------------------------------------------------------------

    def _file(self, what: str, span: int) -> Path:
        return self._folder / f"{what}-{span:03}.{'nut' if what == 'film' else 'npz'}"

    def _drawn(self, span: int) -> Path:
        return self._file("film", span).with_suffix(".json")

    def _info(self) -> MediaInfo:
        with VideoReader(self._path) as reader:
            return reader.info

    def _frames(self, plan: Plan, span: int, stack: ExitStack) -> tuple[MediaInfo, Iterator[Frame]]:
        reader = stack.enter_context(SpanReader(self._path))
        return reader.info, reader.part(plan.index, plan.spans[span], plan.sampled_in(span))

    def _seen(self, plan: Plan, result: ItemResult) -> Iterator[Seen]:
        for span in range(len(plan.spans)):
            stored = load(self._file("look", span))
            result.seconds += float(stored["seconds"])
            yield from unpack_seen(stored)

    def _save_drawings(self, span: int, memory: Memory, found: Sequence[Found]) -> None:
        save(self._file("steady", span), memory=json.dumps(memory), **pack_found(found))


class _Drawings:
    """Gathers what is to be drawn, span by span, with what its painter must know of the frames before.

    That is the painter's memory before the last analysed frame, and what was seen in that: the first of what is saved.
    """

    def __init__(
        self, painter: Painter, spans: Sequence[range], save: Callable[[int, Memory, Sequence[Found]], None]
    ) -> None:
        self._painter, self._save = painter, save
        self._ends = {numbers.stop - 1: span for span, numbers in enumerate(spans)}
        self._memory: Memory = []
        self._last: Found = None
        self._before = self._memory
        self._span: list[Found] = [self._last]

    def add(self, number: int, found: Found) -> None:
        """The next frame."""
        self._span.append(found)
        if found is not None:
            self._memory, self._last = self._painter.memory(), found
            self._painter.pass_over(found)
        if number in self._ends:
            self._save(self._ends[number], self._before, self._span)
            self._before, self._span = self._memory, [self._last]


def _waiting(info: MediaInfo) -> int:
    """How many frames of a film may wait to be drawn."""
    return int(min(_MOST_AHEAD, max(2, _MOST_PIXELS_AHEAD // (info.width * info.height))))


def _divided(index: FilmIndex, numbers: range, time_of: Callable[[int], float]) -> Iterator[range]:
    begin = numbers.start
    for _, _, number in index.keys:
        if begin < number < numbers.stop and time_of(number) - time_of(begin) >= SPAN:
            yield range(begin, number)
            begin = number
    if begin < numbers.stop:
        yield range(begin, numbers.stop)


def _together(index: FilmIndex, numbers: Sequence[int]) -> Iterator[list[int]]:
    """Rising numbers of frames, those together that are decoded from one key frame."""
    for _, group in groupby(numbers, index.key_before):
        yield list(group)


def _moment(record: dict[str, Any]) -> Moment:
    box = record["box"]
    return Moment(**record | {"box": box and Box(**box)})
