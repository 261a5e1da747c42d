"""Items that ``fermedia remove`` took out for good: how the ledger forgets them, and how later runs know them.

The ledger keeps no name of a removed item, but digests of its key, its path and its contents, by which it is
recognized: PBKDF2 with a random salt of the folder, so that they say nothing to somebody who neither has the recording
nor guesses its name. It also keeps the recording's size, so that later runs need not read all recordings.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from fermedia.errors import UsageError
from fermedia.files import counted
from fermedia.media.find import find
from fermedia.media.keys import FoundMedia
from fermedia.store.fingerprints import size
from fermedia.store.ledger import Ledger
from fermedia.store.source import SourceState
from fermedia.study.item_names import ItemNames, spellings

#: What stands for the path of a removed recording in the inputs of earlier runs.
GONE = "(removed)"

#: Rounds of the digests: about 10 ms each.
_ROUNDS = 20_000

_Row = dict[str, Any]


def left_in(found: Sequence[FoundMedia], ledger: Ledger) -> tuple[list[FoundMedia], list[str]]:
    """Leave out what was removed from the results, recognized by its path or by its contents.

    Returns:
        The others, and messages.
    """
    if not ledger.removed:
        return list(found), []
    sealed = partial(_sealed, salt=_salt(ledger))
    paths, contents = (_known(ledger, name) for name in ("path", "content"))
    known = set(ledger.named.values())
    sizes = {row.get("size") for row in ledger.removed if row.get("content")}

    def is_removed(item: FoundMedia) -> bool:
        if sealed(f"{item.kind} {item.source}") in paths:
            return True
        if (item.kind, item.source) in known or size(item.files) not in sizes:
            return False  # a copy that is an item of its own stays
        content = SourceState.of(item.item(PurePosixPath(item.path.name))).digest
        return bool(content) and sealed(f"{item.kind} {content}") in contents

    left = [item for item in found if not is_removed(item)]
    out = len(found) - len(left)
    text = f"{counted(out, 'item')} of the inputs {'is' if out == 1 else 'are'} left out: removed with fermedia remove"
    return left, [text] if out else []


def was_removed(ledger: Ledger, name: str) -> bool:
    """Whether ``name`` is the whole key, however it is spelled, or the path of an item that was removed before."""
    if not ledger.removed:
        return False
    salt = _salt(ledger)
    kinds, path = ("video", "photos", "sequence", "folder"), os.path.abspath(name)
    paths = {_sealed(f"{kind} {path}", salt) for kind in kinds}
    keys = {_sealed(text, salt) for text in {name, *spellings(name)}}
    return bool(keys & _known(ledger, "key") or paths & _known(ledger, "path"))


def removed_among(ledger: Ledger, items: Iterable[str]) -> set[str]:
    """Those of some names of items that mean none of the results, since that item was removed before."""
    if not ledger.removed:
        return set()
    items = set(filter(None, items))
    lost = items - ItemNames.of(ledger.named).meant(items).keys()  # a digest takes long, so only of these
    return {item for item in lost if was_removed(ledger, item)}


def forget(ledger: Ledger, keys: Collection[str]) -> None:
    """Remove items from a ledger that is open for writing, in one step. Raises OSError."""
    salt = _salt(ledger)
    when = datetime.now(UTC).date().isoformat()
    notes: list[_Row] = []
    for key in keys:
        kind, path = ledger.named[key]
        outcome = (ledger.outdated | ledger.outcomes).get(key)
        note: _Row = {"key": _sealed(key, salt), "path": _sealed(f"{kind} {path}", salt)}
        source = outcome.source if outcome and outcome.source.digest else _source(kind, path)
        if source is not None:
            note |= {"content": _sealed(f"{kind} {source.digest}", salt), "size": source.size}
        notes.append({"row": "removed", "when": when, "salt": salt, **note})
    gone = {path for key, (_, path) in ledger.named.items() if key in keys}
    stay = {path for key, (_, path) in ledger.named.items() if key not in keys}
    ledger.rewrite(lambda rows: [*_without(rows, set(keys), _hider(gone, stay)), *notes])


def _source(kind: str, path: str) -> SourceState | None:
    """The state of the recording of an item that was never finished; None if it is gone."""
    folder = os.path.dirname(path) if kind == "sequence" else path
    try:
        found = find([Path(folder)], sequences=kind == "sequence")
    except UsageError:
        return None
    items = [item.item(PurePosixPath(item.path.name)) for item in found if (item.kind, item.source) == (kind, path)]
    return next((state for state in map(SourceState.of, items) if state.size and state.digest), None)


def _without(rows: list[_Row], keys: set[str], hidden: Callable[[list[str]], list[str]]) -> list[_Row]:
    """The rows of a ledger without these items. The numbers of items to do are reduced by them."""
    present: set[str] = set()
    valid: set[str] = set()
    kept = []
    for row in rows:
        kind = row["row"]
        if kind == "settings":
            valid.clear()
        elif kind == "items":
            present = set(row["items"])
            row["items"] = {key: item for key, item in row["items"].items() if key not in keys}
        elif kind == "outdated":
            valid -= set(row["keys"])
            row["keys"] = [key for key in row["keys"] if key not in keys]
        elif kind == "begun":
            row["todo"] = max(0, row["todo"] - len((keys & present) - valid))
            if isinstance(about := row.get("about"), dict) and "inputs" in about:
                about["inputs"] = hidden(about["inputs"])
        elif kind == "outcome":
            valid.add(row["key"])
            if row["key"] in keys:
                continue
        kept.append(row)
    return kept


def _hider(gone: Collection[str], stay: Collection[str]) -> Callable[[list[str]], list[str]]:
    """A function that replaces those inputs of a run by ``GONE`` that only led to removed items."""

    def leads(given: str, paths: Collection[str]) -> bool:
        return any(path == given or Path(given) in Path(path).parents for path in paths)

    return lambda inputs: [GONE if leads(given, gone) and not leads(given, stay) else given for given in inputs]


def _known(ledger: Ledger, name: str) -> set[str]:
    return {str(row[name]) for row in ledger.removed if row.get(name)}


def _salt(ledger: Ledger) -> str:
    """The folder's salt; a new one if nothing was removed before."""
    return next((str(row["salt"]) for row in ledger.removed if row.get("salt")), "") or secrets.token_hex(16)


def _sealed(text: str, salt: str) -> str:
    return hashlib.pbkdf2_hmac("sha256", os.fsencode(text), salt.encode(), _ROUNDS).hex()
