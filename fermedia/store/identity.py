"""Recognition of known items among those found, so that none counts twice or gets a second key."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

from fermedia.errors import DataError
from fermedia.files import printable
from fermedia.media.keys import FoundMedia, named
from fermedia.names import ITEMS
from fermedia.store.fingerprints import size
from fermedia.store.ledger import Ledger, Outcome
from fermedia.tables.finished import DESCRIPTION, place, read_description
from fermedia.types import MediaItem

#: Maximum number of names in a message.
_MOST_NAMES = 5


def identify(found: Sequence[FoundMedia], out: Path, ledger: Ledger) -> tuple[list[MediaItem], list[str]]:
    """Give the items that were found their keys.

    An item is recognized by the path of its source, or else by its content, if its source no longer exists at the known
    path (it was renamed or moved) or is the same file (reached by another path). Known items keep their keys, and so
    their results.

    Returns:
        The items with their keys, and messages.
    """
    places = {about: key for key, about in ledger.named.items()}
    if any((item.kind, item.source) not in places for item in found):
        places = stray(out, ledger) | places
    given = {i: key for i, item in enumerate(found) if (key := places.get((item.kind, item.source))) is not None}
    free: dict[tuple[str, int], list[Outcome]] = {}
    known = set(given.values())
    for key, outcome in (ledger.outdated | ledger.outcomes).items():
        if key not in known:
            free.setdefault((outcome.kind, outcome.source.size), []).append(outcome)
    moved = []
    for index, item in enumerate(found):
        if index not in given and free:
            candidates = free.get((item.kind, size(item.files)), [])
            if before := next((o for o in candidates if _is_moved(item, o)), None):
                candidates.remove(before)
                given[index] = before.key
                moved.append((before, item))
    held = set(given.values())
    taken = {key: source for (_, source), key in places.items() if key not in held}
    return named(found, given, taken), [_said_moved(moved)] if moved else []


def same_content(outcomes: Sequence[Outcome]) -> str | None:
    """A message about recordings with the same content under several names, each of which counts; None without."""
    groups: dict[tuple[str, str], list[str]] = {}
    for outcome in outcomes:
        if outcome.finished and outcome.source.digest:
            groups.setdefault((outcome.kind, outcome.source.digest), []).append(outcome.key)
    same = [" = ".join(_few(keys)) for keys in groups.values() if len(keys) > 1]
    if not same:
        return None
    return f"the same recording is there under several names, and each counts: {'; '.join(_few(same))}"


def _is_moved(item: FoundMedia, outcome: Outcome) -> bool:
    """Whether an item of the same kind and size is an outcome's source under another name."""
    before = outcome.source.path
    with suppress(OSError):  # it is not there
        if item.kind != "sequence":
            return os.path.samefile(before, item.path)
    return outcome.source.is_content_of(item.item(PurePosixPath(outcome.key)))


def _said_moved(moved: Sequence[tuple[Outcome, FoundMedia]]) -> str:
    names = _few([f"{printable(item.source)}, which was {outcome.source.path}" for outcome, item in moved])
    keys = _few([outcome.key for outcome, _ in moved])
    return f"known by content: {'; '.join(names)}; its results stay, called {', '.join(keys)}"


def _few(names: list[str]) -> list[str]:
    more = len(names) - _MOST_NAMES
    return [*names[:_MOST_NAMES], f"{more} more"] if more > 0 else names


def stray(out: Path, ledger: Ledger) -> dict[tuple[str, str], str]:
    """The keys of items below ``items/`` that are not in the ledger, by kind and source if these are known."""
    known = {place(out, key) for key in ledger.named}
    found: dict[tuple[str, str], str] = {}
    for folder, folders, names in os.walk(out / ITEMS):
        if DESCRIPTION not in names:
            continue
        folders.clear()
        if (home := Path(folder)) in known:
            continue
        try:
            about = read_description(home)
        except DataError:
            about = {}
        key = str(about.get("key"))
        if home == place(out, key):
            found[about["kind"], os.path.abspath(about["source"])] = key
        else:  # somebody put it there
            way = home.relative_to(out / ITEMS).as_posix()
            found["", way] = way
    return found
