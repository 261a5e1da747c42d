"""Sources of labelled images: a folder, a zip of it, or a CSV file.

A source lists its images without reading them, then reads those of the requested splits one by one, and reports the
fault of each that cannot be read or, if requested, differs in form from FER-2013's.
"""

from __future__ import annotations

import csv
import io
import warnings
import zlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, TextIO

import numpy as np
from PIL import Image as PILImage

from fermedia.errors import DataError, MediaError
from fermedia.images import as_image
from fermedia.media.find import PHOTO_SUFFIXES
from fermedia.media.photos import read_photo
from fermedia.training.stores import UNREADABLE, Folder, Zip, reason
from fermedia.types import EMOTIONS, Gray, Image

#: FER-2013's three splits, in the order in which they were published.
SPLITS = ("train", "public", "private")

#: Width and height of FER-2013's images in pixels.
SIZE = 48

#: The splits, by their names at the beginning of Kaggle's file names and in the CSV's column "Usage".
_USAGES = {"Training": "train", "PublicTest": "public", "PrivateTest": "private"}

#: The splits by the name of the folder above the class folders, for files whose names do not say their split. "test"
#: beside a validation folder (``_VALIDATION``) is the private test; without one it is the public one, so that no
#: figure is reported as PrivateTest's by chance.
_FOLDERS = {
    "train": "train",
    "training": "train",
    "val": "public",
    "valid": "public",
    "validation": "public",
    "public": "public",
    "publictest": "public",
    "test": "public",
    "private": "private",
    "privatetest": "private",
}
_VALIDATION = {"val", "valid", "validation", "public", "publictest"}

_SYNONYMS = {
    "angry": ("anger",),
    "disgust": ("disgusted",),
    "fear": ("fearful", "afraid", "scared"),
    "happy": ("happiness", "joy"),
    "sad": ("sadness",),
    "surprise": ("surprised",),
    "neutral": (),
}
_LABELS = {word: EMOTIONS.index(name) for name, more in _SYNONYMS.items() for word in (name, *more)}

#: Limits, since data sets are untrusted: bytes of an image file, characters of a row, and number of rows. The original
#: has images of 2,000 bytes and 35,887 rows of 9,000 characters.
_MOST_BYTES, _LONGEST_ROW, _MOST_ROWS = 50_000_000, 200_000, 1_000_000

_SUFFIXES = PHOTO_SUFFIXES | {".gif"}
_TABLES = ("fer2013.csv", "icml_face_data.csv")
_EXPECTED = (
    "expected train/<class>/... and test/<class>/... with images (a folder or a zip of it), "
    "or fer2013.csv or icml_face_data.csv"
)
_EXPECTED_ANY = (
    f"expected images in folders that are called by some of {', '.join(EMOTIONS)} (in a folder or a zip), "
    "or FER-2013's CSV"
)


@dataclass(frozen=True)
class Entry:
    """One image of a source.

    Attributes:
        name: Its path from the split's folder on (``test/angry/PublicTest_1.jpg``), or ``fer2013.csv line 12``.
        split: One of ``SPLITS``; empty if neither its name nor a folder says one.
        label: Its label, the index in ``EMOTIONS``.
        row: Its position in the source, from 0.
        member: The file's path inside the folder or zip; empty for a CSV file.
    """

    name: str
    split: str
    label: int
    row: int
    member: str = ""


@dataclass(frozen=True)
class Item:
    """An entry that was read in FER-2013's form.

    Attributes:
        entry: The entry.
        form: The kind of file, such as "JPEG 48x48 L".
        pixels: Grey values (48, 48), uint8; None if there is a fault.
        fault: What is wrong.
    """

    entry: Entry
    form: str
    pixels: Gray | None
    fault: str = ""


@dataclass(frozen=True)
class Shown:
    """An entry that was read as an upright image of any size, in colour; ``image`` is None if there is a ``fault``."""

    entry: Entry
    image: Image | None
    fault: str = ""


class Source(ABC):
    """A source of labelled images.

    Attributes:
        path: The path of the folder, zip or CSV file.
        entries: The images in a fixed order: by name, or as in the table.
        others: Number of images that are in no class folder, by their folder.
        strays: Files in class folders that are not images by their names.
    """

    def __init__(
        self, path: Path, entries: list[Entry], others: dict[str, int] | None = None, strays: Collection[str] = ()
    ) -> None:
        self.path = path
        self.entries = tuple(entries)
        self.others = others or {}
        self.strays = tuple(strays)

    @abstractmethod
    def read(self, splits: Collection[str]) -> Iterator[Item]:
        """Read the images of these splits in FER-2013's form, in the order of ``entries``.

        Images that cannot be read or have another form are yielded with their fault.
        """

    @abstractmethod
    def show(self, splits: Collection[str]) -> Iterator[Shown]:
        """Read the images of these splits like ``read``, but in any size and in colour."""

    @abstractmethod
    def place(self, split: str, emotion: str) -> str:
        """Describe, for messages, where the images of a class are or should be."""

    def counts(self) -> dict[str, list[int]]:
        """The number of images per class, in the order of ``EMOTIONS``, by split."""
        table = {split: [0] * len(EMOTIONS) for split in SPLITS}
        for entry in self.entries:
            if entry.split:
                table[entry.split][entry.label] += 1
        return table


def open_source(data: Path, any_folders: bool = False) -> Source:
    """Open a source and list its images. Links are followed.

    Args:
        data: A folder, a zip of it, or a CSV file.
        any_folders: Accept all images in folders that are named after a class, instead of a FER-2013 data set only.

    Raises:
        DataError: ``data`` cannot be read, or is not such a data set.
    """
    expected = _EXPECTED_ANY if any_folders else _EXPECTED
    if not data.exists():
        raise DataError(f"{data} does not exist; {expected}")
    if not (data.is_dir() or data.is_file()):
        raise DataError(f"{data} is a pipe or device; copy it to a file and give that")
    if not data.is_dir() and data.suffix.lower() == ".csv":
        return _Table(data, data.name, partial(Folder(data.parent).open, data.name))
    store = Folder(data) if data.is_dir() else Zip(data, expected)
    names = sorted(name for name in store.names() if not _hidden(name))
    images = [name for name in names if _is_image(name)]
    entries, elsewhere = _list_images(images)
    if not any_folders:
        _check_layout(data, entries, elsewhere)
    if entries:
        others = dict(Counter(str(PurePosixPath(name).parent) for name in elsewhere))
        strays = [name for name in names if not _is_image(name) and _class_folder(name) is not None]
        return _Images(data, store, entries, others, strays)
    for name in names:
        if PurePosixPath(name).name in _TABLES:
            return _Table(data, PurePosixPath(name).name, partial(store.open, name))
    if any_folders:
        raise DataError(f"{data} has no image in a folder that is called by a class; {expected}")
    raise DataError(f"{data} is not a FER-2013 data set; {expected}")


def _is_image(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in _SUFFIXES


def _word(folder: str) -> str:
    """A folder's name in lower case and without a number before it: "happy" for "3_Happy"."""
    return folder.lower().lstrip("0123456789 ._-")


def _class_folder(member: str) -> int | None:
    """The index of the innermost folder above a file that is named after a class, from 0; None if there is none."""
    folders = member.split("/")[:-1]
    return next((i for i in reversed(range(len(folders))) if _word(folders[i]) in _LABELS), None)


def _hidden(name: str) -> bool:
    """Whether a path has a hidden part, or one that macOS adds to zips."""
    return any(part.startswith((".", "__MACOSX")) for part in name.split("/"))


def _list_images(members: list[str]) -> tuple[list[Entry], list[str]]:
    """The images in class folders, sorted by name, and the paths of all other images."""
    places = {member: place for member in members if (place := _class_folder(member)) is not None}
    tops = {member: member.split("/")[place - 1].lower() if place else "" for member, place in places.items()}
    validates = bool(_VALIDATION & set(tops.values()))
    entries: list[Entry] = []
    for member, place in places.items():
        parts, top = member.split("/"), tops[member]
        split = _USAGES.get(parts[-1].split("_")[0]) or _FOLDERS.get(top, "")
        if top == "test" and split == "public" and not parts[-1].startswith("PublicTest_") and validates:
            split = "private"
        name = "/".join(parts[max(place - 1, 0) :])
        entries.append(Entry(name, split, _LABELS[_word(parts[place])], len(entries), member))
    return sorted(entries, key=lambda entry: entry.name), [member for member in members if member not in places]


def _check_layout(data: Path, entries: list[Entry], elsewhere: list[str]) -> None:
    """Raise DataError for images that a FER-2013 data set cannot have: without a class or split, or twice."""
    for member in elsewhere:
        if _FOLDERS.keys() & {folder.lower() for folder in member.split("/")[-3:-1]}:
            raise DataError(f"{data}: {member} is in no class folder; the classes are {', '.join(EMOTIONS)}")
    known: dict[str, Entry] = {}
    for entry in entries:
        if not entry.split:
            raise DataError(
                f"{data}: the split of {entry.member} is unknown: neither its name (Training_, PublicTest_, "
                "PrivateTest_) nor a folder above its class (train, test) says it"
            )
        if entry.name in known:
            raise DataError(
                f"{data} holds {entry.name} twice: {known[entry.name].member} and {entry.member}; remove one copy"
            )
        known[entry.name] = entry


class _Images(Source):
    """Images in class folders, on disk or in a zip."""

    def __init__(
        self,
        path: Path,
        store: Folder | Zip,
        entries: list[Entry],
        others: dict[str, int],
        strays: Collection[str],
    ) -> None:
        super().__init__(path, entries, others, strays)
        self.store = store

    def read(self, splits: Collection[str]) -> Iterator[Item]:
        for entry in self.entries:
            if entry.split in splits:
                yield self._read(entry)

    def show(self, splits: Collection[str]) -> Iterator[Shown]:
        for entry in self.entries:
            if entry.split in splits:
                yield self._show(entry)

    def _show(self, entry: Entry) -> Shown:
        try:
            with self.store.file(entry.member) as path:
                return Shown(entry, read_photo(path))
        except MediaError as error:
            return Shown(entry, None, str(error).partition(": ")[2])
        except UNREADABLE as error:
            return Shown(entry, None, f"cannot be read ({reason(error)})")

    def _read(self, entry: Entry) -> Item:
        try:
            with self.store.open(entry.member) as file:
                content = file.read(_MOST_BYTES + 1)
            if len(content) > _MOST_BYTES:
                raise OSError(f"it has more than {_MOST_BYTES:,} bytes")
        except UNREADABLE as error:
            return Item(entry, "unreadable", None, f"cannot be read ({reason(error)})")
        return _decode(entry, content)

    def place(self, split: str, emotion: str) -> str:
        tops = sorted({PurePosixPath(e.member).parent.parent for e in self.entries if e.split == split})
        top = tops[0] if tops else PurePosixPath("train" if split == "train" else "test")
        return f"folder {top / emotion}"


def _decode(entry: Entry, content: bytes) -> Item:
    """Decode an image file and check that it has FER-2013's form."""
    if not content:
        return Item(entry, "unreadable", None, "is empty (0 bytes)")
    # Pillow raises any of these for broken files, depending on the format.
    try:
        with PILImage.open(io.BytesIO(content)) as image:
            form = f"{image.format} {image.width}x{image.height} {image.mode}"
            if image.size != (SIZE, SIZE):
                return Item(entry, form, None, f"is {image.width}x{image.height} pixels, not {SIZE}x{SIZE}")
            if image.mode[0] in "IF":
                return Item(entry, form, None, "has more than 8 bits per pixel")
            color = np.asarray(image if image.mode == "L" else image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, EOFError, zlib.error, PILImage.DecompressionBombError) as error:
        return Item(entry, "unreadable", None, f"cannot be read ({reason(error)})")
    if color.ndim == 2:
        return Item(entry, form, color)
    if (color != color[..., :1]).any():
        return Item(entry, form, None, "is in colour; FER-2013's images are grey")
    return Item(entry, form, np.ascontiguousarray(color[..., 0]))


def table_rows(text: TextIO) -> Iterator[tuple[int, list[str]]]:
    """The rows of a CSV text, each with the number of its last line. Raises csv.Error if it exceeds the limits."""
    left = _LONGEST_ROW

    def lines() -> Iterator[str]:
        nonlocal left
        while line := text.readline(left):
            left -= len(line)
            if not left:
                raise csv.Error(f"a row of more than {_LONGEST_ROW:,} characters")
            yield line

    reader = csv.reader(lines())
    for number, row in enumerate(reader):
        if number > _MOST_ROWS:
            raise csv.Error(f"more than {_MOST_ROWS:,} rows")
        yield reader.line_num, row
        left = _LONGEST_ROW


class _Table(Source):
    """FER-2013's original CSV: a row per image with its label 0..6, 2,304 grey values and its split."""

    def __init__(self, path: Path, name: str, opened: Callable[[], IO[bytes]]) -> None:
        self.name, self.opened = name, opened
        super().__init__(path, [self._entry(i, *row[:3]) for i, row in enumerate(self._rows(path))])
        if not self.entries:
            raise DataError(f"{path}: {name} has no rows below its header")

    def _rows(self, path: Path) -> Iterator[tuple[int, str, str, str]]:
        """The line number, emotion, usage and pixels of each row. Column names are compared without case and spaces."""
        with self.opened() as binary, io.TextIOWrapper(binary, "utf-8-sig", newline="") as text:
            rows = table_rows(text)
            try:
                _, head = next(rows, (0, []))
                header = [cell.strip().lower() for cell in head]
                for wanted in ("emotion", "usage", "pixels"):
                    if wanted not in header:
                        raise DataError(f"{path}: {self.name} has no column '{wanted}'; {_EXPECTED}")
                columns = [header.index(c) for c in ("emotion", "usage", "pixels")]
                for line, row in rows:
                    if not row:
                        continue
                    if len(row) <= max(columns):
                        raise DataError(f"{path}: {self.name} line {line} has {len(row)} columns of 3")
                    emotion, usage, pixels = (row[c] for c in columns)
                    yield line, emotion.strip(), usage.strip(), pixels
            except (*UNREADABLE, csv.Error, UnicodeDecodeError) as error:
                raise DataError(f"{path}: {self.name} is not a CSV text ({reason(error)})") from error

    def _entry(self, row: int, line: int, emotion: str, usage: str) -> Entry:
        name = f"{self.name} line {line}"
        if emotion not in {"0", "1", "2", "3", "4", "5", "6"}:
            raise DataError(f"{name}: the emotion is '{emotion}', none of 0..6")
        if usage not in _USAGES:
            raise DataError(f"{name}: the usage is '{usage}', none of {', '.join(_USAGES)}")
        return Entry(name, _USAGES[usage], int(emotion), row)

    def read(self, splits: Collection[str]) -> Iterator[Item]:
        for entry, (_, _, _, pixels) in zip(self.entries, self._rows(self.path), strict=True):
            if entry.split in splits:
                yield _parse(entry, pixels)

    def show(self, splits: Collection[str]) -> Iterator[Shown]:
        for item in self.read(splits):
            yield Shown(item.entry, None if item.pixels is None else as_image(item.pixels), item.fault)

    def place(self, split: str, emotion: str) -> str:
        usage = next(word for word, name in _USAGES.items() if name == split)
        return f"row of {self.name} with emotion {EMOTIONS.index(emotion)} and usage {usage}"


def _parse(entry: Entry, pixels: str) -> Item:
    """Parse the pixels of a row and check them."""
    form = f"CSV row {SIZE}x{SIZE}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)  # numpy before 2.3 only warns if a value is not a number
            values = np.fromstring(pixels, dtype=np.int64, sep=" ")
    except (ValueError, DeprecationWarning):
        return Item(entry, "CSV row", None, "has pixels that are not integers")
    if values.size != SIZE * SIZE:
        return Item(entry, "CSV row", None, f"has {values.size} pixels, not {SIZE * SIZE}")
    if values.min() < 0 or values.max() > 255:
        return Item(entry, form, None, "has pixels outside 0..255")
    return Item(entry, form, values.astype(np.uint8).reshape(SIZE, SIZE))
