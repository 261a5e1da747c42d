"""Tables that users write by hand or in a spreadsheet: lists of participants, events, codes.

They come from many programs, so the reader takes what these write: CSV with commas, semicolons or tabs, in UTF-8 (with
or without byte order mark), UTF-16 or the character set of Western European Windows, decimal commas, and Excel's .xlsx.
"""

from __future__ import annotations

import csv
import datetime
import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fermedia.errors import MissingExtraError, UsageError
from fermedia.files import printable, regular, shown
from fermedia.options import seconds

if TYPE_CHECKING:
    import pandas as pd

#: How names of files in a folder begin that are no tables of the user: hidden files, and marks of tables open in Excel.
NOT_OWN = (".", "~$")

#: Maximum size of a table in bytes, of .xlsx when unpacked: 50 for each of a million rows.
_MOST_BYTES = 50_000_000

#: Byte order marks and their encodings. Excel's "Unicode text" is UTF-16.
_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))

#: The encodings that are tried without a mark: UTF-8, which other text hardly ever is, then what Excel writes as "CSV"
#: in Western Europe and America.
_ENCODINGS = ("utf-8", "cp1252")

#: The line with which a file tells Excel its separator.
_SEPARATOR_LINE = re.compile("sep=([,;\t])", re.IGNORECASE)

#: The begin of the lines that versions of BORIS before 8 write above the header, whose separators say nothing, and the
#: number of lines among which the header is looked for.
_ABOVE, _MOST_ABOVE = re.compile(r"\W*observation id", re.IGNORECASE), 60

_NUMBER = re.compile(r"[-+]?(\d+([.,]\d*)?|[.,]\d+)(e[-+]?\d+)?", re.IGNORECASE)

Row = tuple[int, list[str]]
"""A row of a table: its number in the file, and its cells without spaces around them."""


@dataclass(frozen=True)
class GivenTable:
    """A table that a user wrote.

    Attributes:
        where: What messages about it begin with: the option and the path.
        rows: Its rows as text without surrounding spaces, "" where a cell is empty, indexed by their numbers in the
            file. Known columns have the names that were asked for, however they are capitalized in the file; other
            columns have their own.
    """

    where: str
    rows: pd.DataFrame

    @classmethod
    def read(cls, path: Path, option: str, needed: Sequence[str], optional: Sequence[str] = ()) -> GivenTable:
        """Read a table whose first row that is not empty has the names of the columns.

        Args:
            path: A CSV file or an .xlsx file, of which the first sheet is read.
            option: The option that names the file, for messages.
            needed: The names of required columns.
            optional: The names of further known columns.

        Raises:
            UsageError: The file is wrong; the message says how, and in which row.
            MissingExtraError: It is an .xlsx file, and openpyxl is not installed.
        """
        import pandas as pd

        where = f"{option} {shown(path, whole=True)}"
        header, *rows = read_rows(path, where, f"{option} with an .xlsx file")
        names = _header(where, header[1], needed, optional)
        found = list(records(names, rows, where))
        if not found:
            raise UsageError(f"{where}: has no rows")
        cells, numbers = [row for _, row in found], [number for number, _ in found]
        return cls(where, pd.DataFrame(cells, numbers, list(filter(None, names)), dtype=object))

    def numbers(self, name: str) -> pd.Series:
        """The numbers of a column, NaN where it is empty; decimals may have a comma. Raises UsageError."""
        return self._parsed(name, _number, "a number")

    def times(self, name: str) -> pd.Series:
        """The times of a column in seconds, NaN where it is empty; also MM:SS and HH:MM:SS. Raises UsageError."""
        return self._parsed(name, lambda text: seconds(text.replace(",", ".")), "a time")

    def _parsed(self, name: str, parse: Any, what: str) -> pd.Series:
        def value(number: Any, text: str) -> float:
            if not text:
                return float("nan")
            try:
                return parse(text)
            except ValueError as error:
                raise UsageError(f"{self.where}: row {number}: {name} must be {what}, got {text!r}") from error

        column = self.rows[name]
        import pandas as pd

        return pd.Series([value(*cell) for cell in column.items()], column.index, "float64")


def read_rows(path: Path, where: str, what: str) -> list[Row]:
    """Read a table as text: the rows that are not empty, each with its number in the file, at least one.

    Args:
        path: A CSV file or an .xlsx file, of which the first sheet is read.
        where: What messages about it begin with.
        what: What needs the package for .xlsx files, for the message that it is missing.

    Raises:
        UsageError: The file cannot be read, or is empty.
        MissingExtraError: It is an .xlsx file, and openpyxl is not installed.
    """
    try:
        data = _bytes(path, where)
    except OSError as error:
        raise UsageError(f"{where}: cannot be read ({error.strerror or error})") from error
    if data.startswith(b"PK\x03\x04"):
        rows = list(_sheet(data, where, what))
    elif data.startswith(b"\xd0\xcf\x11\xe0"):
        raise UsageError(f"{where}: is in Excel's old format; save it as .xlsx or as CSV")
    else:
        rows = list(_lines(data, where))
    if not rows:
        raise UsageError(f"{where}: not a table; it is empty")
    return rows


def records(names: Sequence[str], rows: Iterable[Row], where: str) -> Iterator[tuple[int, dict[str, str]]]:
    """The cells of each row by the names of their columns, "" where a row ends early, and the row's number.

    Raises:
        UsageError: A row is longer than the header.
    """
    for number, cells in rows:
        if any(cells[len(names) :]):
            what = f"row {number} has {len(cells)} cells, and there are {len(names)} columns"
            raise UsageError(f"{where}: {what}; a name or a number with a comma in it needs quotes")
        yield number, dict(zip(names, [*cells, *[""] * len(names)], strict=False))


def _bytes(path: Path, where: str) -> bytes:
    size = regular(path).stat().st_size
    if size > _MOST_BYTES:
        raise UsageError(f"{where}: has {size:,} bytes, too many for such a table")
    return path.read_bytes()


def _lines(data: bytes, where: str) -> Iterator[Row]:
    """The rows of a CSV file that are not empty, each with its number."""
    text = _decoded(data, where)
    first, _, rest = text.partition("\n")
    skipped = 0
    if found := _SEPARATOR_LINE.fullmatch(first.strip("\r")):
        separator, text, skipped = found[1], rest, 1
    else:
        separator = max(",;\t", key=_header_line(text).count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                yield reader.line_num + skipped, [cell.strip() for cell in row]
    except csv.Error as error:
        raise UsageError(f"{where}: not a table ({error})") from error


def _header_line(text: str) -> str:
    """The line with the names of the columns: the first that is not empty, or in older exports of BORIS a later one."""
    lines = list(islice(filter(str.strip, text.splitlines()), _MOST_ABOVE))
    first = next(iter(lines), "")
    if _ABOVE.match(first):
        return next((line for line in lines if "behavior" in line.casefold() and "time" in line.casefold()), first)
    return first


def _decoded(data: bytes, where: str) -> str:
    marked = next((encoding for mark, encoding in _MARKS if data.startswith(mark)), None)
    for encoding in (marked,) if marked else _ENCODINGS:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise UsageError(f"{where}: not a table of text; save it as CSV in UTF-8, or as .xlsx")


def _sheet(data: bytes, where: str, what: str) -> Iterator[Row]:
    """The rows of an Excel file's first sheet that are not empty, each with its number."""
    try:
        import openpyxl
    except ModuleNotFoundError as error:
        raise MissingExtraError(what, "tables") from error
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as parts:
            size = sum(part.file_size for part in parts.infolist())
        if size > _MOST_BYTES:
            raise UsageError(f"{where}: has {size:,} bytes when unpacked, too many for such a table")
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        for number, row in enumerate(book.worksheets[0].iter_rows(values_only=True), 1):
            texts = [_text(value) for value in row]
            while texts and not texts[-1]:
                texts.pop()
            if texts:
                yield number, texts
    except UsageError:
        raise
    except Exception as error:  # openpyxl raises whatever a damaged file makes happen
        raise UsageError(f"{where}: not an Excel file that can be read ({printable(str(error))})") from error


def _text(value: Any) -> str:
    """A cell of Excel as text: numbers without needless decimals, times as HH:MM:SS.ssssss."""
    if value is None:
        return ""
    if isinstance(value, float):
        return repr(int(value)) if value.is_integer() else repr(value)
    if isinstance(value, datetime.timedelta):
        hours, rest = divmod(value.total_seconds(), 3600)
        return f"{int(hours):02d}:{int(rest // 60):02d}:{rest % 60:09.6f}"
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        return value.date().isoformat()
    return value.isoformat() if isinstance(value, datetime.date | datetime.time) else str(value).strip()


def _header(where: str, cells: list[str], needed: Sequence[str], optional: Sequence[str]) -> list[str]:
    """The names of the columns. Raises UsageError if required ones are missing, or a name is there twice."""
    known = {name.casefold(): name for name in (*needed, *optional)}
    names = [known.get(cell.casefold(), cell) for cell in cells]
    has = f"it has {', '.join(filter(None, cells))}, and needs {', '.join(needed)}"
    if missing := [name for name in needed if name not in names]:
        how = "" if len(names) > 1 else "; columns are parted by commas, semicolons or tabs"
        raise UsageError(f"{where}: has no column {', '.join(missing)}; {printable(has)}{how}")
    folded = [name.casefold() for name in names]
    if twice := [name for name in dict.fromkeys(names) if name and folded.count(name.casefold()) > 1]:
        raise UsageError(f"{where}: has the column {printable(twice[0])} twice")
    return names


def _number(text: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise ValueError(text)
    return float(text.replace(",", "."))
