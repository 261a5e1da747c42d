"""The ledger of a run: what is done, in a file that a crash cannot spoil.

``ledger.jsonl`` has a row of JSON per event and is only ever added to, each row by one write that is on the disk
before the next step. A row ends with a checksum: one that was cut off by a crash is passed over, and what it would
have said is done again. One process writes (``runs.lock``); any other may read meanwhile.

The rows, by their ``row``:

- ``settings``: what all results after it are made with; those before it are outdated.
- ``begun``: a run begins, with ``todo`` items to do.
- ``outdated``: the outcomes of ``keys`` count no more; the items are to be done again.
- ``outcome``: what became of an item (``Outcome``). The last one of a key counts.
- ``ended``: the run ended, in the ``state`` "finished", "interrupted" or "stopped".
"""

from __future__ import annotations

import errno
import json
import os
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from fermedia.errors import OutputError, UsageError
from fermedia.files import printable, shown
from fermedia.runs.lock import FolderLock
from fermedia.runs.source import Source

LEDGER = "ledger.jsonl"

#: Windows takes what is written for text else, and changes the ends of its lines.
_BINARY = getattr(os, "O_BINARY", 0)

#: What stands between a row's JSON and its checksum.
_CHECK = ', "crc32": "'

#: Seconds for which a run waits for the lock: ``fermedia status`` holds it for a moment.
_PATIENCE = 0.5


@dataclass(frozen=True)
class Failure:
    """Something that could not be done: a row of failures.csv.

    ``stage`` is ``open``, ``read``, ``decode``, ``sound``, ``write``, ``worker`` (the process that did it died over it,
    or took too long), ``disk`` (there is no room: not the item's fault, so the run stops) or ``internal`` (a fault of
    ours).
    """

    item: str
    stage: str
    error: str

    def line(self) -> str:
        """Where and what, on one line: the item's whole key and not only the name that the error begins with."""
        what = self.error.removeprefix(f"{printable(self.item.rsplit('/', 1)[-1])}: ")
        return printable(f"{self.item}: {what}")


@dataclass(frozen=True)
class Outcome:
    """What became of an item: what an executor gives for a task, and the ledger keeps. Small, and can be pickled.

    ``outputs`` are the names in the item's folder, without what is derived (``runs.derive``), with the sizes of files
    in bytes and the numbers of names in folders; empty where there are no results. ``summary`` are its rows of
    summary.csv.
    """

    key: str
    kind: str
    source: Source
    outputs: dict[str, int] = field(default_factory=dict)
    frames: int = 0
    analysed: int = 0
    with_face: int = 0
    faces: int = 0
    seconds: float = 0.0
    summary: str = ""
    failures: tuple[Failure, ...] = ()

    @property
    def finished(self) -> bool:
        """Whether there are results, be it with failures in parts."""
        return bool(self.outputs)

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Outcome:
        """From what ``asdict`` made and JSON brought back."""
        failures = tuple(Failure(**failure) for failure in row["failures"])
        return cls(**row | {"source": Source(**row["source"]), "failures": failures})


class Ledger:
    """The ledger in a folder as it stands; ``open`` gives one that can be added to.

    ``settings`` are the last ones, None before any. ``outcomes`` are those that count, by key; ``outdated`` the keys
    whose results, below ``items/``, are of other settings or of an earlier source. ``begun`` is the last run's row, and
    ``left`` how many of its items are not done. ``ended`` is how it ended, None if it did not.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / LEDGER
        self.settings: dict[str, Any] | None = None
        self.outcomes: dict[str, Outcome] = {}
        self.outdated: set[str] = set()
        self.begun: dict[str, Any] | None = None
        self.left = 0
        self.ended: str | None = None
        self._file: int | None = None
        self._lock: FolderLock | None = None

    @classmethod
    def read(cls, folder: Path) -> Ledger:
        """What stands there now; another process may be writing it. Raises OSError if it cannot be read."""
        ledger = cls(folder)
        for row in _rows(ledger.path.read_bytes()):
            ledger._take(row)
        return ledger

    @classmethod
    def open(cls, folder: Path) -> Ledger:
        """For adding, a new one if there is none. Raises UsageError if another run has it open.

        On a file system without locks nothing guards against two runs at once.
        """
        ledger = cls(folder)
        try:
            ledger._lock = FolderLock.take(folder, _PATIENCE)
            if ledger._lock is None:
                where = shown(folder, whole=True)
                raise UsageError(f"--out {where}: another run is writing into it; wait for it, or name another folder")
            ledger._file = os.open(ledger.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | _BINARY, 0o666)
            for row in _rows(ledger.path.read_bytes()):
                ledger._take(row)
        except BaseException:
            ledger.close()
            raise
        return ledger

    def close(self) -> None:
        """Let others write."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- what can be added ------------------------------------------------------------------------------------------

    def settle(self, settings: dict[str, Any]) -> None:
        """From here on results are made with these; all there are become outdated."""
        self._add({"row": "settings", "settings": settings})

    def begin(self, todo: int, gone: int, **about: Any) -> None:
        """A run begins with ``todo`` items; ``gone`` finished ones are not among its inputs any more."""
        self._add({"row": "begun", "todo": todo, "gone": gone, **about})

    def discard(self, keys: Iterable[str]) -> None:
        """The outcomes of these items count no more."""
        self._add({"row": "outdated", "keys": list(keys)})

    def add(self, *outcomes: Outcome) -> None:
        """Items are done; what this says of their files must be on the disk already."""
        self._add(*({"row": "outcome", **asdict(outcome)} for outcome in outcomes))

    def end(self, state: str) -> None:
        """The run ends."""
        self._add({"row": "ended", "state": state})

    # -- rows -------------------------------------------------------------------------------------------------------

    def _add(self, *rows: dict[str, Any]) -> None:
        assert self._file is not None, "opened for adding"
        # Whatever a crash or a full disk left of a row stays a row of its own.
        torn = False
        if os.fstat(self._file).st_size > 0:
            os.lseek(self._file, -1, os.SEEK_END)
            torn = os.read(self._file, 1) != b"\n"
        content = b"\n" * torn + b"".join(map(_line, rows))
        try:
            if os.write(self._file, content) != len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            for row in rows:
                self._take(row)
            os.fsync(self._file)
        except OSError as error:
            where = shown(self.path, whole=True)
            raise OutputError(f"{where}: cannot be written any more ({error.strerror})") from error

    def _take(self, row: dict[str, Any]) -> None:
        kind = row.pop("row")
        if kind == "settings":
            self.settings = row["settings"]
            self.outdated |= {key for key, outcome in self.outcomes.items() if outcome.finished}
            self.outcomes.clear()
        elif kind == "begun":
            self.begun, self.left, self.ended = row, row["todo"], None
        elif kind == "outdated":
            for key in row["keys"]:
                before = self.outcomes.pop(key, None)
                if before and before.finished:
                    self.outdated.add(key)
            self.left += len(row["keys"])
        elif kind == "outcome":
            outcome = Outcome.from_row(row)
            self.outcomes[outcome.key] = outcome
            if outcome.finished:
                self.outdated.discard(outcome.key)
            self.left -= self.begun is not None
        elif kind == "ended":
            self.ended = row["state"]


def _line(row: dict[str, Any]) -> bytes:
    text = json.dumps(row)
    return f'{text[:-1]}{_CHECK}{zlib.crc32(text.encode()):08x}"}}\n'.encode()


def _rows(content: bytes) -> Iterator[dict[str, Any]]:
    for line in content.split(b"\n"):
        text, found, check = line.decode("ascii", "replace").rpartition(_CHECK)
        text += "}"
        if found and check == f'{zlib.crc32(text.encode()):08x}"}}':
            yield json.loads(text)
