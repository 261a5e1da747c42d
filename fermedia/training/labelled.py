"""Read faces from labelled images of any source: FER-2013's, other crops, whole photos.

An image of FER-2013's size counts as a face cropped as in FER-2013; in all others faces are detected as in ``analyze``,
and the largest is taken. Everything that is skipped is reported.
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
from fermedia.types import EMOTIONS, Gray, Image
from fermedia.vision.detect import FaceDetector
from fermedia.vision.framing import crop_face, cut_square

#: What images are taken for: photos in which faces are detected ("find"), faces already cropped ("crops"), or either
#: by their size ("auto").
Faces = Literal["auto", "find", "crops"]

#: Maximum number of names that a line for users lists; the record has all.
_NAMED = 5


@dataclass(frozen=True, eq=False)
class Labelled:
    """The faces of a data set's images, one per image, and the images that were skipped.

    Attributes:
        source: The source of the images.
        split: The faces with their labels.
        parts: Number of images by split; under "all" those without a split.
        searched: Number of images in which faces were detected, instead of taking them for crops.
        faceless: Images in which no face was found.
        unreadable: Images that cannot be read, each with its fault.
    """

    source: Source
    split: Split
    parts: dict[str, int]
    searched: int
    faceless: tuple[Entry, ...]
    unreadable: tuple[Shown, ...]

    @property
    def like_fer2013(self) -> bool:
        """Whether the data have FER-2013's form: they have splits, and more than half of the images are crops."""
        return "all" not in self.parts and 2 * self.searched < sum(self.parts.values())

    @property
    def missing(self) -> list[str]:
        """The classes without an image in these splits."""
        left = [*self.faceless, *(shown.entry for shown in self.unreadable)]
        labels = {*self.split.labels.tolist(), *(entry.label for entry in left)}
        return [name for label, name in enumerate(EMOTIONS) if label not in labels]

    def record(self) -> dict[str, Any]:
        """What was read and what was skipped, as plain values for JSON; "left_out" is ``left_out()``."""
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
        """Describe in one line what was skipped or is missing; empty if nothing."""
        parts = []
        if self.faceless:
            classes = Counter(EMOTIONS[entry.label] for entry in self.faceless)
            named = _listed([f"{n:,} {name}" for name, n in classes.most_common()], len(EMOTIONS))
            parts.append(f"no face found in {len(self.faceless):,} of {counted(self.searched, 'image')} ({named})")
        if self.unreadable:
            faults = [f"{_name(shown.entry)}: {shown.fault}" for shown in self.unreadable]
            parts.append(f"unreadable {len(faults):,} ({_listed(faults)})")
        if self.source.others:
            folders = Counter(self.source.others)
            named = _listed([f"{n:,} in {name}" for name, n in folders.most_common()])
            parts.append(f"in folders that are not classes {folders.total():,} ({named})")
        if self.source.strays:
            parts.append(f"not named as images {len(self.source.strays):,} ({_listed(self.source.strays)})")
        if self.missing:
            parts.append(f"there are none of {', '.join(self.missing)}")
        return printable("; ".join(parts))


def read_labelled(data: Path, split: str | None = None, ferplus: Path | None = None, faces: Faces = "auto") -> Labelled:
    """Read one face from each image of a data set.

    Args:
        data: The data set (see ``sources.open_source``).
        split: A key of ``CHOICES``; None for "public", or for all images if the data have no splits.
        ferplus: A file of FER+ votes; None for no votes.
        faces: "find" detects faces in the images, "crops" takes each image for a face; "auto" takes images of 48x48
            pixels for crops and detects faces in the others.

    Raises:
        DataError: The data or the votes cannot be read, or no face is left.
        UsageError: ``split`` or ``faces`` is invalid, or a split is requested of data without splits.
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
    classified: list[int] = []
    crops: list[Gray] = []
    faceless, unreadable, searched = [], [], 0
    with ExitStack() as stack:
        find = _finder(stack)
        progress = tqdm(source.show(chosen), "reading", len(entries), unit="image", leave=False, disable=None)
        for i, shown in enumerate(progress):
            if shown.image is None:
                unreadable.append(shown)
                continue
            size = shown.image.width, shown.image.height
            whole = faces == "find" or (faces == "auto" and size != (SIZE, SIZE))
            searched += whole
            face = find(shown.image) if whole else _as_crop(shown.image)
            if face is None:
                faceless.append(shown.entry)
                continue
            classified.append(i)
            crops.append(face)
    if not classified:
        first = f"; the first: {_name(unreadable[0].entry)} {unreadable[0].fault}" if unreadable else ""
        advice = "; if they are faces that were cut out, add --faces crops" if faceless else ""
        raise DataError(f"{data}: no face that can be classified in {counted(len(entries), 'image')}{first}{advice}")
    kept = Split(
        "+".join(chosen) or "all",
        tuple(entries[i].name for i in classified),
        np.stack(crops),
        np.array([entries[i].label for i in classified], np.int64),
        None if votes is None else votes[classified],
    )
    counts = Counter(entry.split or "all" for entry in entries)
    return Labelled(source, kept, dict(counts), searched, tuple(faceless), tuple(unreadable))


def _chosen(source: Source, split: str | None) -> Sequence[str]:
    """The splits of a source to read, in the order of ``SPLITS``; an empty name for the images without a split."""
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
            f"{source.path}: the split of {stray.member} and of others is unknown; give --split all to take every image"
        )
    wanted = CHOICES[split or "public"]
    if not set(wanted) & set(there):
        raise DataError(f"{source.path} has no images of the split '{split or 'public'}'; it has {', '.join(there)}")
    return [part for part in wanted if part in there]


def _finder(stack: ExitStack) -> Callable[[Image], Gray | None]:
    """A function that crops the largest face of a photo; it returns None if ``analyze`` would classify no face.

    The detector is loaded with the first photo, and closed by the stack.
    """
    options = AnalyzeOptions()
    detectors: list[FaceDetector] = []

    def find(image: Image) -> Gray | None:
        if not detectors:
            detectors.append(stack.enter_context(FaceDetector(options.detection_confidence, options.detector)))
        largest = next(iter(detectors[0].detect(image, still=True)), None)
        return crop_face(image, largest, SIZE) if largest and largest.box.width >= options.min_face else None

    return find


def _as_crop(image: Image) -> Gray:
    """Crop an image that is already a face: its central square, resized to FER-2013's size."""
    middle = image.width / 2, image.height / 2
    return cut_square(image, middle, min(image.width, image.height), SIZE)


def _name(entry: Entry) -> str:
    return entry.member or entry.name


def _listed(names: Sequence[str], most: int = _NAMED) -> str:
    rest = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest
