"""Where the pictures of a FER-2013 data set lie: a folder, a zip of it, or a CSV file.

A source lists its pictures without reading them, then reads those of the splits that are asked for, one by one,
and says of each that is not as FER-2013's are what is wrong with it.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

import numpy as np
from PIL import Image

from fermedia.errors import DataError
from fermedia.types import EMOTIONS, Gray

#: FER-2013's three parts, in the order in which they were published.
SPLITS = ("train", "public", "private")

#: Sides of every picture in pixels.
SIZE = 48

#: What the splits are called, by the beginning of Kaggle's file names and in the CSV's column "Usage".
_USAGES = {"Training": "train", "PublicTest": "public", "PrivateTest": "private"}

#: What a folder above the classes says where the file's name says nothing. A bare "test" beside a validation
#: folder is the private test; without one it is the public one, so that nothing calls itself PrivateTest by chance.
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

_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".pgm", ".webp"}
_TABLES = ("fer2013.csv", "icml_face_data.csv")
_EXPECTED = (
    "expected train/<class>/... and test/<class>/... with pictures (a folder or a zip of it), "
    "or fer2013.csv or icml_face_data.csv"
)


@dataclass(frozen=True)
class Entry:
    """One picture of a source.

    ``name`` is its path from the split's folder on (``test/angry/PublicTest_1.jpg``), or ``fer2013.csv line 12``.
    ``row`` is its place in the file, from 0; ``member`` is the file's path inside a folder or zip.
    """

    name: str
    split: str
    label: int
    row: int
    member: str = ""


@dataclass(frozen=True)
class Item:
    """What reading an entry gave: ``pixels`` (48, 48), or None and the ``fault``; ``form`` is the kind of file."""

    entry: Entry
    form: str
    pixels: Gray | None
    fault: str = ""


class Source(ABC):
    """A place with pictures. ``entries`` are in a fixed order: by name, or as in the table."""

    def __init__(self, path: Path, entries: list[Entry]) -> None:
        self.path = path
        self.entries = tuple(entries)

    @abstractmethod
    def read(self, splits: Collection[str]) -> Iterator[Item]:
        """The pictures of these splits, in the order of ``entries``. Faulty ones are given, not raised."""

    @abstractmethod
    def place(self, split: str, emotion: str) -> str:
        """Where one would look for the pictures of a class."""

    def counts(self) -> dict[str, list[int]]:
        """How many pictures each split lists per class, in the order of ``EMOTIONS``."""
        table = {split: [0] * len(EMOTIONS) for split in SPLITS}
        for entry in self.entries:
            table[entry.split][entry.label] += 1
        return table


def open_source(data: Path) -> Source:
    """List what ``data`` holds; DataError where it is no FER-2013 data set."""
    if not data.exists():
        raise DataError(f"{data} does not exist; {_EXPECTED}")
    if not data.is_dir() and data.suffix.lower() == ".csv":
        return _Table(data, data.name, partial(_Folder(data.parent).open, data.name))
    store = _Folder(data) if data.is_dir() else _Zip(data)
    names = [n for n in store.names() if not _hidden(n)]
    if pictures := [n for n in names if PurePosixPath(n).suffix.lower() in _SUFFIXES]:
        entries = _list_pictures(data, sorted(pictures))
        if entries:
            return _Pictures(data, store, entries)
    for name in names:
        if PurePosixPath(name).name in _TABLES:
            return _Table(data, PurePosixPath(name).name, partial(store.open, name))
    raise DataError(f"{data} is not a FER-2013 data set; {_EXPECTED}")


def _hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in name.split("/"))


class _Folder:
    def __init__(self, root: Path) -> None:
        self.root = root

    def names(self) -> list[str]:
        return [p.relative_to(self.root).as_posix() for p in self.root.rglob("*") if p.is_file()]

    def open(self, name: str) -> IO[bytes]:
        return (self.root / name).open("rb")


class _Zip:
    def __init__(self, path: Path) -> None:
        try:
            self.file = zipfile.ZipFile(path)
        except zipfile.BadZipFile as error:
            raise DataError(f"{path} is neither a folder, nor a CSV, nor a whole zip file; {_EXPECTED}") from error

    def names(self) -> list[str]:
        return [i.filename for i in self.file.infolist() if not i.is_dir()]

    def open(self, name: str) -> IO[bytes]:
        return self.file.open(name)


def _list_pictures(data: Path, members: list[str]) -> list[Entry]:
    """The pictures that lie in class folders; what lies elsewhere is none of the data set's."""
    tops = {m.split("/")[-3].lower() for m in members if m.count("/") > 1}
    entries: dict[str, Entry] = {}
    for member in members:
        *above, file = member.split("/")
        folder = above[-1].lower() if above else ""
        top = above[-2].lower() if len(above) > 1 else ""
        if folder not in _LABELS:
            if folder in _FOLDERS or top in _FOLDERS:
                raise DataError(f"{data}: {member} is in no class folder; the classes are {', '.join(EMOTIONS)}")
            continue
        split = _USAGES.get(file.split("_")[0]) or _FOLDERS.get(top, "")
        if top == "test" and split == "public" and not file.startswith("PublicTest_") and tops & _VALIDATION:
            split = "private"
        if not split:
            raise DataError(
                f"{data}: no telling the split of {member}: neither its name (Training_, PublicTest_, PrivateTest_) "
                "nor a folder above its class (train, test) says it"
            )
        name = "/".join(member.split("/")[-3:])
        if name in entries:
            raise DataError(f"{data} holds {name} twice: {entries[name].member} and {member}; remove one copy")
        entries[name] = Entry(name, split, _LABELS[folder], len(entries), member)
    return [entries[name] for name in sorted(entries)]


class _Pictures(Source):
    """Kaggle's folders of pictures, on disk or in a zip."""

    def __init__(self, path: Path, store: _Folder | _Zip, entries: list[Entry]) -> None:
        super().__init__(path, entries)
        self.store = store

    def read(self, splits: Collection[str]) -> Iterator[Item]:
        for entry in self.entries:
            if entry.split in splits:
                yield self._read(entry)

    def _read(self, entry: Entry) -> Item:
        # zipfile: RuntimeError for a password, NotImplementedError for a compression it lacks.
        try:
            with self.store.open(entry.member) as file:
                content = file.read()
        except (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
            return Item(entry, "unreadable", None, f"cannot be read ({_reason(error)})")
        return _decode(entry, content)

    def place(self, split: str, emotion: str) -> str:
        tops = sorted({PurePosixPath(e.member).parent.parent for e in self.entries if e.split == split})
        top = tops[0] if tops else PurePosixPath("train" if split == "train" else "test")
        return f"folder {top / emotion}"


def _decode(entry: Entry, content: bytes) -> Item:
    if not content:
        return Item(entry, "unreadable", None, "is empty (0 bytes)")
    # Pillow reports broken files by any of these, depending on the format.
    try:
        with Image.open(io.BytesIO(content)) as image:
            form = f"{image.format} {image.width}x{image.height} {image.mode}"
            if image.size != (SIZE, SIZE):
                return Item(entry, form, None, f"is {image.width}x{image.height} pixels, not {SIZE}x{SIZE}")
            if image.mode[0] in "IF":
                return Item(entry, form, None, "has more than 8 bits per pixel")
            color = np.asarray(image if image.mode == "L" else image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, EOFError, zlib.error, Image.DecompressionBombError) as error:
        return Item(entry, "unreadable", None, f"cannot be read ({_reason(error)})")
    if color.ndim == 2:
        return Item(entry, form, color)
    if (color != color[..., :1]).any():
        return Item(entry, form, None, "is in colour; FER-2013's pictures are grey")
    return Item(entry, form, np.ascontiguousarray(color[..., 0]))


def _reason(error: Exception) -> str:
    """The error in a few words, without the object addresses that Pillow prints."""
    if isinstance(error, Image.UnidentifiedImageError):
        return "not a picture"
    return re.sub(r"\s+", " ", str(error)) or type(error).__name__


class _Table(Source):
    """The original CSV: a row per picture with its label 0..6, 2,304 grey values and its part of the data."""

    def __init__(self, path: Path, name: str, opened: Callable[[], IO[bytes]]) -> None:
        self.name, self.opened = name, opened
        super().__init__(path, [self._entry(i, *row[:3]) for i, row in enumerate(self._rows(path))])
        if not self.entries:
            raise DataError(f"{path}: {name} has no rows below its header")

    def _rows(self, path: Path) -> Iterator[tuple[int, str, str, str]]:
        """(line, emotion, usage, pixels) of each row; the columns' names count without case and blanks."""
        with self.opened() as binary, io.TextIOWrapper(binary, "utf-8-sig", newline="") as text:
            reader = csv.reader(text)
            try:
                header = [cell.strip().lower() for cell in next(reader, [])]
                for wanted in ("emotion", "usage", "pixels"):
                    if wanted not in header:
                        raise DataError(f"{path}: {self.name} has no column '{wanted}'; {_EXPECTED}")
                columns = [header.index(c) for c in ("emotion", "usage", "pixels")]
                for row in reader:
                    if not row:
                        continue
                    if len(row) <= max(columns):
                        raise DataError(f"{path}: {self.name} line {reader.line_num} has {len(row)} columns of 3")
                    emotion, usage, pixels = (row[c] for c in columns)
                    yield reader.line_num, emotion.strip(), usage.strip(), pixels
            except (csv.Error, UnicodeDecodeError) as error:
                raise DataError(f"{path}: {self.name} is not a CSV text ({_reason(error)})") from error

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

    def place(self, split: str, emotion: str) -> str:
        usage = next(word for word, name in _USAGES.items() if name == split)
        return f"row of {self.name} with emotion {EMOTIONS.index(emotion)} and usage {usage}"


def _parse(entry: Entry, pixels: str) -> Item:
    form = f"CSV row {SIZE}x{SIZE}"
    try:
        values = np.fromstring(pixels, dtype=np.int64, sep=" ")
    except ValueError:
        return Item(entry, "CSV row", None, "has pixels that are not whole numbers")
    if values.size != SIZE * SIZE:
        return Item(entry, "CSV row", None, f"has {values.size} pixels, not {SIZE * SIZE}")
    if values.min() < 0 or values.max() > 255:
        return Item(entry, form, None, "has pixels outside 0..255")
    return Item(entry, form, values.astype(np.uint8).reshape(SIZE, SIZE))
