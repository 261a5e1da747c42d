"""One item to its files: all of them or none.

An item is worked in a staging folder and moved to its place by one rename, so whatever stands below ``items/``
is finished.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import fermedia
from fermedia.errors import FermediaError, MediaError
from fermedia.files import shown, write_json
from fermedia.media.photos import read_photo
from fermedia.media.video import VideoReader
from fermedia.options import AnalyzeOptions
from fermedia.outputs.photos import PhotoWriter
from fermedia.outputs.timeline import TimelineWriter
from fermedia.outputs.video import FilmWriter
from fermedia.threads import ahead, cores, in_order
from fermedia.types import Frame, MediaInfo, MediaItem, Picture
from fermedia.vision.classify import Classifier
from fermedia.vision.detect import FaceDetector
from fermedia.vision.observe import Observer
from fermedia.vision.track import Tracker

#: Decoded frames that may wait to be looked at.
_AHEAD = 4

#: Called once with the expected number of frames (None if unknown), then with 1 after every frame.
OnFrames = Callable[[int | None, int], None]


@dataclass(frozen=True)
class Failure:
    """Something that could not be done: a row of failures.csv."""

    item: str
    stage: str
    error: str


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


class Engine:
    """The detector and the classifier, loaded once and used for many items. A context manager."""

    def __init__(self, options: AnalyzeOptions) -> None:
        self.options = options
        self.classifier = Classifier.load(options.model, options.labels)
        self._observer = Observer(self.classifier, lambda: FaceDetector(options.detection_confidence))
        self._readers = ThreadPoolExecutor(cores(), "read")

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._readers.shutdown(cancel_futures=True)
        self._observer.close()

    def run(self, item: MediaItem, staging: Path, place: Path, on_frames: OnFrames) -> ItemResult:
        """Analyse ``item`` in the folder ``staging`` and move it to ``place``. What fails is in the result."""
        result = ItemResult(item)
        begun = time.monotonic()
        staging.mkdir(parents=True)
        try:
            details = (
                self._video(item, staging, result, on_frames)
                if item.kind == "video"
                else self._photos(item, staging, result, on_frames)
            )
            result.seconds = time.monotonic() - begun
            if result.frames:
                self._describe(staging / "item.json", result, details)
                _move(staging, place)
                result.folder = place
        except MediaError as error:
            result.failures.append(Failure(str(item.key), error.stage, str(error)))
        except OSError as error:
            result.failures.append(Failure(str(item.key), "write", f"{shown(item.path)}: {error}"))
        except FermediaError:  # not this item's: the model, the options
            raise
        except Exception as error:  # a fault of ours, or of a library's, costs its item and not the night's run
            text = f"{shown(item.path)}: {type(error).__name__}: {error} (a fault in fermedia; please report it)"
            result.failures.append(Failure(str(item.key), "internal", text))
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        return result

    def _video(self, item: MediaItem, staging: Path, result: ItemResult, on_frames: OnFrames) -> dict[str, Any]:
        options = self.options
        with VideoReader(item.path) as reader, ExitStack() as stack:
            sinks: list[Any] = [stack.enter_context(TimelineWriter(staging / "timeline.csv", str(item.path)))]
            film = None
            if options.video:
                film = FilmWriter(staging / "annotated.mp4", item.path, reader.info, options.start, options.end)
                sinks.append(stack.enter_context(film))
            on_frames(_expected(reader.info, options), 0)
            self._look(ahead(reader.frames(options), _AHEAD), Tracker(), sinks, result, on_frames)
        warning, info = reader.warning, reader.info
        if not result.frames:
            raise MediaError(f"{shown(item.path)}: {warning or 'holds no frame in the chosen span'}", "decode")
        for stage, text in (("decode", warning), ("sound", film.warning if film else None)):
            if text:
                result.failures.append(Failure(str(item.key), stage, f"{shown(item.path)}: {text}"))
        return {"media": _plain(info), "warning": warning}

    def _photos(self, item: MediaItem, staging: Path, result: ItemResult, on_frames: OnFrames) -> dict[str, Any]:
        def frames() -> Generator[Frame]:
            pictures = in_order(self._readers, _read, item.files, lambda _: 1, cores())
            with closing(pictures):
                for index, (path, picture) in enumerate(zip(item.files, pictures, strict=True)):
                    if isinstance(picture, MediaError):
                        result.failures.append(Failure(str(item.key / path.name), picture.stage, str(picture)))
                    else:
                        yield Frame(index, None, picture, name=path.name)

        on_frames(len(item.files), 0)
        with ExitStack() as stack:
            sinks: list[Any] = [stack.enter_context(TimelineWriter(staging / "timeline.csv", str(item.path)))]
            if self.options.video:
                sinks.append(stack.enter_context(PhotoWriter(staging / "annotated")))
            self._look(frames(), None, sinks, result, on_frames)
        return {"pictures": len(item.files)}

    def _look(
        self,
        frames: Generator[Frame],
        tracker: Tracker | None,
        sinks: list[Any],
        result: ItemResult,
        on_frames: OnFrames,
    ) -> None:
        with closing(frames), closing(self._observer.observe(frames, tracker)) as observed:
            for frame, observations in observed:
                for sink in sinks:
                    sink.write(frame, observations)
                result.frames += 1
                if observations is not None:
                    result.analysed += 1
                    result.with_face += bool(observations)
                    result.faces += len(observations)
                if frame.time is not None:
                    result.end = frame.time + (frame.duration or 0)
                on_frames(None, 1)

    def _describe(self, path: Path, result: ItemResult, details: dict[str, Any]) -> None:
        record = {
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


def _read(path: Path) -> Picture | MediaError:
    """A photo, or why there is none: the others of its folder go on."""
    try:
        return read_photo(path)
    except MediaError as error:
        return error


def _expected(info: MediaInfo, options: AnalyzeOptions) -> int | None:
    """About how many frames the chosen span has, for the progress display only."""
    rate, duration = info.average_rate, info.duration
    if not rate or not duration:
        return info.frames
    begin, end = options.start or 0.0, min(duration, options.end or duration)
    return max(1, round(float(rate) * (end - begin)))


def _plain(info: MediaInfo) -> dict[str, Any]:
    return asdict(info) | {"average_rate": str(info.average_rate) if info.average_rate else None}


def _move(staging: Path, place: Path) -> None:
    """Put the finished folder in its place; what stood there goes only when the new one is complete."""
    place.parent.mkdir(parents=True, exist_ok=True)
    old = staging.with_name(staging.name + ".old")
    if place.exists():
        place.replace(old)
    staging.replace(place)
    shutil.rmtree(old, ignore_errors=True)
