"""Folders of results that no analysis made: as large as wanted, for the pages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fermedia.columns import MEASURE_COLUMNS, MEASURED, TIMELINE_COLUMNS
from fermedia.options import AnalyzeOptions
from fermedia.store.fingerprints import Fingerprint
from fermedia.store.ledger import Ledger, Outcome
from fermedia.store.source import SourceState
from fermedia.tables.cells import cell
from fermedia.tables.summary import summarize
from fermedia.tables.timeline import read_timeline
from fermedia.types import EMOTIONS, valence


def video_timeline(frames: int, faces: list[tuple[int, int]], rate: float = 25.0, seed: int = 0) -> pd.DataFrame:
    """A video's timeline; each face is seen in the frames from..to-1, its emotions drift."""
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
    return table.assign(source="video.mp4").sort_values(["frame", "face_id"], kind="stable", ignore_index=True)


def photo_timeline(images: int, seed: int = 0) -> pd.DataFrame:
    """Images of one face each."""
    p = np.random.default_rng(seed).dirichlet(np.full(len(EMOTIONS), 0.3), images)
    table = _rows(np.arange(images), np.full(images, np.nan), 0, p)
    return table.assign(source=[f"image {n}.jpg" for n in range(images)]).reindex(columns=list(TIMELINE_COLUMNS))


def write_results(folder: Path, items: dict[str, pd.DataFrame]) -> Path:
    """A finished run over these items, without any image or video. Returns the folder."""
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


def write_ledger(folder: Path, items: dict[str, pd.DataFrame]) -> None:
    """The ledger of ``write_results``, which commands read."""
    with Ledger.open(folder) as ledger:
        kinds = {key: "video" if timeline["timestamp"].notna().any() else "photos" for key, timeline in items.items()}
        ledger.settle({})
        ledger.name({key: (kind, str(folder / key)) for key, kind in kinds.items()})
        ledger.begin(0, {})
        for key, kind in kinds.items():
            source = SourceState(str(folder / key), 0, "", "")
            ledger.add(Outcome(key, kind, source, {"timeline.csv": None, "item.json": None}))
        ledger.end("finished", 0)


def add_measures(place: Path, timeline: pd.DataFrame, seed: int = 0) -> None:
    """measures.csv of an item of ``write_results``, with varying figures and a blink every four seconds."""
    rng = np.random.default_rng(seed)
    seen = (timeline["success"] == 1).to_numpy()
    number = timeline["frame"].to_numpy()
    waves = np.sin(number[:, None] / rng.uniform(20, 200, len(MEASURED)))
    values = (0.5 + 0.4 * waves + rng.normal(0, 0.02, waves.shape)).round(3)
    table = pd.DataFrame(np.where(seen[:, None], values, np.nan), columns=list(MEASURED))
    table["looks_at_camera"] = table["looks_at_camera"].round().astype("Int64")
    for name in ("yaw", "pitch", "roll"):
        table[name] = 60 * table[name] - 30
    table["right_eye"] = table["left_eye"] = np.where(seen, np.where(number % 100 < 5, 0.05, 0.3), np.nan)
    table["presence"] = np.where(seen, 0.99, np.nan)
    for name in ("source", "frame", "timestamp", "face_id", "quality", "person"):
        table[name] = timeline[name].astype("Int64") if name == "face_id" else timeline[name]
    table[list(MEASURE_COLUMNS)].to_csv(place / "measures.csv", index=False)
    describe(place, timeline, options=AnalyzeOptions(measures=True).record())


def describe(place: Path, timeline: pd.DataFrame, **more: Any) -> None:
    """item.json."""
    video = bool(timeline["timestamp"].notna().any())
    record = {
        "source": str(place),
        "kind": "video" if video else "photos",
        "frames": timeline["frame"].nunique(),
        "frames_analysed": timeline["frame"].nunique(),
        "frames_with_face": int(timeline[timeline["success"] == 1]["frame"].nunique()),
        "end": float(timeline["timestamp"].max()) + 0.04 if video else None,
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


def write_run(folder: Path, items: dict[str, pd.DataFrame]) -> Path:
    """``write_results`` with a ledger, so that commands take it for a finished run. Returns the folder."""
    write_results(folder, items)
    with Ledger.open(folder) as ledger:
        ledger.settle({})
        ledger.name({key: ("video", str(folder / key)) for key in items})
        for key in items:
            place = folder / "items" / key
            whole = read_timeline(place / "timeline.csv")
            about = json.loads((place / "item.json").read_text())
            rows = summarize(whole, cell(key), about["end"], 0.5).drop(columns="item")
            filled = [{k: v for k, v in row.items() if v == v and v is not None} for row in rows.to_dict("records")]
            outputs: dict[str, Fingerprint | None] = {
                name: Fingerprint.of(place / name) for name in ("timeline.csv", "item.json")
            }
            ledger.add(Outcome(key, "video", SourceState(str(place), 0, "", ""), outputs, summary=tuple(filled)))
        ledger.begin(0, {})
        ledger.end("finished", 1.0)
    return folder


#: The labels of the events of ``response``, each with the emotion that it evokes.
EVOKED = {"rest": "neutral", "comedy": "happy", "loss": "sad"}


def response(person: int, strength: float, rate: float = 25.0) -> tuple[pd.DataFrame, list[tuple[float, float, str]]]:
    """A person of 60 seconds who answers to three events, a second after their begin, and these events.

    Everyone has an own resting face. ``strength`` 0..1 is that of the answers.
    """
    rng = np.random.default_rng(person)
    number = np.arange(int(60 * rate))
    times = number / rate
    order = ["comedy", "loss"] if person % 2 else ["loss", "comedy"]
    events = [(0.0, 10.0, "rest"), (20.0, 32.0, order[0]), (40.0, 52.0, order[1])]
    logits = np.tile(rng.normal(0, 0.6, len(EMOTIONS)), (len(times), 1))
    logits[:, EMOTIONS.index("neutral")] += 2
    for begin, end, label in events[1:]:
        rise = np.clip((times - begin - 1) / 1.5, 0, 1) * np.clip((end + 2 - times) / 2, 0, 1)
        logits[:, EMOTIONS.index(EVOKED[label])] += (2 + 3 * strength) * rise
    logits += np.cumsum(rng.normal(0, 0.05, logits.shape), axis=0) * 0.3 + rng.normal(0, 0.1, logits.shape)
    p = np.exp(logits)
    table = _rows(number, times, 0, p / p.sum(axis=1, keepdims=True)).reindex(columns=list(TIMELINE_COLUMNS))
    return table.assign(source=f"p{person}.mp4"), events
