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
from fermedia.outputs.report.item import read_description, write_item_page
from fermedia.outputs.report.pages import DATA, PAGE, is_current
from fermedia.outputs.segments import segments
from fermedia.outputs.timeline import read_timeline

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
    about = read_description(folder)
    formats = [] if about["kind"] == "photos" else [EXPORTS[name] for name in options.export]
    wanted = [] if about["kind"] == "photos" else [_SEGMENTS]
    wanted += [name for export in formats for name in export.files]
    wanted += [_PARQUET] if options.format == "parquet" else []
    missing = {name for name in wanted if not (folder / name).is_file()}
    if missing:
        _make(folder, options, missing, about["end"], formats)
    if missing or not is_current(folder):
        write_item_page(folder, key)


def _make(folder: Path, options: AnalyzeOptions, missing: set[str], end: float | None, formats: list[Export]) -> None:
    timeline = read_timeline(folder / "timeline.csv")
    if missing - {_PARQUET}:
        table = segments(timeline, end=end, smooth=options.smooth)
        _write(folder / _SEGMENTS, table.to_csv(index=False, float_format="%.6f", lineterminator="\n"), missing)
        for export in formats:
            for name, text in zip(export.files, export.texts(table), strict=True):
                _write(folder / name, text, missing)
    if _PARQUET in missing:
        with whole_file(folder / _PARQUET) as path:
            timeline.to_parquet(path, engine="pyarrow", index=False)


def _write(path: Path, text: str, missing: set[str]) -> None:
    if path.name in missing:
        with whole_file(path) as temporary:
            temporary.write_text(text, encoding="utf-8", newline="\n")
