"""Decide what a run has to do: which items are new, changed, damaged or to be drawn again, and which are kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from fermedia.errors import UsageError
from fermedia.files import few, shown, sweep, sync
from fermedia.media.keys import FoundMedia
from fermedia.options import LARGEST, AnalyzeOptions
from fermedia.render.blur import ALL, OTHERS
from fermedia.store import derive
from fermedia.store.fingerprints import Fingerprint, check, in_words
from fermedia.store.folder import RunFolder
from fermedia.store.identity import identify
from fermedia.store.ledger import Ledger, Outcome
from fermedia.store.outputs import PLOTS, is_text, remove, set_aside
from fermedia.store.removal import left_in
from fermedia.store.settings import differences, hides, only_drawn
from fermedia.study.people import Names, faces_of
from fermedia.tables.finished import DESCRIPTION, FinishedItem
from fermedia.types import MediaItem

#: The finished items to analyse again: those that failed in whole or in part, or all.
Redo = Literal["failed", "all"]

#: The number of items that a message names; further ones are only counted.
_MOST_NAMED = 3

#: Outputs that cannot be derived from others: an item that lacks one of those it had is unusable.
_NEEDED = {derive.TIMELINE, derive.MEASURES, derive.LANDMARKS, DESCRIPTION}


@dataclass
class Plan:
    """What a run has to do.

    Attributes:
        items: All items of the inputs.
        todo: The items to analyse or draw.
        drawn: The keys of items in ``todo`` whose timelines are kept: they are only drawn again.
        kept: The finished outcomes that are kept, each with a description of what is wrong with its derived files
            (tables and pages made from the timeline), by name.
        people: The names of the faces of each item that has any, by its key.
        notes: Messages for the user.
    """

    items: list[MediaItem]
    todo: list[MediaItem] = field(default_factory=list)
    drawn: set[str] = field(default_factory=set)
    kept: list[tuple[Outcome, dict[str, str]]] = field(default_factory=list)
    people: dict[str, Names] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def keys(self) -> list[str]:
        """The keys of all items, in the order of the inputs."""
        return [str(item.key) for item in self.items]


def plan(
    folder: RunFolder,
    found: Sequence[FoundMedia],
    settings: dict[str, Any],
    redo: Redo | None,
    name: Callable[[Ledger], tuple[dict[str, Names], list[str]]],
) -> Plan:
    """Compare the inputs with the results, and record in the ledger which results are no longer valid.

    Args:
        folder: The folder of results, open for writing.
        found: The media found in the inputs.
        settings: The settings of this run.
        redo: The finished items to analyse again, if any.
        name: Gives the names of the faces of the ledger's items, by key, and messages for the user.

    Raises:
        UsageError: The results were made with other settings, and ``redo`` is not "all". Settings that only change how
            items are drawn are allowed.
    """
    ledger, where = folder.ledger, shown(folder.path, whole=True)
    other = differences(ledger.settings, settings) if ledger.settings is not None else {}
    if other and ledger.outcomes and redo != "all" and not only_drawn(other):
        raise UsageError(
            f"--out {where}: its results were made with other settings ({'; '.join(other.values())}); "
            "name another folder, or add --redo all to make them again"
        )
    found, removed = left_in(found, ledger)
    items, notes = identify(found, folder.path, ledger)
    notes += removed
    result = Plan(items, notes=notes)
    if other or ledger.settings is None:
        ledger.settle(settings)
    if other or redo == "all":
        folder.forget_spans()
    ledger.name({str(item.key): (item.kind, os.path.abspath(item.path)) for item in items})
    _restore(folder, settings)
    result.people, said = name(ledger)
    result.notes += said
    again: list[str] = []
    named: list[str] = []
    renewed: list[Outcome] = []
    unstored = 0
    for item in items:
        key = str(item.key)
        outcome = ledger.outcomes.get(key)
        source = outcome.source.renewed(item) if outcome else None
        if outcome and source and not _is_again(outcome, redo):
            intact, broken = check(folder.place(key), outcome.outputs)
            given = result.people.get(key, {})
            chooses = _chooses_others(settings, outcome, given)
            drawn = not chooses and _draws_others(settings, outcome, given)
            if drawn and _can_be_drawn(folder, item, settings, outcome):
                if broken:
                    result.notes.append(f"{key}: {in_words(broken)}; made again")
                    _keep_texts(folder, key, broken)
                named.append(key)
                result.drawn.add(key)
                result.todo.append(item)
                continue
            if broken.keys() <= derive.DERIVED and not chooses and not drawn:
                now = replace(outcome, source=source, outputs=outcome.outputs | intact)
                if now != outcome:
                    renewed.append(now)
                if outcome.finished:
                    result.kept.append((now, broken))
                continue
            why = in_words(broken) or "its faces have other names"
            result.notes.append(f"{key}: {why}; it is analysed again")
            _keep_texts(folder, key, broken)
        elif former := outcome or (ledger.outdated.get(key) if redo == "all" else None):
            changed = _changed(folder, former)
            if kept := _keep_texts(folder, key, changed):
                names = ", ".join(f"{name} as {path.name}" for name, path in sorted(kept.items()))
                result.notes.append(f"{key}: {in_words(changed)}; kept, while it is analysed again: {names}")
        if outcome:
            again.append(key)
        elif redo != "all" and _is_only_drawn(ledger, key, settings):
            broken = check(folder.place(key), ledger.outdated[key].outputs)[1]
            before = ledger.outdated[key]
            if _chooses_others(settings, before, result.people.get(key, {})):
                result.notes.append(f"{key}: its faces have other names; it is analysed again")
            elif _can_be_drawn(folder, item, settings, before):
                result.drawn.add(key)
            else:
                unstored += _lacks_landmarks(settings)
            if broken:
                result.notes.append(f"{key}: {in_words(broken)}; made again")
                _keep_texts(folder, key, broken)
        result.todo.append(item)
    if result.drawn:
        count = len(result.drawn)
        what = "1 item is" if count == 1 else f"{count} items are"
        why = "; ".join(other.values()) or ("names" if named else "going on")
        result.notes.append(f"{what} drawn again, but not analysed again ({why})")
    left = sorted(key for key in ledger.outdated.keys() - set(result.keys) if folder.place(key).exists())
    if hides(settings) and left:
        what = "not among the inputs, so that earlier images remain in the folder"
        result.notes.append(
            f"{few(left, _MOST_NAMED)}: {what}; add the recordings, or take them out with fermedia remove"
        )
    stale = []
    for earlier in (o for o in ledger.chosen() if not ledger.is_present(o.key)):
        given = result.people.get(earlier.key, {})
        if _draws_others(settings, earlier, given) or _chooses_others(settings, earlier, given):
            stale.append(earlier)
    if stale:
        result.people |= {o.key: o.names for o in stale}
        what = "not among the inputs, so that the names of faces stay as they are; add the recordings"
        result.notes.append(f"{few([o.key for o in stale], _MOST_NAMED)}: {what}")
    if unstored:
        what = "1 item is" if unstored == 1 else f"{unstored} items are"
        result.notes.append(f"{what} analysed again: --draw draws landmarks, which are only kept with --landmarks")
    again += _forgotten(folder, result)
    if again:
        ledger.discard(again)
    if named:
        ledger.discard(named, drawn=True)
    if renewed:
        ledger.add(*renewed)
    return result


def mended(
    folder: RunFolder, outcome: Outcome, broken: Mapping[str, str], options: AnalyzeOptions, people: Names
) -> Outcome:
    """Make the missing, damaged and newly requested derived files of a finished item, and remove unwanted ones.

    If the names of faces are others than before, all derived files are made again.

    Files that are not recorded in the ledger (after a killed run) are also made again. An old file that a user may
    have edited is kept under another name.

    Args:
        folder: The folder of results.
        outcome: The item's outcome.
        broken: The derived files that are missing or damaged, by name, with a description.
        options: The options that say which derived files are wanted.
        people: The names of the item's faces.

    Returns:
        The outcome with its present outputs.

    Raises:
        OSError: A file cannot be read or written.
        DataError: A table is damaged.
    """
    place, wanted = folder.place(outcome.key), derive.wanted(outcome.kind, options)
    for home in (place, place / PLOTS):
        sweep(home)
    strange = {name for name in wanted - outcome.outputs.keys() if os.path.lexists(place / name)}
    aside = _keep_texts(folder, outcome.key, [*broken, *strange])
    if outcome.people != as_text(people):
        outcome = _renamed(outcome, place, people, broken)
    unwanted = (outcome.outputs.keys() & derive.DERIVED) - wanted
    names = derive.derive(FinishedItem(outcome.key, place), options, unwanted)
    for name, path in aside.items():
        if name in names and Fingerprint.of(path).whole == Fingerprint.of(place / name).whole:
            remove(path)
    for name in names:
        sync(place / name)
    kept = {name: was for name, was in outcome.outputs.items() if name not in unwanted}
    return replace(outcome, outputs=kept | {name: Fingerprint.of(place / name) for name in sorted(names)})


def _renamed(outcome: Outcome, place: Path, people: Names, broken: Collection[str]) -> Outcome:
    """Name the faces in an item's tables, and remove what is derived from them.

    If the machine stops before the ledger knows of it, the item is analysed again.
    """
    for name in (outcome.outputs.keys() & derive.DERIVED) - set(broken):
        remove(place / name)
    outputs = dict(outcome.outputs)
    for name in derive.name_faces(place, people):
        sync(place / name)
        outputs[name] = Fingerprint.of(place / name)
    return replace(outcome, outputs=outputs, people=as_text(people))


def as_text(people: Names) -> dict[str, str]:
    """Names of faces as the ledger has them."""
    return {str(face_id): name for face_id, name in sorted(people.items())}


def _draws_others(settings: dict[str, Any], outcome: Outcome, people: Names) -> bool:
    """Whether images of a finished item show names, or hide faces, that are not those of these people."""
    hides = settings.get("blur") not in (None, ALL, OTHERS)
    shows = settings.get("video", True) or (settings.get("faces", True) and hides)
    return bool(shows) and outcome.finished and outcome.people != as_text(people)


def _chooses_others(settings: dict[str, Any], outcome: Outcome, people: Names) -> bool:
    """Whether ``--only`` means other faces of a finished item with these people than with those that it had."""
    if (only := settings.get("only")) in (None, LARGEST) or not outcome.finished:
        return False
    return faces_of(only, outcome.names) != faces_of(only, people)


def _is_again(outcome: Outcome, redo: Redo | None) -> bool:
    """Whether an unchanged item is analysed again."""
    return redo == "all" or (redo == "failed" and bool(outcome.failures))


def _restore(folder: RunFolder, settings: dict[str, Any]) -> None:
    """Make outdated results valid again if they were made with the present settings and are intact."""
    ledger = folder.ledger
    same = [ledger.outdated[key] for key, former in ledger.former.items() if not differences(former, settings)]
    if same := [outcome for outcome in same if not check(folder.place(outcome.key), outcome.outputs)[1]]:
        ledger.add(*same)


def _is_only_drawn(ledger: Ledger, key: str, settings: dict[str, Any]) -> bool:
    """Whether an item's timeline, made with other settings, is valid for these."""
    return key in ledger.former and only_drawn(differences(ledger.former[key], settings))


def _lacks_landmarks(settings: dict[str, Any]) -> bool:
    """Whether with these settings landmarks are drawn but not stored."""
    return bool(settings.get("draw")) and not settings.get("landmarks")


def _can_be_drawn(folder: RunFolder, item: MediaItem, settings: dict[str, Any], outcome: Outcome) -> bool:
    """Whether an item whose timeline is valid need only be drawn again: all that is drawn is stored and intact."""
    if _lacks_landmarks(settings):
        return False
    _, broken = _check_needed(folder, outcome)
    return not broken and not outcome.failures and outcome.source.renewed(item) is not None


def _changed(folder: RunFolder, outcome: Outcome) -> dict[str, str]:
    """The tables of an item that are not what was made, with descriptions."""
    place = folder.place(outcome.key)
    tables = {name: was for name, was in outcome.outputs.items() if is_text(name) and os.path.lexists(place / name)}
    return check(place, tables)[1]


def _check_needed(folder: RunFolder, outcome: Outcome) -> tuple[dict[str, Fingerprint | None], dict[str, str]]:
    """The result of ``check`` for the item's outputs that cannot be derived from others."""
    needed = {name: outcome.outputs[name] for name in _NEEDED if name in outcome.outputs}
    return check(folder.place(outcome.key), needed)


def _forgotten(folder: RunFolder, result: Plan) -> list[str]:
    """The keys of items to forget: no longer among the inputs, and either failed or without intact tables."""
    ledger, keys = folder.ledger, []
    for key, outcome in ledger.outcomes.items():
        if ledger.is_present(key):
            continue
        broken = _check_needed(folder, outcome)[1]
        if broken:
            result.notes.append(f"{key}, which is not among the inputs any more: {in_words(broken)}; it is forgotten")
        if broken or not outcome.finished:
            keys.append(key)
    return keys


def _keep_texts(folder: RunFolder, key: str, names: Sequence[str] | Mapping[str, str]) -> dict[str, Any]:
    """Remove these derived files and tables of an item, but rename those that a user may have edited.

    Returns:
        The new paths of the renamed files, by their old names.
    """
    place, aside = folder.place(key), {}
    for name in names:
        if name in derive.DERIVED or name in (derive.TIMELINE, derive.MEASURES):
            if kept := set_aside(place / name):
                aside[name] = kept
            else:
                remove(place / name)
    return aside


def sentence_of_earlier(ledger: Ledger) -> str | None:
    """A sentence about results whose items are no longer among the inputs; None if there are none."""
    keys = [key for key, outcome in ledger.outcomes.items() if outcome.finished and not ledger.is_present(key)]
    if not keys:
        return None
    which = f"{keys[0]} is" if len(keys) == 1 else f"{len(keys)} finished items are"
    if ledger.remembered.get("earlier") is True:
        return f"{which} no longer among the inputs, but still in the tables; --no-earlier leaves them out"
    return f"{which} no longer among the inputs: kept, but not in the tables; --earlier includes them"
