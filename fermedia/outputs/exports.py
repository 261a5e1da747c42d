"""A film's segments in the formats of other programs. A format is a function and a row of ``EXPORTS``.

All files are UTF-8 with plain line feeds. Times are those of the film as a player shows it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from fermedia.columns import SEGMENTS, Column
from fermedia.types import EMOTIONS

if TYPE_CHECKING:
    import pandas as pd

#: The contents of a format's files.
Texts = tuple[str, ...]


@dataclass(frozen=True)
class Export:
    """A format: the names of its files, and what makes their contents of segments (``outputs.segments``)."""

    files: tuple[str, ...]
    texts: Callable[[pd.DataFrame], Texts]


def srt(segments: pd.DataFrame) -> Texts:
    """SubRip subtitles. One cue stands at a time: with several faces it has a line for each, "#0 happy"."""
    cues = [
        f"{number}\n{_clock(begin, ',')} --> {_clock(end, ',')}\n" + "\n".join(lines) + "\n"
        for number, (begin, end, lines) in enumerate(_cues(segments), 1)
    ]
    return ("\n".join(cues),)


def vtt(segments: pd.DataFrame) -> Texts:
    """WebVTT subtitles, for a ``<track>`` of a page's player; cues as in SubRip."""
    cues = [
        f"{_clock(begin)} --> {_clock(end)}\n" + "\n".join(map(_escaped, lines)) + "\n"
        for begin, end, lines in _cues(segments)
    ]
    return ("\n".join(["WEBVTT\n", *cues]),)


def elan(segments: pd.DataFrame) -> Texts:
    """Text that ELAN takes with File > Import > CSV/Tab-delimited Text: tier, begin, end, annotation; no header.

    Each face has a tier; times are hh:mm:ss.sss.
    """
    rows = (
        f"face {row.face_id}\t{_clock(row.begin)}\t{_clock(row.end)}\t{row.emotion}\n"
        for row in segments.itertuples()
        if _ms(row.begin) < _ms(row.end)
    )
    return ("".join(rows),)


def bids(segments: pd.DataFrame) -> Texts:
    """A BIDS events table, ``_events.tsv``, with the JSON file beside it that describes its columns.

    ``onset`` counts from the film's beginning. In a data set the two files take the name of their recording.
    """
    names = {"onset": "begin", "duration": "duration", "trial_type": "emotion"} | {
        name: name for name in ("face_id", "mean", "peak", "peak_time")
    }
    table = segments.sort_values("begin", kind="stable")[list(names.values())].set_axis(list(names), axis=1)
    text = table.to_csv(sep="\t", index=False, na_rep="n/a", float_format="%.6f", lineterminator="\n")
    columns = {column.name: column for column in SEGMENTS.columns}
    described = {name: _described(columns[ours]) for name, ours in names.items()}
    described["trial_type"]["Levels"] = {emotion: f"the face is read as {emotion}" for emotion in EMOTIONS}
    return text, json.dumps(described, indent=2) + "\n"


#: What ``--export`` can name (``options.EXPORT_FORMATS``).
EXPORTS = {
    "srt": Export(("segments.srt",), srt),
    "vtt": Export(("segments.vtt",), vtt),
    "elan": Export(("segments_elan.txt",), elan),
    "bids": Export(("segments_events.tsv", "segments_events.json"), bids),
}


def _cues(segments: pd.DataFrame) -> Iterator[tuple[float, float, list[str]]]:
    """(begin, end, lines): the time cut wherever a segment begins or ends, with a line for each that is going on.

    Many players, and ELAN, show or take only one cue at a time.
    """
    rows = [(_ms(r.begin), _ms(r.end), r.face_id, r.emotion) for r in segments.itertuples()]
    edges = sorted({edge for begin, end, *_ in rows for edge in (begin, end)})
    rows.sort(key=lambda row: row[0])
    going: list[tuple[int, int, Any, str]] = []
    upcoming = iter(rows)
    following = next(upcoming, None)
    for begin, end in pairwise(edges):
        going = [row for row in going if row[1] > begin]
        while following is not None and following[0] <= begin:
            going.append(following)
            following = next(upcoming, None)
        going = [row for row in going if row[1] > begin]
        if going:
            lines = [f"#{face_id} {emotion}" for _, _, face_id, emotion in sorted(going, key=lambda row: row[2])]
            yield begin / 1000, end / 1000, lines


def _ms(seconds: float) -> int:
    return max(0, round(seconds * 1000))


def _clock(seconds: float, point: str = ".") -> str:
    """hh:mm:ss.sss."""
    whole, ms = divmod(_ms(seconds), 1000)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}{point}{ms:03d}"


def _escaped(line: str) -> str:
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _described(column: Column) -> dict[str, Any]:
    unit = {"Units": column.unit} if column.unit else {}
    return {"Description": column.meaning, **unit}
