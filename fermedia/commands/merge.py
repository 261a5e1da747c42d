"""Merge a table of several runs into one file, row by row, with constant memory."""

from __future__ import annotations

import csv
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from fermedia.columns import (
    BLINKS,
    FACES,
    ITEMS,
    MEASURES,
    MERGED,
    PHOTOS,
    SEGMENTS,
    SUMMARY,
    TIMELINE,
    WINDOWS,
    Column,
    Table,
    given_columns,
)
from fermedia.errors import OutputError, UsageError
from fermedia.files import printable, regular, shown, sweep, whole_file, write_csv
from fermedia.store.results import finished, keep_out, results
from fermedia.study.participants import Assignment
from fermedia.tables.cells import cell
from fermedia.tables.summary import read_summary

if TYPE_CHECKING:
    import pyarrow

#: The tables that can be merged, by name.
MERGEABLE = {
    table.name: table for table in (TIMELINE, MEASURES, SEGMENTS, BLINKS, PHOTOS, ITEMS, FACES, SUMMARY, WINDOWS)
}

#: Those that are made from the ledger, without the items' files.
_FROM_LEDGER = (ITEMS, FACES, SUMMARY)

#: Number of rows that are in memory at once for Parquet: the size of its row groups.
_GROUP = 50_000

_AGAIN = "run fermedia analyze again, which makes it again"

Row = list[str]


def merge(folders: Sequence[Path], out: Path, table: str = TIMELINE.name, earlier: bool | None = None) -> int:
    """Merge a table of all finished items of several runs into one file.

    The columns ``run`` and ``item`` come first (``columns.MERGED``), then, with ``--participants``, ``participant`` and
    the factors of all runs. A run is named by its folder's name, or by its
    path as given if several folders have that name.

    Args:
        folders: The folders of results.
        out: The file to write: CSV or Parquet, by its suffix.
        table: The name of the table, a key of ``MERGEABLE``.
        earlier: As for ``Ledger.chosen``.

    Returns:
        The number of rows.

    Raises:
        UsageError: ``out`` has another suffix or is in a folder of results; a folder has no results or is given twice;
            a table is missing, damaged or not readable.
        OutputError: ``out`` cannot be written.
    """
    if out.suffix not in (".csv", ".parquet"):
        raise UsageError(f"--out {shown(out, whole=True)}: must end in .csv or .parquet")
    real = [folder.resolve() for folder in folders]
    for number, folder in enumerate(folders):
        if (first := folders[real.index(real[number])]) is not folder:
            both = f"{shown(first, whole=True)} and {shown(folder, whole=True)}"
            raise UsageError(f"{both} are one folder, given twice; name it once")
    for folder in folders:
        finished(folder)  # every folder, before any work
    keep_out(out)
    what = MERGEABLE[table]
    names = [folder.resolve().name for folder in folders]
    runs = [name if names.count(name) == 1 else str(folder) for name, folder in zip(names, folders, strict=True)]
    # Windows have the participants of events, which may be others than those of a whole item.
    assigned = [Assignment.none() if what is WINDOWS else _assignment(folder) for folder in folders]
    names_given = list(dict.fromkeys(column.name for given in assigned for column in given.columns))
    count = 0

    def rows() -> Generator[Row]:
        nonlocal count
        for run, folder, given in zip(runs, folders, assigned, strict=True):
            own = [column.name for column in given.columns]
            places = [own.index(name) if name in own else None for name in names_given]
            for item, face_id, values in _rows(folder, what, earlier):
                levels = given.of(item, face_id)
                count += 1
                yield [cell(run), item, *("" if place is None else levels[place] for place in places), *values]

    columns = [
        *MERGED,
        *(given_columns(names_given[1:]) if names_given else ()),
        *(column for column in what.columns if column.name != "item"),
    ]
    write = _write_parquet if out.suffix == ".parquet" else _write_csv
    try:
        sweep(out.parent)
        with closing(rows()) as merged:
            write(out, columns, merged)
    except OSError as error:
        raise OutputError(f"{shown(out, whole=True)}: cannot be written ({error.strerror or error})") from error
    except (ValueError, OverflowError) as error:  # a cell is not a number, which Parquet requires
        raise UsageError(f"{shown(out, whole=True)}: a table for it is damaged ({error}); {_AGAIN}") from error
    return count


def one_run(folder: Path, table: Table, earlier: bool | None = None) -> tuple[list[Column], Iterator[Row]]:
    """The columns and the rows of a table of all items of one run: ``item``, participant and factors, the others.

    Args:
        folder: The folder of results.
        table: One of ``MERGEABLE``.
        earlier: As for ``Ledger.chosen``.

    Raises:
        UsageError: The folder has no results, or a table is missing or damaged; also while rows are read.
    """
    given = _assignment(folder)
    rest = [column for column in table.columns if column.name != "item"]
    rows = ([item, *given.of(item, face_id), *values] for item, face_id, values in _rows(folder, table, earlier))
    return [MERGED[1], *given.columns, *rest], rows


def _assignment(folder: Path) -> Assignment:
    """The participants and factors of a run, as its summary.csv has them. Raises UsageError."""
    path = folder / f"{SUMMARY.name}.csv"
    where = shown(path, whole=True)
    try:
        return Assignment.read(read_summary(path))
    except FileNotFoundError as error:
        raise UsageError(f"{where}: is missing; {_AGAIN}") from error
    except OSError as error:
        raise UsageError(f"{where}: cannot be read ({error.strerror or error})") from error
    except (ValueError, csv.Error) as error:
        raise UsageError(f"{where}: is damaged ({str(error).splitlines()[0]}); {_AGAIN}") from error


def _rows(folder: Path, table: Table, earlier: bool | None) -> Iterator[tuple[str, str, Row]]:
    """The rows of a table of one run without the column ``item``, each with its item's name and its ``face_id``."""
    names = [column.name for column in table.columns if column.name != "item"]
    face_id = names.index("face_id") if "face_id" in names else None
    for item, values in (
        _of_windows(folder)
        if table is WINDOWS
        else _of_ledger(folder, table, earlier)
        if table in _FROM_LEDGER
        else _of_items(folder, table, earlier)
    ):
        yield item, "" if face_id is None else values[face_id], values


def _of_ledger(folder: Path, table: Table, earlier: bool | None) -> Iterator[tuple[str, Row]]:
    outcomes = finished(folder)
    there = {outcome.key for outcome in outcomes}
    outcomes += [outcome for outcome in finished(folder, earlier) if outcome.key not in there]
    for outcome in outcomes:
        for item, *values in outcome.written(table, Assignment.none()):
            yield item, values


def _of_windows(folder: Path) -> Iterator[tuple[str, Row]]:
    finished(folder)
    if not (folder / "windows.csv").is_file():
        where = shown(folder, whole=True)
        raise UsageError(f"{where}: has no windows; make them with fermedia report {where} --events FILE")
    for item, *values in _read(folder / "windows.csv", WINDOWS):
        yield item, values


def _of_items(folder: Path, table: Table, earlier: bool | None) -> Iterator[tuple[str, Row]]:
    for item in results(folder, earlier):
        if table in (MEASURES, BLINKS) and not item.about["options"].get("measures"):
            where = shown(folder, whole=True)
            raise UsageError(f"{where}: has no {table.name}; analyze it with --measures into a new folder")
        if table in (TIMELINE, MEASURES) or item.is_video != (table is PHOTOS):
            for values in _read(item.folder / f"{table.name}.csv", table):
                yield cell(item.key), values


def _read(path: Path, table: Table) -> Iterator[Row]:
    """The rows of a table's file, checked and with empty cells for columns that an older version did not write."""
    where = shown(path, whole=True)
    try:
        with regular(path).open(newline="", encoding="utf-8") as file:
            rows = csv.reader(file)
            if (header := tuple(next(rows, ()))) not in (table.names, table.first_names):
                raise UsageError(f"{where}: {_wrong_header(header, table)}")
            missing = [""] * (len(table.names) - len(header))  # in a table of an older version
            for row in filter(None, rows):  # blank lines give empty rows
                if len(row) != len(header):
                    raise UsageError(f"{where}: line {rows.line_num} has {len(row)} columns; {_AGAIN}")
                yield row + missing
    except FileNotFoundError as error:
        raise UsageError(f"{where}: is missing; {_AGAIN}") from error
    except OSError as error:
        raise UsageError(f"{where}: cannot be read ({error.strerror or error})") from error
    except (UnicodeError, csv.Error) as error:
        raise UsageError(f"{where}: is damaged ({error}); {_AGAIN}") from error


def _wrong_header(header: tuple[str, ...], table: Table) -> str:
    """Describe what is wrong with a table whose header is not as expected."""
    if not any(name.strip("\0") for name in header):
        return f"is empty; {_AGAIN}"
    if missing := [name for name in table.names if name not in header]:
        names = f"{', '.join(missing[:3])}{f' and {len(missing) - 3} more' if len(missing) > 3 else ''}"
        return f"has other columns than this fermedia's, and no {names}; {_AGAIN}"
    if more := [name for name in header if name not in table.names]:
        return f"has other columns than this fermedia's, {', '.join(map(printable, more))}; {_AGAIN}"
    return f"has its columns in another order; {_AGAIN}"


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
