"""What is there to analyse: videos, folders of photos, and numbered pictures that are films."""

from __future__ import annotations

import logging
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Literal

from fermedia.errors import UsageError
from fermedia.files import shown
from fermedia.names import reachable
from fermedia.types import MediaItem

#: Suffixes of files that are taken from folders: what FFmpeg and Pillow open. A GIF is a video if it moves.
VIDEO_SUFFIXES = frozenset({
    ".mp4", ".m4v", ".mov", ".qt", ".f4v", ".3gp", ".3g2", ".3gpp", ".insv", ".360", ".mkv", ".mk3d", ".webm", ".avi",
    ".divx", ".xvid", ".mpg", ".mpeg", ".mpe", ".m1v", ".m2v", ".mpv", ".m2p", ".mod", ".tod", ".vob", ".vro", ".ts",
    ".m2t", ".m2ts", ".mts", ".tp", ".trp", ".wmv", ".asf", ".wm", ".wtv", ".dvr-ms", ".flv", ".ogv", ".ogm", ".rm",
    ".rmvb", ".mxf", ".gxf", ".dv", ".mjpeg", ".mjpg", ".h264", ".264", ".h265", ".265", ".hevc", ".obu",
    ".ivf", ".y4m", ".nut", ".amv", ".nsv",
})  # fmt: skip
PHOTO_SUFFIXES = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".jps", ".mpo", ".png", ".apng", ".bmp", ".dib", ".tif", ".tiff", ".dng", ".webp",
    ".avif", ".avifs", ".heic", ".heif", ".hif", ".pgm", ".ppm", ".pnm", ".pbm", ".pfm", ".jp2", ".j2k", ".j2c", ".jpc",
    ".jpf", ".jpx", ".tga", ".psd", ".pcx", ".sgi", ".rgb", ".ras", ".qoi", ".dds",
})  # fmt: skip

#: Cameras' small copies of what lies beside them, which would count it twice.
_COPIES = frozenset({".lrv", ".thm"})

#: Folders, in small letters, that hold previews, or what somebody threw away: withdrawn recordings must not come back.
#: So must not those whose names begin with ".trash".
_NOT_RECORDINGS = frozenset({"@eadir", "#recycle", "@recycle", "$recycle.bin", "recycler", "lost+found", "__macosx"})

#: So many names of what was left out are told.
_MOST_NAMES = 30

Kind = Literal["video", "photos", "sequence"]

_DIGITS = re.compile("([0-9]+)")

_log = logging.getLogger("fermedia")


def find_items(inputs: Sequence[Path], exclude: Path | None = None, sequences: bool = False) -> list[MediaItem]:
    """Everything to analyse in ``inputs`` (videos, pictures, folders), in the order given, folders in natural order.

    Each video is an item, and so are the pictures that lie directly in one folder. Folders are walked recursively,
    links followed, hidden names left out; a file that is reached twice counts once. A file given by itself is taken
    whatever its suffix. Nothing inside ``exclude`` is taken, and only regular files are opened. One line of warning
    says what else was left out and why.

    With ``sequences``, pictures of one folder whose names differ in one number alone are an item of their own. Where a
    name holds several numbers, the one counts that makes the longest sequence; of two pictures of one number
    (``1.png``, ``01.png``) the second stays a photo, as do pictures that share their pattern with no other.

    An item's key is its path below the input; items of different inputs that would collide get the names of their
    inputs' folders before it, and what still collides a ``~2``.

    Raises UsageError for an input that does not exist or lies inside ``exclude``, and where nothing is found.
    """
    finder = _Finder(None if exclude is None else Path(os.path.realpath(reachable(exclude))))
    for path in inputs:
        finder.add_input(path)
    left_out = _left_out(finder.left_out)
    if not finder.found:
        names = ", ".join(shown(path, whole=True) for path in inputs)
        raise UsageError(f"no video or picture found in {names}{f'; {left_out}' if left_out else ''}")
    if left_out:
        _log.warning("%s", left_out)
    for photos in finder.found:
        photos.files.sort(key=lambda file: _natural(file.name))
    found = [part for item in finder.found for part in (_films_apart(item) if sequences else [item])]
    return [
        MediaItem(item.kind, key, item.path, tuple(item.files), tuple(item.numbers))
        for item, key in zip(found, _keys(found), strict=True)
    ]


@dataclass
class _Found:
    """An item before its key is settled: ``below`` is its path below ``root``, an absolute folder."""

    kind: Kind
    root: Path
    below: PurePosixPath
    path: Path
    files: list[Path] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)

    def key(self, level: int) -> PurePosixPath:
        """The path below the ``level``-th folder above the root."""
        names = self.root.parts[1:]
        return PurePosixPath(*names[len(names) - level :], self.below)


class _Finder:
    def __init__(self, exclude: Path | None) -> None:
        self.found: list[_Found] = []
        self.left_out: dict[str, list[str]] = {}  # names by the reason
        self._exclude = exclude
        self._inside = None if exclude is None else os.path.join(exclude, "")
        self._photos: dict[str, _Found] = {}  # by their folder's real path
        self._seen: set[str] = set()  # real paths of files and folders

    def add_input(self, path: Path) -> None:
        path = reachable(path)
        if not path.exists():
            raise UsageError(f"{shown(path, whole=True)}: no such file or folder")
        real = Path(os.path.realpath(path))
        if self._exclude is not None and self._exclude in real.parents:
            raise UsageError(
                f"{shown(path, whole=True)} lies inside the output folder; give another --out or another input"
            )
        absolute = Path(os.path.abspath(path))
        if not path.is_dir() and not path.is_file():
            raise UsageError(f"{shown(path, whole=True)}: a pipe or device; copy it to a file and give that")
        if path.is_dir():
            self._walk(path, absolute, PurePosixPath())
        else:
            folder = os.path.realpath(path.parent)
            self._add_file(path, str(real), folder, _kind(path) or _sniff(path), absolute.parent, PurePosixPath())

    def _walk(self, folder: Path, root: Path, below: PurePosixPath) -> None:
        real = os.path.realpath(folder)
        if self._is_excluded(real) or not self._is_new(real):
            return
        folders = []
        for entry in _listing(folder, is_input=below == PurePosixPath()):
            path = reachable(folder / entry.name)
            if reason := _reason_against(path, entry):
                if not self._is_excluded(os.path.join(real, entry.name)):
                    self.left_out.setdefault(reason, []).append((below / entry.name).as_posix())
            elif _is_hidden(entry.name):
                continue
            elif _says(entry.is_dir):
                folders.append(path)
            elif kind := _kind(path):
                # Asking the disk where each file really is would take most of the time.
                file = os.path.realpath(path) if entry.is_symlink() else os.path.join(real, entry.name)
                self._add_file(path, file, real, kind, root, below)
        for path in folders:
            self._walk(path, root, below / path.name)

    def _add_file(self, path: Path, real: str, folder: str, kind: Kind, root: Path, below: PurePosixPath) -> None:
        if self._is_excluded(real) or not self._is_new(real):
            return
        if kind == "video":
            self.found.append(_Found("video", root, below / path.name, path, [path]))
            return
        if folder not in self._photos:
            self._photos[folder] = _Found("photos", root, below / "photos", path.parent)
            self.found.append(self._photos[folder])
        self._photos[folder].files.append(path)

    def _is_excluded(self, real: str) -> bool:
        return self._inside is not None and os.path.join(real, "").startswith(self._inside)

    def _is_new(self, real: str) -> bool:
        if real in self._seen:
            return False
        self._seen.add(real)
        return True


def _says(question: Callable[[], bool]) -> bool:
    """The answer about a link's target; no where there is none, or it leads in a circle."""
    try:
        return question()
    except OSError:
        return False


def _listing(folder: Path, is_input: bool) -> list[os.DirEntry[str]]:
    """What lies in a folder, in natural order."""
    try:
        with os.scandir(folder) as entries:
            names = list(entries)
    except OSError as error:
        message = f"{shown(folder, whole=True)}: the folder cannot be read ({error.strerror})"
        if is_input:
            raise UsageError(message) from error
        _log.warning("%s; left out", message)
        return []
    return sorted(names, key=lambda entry: _natural(entry.name))


def _is_hidden(name: str) -> bool:
    return name.startswith(".")


def _reason_against(path: Path, entry: os.DirEntry[str]) -> str | None:
    """Why something that lies in a folder is left out and should be told; None if it is taken, or only hidden."""
    name, suffix = entry.name.lower(), path.suffix.lower()
    if _says(entry.is_dir):
        return "a folder of previews or a bin" if name in _NOT_RECORDINGS or name.startswith(".trash") else None
    if _is_hidden(name):
        return None
    if not _says(entry.is_file):
        return "no regular file"
    if suffix in _COPIES:
        return "a camera's small copy"
    return None if suffix in VIDEO_SUFFIXES | PHOTO_SUFFIXES | {".gif"} else "no suffix of a video or picture"


def _left_out(reasons: dict[str, list[str]]) -> str:
    """One line about all that was left out; empty if nothing was."""
    count = sum(map(len, reasons.values()))
    parts = []
    for reason, names in reasons.items():
        some = ", ".join(shown(Path(name), whole=True) for name in names[:_MOST_NAMES])
        more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        parts.append(f"{reason}: {some}{more}")
    return f"left out: {count} of what lies there ({'; '.join(parts)})" if count else ""


def _natural(name: str) -> tuple[list[tuple[int, str]], str]:
    """A sorting key under which 2 comes before 10, and capitals do not matter."""
    parts = _DIGITS.split(name.casefold())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts], name


def _kind(path: Path) -> Kind | None:
    """By the suffix; None where it says nothing. A GIF is looked into."""
    suffix = path.suffix.lower()
    if suffix == ".gif":
        return _sniff(path)
    if suffix in PHOTO_SUFFIXES:
        return "photos"
    return "video" if suffix in VIDEO_SUFFIXES else None


def _sniff(path: Path) -> Kind:
    """By the content: a still picture is a photo; all else is tried as a video, whose reader says what is wrong."""
    from fermedia.media.photos import DAMAGE, open_image

    try:
        with open_image(path) as image:
            return "video" if image.format == "GIF" and getattr(image, "is_animated", False) else "photos"
    except DAMAGE:
        return "video"


def _films_apart(item: _Found) -> list[_Found]:
    """The sequences among an item's files (in natural order), the longest first, and then the item of what is left."""
    patterns: dict[tuple[str, str], dict[int, Path]] = {}
    for file in item.files:
        for number in _DIGITS.finditer(file.name):
            members = patterns.setdefault((file.name[: number.start()], file.name[number.end() :]), {})
            members.setdefault(int(number[0]), file)
    left = dict.fromkeys(item.files)
    films = []
    # Among sequences of one length, those that count with the last number of their names.
    for (before, after), members in sorted(patterns.items(), key=lambda p: (-len(p[1]), -len(p[0][0]))):
        numbers = [number for number, file in members.items() if file in left]
        files = [members[number] for number in numbers]
        if len(files) < 2:
            continue
        for file in files:
            del left[file]
        name = f"{before}{_counter([file.name[len(before) : len(file.name) - len(after)] for file in files])}{after}"
        films.append(_Found("sequence", item.root, item.below.with_name(name), item.path / name, files, numbers))
    return films + ([replace(item, files=list(left))] if left else [])


def _counter(texts: Sequence[str]) -> str:
    """What stands for the numbers in the sequence's name, as FFmpeg writes it: %d, or %04d for 0001."""
    width = min(map(len, texts))
    return f"%0{width}d" if width > 1 and any(text.startswith("0") for text in texts) else "%d"


def _keys(found: Sequence[_Found]) -> list[PurePosixPath]:
    """A key for each, none equal to another or a leading part of it, even where capitals do not count."""
    levels = dict.fromkeys((item.root for item in found), 0)
    while True:
        keys = [item.key(levels[item.root]) for item in found]
        clashing = {
            item.root
            for clash in _clashes(keys)
            if len({found[i].root for i in clash}) > 1
            for item in (found[i] for i in clash)
            if levels[item.root] < len(item.root.parts) - 1
        }
        if not clashing:
            return _numbered(keys)
        for root in clashing:
            levels[root] += 1


def _clashes(keys: Sequence[PurePosixPath]) -> Iterator[list[int]]:
    """Groups of indices: those with one key, and those of a key together with what lies below it."""
    holders: dict[tuple[str, ...], list[int]] = {}
    for index, key in enumerate(keys):
        holders.setdefault(_folded(key), []).append(index)
    for index, key in enumerate(keys):
        parts = _folded(key)
        for length in range(1, len(parts)):
            if parts[:length] in holders:
                yield [*holders[parts[:length]], index]
    yield from (group for group in holders.values() if len(group) > 1)


def _numbered(keys: Sequence[PurePosixPath]) -> list[PurePosixPath]:
    """Keep what clashes with nothing; number the rest, what lies deepest first, so that its folders stay free."""
    clashing = sorted({index for clash in _clashes(keys) for index in clash}, key=lambda i: (-len(keys[i].parts), i))
    taken = {_folded(key) for index, key in enumerate(keys) if index not in clashing}
    result = list(keys)
    for index in clashing:
        result[index] = next(key for key in _variants(keys[index]) if not _is_taken(key, taken))
        taken.add(_folded(result[index]))
    return result


def _variants(key: PurePosixPath) -> Iterable[PurePosixPath]:
    yield key
    number = 2
    while True:
        yield key.with_name(f"{key.stem}~{number}{key.suffix}")
        number += 1


def _is_taken(key: PurePosixPath, taken: set[tuple[str, ...]]) -> bool:
    parts = _folded(key)
    return any(parts[: len(other)] == other or other[: len(parts)] == parts for other in taken)


def _folded(key: PurePosixPath) -> tuple[str, ...]:
    return tuple(unicodedata.normalize("NFC", part).casefold() for part in key.parts)
