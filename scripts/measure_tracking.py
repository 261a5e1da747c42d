"""How well faces are followed, on made-up videos with known answers. Prints a table of docs/tracking.md.

    python scripts/measure_tracking.py                      boxes made up: the true ones with errors and misses
    python scripts/measure_tracking.py --detector           MediaPipe finds the faces (some minutes)
    python scripts/measure_tracking.py --speed              what a frame costs, by the number of faces

The faces are six: the two portraits of the demo, each as it is, mirrored, and lit from one side. Cuts come from
``ShotDetector``, which ``scripts/measure_shots.py`` measures by itself. Needs SciPy (the extra `test`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial

import measuring
import numpy as np
from made_up_videos import HEIGHT, RATE, SCENES, WIDTH, Position, Video, frames
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from fermedia import FaceDetector
from fermedia.types import Box, Face, Image
from fermedia.vision.framing import crop_face
from fermedia.vision.shots import ShotDetector, make_thumbnail
from fermedia.vision.track import Tracker, appearance

#: Errors of the made-up detector, larger than MediaPipe's on these videos (about 0.01 of a face's width): of a box's
#: middle and size, in face widths; the share of faces missed at random; and the share of a face that must be in sight.
#: Of two that share 0.6 of the smaller box only the nearer is found.
BOX_ERROR, MISSED, IN_SIGHT = 0.025, 0.03, 0.5


# -- what a detector would see ----------------------------------------------------------------------------------------


def true_box(place: Position) -> Box:
    return Box(place.x - place.width / 2, place.y - place.width / 2, place.width, place.width)


def seen_boxes(video: Video, n: int, random: np.random.Generator) -> list[tuple[Box, Position]]:
    """The boxes of a made-up detector and whose they are."""
    found: list[tuple[Box, Position]] = []
    for k, place in enumerate(video.places[n]):
        box = true_box(place)
        inside = min(box.x + box.width, WIDTH) - max(box.x, 0) if 0 <= place.y <= HEIGHT else 0
        if video.bar:
            inside -= max(0.0, min(box.x + box.width, video.bar[1]) - max(box.x, video.bar[0]))
        merged = any(_shared(box, true_box(other)) > 0.6 for other in video.places[n][k + 1 :])
        error = random.normal(0, BOX_ERROR, 3) * place.width
        if inside > IN_SIGHT * box.width and not merged and random.random() >= MISSED:
            width = max(4.0, box.width + error[2])
            found.append((Box(place.x + error[0] - width / 2, place.y + error[1] - width / 2, width, width), place))
    order = random.permutation(len(found))
    return [found[i] for i in order]


def _shared(a: Box, b: Box) -> float:
    w = min(a.x + a.width, b.x + b.width) - max(a.x, b.x)
    h = min(a.y + a.height, b.y + b.height) - max(a.y, b.y)
    return max(w, 0.0) * max(h, 0.0) / min(a.area, b.area)


def detected(video: Video, n: int, image: Image, detector: FaceDetector) -> Sequence[tuple[Face, Position]]:
    """What MediaPipe sees, and whose each face is by its box; false alarms are left out."""
    pairs = []
    for face in detector.detect(image):
        best = max(video.places[n], key=lambda p: face.box.iou(true_box(p)), default=None)
        if best is not None and face.box.iou(true_box(best)) > 0.3:
            pairs.append((face, best))
    return pairs


# -- the score --------------------------------------------------------------------------------------------------------

Sighting = tuple[tuple[int, int], int]
"""(person, part) in truth, and the id that was given."""


@dataclass
class Score:
    """Over the faces found: IDF1 (Ristani et al. 2016), CLEAR-MOT's identity switches, and ids too many a person."""

    right: int = 0
    total: int = 0
    switches: int = 0
    fragments: int = 0

    def add(self, video: list[list[Sighting]]) -> None:
        counts = Counter(s for frame in video for s in frame)
        persons, ids = sorted({p for p, _ in counts}), sorted({i for _, i in counts})
        table = np.array([[counts[p, i] for i in ids] for p in persons])
        self.right += int(table[linear_sum_assignment(-table)].sum())
        self.total += int(table.sum())
        last: dict[tuple[int, int], int] = {}
        for frame in video:
            for person, face_id in frame:
                self.switches += last.get(person, face_id) != face_id
                last[person] = face_id
        self.fragments += int((table > 0).sum() - len(persons))


@dataclass(frozen=True)
class Looked:
    """One frame as the tracker is told of it, and who the faces are."""

    time: float
    faces: list[Face]
    appearances: list[NDArray[np.float32]]
    persons: list[tuple[int, int]]
    cut: bool


def watch(video: Video, seed: int, detector: FaceDetector | None) -> Iterator[Looked]:
    random, shots = np.random.default_rng(seed), ShotDetector()
    for n, frame in enumerate(frames(video)):
        image = frame.image
        cut = shots.update(make_thumbnail(image), n / RATE)
        if detector is not None:
            pairs = detected(video, n, image, detector)
        else:
            points = np.zeros((6, 2), np.float32)
            pairs = [(Face(box, 0.9, points), place) for box, place in seen_boxes(video, n, random)]
        appearances = [appearance(crop_face(image, face)) for face, _ in pairs]
        yield Looked(n / RATE, [f for f, _ in pairs], appearances, [(p.who, p.part) for _, p in pairs], cut)


def follow(video: list[Looked], every: int, blind: bool) -> list[list[Sighting]]:
    """Every sampled frame's faces: who it is, and the id it is given."""
    tracker, found, cut = Tracker(), [], False
    for n, frame in enumerate(video):
        cut |= frame.cut
        if n % every == 0:
            ids = tracker.update(frame.faces, frame.time, None if blind else frame.appearances, cut)
            found.append(list(zip(frame.persons, ids, strict=True)))
            cut = False
    return found


def tracking(seeds: int, scenes: Sequence[str], detector: FaceDetector | None) -> None:
    ways = {"every frame": (1, False), "every 2nd": (2, False), "every 5th": (5, False), "places alone": (1, True)}
    measuring.head("scene", "faces", *ways)
    for name in scenes:
        videos = [list(watch(make(s), s, detector)) for make in SCENES[name] for s in range(seeds)]
        cells = []
        for every, blind in ways.values():
            score = Score()
            for video in videos:
                score.add(follow(video, every, blind))
            cells.append(f"{100 * score.right / score.total:.1f}, {score.switches}, {score.fragments}")
        measuring.row(name, sum(len(x.faces) for f in videos for x in f), *cells)


def speed() -> None:
    """Milliseconds of one processor that a frame takes, of crowds whose faces tremble and are missed now and then."""
    measuring.head("faces", "ms a frame")
    for count in (1, 6, 30, 120):
        crowd = list(_crowd(count, 200))
        cost = measuring.milliseconds(partial(_follow_all, crowd))
        measuring.row(count, f"{cost / len(crowd):.2f}")


def _follow_all(crowd: Sequence[tuple[list[Face], list[NDArray[np.float32]]]]) -> None:
    tracker = Tracker()
    for n, (faces, appearances) in enumerate(crowd):
        tracker.update(faces, n / RATE, appearances)


def _crowd(count: int, frames: int) -> Iterator[tuple[list[Face], list[NDArray[np.float32]]]]:
    random = np.random.default_rng(count)
    middles, widths = random.uniform(0, 1, (count, 2)) * (1920, 1080), random.uniform(20, 60, count)
    appearances, points = random.normal(size=(count, 144)), np.zeros((6, 2), np.float32)
    for _ in range(frames):
        middles = middles + random.normal(0, 1, middles.shape)
        seen = random.permutation(np.flatnonzero(random.random(count) >= MISSED))
        shown = appearances + random.normal(0, 0.1, appearances.shape)
        shown = (shown / np.linalg.norm(shown, axis=1, keepdims=True)).astype(np.float32)
        corners = middles - widths[:, None] / 2
        boxes = [Box(corners[i, 0], corners[i, 1], widths[i], widths[i]) for i in seen]
        yield [Face(box, 0.9, points) for box in boxes], [shown[i] for i in seen]


def main() -> None:
    parser = measuring.parser(__doc__)
    parser.add_argument("--detector", action="store_true")
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--seeds", type=int, default=10, help="videos per scene")
    parser.add_argument("--scene", action="append", choices=list(SCENES), help="only this one; may be repeated")
    given = parser.parse_args()
    if given.speed:
        speed()
        return
    with FaceDetector() if given.detector else nullcontext() as detector:
        tracking(given.seeds, given.scene or list(SCENES), detector)


if __name__ == "__main__":
    main()
