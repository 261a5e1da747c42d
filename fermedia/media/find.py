"""Find the inputs: videos, folders of photos, and numbered images that form a video."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from fermedia.errors import MediaError, UsageError
from fermedia.files import shown
from fermedia.media.keys import FoundMedia, Kind, named
from fermedia.names import ITEMS, LEDGER, reachable
from fermedia.types import MediaItem

#: Suffixes of the files taken from folders: what FFmpeg and Pillow open. An animated GIF is a video.
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

#: Cameras' small copies of the files beside them, which would be counted twice.
_COPIES = frozenset({".lrv", ".thm"})

#: Folders, in lower case, of previews and deleted files: deleted recordings must not be analysed. The same holds for
#: names that begin with ".trash".
_NOT_RECORDINGS = frozenset({"@eadir", "#recycle", "@recycle", "$recycle.bin", "recycler", "lost+found", "__macosx"})

#: The most names in the warning about skipped files.
_MOST_NAMES = 30

_DIGITS = re.compile("([0-9]+)")

_log = logging.getLogger("fermedia")


def find_items(inputs: Sequence[Path], exclude: Path | None = None, sequences: bool = False) -> list[MediaItem]:
    """Find the inputs as ``find`` does and give each a new key (``keys.named``)."""
    return named(find(inputs, exclude, sequences))


def find(inputs: Sequence[Path], exclude: Path | None = None, sequences: bool = False) -> list[FoundMedia]:
    """Find everything to analyse, in the order of ``inputs`` and within folders in natural order.

    Each video is an item, and so are the images directly in one folder together. Folders are searched recursively,
    links are followed, hidden names are skipped, and a file that is reached twice counts once. A file given by itself
    is taken whatever its suffix. Only regular files are opened. One warning says what else was skipped and why.

    A folder below an input that cannot be read is an item of the kind "folder", which fails with the error
    ``refused``.

    Args:
        inputs: Videos, images and folders.
        exclude: The output folder, in which nothing is taken; other results folders are skipped too.
        sequences: Whether images of one folder whose names differ in one number only form an item of their own. If a
            name has several numbers, the one with the longest sequence counts. Of two images with the same number
            (``1.png``, ``01.png``) the second remains a photo, as does an image that shares its pattern with no other.

    Raises:
        UsageError: An input does not exist, cannot be read or is inside ``exclude``, or nothing was found.
    """
    finder = _Finder(None if exclude is None else Path(os.path.realpath(reachable(exclude))))
    for path in inputs:
        finder.add_input(path)
    left_out = _left_out(finder.left_out)
    if not finder.found:
        for path in inputs:
            if finder.is_exclude(path):
                raise UsageError(f"{shown(path, whole=True)} is the output folder too; give another --out")
        names = ", ".join(shown(path, whole=True) for path in inputs)
        raise UsageError(f"no video or image found in {names}{f'; {left_out}' if left_out else ''}")
    if left_out:
        _log.warning("%s", left_out)
    for photos in finder.found:
        photos.files.sort(key=lambda file: _natural(file.name))
    return [part for item in finder.found for part in (_videos_apart(item) if sequences and item.files else [item])]


class _Finder:
    def __init__(self, exclude: Path | None) -> None:
        self.found: list[FoundMedia] = []
        self.left_out: dict[str, list[str]] = {}  # names by reason
        self._exclude = exclude
        self._inside = None if exclude is None else os.path.join(exclude, "")
        self._photos: dict[str, FoundMedia] = {}  # by their folder's real path
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

    def is_exclude(self, path: Path) -> bool:
        """Whether an input is the excluded folder itself; it is skipped if there are other inputs."""
        return self._exclude == Path(os.path.realpath(reachable(path)))

    def _walk(self, folder: Path, root: Path, below: PurePosixPath) -> None:
        real = os.path.realpath(folder)
        if self._is_excluded(real) or not self._is_new(real):
            return
        folders = []
        listing = _listing(folder)
        if isinstance(listing, OSError):
            if below == PurePosixPath():
                raise UsageError(str(refused(folder, listing, whole=True))) from listing
            self.found.append(FoundMedia("folder", root, below, folder))
            return
        for entry in listing:
            path = reachable(folder / entry.name)
            if reason := _reason_against(path, entry):
                if not self._is_excluded(os.path.join(real, entry.name)):
                    self.left_out.setdefault(reason, []).append((below / entry.name).as_posix())
            elif _is_hidden(entry.name):
                continue
            elif _says(entry.is_dir):
                folders.append(path)
            elif kind := _kind(path):
                # Resolving the path of every file would take most of the time.
                file = os.path.realpath(path) if entry.is_symlink() else os.path.join(real, entry.name)
                self._add_file(path, file, real, kind, root, below)
        for path in folders:
            self._walk(path, root, below / path.name)

    def _add_file(self, path: Path, real: str, folder: str, kind: Kind, root: Path, below: PurePosixPath) -> None:
        if self._is_excluded(real) or not self._is_new(real):
            return
        if kind == "video":
            self.found.append(FoundMedia("video", root, below / path.name, path, [path]))
            return
        if folder not in self._photos:
            self._photos[folder] = FoundMedia("photos", root, below / "photos", path.parent)
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
    """The answer of ``question`` about a link's target; False if the target is missing or the link circular."""
    try:
        return question()
    except OSError:
        return False


def _listing(folder: Path) -> list[os.DirEntry[str]] | OSError:
    """The entries of a folder in natural order, or why it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            names = list(entries)
    except OSError as error:
        return error
    return sorted(names, key=lambda entry: _natural(entry.name))


def refused(folder: Path, error: OSError | None = None, whole: bool = False) -> MediaError:
    """The error for a folder that cannot be read. Without ``error`` the folder is read again to obtain it."""
    found = error or _listing(folder)
    reason = found.strerror or str(found) if isinstance(found, OSError) else "it can be now; give the command again"
    return MediaError(f"{shown(folder, whole)}: the folder cannot be read ({reason})")


def _is_hidden(name: str) -> bool:
    return name.startswith(".")


def _reason_against(path: Path, entry: os.DirEntry[str]) -> str | None:
    """Why an entry of a folder is skipped with a warning; None if it is taken, or skipped as hidden."""
    name, suffix = entry.name.lower(), path.suffix.lower()
    if _says(entry.is_dir):
        if name in _NOT_RECORDINGS or name.startswith(".trash"):
            return "a folder of previews or a bin"
        return "results of fermedia" if (path / LEDGER).is_file() and (path / ITEMS).is_dir() else None
    if _is_hidden(name):
        return None
    if not _says(entry.is_file):
        return "not a regular file"
    if suffix in _COPIES:
        return "a camera's small copy"
    return None if suffix in VIDEO_SUFFIXES | PHOTO_SUFFIXES | {".gif"} else "not named as a video or image"


def _left_out(reasons: dict[str, list[str]]) -> str:
    """One line about everything that was skipped; empty if nothing was."""
    count = sum(map(len, reasons.values()))
    parts = []
    for reason, names in reasons.items():
        some = ", ".join(shown(Path(name), whole=True) for name in names[:_MOST_NAMES])
        more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        parts.append(f"{reason}: {some}{more}")
    return f"left out: {count} of the files and folders there ({'; '.join(parts)})" if count else ""


def _natural(name: str) -> tuple[list[tuple[int, str]], str]:
    """A case-insensitive sort key by which 2 precedes 10."""
    parts = _DIGITS.split(name.casefold())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts], name


def _kind(path: Path) -> Kind | None:
    """The kind by the suffix, of a GIF by its content; None for an unknown suffix."""
    suffix = path.suffix.lower()
    if suffix == ".gif":
        return _sniff(path)
    if suffix in PHOTO_SUFFIXES:
        return "photos"
    return "video" if suffix in VIDEO_SUFFIXES else None


def _sniff(path: Path) -> Kind:
    """The kind by the content: a still image is a photo; the rest count as videos, whose reader reports errors."""
    from fermedia.media.images import DAMAGE, open_image

    try:
        with open_image(path) as image:
            return "video" if image.format == "GIF" and getattr(image, "is_animated", False) else "photos"
    except DAMAGE:
        return "video"


def _videos_apart(item: FoundMedia) -> list[FoundMedia]:
    """Split an item's files (in natural order) into sequences, the longest first, and an item of remaining photos."""
    patterns: dict[tuple[str, str], dict[int, Path]] = {}
    for file in item.files:
        for number in _DIGITS.finditer(file.name):
            members = patterns.setdefault((file.name[: number.start()], file.name[number.end() :]), {})
            members.setdefault(int(number[0]), file)
    left = dict.fromkeys(item.files)
    videos = []
    # Among sequences of one length, those that vary in the last number of their names.
    for (before, after), members in sorted(patterns.items(), key=lambda p: (-len(p[1]), -len(p[0][0]))):
        numbers = [number for number, file in members.items() if file in left]
        files = [members[number] for number in numbers]
        if len(files) < 2:
            continue
        for file in files:
            del left[file]
        name = f"{before}{_counter([file.name[len(before) : len(file.name) - len(after)] for file in files])}{after}"
        videos.append(FoundMedia("sequence", item.root, item.below.with_name(name), item.path / name, files, numbers))
    return videos + ([replace(item, files=list(left))] if left else [])


def _counter(texts: Sequence[str]) -> str:
    """The placeholder for the numbers in a sequence's name, as in FFmpeg: %d, or %04d for 0001."""
    width = min(map(len, texts))
    return f"%0{width}d" if width > 1 and any(text.startswith("0") for text in texts) else "%d"
