"""One table out of the tables of many runs, row by row, so that memory stays flat."""

from __future__ import annotations

import csv
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from fermedia.columns import MERGED, SEGMENTS, SUMMARY, TIMELINE, Column, Table
from fermedia.errors import OutputError, UsageError
from fermedia.files import shown, whole_file, write_csv
from fermedia.outputs.cells import cell
from fermedia.runs.results import Result, finished, results

if TYPE_CHECKING:
    import pyarrow

#: What can be merged, by name.
MERGEABLE = {table.name: table for table in (TIMELINE, SEGMENTS, SUMMARY)}

#: Rows that are held at once for Parquet.
_GROUP = 50_000

_AGAIN = "run fermedia analyze again, which makes it anew"

Row = list[str]


def merge(folders: Sequence[Path], out: Path, table: str = TIMELINE.name) -> int:
    """Write the ``table`` ("timeline", "segments", "summary") of all finished items of runs into ``out``; counts rows.

    The columns ``run`` and ``item`` come first (``columns.MERGED``). A run is called by its folder's name, or by its
    path as given if several have that name. ``out`` is CSV or Parquet, by its suffix. Raises UsageError for another
    suffix, and where a folder holds no results or is given twice; OutputError if ``out`` cannot be written.
    """
    if out.suffix not in (".csv", ".parquet"):
        raise UsageError(f"--out {shown(out, whole=True)}: must end in .csv or .parquet")
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise UsageError("a folder is given twice")
    for folder in folders:
        finished(folder)  # every folder, before any work
    what = MERGEABLE[table]
    names = [folder.resolve().name for folder in folders]
    runs = [name if names.count(name) == 1 else str(folder) for name, folder in zip(names, folders, strict=True)]
    count = 0

    def rows() -> Generator[Row]:
        nonlocal count
        for run, folder in zip(runs, folders, strict=True):
            for item, values in _rows(folder, what):
                count += 1
                yield [cell(run), item, *values]

    columns = [*MERGED, *(column for column in what.columns if column.name != "item")]
    write = _write_parquet if out.suffix == ".parquet" else _write_csv
    try:
        with closing(rows()) as merged:
            write(out, columns, merged)
    except OSError as error:
        raise OutputError(f"{shown(out, whole=True)}: cannot be written ({error.strerror or error})") from error
    except ValueError as error:  # a number that is none, which Parquet asks for
        raise UsageError(f"{shown(out, whole=True)}: a table for it is damaged ({error}); {_AGAIN}") from error
    return count


def _rows(folder: Path, table: Table) -> Iterator[tuple[str, Row]]:
    """The rows of a run's table, each with its item's name."""
    if table is SUMMARY:
        for item, *values in _read(folder / "summary.csv", table):
            yield item, values
        return
    for result in results(folder):
        if table is TIMELINE or result.is_film:
            for values in _read(_path(result, table), table):
                yield cell(result.key), values


def _path(result: Result, table: Table) -> Path:
    return result.timeline if table is TIMELINE else result.folder / f"{table.name}.csv"


def _read(path: Path, table: Table) -> Iterator[Row]:
    where = shown(path, whole=True)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.reader(file)
            if tuple(next(rows, ())) != table.names:
                raise UsageError(f"{where}: has other columns than this fermedia's; analyse again with --redo all")
            for row in filter(None, rows):  # not blank
                if len(row) != len(table.names):
                    raise UsageError(f"{where}: line {rows.line_num} has {len(row)} columns; {_AGAIN}")
                yield row
    except FileNotFoundError as error:
        raise UsageError(f"{where}: is missing; {_AGAIN}") from error
    except (UnicodeError, csv.Error) as error:
        raise UsageError(f"{where}: is damaged ({error}); {_AGAIN}") from error


def _write_csv(out: Path, columns: Sequence[Column], rows: Iterator[Row]) -> None:
    write_csv(out, [column.name for column in columns], rows)


def _write_parquet(out: Path, columns: Sequence[Column], rows: Iterator[Row]) -> None:
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    kinds: dict[str, tuple[pyarrow.DataType, Callable[[str], object]]] = {
        "text": (pyarrow.string(), str),
        "number": (pyarrow.float64(), float),
        "integer": (pyarrow.int64(), int),
        "0/1": (pyarrow.bool_(), lambda value: value == "1"),
    }
    schema = pyarrow.schema([(column.name, kinds[column.type][0]) for column in columns])
    readers = [kinds[column.type][1] for column in columns]

    def group(part: list[Row]) -> pyarrow.Table:
        values = zip(*part, strict=True)
        arrays = [
            [read(value) if value else None for value in column] for read, column in zip(readers, values, strict=True)
        ]
        return pyarrow.table(dict(zip(schema.names, arrays, strict=True)), schema=schema)

    with whole_file(out) as path, ParquetWriter(path, schema) as writer:
        part: list[Row] = []
        for row in rows:
            part.append(row)
            if len(part) == _GROUP:
                writer.write_table(group(part))
                part = []
        if part:
            writer.write_table(group(part))
