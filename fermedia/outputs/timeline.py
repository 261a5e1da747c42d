"""The timeline: a CSV with a row per face per analysed frame."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

import numpy as np

from fermedia.columns import TIMELINE_COLUMNS
from fermedia.errors import DataError, MediaError, MissingExtraError
from fermedia.outputs.cells import plain
from fermedia.types import EMOTIONS, Frame, Observation, valence
from fermedia.vision.smooth import smooth

if TYPE_CHECKING:
    import pandas as pd

#: The emotions' columns and the two after them, where there is nothing to say.
_NO_JUDGEMENT = [""] * (len(EMOTIONS) + 2)


class TimelineWriter:
    """Writes ``timeline.csv``; a context manager and a sink.

    A row per face per analysed frame, in the order of ``TIMELINE_COLUMNS``; an analysed frame without a face has one
    row with ``success`` and ``judged`` 0 and the face's columns empty; frames that were not analysed have none. A face
    that is too small to be judged has ``judged`` 0, its box and id, and empty emotions. ``source`` is what the
    ``source`` column says of a video; photos have their own names there, and no timestamp.

    Seconds, probabilities, confidence and valence have six decimals, pixels two. The file is UTF-8 with plain line
    feeds. A name that is no valid text (Linux allows any bytes) is written with its stray bytes as ``\\xNN``.

    Raises MediaError (stage ``write``).
    """

    def __init__(self, path: Path, source: str) -> None:
        self.path = path
        self._source = plain(source)
        self._file: TextIO | None = None

    def __enter__(self) -> Self:
        try:
            self._file = self.path.open("w", encoding="utf-8", newline="")
            self._rows = csv.writer(self._file, lineterminator="\n")
            self._rows.writerow(TIMELINE_COLUMNS)
        except OSError as error:
            raise self._failure(error) from error
        return self

    def write(self, frame: Frame, observations: Sequence[Observation] | None) -> None:
        """Add the rows of a frame; none if it was not analysed (None)."""
        if observations is None:
            return
        source = self._source if frame.name is None else plain(frame.name)
        time = "" if frame.time is None else _decimal(frame.time)
        try:
            for observation in observations:
                self._rows.writerow([source, frame.index, time, *_face(observation)])
            if not observations:
                self._rows.writerow([source, frame.index, time, "", 0, *[""] * 5, 0, *_NO_JUDGEMENT])
        except OSError as error:
            raise self._failure(error) from error

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
                raise self._failure(failure) from failure
        finally:
            if failed:
                self.path.unlink(missing_ok=True)

    def _failure(self, error: OSError) -> MediaError:
        return MediaError(f"{self.path.name} of {self._source} cannot be written ({error.strerror or error})", "write")


def read_timeline(path: str | Path) -> pd.DataFrame:
    """A timeline as a table, its columns in the order of ``TIMELINE_COLUMNS``.

    ``path`` is a timeline.csv or timeline.parquet, or timelines that ``fermedia merge`` joined, which have ``run`` and
    ``item`` first. ``frame`` is int64, ``face_id`` Int64 (missing where there is no face), ``success`` and ``judged``
    bool, names and ``emotion`` text, all else float64 (NaN where empty). Raises DataError if the file is missing or no
    timeline, MissingExtraError for Parquet without pyarrow.
    """
    import pandas as pd

    numbers = ("timestamp", "confidence", "x", "y", "width", "height", *EMOTIONS, "valence")
    types = (
        dict.fromkeys(numbers, "float64")
        | dict.fromkeys(("frame", "success", "judged"), "int64")
        | {"face_id": "Int64"}
    )
    texts = {"run": str, "item": str, "source": str, "emotion": str}
    try:
        if Path(path).suffix == ".parquet":
            table = pd.read_parquet(path, engine="pyarrow").astype(types)
        else:
            # A face may be called "NA" or "null" only by its file: nothing but an empty field is missing.
            table = pd.read_csv(path, dtype=types | texts, keep_default_na=False, na_values=[""], encoding="utf-8")
        table = table[[name for name in ("run", "item") if name in table] + list(TIMELINE_COLUMNS)]
    except ImportError as error:
        raise MissingExtraError(f"reading {path}", "parquet") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    except KeyError as error:
        raise DataError(f"{path}: not a timeline of fermedia; it has not all of its columns") from error
    except (ValueError, pd.errors.ParserError) as error:
        raise DataError(f"{path}: not a timeline of fermedia ({str(error).splitlines()[0]})") from error
    table = table.assign(success=table["success"].astype(bool), judged=table["judged"].astype(bool))
    for mark, columns in (("success", ["face_id", "x", "y", "width", "height"]), ("judged", list(EMOTIONS))):
        if (empty := table.loc[table[mark], columns].isna().any()).any():
            raise DataError(f"{path}: not a timeline of fermedia; {empty.idxmax()} is missing where {mark} is 1")
    return table


def steady_timeline(timeline: pd.DataFrame, seconds: float) -> pd.DataFrame:
    """A timeline with steady probabilities (``vision.smooth``), and ``emotion`` and ``valence`` that follow from them.

    What is drawn in the annotated film, from the raw values of the file. Rows without a judgement, and pictures, which
    have no time, stay as they are.
    """
    judged = np.flatnonzero(timeline["judged"] & timeline["timestamp"].notna())
    if seconds <= 0 or not len(judged):
        return timeline
    times, p = timeline["timestamp"].to_numpy(), timeline[list(EMOTIONS)].to_numpy(np.float64, copy=True)
    for places in timeline["face_id"].iloc[judged].to_frame().groupby("face_id").indices.values():
        rows = judged[places]
        p[rows] = smooth(times[rows], p[rows], seconds)
    follows = {"emotion": np.array(EMOTIONS, object)[p[judged].argmax(axis=1)], "valence": valence(p[judged])}
    steady = timeline.assign(**dict(zip(EMOTIONS, p.T, strict=True)))
    for name, values in follows.items():
        column = steady[name].to_numpy(copy=True)
        column[judged] = values
        steady[name] = column
    return steady


def _face(observation: Observation) -> list[str | int]:
    box = observation.face.box
    row: list[str | int] = [
        observation.face_id,
        1,
        _decimal(observation.face.confidence),
        *(_decimal(v, 2) for v in (box.x, box.y, box.width, box.height)),
    ]
    if observation.probabilities is None:
        return [*row, 0, *_NO_JUDGEMENT]
    p = observation.probabilities
    return [*row, 1, *map(_decimal, p.tolist()), EMOTIONS[int(p.argmax())], _decimal(float(valence(p)))]


def _decimal(value: float, places: int = 6) -> str:
    return f"{value:z.{places}f}"  # z: no minus before what rounds to 0
