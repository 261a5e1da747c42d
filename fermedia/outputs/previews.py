"""Small pictures for the report, made while the pixels are at hand: faces at their strongest, and thumbnails.

They stand in an item's folder as ``previews/*.jpg``; ``previews/index.csv`` says what each shows (``PREVIEW_COLUMNS``).
"""

from __future__ import annotations

import csv
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np

from fermedia.errors import MediaError
from fermedia.types import EMOTIONS, Box, Color, Frame, Observation, Picture

FOLDER = "previews"
INDEX = "index.csv"

#: Side of a face's picture, and the longer side of a thumbnail, in pixels.
FACE, THUMBNAIL = 160, 480

#: Side of the square around a face in widths of its box.
_AROUND = 1.45

#: By how much an emotion must be stronger than in the picture that is kept: a face that slowly brightens is not cut
#: out of every frame, and a picture is at most this far from the true maximum.
_STRONGER = 0.03

#: Faces with pictures: those that were seen longest. Twice as many are remembered meanwhile.
MOST_FACES = 100

_QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 85]


@dataclass(frozen=True)
class Preview:
    """What a preview shows. ``width`` and ``height`` are of the whole picture or frame, in pixels.

    ``face_id``, ``emotion`` and ``probability`` are those of a face at its strongest, None for a thumbnail;
    ``timestamp`` is in seconds, None for photos.
    """

    file: str
    frame: int
    timestamp: float | None
    width: int
    height: int
    face_id: int | None = None
    emotion: str | None = None
    probability: float | None = None


PREVIEW_COLUMNS = tuple(item.name for item in fields(Preview))


class _Previews:
    """Writes pictures and their index into ``folder``; what the two sinks share."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._rows: list[Preview] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._finish()
            self._save(INDEX, _index(self._rows))

    def _finish(self) -> None:
        """Write what was held back."""

    def _save(self, name: str, content: bytes) -> None:
        try:
            self.folder.mkdir(exist_ok=True)
            (self.folder / name).write_bytes(content)
        except OSError as error:
            raise MediaError(f"{name}: the preview cannot be written ({error.strerror or error})", "write") from error


class PhotoPreviews(_Previews):
    """A thumbnail of every picture; a context manager and a sink. Raises MediaError (stage ``write``)."""

    def write(self, frame: Frame, observations: Sequence[Observation] | None) -> None:
        """Add a picture; nothing if it was not analysed (None)."""
        if observations is None:
            return
        preview = _about(frame, f"{frame.index}.jpg")
        self._save(preview.file, _thumbnail(frame.picture))
        self._rows.append(preview)


class FilmPreviews(_Previews):
    """Each face at the strongest moment of each emotion, and the film where most faces are seen; a sink.

    A face has a picture of an emotion if that was ever its most probable one. Of many faces the ``MOST_FACES`` that
    were seen in most frames have pictures. They are held as JPEGs until the end: some kilobytes each. Raises
    MediaError (stage ``write``).
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._seen: Counter[int] = Counter()
        self._faces: dict[int, dict[str, tuple[Preview, bytes]]] = {}
        self._film: tuple[Preview, bytes] | None = None
        self._most = -1

    def write(self, frame: Frame, observations: Sequence[Observation] | None) -> None:
        """Look at a frame with its steady observations; nothing if it was not analysed (None)."""
        if observations is None:
            return
        if len(observations) > self._most:
            self._most = len(observations)
            self._film = _about(frame, "film.jpg"), _thumbnail(frame.picture)
        for seen in observations:
            if seen.probabilities is not None:
                self._look(frame, seen, float(seen.probabilities.max()))

    def _look(self, frame: Frame, seen: Observation, probability: float) -> None:
        self._seen[seen.face_id] += 1
        kept = self._faces.setdefault(seen.face_id, {})
        emotion = seen.emotion or ""
        before = kept.get(emotion)
        if before and probability < (before[0].probability or 0) + _STRONGER:
            return
        about = replace(_about(frame, f"{seen.face_id}-{emotion}.jpg"), face_id=seen.face_id, emotion=emotion)
        kept[emotion] = replace(about, probability=probability), _face(frame.picture, seen)
        if len(self._faces) > 2 * MOST_FACES:
            self._faces = {face_id: self._faces[face_id] for face_id in self._longest() if face_id in self._faces}

    def _longest(self) -> list[int]:
        return [face_id for face_id, _ in self._seen.most_common(MOST_FACES)]

    def _finish(self) -> None:
        kept = [self._film] if self._film else []
        for face_id in self._longest():
            pictures = self._faces.get(face_id, {})
            kept += [pictures[emotion] for emotion in EMOTIONS if emotion in pictures]
        for preview, content in kept:
            self._save(preview.file, content)
            self._rows.append(preview)


def _about(frame: Frame, name: str) -> Preview:
    return Preview(name, frame.index, frame.time, frame.picture.width, frame.picture.height)


def read_previews(folder: Path) -> list[Preview]:
    """What the previews of the item in ``folder`` show; none if there are none."""
    return _read(folder / FOLDER)


def join_previews(parts: Sequence[Path], folder: Path) -> None:
    """Write into ``folder`` the previews of a film out of those of its spans, which ``FilmPreviews`` wrote.

    Of every face the strongest of each emotion; of many faces those seen in most spans. Raises OSError.
    """
    best: dict[tuple[int | None, str | None], tuple[Preview, Path]] = {}
    spans: Counter[int | None] = Counter()
    for part in parts:
        rows = _read(part)
        spans.update({row.face_id for row in rows})
        for row in rows:
            before = best.get((row.face_id, row.emotion))
            if not before or (row.probability or 0) > (before[0].probability or 0):
                best[row.face_id, row.emotion] = row, part
    kept = {face_id for face_id, _ in spans.most_common(MOST_FACES + 1)} | {None}  # None is the film itself
    chosen = [(row, part) for row, part in best.values() if row.face_id in kept]
    folder.mkdir()
    for row, part in chosen:
        shutil.copyfile(part / row.file, folder / row.file)
    (folder / INDEX).write_bytes(_index([row for row, _ in chosen]))


def _read(folder: Path) -> list[Preview]:
    try:
        with (folder / INDEX).open(newline="", encoding="utf-8") as file:
            return [_preview(row) for row in csv.DictReader(file)]
    except (OSError, KeyError, ValueError, TypeError):
        return []


def _index(rows: Sequence[Preview]) -> bytes:
    cells = [[_cell(value) for value in asdict(row).values()] for row in rows]
    return "".join(",".join(row) + "\n" for row in [PREVIEW_COLUMNS, *cells]).encode()


def _preview(row: dict[str, str]) -> Preview:
    return Preview(
        file=row["file"],
        frame=int(row["frame"]),
        timestamp=float(row["timestamp"]) if row["timestamp"] else None,
        width=int(row["width"]),
        height=int(row["height"]),
        face_id=int(row["face_id"]) if row["face_id"] else None,
        emotion=row["emotion"] or None,
        probability=float(row["probability"]) if row["probability"] else None,
    )


def _cell(value: object) -> str:
    return "" if value is None else f"{value:.6f}" if isinstance(value, float) else str(value)


def _thumbnail(picture: Picture) -> bytes:
    return _jpeg(_shrunk(picture, THUMBNAIL / max(picture.width, picture.height)))


def _face(picture: Picture, seen: Observation) -> bytes:
    left, top, side = _square(seen.face.box, picture.width, picture.height)
    image = _shrunk(picture, FACE / side)
    scale = image.shape[1] / picture.width
    x, y, size = round(left * scale), round(top * scale), max(1, round(side * scale))
    return _jpeg(image[y : y + size, x : x + size])


def _square(box: Box, width: int, height: int) -> tuple[float, float, float]:
    """(left, top, side) of a square around a face that lies within the picture, as far as one can."""
    side = min(_AROUND * max(box.width, box.height), width, height)
    x, y = box.center
    left = min(max(x - side / 2, 0), width - side)
    return left, min(max(y - 0.54 * side, 0), height - side), side


def _shrunk(picture: Picture, scale: float) -> Color:
    """The picture, made smaller by ``scale`` if that is below 1."""
    scale = min(1.0, scale)
    return picture.rgb((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))))


def _jpeg(image: Color) -> bytes:
    done, encoded = cv2.imencode(".jpg", np.ascontiguousarray(image[:, :, ::-1]), _QUALITY)
    if not done:
        raise MediaError("the preview cannot be encoded", "write")
    return encoded.tobytes()
