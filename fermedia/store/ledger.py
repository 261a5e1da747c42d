"""The ledger of a folder of results: a crash-safe record of what is finished.

``ledger.jsonl`` has a JSON row per event and is append-only; each row is written at once and is on disk before the next
step. A row ends with a checksum: a row truncated by a crash is ignored, and its work is done again. One process
writes (``store.lock``); others may read at the same time.

The rows, by their ``row``:

- ``settings``: the settings of all results after it; results before it are outdated.
- ``told``: the options that later runs remember (``store.remembered``).
- ``items``: the items of the inputs of the runs after it, by key, each with its kind and the absolute path of its
  source. Items that are only in earlier rows are no longer among the inputs; their keys are not given to others.
- ``begun``: a run begins, with ``todo`` items to do; ``about`` has its version and machine.
- ``outdated``: the outcomes of ``keys`` are no longer valid; the items are to be done again, or with ``drawn`` only
  drawn again.
- ``outcome``: the result of an item (``Outcome``). The last one of a key is valid.
- ``removed``: ``fermedia remove`` took an item out for good (``store.removal``); no other row names it any more.
- ``events``: a ``digest`` of what windows.csv and courses.csv were made from (``store.events``).
- ``ended``: the run ended with the ``state`` "finished", "interrupted" or "stopped", after ``seconds``.

Unknown rows and fields, which newer versions may add, are ignored.
"""

from __future__ import annotations

import csv
import errno
import json
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from fermedia.columns import FACE, FACES, ITEM, ITEMS, SUMMARY, Table
from fermedia.errors import OutputError, Stage, UsageError
from fermedia.files import printable, regular, shown, sync, unlinked, whole_file
from fermedia.names import LEDGER
from fermedia.store.fingerprints import Fingerprint
from fermedia.store.lock import LOCK, FolderLock
from fermedia.store.source import SourceState
from fermedia.study.participants import Assignment
from fermedia.tables.cells import cell

#: Without O_BINARY, Windows opens the file as text and changes line ends.
_HOW = os.O_RDWR | os.O_APPEND | getattr(os, "O_BINARY", 0)

#: Separates a row's JSON from its checksum.
_CHECK = ', "crc32": "'

#: Seconds for which a run waits for the lock: ``fermedia status`` holds it for a moment.
_PATIENCE = 0.5


@dataclass(frozen=True)
class Failure:
    """Something that failed: a row of failures.csv."""

    item: str
    stage: Stage
    error: str

    def line(self) -> str:
        """The message on one line, with the item's whole key instead of the name that the error begins with."""
        what = self.error.removeprefix(f"{printable(self.item.rsplit('/', 1)[-1])}: ")
        return printable(f"{self.item}: {what}")


SummaryRow = dict[str, str | int | float]
"""A row of summary.csv: its values by column, without ``item`` (the outcome's key) and without empty values."""


@dataclass(frozen=True)
class Outcome:
    """The result of an item, as executors return it and the ledger stores it. Small, and can be pickled.

    ``outputs`` are the names in the item's folder with their fingerprints (None from older versions); empty if there
    are no results. ``summary`` has the item's rows of summary.csv. ``seconds`` is the time that the analysis took.
    ``people`` are the names of faces (``--people``) by ``face_id``, as they are in the outputs.
    """

    key: str
    kind: str
    source: SourceState
    outputs: dict[str, Fingerprint | None] = field(default_factory=dict)
    frames: int = 0
    analysed: int = 0
    with_face: int = 0
    faces: int = 0
    seconds: float = 0.0
    summary: tuple[SummaryRow, ...] = ()
    failures: tuple[Failure, ...] = ()
    people: dict[str, str] = field(default_factory=dict)

    @property
    def finished(self) -> bool:
        """Whether there are results, possibly with failures in parts."""
        return bool(self.outputs)

    @property
    def name(self) -> str:
        """The item's name in tables."""
        return cell(self.key)

    @property
    def names(self) -> dict[int, str]:
        """``people`` with whole numbers as keys."""
        return {int(face_id): name for face_id, name in self.people.items()}

    def rows(self, table: Table) -> Iterator[SummaryRow]:
        """The item's rows of SUMMARY, FACES or ITEMS, by column."""
        faces = self.faces if self.kind == "photos" else sum(row["level"] == FACE for row in self.summary)
        whole: SummaryRow = {"kind": self.kind, "faces": faces} if table is ITEMS else {}
        for row in self.summary:
            if table is SUMMARY or row["level"] == (ITEM if table is ITEMS else FACE):
                person = self.people.get(str(row.get("face_id", "")), "")
                yield {**row, **whole, "item": self.name, "person": person}

    def written(self, table: Table, given: Assignment) -> Iterator[list[str]]:
        """The item's rows of one of these tables, formatted, with the columns of participants.

        Photos have no rows in FACES, since a face_id in photos is no person.
        """
        if table is FACES and self.kind == "photos":
            return
        for row in self.rows(table):
            texts = [column.written(row.get(column.name)) for column in table.columns]
            texts[table.keys : table.keys] = given.of(self.name, str(row.get("face_id", "")))
            yield texts

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Outcome:
        """Restore an outcome from a row of the ledger. Raises TypeError, KeyError, ValueError if it is not valid."""
        known = _known(cls, row)
        known["source"] = SourceState(**_known(SourceState, row["source"]))
        known["failures"] = tuple(Failure(**_known(Failure, failure)) for failure in row["failures"])
        known["summary"] = _summary(row.get("summary", ()))
        made = row["outputs"].items()
        known["people"] = {str(face_id): str(name) for face_id, name in dict(known.get("people", {})).items()}
        known["outputs"] = {n: Fingerprint(**_known(Fingerprint, p)) if isinstance(p, dict) else None for n, p in made}
        return cls(**known)


def _summary(found: Any) -> tuple[SummaryRow, ...]:
    """Restore rows of summary.csv from a ledger. Raises TypeError, ValueError, csv.Error if they are not valid."""
    columns = [column for column in SUMMARY.columns if column.name != "item"]
    first = [column for column in columns if not column.added]
    if isinstance(found, str):  # older versions kept the lines of the table themselves
        lines = csv.reader(found.splitlines(keepends=True))
        return tuple(
            _leveled(
                {
                    c.name: text if c.name == "face_id" else c.read(text)
                    for c, text in zip(first, texts, strict=True)
                    if text
                }
            )
            for _, *texts in lines
        )
    rows = tuple(_leveled(dict(row)) for row in found)
    if wrong := [c.name for c in columns for row in rows if c.name in row and not c.holds(row[c.name])]:
        raise TypeError(f"{wrong[0]} of a summary is something else")
    return rows


def _leveled(row: SummaryRow) -> SummaryRow:
    """A row with its ``level``; older versions had a text as ``face_id``, "all" for the item. Raises ValueError."""
    if "level" in row:
        return row
    face_id = row.pop("face_id")
    return {**row, "level": ITEM} if face_id == "all" else {**row, "level": FACE, "face_id": int(face_id)}


#: The Python types of a row's fields, by the names of the types in the classes.
_TYPES: dict[str, tuple[type, ...]] = {"str": (str,), "Stage": (str,), "int": (int,), "float": (int, float)}


def _known(cls: type, row: dict[str, Any]) -> dict[str, Any]:
    """The fields of a row that a dataclass has. Raises TypeError if one has another type."""
    found = {item.name: (row[item.name], str(item.type)) for item in fields(cls) if item.name in row}
    for name, (value, kind) in found.items():
        if not isinstance(value, _TYPES.get(kind, object)):
            raise TypeError(f"{name} is no {kind}")
    return {name: value for name, (value, _) in found.items()}


class Ledger:
    """The ledger of a folder, for reading; ``open`` gives one for writing.

    Attributes:
        settings: The last settings; None before any.
        outcomes: The valid outcomes by key, whether or not their items are among the last run's inputs.
        outdated: Results below ``items/`` with other settings or of an earlier source.
        former: The settings of those in ``outdated`` whose source is as it was.
        named: The last kind and source path of every key that was ever given.
        present: The keys of the last run's inputs; None if unknown.
        remembered: The options that the folder remembers.
        removed: The rows of removed items, without ``row``.
        made_events: What windows.csv and courses.csv were made from, as a digest; None if unknown.
        begun: The rows of all runs, each with how it ended.
        left: The number of the last run's items that are not done.
        ended: The last run's state; None if it did not end.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / LEDGER
        self.settings: dict[str, Any] | None = None
        self.outcomes: dict[str, Outcome] = {}
        self.outdated: dict[str, Outcome] = {}
        self.former: dict[str, dict[str, Any]] = {}
        self.named: dict[str, tuple[str, str]] = {}
        self.present: set[str] | None = None
        self.remembered: dict[str, Any] = {}
        self.removed: list[dict[str, Any]] = []
        self.made_events: str | None = None
        self.begun: list[dict[str, Any]] = []
        self.left = 0
        self.ended: str | None = None
        self._file: int | None = None
        self._lock: FolderLock | None = None

    @classmethod
    def read(cls, folder: Path) -> Ledger:
        """Read the ledger of a folder, while another process may be writing it.

        Raises:
            OSError: It cannot be read.
            UsageError: It is of an incompatible version.
        """
        ledger = cls(folder)
        ledger._take_all(regular(ledger.path).read_bytes())
        return ledger

    @classmethod
    def open(cls, folder: Path) -> Ledger:
        """Open the ledger of a folder for writing, and create it if there is none.

        On a file system without locks, two runs at once are not prevented.

        Raises:
            UsageError: Another run has it open, or it is a link.
        """
        ledger = cls(folder)
        for name in (LEDGER, LOCK):
            unlinked(folder, name)
        try:
            ledger._lock = FolderLock.take(folder, _PATIENCE)
            if ledger._lock is None:
                where = shown(folder, whole=True)
                raise UsageError(f"--out {where}: another run is writing into it; wait for it, or name another folder")
            ledger._file = os.open(ledger.path, _HOW | os.O_CREAT, 0o666)
            ledger._take_all(regular(ledger.path).read_bytes())
        except BaseException:
            ledger.close()
            raise
        return ledger

    def catch_up(self) -> None:
        """Read the file again: an interruption may come after a row was written and before it was taken in here."""
        kept = {"_file": self._file, "_lock": self._lock}
        vars(self).update(vars(Ledger.read(self.path.parent)) | kept)

    def chosen(self, earlier: bool | None = None) -> list[Outcome]:
        """The outcomes to include in tables, pages and figures, ordered by key.

        Args:
            earlier: Whether to include items that are no longer among the last run's inputs; None for the remembered
                option.
        """
        more = self.remembered.get("earlier") is True if earlier is None else earlier
        return [self.outcomes[key] for key in sorted(self.outcomes) if more or self.is_present(key)]

    def is_present(self, key: str) -> bool:
        """Whether an item is among the last run's inputs."""
        return self.present is None or key in self.present

    def close(self) -> None:
        """Close the ledger and release its lock."""
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

    # -- writing ----------------------------------------------------------------------------------------------------

    def settle(self, settings: dict[str, Any]) -> None:
        """Record the settings of the results from here on; all existing results become outdated."""
        self._add({"row": "settings", "settings": settings})

    def tell(self, remembered: dict[str, Any]) -> None:
        """Record the options that later runs remember."""
        self._add({"row": "told", "told": remembered})

    def note_events(self, digest: str) -> None:
        """Record what windows.csv and courses.csv were made from."""
        self._add({"row": "events", "digest": digest})

    def name(self, items: Mapping[str, tuple[str, str]]) -> None:
        """Record the items of the inputs, by key, with their kind and source path."""
        if self.present != set(items) or any(self.named.get(key) != item for key, item in items.items()):
            self._add({"row": "items", "items": {key: list(item) for key, item in items.items()}})

    def begin(self, todo: int, about: dict[str, Any]) -> None:
        """Record that a run begins with ``todo`` items to do."""
        self._add({"row": "begun", "todo": todo, "about": about})

    def discard(self, keys: Iterable[str], drawn: bool = False) -> None:
        """Record that the outcomes of these items are no longer valid; with ``drawn`` only what is drawn."""
        self._add({"row": "outdated", "keys": list(keys), **({"drawn": True} if drawn else {})})

    def add(self, *outcomes: Outcome) -> None:
        """Record outcomes; their files must already be on disk."""
        self._add(*({"row": "outcome", **asdict(outcome)} for outcome in outcomes))

    def end(self, state: str, seconds: float) -> None:
        """Record the end of the run."""
        self._add({"row": "ended", "state": state, "seconds": round(seconds, 2)})

    def rewrite(self, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
        """Replace all rows by what ``change`` makes of them; the file has the old rows or the new ones. Raises OSError.

        A row has its ``row``, and no checksum.
        """
        assert self._file is not None, "opened for adding"
        self._restore()
        rows = [row for _, row in _rows(regular(self.path).read_bytes())]
        try:
            with whole_file(self.path) as path:
                path.write_bytes(b"".join(map(_line, change(rows))))
                sync(path)
                os.close(self._file)  # Windows replaces no open file
                self._file = None
            sync(self.path.parent)
        finally:
            if self._file is None:
                self._file = os.open(self.path, _HOW)
        self.catch_up()

    # -- rows -------------------------------------------------------------------------------------------------------

    def _add(self, *rows: dict[str, Any]) -> None:
        assert self._file is not None, "opened for adding"
        try:
            self._restore()
            # End a row that a crash or a full disk has truncated.
            torn = False
            if os.fstat(self._file).st_size > 0:
                os.lseek(self._file, -1, os.SEEK_END)
                torn = os.read(self._file, 1) != b"\n"
            content = b"\n" * torn + b"".join(map(_line, rows))
            while content:  # after a partial write, the next one raises the reason
                content = content[os.write(self._file, content) :]
            for row in rows:
                self._take(row)
            os.fsync(self._file)
        except OSError as error:
            where = shown(self.path, whole=True)
            raise OutputError(f"{where}: cannot be written any more ({error.strerror})") from error

    def _restore(self) -> None:
        """Restore the ledger if it was deleted meanwhile. Raises OSError if another file was put in its place."""
        assert self._file is not None
        try:
            if os.path.samestat(self.path.stat(), os.fstat(self._file)):
                return
        except FileNotFoundError:
            with whole_file(self.path) as path, open(self._file, "rb", closefd=False) as lost:
                lost.seek(0)
                path.write_bytes(lost.read())
            os.close(self._file)
            self._file = None
            self._file = os.open(self.path, _HOW)
            return
        raise OSError(errno.EEXIST, "something else is in its place")

    def _take_all(self, content: bytes) -> None:
        for number, row in _rows(content):
            try:
                self._take(row)
            except (AttributeError, KeyError, TypeError, ValueError, csv.Error) as error:
                where = shown(self.path, whole=True)
                what = "cannot be understood; it is of another version of fermedia; use that version"
                text = f"{where}: line {number} {what}"
                raise UsageError(text) from error

    def _take(self, row: dict[str, Any]) -> None:
        kind = row.pop("row")
        if kind == "settings":
            finished = {key: outcome for key, outcome in self.outcomes.items() if outcome.finished}
            self.outdated |= finished
            self.former |= dict.fromkeys(finished, self.settings or {})
            self.settings = dict(row["settings"])
            self.outcomes.clear()
        elif kind == "told":
            self.remembered = dict(row["told"])
        elif kind == "events":
            self.made_events = str(row["digest"])
        elif kind == "items":
            items = {str(key): (str(kind), str(path)) for key, (kind, path) in row["items"].items()}
            self.named |= items
            self.present = set(items)
        elif kind == "removed":
            self.removed.append(row)
        elif kind == "begun":
            self.begun.append({"todo": int(row["todo"]), **row.get("about", {})})
            self.left, self.ended = int(row["todo"]), None
        elif kind == "outdated":
            for key in row["keys"]:
                before = self.outcomes.pop(key, None)
                if before and before.finished:
                    self.outdated[key] = before
                self.former.pop(key, None)
                if row.get("drawn") is True:
                    self.former[key] = self.settings or {}
            self.left += len(row["keys"])
        elif kind == "outcome":
            outcome = Outcome.from_row(row)
            is_new = outcome.key not in self.outcomes
            self.outcomes[outcome.key] = outcome
            self.named.setdefault(outcome.key, (outcome.kind, outcome.source.path))
            if outcome.finished:
                self.outdated.pop(outcome.key, None)
                self.former.pop(outcome.key, None)
            self.left -= is_new and bool(self.begun)
        elif kind == "ended":
            self.ended = str(row["state"])
            if self.begun:
                self.begun[-1] |= {name: row[name] for name in ("state", "seconds") if name in row}


def _line(row: dict[str, Any]) -> bytes:
    text = json.dumps(row)
    return f'{text[:-1]}{_CHECK}{zlib.crc32(text.encode()):08x}"}}\n'.encode()


def _rows(content: bytes) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(content.split(b"\n"), 1):
        text, found, check = line.decode("ascii", "replace").rpartition(_CHECK)
        text += "}"
        if found and check == f'{zlib.crc32(text.encode()):08x}"}}':
            yield number, json.loads(text)
