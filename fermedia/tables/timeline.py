"""Writing, reading and smoothing the timeline: a CSV with a row per face per analysed frame."""

from __future__ import annotations

import csv
import warnings
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TextIO

import numpy as np

from fermedia.columns import TIMELINE, TIMELINE_COLUMNS
from fermedia.errors import DataError, MissingExtraError, write_error
from fermedia.files import regular
from fermedia.tables.cells import cell
from fermedia.tables.smooth import smooth
from fermedia.types import EMOTIONS, Box, Face, Frame, Observation, valence

if TYPE_CHECKING:
    import pandas as pd

#: Upper limits of columns: a face may extend beyond an image's edge, and videos may begin before 0.
_MOST = (
    {"frame": 1e12, "timestamp": 1e9} | dict.fromkeys(("x", "y", "width", "height"), 1e7) | dict.fromkeys(EMOTIONS, 1)
)

#: The values of the emotions' columns and the two after them, if not classified.
_NOT_CLASSIFIED = [None] * (len(EMOTIONS) + 2)

#: Rounds a value to a number of decimals, to text or to a number.
_Rounded = Callable[[float, int], Any]


class TimelineWriter:
    """Writes ``timeline.csv``; a context manager and a sink.

    A row per face per analysed frame, in the order of ``TIMELINE_COLUMNS``; an analysed frame without a face has one
    row with ``success`` and ``judged`` 0 and the face's columns empty; frames that were not analysed have none. A face
    that is not classified has ``judged`` 0, its box, ID and quality, and empty emotions. ``person`` is empty: faces are
    named afterwards (``tables.people``).

    Seconds, probabilities, confidence and valence have six decimals, pixels two. The file is UTF-8 with line feeds;
    names are made safe by ``cells.cell``.

    Args:
        path: The file to write.
        source: The value of ``source`` for a video; photos have their own names there, and no timestamp.

    Raises:
        MediaError: The file cannot be written (stage ``write``).
    """

    def __init__(self, path: Path, source: str) -> None:
        self.path = path
        self._source = cell(source)
        self._file: TextIO | None = None

    def __enter__(self) -> Self:
        try:
            self._file = self.path.open("w", encoding="utf-8", newline="")
            self._rows = csv.writer(self._file, lineterminator="\n")
            self._rows.writerow(TIMELINE_COLUMNS)
        except OSError as error:
            raise write_error(self.path, self._source, error) from error
        return self

    def write(self, frame: Frame, observations: Sequence[Observation] | None) -> None:
        """Add the rows of a frame; none if it was not analysed (None)."""
        if observations is None:
            return
        source = self._source if frame.name is None else cell(frame.name)
        try:
            self._rows.writerows(_rows(source, frame.index, frame.time, observations, _decimal))
        except OSError as error:
            raise write_error(self.path, self._source, error) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._file is not None
        failed = error is not None
        try:
            self._file.close()
        except OSError as failure:
            failed = True
            if error is None:
                raise write_error(self.path, self._source, failure) from failure
        finally:
            if failed:
                self.path.unlink(missing_ok=True)


def read_timeline(path: str | Path) -> pd.DataFrame:
    """Read a timeline.

    Args:
        path: A ``timeline.csv`` or ``timeline.parquet``, or timelines that ``fermedia merge`` joined.

    Returns:
        A table with the columns of ``timeline.csv`` (docs/columns.md), after ``run``, ``item`` and participants
        (all text) if timelines were joined. ``frame`` is int64, ``face_id`` Int64 (missing where there is no face),
        ``success`` and ``judged`` bool, names, ``emotion``, ``quality`` and ``person`` text (the last two missing in
        timelines of older versions), all else float64 (NaN where empty).

    Raises:
        DataError: The file is missing, or not a timeline.
        MissingExtraError: The file is Parquet and pyarrow is not installed.
    """
    import pandas as pd

    types = _types()
    try:
        regular(Path(path))
        if Path(path).suffix == ".parquet":
            table = pd.read_parquet(path, engine="pyarrow").astype(types)
        else:
            # A file may be named "NA" or "null": only an empty field is a missing value.
            file = regular(Path(path))
            with warnings.catch_warnings():
                warnings.simplefilter("error", RuntimeWarning)  # of numbers that are too large
                table = pd.read_csv(
                    file,
                    dtype=defaultdict(lambda: "str", types),
                    keep_default_na=False,
                    na_values=[""],
                    encoding="utf-8",
                )
        added = [name for name in TIMELINE_COLUMNS if name not in (*TIMELINE.first_names, *table)]
        table = table.assign(**{name: pd.Series([np.nan] * len(table), table.index, dtype=str) for name in added})
        before = list(table)[: list(table).index("source")] if "item" in table else []  # factors of participants, too
        table = table[before + list(TIMELINE_COLUMNS)]
    except ImportError as error:
        raise MissingExtraError(f"reading {path}", "parquet") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    except KeyError as error:
        raise DataError(f"{path}: not a timeline by fermedia; columns are missing") from error
    except (ValueError, TypeError, OverflowError, RuntimeWarning, pd.errors.ParserError) as error:
        raise DataError(f"{path}: not a timeline by fermedia ({str(error).splitlines()[0]})") from error
    table = table.assign(success=table["success"].astype(bool), judged=table["judged"].astype(bool))
    for mark, columns in (("success", ["face_id", "x", "y", "width", "height"]), ("judged", list(EMOTIONS))):
        if (empty := table.loc[table[mark], columns].isna().any()).any():
            raise DataError(f"{path}: not a timeline by fermedia; {empty.idxmax()} is missing where {mark} is 1")
    for name, most in _MOST.items():
        if not table[name].dropna().between(-1e-6 if most == 1 or name == "frame" else -most, most).all():
            raise DataError(f"{path}: not a timeline by fermedia; {name} contains an impossible value")
    return table


def replayed(frames: Iterable[Frame], timeline: pd.DataFrame) -> Generator[tuple[Frame, list[Observation] | None]]:
    """Give every frame with its observations from a timeline (without key points); None if it was not sampled."""
    found: dict[int, list[Observation]] = {}
    columns = ["frame", "face_id", "confidence", "judged", "quality", "x", "y", "width", "height", *EMOTIONS]
    for row in timeline.loc[timeline["success"], columns].itertuples(index=False, name=None):
        number, face_id, confidence, classified, quality, x, y, width, height, *p = row
        face = Face(Box(x, y, width, height), confidence, np.zeros((6, 2), np.float32))
        known = quality if isinstance(quality, str) else None
        observation = Observation(face, int(face_id), np.array(p, np.float32) if classified else None, quality=known)
        found.setdefault(number, []).append(observation)
    for frame in frames:
        yield frame, found.pop(frame.index, []) if frame.sampled else None


def as_timeline(
    observed: Iterable[tuple[str, int, float | None, Sequence[Observation]]],
) -> pd.DataFrame:
    """Make the table that ``TimelineWriter`` and ``read_timeline`` would give, without a file.

    Args:
        observed: For each frame its source, its index, its time in seconds (None for photos), and its observations.
    """
    import pandas as pd

    rows = [row for source, n, time, seen in observed for row in _rows(cell(source), n, time, seen, _number)]
    texts = {"source", "emotion", "quality", "person"}
    columns = {
        name: pd.Series([np.nan if row[n] is None else row[n] for row in rows], dtype=str if name in texts else object)
        for n, name in enumerate(TIMELINE_COLUMNS)
    }
    table = pd.DataFrame(columns).astype(_types())
    return table.assign(success=table["success"].astype(bool), judged=table["judged"].astype(bool))


def _types() -> dict[str, str]:
    numbers = ("timestamp", "confidence", "x", "y", "width", "height", *EMOTIONS, "valence")
    whole = ("frame", "success", "judged")
    return dict.fromkeys(numbers, "float64") | dict.fromkeys(whole, "int64") | {"face_id": "Int64"}


def smoothed_timeline(timeline: pd.DataFrame, seconds: float) -> pd.DataFrame:
    """Smooth the probabilities of a timeline (``tables.smooth``), and derive ``emotion`` and ``valence`` from them.

    The result is what the annotated video shows. Rows that are not classified, and photos, which have no time, stay
    unchanged.

    Args:
        timeline: A timeline with raw values.
        seconds: Full width of the averaging window; 0 for no smoothing.
    """
    classified = np.flatnonzero(timeline["judged"] & timeline["timestamp"].notna())
    if seconds <= 0 or not len(classified):
        return timeline
    times, p = timeline["timestamp"].to_numpy(), timeline[list(EMOTIONS)].to_numpy(np.float64, copy=True)
    for places in timeline["face_id"].iloc[classified].to_frame().groupby("face_id").indices.values():
        rows = classified[places]
        p[rows] = smooth(times[rows], p[rows], seconds)
    follows = {"emotion": np.array(EMOTIONS, object)[p[classified].argmax(axis=1)], "valence": valence(p[classified])}
    smoothed = timeline.assign(**dict(zip(EMOTIONS, p.T, strict=True)))
    for name, values in follows.items():
        column = smoothed[name].to_numpy(copy=True)
        column[classified] = values
        smoothed[name] = column
    return smoothed


def _rows(
    source: str, index: int, time: float | None, observations: Sequence[Observation], rounded: _Rounded
) -> Iterator[list[Any]]:
    """The rows of an analysed frame: one for each face, or one without a face."""
    begin = [source, index, None if time is None else rounded(time, 6)]
    for observation in observations:
        yield [*begin, *_face(observation, rounded)]
    if not observations:
        yield [*begin, None, 0, *[None] * 5, 0, *_NOT_CLASSIFIED, None, None]


def _face(observation: Observation, rounded: _Rounded) -> list[Any]:
    box, p = observation.face.box, observation.probabilities
    place = [rounded(value, 2) for value in (box.x, box.y, box.width, box.height)]
    row = [observation.face_id, 1, rounded(observation.face.confidence, 6), *place]
    if p is None:
        return [*row, 0, *_NOT_CLASSIFIED, observation.quality, None]
    shares = [rounded(share, 6) for share in p.tolist()]
    return [*row, 1, *shares, EMOTIONS[int(p.argmax())], rounded(float(valence(p)), 6), observation.quality, None]


def _decimal(value: float, places: int) -> str:
    return f"{value:z.{places}f}"  # z: no minus before what rounds to 0


def _number(value: float, places: int) -> float:
    """The number that ``_decimal`` writes."""
    return round(float(value), places) + 0.0
