"""Faces of labelled pictures from anywhere: FER-2013's own, other people's crops, whole photos.

A picture of FER-2013's size is taken for a face that was cut out as FER-2013 cuts them; in all others the faces are
found as ``analyze`` finds them, and the largest is taken. Nothing is left out in silence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from tqdm import tqdm

from fermedia.errors import DataError, UsageError
from fermedia.files import counted, printable
from fermedia.options import AnalyzeOptions
from fermedia.training.dataset import CHOICES, Split, read_votes
from fermedia.training.sources import SIZE, SPLITS, Entry, Shown, Source, open_source
from fermedia.types import EMOTIONS, Gray, Picture
from fermedia.vision.detect import FaceDetector
from fermedia.vision.framing import crop_face, cut_square

#: What a picture is taken for: a face by itself, a photo in which to find one, or what its size says.
Faces = Literal["auto", "find", "crops"]

#: Names of this many that were left out stand in a line for people; all of them are in the record.
_NAMED = 5


@dataclass(frozen=True, eq=False)
class Labelled:
    """The faces of a data set's pictures, one for each, and what became of the others.

    ``split`` are the faces, ``parts`` how many pictures each of the data's parts has ("all" where it has none),
    ``searched`` in how many of them a face was looked for. In those of ``faceless`` none was found; those of
    ``unreadable`` have a fault.
    """

    source: Source
    split: Split
    parts: dict[str, int]
    searched: int
    faceless: tuple[Entry, ...]
    unreadable: tuple[Shown, ...]

    @property
    def like_fer2013(self) -> bool:
        """Whether the data have its form: parts, and pictures of its size, but for odd ones."""
        return "all" not in self.parts and 2 * self.searched < sum(self.parts.values())

    @property
    def missing(self) -> list[str]:
        """The classes that have no picture in these parts."""
        left = [*self.faceless, *(shown.entry for shown in self.unreadable)]
        labels = {*self.split.labels.tolist(), *(entry.label for entry in left)}
        return [name for label, name in enumerate(EMOTIONS) if label not in labels]

    def record(self) -> dict[str, Any]:
        """All of it as plain values for JSON, "left_out" as a line."""
        return {
            "pictures": sum(self.parts.values()),
            "searched": self.searched,
            "judged": len(self.split),
            "without_a_face": [_name(entry) for entry in self.faceless],
            "unreadable": {_name(shown.entry): shown.fault for shown in self.unreadable},
            "other_folders": self.source.others,
            "other_files": list(self.source.strays),
            "missing_classes": self.missing,
            "left_out": self.left_out(),
        }

    def left_out(self) -> str:
        """The same in a line for people; empty where nothing was left out."""
        parts = []
        if self.faceless:
            classes = Counter(EMOTIONS[entry.label] for entry in self.faceless)
            named = _listed([f"{n:,} {name}" for name, n in classes.most_common()], len(EMOTIONS))
            parts.append(f"no face found in {len(self.faceless):,} of {counted(self.searched, 'picture')} ({named})")
        if self.unreadable:
            faults = [f"{_name(shown.entry)}: {shown.fault}" for shown in self.unreadable]
            parts.append(f"unreadable {len(faults):,} ({_listed(faults)})")
        if self.source.others:
            folders = Counter(self.source.others)
            named = _listed([f"{n:,} in {name}" for name, n in folders.most_common()])
            parts.append(f"in folders of no class {folders.total():,} ({named})")
        if self.source.strays:
            parts.append(f"no pictures by their names {len(self.source.strays):,} ({_listed(self.source.strays)})")
        if self.missing:
            parts.append(f"there are none of {', '.join(self.missing)}")
        return printable("; ".join(parts))


def read_labelled(data: Path, split: str | None = None, ferplus: Path | None = None, faces: Faces = "auto") -> Labelled:
    """Read a face from each picture of ``data`` (see ``sources.open_source``), with the FER+ votes on it from a file.

    ``split`` is a key of ``CHOICES``; if None, "public", or everything where the data have no parts. ``faces`` says
    whether to "find" them in the pictures or to take these for "crops"; "auto" takes pictures of 48x48 pixels for
    crops. Raises DataError where that leaves no face, UsageError for a split of data without parts.
    """
    if faces not in get_args(Faces):
        raise UsageError(f"faces must be one of {', '.join(get_args(Faces))}, got {faces!r}")
    source = open_source(data, any_folders=True)
    chosen = _chosen(source, split)
    entries = [entry for entry in source.entries if entry.split in chosen]
    votes = None
    if ferplus is not None:
        rows = {name: iter(each) for name, each in read_votes(ferplus, source, chosen).items()}
        votes = np.stack([next(rows[entry.split]) for entry in entries])
    judged: list[int] = []
    crops: list[Gray] = []
    faceless, unreadable, searched = [], [], 0
    with ExitStack() as stack:
        find = _finder(stack)
        progress = tqdm(source.show(chosen), "reading", len(entries), unit="picture", leave=False, disable=None)
        for i, shown in enumerate(progress):
            if shown.picture is None:
                unreadable.append(shown)
                continue
            size = shown.picture.width, shown.picture.height
            whole = faces == "find" or (faces == "auto" and size != (SIZE, SIZE))
            searched += whole
            face = find(shown.picture) if whole else _as_crop(shown.picture)
            if face is None:
                faceless.append(shown.entry)
                continue
            judged.append(i)
            crops.append(face)
    if not judged:
        first = f"; the first: {_name(unreadable[0].entry)} {unreadable[0].fault}" if unreadable else ""
        advice = "; if they are faces that were cut out, add --faces crops" if faceless else ""
        raise DataError(f"{data}: no face that can be judged in {counted(len(entries), 'picture')}{first}{advice}")
    kept = Split(
        "+".join(chosen) or "all",
        tuple(entries[i].name for i in judged),
        np.stack(crops),
        np.array([entries[i].label for i in judged], np.int64),
        None if votes is None else votes[judged],
    )
    counts = Counter(entry.split or "all" for entry in entries)
    return Labelled(source, kept, dict(counts), searched, tuple(faceless), tuple(unreadable))


def _chosen(source: Source, split: str | None) -> Sequence[str]:
    """The parts of a source to take, in the order of ``SPLITS``; the empty one for pictures that are in no part."""
    if split is not None and split not in CHOICES:
        raise UsageError(f"the split must be one of {', '.join(CHOICES)}, got {split!r}")
    there = [part for part in (*SPLITS, "") if any(entry.split == part for entry in source.entries)]
    if split == "all" or there == [""]:
        if split not in (None, "all"):
            raise UsageError(f"{source.path} has no parts (train, test), so there is no split {split!r}; leave it out")
        return there
    if "" in there:
        stray = next(entry for entry in source.entries if not entry.split)
        raise DataError(
            f"{source.path}: no telling the split of {stray.member}, as of others there; give --split all to take "
            "every picture"
        )
    wanted = CHOICES[split or "public"]
    if not set(wanted) & set(there):
        raise DataError(f"{source.path} has no images of the split '{split or 'public'}'; it has {', '.join(there)}")
    return [part for part in wanted if part in there]


def _finder(stack: ExitStack) -> Callable[[Picture], Gray | None]:
    """What cuts out the largest face of a photo that ``analyze`` would judge; None where there is none.

    The detector is loaded with the first photo, and freed by the stack.
    """
    options = AnalyzeOptions()
    detectors: list[FaceDetector] = []

    def find(picture: Picture) -> Gray | None:
        if not detectors:
            detectors.append(stack.enter_context(FaceDetector(options.detection_confidence, options.detector)))
        largest = next(iter(detectors[0].detect(picture, still=True)), None)
        return crop_face(picture, largest, SIZE) if largest and largest.box.width >= options.min_face else None

    return find


def _as_crop(picture: Picture) -> Gray:
    """A picture that is a face by itself: its middle square, as large as FER-2013's."""
    middle = picture.width / 2, picture.height / 2
    return cut_square(picture, middle, min(picture.width, picture.height), SIZE)


def _name(entry: Entry) -> str:
    return entry.member or entry.name


def _listed(names: Sequence[str], most: int = _NAMED) -> str:
    rest = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest
