"""Hide faces in videos, photos and previews (``--blur``).

A hidden face is covered by an ellipse in which 4x4 mean values, interpolated smoothly, are all that is left of the
image. In a video, a face is also covered where it was not detected: between two detections by an ellipse around both,
and for a while before the first and after the last one, moving and growing, since it may have been there already.
``scripts/measure_blur.py`` measures this on made-up videos.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from fermedia.images import ArrayImage
from fermedia.types import WHOLE, Box, Color, Frame, Gray, Image, Observation, Part

if TYPE_CHECKING:
    import pandas as pd

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]

#: The words of ``--blur`` besides faces: every face, and every face but the largest.
ALL, OTHERS = "all", "others"

#: Seconds for which a face is hidden before its first and after its last detection, counted from the neighbouring frame
#: in which it was searched for in vain.
HOLD = 1.5

#: Seconds around a frame whose detections are hidden in it, too, since boxes jump.
_AROUND = 0.1

#: The most seconds for which a face is taken to move on as before, and the seconds over which its speed is measured.
_MOVES, _SPEED_OVER = 0.5, 0.3

#: How far a face that is not detected may be from where it is expected: in face widths, per second, and at most.
_GROWTH, _FARTHEST = 0.75, 1.0

#: The ellipse around a box: half its axes relative to the box's sides, and how far its centre is above the box's,
#: relative to the height. It contains the whole box, hair and ears.
_HALF_WIDTH, _HALF_HEIGHT, _RAISED = 0.8, 0.85, 0.06

#: Mean values in each direction that are left of a hidden part, and the radius, relative to the ellipse, at which the
#: soft edge around it ends.
_CELLS, _EDGE = 4, 1.12


class Cover:
    """Where faces of a video are hidden, at any time.

    Args:
        timeline: The video's timeline (``timeline.csv``), complete.
        who: ``ALL``, ``OTHERS``, or the ids of faces.
    """

    def __init__(self, timeline: pd.DataFrame, who: str | Collection[int]) -> None:
        seen = timeline[timeline["success"]]
        #: The ids of the hidden faces.
        self.hidden = hidden_faces(seen, who)
        #: What cannot be as the user asked for, in one line; None if nothing is amiss.
        self.note = _unknown(seen, who)
        analysed = np.unique(timeline["timestamp"].to_numpy(np.float64))
        self._paths = [
            _path(rows, analysed) for face_id, rows in seen.groupby("face_id") if int(face_id) in self.hidden
        ]
        self._begins = np.array([path.begin for path in self._paths])
        self._ends = np.array([path.end for path in self._paths])

    def at(self, time: float) -> list[Box]:
        """The boxes of the faces that are hidden at a time in seconds, each with all the places where it may be."""
        now = np.flatnonzero((self._begins <= time) & (time <= self._ends))
        return [self._paths[n].at(time) for n in now.tolist()]

    def covered(self, frame: Frame) -> Frame:
        """The frame with its faces hidden, for previews."""
        boxes = self.at(frame.time or 0.0)
        return replace(frame, image=CoveredImage(frame.image, boxes)) if boxes else frame

    def shown(self, observations: Sequence[Observation] | None) -> list[Observation] | None:
        """The observations for previews: hidden faces count, but are not classified, so that none is cut out."""
        return None if observations is None else [self._unclassified(o) for o in observations]

    def _unclassified(self, observation: Observation) -> Observation:
        return replace(observation, probabilities=None) if observation.face_id in self.hidden else observation


def hidden_faces(seen: pd.DataFrame, who: str | Collection[int]) -> set[int]:
    """The ids of a video's faces that ``--blur`` hides.

    Args:
        seen: The rows of its timeline with a face.
        who: ``ALL``; ``OTHERS``, all but the face with the largest area, summed over its frames; or ids.
    """
    ids = {int(face_id) for face_id in seen["face_id"].unique()}
    if who == ALL:
        return ids
    if who == OTHERS:
        area = (seen["width"] * seen["height"]).groupby(seen["face_id"]).sum()
        return ids - ({int(area.idxmax())} if len(area) else set())
    return ids.intersection(map(int, who))


def hidden_in_photo(observations: Iterable[Observation], who: str) -> list[Observation]:
    """The faces of a photo that ``--blur`` hides: with ``others`` all but the largest, which is the first; else all,
    since ids in photos are no persons."""
    return [o for o in observations if who != OTHERS or o.face_id != 0]


def _unknown(seen: pd.DataFrame, who: str | Collection[int]) -> str | None:
    if isinstance(who, str):
        return None
    gone = sorted(set(who) - {int(face_id) for face_id in seen["face_id"].unique()})
    return f"--blur: there is no face {', '.join(map(str, gone))}, so it is not hidden" if gone else None


@dataclass(frozen=True)
class _Path:
    """A face's detections: their times (n,) in seconds, and (left, top, right, bottom) in pixels (n, 4).

    It is hidden from ``begin`` to ``end``, in seconds.
    """

    times: Floats
    boxes: Floats
    begin: float
    end: float

    def at(self, time: float) -> Box:
        """The box around all places where the face may be at a time between ``begin`` and ``end``."""
        times, last = self.times, len(self.times) - 1
        after = int(np.searchsorted(times, time))
        before = after - (after > last or times[after] > time)
        near = slice(*np.searchsorted(times, [time - _AROUND, time + _AROUND]).tolist())
        places = [self.boxes[near], self.boxes[[max(before, 0), min(after, last)]]]
        if before < 0 or after > last:
            place = self.boxes[0 if before < 0 else last]
            places.append((place + np.tile(self._way(time, 0 if before < 0 else last), 2))[None])
        boxes = np.concatenate(places)
        left, top = boxes[:, :2].min(axis=0).tolist()
        right, bottom = boxes[:, 2:].max(axis=0).tolist()
        gone = min((abs(time - times[n]) for n in (before, after) if 0 <= n <= last), default=0.0)
        widest = float((boxes[:, 2] - boxes[:, 0]).max())
        margin = widest * min(_GROWTH * gone, _FARTHEST)
        return Box(left - margin, top - margin, right - left + 2 * margin, bottom - top + 2 * margin)

    def _way(self, time: float, end: int) -> Floats:
        """How far (x, y) the face has moved at a time from its first or last place, if it keeps its speed."""
        times = self.times
        if end == 0:
            other = min(int(np.searchsorted(times, times[0] + _SPEED_OVER)), len(times) - 1)
        else:
            other = max(int(np.searchsorted(times, times[end] - _SPEED_OVER)) - 1, 0)
        if times[other] == times[end]:
            return np.zeros(2)
        middles = (self.boxes[[other, end], :2] + self.boxes[[other, end], 2:]) / 2
        speed = (middles[1] - middles[0]) / (times[end] - times[other])
        return np.asarray(speed * np.clip(time - times[end], -_MOVES, _MOVES))


def _path(rows: pd.DataFrame, analysed: Floats) -> _Path:
    times = rows["timestamp"].to_numpy(np.float64)
    x, y, width, height = rows[["x", "y", "width", "height"]].to_numpy(np.float64).T
    first, last = np.searchsorted(analysed, times[[0, -1]])
    before, after = analysed[max(first - 1, 0)], analysed[min(last + 1, len(analysed) - 1)]
    return _Path(times, np.stack([x, y, x + width, y + height], axis=1), float(before) - HOLD, float(after) + HOLD)


# -- pixels ------------------------------------------------------------------------------------------------------------


class CoveredImage(Image):
    """An image whose boxes are hidden."""

    def __init__(self, image: Image, boxes: Sequence[Box]) -> None:
        self._image, self._boxes = image, boxes

    @property
    def width(self) -> int:
        return self._image.width

    @property
    def height(self) -> int:
        return self._image.height

    def gray(self, part: Part = WHOLE) -> Gray:
        return np.asarray(cv2.cvtColor(self.rgb(), cv2.COLOR_RGB2GRAY), np.uint8)[part]

    def rgb(self, size: tuple[int, int] | None = None, part: Part = WHOLE) -> Color:
        if part != WHOLE:
            return ArrayImage(self.rgb()).rgb(size, part)
        width, height = size or (self.width, self.height)
        image = np.array(self._image.rgb(size))
        hide(image, self._boxes, width / self.width, height / self.height)
        return image


def hide(image: Pixels, boxes: Iterable[Box], across: float = 1.0, down: float = 1.0) -> None:
    """Hide the ellipses around boxes, in place.

    Args:
        image: The image, uint8 (h, w) or (h, w, 3); rows may be padded (strided).
        boxes: The boxes, in pixels of an image of which this one may be a scaled copy.
        across: The width of this image divided by that one's.
        down: The same for the height.
    """
    for box in boxes:
        _hide(image, _ellipse(box, across, down))


def hide_yuv420(planes: tuple[Pixels, Pixels, Pixels], boxes: Sequence[Box]) -> None:
    """Hide the ellipses around boxes in the Y, Cb and Cr planes of a 4:2:0 image, in place."""
    for plane, part in zip(planes, (1.0, 0.5, 0.5), strict=True):
        hide(plane, boxes, part, part)


def _ellipse(box: Box, across: float, down: float) -> tuple[float, float, float, float]:
    """Centre (x, y) and half axes of the ellipse around a box, in pixels of a scaled image."""
    x, y = box.center
    y -= _RAISED * box.height
    return x * across, y * down, _HALF_WIDTH * box.width * across, _HALF_HEIGHT * box.height * down


def _hide(image: Pixels, ellipse: tuple[float, float, float, float]) -> None:
    x, y, half_width, half_height = ellipse
    left, right = (int(v) for v in np.clip((x - _EDGE * half_width, x + _EDGE * half_width + 1), 0, image.shape[1]))
    top, bottom = (int(v) for v in np.clip((y - _EDGE * half_height, y + _EDGE * half_height + 1), 0, image.shape[0]))
    if right <= left or bottom <= top:
        return
    below = np.ascontiguousarray(image[top:bottom, left:right])
    small = cv2.resize(below, (_CELLS, _CELLS), interpolation=cv2.INTER_AREA)
    smooth = cv2.resize(small, (right - left, bottom - top), interpolation=cv2.INTER_LINEAR)
    ways = (np.arange(left, right, dtype=np.float32) + 0.5 - x) / half_width
    rows = (np.arange(top, bottom, dtype=np.float32) + 0.5 - y) / half_height
    far = np.sqrt(ways[None, :] ** 2 + rows[:, None] ** 2)
    weight = np.clip((_EDGE - far) / (_EDGE - 1), 0, 1).astype(np.float32)
    blended = cv2.blendLinear(smooth, below, weight, 1 - weight)
    image[top:bottom, left:right] = blended
