"""The analysis of a recording, frame by frame, without writing files; used by both the batch and the library.

reader -> ``vision.observe`` (detect, classify, track) -> ``tables.smooth``
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Self

from fermedia.errors import MediaError
from fermedia.files import shown
from fermedia.machine import cores
from fermedia.media.find import refused
from fermedia.media.images import further_images, pixels
from fermedia.media.photos import read_photo
from fermedia.media.sequence import SequenceReader
from fermedia.media.video import VideoReader
from fermedia.options import ObserveOptions
from fermedia.tables.smooth import smoothed_frames
from fermedia.threads import SerialQueue, in_order
from fermedia.types import Box, Frame, Image, MediaItem, Observation, Reader
from fermedia.vision.classify import Classifier
from fermedia.vision.detect import FaceDetector
from fermedia.vision.observe import MOST_PIXELS, Observer
from fermedia.vision.quality import Limits
from fermedia.vision.tiles import overlaps

#: Maximum number of files named in a message about many.
_MOST_NAMES = 10

Observed = tuple[Frame, list[Observation] | None]
"""A frame and its observations, sorted by ``face_id``; None if the frame was not sampled."""

SmoothedFrame = tuple[Frame, list[Observation] | None, list[Observation] | None]
"""A frame, its observations, and the same observations with smoothed probabilities."""

Keep = Callable[[list[Observation]], list[Observation]]
"""Chooses among the observations of a frame."""

Seeing = Callable[[Iterator[Frame]], Generator[Observed]]
"""Gives the observations of frames, for example from an existing timeline."""


class LargerError(Exception):
    """A video has frames larger than its reader's: it must be opened again with ``size`` (width, height)."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__(size)
        self.size = size


class Pipeline:
    """The networks, loaded once and used for many recordings, one at a time. A context manager.

    Args:
        options: What to observe.
        owns_process: Whether the process belongs to fermedia alone. Its threads are then bound to processors;
            otherwise nothing in the process is changed.
        landmarks: Give the landmarks even if ``options`` do not ask for them, so that they can be drawn.
        low_priority: With ``owns_process``, give the threads a lower priority than the others of the process.

    Raises:
        ModelError: The model cannot be loaded.
        UsageError: The model does not have the labels asked for.
    """

    def __init__(
        self,
        options: ObserveOptions,
        *,
        owns_process: bool = False,
        landmarks: bool = False,
        low_priority: bool = False,
    ) -> None:
        self.options = options
        self.classifier = Classifier.load(options.model, options.labels)
        self._region = Box(*map(int, options.region.split(","))) if options.region else None
        detector = partial(FaceDetector, options.detection_confidence, options.detector, options.runtime)
        self.observer = Observer(
            self.classifier,
            detector,
            Limits(options.min_face, options.max_yaw, options.max_pitch),
            options.measures,
            options.landmarks or landmarks,
            region=self._region,
            low_priority=low_priority,
            owns_process=owns_process,
        )
        self._readers = ThreadPoolExecutor(cores(), "read")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._readers.shutdown(cancel_futures=True)
        self.observer.close()

    def open(self, item: MediaItem, size: tuple[int, int] | None = None) -> Reader:
        """Open a video, or numbered images that form one.

        Args:
            item: The video or sequence.
            size: Width and height of the frames in pixels; the first frame's if None.

        Raises:
            MediaError: It cannot be read, or the region lies outside its image.
        """
        if item.kind == "folder":
            raise refused(item.path)
        reader: Reader
        if item.kind == "sequence":
            reader = SequenceReader(item, self.options.sequence_fps or 1, size)
        else:
            reader = VideoReader(item.path, size)
        if self._region and not overlaps(self._region, reader.info.width, reader.info.height):
            with reader:
                raise self._outside(item, f"the image, which has {reader.info.width}x{reader.info.height} pixels")
        return reader

    def video(
        self,
        reader: Reader,
        serial_queue: SerialQueue | None = None,
        seeing: Seeing | None = None,
        keep: Keep | None = None,
    ) -> Generator[SmoothedFrame]:
        """Analyse a video.

        Args:
            reader: The open video.
            serial_queue: Further work, which the observer's threads do beside their own.
            seeing: Gives the observations instead of the networks.
            keep: Chooses among the observations.

        Yields:
            Every frame once, in order.

        Raises:
            LargerError: A frame is larger than the reader's size.
        """
        frames = reader.frames(self.options)
        with closing(
            seeing(frames) if seeing else self.observer.observe(frames, serial_queue=serial_queue)
        ) as observed:
            for smoothed in smoothed_frames(kept(observed, keep), self.options.smooth):
                if reader.larger:
                    raise LargerError(reader.larger)
                yield smoothed

    def photos(
        self,
        item: MediaItem,
        failed: Callable[[Path, MediaError], None],
        seeing: Seeing | None = None,
        keep: Keep | None = None,
    ) -> Generator[Observed]:
        """Analyse the photos of a folder.

        Args:
            item: The folder.
            failed: Called with the path and the error of each photo that fails; these are left out.
            seeing: Gives the observations instead of the networks.
            keep: Chooses among the observations.

        Yields:
            Each photo, in order, with its observations.

        Raises:
            MediaError: The region lies outside the images of all photos.
        """

        reached = read = 0

        def frames() -> Generator[Frame]:
            nonlocal reached, read
            images = in_order(lambda path: self._readers.submit(_read, path), item.files, _weight, 1.0)
            with closing(images):
                for index, (path, image) in enumerate(zip(item.files, images, strict=True)):
                    if isinstance(image, MediaError):
                        failed(path, image)
                    else:
                        read += 1
                        reached += self._has_region(image.width, image.height)
                        yield Frame(index, None, image, name=path.name)

        def on_fault(frame: Frame, error: Exception) -> None:
            path = item.path / str(frame.name)
            failed(path, as_media_error(path, error))

        with closing(frames()) as images:
            seen = seeing(images) if seeing else self.observer.observe(images, follow=False, on_fault=on_fault)
            with closing(seen) as observed:
                yield from kept(observed, keep)
        if read and not reached:
            raise self._outside(item, "every photo's image" if read > 1 else "the photo's image")

    def _has_region(self, width: int, height: int) -> bool:
        """Whether any of the region, if there is one, lies in an image of this size."""
        return self._region is None or overlaps(self._region, width, height)

    def _outside(self, item: MediaItem, image: str) -> MediaError:
        return MediaError(f"{shown(item.path)}: the region {self.options.region} lies outside {image}", "read")


def kept(observed: Iterable[Observed], keep: Keep | None) -> Iterator[Observed]:
    """The frames with those observations that ``keep`` chooses; all of them without it."""
    for frame, seen in observed:
        yield frame, seen if keep is None or seen is None else keep(seen)


def left_aside(item: MediaItem) -> Iterator[str]:
    """Messages about files of a folder that contain more images than the one that is analysed."""
    several = [(path, count) for path in item.files if (count := further_images(path))]
    if several:
        names = ", ".join(f"{shown(path)}: {count} more" for path, count in several[:_MOST_NAMES])
        more = f" and {len(several) - _MOST_NAMES} other files" if len(several) > _MOST_NAMES else ""
        yield f"of files with several pages or images only the first is read ({names}{more})"


def nothing_in(item: MediaItem, warning: str | None) -> MediaError:
    """The error for a video without a frame; ``warning`` is its reader's warning."""
    return MediaError(f"{shown(item.path)}: {warning or 'has no frame in the chosen range of time'}", "decode")


def as_media_error(path: Path, error: Exception) -> MediaError:
    """Convert an error about one file to a MediaError; an unexpected error is reported as a bug in fermedia."""
    if isinstance(error, MediaError):
        return error
    text = f"{shown(path)}: {type(error).__name__}: {error} (a bug in fermedia; please report it)"
    return MediaError(text, "internal")


def _read(path: Path) -> Image | MediaError:
    """Read a photo; return the error if that fails, so that the others of its folder are still analysed."""
    try:
        return read_photo(path)
    except Exception as error:
        return as_media_error(path, error)


def _weight(path: Path) -> float:
    """The share of the read-ahead limit that a photo takes."""
    return max(pixels(path) / MOST_PIXELS, 1 / cores())
