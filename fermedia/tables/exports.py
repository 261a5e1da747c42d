"""Export of a video's segments to the formats of other programs.

A format is a function here and a row of ``options.EXPORT_FILES``. Segments are of emotions (``columns.SEGMENTS``) or of
conditions (``columns.CUT``). All files are UTF-8 with line feeds. Times are those of a player.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from fermedia.columns import CUT, SEGMENTS, Column
from fermedia.options import EXPORT_FILES
from fermedia.types import EMOTIONS

if TYPE_CHECKING:
    import pandas as pd

#: The contents of a format's files.
Texts = tuple[str, ...]


@dataclass(frozen=True)
class Export:
    """A format: the names of its files, and the function that makes their contents from ``tables.segments``."""

    files: tuple[str, ...]
    texts: Callable[[pd.DataFrame], Texts]


def srt(segments: pd.DataFrame) -> Texts:
    """SubRip subtitles. There is one cue at a time; with several faces it has a line for each, "#0 happy"."""
    cues = [
        f"{number}\n{_clock(begin, ',')} --> {_clock(end, ',')}\n" + "\n".join(lines) + "\n"
        for number, (begin, end, lines) in enumerate(_cues(segments), 1)
    ]
    return ("\n".join(cues),)


def vtt(segments: pd.DataFrame) -> Texts:
    """WebVTT subtitles, for a ``<track>`` of a web page's player; cues as in SubRip."""
    cues = [
        f"{_clock(begin)} --> {_clock(end)}\n" + "\n".join(map(_escaped, lines)) + "\n"
        for begin, end, lines in _cues(segments)
    ]
    return ("\n".join(["WEBVTT\n", *cues]),)


def elan(segments: pd.DataFrame) -> Texts:
    """Text for ELAN's File > Import > CSV/Tab-delimited Text: tier, begin, end, annotation; no header.

    Each face has a tier; times are hh:mm:ss.sss.
    """
    rows = (
        f"face {row.face_id}\t{_clock(row.begin)}\t{_clock(row.end)}\t{label}\n"
        for row, label in zip(segments.itertuples(), segments[_labels(segments)], strict=True)
        if _ms(row.begin) < _ms(row.end)
    )
    return ("".join(rows),)


def eaf(segments: pd.DataFrame) -> Texts:
    """An ELAN document with a tier for each face, which opens by itself; the recording is linked by its path.

    The format is EAF 3.0 (https://www.mpi.nl/tools/elan/EAFv3.0.xsd).
    """
    rows = [
        (f"face {row.face_id}", begin, end, str(label))
        for row, label in zip(segments.itertuples(), segments[_labels(segments)], strict=True)
        if (begin := _ms(row.begin)) < (end := _ms(row.end))
    ]
    slots = {time: f"ts{number}" for number, time in enumerate(sorted({t for row in rows for t in row[1:3]}), 1)}
    document = Element("ANNOTATION_DOCUMENT", _EAF)
    header = SubElement(document, "HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
    if len(segments):
        SubElement(header, "MEDIA_DESCRIPTOR", _media(str(segments["source"].iloc[0])))
    order = SubElement(document, "TIME_ORDER")
    for time, slot in slots.items():
        SubElement(order, "TIME_SLOT", TIME_SLOT_ID=slot, TIME_VALUE=str(time))
    tiers: dict[str, Element] = {}
    for number, (tier, begin, end, label) in enumerate(rows, 1):
        if tier not in tiers:
            tiers[tier] = SubElement(document, "TIER", LINGUISTIC_TYPE_REF="default-lt", TIER_ID=tier)
        annotation = SubElement(SubElement(tiers[tier], "ANNOTATION"), "ALIGNABLE_ANNOTATION")
        annotation.attrib |= {
            "ANNOTATION_ID": f"a{number}",
            "TIME_SLOT_REF1": slots[begin],
            "TIME_SLOT_REF2": slots[end],
        }
        SubElement(annotation, "ANNOTATION_VALUE").text = label
    if not tiers:  # a document needs one
        SubElement(document, "TIER", LINGUISTIC_TYPE_REF="default-lt", TIER_ID="default")
    SubElement(
        document, "LINGUISTIC_TYPE", GRAPHIC_REFERENCES="false", LINGUISTIC_TYPE_ID="default-lt", TIME_ALIGNABLE="true"
    )
    indent(document, "    ")
    return (f'<?xml version="1.0" encoding="UTF-8"?>\n{tostring(document, "unicode")}\n',)


def bids(segments: pd.DataFrame) -> Texts:
    """A BIDS events table, ``_events.tsv``, and the JSON file that describes its columns.

    ``onset`` is in seconds from the start of the video. In a data set both files are named after their recording.
    """
    names = {"onset": "begin", "duration": "duration", "trial_type": _labels(segments)} | {
        name: name for name in ("face_id", "mean", "peak", "peak_time")
    }
    table = segments.sort_values("begin", kind="stable")[list(names.values())].set_axis(list(names), axis=1)
    text = table.to_csv(sep="\t", index=False, na_rep="n/a", float_format="%.6f", lineterminator="\n")
    what = SEGMENTS if _labels(segments) == "emotion" else CUT
    columns = {column.name: column for column in what.columns}
    described = {name: _described(columns[ours]) for name, ours in names.items()}
    if what is SEGMENTS:
        described["trial_type"]["Levels"] = {emotion: f"the face is classified as {emotion}" for emotion in EMOTIONS}
    return text, json.dumps(described, indent=2) + "\n"


#: The formats by their names in ``--export``.
EXPORTS = {texts.__name__: Export(EXPORT_FILES[texts.__name__], texts) for texts in (srt, vtt, elan, eaf, bids)}


#: Attributes of an ELAN document. ELAN shows the date nowhere; a fixed one keeps the same results the same file.
_EAF = {
    "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
    "xsi:noNamespaceSchemaLocation": "http://www.mpi.nl/tools/elan/EAFv3.0.xsd",
    "AUTHOR": "fermedia",
    "DATE": "1970-01-01T00:00:00+00:00",
    "FORMAT": "3.0",
    "VERSION": "3.0",
}


#: The types of recordings that ELAN plays on all systems.
_MIME_TYPES = {".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/quicktime", ".mpg": "video/mpeg"}


def _media(source: str) -> dict[str, str]:
    """The link to a recording: its path if that is absolute, and its name beside the document, where ELAN looks too."""
    path = PurePath(source)
    name = f"./{quote(path.name)}"
    kind = _MIME_TYPES.get(path.suffix.lower(), "video/*")
    return {"MEDIA_URL": path.as_uri() if path.is_absolute() else name, "MIME_TYPE": kind, "RELATIVE_MEDIA_URL": name}


def _cues(segments: pd.DataFrame) -> Iterator[tuple[float, float, list[str]]]:
    """Split the time wherever a segment begins or ends: (begin, end, a line per current segment).

    Many players, and ELAN, only support one cue at a time.
    """
    labels = segments[_labels(segments)]
    rows = [
        (_ms(r.begin), _ms(r.end), r.face_id, label) for r, label in zip(segments.itertuples(), labels, strict=True)
    ]
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
            lines = [f"#{face_id} {label}" for _, _, face_id, label in sorted(going, key=lambda row: row[2])]
            yield begin / 1000, end / 1000, lines


def _labels(segments: pd.DataFrame) -> str:
    """The column that labels the segments."""
    return "emotion" if "emotion" in segments else "condition"


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
