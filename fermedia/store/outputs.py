"""The outputs in an item's folder, and how they are published there.

Only the names in ``OWN`` are fermedia's; other files in an item's folder are the user's and stay.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from fermedia.files import HALF_WRITTEN, patiently, sync
from fermedia.render.previews import FOLDER as PREVIEWS
from fermedia.report.pages import DATA, EVENTS_FILE, PAGE
from fermedia.store.derive import DERIVED, LANDMARKS, MEASURES, TIMELINE
from fermedia.store.fingerprints import Fingerprint
from fermedia.tables.finished import DESCRIPTION

#: The folder of figures, in an item's folder and in that of the run.
PLOTS = "plots"

#: What shows the recording in an item's folder.
IMAGES = {"annotated", "annotated.mp4", PREVIEWS}

#: All names that fermedia writes in an item's folder.
OWN = DERIVED | IMAGES | {TIMELINE, MEASURES, LANDMARKS, DESCRIPTION, PLOTS, EVENTS_FILE}

#: Tables and texts, which users may have edited.
_TEXTS = DERIVED - {PAGE, DATA} | {TIMELINE, MEASURES, EVENTS_FILE}


def made(folder: Path) -> dict[str, Fingerprint | None]:
    """The fingerprints of everything in a folder that only holds outputs. Raises OSError."""
    return {name: Fingerprint.of(folder / name) for name in sorted(os.listdir(folder))}


def is_text(name: str) -> bool:
    """Whether an output is a table or a text, which a user may have edited."""
    return name in _TEXTS


def set_aside(path: Path) -> Path | None:
    """Rename a changed table, since a user may have edited it. Returns the new path, or None if nothing was renamed.

    Files that are empty or only contain zeros, as after a crash of the machine, are not kept. Raises OSError.
    """
    if not is_text(path.name) or not os.path.lexists(path) or _is_blank(path):
        return None
    number, aside = 1, path.with_name(f"{path.name}.changed")
    while os.path.lexists(aside):
        number += 1
        aside = path.with_name(f"{path.name}.changed-{number}")
    patiently(partial(path.rename, aside), path)
    return aside


def _is_blank(path: Path) -> bool:
    """Whether ``path`` has no contents to keep. Pipes have none, and links are not tables."""
    if path.is_dir() and not path.is_symlink():
        return not os.listdir(path)
    if path.is_symlink() or not path.is_file():
        return True
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            if part.strip(b"\0"):
                return False
    return True


def carry(place: Path, staging: Path, names: Iterable[str]) -> None:
    """Copy what an item's folder has under these names into the one that is to replace it. Raises OSError."""
    for name in names:
        path = place / name
        if path.is_symlink():
            continue
        if path.is_dir():
            shutil.copytree(path, staging / name, symlinks=True)
        elif path.is_file():
            shutil.copy2(path, staging / name)


def publish(staging: Path, place: Path) -> None:
    """Move a complete folder to its place, and sync it to disk before and after.

    Earlier outputs are only removed now; the user's files stay. The move is one rename, or, if there are files of the
    user, file by file with the description last. A crash in between loses the item's results, old and new; they are
    then made again, since the ledger has no row for them. Raises OSError.
    """
    for inside, _, names in os.walk(staging):
        for name in names:
            sync(os.path.join(inside, name))
        sync(inside)
    new = [folder for folder in place.parents if not folder.exists()]
    place.parent.mkdir(parents=True, exist_ok=True)
    if os.path.lexists(place):
        there = set(os.listdir(place)) if place.is_dir() else {place.name}
        strange = {name for name in there - OWN if not name.startswith(HALF_WRITTEN)}
        if strange and not there & OWN:
            raise FileExistsError(errno.EEXIST, "something else is in the place of its results", str(place))
        if strange:
            _publish_into(staging, place)
            return
    old = staging.with_name(staging.name + ".old")
    if os.path.lexists(place):
        patiently(partial(place.replace, old), place)
    patiently(partial(staging.replace, place), place)
    for folder in (place.parent, *(made.parent for made in new)):
        sync(folder)
    shutil.rmtree(old, ignore_errors=True)


def _publish_into(staging: Path, place: Path) -> None:
    """Move file by file: the timeline first and the description last, so the folder can be identified at any time."""
    names = os.listdir(staging)
    for name in OWN.difference(names):
        remove(place / name)
    for name in sorted(names, key=lambda name: (name == DESCRIPTION, name != TIMELINE)):
        if (place / name).is_dir() or (staging / name).is_dir():
            remove(place / name)
        patiently(partial((staging / name).replace, place / name), place / name)
    sync(place)


def remove_images(place: Path) -> bool:
    """Remove the annotated video or photos and the previews of an item. Returns whether there were any."""
    there = [place / name for name in IMAGES if os.path.lexists(place / name)]
    for path in there:
        remove(path)
    return bool(there)


def remove(path: Path) -> None:
    """Remove a file or a folder; of a link only the link. Raises OSError."""
    if path.is_dir() and not path.is_symlink():
        patiently(partial(shutil.rmtree, path), path)
    else:
        patiently(partial(path.unlink, missing_ok=True), path)
