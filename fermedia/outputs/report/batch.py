"""The batch's page: everything in a folder of results, from its tables alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fermedia.columns import SUMMARY_COLUMNS
from fermedia.errors import DataError
from fermedia.outputs.cells import cell
from fermedia.outputs.finished import DESCRIPTION, ITEMS, FinishedItem, read_description
from fermedia.outputs.previews import FOLDER as PREVIEWS
from fermedia.outputs.previews import read_previews
from fermedia.outputs.report.item import records, write_item_page
from fermedia.outputs.report.pages import PAGE, is_current, url, write_batch
from fermedia.outputs.summary import ALL_FACES
from fermedia.types import EMOTIONS

if TYPE_CHECKING:
    import pandas as pd

#: Tables that the page shows row by row if they are there (``--participants``).
GROUPS = ("conditions.csv", "participants.csv")

#: Failures and rows of a table that a page holds; the file has all.
_MOST_ROWS = 1000


def write_report(folder: Path, items: bool = True) -> int:
    """Write the batch's page, with what all pages share, and with ``items`` their pages too; gives their number.

    Without ``items`` only those that are not of this fermedia's making.

    Raises DataError where the folder's tables are missing or damaged, OSError where nothing can be written.
    """
    summary = _table(folder / "summary.csv")
    if missing := set(SUMMARY_COLUMNS) - set(summary.columns):
        raise DataError(f"{folder / 'summary.csv'}: not a summary of fermedia; it has no column {', '.join(missing)}")
    by_item: dict[str, list[dict[str, Any]]] = {}
    for row in records(summary):
        by_item.setdefault(row["item"], []).append(row)
    rows = []
    for place in _places(folder / ITEMS):
        way = place.relative_to(folder).as_posix()
        key = _key(place) or way.removeprefix(f"{ITEMS}/")
        if found := by_item.get(cell(key)):  # else it is outdated
            if items or not is_current(place):
                write_item_page(FinishedItem(place), key)
            rows.append(_row(place, way, key, found))
    run = _run(folder / "run.json")
    failures = _table(folder / "failures.csv")
    data = {
        "run": run,
        "items": rows,
        "failures": records(failures.head(_MOST_ROWS)),
        "failed": len(failures),
        "groups": [
            {
                "name": name,
                "columns": list(table.columns),
                "rows": table.where(table.notna(), "").head(_MOST_ROWS).to_numpy().tolist(),
            }
            for name in GROUPS
            if (folder / name).is_file() and len(table := _table(folder / name).astype(object))
        ],
        "files": [{"name": n, "href": url(n)} for n in _files(folder)],
    }
    write_batch(folder, "Results · fermedia", data)
    return len(rows)


def _row(place: Path, way: str, key: str, summary: list[dict[str, Any]]) -> dict[str, Any]:
    about = read_description(place)
    whole = next((row for row in summary if row["face_id"] == ALL_FACES), None)
    if whole is None:
        raise DataError(f"{place}: summary.csv has no row for all of its faces; run fermedia analyze again")
    photos = about["kind"] == "photos"
    preview = next((p.file for p in read_previews(place) if p.emotion is None), None)
    begin = about["options"]["start"] or 0
    return {
        "key": key,
        "kind": about["kind"],
        "href": url(f"{way}/{PAGE}"),
        "thumb": url(f"{way}/{PREVIEWS}/{preview}") if preview else None,
        "length": None if photos or about["end"] is None else max(about["end"] - begin, 0.0),
        "frames": about["frames_analysed"],
        "seen": about["frames_with_face"],
        # In pictures a face's number is its rank, not a person.
        "people": None if photos else len(summary) - 1,
        "coverage": whole["coverage"],
        "judged": whole["judged"],
        "emotion": whole["emotion"],
        "means": [whole[f"{emotion}_mean"] for emotion in EMOTIONS],
        "shares": [whole[f"{emotion}_share"] for emotion in EMOTIONS],
        "failures": len(about["failures"]),
    }


def _places(folder: Path) -> Iterator[Path]:
    """The items' folders below ``folder``, in the order of their keys."""
    for path in sorted(p for p in folder.iterdir() if p.is_dir()) if folder.is_dir() else ():
        if (path / DESCRIPTION).is_file():
            yield path
        else:
            yield from _places(path)


def _key(place: Path) -> str | None:
    """What the item in a folder is called; None where it does not say so."""
    with suppress(DataError):
        key = read_description(place).get("key")
        return key if isinstance(key, str) else None
    return None


def _run(path: Path) -> dict[str, Any]:
    """What run.json says of the run; nothing where there is none. Raises DataError."""
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        return dict(found)
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{path}: cannot be read ({error}); run fermedia analyze again") from error


def _table(path: Path) -> pd.DataFrame:
    import pandas as pd

    texts = dict.fromkeys(("item", "face_id", "stage", "error", "emotion", "participant", "condition"), str)
    try:
        return pd.read_csv(path, dtype=texts, keep_default_na=False, na_values=[""], encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); is this a folder of results?") from error
    except (ValueError, pd.errors.ParserError) as error:
        raise DataError(f"{path}: is damaged ({str(error).splitlines()[0]})") from error


def _files(folder: Path) -> list[str]:
    """The tables and plots of the whole run."""
    wanted = (".csv", ".json", ".parquet", ".png", ".svg")
    paths = (p for p in (*folder.iterdir(), *folder.glob("plots/*")) if p.suffix in wanted and p.is_file())
    return sorted(name for p in paths if not (name := p.relative_to(folder).as_posix()).startswith("."))
