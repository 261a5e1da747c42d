"""Draw a random sample of faces from finished results, and write it as a page in which people code them."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

import fermedia
from fermedia.columns import SAMPLE
from fermedia.errors import DataError, OutputError, UsageError
from fermedia.files import counted, shown, sweep, write_csv
from fermedia.media.again import sequence_frames, video_frames
from fermedia.media.photos import read_photo
from fermedia.render.previews import centred_face
from fermedia.report.pages import write_single
from fermedia.store.ledger import Outcome
from fermedia.store.results import finished, keep_out
from fermedia.tables.cells import cell
from fermedia.tables.finished import FinishedItem
from fermedia.types import EMOTIONS, Box, Image, MediaItem

if TYPE_CHECKING:
    import pandas as pd

#: The files that are written.
PAGE, KEY = "sample.html", "key.csv"

#: The side of a face's image in pixels, and how much of its surroundings the image has: the side divided by the box's.
_SIDE, _AROUND = 420, 1.9


def draw(
    folder: Path,
    out: Path,
    frames: int,
    seed: int,
    on_item: Callable[[str], None],
    earlier: bool | None = None,
) -> str:
    """Write ``out/sample.html``, the page for coders, and ``out/key.csv``, which says what each of its faces is.

    Faces are drawn at random among all classified faces of all analysed frames, as equally as possible from every
    emotion that the network named, and within an emotion from every item. The page has them in random order, without
    what the network says, and without names of items or times.

    Args:
        folder: The folder of results.
        out: The folder to write.
        frames: The number of faces.
        seed: Of the random numbers.
        on_item: Called with each item's key before its recording is read.
        earlier: As for ``Ledger.chosen``.

    Returns:
        A sentence that says what was written.

    Raises:
        UsageError: ``out`` is in a folder of results or has a sample; ``folder`` has no results or no classified face;
            a recording is gone or has changed.
        DataError: A table is damaged.
        MediaError: A frame cannot be read any more.
        OutputError: ``out`` cannot be written.
    """
    keep_out(out / PAGE)
    if (out / KEY).exists():
        raise UsageError(
            f"--out {shown(out, whole=True)}: holds a sample, whose key must not be lost; name another folder"
        )
    outcomes = {outcome.key: outcome for outcome in finished(folder, earlier)}
    items = {key: FinishedItem.of(folder, key) for key in outcomes}
    chosen = _chosen(items, frames, np.random.default_rng(seed))
    if chosen.empty:
        raise UsageError(f"{shown(folder, whole=True)}: holds no classified face to be coded")
    images: dict[int, bytes] = {}
    for key, rows in chosen.groupby("item"):
        on_item(str(key))
        images |= dict(_images(items[key], outcomes[key], rows))
    placed = list(chosen[["item", "frame", "face_id"]].itertuples(index=False, name=None))
    digest = hashlib.sha256(json.dumps([seed, [[key, int(n), int(f)] for key, n, f in placed]]).encode())
    name = f"s{digest.hexdigest()[:7]}"  # without a letter before it, a spreadsheet may take 12e45678 for a number
    data = {
        "sample": name,
        "labels": EMOTIONS,
        "images": [f"data:image/jpeg;base64,{base64.b64encode(images[n]).decode()}" for n in range(len(chosen))],
        "fermedia": fermedia.__version__,
    }
    key_rows = [
        [
            name,
            n,
            cell(str(row.item)),
            row.frame,
            "" if np.isnan(row.timestamp) else f"{row.timestamp:.6f}",
            row.face_id,
        ]
        for n, row in enumerate(chosen.itertuples(), 1)
    ]
    try:
        out.mkdir(parents=True, exist_ok=True)
        sweep(out)
        write_single(out / PAGE, "sample", "Code faces · fermedia", data)
        write_csv(out / KEY, SAMPLE.names, key_rows)
    except OSError as error:
        raise OutputError(f"{shown(out, whole=True)}: cannot be written ({error.strerror or error})") from error
    few = f" (there are no more than these of {frames:,})" if len(chosen) < frames else ""
    return f"{counted(len(chosen), 'face')}{few} to code in {out / PAGE}; keep {out / KEY} from the coders"


def _chosen(items: dict[str, FinishedItem], frames: int, rng: np.random.Generator) -> pd.DataFrame:
    """The rows of the timelines that are drawn, in random order, with the column ``item``."""
    import pandas as pd

    columns = ["frame", "timestamp", "face_id", "emotion", "x", "y", "width", "height", "source"]
    parts = []
    for key, item in items.items():
        timeline = item.timeline
        parts.append(timeline.loc[timeline["judged"], columns].assign(item=key))
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=[*columns, "item"])
    if table.empty:
        return table
    table = table.iloc[rng.permutation(len(table))]
    # The n-th of each item within its emotion, then the n-th of each emotion: the first of all are drawn.
    turn = table.groupby(["emotion", "item"]).cumcount()
    table = table.assign(turn=turn).sort_values("turn", kind="stable")
    table = table.assign(turn=table.groupby("emotion").cumcount()).sort_values("turn", kind="stable").head(frames)
    return table.iloc[rng.permutation(len(table))].reset_index(drop=True)


def _images(item: FinishedItem, outcome: Outcome, rows: pd.DataFrame) -> Iterator[tuple[int, bytes]]:
    """The image of each row's face, by its place in the sample."""
    by = "source" if outcome.kind == "photos" else "frame"
    faces: dict[Any, list[tuple[int, Box]]] = {}
    for n, name, *box in rows[[by, "x", "y", "width", "height"]].itertuples(name=None):
        faces.setdefault(name, []).append((int(n), Box(*map(float, box))))
    for name, image in _frames(item, outcome, list(faces)):
        for n, box in faces[name]:
            yield n, centred_face(image, box, _SIDE, _AROUND)


def _frames(item: FinishedItem, outcome: Outcome, names: list[Any]) -> Iterator[tuple[Any, Image]]:
    """The frames with these numbers, or the photos with these names, from the recording."""
    path = Path(outcome.source.path)
    try:
        if outcome.kind == "photos":
            yield from _photos(path, names)
            return
        media = item.about["media"]
        size = int(media["width"]), int(media["height"])
        if outcome.kind == "sequence":
            frames = sequence_frames(path, float(item.about["options"]["sequence_fps"]), names, size)
        else:
            if outcome.source.renewed(MediaItem("video", PurePosixPath(item.key), path, (path,))) is None:
                why = "has changed since it was analysed" if path.exists() else "is not there any more"
                where = shown(path, whole=True)
                raise UsageError(f"{where}: {why}, and its frames are needed; run fermedia analyze again")
            frames = video_frames(path, names, size)
        for frame in frames:
            yield frame.index, frame.image
    except (KeyError, TypeError) as error:
        raise DataError(f"{item.folder / 'item.json'}: does not describe an item of fermedia ({error!r})") from error


def _photos(folder: Path, names: list[str]) -> Iterator[tuple[str, Image]]:
    """Photos by their names in the timeline."""
    where = shown(folder, whole=True)
    try:
        there = {cell(name): folder / name for name in os.listdir(folder)}
    except OSError as error:
        raise UsageError(f"{where}: cannot be read ({error.strerror or error}), and its photos are needed") from error
    for name in names:
        if name not in there:
            raise UsageError(f"{where}: has no photo {name} any more; run fermedia analyze again")
        yield name, read_photo(there[name])
