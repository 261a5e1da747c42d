"""What is made of a finished timeline: segments, other programs' formats, Parquet, the page.

Made in the staging folder, before an item moves to its place; and for items of earlier runs when more is asked for.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from fermedia.errors import MissingExtraError
from fermedia.files import whole_file
from fermedia.options import AnalyzeOptions
from fermedia.outputs.exports import EXPORTS, Export
from fermedia.outputs.finished import FinishedItem
from fermedia.outputs.report.item import write_item_page
from fermedia.outputs.report.pages import DATA, PAGE, is_current

_SEGMENTS, _PARQUET = "segments.csv", "timeline.parquet"

#: Names in an item's folder that ``derive`` makes: whether they are there does not decide if an item is done.
DERIVED = {_SEGMENTS, _PARQUET, PAGE, DATA}.union(*(export.files for export in EXPORTS.values()))


def check(options: AnalyzeOptions) -> None:
    """Raise MissingExtraError now rather than after the first film if ``derive`` lacks a package."""
    if options.format == "parquet" and find_spec("pyarrow") is None:
        raise MissingExtraError("--format parquet", "parquet")


def derive(folder: Path, key: str, options: AnalyzeOptions) -> None:
    """Make what follows from an item's timeline and is asked for, but not there.

    ``folder`` is that of the item ``key``; ``timeline.csv`` and ``item.json`` must be complete. Films have
    ``segments.csv`` and what ``options.export`` names, all items ``timeline.parquet`` if ``options.format`` says so.
    The page is made anew if another file was, or if an older fermedia made it. Raises OSError, DataError.
    """
    if not (folder / "timeline.csv").is_file():
        return
    item = FinishedItem(folder)
    film = item.about["kind"] != "photos"
    formats = [EXPORTS[name] for name in options.export] if film else []
    wanted = [_SEGMENTS] if film else []
    wanted += [name for export in formats for name in export.files]
    wanted += [_PARQUET] if options.format == "parquet" else []
    missing = {name for name in wanted if not (folder / name).is_file()}
    if missing:
        _make(item, missing, formats)
    if missing or not is_current(folder):
        write_item_page(item, key)


def _make(item: FinishedItem, missing: set[str], formats: list[Export]) -> None:
    if missing - {_PARQUET}:
        table = item.segments.to_csv(index=False, float_format="%.6f", lineterminator="\n")
        _write(item.folder / _SEGMENTS, table, missing)
        for export in formats:
            for name, text in zip(export.files, export.texts(item.segments), strict=True):
                _write(item.folder / name, text, missing)
    if _PARQUET in missing:
        with whole_file(item.folder / _PARQUET) as path:
            item.timeline.to_parquet(path, engine="pyarrow", index=False)


def _write(path: Path, text: str, missing: set[str]) -> None:
    if path.name in missing:
        with whole_file(path) as temporary:
            temporary.write_text(text, encoding="utf-8", newline="\n")
