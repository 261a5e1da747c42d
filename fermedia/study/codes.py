"""Codes of human coders: what a code is, what its label means, and of which item it is."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path

from fermedia.columns import MEASURED
from fermedia.errors import UsageError
from fermedia.files import counted, few, printable, regular, shown
from fermedia.options import seconds
from fermedia.study.item_names import ItemNames
from fermedia.tables.cells import cell
from fermedia.types import EMOTIONS

#: What a coder may give numbers for.
NUMERIC = ("valence", *EMOTIONS, *MEASURED)

#: A coder's word for a face that cannot be judged: the same as no code.
UNCLEAR = "unclear"

#: The label of what was looked at and has no label.
NONE = "none"

#: The name under which the machine is compared.
MACHINE = "machine"

#: What stands for all labels together, and for all coders together.
ALL, EVERYBODY = "all", "all coders"

#: The number of names that a message lists; further ones are only counted.
NAMED = 5

#: How BORIS calls no subject.
_NOBODY = ("", "no focal subject")
_FACE = re.compile(r"(?:face)?[\s_-]*([0-9]+)", re.IGNORECASE)


@dataclass(frozen=True)
class Code:
    """A code: a label or numbers that a coder gave to a face, in a period, at a moment, or in a frame.

    Attributes:
        coder: Who gave it; empty where a file does not say.
        where: The file and its row, for messages.
        items: Names of the item, of which the first that is known counts.
        label: The label; empty for none.
        begin: The beginning of the period, or the moment, in seconds; NaN for a frame.
        end: The end of the period, infinity for that of the video; NaN for a moment or a frame.
        frame: The number of the frame, or the name of the photo; empty for a period or moment.
        face: The number of the face; empty if the coder names none.
        person: The name of the person, in place of a face; empty if the coder names none.
        is_only: Whether the person is the only one whom the coder names in the item, and need not have a name there.
        numbers: Values of ``NUMERIC``.
    """

    coder: str
    where: str
    items: tuple[str, ...]
    label: str
    begin: float = math.nan
    end: float = math.nan
    frame: str = ""
    face: str = ""
    person: str = ""
    is_only: bool = False
    numbers: dict[str, float] = field(default_factory=dict)

    @property
    def is_period(self) -> bool:
        """Whether it has a begin and an end."""
        return not math.isnan(self.end)


def read_labels(path: Path) -> dict[str, str]:
    """Read what labels mean: lines such as ``smile = happy``; ``talk =`` leaves the label out.

    Empty lines and lines that begin with ``#`` are ignored.

    Returns:
        The meaning of each label, in lower case; empty for labels to leave out.

    Raises:
        UsageError: The file cannot be read, or a line is wrong.
    """
    where = f"--labels {shown(path, whole=True)}"
    try:
        lines = regular(path).read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise UsageError(f"{where}: cannot be read ({error.strerror or error})") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{where}: not a text in UTF-8 ({error.reason})") from error
    meanings: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        label, equals, meaning = (part.strip() for part in line.partition("="))
        if not equals or not label:
            raise UsageError(f"{where}: line {number} is not like smile = happy: {printable(line.strip())}")
        if (key := label.casefold()) in meanings:
            raise UsageError(f"{where}: line {number} says again what {printable(label)} means")
        meanings[key] = cell(meaning)
    return meanings


def translated(codes: Sequence[Code], meanings: dict[str, str]) -> tuple[list[Code], list[str]]:
    """Give labels their meanings, in the machine's spelling where it has them, and drop those to leave out.

    Returns:
        The codes, and messages: about meanings of labels that nobody gave, and labels that the machine does not have.

    Raises:
        UsageError: A label is called ``ALL``.
    """
    spelling = {label: label for label in (*EMOTIONS, NONE)}
    result, given = [], set()
    for code in codes:
        label = code.label.casefold()
        given.add(label)
        meaning = meanings.get(label, code.label)
        if label in meanings and not meaning and not code.numbers:
            continue
        if meaning.casefold() == UNCLEAR:
            meaning = ""
        if meaning.casefold() == ALL:
            why = f"a label cannot be called {ALL}, which stands for all together; give it a meaning with --labels"
            raise UsageError(f"{code.where}: {why}")
        # One spelling of a label: the machine's, or the first that a coder used.
        meaning = spelling.setdefault(meaning.casefold(), meaning)
        result.append(replace(code, label=meaning))
    notes = []
    if unused := sorted(set(meanings) - given):
        notes.append(f"the file of --labels has labels that nobody gave: {few(unused, NAMED)}")
    strange = sorted({code.label for code in result if code.label and code.label not in (*EMOTIONS, NONE)})
    if strange:
        near = {name: get_close_matches(name.casefold(), EMOTIONS, 1, 0.6) for name in strange}
        hints = [f"{name} ({found[0]}?)" if found else name for name, found in near.items()]
        notes.append(
            f"the machine has no label {few(hints, NAMED)}; compared between coders only. --labels FILE says what "
            "they mean"
        )
    return result, notes


def unknown_items(codes: Iterable[Code], names: ItemNames) -> tuple[dict[tuple[str, ...], str], list[str]]:
    """Match the names of items in codes.

    Returns:
        The key of each, and messages about those that are unknown, with the nearest names.

    Raises:
        UsageError: A name may mean several items.
    """
    keys: dict[tuple[str, ...], str] = {}
    lost: dict[tuple[str, ...], list[Code]] = {}
    for code in codes:
        if code.items in keys:
            continue
        if code.items in lost or (key := names.find(code.items)) is None:
            lost.setdefault(code.items, []).append(code)
        else:
            keys[code.items] = key
    notes = []
    for items, rows in lost.items():
        what = f"no item {items[0]} in the results{names.hint(items[0])}"
        notes.append(printable(f"{rows[0].where}: {what}; {counted(len(rows), 'code')} left out"))
    return keys, notes


def subject(name: str) -> str:
    """The number of a face, or a name as it is; empty for nobody."""
    if name.strip().casefold() in _NOBODY:
        return ""
    found = _FACE.fullmatch(name.strip())
    return found[1] if found else name.strip()


def number_of(text: str, where: str, name: str) -> float:
    try:
        value = float(text.replace(",", ".") if "." not in text else text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UsageError(f"{where}: {name} must be a number, got {text!r}")
    return value


def time_of(text: str, where: str, name: str) -> float:
    """A time in seconds, written as seconds, MM:SS or HH:MM:SS, also with a decimal comma."""
    if not text:
        raise UsageError(f"{where}: has no {name}")
    try:
        value = seconds(text.replace(",", "."))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UsageError(f"{where}: {name} must be a time in seconds, MM:SS or HH:MM:SS, got {text!r}")
    return value
