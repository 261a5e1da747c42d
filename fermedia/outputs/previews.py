"""Small pictures for the report: faces at their strongest, and thumbnails.

They stand in an item's folder as ``previews/*.jpg``; ``previews/index.csv`` says what each shows (``PREVIEW_COLUMNS``).
"""

from __future__ import annotations

import csv
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

#: The picture of a film's own moment; those of its faces are named by ``_face_file``.
_FILM = "film.jpg"

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
    """Writes pictures and their index into ``folder``; what the sinks share."""

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

    def _add(self, preview: Preview, content: bytes) -> None:
        self._save(preview.file, content)
        self._rows.append(preview)

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
        picture = frame.picture
        preview = Preview(f"{frame.index}.jpg", frame.index, frame.time, picture.width, picture.height)
        self._add(preview, _thumbnail(picture))


@dataclass(frozen=True)
class Moment:
    """What a film's preview shows, told without pixels: of which frame, and in it which face. Of none: the whole frame.

    ``time`` is in seconds; ``probability`` is that of ``emotion``.
    """

    frame: int
    time: float | None
    face_id: int | None = None
    emotion: str | None = None
    probability: float = 0.0
    box: Box | None = None

    @property
    def file(self) -> str:
        """The name of its picture; of two moments with one name the later stands for both."""
        return _FILM if self.box is None else _face_file(self.face_id, self.emotion)


class Moments:
    """Chooses each face at the strongest moment of each emotion, and the film where most faces are seen.

    A face has a moment of an emotion if that was ever its most probable one. Of many faces the ``MOST_FACES`` that
    were seen in most frames have moments. ``kept`` are those held so far, by the names of their pictures.
    """

    def __init__(self) -> None:
        self.kept: dict[str, Moment] = {}
        self._seen: Counter[int] = Counter()
        self._most = -1

    def look(self, frame: Frame, observations: Sequence[Observation] | None) -> list[Moment]:
        """Look at the steady observations of the next frame (None if it was not analysed); gives its own moments.

        Each takes the place of that with its name. The frame's pixels are not asked for.
        """
        if observations is None:
            return []
        new = []
        if len(observations) > self._most:
            self._most = len(observations)
            new.append(Moment(frame.index, frame.time))
        for seen in observations:
            if seen.probabilities is not None:
                self._seen[seen.face_id] += 1
                strength = float(seen.probabilities.max())
                moment = Moment(frame.index, frame.time, seen.face_id, seen.emotion, strength, seen.face.box)
                before = self.kept.get(moment.file)
                if before is None or strength >= before.probability + _STRONGER:
                    new.append(moment)
        self._keep(new)
        return new

    def chosen(self) -> list[Moment]:
        """The film's moment and those of its faces, who was seen longest first."""
        names = [_face_file(face_id, emotion) for face_id in self._longest() for emotion in EMOTIONS]
        return [self.kept[name] for name in (_FILM, *names) if name in self.kept]

    def _keep(self, new: Sequence[Moment]) -> None:
        self.kept |= {moment.file: moment for moment in new}
        if new and len({moment.face_id for moment in self.kept.values()}) > 2 * MOST_FACES:
            longest = {None, *self._longest()}
            self.kept = {name: moment for name, moment in self.kept.items() if moment.face_id in longest}

    def _longest(self) -> list[int]:
        return [face_id for face_id, _ in self._seen.most_common(MOST_FACES)]


class FilmPreviews(_Previews):
    """The ``Moments`` of a film, cut while its frames pass; a context manager and a sink.

    They are held as JPEGs until the end: some kilobytes each. Raises MediaError (stage ``write``).
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._moments = Moments()
        self._cut: dict[str, tuple[Preview, bytes]] = {}

    def write(self, frame: Frame, observations: Sequence[Observation] | None) -> None:
        """Look at a frame with its steady observations; nothing if it was not analysed (None)."""
        for moment in self._moments.look(frame, observations):
            self._cut[moment.file] = _cut(moment, frame.picture)
        if len(self._cut) > len(self._moments.kept):
            self._cut = {name: cut for name, cut in self._cut.items() if name in self._moments.kept}

    def _finish(self) -> None:
        for moment in self._moments.chosen():
            self._add(*self._cut[moment.file])


class MomentPreviews(_Previews):
    """The same, cut out of just the frames that ``moments`` are of, in any order, when all are known; a sink."""

    def __init__(self, folder: Path, moments: Sequence[Moment]) -> None:
        super().__init__(folder)
        self._order = {moment.file: place for place, moment in enumerate(moments)}
        self._due: dict[int, list[Moment]] = {}
        for moment in moments:
            self._due.setdefault(moment.frame, []).append(moment)

    def write(self, frame: Frame) -> None:
        """Cut what is to be seen in this frame."""
        for moment in self._due.get(frame.index, ()):
            self._add(*_cut(moment, frame.picture))

    def _finish(self) -> None:
        self._rows.sort(key=lambda row: self._order[row.file])


def _face_file(face_id: int | None, emotion: str | None) -> str:
    return f"{face_id}-{emotion}.jpg"


def _cut(moment: Moment, picture: Picture) -> tuple[Preview, bytes]:
    about = Preview(moment.file, moment.frame, moment.time, picture.width, picture.height)
    if moment.box is None:
        return about, _thumbnail(picture)
    about = replace(about, face_id=moment.face_id, emotion=moment.emotion, probability=moment.probability)
    return about, _face(picture, moment.box)


def read_previews(folder: Path) -> list[Preview]:
    """What the previews of the item in ``folder`` show; none if there are none."""
    try:
        with (folder / FOLDER / INDEX).open(newline="", encoding="utf-8") as file:
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


def _face(picture: Picture, box: Box) -> bytes:
    left, top, side = _square(box, picture.width, picture.height)
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
