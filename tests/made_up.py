"""Folders of results that no analysis made: as large as wanted, for the pages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fermedia.columns import TIMELINE_COLUMNS
from fermedia.options import AnalyzeOptions
from fermedia.outputs.cells import cell
from fermedia.outputs.summary import summarize
from fermedia.types import EMOTIONS, valence


def film_timeline(frames: int, faces: list[tuple[int, int]], rate: float = 25.0, seed: int = 0) -> pd.DataFrame:
    """A film's timeline; each face is seen in the frames from..to-1, its emotions drift."""
    rng = np.random.default_rng(seed)
    parts = []
    for face_id, (begin, end) in enumerate(faces):
        number = np.arange(begin, end)
        phase = rng.uniform(0, 6.3, len(EMOTIONS))
        p = np.exp(2.5 * np.sin(number[:, None] / rate / rng.uniform(2, 20, len(EMOTIONS)) + phase))
        parts.append(_rows(number, number / rate, face_id, p / p.sum(axis=1, keepdims=True)))
    seen = np.zeros(frames, bool)
    for begin, end in faces:
        seen[begin:end] = True
    empty = np.flatnonzero(~seen)
    nobody = pd.DataFrame({"frame": empty, "timestamp": empty / rate, "success": 0, "judged": 0})
    table = pd.concat([*parts, nobody]).reindex(columns=list(TIMELINE_COLUMNS))
    return table.assign(source="film.mp4").sort_values(["frame", "face_id"], kind="stable", ignore_index=True)


def photo_timeline(pictures: int, seed: int = 0) -> pd.DataFrame:
    """Pictures of one face each."""
    p = np.random.default_rng(seed).dirichlet(np.full(len(EMOTIONS), 0.3), pictures)
    table = _rows(np.arange(pictures), np.full(pictures, np.nan), 0, p)
    return table.assign(source=[f"picture {n}.jpg" for n in range(pictures)])[list(TIMELINE_COLUMNS)]


def write_results(folder: Path, items: dict[str, pd.DataFrame]) -> Path:
    """A finished run over these items, without any picture or film. Returns the folder."""
    summaries = []
    for key, timeline in items.items():
        place = folder / "items" / key
        place.mkdir(parents=True)
        timeline.to_csv(place / "timeline.csv", index=False)
        describe(place, timeline)
        whole = timeline.assign(success=timeline["success"] == 1, judged=timeline["judged"] == 1)
        summaries.append(summarize(whole, cell(key), None, 0.5))
    pd.concat(summaries).to_csv(folder / "summary.csv", index=False)
    (folder / "failures.csv").write_text("item,stage,error\n")
    return folder


def describe(place: Path, timeline: pd.DataFrame, **more: Any) -> None:
    """item.json."""
    film = bool(timeline["timestamp"].notna().any())
    record = {
        "source": str(place),
        "kind": "video" if film else "photos",
        "frames": timeline["frame"].nunique(),
        "frames_analysed": timeline["frame"].nunique(),
        "frames_with_face": int(timeline[timeline["success"] == 1]["frame"].nunique()),
        "end": float(timeline["timestamp"].max()) + 0.04 if film else None,
        "options": AnalyzeOptions().record(),
        "fermedia": "0",
        "failures": [],
        "media": {"width": 640, "height": 360, "average_rate": "25", "codec": "h264", "audio": None},
    }
    (place / "item.json").write_text(json.dumps(record | more))


def _rows(number: Any, time: Any, face_id: int, p: Any) -> pd.DataFrame:
    n = len(number)
    table = pd.DataFrame({"frame": number, "timestamp": time, "face_id": face_id, "success": 1, "confidence": 0.9})
    table[["x", "y", "width", "height"]] = [100.0, 80.0, 120.0, 120.0]
    table["judged"] = 1
    table[list(EMOTIONS)] = p
    table["emotion"] = np.array(EMOTIONS, object)[p.argmax(axis=1)] if n else []
    return table.assign(valence=valence(p))
