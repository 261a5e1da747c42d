"""Read the annotations of ELAN's ``.eaf`` files, whatever they are used for.

The standard library reads them: the package pympi reads neither the time slots without a time, which subdivided tiers
have, nor the order of annotations that refer to others.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PureWindowsPath
from urllib.parse import unquote
from xml.etree import ElementTree

from fermedia.errors import UsageError
from fermedia.files import printable, regular

#: Maximum size of a file in bytes: a hundred for each of half a million annotations.
_MOST_BYTES = 50_000_000


@dataclass(frozen=True)
class Annotation:
    """An annotation: its id, its begin and end in seconds of the recording, and its text.

    The text is the name of the tier where the annotation has none. ``end`` equals ``begin`` for a moment.
    """

    id: str
    begin: float
    end: float
    text: str


@dataclass(frozen=True)
class Tier:
    """A tier: its name, its annotator and its participant ("" if unknown), and its annotations as in the file."""

    name: str
    annotator: str
    participant: str
    annotations: tuple[Annotation, ...]


@dataclass(frozen=True)
class ElanFile:
    """A file of ELAN.

    Attributes:
        recordings: The file names of its recordings, videos first.
        tiers: Its tiers, as in the file.
    """

    recordings: tuple[str, ...]
    tiers: tuple[Tier, ...]

    @classmethod
    def read(cls, path: Path, where: str) -> ElanFile:
        """Read a file.

        An annotation that refers to another has its time; several of one tier that refer to the same one divide its
        time equally, as ELAN shows it.

        Args:
            path: The file.
            where: What messages about it begin with.

        Raises:
            UsageError: The file cannot be read or is damaged.
        """
        try:
            if (size := regular(path).stat().st_size) > _MOST_BYTES:
                raise UsageError(f"{where}: has {size:,} bytes, too many for annotations")
            root = ElementTree.fromstring(path.read_bytes())
        except OSError as error:
            raise UsageError(f"{where}: cannot be read ({error.strerror or error})") from error
        except (ElementTree.ParseError, ValueError, LookupError, RecursionError) as error:
            raise UsageError(f"{where}: is not a file of ELAN ({printable(str(error))})") from error
        if root.tag != "ANNOTATION_DOCUMENT":
            raise UsageError(f"{where}: is not a file of ELAN, for it begins with {printable(root.tag)[:40]}")
        times = _Times(root, where)
        media = sorted(root.iter("MEDIA_DESCRIPTOR"), key=lambda media: "video" not in media.get("MIME_TYPE", ""))
        urls = [found.get(name, "") for found in media for name in ("MEDIA_URL", "RELATIVE_MEDIA_URL")]
        recordings = dict.fromkeys(PureWindowsPath(unquote(url)).name for url in urls)
        recordings.pop("", None)
        # ELAN's time 0 is at this time of the video.
        offset = _milliseconds(media[0].get("TIME_ORIGIN", "0"), where) if media else 0.0
        tiers = tuple(_tier(tier, times, offset) for tier in root.iter("TIER"))
        return cls(tuple(recordings), tiers)


def _tier(tier: ElementTree.Element, times: _Times, offset: float) -> Tier:
    name = tier.get("TIER_ID", "")
    annotations = []
    for annotation in _annotations(tier):
        identity = annotation.get("ANNOTATION_ID", "")
        begin, end = (time + offset for time in times.of(identity))
        text = (annotation.findtext("ANNOTATION_VALUE") or "").strip()
        annotations.append(Annotation(identity, begin, end, text or name))
    return Tier(name, tier.get("ANNOTATOR", "").strip(), tier.get("PARTICIPANT", "").strip(), tuple(annotations))


class _Times:
    """The begin and end of every annotation of a file of ELAN, in seconds."""

    def __init__(self, root: ElementTree.Element, where: str) -> None:
        self._where = where
        slots = {
            slot.get("TIME_SLOT_ID"): _milliseconds(slot.get("TIME_VALUE"), where) for slot in root.iter("TIME_SLOT")
        }
        self._found: dict[str, tuple[float, float]] = {}
        self._refers: dict[str, tuple[str, int, int]] = {}  # to which annotation, as which of how many
        for tier in root.iter("TIER"):
            self._take(list(_annotations(tier)), slots)

    def of(self, name: str) -> tuple[float, float]:
        """The begin and end of an annotation. Raises UsageError if it leads to no time."""
        path = [name]
        while path[-1] not in self._found:
            parent = self._refers.get(path[-1], ("", 0, 1))[0]
            if not parent or parent in path:
                raise UsageError(f"{self._where}: annotation {printable(name)} has no time")
            path.append(parent)
        for child in reversed(path[:-1]):
            parent, place, count = self._refers[child]
            begin, end = self._found[parent]
            step = (end - begin) / count
            self._found[child] = begin + place * step, begin + (place + 1) * step
        return self._found[name]

    def _take(self, annotations: Sequence[ElementTree.Element], slots: dict[str | None, float]) -> None:
        aligned = [a for a in annotations if a.tag == "ALIGNABLE_ANNOTATION"]
        chain = list(dict.fromkeys(a.get(f"TIME_SLOT_REF{n}") for a in aligned for n in (1, 2)))
        known = dict(zip(chain, _filled([slots.get(slot, math.nan) for slot in chain]), strict=True))
        for a in aligned:
            begin, end = (known[a.get(f"TIME_SLOT_REF{n}")] for n in (1, 2))
            identity = a.get("ANNOTATION_ID", "")
            if math.isnan(begin) or math.isnan(end):
                raise UsageError(f"{self._where}: annotation {printable(identity)} has no time")
            self._found[identity] = begin, max(begin, end)
        children: dict[str, list[ElementTree.Element]] = {}
        for a in annotations:
            if a.tag == "REF_ANNOTATION":
                children.setdefault(a.get("ANNOTATION_REF", ""), []).append(a)
        for parent, referring in children.items():
            for place, a in enumerate(_in_order(referring)):
                self._refers[a.get("ANNOTATION_ID", "")] = parent, place, len(referring)


def _annotations(tier: ElementTree.Element) -> Iterator[ElementTree.Element]:
    return (inner for outer in tier.iter("ANNOTATION") for inner in outer)


def _in_order(annotations: list[ElementTree.Element]) -> list[ElementTree.Element]:
    """Annotations in the order in which each names the one before it; those outside of that order come last."""
    after = {a.get("PREVIOUS_ANNOTATION"): a for a in annotations if a.get("PREVIOUS_ANNOTATION")}
    ordered: dict[ElementTree.Element, None] = {}
    for first in (a for a in annotations if not a.get("PREVIOUS_ANNOTATION")):
        at: ElementTree.Element | None = first
        while at is not None and at not in ordered:
            ordered[at] = None
            at = after.get(at.get("ANNOTATION_ID"))
    return list(ordered | dict.fromkeys(annotations))


def _filled(times: list[float]) -> list[float]:
    """Times in seconds, with those that are missing (NaN) spread evenly between their neighbours."""
    known = [n for n, time in enumerate(times) if not math.isnan(time)]
    for before, after in pairwise(known):
        step = (times[after] - times[before]) / (after - before)
        for n in range(before + 1, after):
            times[n] = times[before] + step * (n - before)
    return times


def _milliseconds(text: str | None, where: str) -> float:
    """A time in seconds; NaN if there is none."""
    if text is None:
        return math.nan
    try:
        if math.isfinite(value := float(text)):
            return value / 1000
    except ValueError:
        pass
    raise UsageError(f"{where}: a time must be in milliseconds, got {printable(text)!r}")
