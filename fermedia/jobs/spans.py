"""Processing of long videos in spans: an interruption loses little, and several workers can share one video.

The division into spans depends only on the video and the chosen part of it. The steps are:

1. observe: detect and classify the faces of each span, independently of the others.
2. follow: track people through the whole video, and write its tables.
3. draw: draw and encode each span of the annotated video.
4. join: join the spans, and decode the frames of the highlights again for their previews.

The results of the steps are kept in the task's folder ``spans``, also between runs::

    plan.npz                             the video's frames, its spans, and the state of its file
    observe-000.npz ...                  the detections in the frames of a span
    timeline.csv, measures.csv, ...      the tables
    followed.json, smoothed-000.npz ...  the counts and highlights, and what is to be drawn in a span
    video-000.nut ...                    a span of the annotated video, with video-000.json when it is complete

A video whose spans do not fit together exactly, such as a damaged one, is processed undivided.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from fermedia.errors import MediaError
from fermedia.files import shown, sync, whole_file, write_json
from fermedia.jobs.item import Engine, ItemResult, OnFrames, copy_tables, cover_of, keep_of, look, plain, table_writers
from fermedia.jobs.scheduler import Job, NextJobs, Task
from fermedia.jobs.serialization import (
    Observations,
    load,
    pack_found,
    pack_seen,
    save,
    unpack_found,
    unpack_seen,
    without_pixels,
)
from fermedia.machine import trim_heap
from fermedia.media.spans import SeamError, SpanReader, VideoIndex
from fermedia.media.video import VideoReader
from fermedia.pipeline import kept
from fermedia.render.blur import Cover
from fermedia.render.drawing import Painter
from fermedia.render.joined import JoinedVideo, SpanWriter
from fermedia.render.placing import PanelState
from fermedia.render.previews import FOLDER, Highlight, HighlightPreviews, Highlights
from fermedia.store.ledger import Failure
from fermedia.store.source import SourceState
from fermedia.tables.smooth import smoothed_frames
from fermedia.threads import prefetch
from fermedia.types import Box, Frame, MediaInfo
from fermedia.vision.observe import FrameDetections, tracked

#: Seconds of video: longer videos are divided into spans of at least the second length, except the last span; each
#: span after the first starts at a key frame. To change these is to change the method (``store.settings``).
LONG, SPAN = 600.0, 120.0


#: Maximum number of decoded frames that wait to be drawn, and of their pixels together; at least two frames may wait.
_MOST_AHEAD, _MOST_PIXELS_AHEAD = 8, 8e6

#: The fields of ``ItemResult`` that are known after the step "follow".
_KNOWN = ("frames", "analysed", "with_face", "faces", "end", "seconds")


@dataclass(frozen=True)
class Plan:
    """The division of a video.

    Attributes:
        source: The state of the file before it was opened.
        index: The video's frames and key frames.
        spans: The spans, as consecutive ranges of frame indices.
        sampled: For each frame of all spans, whether it is analysed.
    """

    source: SourceState
    index: VideoIndex
    spans: tuple[range, ...]
    sampled: list[bool]

    def sampled_in(self, span: int) -> list[bool]:
        """``sampled`` for the frames of one span."""
        begin, numbers = self.spans[0].start, self.spans[span]
        return self.sampled[numbers.start - begin : numbers.stop - begin]


class LongVideo:
    """The steps of a video in spans; different workers may do them, in the order that the ``Scheduler`` allows."""

    def __init__(self, engine: Engine, task: Task) -> None:
        self._engine, self._options = engine, engine.options
        self._task, self._path, self._folder = task, task.item.path, task.spans
        #: The share of a frame's work that one step does: if a video is drawn, each frame is observed and drawn.
        self._share = 0.5 if self._options.video else 1.0

    def go_on(self, on_frames: OnFrames) -> NextJobs | None:
        """The jobs that continue the spans of an earlier run; None if there are none, or the video has changed."""
        plan = self._kept_plan()
        if plan:
            self._forget_other_names()
        return self._begun(plan, on_frames) if plan else None

    def is_long(self, info: MediaInfo) -> bool:
        """Whether the chosen part of the video is long enough to be divided."""
        end = min(info.duration or 0.0, self._options.end or float("inf"))
        return end - (self._options.start or 0.0) > LONG

    def begin(self, source: SourceState, on_frames: OnFrames) -> NextJobs | None:
        """Divide a long video.

        Args:
            source: The state of the file before it was opened.
            on_frames: Called with the number of frames to do.

        Returns:
            The next jobs; None if the video cannot be divided.
        """
        try:
            plan = self._new_plan(source)
        except (SeamError, MediaError):  # processing it undivided will report the error
            return None
        return self._begun(plan, on_frames) if plan else None

    def _forget_other_names(self) -> None:
        """Remove the drawn spans of an earlier run that has other names in them."""
        record = {str(face_id): name for face_id, name in self._task.people.items()}
        path = self._folder / "people.json"
        with suppress(OSError, ValueError):
            if json.loads(path.read_text(encoding="utf-8")) == record:
                return
        for drawn in self._folder.glob("video-*.json"):
            drawn.unlink()
        write_json(path, record)

    def _begun(self, plan: Plan, on_frames: OnFrames) -> NextJobs:
        todo = [n for n in range(len(plan.spans)) if not self._file("observe", n).exists()]
        done = len(plan.sampled) - sum(len(plan.spans[n]) for n in todo)
        on_frames(max(1, round(len(plan.sampled) - self._share * done)), 0)
        return NextJobs(tuple(Job(self._task, "observe", n) for n in todo), Job(self._task, "follow"))

    def step(self, job: Job, result: ItemResult, on_frames: OnFrames) -> NextJobs | None:
        """Do a job after the first.

        Args:
            job: The job: one of the steps "observe", "follow", "draw" and "join".
            result: Filled by the steps "follow" and "join"; it has a folder when the item is complete.
            on_frames: Called with the progress.

        Returns:
            The next jobs after the step "follow", or the job "whole" if the spans do not fit together; else None.

        Raises:
            MediaError: The video cannot be read, or has changed since it was divided.
            OSError: A file cannot be read or written.
        """
        try:
            plan = self._plan()
            if job.step == "observe":
                self._observe(plan, job.span, on_frames)
            elif job.step == "follow":
                return self._track(plan, result)
            elif job.step == "draw":
                self._draw(plan, job.span, on_frames)
            else:
                self._join(plan, result)
        except SeamError:  # the files of other spans are left, since other workers may still be using them
            return NextJobs((), Job(self._task, "whole"))
        finally:
            trim_heap()
        return None

    def source(self) -> SourceState:
        """The state of the video file when it was divided, or the current one if that is unknown."""
        with suppress(OSError, ValueError, KeyError):
            return self._plan().source
        return SourceState.of(self._task.item)

    # -- the plan ---------------------------------------------------------------------------------------------------

    def _new_plan(self, source: SourceState) -> Plan | None:
        with SpanReader(self._path) as reader:
            index = reader.index()
            numbers, sampled = reader.chosen(index, self._options)
            spans = tuple(_divided(index, numbers, lambda n: float(reader.time(index.stamps[n]))))
        if len(spans) < 2:
            return None
        plan = Plan(source, index, spans, sampled)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._forget_other_names()
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
        index = VideoIndex(tuple(stored["stamps"].tolist()), tuple(map(tuple, stored["keys"].tolist())))
        spans = tuple(range(*span) for span in stored["spans"].tolist())
        return Plan(SourceState(**json.loads(str(stored["source"]))), index, spans, stored["sampled"].tolist())

    def _kept_plan(self) -> Plan | None:
        """The plan of an earlier run, if there is one and the video is unchanged."""
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

    def _observe(self, plan: Plan, span: int, on_frames: OnFrames) -> None:
        """Detect and classify the faces of a span."""
        begun = time.monotonic()
        found: list[FrameDetections] = []
        with ExitStack() as stack:
            _, frames = self._frames(plan, span, stack)
            for seen in stack.enter_context(closing(self._engine.observer.detect(frames))):
                found.append(without_pixels(seen))
                on_frames(None, self._share)
        self._check_unchanged(plan)
        save(self._file("observe", span), seconds=time.monotonic() - begun, **pack_seen(found))

    def _track(self, plan: Plan, result: ItemResult) -> NextJobs:
        """Track people through all spans, and write the tables, the highlights and what is to be drawn."""
        begun = time.monotonic()
        draws, duration = self._options.video, None
        info, highlights = self._info(), Highlights()
        measured = self._options.draw is not None
        painter = Painter(info.width, info.height, look(self._options, self._task.people))
        drawings = _Drawings(painter, plan.spans, self._save_drawings, measured)
        with ExitStack() as stack:
            tables = table_writers(self._folder, self._task.item, self._options)
            for table in tables:
                stack.enter_context(table)
            looked = kept(tracked(self._seen(plan, result)), keep_of(self._options, self._task.people))
            for frame, raw, smoothed in smoothed_frames(looked, self._options.smooth):
                for table in tables:
                    table.write(frame, raw)
                highlights.update(frame, smoothed)
                result.add(frame, raw)
                duration = frame.duration
                if draws:
                    drawings.add(frame.index, smoothed)
        result.seconds += time.monotonic() - begun
        known = {name: getattr(result, name) for name in _KNOWN}
        chosen = [asdict(highlight) for highlight in highlights.chosen()]
        write_json(self._folder / "followed.json", known | {"duration": duration, "moments": chosen})
        todo = [n for n in range(len(plan.spans)) if draws and not self._drawn(n).exists()]
        return NextJobs(tuple(Job(self._task, "draw", n) for n in todo), Job(self._task, "join"))

    def _draw(self, plan: Plan, span: int, on_frames: OnFrames) -> None:
        """Draw and encode a span of the annotated video."""
        begun = time.monotonic()
        stored = load(self._file("smoothed", span))
        last, *found = unpack_found(stored)
        panel_state = json.loads(str(stored["panel_state"]))
        with whole_file(self._file("video", span)) as path:
            with ExitStack() as stack:
                info, part = self._frames(plan, span, stack)
                frames = stack.enter_context(closing(prefetch(part, _waiting(info))))
                options = self._options
                how = look(options, self._task.people), self._cover()
                video = SpanWriter(path, self._path, info, options.start, panel_state, last, *how)
                stack.enter_context(video)
                for frame, seen in zip(frames, found, strict=True):
                    video.write(frame, seen)
                    on_frames(None, self._share)
            sync(path)
        self._check_unchanged(plan)
        write_json(self._drawn(span), {"seconds": time.monotonic() - begun})

    def _join(self, plan: Plan, result: ItemResult) -> None:
        """Join the spans of the annotated video, make the previews, and complete the item."""
        begun = time.monotonic()
        known = json.loads((self._folder / "followed.json").read_text(encoding="utf-8"))
        for name in _KNOWN:
            setattr(result, name, known[name])
        staging, options, info = self._task.staging, self._options, self._info()
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        copy_tables(self._folder, staging)
        spans = range(len(plan.spans))
        video: JoinedVideo | None = None
        if self._options.video:
            video = JoinedVideo(staging / "annotated.mp4", self._path, info, options.start, options.end, options.audio)
            with video:
                video.join([self._file("video", n) for n in spans], known["duration"])
            result.seconds += sum(json.loads(self._drawn(n).read_text(encoding="utf-8"))["seconds"] for n in spans)
            trim_heap()
            if video.warning:
                text = f"{shown(self._path)}: {video.warning}"
                result.failures.append(Failure(self._task.key, "audio", text))
        cover = self._cover()
        if options.faces:
            self._cut(plan, [_highlight(record) for record in known["moments"]], staging / FOLDER, cover)
        self._check_unchanged(plan)
        result.seconds += time.monotonic() - begun
        with VideoReader(self._path) as reader:
            notes = [*reader.notes, *(video.notes if video else []), *([cover.note] if cover and cover.note else [])]
        details = {"media": plain(info), "warning": "; ".join(notes) or None, "notes": notes, "spans": len(plan.spans)}
        self._engine.complete(result, staging, self._task.place, details)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _cut(self, plan: Plan, highlights: Sequence[Highlight], folder: Path, cover: Cover | None) -> None:
        """Decode the frames of the highlights again, and only the parts of the video needed for that."""
        with HighlightPreviews(folder, highlights, cover) as previews:
            for numbers in _together(plan.index, sorted({highlight.frame for highlight in highlights})):
                part = range(numbers[0], numbers[-1] + 1)
                with SpanReader(self._path) as reader:
                    for frame in reader.part(plan.index, part, [True] * len(part)):
                        previews.write(frame)
                trim_heap()

    # -- their files ------------------------------------------------------------------------------------------------

    def _file(self, what: str, span: int) -> Path:
        return self._folder / f"{what}-{span:03}.{'nut' if what == 'video' else 'npz'}"

    def _drawn(self, span: int) -> Path:
        """The file that exists when a span of the annotated video is complete."""
        return self._file("video", span).with_suffix(".json")

    def _info(self) -> MediaInfo:
        with VideoReader(self._path) as reader:
            return reader.info

    def _cover(self) -> Cover | None:
        """What hides faces, from the timeline, which is complete after the step "follow"."""
        return cover_of(self._folder, self._options, self._task.people)

    def _frames(self, plan: Plan, span: int, stack: ExitStack) -> tuple[MediaInfo, Iterator[Frame]]:
        reader = stack.enter_context(SpanReader(self._path))
        return reader.info, reader.part(plan.index, plan.spans[span], plan.sampled_in(span))

    def _seen(self, plan: Plan, result: ItemResult) -> Iterator[FrameDetections]:
        """The stored detections of all spans; adds the time that they took to ``result``."""
        for span in range(len(plan.spans)):
            stored = load(self._file("observe", span))
            result.seconds += float(stored["seconds"])
            yield from unpack_seen(stored)

    def _save_drawings(self, span: int, panel_state: PanelState, found: Sequence[Observations]) -> None:
        save(self._file("smoothed", span), panel_state=json.dumps(panel_state), **pack_found(found))


class _Drawings:
    """Collects what is to be drawn, span by span, with what the painter must know of the frames before the span.

    That is the painter's state before the last analysed frame before the span, and the observations of that frame,
    which are saved first. Measures and landmarks are only kept if ``measured``.
    """

    def __init__(
        self,
        painter: Painter,
        spans: Sequence[range],
        save: Callable[[int, PanelState, Sequence[Observations]], None],
        measured: bool,
    ) -> None:
        self._painter, self._save, self._measured = painter, save, measured
        self._ends = {numbers.stop - 1: span for span, numbers in enumerate(spans)}
        self._memory: PanelState = []
        self._last: Observations = None
        self._before = self._memory
        self._span: list[Observations] = [self._last]

    def add(self, number: int, found: Observations) -> None:
        """Add the observations of the next frame, whose index is ``number``; save the span if it is its last frame."""
        if found is not None and not self._measured:
            found = [replace(observation, measures=None, landmarks=None) for observation in found]
        self._span.append(found)
        if found is not None:
            self._memory, self._last = self._painter.state(), found
            self._painter.pass_over(found)
        if number in self._ends:
            self._save(self._ends[number], self._before, self._span)
            self._before, self._span = self._memory, [self._last]


def _waiting(info: MediaInfo) -> int:
    """The maximum number of decoded frames of a video that wait to be drawn."""
    return int(min(_MOST_AHEAD, max(2, _MOST_PIXELS_AHEAD // (info.width * info.height))))


def _divided(index: VideoIndex, numbers: range, time_of: Callable[[int], float]) -> Iterator[range]:
    """Divide a range of frames into spans of at least ``SPAN`` seconds, except the last, that begin at key frames."""
    begin = numbers.start
    for _, _, number in index.keys:
        if begin < number < numbers.stop and time_of(number) - time_of(begin) >= SPAN:
            yield range(begin, number)
            begin = number
    if begin < numbers.stop:
        yield range(begin, numbers.stop)


def _together(index: VideoIndex, numbers: Sequence[int]) -> Iterator[list[int]]:
    """Group increasing frame indices by the key frame from which they are decoded."""
    for _, group in groupby(numbers, index.key_before):
        yield list(group)


def _highlight(record: dict[str, Any]) -> Highlight:
    box = record["box"]
    return Highlight(**record | {"box": box and Box(**box)})
