"""The page of an item, made from its folder alone (tables, item.json, previews), without its source."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fermedia.columns import FACE, ITEM, MEASURED, PERSON, SUMMARY
from fermedia.files import regular
from fermedia.render.photos import FreeNames
from fermedia.render.previews import FOLDER as PREVIEWS
from fermedia.render.previews import Preview, read_previews
from fermedia.report.curves import Grid, Run, face_runs, figure_cells, ranges_of, stride_of, video_grid
from fermedia.report.pages import ASSETS, DATA, EVENTS_FILE, PAGE, url, write_page
from fermedia.tables.finished import FinishedItem, notes, sensible
from fermedia.tables.summary import summarize
from fermedia.tables.tables import records
from fermedia.tables.timeline import smoothed_timeline
from fermedia.types import EMOTIONS, GOOD, PRESENT, REASONS

if TYPE_CHECKING:
    import pandas as pd

#: The maximum number of faces with curves and rows on a page: those in most frames; the tables have all.
MOST_FACES = 300

#: The measures that the page of a measured video always shows, and those that are shown only when selected.
STANDARD = (
    *("yaw", "pitch", "roll", "right_eye", "left_eye", "mouth_opening", "speaking"),
    *("gaze_x", "gaze_y", "looks_at_camera"),
)
PICKED = tuple(name for name in MEASURED if name not in STANDARD)

#: The columns of the summary that a page shows.
_QUALITIES = [f"{name}_share" for name in (GOOD, *REASONS)]
_DONE = ["measured", "looks_at_camera_share", "speaking_share", "blinks", "blinks_per_minute"]
_TOLD = [
    "level",
    *SUMMARY.first_names,
    PERSON.name,
    *_QUALITIES,
    *_DONE,
    *(f"{emotion}_share_silent" for emotion in EMOTIONS),
]


#: The columns of events.csv that are text.
_TOLD_EVENTS = ["label", "trial", "condition"]

Ints = NDArray[np.int64]


def write_item_page(item: FinishedItem) -> None:
    """Write the page of an item into its folder, which is in the results or will be moved there.

    Raises:
        DataError: timeline.csv or item.json is missing or damaged.
        OSError: A file cannot be written.
    """
    folder, key = item.folder, item.key
    with sensible(folder):
        data = _data(item)
    kind = "video" if item.is_video else "photos"
    write_page(folder, kind, f"{key} · fermedia", _up(key) + ASSETS, data)


def _data(item: FinishedItem) -> dict[str, Any]:
    folder, key, about = item.folder, item.key, item.about
    content = _video if item.is_video else _photos
    return {
        "kind": about["kind"],
        "key": key,
        "source": about["source"],
        "up": _up(key) + PAGE,
        "frames": about["frames"],
        "analysed": about["frames_analysed"],
        "fermedia": about["fermedia"],
        "options": about["options"],
        "undecided": float(about["options"].get("undecided", 0)),  # missing in results of older versions
        "failures": [failure["error"] for failure in about["failures"]],
        "notes": notes(about),
        "files": _files(folder),
        **content(item),
    }


def _video(item: FinishedItem) -> dict[str, Any]:
    folder, about, timeline = item.folder, item.about, item.whole
    smooth, start = float(about["options"]["smooth"]), float(about["options"]["start"] or 0)
    smoothed = smoothed_timeline(timeline, smooth)
    summary = summarize(timeline, "", about["end"], smooth)[_TOLD]
    people = _ordered(summary[summary["level"] == FACE].assign(face_id=lambda faces: faces["face_id"].astype(str)))
    frames = timeline.drop_duplicates("frame")
    begin = float(frames["timestamp"].min()) if len(frames) else start
    end = max(float(about["end"] or begin), begin)
    return {
        "media": _media(about["media"]),
        "video": _link(folder, "annotated.mp4"),
        "poster": _link(folder, PREVIEWS, "video.jpg"),
        "start": start,
        "begin": begin,
        "end": end,
        "smooth": smooth,
        "all": records(summary[summary["level"] == ITEM])[0],
        "people": len(people),
        "faces": records(people.head(MOST_FACES)),
        "segments": _segments(item.segments),
        "reasons": [GOOD, *REASONS],
        "measures": item.measures is not None,
        "blinks": _blinks(item),
        "events": _events(folder),
        "moments": [_moment(p) for p in read_previews(folder) if p.emotion or p.kind],
        **_curves(smoothed, frames, people["face_id"].head(MOST_FACES), end),
    }


def _ordered(faces: pd.DataFrame) -> pd.DataFrame:
    """The faces of a summary, those in most frames first, and those of a person together, one after another."""
    who = faces[PERSON.name].where(faces[PERSON.name].notna(), "\n" + faces["face_id"])  # no name has a line end
    frames = faces["frames_with_face"]
    keys = {"whole": frames.groupby(who).transform("sum"), "who": who.map(who.drop_duplicates().tolist().index)}
    order = faces.assign(**keys).sort_values(
        ["whole", "who", "frames_with_face"], ascending=[False, True, False], kind="stable"
    )
    return order.drop(columns=list(keys))


def _curves(smoothed: pd.DataFrame, frames: pd.DataFrame, face_ids: pd.Series, end: float) -> dict[str, Any]:
    """The grid's step, the runs of each face by ``face_id`` as text, and the measures if there are any."""
    seen = smoothed[smoothed["success"]]
    if frames.empty:
        return {"step": 1.0, "curves": {}}
    grid = video_grid(frames, len(seen), end)
    places = np.searchsorted(frames["frame"].to_numpy(), seen["frame"].to_numpy())
    classified, p = seen["judged"].to_numpy(bool), seen[list(EMOTIONS)].to_numpy(np.float64)
    indices = seen.groupby("face_id").indices
    rows = {str(face_id): index for face_id, index in indices.items()}
    curves = {name: face_runs(classified[r], p[r], places[r], grid) for name, r in ((n, rows[n]) for n in face_ids)}
    result = {"step": grid.step, "curves": curves}
    if "presence" in seen:
        result["figures"] = _figures(seen, {name: rows[name] for name in curves}, places, grid, curves)
    return result


def _figures(
    seen: pd.DataFrame, rows: dict[str, Ints], places: Ints, grid: Grid, curves: dict[str, list[Run]]
) -> list[dict[str, Any]]:
    """The standard and the selectable measures: ``names``, ``ranges``, ``stride``, and by face the ``cells``."""
    present = (seen["presence"] >= PRESENT).to_numpy(bool, na_value=False)[:, None]
    cells = sum(run["count"] for runs in curves.values() for run in runs)
    result = []
    for names, stride in ((STANDARD, 1), (PICKED, stride_of(cells, len(PICKED)))):
        values = seen[list(names)].to_numpy(np.float64, na_value=np.nan)
        values = np.where(present | (np.array(names) == "presence"), values, np.nan)
        ranges = ranges_of(values)
        by_face = {
            name: figure_cells(values[r], ranges, places[r], grid, curves[name], stride) for name, r in rows.items()
        }
        shown = [[round(low, 4), round(high, 4)] for low, high in ranges]
        result.append({"names": names, "ranges": shown, "stride": stride, "cells": by_face})
    return result


def _blinks(item: FinishedItem) -> list[list[Any]]:
    """Per blink: the face's id as text, begin and end in seconds, depth."""
    if item.measures is None:
        return []
    table = item.blinks
    numbers = table[["begin", "end", "depth"]].to_numpy(np.float64).round(3).tolist()
    return [[str(face_id), *n] for face_id, n in zip(table["face_id"], numbers, strict=True)]


def _segments(table: pd.DataFrame) -> list[list[Any]]:
    """Per segment: the face's id as text, the emotion's index, begin and end in seconds, mean and peak probability."""
    emotions = table["emotion"].map(EMOTIONS.index)
    numbers = table[["begin", "end", "mean", "peak"]].to_numpy().round(4).tolist()
    return [[str(f), int(e), *n] for f, e, n in zip(table["face_id"], emotions, numbers, strict=True)]


def _photos(item: FinishedItem) -> dict[str, Any]:
    folder, timeline = item.folder, item.whole
    previews = {p.frame: p for p in read_previews(folder)}
    names = FreeNames()
    boxes: dict[int, list[list[Any]]] = {}
    for frame, box in _boxes(timeline):
        boxes.setdefault(frame, []).extend(box)
    about: dict[int, list[list[Any]]] = {}
    for frame, said in _said(timeline):
        about.setdefault(frame, []).append(said)
    images = []
    for frame, name in timeline.drop_duplicates("frame")[["frame", "source"]].itertuples(index=False):
        preview = previews.get(frame)
        size = (preview.width, preview.height) if preview else None
        images.append(
            {
                "name": name,
                "size": size,
                "thumb": _link(folder, PREVIEWS, preview.file) if preview else None,
                "annotated": _link(folder, "annotated", names.annotated(name, *(size or (0, 0)))),
                "faces": boxes[frame],
                "about": about.get(frame, []),
            }
        )
    summary = summarize(timeline, "", None, 0.0)[_TOLD]
    return {
        "all": records(summary[summary["level"] == ITEM])[0],
        "reasons": [GOOD, *REASONS],
        "measures": item.measures is not None,
        "pictures": images,
    }


def _boxes(timeline: pd.DataFrame) -> Iterator[tuple[int, list[list[Any]]]]:
    """Per row: the photo's number and a list of its face, or an empty list if the row has none.

    A face is x, y, width and height in pixels, and if it was classified the seven probabilities in thousandths.
    """
    for frame, success, box, classified, p in zip(
        timeline["frame"].tolist(),
        timeline["success"].tolist(),
        timeline[["x", "y", "width", "height"]].to_numpy().round(1).tolist(),
        timeline["judged"].tolist(),
        (1000 * timeline[list(EMOTIONS)].to_numpy()).tolist(),
        strict=True,
    ):
        yield frame, [[*box, *(map(round, p) if classified else ())]] if success else []


def _said(timeline: pd.DataFrame) -> Iterator[tuple[int, list[Any]]]:
    """Per face: the photo's number, and a list of quality (None if unknown) and, if measured, yaw, pitch, roll."""
    faces = timeline[timeline["success"]]
    quality = [value if isinstance(value, str) else None for value in faces["quality"]]
    names = [name for name in ("yaw", "pitch", "roll") if name in faces]
    angles = faces[names].to_numpy(np.float64, na_value=np.nan).round(1).tolist()
    if names:
        believed = (faces["presence"] >= PRESENT).to_numpy(bool, na_value=False).tolist()
        angles = [pose if sure else [] for pose, sure in zip(angles, believed, strict=True)]
    for frame, word, pose in zip(faces["frame"].tolist(), quality, angles, strict=True):
        yield frame, [word, *pose]


def _events(folder: Path) -> list[list[Any]]:
    """The events of the video: begin and end in seconds (None for a moment), label, trial, condition."""
    import pandas as pd

    path = folder / EVENTS_FILE
    try:
        table = pd.read_csv(
            regular(path),
            dtype=dict.fromkeys(_TOLD_EVENTS, str),
            keep_default_na=False,
            na_values=[""],
            encoding="utf-8",
        )
        rows: list[list[Any]] = table[["begin", "end", *_TOLD_EVENTS]].astype(object).to_numpy().tolist()
    except (OSError, ValueError, KeyError):  # there are none, or it is another file, of the user
        return []
    return [[None if isinstance(value, float) and math.isnan(value) else value for value in row] for row in rows]


def _moment(preview: Preview) -> dict[str, Any]:
    return {
        "face": str(preview.face_id),
        "emotion": preview.emotion,
        "time": preview.timestamp,
        "p": preview.probability,
        "kind": preview.kind,
        "value": preview.value,
        "file": f"{PREVIEWS}/{url(preview.file)}",
    }


def _media(media: dict[str, Any]) -> dict[str, Any]:
    rate = media.get("average_rate")
    shown = {name: media.get(name) for name in ("width", "height", "codec", "audio")}
    return shown | {"average_rate": round(float(Fraction(rate)), 3) if rate else None}


def _link(folder: Path, *parts: str) -> str | None:
    """The link to a file of the item; None if the file is missing or empty."""
    path = folder.joinpath(*parts)
    return url("/".join(parts)) if path.is_file() and path.stat().st_size else None


def _files(folder: Path) -> list[dict[str, str]]:
    """The item's files, for the page's list of files, without those of the page itself."""
    paths = (p for p in (*folder.iterdir(), *folder.glob("plots/*")) if p.is_file() and not p.name.startswith("."))
    names = sorted(p.relative_to(folder).as_posix() for p in paths)
    return [{"name": n, "href": url(n)} for n in names if n not in (PAGE, DATA)]


def _up(key: str) -> str:
    """The relative path from ``items/<key>`` to the folder of results."""
    return "../" * (len(PurePosixPath(key).parts) + 1)
