"""Read the codes of human coders: from CSV files, BORIS, ELAN, and the sheets of ``fermedia sample``."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from fermedia.columns import SAMPLE
from fermedia.errors import UsageError
from fermedia.files import printable, shown
from fermedia.study.boris import BorisEvent, read_boris
from fermedia.study.codes import EVERYBODY, MACHINE, NUMERIC, UNCLEAR, Code, number_of, subject, time_of
from fermedia.study.elan import ElanFile
from fermedia.study.given import NOT_OWN, Row, read_rows, records
from fermedia.tables.cells import cell, name_cell

if TYPE_CHECKING:
    import pandas as pd

#: The suffixes of the files that are read in a coder's folder.
_SUFFIXES = (".csv", ".tsv", ".txt", ".xlsx", ".eaf")

_NEEDS = "item, label, and begin and end, or time, or frame"


def read_codes(
    paths: Sequence[Path], key: Path | None = None, tiers: Sequence[str] = ()
) -> tuple[list[Code], list[str]]:
    """Read the codes of one or several coders.

    Args:
        paths: CSV or .xlsx files, tables that BORIS exported, ``.eaf`` files of ELAN, sheets of ``fermedia sample``; or
            folders of such files, each of one coder. A coder whom a file does not name is called as it, or as the
            folder.
        key: The key of the sheets, ``key.csv``.
        tiers: The tiers of ELAN to read; all if there are none.

    Returns:
        The codes, and messages about what was left out.

    Raises:
        UsageError: A file is wrong; the message says how, and in which row.
    """
    codes: list[Code] = []
    notes: list[str] = []
    sample = None if key is None else _read_key(key)
    known: set[str] = set()
    unnamed: dict[str, Path] = {}
    for given in paths:
        name = cell(given.resolve().name if given.is_dir() else given.stem)
        for path in _files(given):
            found = _elan(path, tiers, known) if path.suffix.lower() == ".eaf" else _table(path, sample, notes)
            if any(not code.coder for code in found) and unnamed.setdefault(name, given) != given:
                both = f"{shown(unnamed[name], whole=True)} and {shown(given, whole=True)}"
                raise UsageError(f"{both}: both give codes of a coder called {name}; name the files or folders apart")
            codes += [code if code.coder else replace(code, coder=name) for code in found]
    if missing := [tier for tier in tiers if tier not in known]:
        has = f"; there are {', '.join(sorted(known))}" if known else ", and there is no file of ELAN"
        raise UsageError(printable(f"--tiers {', '.join(missing)}: no such tier{has}"))
    if named := next((code for code in codes if code.coder.casefold() in (MACHINE, EVERYBODY)), None):
        why = "which in the tables means fermedia, or all coders together"
        raise UsageError(f"{named.where}: a coder cannot be called {named.coder}, {why}")
    _name_people(codes)
    _check_sheets(codes)
    kinds: dict[str, Code] = {}
    for code in codes:
        if (other := kinds.setdefault(code.coder, code)).is_period != code.is_period:
            what = f"{other.where} codes {_kind(other)} and {code.where} {_kind(code)}"
            raise UsageError(f"{what}, both by {code.coder}; give the two kinds of codes in two commands")
    return codes, notes


def _files(given: Path) -> list[Path]:
    """The file, or the files of a coder's folder that may hold codes, by name."""
    if not given.is_dir():
        return [given]
    try:
        names = sorted(os.listdir(given))
    except OSError as error:
        raise UsageError(f"{shown(given, whole=True)}: cannot be read ({error.strerror or error})") from error
    files = [given / name for name in names if not name.startswith(NOT_OWN) and Path(name).suffix.lower() in _SUFFIXES]
    if not files:
        raise UsageError(f"{shown(given, whole=True)}: a folder without codes, which are {', '.join(_SUFFIXES)}")
    return files


def _elan(path: Path, tiers: Sequence[str], known: set[str]) -> list[Code]:
    """The annotations of the chosen tiers; adds the names of all tiers to ``known``."""
    where = shown(path, whole=True)
    file = ElanFile.read(path, where)
    known |= {tier.name for tier in file.tiers}
    chosen = [tier for tier in file.tiers if not tiers or tier.name in tiers]
    # Often only some of a coder's tiers name their annotator.
    annotators = {tier.annotator for tier in chosen} - {""}
    only = next(iter(annotators)) if len(annotators) == 1 else ""
    items = tuple(dict.fromkeys([*file.recordings, path.stem]))
    return [
        Code(
            cell(tier.annotator or only),
            f"{where} tier {printable(tier.name)}",
            items,
            cell(annotation.text),
            annotation.begin,
            annotation.end,
            face=subject(tier.participant),
        )
        for tier in chosen
        for annotation in tier.annotations
    ]


def _table(path: Path, sample: pd.DataFrame | None, notes: list[str]) -> list[Code]:
    where = shown(path, whole=True)
    rows = read_rows(path, where, "reading codes from an .xlsx file")
    if (events := read_boris(rows, where)) is not None:
        return list(_boris(events, where, notes))
    names = [name.casefold() for name in rows[0][1]]
    if {"sample", "number"} <= set(names):
        return list(_sheet(path, names, rows[1:], sample))
    return list(_plain(path, names, rows[1:]))


def _plain(path: Path, names: list[str], rows: Sequence[Row]) -> Iterator[Code]:
    where = shown(path, whole=True)
    numeric = [name for name in names if name in NUMERIC]
    timed = {"begin", "end"} <= set(names)
    placed = timed or "time" in names or "frame" in names
    if not placed or "item" not in names or not ("label" in names or numeric):
        near = {name: get_close_matches(name, ("item", "begin", "end", "time", "frame", "label"), 1) for name in names}
        hint = next(
            (f"; is {name} meant as {found[0]}" for name, found in near.items() if found not in ([], [name])), ""
        )
        has = ", ".join(filter(None, names))
        raise UsageError(printable(f"{where}: has the columns {has}, and codes need {_NEEDS}{hint}"))
    for name in {*numeric, "item", "begin", "end", "time", "frame", "label", "coder", "face_id", "person"}:
        if names.count(name) > 1:
            raise UsageError(f"{where}: has the column {name} twice")
    for number, row in records(names, rows, where):
        place = f"{where} row {number}"
        if not row["item"]:
            raise UsageError(f"{place}: has no item")
        numbers = {name: number_of(row[name], place, name) for name in numeric if row[name]}
        face = row.get("face_id", "")
        if face.casefold() == "all":
            face = ""
        if face and not face.isdigit():
            raise UsageError(f"{place}: face_id must be a number or empty, got {face!r}")
        person = name_cell(row.get("person", ""))
        if face and person:
            raise UsageError(f"{place}: has a face_id and a person; give one of them")
        begin = end = math.nan
        frame = ""
        is_nothing = not row.get("label") and not numbers
        if timed and is_nothing and not row["begin"] and not row["end"]:
            begin = end = 0.0  # the item was coded, and there was nothing to code
        elif timed:
            begin, end = (time_of(row[name], place, name) for name in ("begin", "end"))
            if end < begin:
                raise UsageError(f"{place}: ends at {end:g} s, before its begin at {begin:g} s")
        elif "frame" in names and row["frame"]:
            frame = row["frame"]
        else:
            begin = time_of(row.get("time", ""), place, "time" if "time" in names else "frame")
        coder = cell(row.get("coder", ""))
        label = cell(row.get("label", ""))
        yield Code(coder, place, (row["item"],), label, begin, end, frame, face, person, numbers=numbers)


def _boris(events: Sequence[BorisEvent], where: str, notes: list[str]) -> Iterator[Code]:
    for event in events:
        place, label = f"{where} row {event.row}", cell(event.behavior)
        if math.isinf(event.end):
            notes.append(f"{place}: {label} never stops; counted to the video's end")
        face = subject(event.subject)
        yield Code(cell(event.coder), place, event.items, label, event.begin, event.end, face=face)


def _name_people(codes: list[Code]) -> None:
    """Make subjects of other programs who are no faces the persons of their codes."""
    subjects: dict[tuple[str, tuple[str, ...]], set[str]] = {}
    for code in codes:
        if code.face:
            subjects.setdefault((code.coder, code.items), set()).add(code.face)
    for at, code in enumerate(codes):
        if code.face and not code.face.isdigit():
            is_only = len(subjects[code.coder, code.items]) == 1
            codes[at] = replace(code, face="", person=name_cell(code.face), is_only=is_only)


def _check_sheets(codes: Sequence[Code]) -> None:
    """Check that no two files have codes of one frame by one coder: two people may have called themselves alike."""
    files: dict[tuple[str, ...], str] = {}
    for code in codes:
        if code.frame:
            file = code.where.rpartition(" row ")[0]
            if (other := files.setdefault((code.coder, *code.items, code.frame, code.face, code.person), file)) != file:
                why = "if these are two people, give them different names in the column coder"
                raise UsageError(f"{other} and {code.where}: both are codes of one frame by {code.coder}; {why}")


def _sheet(path: Path, names: list[str], rows: Sequence[Row], sample: pd.DataFrame | None) -> Iterator[Code]:
    where = shown(path, whole=True)
    if sample is None:
        raise UsageError(f"{where}: is a sheet of fermedia sample; give the sample's key: --key key.csv")
    if "label" not in names:
        raise UsageError(f"{where}: is a sheet of fermedia sample, but has no column label")
    for number, row in records(names, rows, where):
        place = f"{where} row {number}"
        if (row["sample"], row["number"]) not in sample.index:
            raise UsageError(printable(f"{place}: frame {row['number']} of sample {row['sample']} is not in the key"))
        frame = sample.loc[(row["sample"], row["number"])]
        label = "" if row["label"].casefold() == UNCLEAR else cell(row["label"])
        coder = cell(row.get("coder", ""))
        yield Code(coder, place, (frame["item"],), label, frame=frame["frame"], face=frame["face_id"])


def _read_key(path: Path) -> pd.DataFrame:
    """The key of a sample, as text, indexed by sample and number."""
    import pandas as pd

    where = f"--key {shown(path, whole=True)}"
    (_, header), *rows = read_rows(path, where, "reading codes from an .xlsx file")
    if tuple(header) != SAMPLE.names:
        raise UsageError(f"{where}: is not the key of a sample; fermedia sample wrote one beside its page")
    table = pd.DataFrame([row for _, row in rows], columns=header, dtype=str)
    return table.set_index(["sample", "number"])


def _kind(code: Code) -> str:
    return "periods" if code.is_period else "single frames"
