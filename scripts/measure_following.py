"""What is lost and won by searching a video's frames only now and then, and following the faces between.

    python scripts/measure_following.py                  made-up videos (made_up_videos.py) with known answers
    python scripts/measure_following.py --video VIDEO ...  videos of yours: what following finds of what searching finds

A face counts as found when a box overlaps it by half (intersection over union). CPU time is that of looking and
judging, without decoding, of all threads; compare the rows with each other only.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import measuring
import numpy as np
from made_up_videos import RATE, SCENES, frames
from measure_tracking import Score, true_box

from fermedia.media.video import VideoReader
from fermedia.options import Sampling
from fermedia.types import Box, Frame, Observation
from fermedia.vision import observe
from fermedia.vision.classify import Classifier

#: Seconds between two searches; the third is what fermedia does.
WAYS = {"every frame": 1e-6, "five a second": 0.2, "four a second": observe.SEARCH_EVERY, "two a second": 0.5}

COLUMNS = (
    *("searched", "recall %", "false boxes in 1000 frames", "overlap, median", "first seen after, ms"),
    *("IDF1 %", "identity switches", "CPU ms a frame"),
)

#: Seconds of a video of yours that are looked at.
LONGEST = 20.0


@dataclass
class Found:
    """What one way found in some videos."""

    right: int = 0
    wanted: int = 0
    wrong: int = 0
    frames: int = 0
    cpu: float = 0.0
    overlaps: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    score: Score = field(default_factory=Score)

    def print(self, name: str) -> None:
        recall, wrong = 100 * self.right / self.wanted, 1000 * self.wrong / self.frames
        late = f"{1000 * float(np.mean(self.late)):.0f}" if self.late else ""
        known = (
            [f"{100 * self.score.right / self.score.total:.2f}", self.score.switches] if self.score.total else ["", ""]
        )
        overlap = float(np.median(self.overlaps))
        cpu = 1000 * self.cpu / self.frames
        measuring.row(name, f"{recall:.2f}", f"{wrong:.1f}", f"{overlap:.3f}", late, *known, f"{cpu:.1f}")


def propose(frames: Sequence[Frame], every: float, classifier: Classifier, found: Found) -> list[list[Observation]]:
    """The observations in each frame."""
    observe.SEARCH_EVERY = every
    with observe.Observer(classifier) as observer:
        begun = time.process_time()
        seen = [observations or [] for _, observations in observer.observe(frames)]
    found.cpu += time.process_time() - begun
    found.frames += len(frames)
    return seen


def match(seen: Sequence[Observation], boxes: Sequence[Box], found: Found) -> list[tuple[int, Observation]]:
    """Which of ``boxes`` each observation is; counts the others."""
    pairs = []
    free = set(range(len(boxes)))
    for one in seen:
        best = max(free, key=lambda i: one.face.box.iou(boxes[i]), default=None)
        if best is None or one.face.box.iou(boxes[best]) < 0.5:
            found.wrong += 1
            continue
        free.discard(best)
        found.overlaps.append(one.face.box.iou(boxes[best]))
        pairs.append((best, one))
    found.right += len(pairs)
    found.wanted += len(boxes)
    return pairs


def first_frames(people: Sequence[Sequence[tuple[int, int]]]) -> dict[tuple[int, int], int]:
    """The first frame of each person in it."""
    return {person: n for n in reversed(range(len(people))) for person in people[n]}


def made_up(seeds: int, classifier: Classifier) -> None:
    """Compare with the truth."""
    ways = {name: Found() for name in WAYS}
    for makers in SCENES.values():
        for video in [make(seed) for make in makers for seed in range(seeds)]:
            painted = list(frames(video))
            people = [[(candidate.who, candidate.part) for candidate in candidates] for candidates in video.places]
            began = first_frames(people)
            for name, every in WAYS.items():
                found, sightings = ways[name], []
                for n, seen in enumerate(propose(painted, every, classifier, found)):
                    pairs = match(seen, [true_box(candidate) for candidate in video.places[n]], found)
                    sightings.append([(people[n][i], one.face_id) for i, one in pairs])
                found.score.add(sightings)
                first = first_frames([[person for person, _ in frame] for frame in sightings])
                found.late += [(n - began[person]) / RATE for person, n in first.items()]
    for name, found in ways.items():
        found.print(name)


def real(video: Path, classifier: Classifier) -> None:
    """Compare with what is found by searching every frame."""
    with VideoReader(video) as reader:
        shown = list(reader.frames(Sampling(end=LONGEST)))
    boxes: list[list[Box]] = []
    for name, every in WAYS.items():
        found = Found()
        for n, seen in enumerate(propose(shown, every, classifier, found)):
            if every == WAYS["every frame"]:
                boxes.append([one.face.box for one in seen])
            match(seen, boxes[n], found)
        if found.wanted:
            found.print(f"{video.name}: {name}")
        else:
            measuring.row(f"{video.name}: {name}", "no face")


def main() -> None:
    """Print the table."""
    parser = measuring.parser(__doc__)
    parser.add_argument("--video", type=Path, nargs="+", default=[])
    parser.add_argument("--seeds", type=int, default=2, help="made-up videos per scene")
    given = parser.parse_args()
    classifier = Classifier.load()
    measuring.head(*COLUMNS)
    for video in given.video:
        real(video, classifier)
    if not given.video:
        made_up(given.seeds, classifier)


if __name__ == "__main__":
    main()
