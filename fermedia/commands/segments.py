"""Find segments by conditions on measures or emotions, from finished results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from fermedia.columns import MEASURED
from fermedia.errors import OutputError, UsageError
from fermedia.files import shown, sweep, write_text
from fermedia.options import EXPORT_FILES
from fermedia.store.results import keep_out, results
from fermedia.tables.exports import EXPORTS
from fermedia.tables.finished import FinishedItem, sensible
from fermedia.tables.segments import Condition, segments_where

if TYPE_CHECKING:
    import pandas as pd


def cut(
    folder: Path,
    conditions: Sequence[str],
    out: Path,
    shortest: float,
    export: Sequence[str] = (),
    earlier: bool | None = None,
) -> int:
    """Write the segments in which faces met conditions, for each video into its own folder in ``out``.

    Args:
        folder: The folder of results.
        conditions: The conditions, such as "yaw>20".
        out: The folder to write.
        shortest: Minimum length of a segment in seconds.
        export: Further formats to write, names of ``options.EXPORT_FILES``.
        earlier: As for ``Ledger.chosen``.

    Returns:
        The number of segments.

    Raises:
        UsageError: A condition or a format is invalid; ``out`` is in a folder of results; ``folder`` has no results,
            or not the measures needed.
        DataError: A table is damaged.
        OutputError: ``out`` cannot be written.
    """
    wanted = [Condition.of(text) for text in dict.fromkeys(conditions)]
    if unknown := [name for name in export if name not in EXPORTS]:
        raise UsageError(f"--export knows {', '.join(EXPORT_FILES)}, got {', '.join(unknown)}")
    keep_out(out / "segments.csv")
    count = 0
    for item in results(folder, earlier):
        if not item.is_video:
            continue
        found = _cut(item, wanted, shortest, folder)
        count += len(found)
        # The names of the item's folder, unlike its key, are valid on every system.
        place = out.joinpath(*item.folder.parts[-len(PurePosixPath(item.key).parts) :])
        texts = {"segments.csv": found.to_csv(index=False, float_format="%.6f", lineterminator="\n")}
        for name in export:
            texts |= dict(zip(EXPORTS[name].files, EXPORTS[name].texts(found), strict=True))
        try:
            place.mkdir(parents=True, exist_ok=True)
            sweep(place)
            for name, text in texts.items():
                write_text(place / name, text)
        except OSError as error:
            raise OutputError(f"{shown(place, whole=True)}: cannot be written ({error.strerror or error})") from error
    return count


def _cut(item: FinishedItem, conditions: Sequence[Condition], shortest: float, folder: Path) -> pd.DataFrame:
    """The segments of one video that meet any of the conditions, ordered by their begin."""
    import pandas as pd

    if item.measures is None and (asked := [c.text for c in conditions if c.column in MEASURED]):
        where = shown(folder, whole=True)
        raise UsageError(f"{where}: nothing was measured for {asked[0]}; analyze it with --measures into a new folder")
    smooth = float(item.about["options"]["smooth"])
    with sensible(item.folder):
        parts = [segments_where(item.whole, c, item.about["end"], smooth, shortest) for c in conditions]
    return pd.concat(parts).sort_values("begin", kind="stable", ignore_index=True)
