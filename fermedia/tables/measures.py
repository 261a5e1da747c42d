"""Writing and reading measures.csv: the measures of each face in each analysed frame, a row per row of the timeline."""

from __future__ import annotations

import csv
import warnings
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TextIO

import numpy as np
from numpy.typing import NDArray

from fermedia.columns import MEASURE_COLUMNS, MEASURED, PERSON
from fermedia.errors import DataError, write_error
from fermedia.files import regular, whole_file
from fermedia.tables.cells import cell
from fermedia.tables.speaking import speaking
from fermedia.types import BLENDSHAPES, PRESENT, Frame, Gaze, Measures, Observation

if TYPE_CHECKING:
    import pandas as pd

#: Decimals of measures: finer than any network's accuracy.
_DECIMALS = 4

#: Placeholder for the probability of speaking until later frames are known. It is in no text of a later column.
_LATER = "?"

#: The index of that column.
_SPEAKING = MEASURE_COLUMNS.index("speaking")

_TEXTS = ("source", "quality", PERSON.name)
_WHOLE = ("frame", "face_id", "looks_at_camera")


class MeasuresWriter:
    """Writes ``measures.csv``; a context manager and a sink.

    Rows correspond to those of ``TimelineWriter``, with the columns ``MEASURE_COLUMNS``; values not measured are empty.
    Speaking depends on the second around a frame, so the file only appears at the end. Seconds have six decimals,
    measures four.

    Raises:
        MediaError: The file cannot be written (stage ``write``).
    """

    def __init__(self, path: Path, source: str) -> None:
        self.path = path
        self._unfinished = path.with_name(f"{path.name}.unfinished")
        self._source = cell(source)
        self._file: TextIO | None = None
        self._mouths = _Mouths()

    def __enter__(self) -> Self:
        try:
            self._file = self._unfinished.open("w", encoding="utf-8", newline="")
        except OSError as error:
            raise write_error(self.path, self._source, error) from error
        self._rows = csv.writer(self._file, lineterminator="\n")
        return self

    def write(self, frame: Frame, observations: Sequence[Observation] | None) -> None:
        """Add the rows of a frame; none if it was not analysed (None)."""
        if observations is None:
            return
        source = self._source if frame.name is None else cell(frame.name)
        try:
            for observation in observations or (None,):
                self._rows.writerow(_texts(_row(source, frame.index, frame.time, observation)))
                self._mouths.add(frame.time, observation)
        except OSError as error:
            raise write_error(self.path, self._source, error) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._file is not None
        try:
            self._file.close()
            if error is None:
                self._finish()
        except OSError as failure:
            if error is None:
                raise write_error(self.path, self._source, failure) from failure
        finally:
            with suppress(OSError):
                self._unfinished.unlink(missing_ok=True)

    def _finish(self) -> None:
        with (
            self._unfinished.open(encoding="utf-8", newline="") as rows,
            whole_file(self.path) as path,
            path.open("w", encoding="utf-8", newline="") as file,
        ):
            file.write(",".join(MEASURE_COLUMNS) + "\n")
            for row, share in zip(rows, self._mouths.speaking().tolist(), strict=True):
                before, after = row.rsplit(_LATER, 1)
                file.write(f"{before}{'' if share != share else _decimal(share)}{after}")


def read_measures(path: Path) -> pd.DataFrame:
    """Read measures.csv.

    Returns:
        A table with the columns ``MEASURE_COLUMNS``: ``frame`` is int64, ``face_id`` and ``looks_at_camera`` Int64,
        names and ``quality`` text, blendshapes float32, all else float64. Empty fields are missing values.

    Raises:
        DataError: The file is missing, or not a table of measures.
    """
    import pandas as pd

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)  # of numbers that are too large
            table = pd.read_csv(regular(path), dtype=_types(), keep_default_na=False, na_values=[""], encoding="utf-8")
        if PERSON.name not in table:  # of an older version
            table = table.assign(**{PERSON.name: pd.Series(dtype=str)})
        return table[list(MEASURE_COLUMNS)]
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    except KeyError as error:
        raise DataError(f"{path}: not a table of measures by fermedia; columns are missing") from error
    except (ValueError, TypeError, OverflowError, RuntimeWarning, pd.errors.ParserError) as error:
        raise DataError(f"{path}: not a table of measures by fermedia ({str(error).splitlines()[0]})") from error


def as_measures(observed: Iterable[tuple[str, int, float | None, Sequence[Observation]]]) -> pd.DataFrame:
    """Make the table that ``MeasuresWriter`` and ``read_measures`` would give, without a file.

    Args:
        observed: For each frame its source, its index, its time in seconds (None for photos), and its observations.
    """
    import pandas as pd

    rows: list[list[Any]] = []
    for source, frames in groupby(observed, key=lambda frame: frame[0]):
        mouths, first = _Mouths(), len(rows)
        for _, index, time, seen in frames:
            for observation in seen or (None,):
                rows.append(_row(cell(source), index, time, observation))
                mouths.add(time, observation)
        for row, share in zip(rows[first:], mouths.speaking().tolist(), strict=True):
            row[_SPEAKING] = None if share != share else share
    types = _types()
    columns = {
        name: pd.Series([None if row[n] is None else row[n] for row in rows], dtype=types[name])
        for n, name in enumerate(MEASURE_COLUMNS)
    }
    table = pd.DataFrame(columns)
    return table.round(dict.fromkeys(MEASURED, _DECIMALS) | {"timestamp": 6})


def _types() -> dict[str, str]:
    types = dict.fromkeys(MEASURE_COLUMNS, "float64") | dict.fromkeys(BLENDSHAPES, "float32")
    return types | dict.fromkeys(_TEXTS, "str") | dict.fromkeys(_WHOLE, "Int64") | {"frame": "int64"}


class _Mouths:
    """The opening of the mouth in each row, to compute speaking at the end; 24 bytes per row."""

    def __init__(self) -> None:
        self._faces, self._times, self._openings = array("q"), array("d"), array("d")

    def add(self, time: float | None, observation: Observation | None) -> None:
        measures = None if observation is None else observation.measures
        self._faces.append(-1 if observation is None or time is None else observation.face_id)
        self._times.append(float("nan") if time is None else time)
        known = measures is not None and measures.presence >= PRESENT
        self._openings.append(measures.mouth_opening if measures is not None and known else float("nan"))

    def speaking(self) -> NDArray[np.float64]:
        """The probability of speaking in each row, NaN where unknown."""
        faces, times, openings = (np.array(values) for values in (self._faces, self._times, self._openings))
        result = np.full(len(faces), np.nan)
        order = np.argsort(faces, kind="stable")
        for rows in np.split(order, np.flatnonzero(np.diff(faces[order])) + 1):
            if len(rows) and faces[rows[0]] >= 0:
                shares = speaking(times[rows], openings[rows])
                result[rows] = np.where(np.isfinite(openings[rows]), shares, np.nan)
        return result


def _row(source: str, index: int, time: float | None, observation: Observation | None) -> list[Any]:
    """The values of a row: None where missing, and ``_LATER`` for speaking."""
    begin = [source, index, time]
    if observation is None:
        return [*begin, None, *_figures(None), None, *[None] * len(BLENDSHAPES), None]
    measures = observation.measures
    shapes = [None] * len(BLENDSHAPES) if measures is None else measures.blendshapes.tolist()
    return [*begin, observation.face_id, *_figures(measures), observation.quality, *shapes, None]


def _figures(measures: Measures | None) -> Iterator[Any]:
    """The values before ``quality``, in the order of the columns."""
    if measures is None:
        yield from [None] * (MEASURE_COLUMNS.index("speaking") - MEASURE_COLUMNS.index("presence"))
    else:
        pose = measures.pose
        yield from (measures.presence, pose.yaw, pose.pitch, pose.roll)
        yield from (*_angles(measures.gaze), *_angles(measures.head_gaze))
        yield None if measures.gaze is None else int(measures.gaze.at_camera)
        yield from (measures.right_eye, measures.left_eye, measures.mouth_opening, measures.mouth_width)
        yield from (measures.right_corner, measures.left_corner)
    yield _LATER


def _angles(gaze: Gaze | None) -> tuple[float | None, float | None]:
    return (None, None) if gaze is None else (gaze.x, gaze.y)


def _texts(row: list[Any]) -> list[Any]:
    """Format a row for CSV."""
    texts = [_decimal(value) if isinstance(value, float) else value for value in row]
    if row[2] is not None:
        texts[2] = f"{row[2]:z.6f}"
    return texts


def _decimal(value: float) -> str:
    return f"{value:z.{_DECIMALS}f}"  # z: no minus before what rounds to 0
