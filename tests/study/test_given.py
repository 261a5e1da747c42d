"""Tables as users' programs really write them, and those that are wrong."""

from __future__ import annotations

import datetime
import math
import sys
from pathlib import Path

import openpyxl
import pytest

from fermedia.errors import MissingExtraError, UsageError
from fermedia.study.given import GivenTable

NAMES = ("item", "begin", "label")


def read(path: Path, data: bytes | str) -> GivenTable:
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return GivenTable.read(path, "--events", NAMES, ("end",))


def workbook(path: Path, rows: list[list[object]]) -> Path:
    book = openpyxl.Workbook()
    for row in rows:
        book.worksheets[0].append(row)
    book.create_sheet("Notes").append(["not read"])
    book.save(path)
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_table_is_the_same_in_all_encodings_with_all_separators(
    tmp_path: Path, encoding: str, separator: str
) -> None:
    rows = (["Item", "BEGIN", "label", "Größe"], ["Zoë € 1.mp4", '"1,5"', "Café", "klein"])
    text = "\r\n".join(separator.join(row) for row in rows)
    given = read(tmp_path / "t.csv", text.encode(encoding))
    assert given.rows.to_dict("index") == {
        2: {"item": "Zoë € 1.mp4", "begin": "1,5", "label": "Café", "Größe": "klein"}
    }
    assert given.numbers("begin").tolist() == [1.5]


def test_excels_line_about_the_separator_is_no_header(tmp_path: Path) -> None:
    given = read(tmp_path / "t.csv", "sep=;\r\nitem;begin;label\r\na,b.mp4;0;x\r\n")
    assert given.rows.loc[3].tolist() == ["a,b.mp4", "0", "x"]


def test_a_workbook_is_read_like_a_csv(tmp_path: Path) -> None:
    when = datetime.timedelta(minutes=1, seconds=2.5)
    cells: list[list[object]] = [[], ["ITEM", "begin", "Label", "end"], ["a.mp4", 3, "x", when], ["b.mp4", 0.25, 7]]
    given = GivenTable.read(workbook(tmp_path / "t.xlsx", cells), "--events", NAMES, ("end",))
    assert list(given.rows.columns) == ["item", "begin", "label", "end"]
    assert given.rows["label"].tolist() == ["x", "7"]
    assert given.numbers("begin").tolist() == [3, 0.25]
    assert given.rows.index.tolist() == [3, 4]
    first, second = given.times("end")
    assert first == 62.5
    assert math.isnan(second)


def test_times_may_be_clock_times_with_decimal_commas(tmp_path: Path) -> None:
    given = read(tmp_path / "t.csv", "item;begin;label\na;1:02,5;x\nb;00:10:00;x\nc;7;x\n")
    assert given.times("begin").tolist() == [62.5, 600, 7]


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        ("item,begin,label\na,soon,x\n", "row 2: begin must be a number, got 'soon'"),
        ("item,begin,label\na,1,x\nb,1.2.3,x\n", "row 3: begin must be a number"),
        ("item,begin,Item,label\n", "has the column item twice"),
        ("item,begin,label,Extra,extra\na,1,x,2,3\n", "has the column Extra twice"),
        ("item,begin,label\n", "has no rows"),
        (" \n\n", "it is empty"),
        (b"item,begin,label\na\x81,1,x\n", "not a table of text"),
        (b"item\0,begin,label\na,1,x\n", "not a table of text"),
        (b"PK\x03\x04 but no workbook", "not an Excel file that can be read"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "old format; save it as .xlsx"),
    ],
)
def test_what_is_wrong_is_said_with_its_row(tmp_path: Path, data: bytes | str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint) as raised:
        read(tmp_path / "t.csv", data).numbers("begin")
    assert str(raised.value).startswith(f"--events {tmp_path / 't.csv'}: ")


def test_without_openpyxl_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = workbook(tmp_path / "t.xlsx", [list(NAMES), ["a", 1, "x"]])
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(MissingExtraError, match=r"fermedia\[tables\]"):
        GivenTable.read(path, "--events", NAMES)
