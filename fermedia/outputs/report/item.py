"""An item's page: from its folder alone (timeline.csv, item.json, previews), without its source."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from fermedia.outputs.finished import FinishedItem, notes
from fermedia.outputs.photos import FreeNames
from fermedia.outputs.previews import FOLDER as PREVIEWS
from fermedia.outputs.previews import Preview, read_previews
from fermedia.outputs.report.curves import face_runs, film_grid
from fermedia.outputs.report.pages import ASSETS, DATA, PAGE, url, write_page
from fermedia.outputs.summary import ALL_FACES, summarize
from fermedia.outputs.timeline import steady_timeline
from fermedia.types import EMOTIONS

if TYPE_CHECKING:
    import pandas as pd

#: Faces whose curves and rows a page holds, those that are seen longest; the tables have all.
MOST_FACES = 300


def write_item_page(item: FinishedItem, key: str) -> None:
    """Write the page of an item, which is or will be ``items/<key>``, beside its tables.

    Raises DataError where timeline.csv or item.json is missing or damaged, OSError where nothing can be written.
    """
    folder, about = item.folder, item.about
    content = _photos if about["kind"] == "photos" else _film
    data = {
        "kind": about["kind"],
        "key": key,
        "source": about["source"],
        "up": _up(key) + PAGE,
        "frames": about["frames"],
        "analysed": about["frames_analysed"],
        "fermedia": about["fermedia"],
        "options": about["options"],
        "undecided": float(about["options"].get("undecided", 0)),  # results of older versions know none
        "failures": [failure["error"] for failure in about["failures"]],
        "notes": notes(about),
        "files": _files(folder),
        **content(item),
    }
    kind = "photos" if about["kind"] == "photos" else "film"
    write_page(folder, kind, f"{key} · fermedia", _up(key) + ASSETS, data)


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """A table's rows as plain values, None where a cell is empty."""
    rows: list[dict[str, Any]] = table.astype(object).where(table.notna(), None).to_dict("records")
    return rows


def _film(item: FinishedItem) -> dict[str, Any]:
    folder, about, timeline = item.folder, item.about, item.timeline
    smooth, start = float(about["options"]["smooth"]), float(about["options"]["start"] or 0)
    steady = steady_timeline(timeline, smooth)
    summary = summarize(timeline, "", about["end"], smooth)
    people = summary[summary["face_id"] != ALL_FACES].sort_values("frames_with_face", ascending=False, kind="stable")
    frames = timeline.drop_duplicates("frame")
    begin = float(frames["timestamp"].min()) if len(frames) else start
    end = max(float(about["end"] or begin), begin)
    return {
        "media": _media(about["media"]),
        "video": _link(folder, "annotated.mp4"),
        "poster": _link(folder, PREVIEWS, "film.jpg"),
        "start": start,
        "begin": begin,
        "end": end,
        "smooth": smooth,
        "all": records(summary[summary["face_id"] == ALL_FACES])[0],
        "people": len(people),
        "faces": records(people.head(MOST_FACES)),
        "segments": _segments(item.segments),
        "moments": [_moment(p) for p in read_previews(folder) if p.emotion],
        **_curves(steady, frames, people["face_id"].head(MOST_FACES), end),
    }


def _curves(steady: pd.DataFrame, frames: pd.DataFrame, face_ids: pd.Series, end: float) -> dict[str, Any]:
    """The grid, and by ``face_id`` as text the runs of its cells."""
    seen = steady[steady["success"]]
    if frames.empty:
        return {"step": 1.0, "curves": {}}
    grid = film_grid(frames, len(seen), end)
    places = np.searchsorted(frames["frame"].to_numpy(), seen["frame"].to_numpy())
    judged, p = seen["judged"].to_numpy(bool), seen[list(EMOTIONS)].to_numpy(np.float64)
    rows = {str(face_id): index for face_id, index in seen.groupby("face_id").indices.items()}
    curves = {name: face_runs(judged[r], p[r], places[r], grid) for name, r in ((n, rows[n]) for n in face_ids)}
    return {"step": grid.step, "curves": curves}


def _segments(table: pd.DataFrame) -> list[list[Any]]:
    """Per segment the face as text, the emotion's number, begin and end in seconds, mean and peak probability."""
    emotions = table["emotion"].map(EMOTIONS.index)
    numbers = table[["begin", "end", "mean", "peak"]].to_numpy().round(4).tolist()
    return [[str(f), int(e), *n] for f, e, n in zip(table["face_id"], emotions, numbers, strict=True)]


def _photos(item: FinishedItem) -> dict[str, Any]:
    folder, timeline = item.folder, item.timeline
    previews = {p.frame: p for p in read_previews(folder)}
    names = FreeNames()
    boxes: dict[int, list[list[Any]]] = {}
    for frame, box in _boxes(timeline):
        boxes.setdefault(frame, []).extend(box)
    pictures = []
    for frame, name in timeline.drop_duplicates("frame")[["frame", "source"]].itertuples(index=False):
        preview = previews.get(frame)
        size = (preview.width, preview.height) if preview else None
        pictures.append(
            {
                "name": name,
                "size": size,
                "thumb": _link(folder, PREVIEWS, preview.file) if preview else None,
                "annotated": _link(folder, "annotated", names.annotated(name, *(size or (0, 0)))),
                "faces": boxes[frame],
            }
        )
    summary = summarize(timeline, "", None, 0.0)
    return {"all": records(summary[summary["face_id"] == ALL_FACES])[0], "pictures": pictures}


def _boxes(timeline: pd.DataFrame) -> Iterator[tuple[int, list[list[Any]]]]:
    """Per row its picture's number, and of a face x, y, width, height and thousandths of the seven probabilities.

    Those are left out where it was not judged. A row without a face has none.
    """
    for frame, success, box, judged, p in zip(
        timeline["frame"].tolist(),
        timeline["success"].tolist(),
        timeline[["x", "y", "width", "height"]].to_numpy().round(1).tolist(),
        timeline["judged"].tolist(),
        (1000 * timeline[list(EMOTIONS)].to_numpy()).tolist(),
        strict=True,
    ):
        yield frame, [[*box, *(map(round, p) if judged else ())]] if success else []


def _moment(preview: Preview) -> dict[str, Any]:
    return {
        "face": str(preview.face_id),
        "emotion": preview.emotion,
        "time": preview.timestamp,
        "p": preview.probability,
        "file": f"{PREVIEWS}/{url(preview.file)}",
    }


def _media(media: dict[str, Any]) -> dict[str, Any]:
    rate = media.get("average_rate")
    shown = {name: media.get(name) for name in ("width", "height", "codec", "audio")}
    return shown | {"average_rate": round(float(Fraction(rate)), 3) if rate else None}


def _link(folder: Path, *parts: str) -> str | None:
    """The way to a file of the item, None if it is not there."""
    path = folder.joinpath(*parts)
    return url("/".join(parts)) if path.is_file() and path.stat().st_size else None


def _files(folder: Path) -> list[dict[str, str]]:
    """The files that one may want to have, without the page's own."""
    names = [p.relative_to(folder).as_posix() for p in (*folder.iterdir(), *folder.glob("plots/*")) if p.is_file()]
    return [{"name": n, "href": url(n)} for n in sorted(names) if n not in (PAGE, DATA) and not n.startswith(".")]


def _up(key: str) -> str:
    """The way from ``items/<key>`` to the folder of the results."""
    return "../" * (len(PurePosixPath(key).parts) + 1)
