"""How completely ``--blur all`` hides faces, on made-up videos with known faces. Prints a table of docs/method.md.

    python scripts/measure_blur.py [--seeds N] [--every N]

For every frame, of every face of which at least half is in sight: the share of its box in sight that is covered, and
how much of its detail is left, as the correlation of the fine structure before and after.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import cv2
import measuring
import numpy as np
from made_up_videos import HEIGHT, SCENES, WIDTH, Position, Video, frames
from numpy.typing import NDArray

from fermedia.options import ObserveOptions
from fermedia.render.blur import Cover, hide
from fermedia.tables.timeline import as_timeline
from fermedia.types import Box, Frame
from fermedia.vision.classify import Classifier
from fermedia.vision.detect import FaceDetector
from fermedia.vision.observe import Observer

#: The share of a face that must be in sight to count.
IN_SIGHT = 0.5

Mask = NDArray[np.bool_]


@dataclass
class Result:
    """Of all faces in sight: the covered share of each, and what is left of its detail, -1..1."""

    covered: list[float] = field(default_factory=list)
    left: list[float] = field(default_factory=list)

    def row(self) -> tuple[object, ...]:
        covered, left = np.array(self.covered), np.array(self.left)
        return (
            len(covered),
            f"{covered.mean():.3f}",
            f"{covered.min():.2f}",
            int((covered < 0.9).sum()),
            int((covered < 0.5).sum()),
            f"{np.percentile(left, 99):.2f}",
        )


def in_sight(video: Video, n: int) -> Iterator[tuple[Position, Mask, float]]:
    """Each face of a frame with the pixels of its box that are in sight, and their share of the box."""
    for k, place in enumerate(video.places[n]):
        mask = np.zeros((HEIGHT, WIDTH), bool)
        mask[_part(_true(place))] = True
        for other in video.places[n][k + 1 :]:
            mask[_part(_true(other))] = False
        if video.bar:
            mask[:, int(video.bar[0]) : int(video.bar[1])] = False
        yield place, mask, float(mask.sum()) / place.width**2


def _true(place: Position) -> Box:
    return Box(place.x - place.width / 2, place.y - place.width / 2, place.width, place.width)


def _part(box: Box) -> tuple[slice, slice]:
    rows, columns = (box.y, box.y + box.height), (box.x, box.x + box.width)
    return slice(*(max(0, round(v)) for v in rows)), slice(*(max(0, round(v)) for v in columns))


def measure(video: Video, observer: Observer, every: int, result: Result) -> None:
    """Hide the faces of a video, and add what is left of them to ``result``."""
    sampled = [Frame(f.index, f.time, f.image, f.duration, f.index % every == 0) for f in frames(video)]
    observed = [(f, found) for f, found in observer.observe(sampled) if found is not None]
    cover = Cover(as_timeline(("", f.index, f.time, found) for f, found in observed), "all")
    for frame in sampled:
        score(frame, cover.at(frame.time or 0.0), list(in_sight(video, frame.index)), result)


def score(frame: Frame, boxes: Sequence[Box], faces: Sequence[tuple[Position, Mask, float]], result: Result) -> None:
    """Compare a frame before and after its faces are hidden."""
    white = np.full((HEIGHT, WIDTH), 255, np.uint8)
    white[::2, ::2] = 0  # what is covered completely is grey
    hide(white, boxes)
    covered = (white > 150) & (white < 230)
    before = frame.image.rgb()
    after = before.copy()
    hide(after, boxes)
    for place, mask, share in faces:
        if share >= IN_SIGHT:
            result.covered.append(float(covered[mask].mean()))
            fine = [_detail(image, place.width)[mask] for image in (before, after)]
            result.left.append(float((fine[0] * fine[1]).sum() / (fine[0] ** 2).sum()))


def _detail(image: NDArray[np.uint8], width: float) -> NDArray[np.float32]:
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return np.asarray(gray - cv2.GaussianBlur(gray, (0, 0), width / 8), np.float32)


def main() -> None:
    arguments = measuring.parser(__doc__)
    arguments.add_argument("--seeds", type=int, default=1, help="videos of each kind (default: 1)")
    arguments.add_argument("--every", type=int, default=1, help="analyse every N-th frame (default: 1)")
    chosen = arguments.parse_args()
    options = ObserveOptions()
    make = partial(FaceDetector, options.detection_confidence, options.detector)
    measuring.head("scene", "faces in frames", "mean covered", "least", "below 0.9", "below 0.5", "detail left, 99 %")
    total = Result()
    with Observer(Classifier.load(), make) as observer:
        for name, scenes in SCENES.items():
            result = Result()
            for scene in scenes:
                for seed in range(chosen.seeds):
                    measure(scene(seed), observer, chosen.every, result)
            measuring.row(name, *result.row())
            total.covered += result.covered
            total.left += result.left
    measuring.row("all", *total.row())


if __name__ == "__main__":
    main()
