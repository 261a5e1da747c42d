"""Analysis of one item: its output files appear all at once or not at all.

The files are written in a staging folder, which is moved to its final place by one rename, so everything below
``items/`` is complete.
"""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import fermedia
from fermedia.errors import FermediaError, MediaError, Stage
from fermedia.files import shown, write_json
from fermedia.jobs.replay import replay
from fermedia.machine import NO_THREADS, is_no_thread
from fermedia.options import LARGEST, AnalyzeOptions
from fermedia.pipeline import Keep, LargerError, Pipeline, as_media_error, left_aside, nothing_in
from fermedia.render.blur import ALL, OTHERS, Cover
from fermedia.render.drawing import Look
from fermedia.render.photos import PhotoWriter
from fermedia.render.previews import FOLDER, PhotoPreviews, VideoPreviews
from fermedia.render.video import AnnotatedVideoWriter
from fermedia.report.pages import EVENTS_FILE
from fermedia.store.derive import LANDMARKS, MEASURES, TIMELINE, derive, name_faces
from fermedia.store.fingerprints import FileState, Fingerprint, file_states
from fermedia.store.ledger import Failure, SummaryRow
from fermedia.store.outputs import PLOTS, carry, made, publish
from fermedia.study.people import faces_of
from fermedia.tables.finished import DESCRIPTION, FinishedItem
from fermedia.tables.landmarks import LandmarksWriter
from fermedia.tables.measures import MeasuresWriter
from fermedia.tables.summary import summarize
from fermedia.tables.tables import records
from fermedia.tables.timeline import TimelineWriter, read_timeline
from fermedia.threads import SerialQueue
from fermedia.types import Frame, MediaInfo, MediaItem, Observation, Sink

#: Called once with the expected number of frames (None if unknown) and 0; then with None and the frames done since the
#: last call: 1 after each frame, or fractions of a frame.
OnFrames = Callable[[int | None, float], None]


#: Whether a video with this metadata is long enough to be processed in spans.
IsLong = Callable[[MediaInfo], bool]


class LongError(Exception):
    """A video turned out, when opened, to be long enough to be processed in spans."""


@dataclass
class ItemResult:
    """The result of an item, filled while it is analysed.

    Attributes:
        item: The item.
        people: The names of its faces by ``face_id`` (``--people``).
        folder: The folder with its outputs; None if there are none.
        frames: Number of frames read (images of a photo folder).
        analysed: Number of these that were analysed.
        with_face: Number of analysed frames with at least one face.
        faces: Number of faces in all analysed frames.
        seconds: Time that the analysis took.
        end: End of the last frame with a time, in seconds; None if no frame has one.
        failures: What failed.
        outputs: The names of the files in ``folder`` with their fingerprints.
        summary: The item's rows of summary.csv.
    """

    item: MediaItem
    people: Mapping[int, str] = field(default_factory=dict)
    folder: Path | None = None
    frames: int = 0
    analysed: int = 0
    with_face: int = 0
    faces: int = 0
    seconds: float = 0.0
    end: float | None = None
    failures: list[Failure] = field(default_factory=list)
    outputs: dict[str, Fingerprint | None] = field(default_factory=dict)
    summary: tuple[SummaryRow, ...] = ()

    def begin_anew(self) -> None:
        """Reset the counts of frames and faces."""
        self.frames = self.analysed = self.with_face = self.faces = 0

    def add(self, frame: Frame, observations: Sequence[Observation] | None) -> None:
        """Count a frame and the faces observed in it; ``observations`` is None if it was not analysed."""
        self.frames += 1
        if observations is not None:
            self.analysed += 1
            self.with_face += bool(observations)
            self.faces += len(observations)
        if frame.time is not None:
            self.end = frame.time + (frame.duration or 0)


class Engine:
    """The face detector and the classifier, loaded once and used for many items. A context manager."""

    def __init__(self, options: AnalyzeOptions) -> None:
        self.options = options
        draws = options.draw is not None
        self.pipeline = Pipeline(options, owns_process=True, landmarks=draws, low_priority=options.video)
        self.classifier, self.observer = self.pipeline.classifier, self.pipeline.observer

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.pipeline.__exit__(kind, error, trace)

    def run(
        self,
        item: MediaItem,
        staging: Path,
        place: Path,
        on_frames: OnFrames,
        drawn: bool = False,
        people: Mapping[int, str] | None = None,
        is_long: IsLong | None = None,
    ) -> ItemResult:
        """Analyse an item. Its failures are recorded in the result.

        Args:
            item: The item.
            staging: Folder for the incomplete outputs; created, and removed in the end.
            place: Folder to which the complete outputs are moved.
            on_frames: Called with the progress.
            drawn: Keep the tables in ``place`` and take the observations from them, so that only the rest is made
                again.
            people: The names of its faces by ``face_id``.
            is_long: Decides whether a video is to be processed in spans instead; None to never do so.

        Raises:
            LongError: ``is_long`` returned True for the video; nothing of it has been decoded.
            FermediaError: An error that is not caused by the item, such as ModelError.
        """
        result = ItemResult(item, people or {})
        begun = time.monotonic()
        before = file_states(item.files)
        with record_failures(result):
            try:
                staging.mkdir(parents=True)
                source = place if drawn else None
                if item.kind == "photos":
                    details = self._photos(item, staging, result, on_frames, source)
                else:
                    video = partial(self._video, item, staging, result, on_frames, source, is_long)
                    details = _in_full_size(video, staging, result)
                if drawn:
                    copy_tables(place, staging)
                result.seconds = time.monotonic() - begun
                _check_unchanged(item, before, result)
                if result.frames:
                    self.complete(result, staging, place, details, drawn)
            finally:
                shutil.rmtree(staging, ignore_errors=True)
        return result

    def complete(
        self, result: ItemResult, staging: Path, place: Path, details: dict[str, Any], drawn: bool = False
    ) -> None:
        """Finish an item whose tables, video and images are in ``staging``.

        Names its faces, writes its description (``details`` are added to it) and the derived files, moves all to
        ``place``, and sets the folder, outputs and summary of ``result``. The events stay, which come from a file of
        the user, and, if the item is only ``drawn`` again, the figures.
        """
        if result.people or drawn:  # tables that are copied may have other names
            name_faces(staging, result.people)
        item = FinishedItem(str(result.item.key), staging)
        self._describe(staging / DESCRIPTION, result, details)
        derive(item, self.options)
        table = summarize(item.whole, "", result.end, self.options.smooth)
        summary = tuple(
            {name: value for name, value in row.items() if name not in ("item", "person") and value is not None}
            for row in records(table)
        )
        outputs = made(staging)
        carry(place, staging, [EVENTS_FILE, PLOTS] if drawn else [EVENTS_FILE])
        publish(staging, place)
        result.folder, result.outputs, result.summary = place, outputs, summary

    def _video(
        self,
        item: MediaItem,
        staging: Path,
        result: ItemResult,
        on_frames: OnFrames,
        known: Path | None,
        is_long: IsLong | None,
        size: tuple[int, int] | None,
    ) -> dict[str, Any]:
        """Analyse a video and return the details for its description.

        ``known`` is the folder whose tables have its observations, if it is only drawn. ``size`` is the width and
        height of the frames in pixels; None for those of the first frame. Raises LargerError if a frame is larger,
        LongError if ``is_long`` returns True.
        """
        if self.options.blur is None or known is not None:
            return self._video_once(item, staging, result, on_frames, known, is_long, size)
        # Where a face is hidden depends on when it is found again, and who is hidden on the whole video.
        half = partial(_half, on_frames)
        self._video_once(item, staging, result, half, None, is_long, size, draws=False)
        result.begin_anew()
        details = self._video_once(item, staging, result, lambda _, n: half(None, n), staging, None, size, tables=False)
        if not self.options.landmarks:
            (staging / LANDMARKS).unlink(missing_ok=True)  # written to be drawn
        return details

    def _video_once(
        self,
        item: MediaItem,
        staging: Path,
        result: ItemResult,
        on_frames: OnFrames,
        known: Path | None,
        is_long: IsLong | None,
        size: tuple[int, int] | None,
        tables: bool = True,
        draws: bool = True,
    ) -> dict[str, Any]:
        """Read a video once, to write its tables, its images, or both; arguments and results as for ``_video``."""
        options = self.options
        meshes = options.draw is not None
        seeing = None if known is None else partial(replay, folder=known, measures=options.measures, meshes=meshes)
        cover = None if known is None else cover_of(known, options, result.people)
        with self.pipeline.open(item, size) as reader, ExitStack() as stack:
            if is_long and is_long(reader.info):
                raise LongError
            writers = table_writers(staging, item, options, seeing is None, not draws and meshes) if tables else []
            for table in writers:
                stack.enter_context(table)
            shows: list[Sink] = []
            if draws and options.faces:
                shows.append(stack.enter_context(VideoPreviews(staging / FOLDER, cover)))
            video, serial_queue = None, SerialQueue() if seeing is None else None
            if draws and options.video:
                source = item.path if item.kind == "video" else None
                span = options.start, options.end
                video = AnnotatedVideoWriter(
                    staging / "annotated.mp4",
                    source,
                    reader.info,
                    *span,
                    serial_queue,
                    reader.seams,
                    look(options, result.people),
                    cover,
                    options.audio,
                )
                shows.append(stack.enter_context(video))
            on_frames(_expected(reader.info, options), 0)
            for frame, raw, smoothed in stack.enter_context(
                closing(self.pipeline.video(reader, serial_queue, seeing, keep_of(options, result.people)))
            ):
                for table in writers:
                    table.write(frame, raw)
                for sink in shows:
                    sink.write(frame, smoothed)
                result.add(frame, raw)
                on_frames(None, 1)
        warning, info = reader.warning, reader.info
        if not result.frames:
            raise nothing_in(item, warning)
        if not draws:
            return {}
        said: tuple[tuple[Stage, str | None], ...] = ("decode", warning), ("audio", video.warning if video else None)
        for stage, text in said:
            if text:
                result.failures.append(Failure(str(item.key), stage, f"{shown(item.path)}: {text}"))
        notes = [*reader.notes, *(video.notes if video else ()), *([cover.note] if cover and cover.note else ())]
        return {"media": plain(info), "warning": "; ".join(filter(None, [warning, *notes])) or None, "notes": notes}

    def _photos(
        self, item: MediaItem, staging: Path, result: ItemResult, on_frames: OnFrames, tables: Path | None
    ) -> dict[str, Any]:
        """Analyse a folder of photos and return the details for its description."""

        def failed(path: Path, error: MediaError) -> None:
            result.failures.append(Failure(str(item.key / path.name), error.stage, str(error)))
            on_frames(None, 1)

        on_frames(len(item.files), 0)
        with ExitStack() as stack:
            # The sinks that may fail come first, so that a failed image is not in the tables.
            sinks: list[Sink] = []
            options = self.options
            seeing = None
            if tables is not None:
                seeing = partial(replay, folder=tables, measures=options.measures, meshes=options.draw is not None)
            if options.video:
                writer = PhotoWriter(staging / "annotated", look(options), options.blur)
                sinks.append(stack.enter_context(writer))
            if options.faces:
                sinks.append(stack.enter_context(PhotoPreviews(staging / FOLDER, options.blur)))
            for table in table_writers(staging, item, self.options, seeing is None):
                sinks.append(stack.enter_context(table))
            for frame, observations in stack.enter_context(
                closing(self.pipeline.photos(item, failed, seeing, keep_of(options, {})))
            ):
                try:
                    for sink in sinks:
                        sink.write(frame, observations)
                except Exception as error:  # only this image fails, not the whole folder
                    if _is_full(error):
                        raise
                    path = item.path / str(frame.name)
                    failed(path, as_media_error(path, error))
                else:
                    result.add(frame, observations)
                    on_frames(None, 1)
        notes = list(left_aside(item))
        return {"pictures": len(item.files), "warning": "; ".join(notes) or None, "notes": notes}

    def _describe(self, path: Path, result: ItemResult, details: dict[str, Any]) -> None:
        record = {
            "key": str(result.item.key),
            "source": str(result.item.path),
            "kind": result.item.kind,
            "frames": result.frames,
            "frames_analysed": result.analysed,
            "frames_with_face": result.with_face,
            "end": result.end,
            "seconds_taken": round(result.seconds, 2),
            "options": self.options.record(),
            "fermedia": fermedia.__version__,
            "failures": [asdict(f) for f in result.failures],
            **details,
        }
        write_json(path, record)


def _half(on_frames: OnFrames, expected: int | None, done: float) -> None:
    """Report the frames of one of two passes."""
    on_frames(expected, done / 2)


def _in_full_size(
    video: Callable[[tuple[int, int] | None], dict[str, Any]], staging: Path, result: ItemResult
) -> dict[str, Any]:
    """Call ``video`` with a size into which all frames fit: each time a larger frame appears, start again."""
    size: tuple[int, int] | None = None
    while True:
        try:
            return video(size)
        except LargerError as error:
            size = error.size
            result.begin_anew()
            shutil.rmtree(staging)
            staging.mkdir()


def look(options: AnalyzeOptions, people: Mapping[int, str] | None = None) -> Look:
    """How the faces of an item with these names are drawn."""
    return Look(options.undecided, options.draw or (), people or {})


def keep_of(options: AnalyzeOptions, people: Mapping[int, str]) -> Keep | None:
    """What chooses the faces of ``--only``; None for all."""
    if options.only is None:
        return None
    if options.only == LARGEST:
        return lambda seen: sorted(seen, key=lambda o: -o.face.box.width * o.face.box.height)[:1]
    ids = faces_of(options.only, people)
    return lambda seen: [o for o in seen if o.face_id in ids]


def cover_of(tables: Path, options: AnalyzeOptions, people: Mapping[int, str]) -> Cover | None:
    """What hides faces of a video whose timeline is in the folder ``tables``; None if nothing does."""
    if options.blur is None:
        return None
    who: str | Collection[int] = options.blur if options.blur in (ALL, OTHERS) else faces_of(options.blur, people)
    return Cover(read_timeline(tables / TIMELINE), who)


def table_writers(
    folder: Path, item: MediaItem, options: AnalyzeOptions, looked: bool = True, landmarks: bool = False
) -> list[Sink]:
    """The writers of an item's tables with a row per frame or face.

    Args:
        folder: The folder in which they write.
        item: The item.
        options: Whether measures and landmarks are requested.
        looked: Whether the item is analysed; False if it is only drawn again, without measures and landmarks.
        landmarks: Whether to write landmarks even if they are not requested.
    """
    source = str(item.path)
    tables: list[Sink] = [TimelineWriter(folder / TIMELINE, source)]
    if options.measures and looked:
        tables.append(MeasuresWriter(folder / MEASURES, source))
    if (options.landmarks or landmarks) and looked:
        tables.append(LandmarksWriter(folder / LANDMARKS, source))
    return tables


def copy_tables(source: Path, target: Path) -> None:
    """Copy those tables of an item that ``table_writers`` makes and that exist in ``source``."""
    for name in (TIMELINE, MEASURES, LANDMARKS):
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)


@contextmanager
def record_failures(result: ItemResult) -> Iterator[None]:
    """Record the errors of the block as failures in ``result``; errors that the item did not cause are raised."""
    item = result.item
    try:
        yield
    except MediaError as error:
        stage = "disk" if _is_full(error) else error.stage
        result.failures.append(Failure(str(item.key), stage, str(error)))
    except OSError as error:
        stage = "disk" if _is_full(error) else "write"
        text = f"{shown(item.path)}: its results cannot be written ({error.strerror or error})"
        if error.errno == errno.EAGAIN:
            text = f"{shown(item.path)}: {NO_THREADS}"
        result.failures.append(Failure(str(item.key), stage, text))
    except (FermediaError, LongError):  # the model or the options are wrong; LongError is no failure
        raise
    except Exception as error:  # an error in this program or a library fails only this item, not the whole run
        text = f"{shown(item.path)}: {NO_THREADS}" if is_no_thread(error) else str(as_media_error(item.path, error))
        result.failures.append(Failure(str(item.key), "internal", text))


def _expected(info: MediaInfo, options: AnalyzeOptions) -> int | None:
    """The approximate number of frames in the chosen part of a video, for the progress display only."""
    rate, duration = info.average_rate, info.duration
    if not rate or not duration:
        return info.frames
    begin, end = options.start or 0.0, min(duration, options.end or duration)
    return max(1, round(float(rate) * (end - begin)))


def plain(info: MediaInfo) -> dict[str, Any]:
    """The metadata as plain values for JSON."""
    return asdict(info) | {"average_rate": str(info.average_rate) if info.average_rate else None}


def _check_unchanged(item: MediaItem, before: Sequence[FileState], result: ItemResult) -> None:
    """Check whether the files of an item changed while they were read.

    A changed photo is recorded as a failure. For a changed video, MediaError is raised, since it is unknown which of
    its frames are affected. A video that vanished was read to its end: its results are valid, with a failure recorded.
    """
    for file, was, now in zip(item.files, before, file_states(item.files), strict=True):
        if was == now or was is None:
            continue
        text = f"{shown(file)}: {'changed' if now else 'vanished'} while it was read"
        if item.kind == "photos" and now:
            result.failures.append(Failure(str(item.key / file.name), "read", text))
        elif now:
            raise MediaError(f"{text}; give the same command again when it is complete", "read")
        elif item.kind != "photos":  # a photo was read completely, or its failure is already recorded
            result.failures.append(Failure(str(item.key), "read", text))


def _is_full(error: BaseException | None) -> bool:
    """Whether a full disk or an exceeded quota caused an error."""
    while error is not None:
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):  # FFmpeg's errors also have an errno
            return True
        error = error.__cause__
    return False
