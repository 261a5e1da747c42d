"""The page of a run: everything in a folder of results, from its tables alone."""

from __future__ import annotations

import csv
import json
from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fermedia.columns import COMPARISONS, CONDITIONS, FACE, FAILURES, ITEM, PARTICIPANTS, PERSON, Table
from fermedia.errors import DataError
from fermedia.render.previews import FOLDER as PREVIEWS
from fermedia.render.previews import Preview, read_previews
from fermedia.report.alike import alike
from fermedia.report.events import run_events
from fermedia.report.item import write_item_page
from fermedia.report.pages import PAGE, is_current, url, write_batch
from fermedia.study.participants import combination
from fermedia.tables.cells import cell
from fermedia.tables.finished import AGAIN, FinishedItem, sensible
from fermedia.tables.summary import read_summary
from fermedia.tables.tables import read_csv, records
from fermedia.types import EMOTIONS

if TYPE_CHECKING:
    import pandas as pd

#: Tables whose columns about emotions the page shows if they exist (``--participants``).
GROUPS = (CONDITIONS, COMPARISONS, PARTICIPANTS)

#: The measures that are compared between conditions, besides emotions.
DONE = ("looks_at_camera_share", "speaking_share", "blinks_per_minute")

#: The fields of run.json that the page uses, with their types.
_RUN: dict[str, type] = {"begun": str, "state": str, "fermedia": str, "inputs": list}
_RUN |= dict.fromkeys(("options", "model", "versions", "totals"), dict)

#: The maximum number of failures, and of rows of a table, on the page; the files have all.
_MOST_ROWS = 1000


#: The maximum number of faces of an item that are to be named on the page: those in view for longest.
_MOST_NAMED = 50


def write_report(folder: Path, keys: Iterable[str], items: bool = True) -> int:
    """Write the page of a run, the files that all pages share, and the items' pages.

    Args:
        folder: The folder of results.
        keys: The keys of the items.
        items: Write the pages of all items; if false, only those that this version of fermedia did not write.

    Returns:
        The number of items.

    Raises:
        DataError: A table of the folder is missing or damaged.
        OSError: A file cannot be written.
    """
    with _damaged(folder / "summary.csv"):
        summary = read_summary(folder / "summary.csv")
    by_item: dict[str, list[dict[str, Any]]] = {}
    for row in records(summary):
        by_item.setdefault(row["item"], []).append(row)
    rows = []
    for key in sorted(keys, key=lambda key: key.split("/")):
        item = FinishedItem.of(folder, key)
        if items or not is_current(item.folder):
            write_item_page(item)
        with sensible(item.folder):
            rows.append(_row(item, item.folder.relative_to(folder).as_posix(), by_item.get(cell(key), [])))
    run = _run(folder / "run.json")
    failures = _table(folder, FAILURES)
    data = {
        "run": run,
        "items": rows,
        "failures": records(failures.head(_MOST_ROWS)),
        "failed": len(failures),
        "groups": [
            {
                "name": f"{group.name}.csv",
                "columns": list(table.columns),
                "rows": table.where(table.notna(), "").head(_MOST_ROWS).to_numpy().tolist(),
            }
            for group in GROUPS
            if (folder / f"{group.name}.csv").is_file() and len(table := _compared(folder, group))
        ],
        "run_events": run_events(folder),
        "files": [{"name": n, "href": url(n)} for n in _files(folder)],
    }
    write_batch(folder, "Results · fermedia", data)
    return len(rows)


def _row(item: FinishedItem, way: str, summary: list[dict[str, Any]]) -> dict[str, Any]:
    home, about = item.folder, item.about
    whole = next((row for row in summary if row["level"] == ITEM), None)
    if whole is None:
        raise DataError(f"{home}: summary.csv has no row for all of its faces; {AGAIN}")
    preview = next((p.file for p in read_previews(home) if p.face_id is None), None)
    begin = about["options"]["start"] or 0
    return {
        "key": item.key,
        "kind": about["kind"],
        "href": url(f"{way}/{PAGE}"),
        "thumb": url(f"{way}/{PREVIEWS}/{preview}") if preview else None,
        "length": None if not item.is_video or about["end"] is None else max(about["end"] - begin, 0.0),
        "frames": about["frames_analysed"],
        "seen": about["frames_with_face"],
        # In photos, a face's id is its rank in the photo, not a person.
        "people": sum(row["level"] == FACE for row in summary) if item.is_video else None,
        "persons": list(dict.fromkeys(row[PERSON.name] for row in summary if row.get(PERSON.name))),
        "coverage": whole["coverage"],
        "judged": whole["judged"],
        "emotion": whole["emotion"],
        "means": [whole[f"{emotion}_mean"] for emotion in EMOTIONS],
        "shares": [whole[f"{emotion}_share"] for emotion in EMOTIONS],
        "failures": len(about["failures"]),
        "cell": cell(item.key),
        "faces": _faces(item, way, summary) if item.is_video else [],
    }


def _faces(item: FinishedItem, way: str, summary: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The faces of a video, to be named: those in view for longest, and those that have a name.

    Each has its id, seconds in view, first and last time, name, the image of the strongest moment if there is one, and
    the earlier face that may be the same person.
    """
    best: dict[str, Preview] = {}
    for preview in sorted(read_previews(item.folder), key=lambda p: p.probability or 0):
        best[str(preview.face_id)] = preview
    faces = [row for row in summary if str(row["face_id"]).isdecimal() and row["seconds"] is not None]
    faces.sort(key=lambda row: -float(row["seconds"]))
    like = {pair.face_id: str(pair.earlier) for pair in alike(item)} if len(faces) > 1 else {}
    return [
        {
            "id": (name := str(row["face_id"])),
            "seconds": row["seconds"],
            "first": row["first"],
            "last": row["last"],
            "person": row.get("person") or "",
            "image": url(f"{way}/{PREVIEWS}/{best[name].file}") if name in best else None,
            "like": like.get(int(name)),
        }
        for rank, row in enumerate(faces)
        if rank < _MOST_NAMED or row.get("person")
    ]


def _run(path: Path) -> dict[str, Any]:
    """The valid fields of run.json; none if the file is missing. Raises DataError if it cannot be read."""
    try:
        found = dict(json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {})
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read ({error}); {AGAIN}") from error
    audio = {name: value for name, value in found.items() if isinstance(value, _RUN.get(name, object))}
    inputs = audio.get("inputs")
    return audio | {"inputs": list(map(str, inputs)) if isinstance(inputs, list) else []}


def _compared(folder: Path, group: Table) -> pd.DataFrame:
    """The rows and columns of a table of participants, conditions or comparisons that are shown.

    Of the measures these are emotions and ``DONE``. The levels of the factors become one column, ``condition``;
    differences are called ``value`` as means are.
    """
    table = _table(folder, group).astype(object)
    if group is COMPARISONS:
        about = table["factor"] + ": " if table["factor"].nunique() > 1 else ""
        table = table.assign(condition=about + table["second"] + " \N{MINUS SIGN} " + table["first"])
        table = table.rename(columns={"difference": "value"})
    else:
        factors = [name for name in _table(folder, CONDITIONS) if name not in CONDITIONS.names]
        # Of no columns pandas 2 gives no rows.
        levels = table[factors].to_dict("records") if factors else [{}] * len(table)
        table = table.assign(condition=[_label(row) for row in levels])
    if group is PARTICIPANTS:
        figures = [f"{emotion}_{kind}" for kind in ("mean", "share") for emotion in EMOTIONS]
        return table[["participant", "condition", "items", "seconds", *figures]]
    names = ["condition", "measure", "emotion", "participants", "value", "low", "high"]
    return table.loc[table["emotion"].notna() | table["measure"].isin(DONE), names]


def _label(row: dict[Hashable, Any]) -> str:
    """The name of a combination of levels; where a factor has none, the row is about all of its levels."""
    levels = {name: level for name, level in row.items() if isinstance(level, str)}
    if len(levels) == 1 < len(row):  # of one of several factors
        return next(f"{name}: {level}" for name, level in levels.items())
    return combination(levels.values()) or "all"


def _table(folder: Path, table: Table) -> pd.DataFrame:
    path = folder / f"{table.name}.csv"
    with _damaged(path):
        return read_csv(path, table)


@contextmanager
def _damaged(path: Path) -> Iterator[None]:
    """Convert the exceptions of reading a table to DataError."""
    try:
        yield
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); is this a folder of results?") from error
    except (ValueError, csv.Error) as error:
        raise DataError(f"{path}: is damaged ({str(error).splitlines()[0]})") from error


def _files(folder: Path) -> list[str]:
    """The tables and plots of the whole run."""
    wanted = (".csv", ".json", ".parquet", ".png", ".svg", ".pdf")
    paths = (p for p in (*folder.iterdir(), *folder.glob("plots/*")) if p.suffix in wanted and p.is_file())
    return sorted(p.relative_to(folder).as_posix() for p in paths if not p.name.startswith("."))
