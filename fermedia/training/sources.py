"""Where labelled pictures lie: a folder, a zip of it, or a CSV file.

A source lists its pictures without reading them, then reads those of the splits that are asked for, one by one, and
says what is wrong with each that cannot be read or, where that is asked for, is not as FER-2013's are.
"""

from __future__ import annotations

import csv
import io
import re
import shutil
import tempfile
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

import numpy as np
from PIL import Image

from fermedia.errors import DataError, MediaError
from fermedia.media.find import PHOTO_SUFFIXES
from fermedia.media.photos import read_photo
from fermedia.pictures import as_picture
from fermedia.types import EMOTIONS, Gray, Picture

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

_SUFFIXES = PHOTO_SUFFIXES | {".gif"}
_TABLES = ("fer2013.csv", "icml_face_data.csv")
_EXPECTED = (
    "expected train/<class>/... and test/<class>/... with pictures (a folder or a zip of it), "
    "or fer2013.csv or icml_face_data.csv"
)
_EXPECTED_ANY = (
    f"expected pictures in folders that are called by some of {', '.join(EMOTIONS)} (in a folder or a zip), "
    "or FER-2013's CSV"
)


@dataclass(frozen=True)
class Entry:
    """One picture of a source.

    ``name`` is its path from the split's folder on (``test/angry/PublicTest_1.jpg``), or ``fer2013.csv line 12``.
    ``split`` is empty where neither its name nor a folder says one. ``row`` is its place in the file, from 0;
    ``member`` is the file's path inside a folder or zip.
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


@dataclass(frozen=True)
class Shown:
    """An entry as the picture that a viewer shows, of any size and in colour; or None and the ``fault``."""

    entry: Entry
    picture: Picture | None
    fault: str = ""


class Source(ABC):
    """A place with pictures. ``entries`` are in a fixed order: by name, or as in the table.

    ``others`` counts the pictures that lie in no class's folder, by their folder; ``strays`` are the files in classes'
    folders that are no pictures by their names.
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
        """The pictures of these splits, in the order of ``entries``. Faulty ones are given, not raised."""

    @abstractmethod
    def show(self, splits: Collection[str]) -> Iterator[Shown]:
        """The same, but that FER-2013's size and grey are not asked for."""

    @abstractmethod
    def place(self, split: str, emotion: str) -> str:
        """Where one would look for the pictures of a class."""

    def counts(self) -> dict[str, list[int]]:
        """How many pictures each split lists per class, in the order of ``EMOTIONS``."""
        table = {split: [0] * len(EMOTIONS) for split in SPLITS}
        for entry in self.entries:
            if entry.split:
                table[entry.split][entry.label] += 1
        return table


def open_source(data: Path, any_folders: bool = False) -> Source:
    """List what ``data`` holds; DataError where it is no FER-2013 data set.

    With ``any_folders`` it need not be one: pictures in folders that are called by a class are enough. Links are
    followed.
    """
    expected = _EXPECTED_ANY if any_folders else _EXPECTED
    if not data.exists():
        raise DataError(f"{data} does not exist; {expected}")
    if not data.is_dir() and data.suffix.lower() == ".csv":
        return _Table(data, data.name, partial(_Folder(data.parent).open, data.name))
    store = _Folder(data) if data.is_dir() else _Zip(data, expected)
    names = sorted(name for name in store.names() if not _hidden(name))
    pictures = [name for name in names if _is_picture(name)]
    entries, elsewhere = _list_pictures(pictures)
    if not any_folders:
        _check_layout(data, entries, elsewhere)
    if entries:
        others = dict(Counter(str(PurePosixPath(name).parent) for name in elsewhere))
        strays = [name for name in names if not _is_picture(name) and _class_folder(name) is not None]
        return _Pictures(data, store, entries, others, strays)
    for name in names:
        if PurePosixPath(name).name in _TABLES:
            return _Table(data, PurePosixPath(name).name, partial(store.open, name))
    if any_folders:
        raise DataError(f"{data} has no picture in a folder that is called by a class; {expected}")
    raise DataError(f"{data} is not a FER-2013 data set; {expected}")


def _is_picture(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in _SUFFIXES


def _hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in name.split("/"))


def _files(folder: Path, around: tuple[Path, ...] = ()) -> Iterator[Path]:
    """All files below a folder, through links too, and links that lead nowhere: to say that these cannot be read.

    ``around`` are the folders that it was reached through, so that a link back to one of them is not followed for ever.
    """
    around = (*around, folder.resolve())
    try:
        inside = list(folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder}: the folder cannot be read ({error.strerror})") from error
    for path in inside:
        if path.is_dir():
            if path.resolve() not in around:
                yield from _files(path, around)
        elif path.is_file() or not path.exists():
            yield path


class _Folder:
    def __init__(self, root: Path) -> None:
        self.root = root

    def names(self) -> list[str]:
        return [path.relative_to(self.root).as_posix() for path in _files(self.root)]

    def open(self, name: str) -> IO[bytes]:
        return (self.root / name).open("rb")

    @contextmanager
    def file(self, name: str) -> Iterator[Path]:
        """A path where it can be read."""
        yield self.root / name


class _Zip:
    def __init__(self, path: Path, expected: str) -> None:
        try:
            self.zip = zipfile.ZipFile(path)
        except zipfile.BadZipFile as error:
            raise DataError(f"{path} is neither a folder, nor a CSV, nor a whole zip file; {expected}") from error

    def names(self) -> list[str]:
        return [i.filename for i in self.zip.infolist() if not i.is_dir()]

    def open(self, name: str) -> IO[bytes]:
        return self.zip.open(name)

    @contextmanager
    def file(self, name: str) -> Iterator[Path]:
        """A path where it can be read, until then."""
        with tempfile.TemporaryDirectory(prefix="fermedia-") as folder:
            path = Path(folder) / PurePosixPath(name).name
            with self.open(name) as content, path.open("wb") as copy:
                shutil.copyfileobj(content, copy)
            yield path


def _word(folder: str) -> str:
    """What a folder is called, without a number before it: "happy" for "3_Happy"."""
    return folder.lower().lstrip("0123456789 ._-")


def _class_folder(member: str) -> int | None:
    """Which of the folders above a file, counted from the outermost, says its class: the nearest; None if none."""
    folders = member.split("/")[:-1]
    return next((i for i in reversed(range(len(folders))) if _word(folders[i]) in _LABELS), None)


def _list_pictures(members: list[str]) -> tuple[list[Entry], list[str]]:
    """The pictures that lie in class folders, sorted by name, and those that lie elsewhere."""
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
    """DataError for pictures that a FER-2013 data set does not have."""
    for member in elsewhere:
        if _FOLDERS.keys() & {folder.lower() for folder in member.split("/")[-3:-1]}:
            raise DataError(f"{data}: {member} is in no class folder; the classes are {', '.join(EMOTIONS)}")
    known: dict[str, Entry] = {}
    for entry in entries:
        if not entry.split:
            raise DataError(
                f"{data}: no telling the split of {entry.member}: neither its name (Training_, PublicTest_, "
                "PrivateTest_) nor a folder above its class (train, test) says it"
            )
        if entry.name in known:
            raise DataError(
                f"{data} holds {entry.name} twice: {known[entry.name].member} and {entry.member}; remove one copy"
            )
        known[entry.name] = entry


#: What reading a file or a zip's member may raise. Of a zip's: RuntimeError for a password, NotImplementedError for a
#: compression that Python lacks.
_UNREADABLE = (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError)


class _Pictures(Source):
    """Class folders of pictures, on disk or in a zip."""

    def __init__(
        self,
        path: Path,
        store: _Folder | _Zip,
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
        except _UNREADABLE as error:
            return Shown(entry, None, f"cannot be read ({_reason(error)})")

    def _read(self, entry: Entry) -> Item:
        try:
            with self.store.open(entry.member) as file:
                content = file.read()
        except _UNREADABLE as error:
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

    def show(self, splits: Collection[str]) -> Iterator[Shown]:
        for item in self.read(splits):
            yield Shown(item.entry, None if item.pixels is None else as_picture(item.pixels), item.fault)

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
