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

from fermedia.columns import CUT, PERSON, SEGMENTS, Column
from fermedia.options import EXPORT_FILES
from fermedia.tables.people import called, people_of
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
    """SubRip subtitles. There is one cue at a time, with a line for each face: "Anna happy", or "#0 happy"."""
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

    Tiers are those of ``eaf``; times are hh:mm:ss.sss.
    """
    rows = (f"{row.tier}\t{_clock(row.begin)}\t{_clock(row.end)}\t{row.label}\n" for row in _tiered(segments))
    return ("".join(rows),)


def eaf(segments: pd.DataFrame) -> Texts:
    """An ELAN document, which opens by itself; the recording is linked by its path.

    Each person has a tier, and so has each face without a name, "face 3". The annotations of a tier never overlap:
    where faces of one name are seen at once, the later one has a tier of its own, "Anna (face 3)". With several
    conditions, each of them has its own tiers, "Anna yaw>20".

    The format is EAF 3.0 (https://www.mpi.nl/tools/elan/EAFv3.0.xsd).
    """
    rows = list(_tiered(segments))
    times = sorted({_ms(time) for row in rows for time in (row.begin, row.end)})
    slots = {time: f"ts{number}" for number, time in enumerate(times, 1)}
    document = Element("ANNOTATION_DOCUMENT", _EAF)
    header = SubElement(document, "HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
    if len(segments):
        SubElement(header, "MEDIA_DESCRIPTOR", _media(str(segments["source"].iloc[0])))
    order = SubElement(document, "TIME_ORDER")
    for time, slot in slots.items():
        SubElement(order, "TIME_SLOT", TIME_SLOT_ID=slot, TIME_VALUE=str(time))
    tiers: dict[str, Element] = {}
    for number, row in enumerate(rows, 1):
        if row.tier not in tiers:
            whose = {"PARTICIPANT": row.person} if row.person else {}
            about = {"LINGUISTIC_TYPE_REF": "default-lt"} | whose | {"TIER_ID": row.tier}
            tiers[row.tier] = SubElement(document, "TIER", about)
        annotation = SubElement(SubElement(tiers[row.tier], "ANNOTATION"), "ALIGNABLE_ANNOTATION")
        annotation.attrib |= {
            "ANNOTATION_ID": f"a{number}",
            "TIME_SLOT_REF1": slots[_ms(row.begin)],
            "TIME_SLOT_REF2": slots[_ms(row.end)],
        }
        SubElement(annotation, "ANNOTATION_VALUE").text = row.label
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
        name: name for name in ("face_id", "mean", "peak", "peak_time", PERSON.name)
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


@dataclass(frozen=True)
class _Annotation:
    """A segment in its tier: begin and end in seconds, its label, and the person, "" for a face without a name."""

    tier: str
    begin: float
    end: float
    label: str
    person: str


def _tiered(segments: pd.DataFrame) -> Iterator[_Annotation]:
    """The segments in tiers without overlaps, in their order; without those shorter than a millisecond."""
    rows = segments.assign(label=segments[_labels(segments)].astype(str), begin_ms=segments["begin"].map(_ms))
    people = people_of(segments)
    rows = rows.assign(end_ms=segments["end"].map(_ms), person=[people.get(face, "") for face in segments["face_id"]])
    rows = rows[rows["begin_ms"] < rows["end_ms"]]
    kinds = rows["label"] if _labels(segments) == "condition" and rows["label"].nunique() > 1 else ""
    rows = rows.assign(kind=kinds)
    tiers: dict[tuple[Any, str], str] = {}
    owners: dict[str, str] = {}
    filled: dict[str, list[tuple[int, int]]] = {}
    for (face_id, kind), mine in rows.groupby(["face_id", "kind"], sort=False):
        person, times = mine["person"].iloc[0], list(zip(mine["begin_ms"], mine["end_ms"], strict=True))
        name = person or f"face {face_id}"
        tier = f"{name} {kind}".rstrip()
        others = filled.get(tier, [])
        if owners.get(tier, person) != person or any(a < end and begin < b for a, b in times for begin, end in others):
            tier = f"{name} (face {face_id}) {kind}".rstrip()
        tiers[face_id, kind] = tier
        owners[tier] = person
        filled.setdefault(tier, []).extend(times)
    for row in rows.itertuples():
        yield _Annotation(tiers[row.face_id, row.kind], row.begin, row.end, row.label, row.person)


def _cues(segments: pd.DataFrame) -> Iterator[tuple[float, float, list[str]]]:
    """Split the time wherever a segment begins or ends: (begin, end, a line per current segment).

    Many players, and ELAN, only support one cue at a time.
    """
    names = [called(*whose) for whose in zip(segments["face_id"], segments[PERSON.name], strict=True)]
    first = segments["face_id"].groupby(names).min()  # the lines of a person keep their place across cuts
    rows = [
        (_ms(row.begin), _ms(row.end), first[name], f"{name} {label}")
        for row, name, label in zip(segments.itertuples(), names, segments[_labels(segments)], strict=True)
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
            yield begin / 1000, end / 1000, [line for *_, line in sorted(going, key=lambda row: row[2])]


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
