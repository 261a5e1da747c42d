"""`fermedia export`: what Excel's and SPSS's readers find in the files."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import openpyxl
import pandas as pd
import pyreadstat
import pytest
from click.testing import CliRunner
from PIL import Image

import fermedia.commands.export as exporting
from fermedia.cli import cli
from fermedia.columns import ITEMS, PARTICIPANTS, TABLES
from fermedia.errors import FermediaError, MissingExtraError, UsageError
from fermedia.types import EMOTIONS
from tests.videos import astronaut, moving_faces, write_video

USUAL = ["items", "faces", "photos", "participants", "conditions", "comparisons", "segments"]


def run(*arguments: str | Path) -> str:
    done = CliRunner().invoke(cli, [str(a) for a in arguments], standalone_mode=False)
    if isinstance(done.exception, FermediaError):
        raise done.exception
    assert done.exception is None, done.output
    return done.output


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people before and after, and a folder of photos."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "in/class").mkdir(parents=True)
    for number, name in enumerate(("ana_1", "ana_2", "ben_1", "ben_2", "=odd")):
        write_video(folder / "in" / f"{name}.mp4", moving_faces(14 + number, (240, 180)))
    Image.fromarray(astronaut()[:256, 96:352]).resize((96, 96)).save(folder / "in/class/1.jpg")
    rows = ["Item;Participant;Condition;#Age"]
    rows += [f"{who}_{n}.mp4;{who};{'=before' if n == 1 else 'after'};3{n}" for who in ("ana", "ben") for n in (1, 2)]
    (folder / "people.csv").write_bytes("\r\n".join(rows).encode("cp1252"))
    run(
        *("analyze", folder / "in", "--out", folder / "out", "--no-video", "--quiet"),
        "--participants",
        folder / "people.csv",
    )
    return folder / "out"


def test_a_workbook_has_a_sheet_for_each_table_and_one_of_their_meanings(results: Path, tmp_path: Path) -> None:
    said = run("export", results, "--to", "xlsx", "--out", tmp_path / "all.xlsx")
    assert "items (6), faces (5), photos (1), participants (4)" in said
    book = openpyxl.load_workbook(tmp_path / "all.xlsx")
    assert book.sheetnames == [*USUAL, "columns"]
    ours = pd.read_csv(results / "items.csv")
    sheet = book["items"]
    assert sheet.freeze_panes == "A2"
    assert sheet.auto_filter.ref.startswith("A1:")
    found = pd.read_excel(tmp_path / "all.xlsx", sheet_name="items")
    pd.testing.assert_frame_equal(found, ours, check_dtype=False)
    assert found["Age"].dtype.kind == "f"  # with an empty cell
    assert [cell.data_type for cell in sheet["C"]].count("f") == 0  # "=before" is no formula
    assert sheet["A1"].font.bold
    assert sheet.column_dimensions["A"].width >= len("ana_1.mp4")
    meanings = pd.read_excel(tmp_path / "all.xlsx", sheet_name="columns")
    assert {tuple(row) for row in meanings[["table", "column"]].dropna().to_numpy().tolist()} >= {
        (table, column) for table in USUAL for column in pd.read_excel(tmp_path / "all.xlsx", sheet_name=table)
    }
    assert (meanings["meaning"].str.len() > 0).all()


def test_spss_has_labels_of_variables_and_values(results: Path, tmp_path: Path) -> None:
    run("export", results, "--to", "spss", "--out", tmp_path / "sav", "--quiet")
    assert {path.name for path in (tmp_path / "sav").iterdir()} == {f"{name}.sav" for name in USUAL}
    table, about = pyreadstat.read_sav(tmp_path / "sav/items.sav")
    ours = pd.read_csv(results / "items.csv")
    assert table["item"].tolist() == ours["item"].tolist()
    assert table["happy_mean"].tolist() == pytest.approx(ours["happy_mean"].tolist())
    column = next(column for column in ITEMS.columns if column.name == "valence_mean")
    assert about.column_names_to_labels["valence_mean"] == column.meaning
    assert str(about.column_names_to_labels["seconds"]).endswith("(s)")
    assert about.variable_value_labels["emotion"] == dict(enumerate(EMOTIONS, 1))
    assert [EMOTIONS[int(code) - 1] for code in table["emotion"]] == ours["emotion"].tolist()
    assert about.variable_measure["condition"] == "nominal"
    assert about.variable_measure["happy_mean"] == "scale"
    assert table["Age"].dropna().tolist() == [31, 32, 31, 32]
    labelled, _ = pyreadstat.read_sav(tmp_path / "sav/photos.sav", apply_value_formats=True)
    assert labelled["emotion"].tolist() == pd.read_csv(results / "items/class/photos/photos.csv")["emotion"].tolist()


@pytest.mark.parametrize(("decimal", "separator", "point"), [("point", ",", "."), ("comma", ";", ",")])
def test_a_csv_for_excel_is_of_the_country(
    results: Path, tmp_path: Path, decimal: str, separator: str, point: str
) -> None:
    run(
        "export",
        results,
        "--to",
        "excel-csv",
        "--decimal",
        decimal,
        "--out",
        tmp_path / "csv",
        "--tables",
        "items,timeline",
    )
    assert {path.name for path in (tmp_path / "csv").iterdir()} == {"items.csv", "timeline.csv"}
    data = (tmp_path / "csv/items.csv").read_bytes()
    assert data.startswith(b"\xef\xbb\xbf")
    assert data.count(b"\r\n") == 1 + 6
    header, *rows = csv.reader(data.decode("utf-8-sig").splitlines(), delimiter=separator)
    ours = pd.read_csv(results / "items.csv", dtype=str, keep_default_na=False)
    assert header == list(ours)
    place = header.index("happy_mean")
    assert [row[place].replace(point, ".") for row in rows] == ours["happy_mean"].tolist()


def test_names_of_variables_are_those_that_spss_takes() -> None:
    names = exporting._variables(["_neutral_mean", "Größe (cm)", "by", "1st", "Item", "item", "x" * 80, "day."])
    assert names == ["v_neutral_mean", "Größe__cm", "by_2", "v_1st", "Item", "item_2", "x" * 60, "day"]


def test_all_columns_have_names_that_spss_tells_apart() -> None:
    for table in TABLES:
        made = exporting._variables(table.names)
        assert len({name.casefold() for name in made}) == len(table.names)
        assert all(len(exporting._label(column).encode()) <= 256 for column in table.columns)


def test_what_cannot_be_exported_is_said_in_one_line(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong: list[tuple[list[str | Path], str]] = [
        (["--to", "xlsx", "--out", tmp_path / "a.csv"], "must end in .xlsx"),
        (["--to", "spss", "--out", tmp_path / "a.xlsx"], "name a folder"),
        (["--to", "xlsx", "--out", results / "a.xlsx"], "lies in the results"),
        (["--to", "spss", "--out", results / "sav"], "lies in the results"),
        (["--to", "xlsx", "--out", tmp_path / "a.xlsx", "--tables", "items,faces,x"], "--tables knows items, faces"),
        (
            ["--to", "xlsx", "--out", tmp_path / "a.xlsx", "--tables", "measures"],
            "has no measures; analyze with --measures",
        ),
        (["--to", "xlsx", "--out", tmp_path / "a.xlsx", "--decimal", "comma"], "--decimal is for --to excel-csv"),
    ]
    for arguments, message in wrong:
        with pytest.raises(UsageError, match=message) as raised:
            run("export", results, *arguments)
        assert "\n" not in str(raised.value)
    monkeypatch.setattr(exporting, "_MOST_ROWS", 5)
    with pytest.raises(UsageError, match="items has more rows than a sheet of Excel can hold, 5; leave it out"):
        run("export", results, "--to", "xlsx", "--out", tmp_path / "a.xlsx", "--tables", "items")
    for name, format, out in (("openpyxl", "xlsx", "a.xlsx"), ("pyreadstat", "spss", "sav")):
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(MissingExtraError, match=r"fermedia\[tables\]"):
            run("export", results, "--to", format, "--out", tmp_path / out)
    assert not list(tmp_path.iterdir())


def test_damaged_tables_are_refused(results: Path, tmp_path: Path) -> None:
    damaged = results / "participants.csv"
    whole = damaged.read_text()
    try:
        for text in ("", "a,b\n1,2\n", whole.replace("0.", "O.", 1), whole + "x,y\n"):
            damaged.write_text(text)
            with pytest.raises(UsageError, match="damaged") as raised:
                run("export", results, "--to", "excel-csv", "--out", tmp_path, "--tables", PARTICIPANTS.name)
            assert "\n" not in str(raised.value)
    finally:
        damaged.write_text(whole)
    assert not list(tmp_path.glob("*.csv"))
