"""Writing and reading landmarks.parquet: the mesh points of each face, a row per measured face per analysed frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from fermedia.errors import DataError, MissingExtraError, write_error
from fermedia.files import patiently, regular
from fermedia.tables.cells import cell
from fermedia.types import LANDMARKS, Frame, Observation

if TYPE_CHECKING:
    import pyarrow

#: Rows that are held in memory before they are written, of 6 kB each.
_GROUP = 1000


class LandmarksWriter:
    """Writes ``landmarks.parquet``; a context manager and a sink.

    The columns are ``source``, ``frame``, ``timestamp`` (seconds; missing for photos) and ``face_id`` as in the
    timeline, then ``x_0`` to ``x_477``, ``y_0`` ... and ``z_0`` ..., float32, in pixels (``types.Mesh``). Faces that
    were not measured have no row.

    Raises:
        MissingExtraError: pyarrow is not installed.
        MediaError: The file cannot be written (stage ``write``).
    """

    def __init__(self, path: Path, source: str) -> None:
        self.path = path
        self._source = cell(source)
        self._keys: list[tuple[str, int, float | None, int]] = []
        self._points: list[NDArray[np.float32]] = []
        self._writer: Any = None

    def __enter__(self) -> Self:
        try:
            import pyarrow
            from pyarrow.parquet import ParquetWriter
        except ImportError as error:
            raise MissingExtraError("--landmarks", "parquet") from error
        kinds = {"source": pyarrow.string(), "frame": pyarrow.int64(), "timestamp": pyarrow.float64()}
        kinds["face_id"] = pyarrow.int64()
        points = [(f"{axis}_{n}", pyarrow.float32()) for axis in "xyz" for n in range(LANDMARKS)]
        self._schema = pyarrow.schema([*kinds.items(), *points])
        try:
            self._writer = ParquetWriter(self.path, self._schema)
        except OSError as error:
            raise write_error(self.path, self._source, error) from error
        return self

    def write(self, frame: Frame, observations: Sequence[Observation] | None) -> None:
        """Add the rows of a frame."""
        source = self._source if frame.name is None else cell(frame.name)
        for observation in observations or ():
            if observation.landmarks is not None:
                self._keys.append((source, frame.index, frame.time, observation.face_id))
                self._points.append(observation.landmarks)
        if len(self._keys) >= _GROUP:
            try:
                self._flush()
            except OSError as error:
                raise write_error(self.path, self._source, error) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        failed = error is not None
        try:
            if not failed:
                self._flush()
            self._writer.close()
        except OSError as failure:
            failed = True
            if error is None:
                raise write_error(self.path, self._source, failure) from failure
        finally:
            if failed:
                patiently(lambda: self.path.unlink(missing_ok=True), self.path)

    def _flush(self) -> None:
        if self._keys:
            self._writer.write_table(self._group())
            self._keys, self._points = [], []

    def _group(self) -> pyarrow.Table:
        import pyarrow

        keys = [pyarrow.array(values) for values in zip(*self._keys, strict=True)]
        points = np.stack(self._points).transpose(2, 1, 0).reshape(3 * LANDMARKS, -1)
        arrays = [array.cast(field.type) for array, field in zip(keys, self._schema, strict=False)]
        return pyarrow.Table.from_arrays([*arrays, *map(pyarrow.array, points)], schema=self._schema)


def read_landmarks(path: Path) -> Iterator[tuple[int, int, NDArray[np.float32]]]:
    """Read landmarks.parquet row by row: the frame, the face's id, and its landmarks (478, 3).

    Raises:
        MissingExtraError: pyarrow is not installed.
        DataError: The file is missing or damaged.
    """
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise MissingExtraError(f"reading {path}", "parquet") from error
    names = [f"{axis}_{n}" for axis in "xyz" for n in range(LANDMARKS)]
    try:
        with ParquetFile(regular(path)) as file:
            for group in file.iter_batches(_GROUP, columns=["frame", "face_id", *names]):
                keys = zip(*(group.column(name).to_pylist() for name in ("frame", "face_id")), strict=True)
                columns = np.stack([group.column(name).to_numpy() for name in names]).astype(np.float32)
                points = columns.reshape(3, LANDMARKS, -1).transpose(2, 1, 0)
                yield from ((frame, face_id, mesh) for (frame, face_id), mesh in zip(keys, points, strict=True))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, KeyError) as error:  # pyarrow's own errors are these, too
        raise DataError(f"{path}: holds no landmarks of fermedia ({str(error).splitlines()[0]})") from error
