"""Access to the files in a folder or a zip by their names."""

from __future__ import annotations

import re
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from PIL import UnidentifiedImageError

from fermedia.errors import DataError

#: Maximum size in bytes of a file that is extracted from a zip, since data sets are untrusted.
_MOST_BYTES = 1_000_000_000

#: The exceptions of reading a file or a member of a zip. For a zip these include RuntimeError if it needs a password
#: and NotImplementedError (a RuntimeError) for a compression that Python does not support.
UNREADABLE = (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError)


def _files(folder: Path, around: tuple[Path, ...] = ()) -> Iterator[Path]:
    """All files below a folder, following links; includes broken links, so that they are reported as unreadable.

    ``around`` are the folders above it, so that a link back to one of them is not followed forever.
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


class Folder:
    """The files in a folder and its subfolders; links are followed."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def names(self) -> list[str]:
        return [path.relative_to(self.root).as_posix() for path in _files(self.root)]

    def open(self, name: str) -> IO[bytes]:
        return (self.root / name).open("rb")

    @contextmanager
    def file(self, name: str) -> Iterator[Path]:
        """Provide a path at which the file can be read."""
        yield self.root / name


class Zip:
    """The files in a zip. Raises DataError with the hint ``expected`` if ``path`` is not a valid zip."""

    def __init__(self, path: Path, expected: str) -> None:
        try:
            self.zip = zipfile.ZipFile(path)
        except OSError as error:
            raise DataError(f"{path} cannot be read ({error.strerror or error})") from error
        except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error) as error:
            raise DataError(f"{path} is neither a folder, nor a CSV, nor a complete zip file; {expected}") from error

    def names(self) -> list[str]:
        return [i.filename for i in self.zip.infolist() if not i.is_dir()]

    def open(self, name: str) -> IO[bytes]:
        return self.zip.open(name)

    @contextmanager
    def file(self, name: str) -> Iterator[Path]:
        """Extract a file to a temporary path, which is removed after the block. Raises OSError if it is too large."""
        with tempfile.TemporaryDirectory(prefix="fermedia-") as folder:
            path = Path(folder) / PurePosixPath(name).name
            # The size in the zip's directory is reliable: zipfile reads no more than that.
            if (size := self.zip.getinfo(name).file_size) > _MOST_BYTES:
                raise OSError(f"unpacked it has {size:,} bytes")
            with self.open(name) as content, path.open("wb") as copy:
                shutil.copyfileobj(content, copy)
            yield path


def reason(error: Exception) -> str:
    """The error in one line, without the object addresses in Pillow's messages."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image"
    return re.sub(r"\s+", " ", str(error)) or type(error).__name__
