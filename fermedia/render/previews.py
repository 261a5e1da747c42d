"""Preview images for the report: thumbnails, and faces at the moments of their strongest emotions, of their widest
smile and longest blink.

They are written to ``previews/*.jpg`` in an item's folder; ``previews/index.csv`` says what each shows
(``PREVIEW_COLUMNS``).
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
from fermedia.files import regular
from fermedia.render.blur import Cover, CoveredImage, hidden_in_photo
from fermedia.render.closings import Closings
from fermedia.types import BLENDSHAPES, EMOTIONS, PRESENT, Box, Color, Frame, Image, Observation

FOLDER = "previews"
INDEX = "index.csv"

#: The side of a face's image, and the longer side of a thumbnail, in pixels.
FACE, THUMBNAIL = 160, 480

#: The side of the square around a face divided by the longer side of the face's box.
_AROUND = 1.45

#: By how much the probability must exceed that of the kept image to replace it. So a face whose emotion rises slowly is
#: not cut out of every frame, and a kept image is at most this far below the maximum.
_STRONGER = 0.03

#: The kinds of highlights other than emotions: a face's widest smile, by the mean of both blendshapes of smiling, and
#: its longest blink. A smile has at least this mean.
SMILE, BLINK = "smile", "blink"
_SMILES = 0.3
_SMILING = [BLENDSHAPES.index(f"mouthSmile{side}") for side in ("Left", "Right")]

#: The maximum number of faces with images: those classified in most frames. Until the end, twice as many are kept.
MOST_FACES = 100

#: The video's own image; those of its faces are named by ``_face_file``.
_VIDEO = "video.jpg"

_QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 85]


@dataclass(frozen=True)
class Preview:
    """What a preview shows: a row of the index.

    Attributes:
        file: Name of the JPEG.
        frame: Number of the frame or photo.
        timestamp: Time in seconds; None for photos.
        width: Width of the whole frame or photo in pixels.
        height: Height of the whole frame or photo in pixels.
        face_id: The face that is shown; None for a thumbnail.
        emotion: The face's most probable emotion; None for a thumbnail, and for other kinds of highlights.
        probability: The probability of that emotion; None like ``emotion``.
        kind: ``SMILE`` or ``BLINK``; None for all others.
        value: The mean of the blendshapes of smiling, or the duration of the blink in seconds; None like ``kind``.
    """

    file: str
    frame: int
    timestamp: float | None
    width: int
    height: int
    face_id: int | None = None
    emotion: str | None = None
    probability: float | None = None
    kind: str | None = None
    value: float | None = None


PREVIEW_COLUMNS = tuple(item.name for item in fields(Preview))


class _Previews:
    """Base of the sinks: writes images and their index into a folder."""

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
        """Write images that were kept until the end."""

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
    """Write a thumbnail of each photo; a context manager and a sink. Raises MediaError (stage ``write``).

    ``blur`` says whose faces are hidden (``--blur``); None for nobody's.
    """

    def __init__(self, folder: Path, blur: str | None = None) -> None:
        super().__init__(folder)
        self._blur = blur

    def write(self, frame: Frame, observations: Sequence[Observation] | None) -> None:
        """Add a photo; nothing if it was not analysed (None)."""
        if observations is None:
            return
        image = frame.image
        if self._blur is not None:
            image = CoveredImage(image, [o.face.box for o in hidden_in_photo(observations, self._blur)])
        preview = Preview(f"{frame.index}.jpg", frame.index, frame.time, image.width, image.height)
        self._add(preview, _thumbnail(image))


@dataclass(frozen=True)
class Highlight:
    """A moment of a video to be shown as a preview: a face in a frame, or the whole frame if ``face_id`` is None.

    ``time`` is in seconds; ``probability`` is that of ``emotion``. ``kind`` and ``value`` are as in ``Preview``, and
    ``number`` is that of a blink's closing.
    """

    frame: int
    time: float | None
    face_id: int | None = None
    emotion: str | None = None
    probability: float = 0.0
    box: Box | None = None
    kind: str | None = None
    value: float | None = None
    number: int = 0

    @property
    def file(self) -> str:
        """The name of its image. A later highlight replaces an earlier one of the same name."""
        if self.box is None:
            return _VIDEO
        return _face_file(self.face_id, f"{BLINK}-{self.number}" if self.kind == BLINK else self.kind or self.emotion)


class Highlights:
    """Choose a video's highlights: each face at its strongest moment of each emotion, and the frame with most faces.

    A face has a highlight of each emotion that was ever its most probable one, and if it was measured, of its widest
    smile and longest blink. Only the ``MOST_FACES`` faces that were classified in most frames have highlights. ``kept``
    are the highlights so far, by the names of their images.
    """

    def __init__(self) -> None:
        self.kept: dict[str, Highlight] = {}
        self._seen: Counter[int] = Counter()
        self._eyes: dict[int, Closings] = {}
        self._most = -1

    def update(self, frame: Frame, observations: Sequence[Observation] | None) -> list[Highlight]:
        """Take the smoothed observations of the next frame; return the highlights in this frame.

        Each replaces the one of the same name. The frame's pixels are not needed.

        Args:
            frame: The frame.
            observations: Its smoothed observations; None if it was not analysed.
        """
        if observations is None:
            return []
        new = []
        if len(observations) > self._most:
            self._most = len(observations)
            new.append(Highlight(frame.index, frame.time))
        for seen in observations:
            if seen.probabilities is not None:
                self._seen[seen.face_id] += 1
                strength = float(seen.probabilities.max())
                highlight = Highlight(frame.index, frame.time, seen.face_id, seen.emotion, strength, seen.face.box)
                before = self.kept.get(highlight.file)
                if before is None or strength >= before.probability + _STRONGER:
                    new.append(highlight)
            new += self._measured(frame, seen)
        self._keep(new)
        return new

    def _measured(self, frame: Frame, seen: Observation) -> list[Highlight]:
        """The highlights of a face's measures in a frame, which is its widest smile, or deepest in a blink, so far."""
        measures, new = seen.measures, []
        if measures is None or measures.presence < PRESENT:
            return []
        smile = float(measures.blendshapes[_SMILING].mean())
        place = frame.index, frame.time, seen.face_id, None, 0.0, seen.face.box
        highlight = Highlight(*place, SMILE, smile)
        before = self.kept.get(highlight.file)
        if smile >= (_SMILES if before is None or before.value is None else before.value + _STRONGER):
            new.append(highlight)
        if frame.time is not None:
            eyes = self._eyes.setdefault(seen.face_id, Closings())
            former = eyes.kept
            number = eyes.add(frame.time, (measures.right_eye + measures.left_eye) / 2)
            for gone in former - eyes.kept:
                self.kept.pop(_face_file(seen.face_id, f"{BLINK}-{gone}"), None)
            if number is not None:
                new.append(Highlight(*place, BLINK, None, number))
        return new

    def _longest_blink(self, face_id: int) -> list[Highlight]:
        """The highlight of a face's longest blink, in a list that is empty if there is none."""
        eyes = self._eyes.get(face_id)
        blink = eyes.longest() if eyes else None
        if eyes is None or blink is None:
            return []
        names = (_face_file(face_id, f"{BLINK}-{number}") for number in sorted(eyes.kept))
        found = (self.kept[name] for name in names if name in self.kept)
        return [
            replace(highlight, value=blink.duration)
            for highlight in found
            if highlight.time is not None and blink.begin <= highlight.time <= blink.begin + blink.duration
        ][:1]

    def chosen(self) -> list[Highlight]:
        """The video's highlight and those of its faces, which are ordered by their number of frames, largest first."""
        found = [self.kept[_VIDEO]] if _VIDEO in self.kept else []
        for face_id in self._longest():
            names = (_face_file(face_id, kind) for kind in (*EMOTIONS, SMILE))
            found += [self.kept[name] for name in names if name in self.kept]
            found += self._longest_blink(face_id)
        return found

    def _keep(self, new: Sequence[Highlight]) -> None:
        self.kept |= {highlight.file: highlight for highlight in new}
        if new and len({highlight.face_id for highlight in self.kept.values()}) > 2 * MOST_FACES:
            longest = {None, *self._longest()}
            self.kept = {name: highlight for name, highlight in self.kept.items() if highlight.face_id in longest}
            self._eyes = {face_id: eyes for face_id, eyes in self._eyes.items() if face_id in longest}

    def _longest(self) -> list[int]:
        return [face_id for face_id, _ in self._seen.most_common(MOST_FACES)]


class VideoPreviews(_Previews):
    """Write the highlights of a video while it is analysed; a context manager and a sink.

    Until the end, they are kept in memory as JPEGs of some kilobytes each. Raises MediaError (stage ``write``).

    The faces of a ``cover`` are hidden, and have no highlights.
    """

    def __init__(self, folder: Path, cover: Cover | None = None) -> None:
        super().__init__(folder)
        self._cover = cover
        self._moments = Highlights()
        self._cut: dict[str, tuple[Preview, bytes]] = {}

    def write(self, frame: Frame, observations: Sequence[Observation] | None) -> None:
        """Take a frame with its smoothed observations; None if it was not analysed."""
        if self._cover is not None:
            frame, observations = self._cover.covered(frame), self._cover.shown(observations)
        for highlight in self._moments.update(frame, observations):
            self._cut[highlight.file] = _cut(highlight, frame.image)
        if len(self._cut) > len(self._moments.kept):
            self._cut = {name: cut for name, cut in self._cut.items() if name in self._moments.kept}

    def _finish(self) -> None:
        for highlight in self._moments.chosen():
            about, content = self._cut[highlight.file]
            self._add(replace(about, value=highlight.value), content)


class HighlightPreviews(_Previews):
    """Write known highlights, from their frames alone, given in any order. Raises MediaError (stage ``write``).

    The faces of a ``cover`` are hidden, and their highlights are left out.
    """

    def __init__(self, folder: Path, highlights: Sequence[Highlight], cover: Cover | None = None) -> None:
        super().__init__(folder)
        self._cover = cover
        if cover is not None:
            highlights = [highlight for highlight in highlights if highlight.face_id not in cover.hidden]
        self._order = {highlight.file: place for place, highlight in enumerate(highlights)}
        self._due: dict[int, list[Highlight]] = {}
        for highlight in highlights:
            self._due.setdefault(highlight.frame, []).append(highlight)

    def write(self, frame: Frame) -> None:
        """Write the highlights in this frame."""
        due = self._due.get(frame.index, ())
        if due and self._cover is not None:
            frame = self._cover.covered(frame)
        for highlight in due:
            self._add(*_cut(highlight, frame.image))

    def _finish(self) -> None:
        self._rows.sort(key=lambda row: self._order[row.file])


def _face_file(face_id: int | None, what: str | None) -> str:
    return f"{face_id}-{what}.jpg"


def _cut(highlight: Highlight, image: Image) -> tuple[Preview, bytes]:
    about = Preview(highlight.file, highlight.frame, highlight.time, image.width, image.height)
    if highlight.box is None:
        return about, _thumbnail(image)
    about = replace(about, face_id=highlight.face_id, kind=highlight.kind, value=highlight.value)
    if highlight.emotion is not None:
        about = replace(about, emotion=highlight.emotion, probability=highlight.probability)
    return about, _face(image, highlight.box)


def read_previews(folder: Path) -> list[Preview]:
    """Read the index of an item's previews; empty if it is missing or damaged. ``folder`` is the item's."""
    try:
        with regular(folder / FOLDER / INDEX).open(newline="", encoding="utf-8") as file:
            return [_preview(row) for row in csv.DictReader(file)]
    except (OSError, KeyError, ValueError, TypeError, csv.Error):
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
        kind=row.get("kind") or None,  # missing in results of older versions
        value=float(row["value"]) if row.get("value") else None,
    )


def _cell(value: object) -> str:
    return "" if value is None else f"{value:.6f}" if isinstance(value, float) else str(value)


def _thumbnail(image: Image) -> bytes:
    return _jpeg(_shrunk(image, THUMBNAIL / max(image.width, image.height)))


def _face(image: Image, box: Box) -> bytes:
    left, top, side = _square(box, image.width, image.height)
    shrunk = _shrunk(image, FACE / side)
    scale = shrunk.shape[1] / image.width
    x, y, size = round(left * scale), round(top * scale), max(1, round(side * scale))
    return _jpeg(shrunk[y : y + size, x : x + size])


def centred_face(image: Image, box: Box, size: int, around: float) -> bytes:
    """Cut the square around a face out of an image, as a JPEG, with grey where it reaches beyond the image.

    Args:
        image: The image.
        box: The face, whose middle is that of the square.
        size: The largest side of the JPEG in pixels.
        around: The side of the square divided by the longer side of ``box``.
    """
    side = around * max(box.width, box.height)
    shrunk = _shrunk(image, size / side)
    scale = shrunk.shape[1] / image.width
    length = max(1, round(side * scale))
    left, top = (round(middle * scale - length / 2) for middle in box.center)
    square = np.full((length, length, 3), 128, np.uint8)
    y, x = max(0, top), max(0, left)
    part = shrunk[y : max(y, top + length), x : max(x, left + length)]
    square[y - top : y - top + part.shape[0], x - left : x - left + part.shape[1]] = part
    return _jpeg(square)


def _square(box: Box, width: int, height: int) -> tuple[float, float, float]:
    """(left, top, side) in pixels of the square around a face, moved and shrunk to be inside the image."""
    side = min(_AROUND * max(box.width, box.height), width, height)
    x, y = box.center
    left = min(max(x - side / 2, 0), width - side)
    return left, min(max(y - 0.54 * side, 0), height - side), side


def _shrunk(image: Image, scale: float) -> Color:
    """The image, scaled by ``scale`` if that is below 1."""
    scale = min(1.0, scale)
    return image.rgb((max(1, round(image.width * scale)), max(1, round(image.height * scale))))


def _jpeg(image: Color) -> bytes:
    done, encoded = cv2.imencode(".jpg", np.ascontiguousarray(image[:, :, ::-1]), _QUALITY)
    if not done:
        raise MediaError("the preview cannot be encoded", "write")
    return encoded.tobytes()
