"""Export the tables of a run for Excel and SPSS, with the meanings of their columns."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from fermedia.columns import (
    BLINKS,
    COMPARISONS,
    CONDITIONS,
    COURSES,
    FACES,
    FAILURES,
    ITEMS,
    MEASURES,
    PARTICIPANTS,
    PHOTOS,
    SEGMENTS,
    SUMMARY,
    TIMELINE,
    WINDOWS,
    Column,
    Table,
    given_columns,
)
from fermedia.commands.merge import one_run
from fermedia.errors import OutputError, UsageError
from fermedia.files import regular, shown, sweep, whole_file
from fermedia.options import SPREADSHEETS
from fermedia.store.results import finished, keep_out, results
from fermedia.types import EMOTIONS

#: The tables that are exported if they have rows, and those only on request; in this order.
_USUAL = (ITEMS, FACES, PHOTOS, PARTICIPANTS, CONDITIONS, COMPARISONS, WINDOWS, COURSES, SEGMENTS, BLINKS)
_ASKED = (SUMMARY, TIMELINE, MEASURES, FAILURES)

#: Those that are files of the run; the others are joined from the items or the ledger.
_OF_RUN = (PARTICIPANTS, CONDITIONS, COMPARISONS, WINDOWS, COURSES, FAILURES)

#: Maximum number of rows of an Excel sheet, with the header.
_MOST_ROWS = 1_048_576

#: Widths of Excel's columns in characters, and the number of rows by whose texts they are chosen.
_NARROWEST, _WIDEST, _LOOKED_AT = 8, 48, 500

#: Maximum length of a variable's label in SPSS, in bytes of UTF-8.
_LABEL = 256

_NUMBER = re.compile(r"-?(0|[1-9]\d{0,14})(\.\d+)?")

Value = str | int | float | None


@dataclass(frozen=True)
class _Exported:
    """A table: its columns, and its rows of typed values."""

    name: str
    row: str
    columns: list[Column]
    rows: Iterator[list[Value]]


def export(
    folder: Path,
    format: str,
    out: Path,
    tables: Sequence[str] = (),
    decimal: str = "point",
    earlier: bool | None = None,
) -> dict[str, int]:
    """Write tables of a run for other programs.

    Args:
        folder: The folder of results.
        format: One of ``options.SPREADSHEETS``.
        out: The file to write (xlsx), or the folder.
        tables: The names of the tables; if empty, those of ``_USUAL`` that have rows.
        decimal: "point" or "comma", for excel-csv.
        earlier: As for ``Ledger.chosen``; tables of participants stay those of the last run.

    Returns:
        The number of rows of each table written, by its name.

    Raises:
        UsageError: An argument is wrong; ``folder`` has no results, or a table is missing or damaged; a table has more
            rows than a sheet.
        OutputError: ``out`` cannot be written.
        ModuleNotFoundError: The extra ``tables`` is not installed.
    """
    known = {table.name: table for table in (*_USUAL, *_ASKED)}
    if unknown := [name for name in tables if name not in known]:
        raise UsageError(f"--tables knows {', '.join(known)}, got {', '.join(unknown)}")
    if decimal != "point" and format != "excel-csv":
        raise UsageError(
            f"--decimal is for --to excel-csv; {format} has numbers, which every program shows as it likes"
        )
    if (out.suffix.lower() == ".xlsx") != (format == "xlsx"):
        what = "must end in .xlsx" if format == "xlsx" else f"--to {format} writes several files; name a folder"
        raise UsageError(f"--out {shown(out, whole=True)}: {what}")
    keep_out(out if format == "xlsx" else out / "tables")
    finished(folder)
    chosen = [known[name] for name in dict.fromkeys(tables)] or list(_USUAL)
    counts: dict[str, int] = {}
    wanted = (_read(folder, table, earlier) for table in chosen if _exists(folder, table, earlier, bool(tables)))
    begun = wanted if tables else filter(None, map(_begun, wanted))  # empty ones only if asked for
    try:
        sweep(out.parent if format == "xlsx" else out)
        _WRITERS[format](out, _counted(begun, counts), decimal)
    except OSError as error:
        raise OutputError(f"{shown(out, whole=True)}: cannot be written ({error.strerror or error})") from error
    except (ValueError, OverflowError) as error:  # a cell is not the number that its column has
        where = shown(folder, whole=True)
        raise UsageError(f"{where}: a table is damaged ({error}); run fermedia analyze again") from error
    if not counts:
        raise UsageError(f"{shown(folder, whole=True)}: none of these tables has rows")
    return counts


def _exists(folder: Path, table: Table, earlier: bool | None, asked: bool) -> bool:
    """Whether a run has a table. Raises UsageError if it does not and was ``asked`` for."""
    if table in (MEASURES, BLINKS):
        there = any(item.about["options"].get("measures") for item in results(folder, earlier))
        how = "analyze with --measures into a new folder"
    else:
        there = table not in _OF_RUN or (folder / f"{table.name}.csv").is_file()
        how = "give analyze --events" if table in (WINDOWS, COURSES) else "give analyze --participants"
    if asked and not there:
        raise UsageError(f"{shown(folder, whole=True)}: has no {table.name}; {how}")
    return there


def _read(folder: Path, table: Table, earlier: bool | None) -> _Exported:
    columns, rows = _of_run(folder, table) if table in _OF_RUN else one_run(folder, table, earlier)
    return _Exported(table.name, table.row, columns, _typed(columns, rows))


def _of_run(folder: Path, table: Table) -> tuple[list[Column], Iterator[list[str]]]:
    """A table that is a file of the run."""
    path = folder / f"{table.name}.csv"
    where = shown(path, whole=True)
    try:
        with regular(path).open(newline="", encoding="utf-8") as file:
            header, *rows = list(csv.reader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise UsageError(f"{where}: is damaged ({error}); run fermedia analyze again") from error
    own = {column.name: column for column in table.columns}
    columns = [own.get(name) or given_columns([name])[1] for name in header]
    if any(len(row) != len(header) for row in rows) or len(own.keys() & set(header)) < len(own) - 1:
        raise UsageError(f"{where}: is damaged, or of another version; run fermedia analyze again")
    return columns, iter(rows)


def _typed(columns: Sequence[Column], rows: Iterable[list[str]]) -> Iterator[list[Value]]:
    """Rows of text as rows of numbers, texts and None for empty cells. Raises ValueError."""
    read = [column.read for column in columns]
    for row in rows:
        yield [parse(text) if text else None for parse, text in zip(read, row, strict=True)]


def _begun(table: _Exported) -> _Exported | None:
    """The table, None if it has no rows."""
    first = list(islice(table.rows, 1))
    return _Exported(table.name, table.row, table.columns, chain(first, table.rows)) if first else None


def _counted(tables: Iterable[_Exported], counts: dict[str, int]) -> Iterator[_Exported]:
    """The tables, whose rows are counted while they are written."""

    def rows(table: _Exported) -> Iterator[list[Value]]:
        for row in table.rows:
            counts[table.name] += 1
            yield row

    for table in tables:
        counts[table.name] = 0
        yield _Exported(table.name, table.row, table.columns, rows(table))


def _write_xlsx(out: Path, tables: Iterable[_Exported], _decimal: str) -> None:
    """A sheet for each table, and one with the meanings of all columns."""
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.styles import Alignment, Font, PatternFill
    from openpyxl.utils import get_column_letter

    book = Workbook(write_only=True)
    bold, shade, wrap = (
        Font(bold=True),
        PatternFill("solid", fgColor="E8E8E8"),
        Alignment(wrap_text=True, vertical="top"),
    )

    def sheet(name: str, header: Sequence[str], rows: Iterable[list[Value]], formats: Sequence[str | None]) -> None:
        page = book.create_sheet(name)
        rows = iter(rows)
        first = list(islice(rows, _LOOKED_AT))
        for number, title in enumerate(header):
            longest = max((len(_shown(row[number])) for row in first), default=0)
            width = min(_WIDEST, max(_NARROWEST, len(title) + 2, longest + 1))
            page.column_dimensions[get_column_letter(number + 1)].width = width
        page.freeze_panes = "A2"

        def cell(value: Value, format: str | None) -> Any:
            if value is None or (format is None and not isinstance(value, str)):
                return value
            made = WriteOnlyCell(page, value)
            if isinstance(value, str):
                made.data_type = "s"  # never a formula
                if format == "wrap":
                    made.alignment = wrap
            elif format:
                made.number_format = format
            return made

        titles = [WriteOnlyCell(page, title) for title in header]
        for made in titles:
            made.data_type, made.font, made.fill = "s", bold, shade
        page.append(titles)
        count = 1
        for row in chain(first, rows):
            count += 1
            if count > _MOST_ROWS:
                raise UsageError(f"{name} has more rows than a sheet of Excel can hold, {_MOST_ROWS:,}; leave it out")
            page.append([cell(value, format) for value, format in zip(row, formats, strict=True)])
        page.auto_filter.ref = f"A1:{get_column_letter(len(header))}{count}"

    meanings: list[list[Value]] = []
    try:
        for table in tables:
            meanings.append([table.name, None, None, None, None, f"a row is {table.row}"])
            meanings += [
                [table.name, c.name, c.type, c.unit or None, c.range or None, c.meaning] for c in table.columns
            ]
            formats = ["0.000" if column.type == "number" else None for column in table.columns]
            sheet(table.name, [column.name for column in table.columns], _numeric(table), formats)
        sheet("columns", ("table", "column", "type", "unit", "range", "meaning"), meanings, [None] * 4 + ["wrap"] * 2)
        with whole_file(out) as path:
            book.save(path)
    finally:
        for page in book.worksheets:
            if not page.closed:  # its temporary file is still being written
                page.close()


def _shown(value: Value) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value or "")


def _numeric(table: _Exported) -> Iterator[list[Value]]:
    """The rows, with numbers where a column that the user named, such as an age, has only these."""
    names = [number for number, column in enumerate(table.columns) if column.meaning.startswith(_GIVEN)]
    if not names:
        yield from table.rows
        return
    rows = list(table.rows)
    for number in names:
        texts = [row[number] for row in rows if row[number] is not None]
        if all(isinstance(text, str) and _NUMBER.fullmatch(text) for text in texts):
            for row in rows:
                text = row[number]
                row[number] = None if text is None else float(text) if "." in str(text) else int(text)
    yield from rows


#: How the meanings of the columns that users named begin.
_GIVEN = given_columns(["x"])[1].meaning


def _write_spss(out: Path, tables: Iterable[_Exported], _decimal: str) -> None:
    """A .sav file for each table: variables labelled with their meanings, codes labelled with their values."""
    import pandas as pd
    import pyreadstat

    for table in tables:
        names = _variables([column.name for column in table.columns])
        values = pd.DataFrame(list(_numeric(table)), columns=names, dtype=object)
        labels: dict[str, dict[float, str]] = {}
        measure = {}
        for name, column in zip(names, table.columns, strict=True):
            known = values[name].dropna()
            if column.name == "emotion":
                labels[name] = dict(enumerate(EMOTIONS, 1))
                codes = {emotion: code for code, emotion in labels[name].items()}
                values[name] = values[name].map(codes).astype("float64")
            elif len(known) and all(isinstance(value, int | float) for value in known):
                values[name] = values[name].astype("float64")
            elif column.type == "text":
                values[name] = values[name].fillna("").astype(str)
            else:
                values[name] = values[name].astype("float64")
            if column.type == "0/1":
                labels[name] = {0: "no", 1: "yes"}
            measure[name] = "scale" if column.type in ("number", "integer") and column.name != "face_id" else "nominal"
        out.mkdir(parents=True, exist_ok=True)
        with whole_file(out / f"{table.name}.sav") as path:
            pyreadstat.write_sav(
                values,
                str(path),
                file_label=f"fermedia {table.name}"[:64],
                column_labels=dict(zip(names, map(_label, table.columns), strict=True)),
                variable_value_labels=labels,
                variable_measure=measure,
            )


def _variables(names: Sequence[str]) -> list[str]:
    """Valid names of variables for SPSS: letters, digits and _, beginning with a letter, distinct also in capitals."""
    made: list[str] = []
    for name in names:
        text = re.sub(r"[^\w.]", "_", name).rstrip("._") or "v"
        text = text if text[0].isalpha() else f"v{text if text.startswith('_') else '_' + text}"
        text, number = text.encode()[:60].decode(errors="ignore"), 1
        free = text
        while free.casefold() in {other.casefold() for other in made} or free.upper() in _RESERVED:
            number += 1
            free = f"{text}_{number}"
        made.append(free)
    return made


#: Words that SPSS does not take as names.
_RESERVED = {"ALL", "AND", "BY", "EQ", "GE", "GT", "LE", "LT", "NE", "NOT", "OR", "TO", "WITH"}


def _label(column: Column) -> str:
    unit = f" ({column.unit})" if column.unit else ""
    return f"{column.meaning}{unit}".encode()[:_LABEL].decode(errors="ignore")


def _write_csv(out: Path, tables: Iterable[_Exported], decimal: str) -> None:
    """A CSV file for each table, with a byte order mark, by which Excel knows UTF-8."""
    separator, number = (";", _with_comma) if decimal == "comma" else (",", _with_point)
    for table in tables:
        out.mkdir(parents=True, exist_ok=True)
        with (
            whole_file(out / f"{table.name}.csv") as path,
            path.open("w", newline="", encoding="utf-8-sig") as file,
        ):
            writer = csv.writer(file, delimiter=separator, lineterminator="\r\n")
            writer.writerow([column.name for column in table.columns])
            writer.writerows([number(value) for value in row] for row in table.rows)


def _with_point(value: Value) -> str:
    if isinstance(value, float):
        return f"{value:.6f}"
    return "" if value is None else str(value)


def _with_comma(value: Value) -> str:
    return _with_point(value).replace(".", ",") if isinstance(value, float) else _with_point(value)


#: What writes each of ``options.SPREADSHEETS``.
_WRITERS: dict[str, Callable[[Path, Iterable[_Exported], str], None]] = dict(
    zip(SPREADSHEETS, (_write_xlsx, _write_spss, _write_csv), strict=True)
)
