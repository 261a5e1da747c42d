"""The Python interface: analyse a recording frame by frame (``observe``) or as a table (``analyze``).

Neither writes anything to disk, nor changes settings of the calling process.
"""

from __future__ import annotations

import atexit
import inspect
import re
import sys
import threading
import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, fields, replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, Protocol, TypeVar
from weakref import WeakSet

from fermedia.columns import MEASURED
from fermedia.errors import MediaError, MediaWarning, UsageError
from fermedia.files import shown
from fermedia.media.find import find_items
from fermedia.options import ObserveOptions, type_hints
from fermedia.pipeline import LargerError, Pipeline, left_aside, nothing_in
from fermedia.render.colors import EMOTION_COLORS
from fermedia.tables.measures import as_measures
from fermedia.tables.timeline import as_timeline
from fermedia.types import EMOTIONS, MediaItem, Observation

if TYPE_CHECKING:
    import pandas as pd

P = ParamSpec("P")
T = TypeVar("T", covariant=True)


class _OfPath(Protocol[P, T]):
    """A function of a path and options."""

    def __call__(self, path: str | Path, *args: P.args, **given: P.kwargs) -> T: ...


@dataclass(frozen=True, eq=False)
class FrameResult:
    """The result for one analysed frame.

    Attributes:
        source: Path of the recording; for photos the file name.
        index: Index among the decoded frames, from 0, regardless of sampling; for photos, in the folder.
        time: Time in seconds, as a player shows it; None for photos.
        width: Width in pixels of the upright image that boxes and key points refer to.
        height: Height in pixels of that image.
        observations: The faces, ordered by ``face_id``; empty if there is none. Each has ``face`` (``box``,
            ``confidence``, ``keypoints``), ``face_id``, ``probabilities``, ``smoothed``, ``emotion``, ``valence`` and
            ``quality``, and ``measures`` and ``landmarks`` if requested.
    """

    source: str
    index: int
    time: float | None
    width: int
    height: int
    observations: tuple[Observation, ...]

    def _repr_html_(self) -> str:
        """Show the boxes of the faces in the colours of their emotions, and their probabilities as bars."""
        when = "" if self.time is None else f", {self.time:.2f} s"
        boxes, rows = [], []
        for o in self.observations:
            box, p = o.face.box, o.smoothed if o.smoothed is not None else o.probabilities
            color = "#888" if p is None else EMOTION_COLORS[EMOTIONS[int(p.argmax())]]
            place = f'x="{box.x:.0f}" y="{box.y:.0f}" width="{box.width:.0f}" height="{box.height:.0f}"'
            stroke = f'fill="none" stroke="{color}" stroke-width="{max(self.width, self.height) / 80:.1f}"'
            boxes.append(f"<rect {place} {stroke}/>")
            said, bars = f"not classified: {o.quality}", ""
            if p is not None:
                said = f"{EMOTIONS[int(p.argmax())]} {p.max():.0%}"
                parts = zip(EMOTIONS, p.tolist(), strict=True)
                bars = "".join(
                    f'<span title="{name} {share:.0%}" style="display:inline-block;height:1em;'
                    f'width:{share * 12:.2f}em;background:{EMOTION_COLORS[name]}"></span>'
                    for name, share in parts
                )
            rows.append(f"<tr><td>{o.face_id}</td><td>{said}</td><td>{bars}</td></tr>")
        view = f'viewBox="0 0 {self.width} {self.height}" width="240" style="background:#ddd"'
        return (
            f"<div>{escape(self.source)}, frame {self.index}{when}</div><svg {view}>{''.join(boxes)}</svg>"
            f"<table><tr><th>face</th><th>emotion</th><th></th></tr>{''.join(rows)}</table>"
        )


def _takes(
    options: Callable[P, ObserveOptions],
) -> Callable[[Callable[[Path, ObserveOptions], T]], _OfPath[P, T]]:
    """Decorate a function of a path and an options object so that it takes the options as keyword arguments.

    Names, defaults and help texts are thus defined in the option class only, and still shown by ``help`` and editors.
    """
    hints = type_hints(ObserveOptions)
    parameters = [inspect.Parameter("path", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=str | Path)]
    text = ["    path: A video, a photo, or a folder, which is searched recursively."]
    for item in fields(ObserveOptions):
        hint = hints[item.name]
        if item.metadata.get("kind") in ("time", "folder"):  # may also be given as text
            hint |= str
        keyword = inspect.Parameter.KEYWORD_ONLY
        parameters.append(inspect.Parameter(item.name, keyword, default=item.default, annotation=hint))
        choices = ", ".join(item.metadata.get("choices") or ())
        text.append(f"    {item.name}: {item.metadata['help']}" + (f" One of {choices}." if choices else ""))

    def decorate(function: Callable[[Path, ObserveOptions], T]) -> _OfPath[P, T]:
        def called(path: str | Path, *args: P.args, **given: P.kwargs) -> T:
            if unknown := sorted(given.keys() - {item.name for item in fields(ObserveOptions)}):
                known = ", ".join(sorted(item.name for item in fields(ObserveOptions)))
                raise UsageError(f"{function.__name__} has no option {', '.join(unknown)}; there are: {known}")
            try:
                chosen = options(*args, **given)
            except UsageError as error:  # its message has the flags of the command line
                raise UsageError(re.sub("--([a-z-]+)", lambda m: m[1].replace("-", "_"), str(error))) from None
            return function(Path(path), chosen)

        called.__name__ = called.__qualname__ = function.__name__
        called.__module__ = __name__
        begin, _, end = re.split(r"\n\n(?=(Yields|Returns):)", inspect.cleandoc(function.__doc__ or ""), maxsplit=1)
        called.__doc__ = f"{begin}\n\nArgs:\n" + "\n".join(text) + f"\n\n{end}"
        called.__signature__ = inspect.signature(function).replace(parameters=parameters)  # type: ignore[attr-defined]
        return called

    return decorate


@_takes(ObserveOptions)
def observe(path: Path, options: ObserveOptions) -> Generator[FrameResult]:
    """Observe a recording frame by frame, lazily. Writes nothing to the disk.

    It accepts the same inputs as ``fermedia analyze``. The values are those of ``timeline.csv``, unrounded; in videos
    longer than ten minutes, which the command divides into spans, boxes may differ by fractions of a pixel. Closing or
    dropping the generator ends its threads. What cannot be read is left out with a warning (``MediaWarning``).

    Yields:
        A result for each analysed frame (``every``, ``fps``, ``start``, ``end``). Those of a video come half of
        ``smooth`` seconds late, since ``smoothed`` depends on later frames. If the frames of a video become larger on
        the way, ``width`` and ``height`` change.

    Raises:
        UsageError: An option is wrong, or nothing to analyse is found.
        MediaError: Nothing can be read.
        ModelError: The model cannot be loaded.
    """
    results = _observed(find_items([path], sequences=options.sequence_fps is not None), options)
    _open.add(results)
    return results


@_takes(ObserveOptions)
def analyze(path: Path, options: ObserveOptions) -> pd.DataFrame:
    """Analyse a video, a photo or a folder. Writes nothing to the disk.

    Returns:
        The timeline as a table, with the columns and values of ``timeline.csv`` (docs/columns.md): a row for each face
        of each analysed frame, and one for a frame without a face. With ``measures`` the columns of ``measures.csv``
        follow; ``landmarks`` are only given by ``observe``.

    Raises:
        UsageError: An option is wrong, or nothing to analyse is found.
        MediaError: Nothing can be read.
        ModelError: The model cannot be loaded.
    """
    rows: list[tuple[str, int, float | None, Sequence[Observation]]] = []

    def anew(source: str) -> None:
        rows[:] = [row for row in rows if row[0] != source]

    items = find_items([path], sequences=options.sequence_fps is not None)
    with closing(_observed(items, replace(options, landmarks=False), anew)) as results:
        for result in results:  # one by one: when a video begins again, ``anew`` must find its earlier rows
            rows.append((result.source, result.index, result.time, result.observations))
    timeline = as_timeline(rows)
    return timeline.join(as_measures(rows)[list(MEASURED)]) if options.measures else timeline


#: The generators of ``observe`` that are still referenced.
_open: WeakSet[Generator[FrameResult]] = WeakSet()


def _close_all() -> None:
    """Close open generators when Python exits: Python would wait for their threads, which wait for a consumer."""
    for results in list(_open):
        with suppress(ValueError):  # it is running, in another thread
            results.close()


# Functions registered with atexit run only after Python has waited for the threads of pools, so use the earlier hook.
getattr(threading, "_register_atexit", atexit.register)(_close_all)

#: Called with a video's source when its analysis starts again because frames are larger: earlier results are void.
Anew = Callable[[str], None]


def _observed(items: Sequence[MediaItem], options: ObserveOptions, anew: Anew | None = None) -> Generator[FrameResult]:
    """Analyse all items. A failing item does not affect the others; if none can be read, the first error is raised."""
    failures: list[MediaError] = []
    seen = False
    with Pipeline(options) as pipeline:
        for item in items:
            photos = item.kind == "photos"
            results = _photos(pipeline, item, failures) if photos else _video(pipeline, item, anew)
            try:
                with closing(results):
                    for result in results:
                        seen = True
                        _warn_of(failures)
                        yield result
            except MediaError as error:
                if len(items) == 1:
                    raise
                failures.append(error)
            if seen:
                _warn_of(failures)
    if failures:
        first, *others = failures
        _warn_of(others)
        raise first


def _video(pipeline: Pipeline, item: MediaItem, anew: Anew | None) -> Generator[FrameResult]:
    source, last, size = str(item.path), -1, None
    while True:
        try:
            frames = 0
            with pipeline.open(item, size) as reader, closing(pipeline.video(reader)) as smoothed_frames:
                for frame, raw, smoothed in smoothed_frames:
                    frames += 1
                    if raw is None or smoothed is None or frame.index <= last:
                        continue
                    last, image = frame.index, frame.image
                    faces = (replace(o, smoothed=s.probabilities) for o, s in zip(raw, smoothed, strict=True))
                    yield FrameResult(source, last, frame.time, image.width, image.height, tuple(faces))
            break
        except LargerError as error:
            size = error.size
            if anew:
                last = -1
                anew(source)
    if not frames:
        raise nothing_in(item, reader.warning)
    for text in filter(None, (reader.warning, *reader.notes)):
        _warn(f"{shown(item.path)}: {text}")


def _photos(pipeline: Pipeline, item: MediaItem, failures: list[MediaError]) -> Generator[FrameResult]:
    with closing(pipeline.photos(item, lambda _, error: failures.append(error))) as observed:
        for frame, found in observed:
            faces = tuple(replace(o, smoothed=o.probabilities) for o in found or ())
            image = frame.image
            yield FrameResult(str(frame.name), frame.index, None, image.width, image.height, faces)
    for text in left_aside(item):
        _warn(f"{shown(item.path)}: {text}")


def _warn_of(failures: list[MediaError]) -> None:
    while failures:
        _warn(str(failures.pop(0)))


def _warn(text: str) -> None:
    """Warn with the location of the caller's line, skipping the frames of fermedia itself."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] == "fermedia":
        frame, level = frame.f_back, level + 1
    warnings.warn(text, MediaWarning, stacklevel=level)
