"""Take items out of a folder of results for good, for ``fermedia remove``.

First the ledger forgets the items, in one step; then everything else is deleted or written again. So the same command
can finish what an interruption left: it knows the items by what the ledger keeps of them (``store.removal``).
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

from fermedia.columns import COURSES, WINDOWS
from fermedia.errors import DataError, MissingExtraError, OutputError, UsageError
from fermedia.files import counted, few, printable, shown, unlinked, write_json
from fermedia.jobs.batch import Totals
from fermedia.names import ITEMS, LEDGER
from fermedia.report.batch import write_report
from fermedia.store.events import renew_pages, write_events
from fermedia.store.folder import RUN, RunFolder
from fermedia.store.identity import stray
from fermedia.store.ledger import Ledger
from fermedia.store.lock import is_held
from fermedia.store.outputs import OWN, PLOTS, remove
from fermedia.store.record import about_runs
from fermedia.store.remembered import RememberedOptions, participants_of
from fermedia.store.removal import forget, removed_among, was_removed
from fermedia.store.results import read_ledger
from fermedia.study.item_names import ItemNames, plain
from fermedia.study.participants import ALL_FACES
from fermedia.study.people import People
from fermedia.tables.cells import name_cell
from fermedia.tables.finished import DESCRIPTION, place

#: The figures of the whole run, which hold the items' values.
_FIGURES = (".png", ".svg", ".pdf")

#: The number of names that a message lists; further ones are only counted.
_NAMED = 3


def remove_items(out: Path, names: Sequence[str], participant: str | None = None) -> str:
    """Take items out of the results in ``out``.

    Args:
        out: The folder of results.
        names: The items, by their keys or by the paths of their recordings.
        participant: A participant or person, all of whose items are removed, too.

    Returns:
        What was done.

    Raises:
        UsageError: There are no results, a run is writing into them, or an item or the participant is unknown, or seen
            together with others in an item that ``names`` does not have; then nothing is changed.
        OutputError: Something cannot be written or deleted; the same command goes on.
        DataError: A table is damaged.
    """
    where = shown(out, whole=True)
    read_ledger(out)
    if unlinked(out, LEDGER).exists() and is_held(out):
        raise UsageError(f"{where}: a run is writing into it; wait for it, or interrupt it")
    kept: list[str] = []
    with RunFolder(out) as folder:
        ledger = folder.ledger
        keys = _keys(ledger, out, names)
        if participant is not None:
            keys = list(dict.fromkeys([*keys, *_keys_of(ledger, out, participant, keys)]))
        try:
            if keys:
                forget(ledger, keys)
            for key in (*keys, *(key for key in stray(out, ledger).values() if was_removed(ledger, key))):
                kept += _delete(folder, key)
            kept += _write_again(folder)
        except OSError as error:
            text = f"{where}: cannot be changed ({error.strerror or error}); to finish, give the same command again"
            raise OutputError(text) from error
        left = sum(outcome.finished for outcome in ledger.chosen())
    before = "" if keys else " (removed before)"
    text = f"removed {counted(len(keys), 'item')} from {where}{before}; {counted(left, 'item')} left"
    return "\n".join([text, *kept])


def _keys(ledger: Ledger, out: Path, names: Sequence[str]) -> list[str]:
    """The keys of the items, without those that were removed before. Raises UsageError for an unknown one."""
    paths = {path: key for key, (_, path) in ledger.named.items()}
    known = ItemNames({key: path for key, (_, path) in ledger.named.items()})
    keys = []
    for name in names:
        key = name if name in ledger.named else known.exact(name) or paths.get(os.path.abspath(name))
        if key is not None:
            keys.append(key)
        # Parts of names mean no item here: of an item whose removal was interrupted, only the whole name is recognized.
        elif not was_removed(ledger, name):
            where = f"{shown(out, whole=True)}{known.hint(name)}"
            raise UsageError(f"{printable(name)}: is no item of {where}; see its summary.csv")
    return list(dict.fromkeys(keys))


def _keys_of(ledger: Ledger, out: Path, participant: str, chosen: Collection[str]) -> list[str]:
    """The keys of the items of a participant or person.

    Raises UsageError if there is nobody of this name, or if others are in one of the items, unless it is ``chosen``.
    """
    who, name, where = _who_is_seen(ledger), name_cell(participant), shown(out, whole=True)
    keys = [key for key, names in who.items() if name in names]
    if not keys and not chosen and not _was_in_removed(ledger, name):
        there = sorted(set().union(*who.values()))
        has = f"it has {few(there, _NAMED)}" if there else "it has none; name the items"
        raise UsageError(f"--participant {printable(participant)}: nobody in {where} is called so; {has}")
    others = {key: sorted(who[key] - {name}) for key in keys if key not in chosen and len(who[key]) > 1}
    if others:
        seen = [f"{key} (with {few(names, 1)})" for key, names in others.items()]
        what = f"nothing is removed, since {name} is not alone in {few(seen, _NAMED)}"
        raise UsageError(printable(f"{where}: {what}; an item is removed with everybody in it if it is named as ITEM"))
    return keys


def _who_is_seen(ledger: Ledger) -> dict[str, set[str]]:
    """The participants and the people with names of each item that has any, by its key."""
    participants = participants_of(ledger)
    people = {outcome.key: outcome.people for outcome in ledger.chosen()}
    names = ItemNames({key: path for key, (_, path) in ledger.named.items()})
    rows: dict[str, dict[str, str]] = {}
    if participants is not None:
        meant = names.meant(map(plain, participants.table["item"]))
        for item, face, name in participants.table[["item", "face_id", "participant"]].itertuples(
            index=False, name=None
        ):
            if key := meant.get(plain(item)):
                rows.setdefault(key, {}).setdefault(face, name)
    found: dict[str, set[str]] = {}
    for key in ledger.named:
        mine, named = rows.get(key, {}), people.get(key, {})
        others = {name for face, name in named.items() if face not in mine}
        if ALL_FACES in mine and len(set(named.values())) == 1:
            others = set()  # the person is the participant, by another name
        if who := {*mine.values(), *others}:
            found[key] = who
    return found


def _was_in_removed(ledger: Ledger, name: str) -> bool:
    """Whether the files of the participants or people have somebody of this name in an item that was removed."""
    remembered = RememberedOptions.of(ledger.remembered)
    items: set[str] = set()
    if (participants := participants_of(ledger)) is not None:
        items |= {*participants.table.loc[participants.table["participant"] == name, "item"]}
    if remembered.people is not None:
        table = People.read(Path(remembered.people)).table
        items |= {*table.loc[table["person"] == name, "item"]}
    return bool(removed_among(ledger, items))


def _delete(folder: RunFolder, key: str) -> list[str]:
    """Delete everything of an item; returns messages about files of the user that stay."""
    home = place(folder.path, key)
    remove(folder.spans(key))
    if not home.is_dir():
        return []
    for path in sorted(home.iterdir(), key=lambda path: path.name == DESCRIPTION):  # by which the folder is recognized
        if path.name in OWN or any(path.name.startswith(f"{name}.changed") for name in OWN):
            remove(path)
    others = sorted(path.name for path in home.iterdir())
    if others:
        return [f"{shown(home, whole=True)}: holds files that are not of fermedia and stay: {', '.join(others)}"]
    for empty in (home, *home.parents):
        if empty == folder.path / ITEMS:
            break
        with suppress(OSError):  # it holds other items
            empty.rmdir()
    return []


def _write_again(folder: RunFolder) -> list[str]:
    """Write the tables, pages and records of the folder without the removed items; returns what cannot be made."""
    said: list[str] = []
    out, ledger = folder.path, folder.ledger
    figures = out / PLOTS
    for path in list(figures.iterdir()) if figures.is_dir() and not figures.is_symlink() else ():
        if path.suffix in _FIGURES:
            remove(path)
    if figures.is_dir() and not any(figures.iterdir()):
        figures.rmdir()
    remembered = RememberedOptions.of(ledger.remembered)
    people = None
    folder.remove_groups()
    for table in (WINDOWS, COURSES):
        remove(out / f"{table.name}.csv")
    try:
        people = participants_of(ledger)
    except (UsageError, DataError, MissingExtraError) as error:
        said.append(f"{error}; the tables of participants are not written")
    folder.write_tables(ledger.named, people)
    try:
        write_events(out, ledger, remembered.events, people, [*ledger.named])
    except (UsageError, DataError, MissingExtraError) as error:
        said.append(f"{error}; windows.csv and courses.csv are not written")
    with suppress(DataError):
        renew_pages(out, ledger)
    with suppress(OSError, ValueError):  # it is for people only, and written by every run
        record = json.loads((out / RUN).read_text(encoding="utf-8"))
        before = record.get("totals") or {}
        totals = Totals.of(ledger, int(before.get("earlier", 0)), float(before.get("seconds", 0))).record()
        write_json(out / RUN, record | about_runs(ledger) | {"totals": totals})
    write_report(out, [outcome.key for outcome in ledger.chosen() if outcome.finished], items=False)
    return said
