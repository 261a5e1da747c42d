"""Load FER-2013 and the FER+ votes as arrays.

FER-2013 (Goodfellow et al. 2013): 48x48 grey faces with one of seven labels, in three parts: 28,709 for training,
3,589 of the public test (used here for model selection) and 3,589 of the private test (only used for evaluation).
FER+ (Barsoum et al. 2016): ten people's votes on each of the same images.
"""

from __future__ import annotations

import csv
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from fermedia.errors import DataError
from fermedia.files import regular
from fermedia.training.sources import SIZE, SPLITS, Entry, Source, open_source, table_rows
from fermedia.types import EMOTIONS

#: An image is blank if its grey values differ by no more than this: JPEG leaves slight variations in an even grey.
BLANK_RANGE = 4

#: The values of ``--split``, and the splits that each means.
CHOICES = {split: (split,) for split in SPLITS} | {"test": ("public", "private"), "all": SPLITS}

#: FER+'s ten columns in the order of every ``votes`` array.
VOTES = (
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
    "unknown",
    "not_a_face",
)

#: The columns of the seven emotions, in the order of ``EMOTIONS``, then contempt's.
_ORDER = [VOTES.index(v) for v in ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")] + [7]


@dataclass(frozen=True, eq=False)
class Split:
    """A part of the data. Row i of every array belongs to ``names[i]``.

    ``images`` has shape (n, 48, 48), uint8, grey, 0..255; ``labels`` (n,), int64, 0..6 in the order of ``EMOTIONS``.
    ``votes`` has shape (n, 10), float32, in the order of ``VOTES``, all zero where FER+ has none; None without FER+.
    """

    name: str
    names: tuple[str, ...]
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    votes: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        n = len(self.names)
        for array, shape in ((self.images, (n, SIZE, SIZE)), (self.labels, (n,)), (self.votes, (n, len(VOTES)))):
            if array is not None and array.shape != shape:
                raise ValueError(f"{self.name}: expected shape {shape}, got {array.shape}")

    def __len__(self) -> int:
        return len(self.names)

    def pick(self, index: NDArray[np.bool_] | NDArray[np.intp]) -> Split:
        """The rows of a mask or of indices."""
        rows = np.arange(len(self))[index]
        votes = None if self.votes is None else self.votes[rows]
        return Split(self.name, tuple(self.names[i] for i in rows), self.images[rows], self.labels[rows], votes)


@dataclass(frozen=True, eq=False)
class Dataset(Mapping[str, Split]):
    """The loaded splits by name: ``dataset["train"]``."""

    path: Path
    splits: dict[str, Split]

    def __getitem__(self, name: str) -> Split:
        return self.splits[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.splits)

    def __len__(self) -> int:
        return len(self.splits)

    @property
    def digest(self) -> str:
        """SHA-256 over every split's name, file names, labels and pixels, in hexadecimal."""
        total = hashlib.sha256()
        for split in self.splits.values():
            total.update("\n".join((split.name, *split.names, "")).encode())
            total.update(split.labels.astype("<i8").tobytes())
            total.update(split.images.tobytes())
        return total.hexdigest()

    def joined(self) -> Split:
        """All splits concatenated, with joined names: ``public+private``."""
        parts = list(self.splits.values())
        votes = [p.votes for p in parts if p.votes is not None]
        return Split(
            "+".join(p.name for p in parts),
            tuple(name for p in parts for name in p.names),
            np.concatenate([p.images for p in parts]),
            np.concatenate([p.labels for p in parts]),
            np.concatenate(votes) if votes else None,
        )


def load(data: Path | Source, splits: Sequence[str] = SPLITS, ferplus: Path | None = None) -> Dataset:
    """Read splits of a data set, and the FER+ votes on their images if a file of votes is given.

    Args:
        data: A folder, a zip or a CSV file (see ``fermedia.training.sources``).
        splits: The splits to read; others may be missing.
        ferplus: The file of votes.

    Raises:
        DataError: A class has no images, a split is empty, or an image is faulty.
    """
    source = data if isinstance(data, Source) else open_source(data)
    for split in splits:
        _check(source, split)
    votes = None if ferplus is None else read_votes(ferplus, source, splits)
    loaded = {}
    for split in splits:
        part = _read(source, split)
        loaded[split] = part if votes is None else replace(part, votes=votes[split])
    return Dataset(source.path, loaded)


def _check(source: Source, split: str) -> None:
    """Raise DataError for a split without images, or without images of a class.

    The public and private tests share a folder, and a small selection of one may lack a class that the other has: so
    for these a class must be missing from both.
    """
    counts = source.counts()
    if not sum(counts[split]):
        have = ", ".join(name for name in SPLITS if sum(counts[name]))
        raise DataError(f"{source.path} has no images of the split '{split}'; it has {have}")
    together = counts["train"] if split == "train" else np.add(counts["public"], counts["private"])
    for emotion, n in zip(EMOTIONS, together, strict=True):
        if not n:
            raise DataError(f"{source.path}: the class '{emotion}' is missing: no {source.place(split, emotion)}")


def _read(source: Source, split: str) -> Split:
    names, images, labels, faults = [], [], [], []
    for item in source.read([split]):
        if item.pixels is None:
            faults.append(f"{item.entry.name} {item.fault}")
            continue
        names.append(item.entry.name)
        images.append(item.pixels)
        labels.append(item.entry.label)
    if faults:
        more = f" ({len(faults):,} faulty images in all)" if len(faults) > 1 else ""
        raise DataError(
            f"{source.path}: {faults[0]}{more}; remove or replace such images, `fermedia dataset` lists them all"
        )
    return Split(split, tuple(names), np.stack(images), np.array(labels, np.int64))


def vote_distribution(votes: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Convert FER+ votes (n, 10) to distributions over eight classes (n, 8), float32, and a mask of valid rows (n,).

    The classes are ``EMOTIONS`` and contempt, last. A single vote is dropped as an outlier (Barsoum et al. 2016).
    A row is invalid, and all zero, if no vote remains, or if "unknown" or "not a face" got at least as many votes as
    the strongest emotion.
    """
    kept = np.where(votes > 1, votes, 0).astype(np.float32)
    emotions = kept[:, _ORDER]
    known = emotions.max(1, initial=0) > kept[:, 8:].max(1, initial=0)
    total = np.where(known, emotions.sum(1), 1)[:, None]
    return np.where(known[:, None], emotions / total, 0).astype(np.float32), known


def majority_labels(votes: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The labels 0..6 with the most FER+ votes (n, 10), and a mask of rows that have one (n,).

    A row has none, and the label -1, if two of the ten columns share the most votes, or if contempt, "unknown" or "not
    a face" has them.
    """
    most = votes.max(1, initial=0, keepdims=True)
    winners = (votes == most) & (most > 0)
    known = (winners.sum(1) == 1) & winners[:, _ORDER[:7]].any(1)
    return np.where(known, votes[:, _ORDER[:7]].argmax(1), -1).astype(np.int64), known


def digests(images: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """The first eight bytes of each image's SHA-256, sorted, without duplicates; they identify equal pixels."""
    return np.unique(_digest_each(images))


def seen(images: NDArray[np.uint8], known: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """A mask (n,) of the images (n, 48, 48) whose digests are in ``known``, from ``digests(others)``."""
    return np.isin(_digest_each(images), known)


def _digest_each(images: NDArray[np.uint8]) -> NDArray[np.uint64]:
    parts = (hashlib.sha256(image.tobytes()).digest()[:8] for image in images)
    return np.frombuffer(b"".join(parts), "<u8").astype(np.uint64)


def blank(images: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """A mask (n,) of the images (n, 48, 48) of one even grey."""
    return np.ptp(images, axis=(1, 2)) <= BLANK_RANGE


@dataclass(frozen=True)
class Member:
    """One image of a group of identical ones."""

    split: str
    emotion: str
    name: str


def repeats(splits: Iterable[Split]) -> list[tuple[Member, ...]]:
    """Groups of images with the same pixels, within and across splits, in the order of their first image."""
    groups: dict[bytes, list[Member]] = defaultdict(list)
    for split in splits:
        for name, label, image in zip(split.names, split.labels, split.images, strict=True):
            groups[image.tobytes()].append(Member(split.name, EMOTIONS[label], name))
    return [tuple(group) for group in groups.values() if len(group) > 1]


def read_votes(path: Path, source: Source, splits: Sequence[str]) -> dict[str, NDArray[np.float32]]:
    """Read the votes on each split's images, (n, 10), in the order of the source's entries.

    Two formats are supported. One names FER-2013's image files (``image`` = ``train/angry/Training_1.jpg``).
    Microsoft's ``fer2013new.csv`` (``Usage,Image name,...``) has a row for each row of the original CSV, and names
    images as its script writes them (``fer0000001.png``); a row without a name was rejected and has no votes.
    """
    header, rows = _read_table(path)
    columns = [header.index(v) for v in (*VOTES[:9], "nf" if "nf" in header else VOTES[9])]
    named = "image" if "image" in header else "image name"
    try:
        counts = np.array([[row[c] for c in columns] for row in rows], np.float32).reshape(-1, len(VOTES))
    except ValueError as error:
        raise DataError(f"{path}: the votes must be numbers ({error})") from error
    names = [row[header.index(named)].strip() for row in rows]
    wanted = [e for e in source.entries if e.split in splits]
    if named == "image name" and not any(e.member for e in source.entries):
        index = _match_rows(path, source, [row[header.index("usage")].strip() for row in rows], names, wanted)
    else:
        index = _match_names(path, source, names, wanted)
    padded = np.vstack([counts, np.zeros((1, len(VOTES)), np.float32)])
    return {s: padded[[i for e, i in zip(wanted, index, strict=True) if e.split == s]] for s in splits}


def _read_table(path: Path) -> tuple[list[str], list[list[str]]]:
    try:
        with regular(path).open(encoding="utf-8-sig", newline="") as file:
            rows = [row for _, row in table_rows(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as a file of FER+ votes ({error})") from error
    header = [cell.strip().lower() for cell in rows[0]] if rows else []
    ours, microsoft = {"image", *VOTES}, {"usage", "image name", *VOTES[:9], "nf"}
    if not (ours <= set(header) or microsoft <= set(header)):
        raise DataError(
            f"{path} is not a file of FER+ votes: its columns must be image,{','.join(VOTES)} "
            "or those of Microsoft's fer2013new.csv"
        )
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(header):
            raise DataError(f"{path}: row {number} has {len(row)} columns, its header {len(header)}")
    return header, rows[1:]


def _match_rows(path: Path, source: Source, usages: list[str], names: list[str], wanted: list[Entry]) -> list[int]:
    """Match rows of Microsoft's file by position, after a check that both files are complete and in the same order."""
    words = {"training": "train", "publictest": "public", "privatetest": "private"}
    theirs = [words.get(usage.lower()) for usage in usages]
    if theirs != [entry.split for entry in source.entries]:
        raise DataError(
            f"{path} does not fit {source.path}: its {len(theirs)} rows must stand for the {len(source.entries)} rows "
            "there, with the same usage; both files must be complete and in their original order"
        )
    return [entry.row if names[entry.row] else -1 for entry in wanted]


def _match_names(path: Path, source: Source, names: list[str], wanted: list[Entry]) -> list[int]:
    """Match rows by the images' names; -1 for images without votes. A class folder in a name counts too, because
    numbers repeat between classes."""
    rows = {"/".join(PurePosixPath(name).with_suffix("").parts[-2:]): i for i, name in enumerate(names) if name}
    stems = [PurePosixPath(e.name).stem for e in wanted]
    index = [rows.get(f"{EMOTIONS[e.label]}/{s}", rows.get(s, -1)) for e, s in zip(wanted, stems, strict=True)]
    if max(index, default=-1) < 0:
        csv = "Microsoft's fer2013new.csv"
        hint = f"{csv} goes with the original CSV" if wanted[0].member else f"a CSV data set needs {csv}"
        raise DataError(f"{path} has votes on none of the images of {source.path} (it names {names[0]!r}); {hint}")
    return index
