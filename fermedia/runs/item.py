"""One item to its files: all of them or none.

An item is worked in a staging folder and moved to its place by one rename, so whatever stands below ``items/``
is finished.
"""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import fermedia
from fermedia.errors import FermediaError, MediaError
from fermedia.files import shown, write_json
from fermedia.machine import cores
from fermedia.media.photos import further_pictures, pixels, read_photo
from fermedia.media.sequence import SequenceReader
from fermedia.media.video import VideoReader
from fermedia.options import AnalyzeOptions
from fermedia.outputs.finished import DESCRIPTION
from fermedia.outputs.photos import PhotoWriter
from fermedia.outputs.previews import FOLDER, FilmPreviews, PhotoPreviews
from fermedia.outputs.timeline import TimelineWriter
from fermedia.outputs.video import FilmWriter
from fermedia.runs.derive import derive
from fermedia.runs.folder import put
from fermedia.runs.ledger import Failure
from fermedia.runs.source import Look, look
from fermedia.threads import Lane, in_order
from fermedia.types import Frame, MediaInfo, MediaItem, Observation, Picture
from fermedia.vision.classify import Classifier
from fermedia.vision.detect import FaceDetector
from fermedia.vision.observe import MOST_PIXELS, Observer
from fermedia.vision.smooth import steadied

#: So many files are named where something is said of many.
_MOST_NAMES = 10

#: Called once with the expected number of frames (None if unknown), then with 1 after every frame, or with the shares
#: of it that are done.
OnFrames = Callable[[int | None, float], None]


@dataclass
class ItemResult:
    """What became of an item. ``folder`` is None when nothing of it could be read."""

    item: MediaItem
    folder: Path | None = None
    frames: int = 0
    analysed: int = 0
    with_face: int = 0
    faces: int = 0
    seconds: float = 0.0
    end: float | None = None
    failures: list[Failure] = field(default_factory=list)

    def begin_anew(self) -> None:
        """Forget the frames that were counted."""
        self.frames = self.analysed = self.with_face = self.faces = 0

    def add(self, frame: Frame, observations: Sequence[Observation] | None) -> None:
        """Count a frame and what was seen in it, None where it was not analysed."""
        self.frames += 1
        if observations is not None:
            self.analysed += 1
            self.with_face += bool(observations)
            self.faces += len(observations)
        if frame.time is not None:
            self.end = frame.time + (frame.duration or 0)


class _LargerError(Exception):
    """A film needs a picture of this ``size`` (width, height)."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__(size)
        self.size = size


class Engine:
    """The detector and the classifier, loaded once and used for many items. A context manager."""

    def __init__(self, options: AnalyzeOptions) -> None:
        self.options = options
        self.classifier = Classifier.load(options.model, options.labels)
        detector = partial(FaceDetector, options.detection_confidence, options.detector, options.runtime)
        self.observer = Observer(self.classifier, detector, options.min_face, gives_way=options.video)
        self._readers = ThreadPoolExecutor(cores(), "read")

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._readers.shutdown(cancel_futures=True)
        self.observer.close()

    def run(self, item: MediaItem, staging: Path, place: Path, on_frames: OnFrames) -> ItemResult:
        """Analyse ``item`` in the folder ``staging`` and move it to ``place``. What fails is in the result."""
        result = ItemResult(item)
        begun = time.monotonic()
        before = look(item.files)
        with noted(result):
            try:
                staging.mkdir(parents=True)
                details = (
                    self._photos(item, staging, result, on_frames)
                    if item.kind == "photos"
                    else self._film(item, staging, result, on_frames)
                )
                result.seconds = time.monotonic() - begun
                _check_unchanged(item, before, result)
                if result.frames:
                    self.complete(result, staging, place, details)
            finally:
                shutil.rmtree(staging, ignore_errors=True)
        return result

    def complete(self, result: ItemResult, staging: Path, place: Path, details: dict[str, Any]) -> None:
        """Describe an item whose outputs are all in ``staging``, and move them to their place."""
        self._describe(staging / DESCRIPTION, result, details)
        derive(staging, str(result.item.key), self.options)
        put(staging, place)
        result.folder = place

    def _film(self, item: MediaItem, staging: Path, result: ItemResult, on_frames: OnFrames) -> dict[str, Any]:
        """What is to be said of a film in its description. One whose frames grow is begun anew in a larger size."""
        size: tuple[int, int] | None = None
        while True:
            try:
                return self._film_of(size, item, staging, result, on_frames)
            except _LargerError as error:
                size = error.size
                result.begin_anew()
                shutil.rmtree(staging)
                staging.mkdir()

    def _film_of(
        self, size: tuple[int, int] | None, item: MediaItem, staging: Path, result: ItemResult, on_frames: OnFrames
    ) -> dict[str, Any]:
        options = self.options
        with self._open(item, size) as reader, ExitStack() as stack:
            timeline = stack.enter_context(TimelineWriter(staging / "timeline.csv", str(item.path)))
            previews = stack.enter_context(FilmPreviews(staging / FOLDER))
            film, lane = None, Lane()
            if options.video:
                sound = item.path if item.kind == "video" else None
                span = options.start, options.end
                film = FilmWriter(
                    staging / "annotated.mp4", sound, reader.info, *span, lane, reader.seams, options.undecided
                )
                stack.enter_context(film)
            on_frames(_expected(reader.info, options), 0)
            observed = stack.enter_context(closing(self.observer.observe(reader.frames(options), lane=lane)))
            for frame, raw, steady in steadied(observed, options.smooth):
                if reader.larger:
                    raise _LargerError(reader.larger)
                timeline.write(frame, raw)
                previews.write(frame, steady)
                if film:
                    film.write(frame, steady)
                result.add(frame, raw)
                on_frames(None, 1)
        warning, info = reader.warning, reader.info
        if not result.frames:
            raise MediaError(f"{shown(item.path)}: {warning or 'holds no frame in the chosen span'}", "decode")
        for stage, text in (("decode", warning), ("sound", film.warning if film else None)):
            if text:
                result.failures.append(Failure(str(item.key), stage, f"{shown(item.path)}: {text}"))
        notes = [*reader.notes, *(film.notes if film else ())]
        return {"media": plain(info), "warning": "; ".join(filter(None, [warning, *notes])) or None, "notes": notes}

    def _photos(self, item: MediaItem, staging: Path, result: ItemResult, on_frames: OnFrames) -> dict[str, Any]:
        def frames() -> Generator[Frame]:
            pictures = in_order(lambda path: self._readers.submit(_read, path), item.files, _weight, 1.0)
            with closing(pictures):
                for index, (path, picture) in enumerate(zip(item.files, pictures, strict=True)):
                    if isinstance(picture, MediaError):
                        result.failures.append(Failure(str(item.key / path.name), picture.stage, str(picture)))
                    else:
                        yield Frame(index, None, picture, name=path.name)

        on_frames(len(item.files), 0)
        with ExitStack() as stack:
            # What may fail comes first: then the picture is not in the tables.
            sinks: list[Any] = [stack.enter_context(PhotoPreviews(staging / FOLDER))]
            if self.options.video:
                sinks.insert(0, stack.enter_context(PhotoWriter(staging / "annotated", self.options.undecided)))
            sinks.append(stack.enter_context(TimelineWriter(staging / "timeline.csv", str(item.path))))
            pictures = stack.enter_context(closing(frames()))
            for frame, observations in stack.enter_context(closing(self.observer.observe(pictures, follow=False))):
                try:
                    for sink in sinks:
                        sink.write(frame, observations)
                except MediaError as error:  # it costs this picture, not its folder
                    if _is_full(error):
                        raise
                    result.failures.append(Failure(str(item.key / str(frame.name)), error.stage, str(error)))
                else:
                    result.add(frame, observations)
                on_frames(None, 1)
        notes = _further(item)
        return {"pictures": len(item.files), "warning": "; ".join(notes) or None, "notes": notes}

    def _open(self, item: MediaItem, size: tuple[int, int] | None) -> VideoReader | SequenceReader:
        if item.kind == "sequence":
            return SequenceReader(item, self.options.sequence_fps or 1, size)
        return VideoReader(item.path, size)

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


@contextmanager
def noted(result: ItemResult) -> Iterator[None]:
    """What fails within is noted in the result. Raises what is no item's fault."""
    item = result.item
    try:
        yield
    except MediaError as error:
        stage = "disk" if _is_full(error) else error.stage
        result.failures.append(Failure(str(item.key), stage, str(error)))
    except OSError as error:
        stage = "disk" if _is_full(error) else "write"
        text = f"{shown(item.path)}: its results cannot be written ({error.strerror or error})"
        result.failures.append(Failure(str(item.key), stage, text))
    except FermediaError:  # the model, the options
        raise
    except Exception as error:  # a fault of ours, or of a library's, costs its item and not the night's run
        text = f"{shown(item.path)}: {type(error).__name__}: {error} (a fault in fermedia; please report it)"
        result.failures.append(Failure(str(item.key), "internal", text))


def _read(path: Path) -> Picture | MediaError:
    """A photo, or why there is none: the others of its folder go on."""
    try:
        return read_photo(path)
    except MediaError as error:
        return error


def _further(item: MediaItem) -> list[str]:
    """What to say of files that hold more pictures than the one that is looked at."""
    several = [(path, count) for path in item.files if (count := further_pictures(path))]
    if not several:
        return []
    names = ", ".join(f"{shown(path)}: {count} more" for path, count in several[:_MOST_NAMES])
    more = f" and {len(several) - _MOST_NAMES} other files" if len(several) > _MOST_NAMES else ""
    return [f"of files with several pages or pictures only the first is read ({names}{more})"]


def _weight(path: Path) -> float:
    """The share that a photo takes of what may be read ahead."""
    return max(pixels(path) / MOST_PIXELS, 1 / cores())


def _expected(info: MediaInfo, options: AnalyzeOptions) -> int | None:
    """About how many frames the chosen span has, for the progress display only."""
    rate, duration = info.average_rate, info.duration
    if not rate or not duration:
        return info.frames
    begin, end = options.start or 0.0, min(duration, options.end or duration)
    return max(1, round(float(rate) * (end - begin)))


def plain(info: MediaInfo) -> dict[str, Any]:
    return asdict(info) | {"average_rate": str(info.average_rate) if info.average_rate else None}


def _check_unchanged(item: MediaItem, before: Sequence[Look], result: ItemResult) -> None:
    """Note the pictures that changed meanwhile; of a film, raise MediaError: no part of it can be told from another.

    What has gone was read to its end: its results count, and say so.
    """
    for file, was, now in zip(item.files, before, look(item.files), strict=True):
        if was == now or was is None:
            continue
        text = f"{shown(file)}: {'changed' if now else 'vanished'} while it was read"
        if item.kind == "photos" and now:
            result.failures.append(Failure(str(item.key / file.name), "read", text))
        elif now:
            raise MediaError(f"{text}; give the same command again when it is complete", "read")
        elif item.kind != "photos":  # a picture was read in one go, or its failure is there already
            result.failures.append(Failure(str(item.key), "read", text))


def _is_full(error: BaseException | None) -> bool:
    """Whether a full disk is behind an error."""
    while error is not None:
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):  # FFmpeg's errors have one too
            return True
        error = error.__cause__
    return False
