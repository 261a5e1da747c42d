"""Files derived from a finished timeline: segments, photos, exports, Parquet, the page.

They are made in the staging folder, before an item moves to its place; and for items of earlier runs when further
files are requested.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from fermedia.errors import MissingExtraError
from fermedia.files import patiently, whole_file, write_text
from fermedia.options import AnalyzeOptions
from fermedia.report.item import write_item_page
from fermedia.report.pages import DATA, PAGE, is_current
from fermedia.tables.exports import EXPORTS, Export
from fermedia.tables.finished import FinishedItem
from fermedia.tables.people import write_names

#: Files written while an item is analysed; the last two if requested.
TIMELINE, MEASURES, LANDMARKS = "timeline.csv", "measures.csv", "landmarks.parquet"

#: Files derived from the first two of them.
SEGMENTS, BLINKS, PHOTOS = "segments.csv", "blinks.csv", "photos.csv"
PARQUET, MEASURES_PARQUET = "timeline.parquet", "measures.parquet"

#: All names in an item's folder that ``derive`` makes; an item can be finished without them.
DERIVED = {SEGMENTS, BLINKS, PHOTOS, PARQUET, MEASURES_PARQUET, PAGE, DATA}.union(
    *(export.files for export in EXPORTS.values())
)


def check(options: AnalyzeOptions) -> None:
    """Raise MissingExtraError if ``derive`` lacks a package, so that this is known before the first video."""
    if find_spec("pyarrow") is None:
        for flag, asked in (("--format parquet", options.format == "parquet"), ("--landmarks", options.landmarks)):
            if asked:
                raise MissingExtraError(flag, "parquet")


def wanted(kind: str, options: AnalyzeOptions) -> set[str]:
    """The names of ``DERIVED`` that an item of this kind should have."""
    names = {PAGE, DATA}
    if options.format == "parquet":
        names |= {PARQUET, MEASURES_PARQUET} if options.measures else {PARQUET}
    if kind == "photos":
        return names | {PHOTOS}
    names |= {SEGMENTS, BLINKS} if options.measures else {SEGMENTS}
    return names.union(*(EXPORTS[name].files for name in options.export or ()))


def derive(item: FinishedItem, options: AnalyzeOptions, unwanted: Collection[str] = ()) -> set[str]:
    """Write the requested derived files of an item that are missing.

    The page is written again if another file is added or removed, or if an older fermedia wrote it.

    Args:
        item: The item; ``timeline.csv`` and ``item.json`` must be complete.
        options: The options that request the files.
        unwanted: Names of files to remove.

    Returns:
        The names of the files that were written.

    Raises:
        OSError: A file cannot be written.
        DataError: A table of the item is damaged.
    """
    folder = item.folder
    names = wanted(item.about["kind"], options)
    missing = {name for name in names if not (folder / name).is_file()}
    _make(item, missing, [EXPORTS[name] for name in options.export or ()])
    for name in unwanted:
        patiently(partial((folder / name).unlink, missing_ok=True), folder / name)
    if missing or unwanted or not is_current(folder):
        write_item_page(item)
        missing |= {PAGE, DATA}
    return missing


def name_faces(folder: Path, people: Mapping[int, str]) -> list[str]:
    """Name the faces in the tables of an item. Returns the names of the files that were written.

    Raises:
        OSError: A file cannot be written.
        DataError: A table is damaged.
    """
    written = [table for table in (TIMELINE, MEASURES) if (folder / table).is_file()]
    for table in written:
        write_names(folder / table, people)
    return written


def _make(item: FinishedItem, missing: set[str], formats: list[Export]) -> None:
    for name, table in ((SEGMENTS, "segments"), (BLINKS, "blinks"), (PHOTOS, "photos")):
        if name in missing:
            text = getattr(item, table).to_csv(index=False, float_format="%.6f", lineterminator="\n")
            write_text(item.folder / name, text)
    for export in formats:
        if missing.intersection(export.files):
            for name, text in zip(export.files, export.texts(item.segments), strict=True):
                if name in missing:
                    write_text(item.folder / name, text)
    for name, table in ((PARQUET, "timeline"), (MEASURES_PARQUET, "measures")):
        if name in missing:
            with whole_file(item.folder / name) as path:
                getattr(item, table).to_parquet(path, engine="pyarrow", index=False)
