"""How many cuts are found, and how many made up, on videos with known answers. Prints a table of docs/tracking.md.

    python scripts/measure_shots.py                 videos made from scikit-image's images
    python scripts/measure_shots.py VIDEO VIDEO ...   and videos spliced from pieces of these recordings, without a cut
    python scripts/measure_shots.py --others ...    beside PySceneDetect's detectors, at 25 frames a second

Needs scikit-image (the extra `test`), and for the comparison `scenedetect-headless`, which nothing else needs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

import cv2
import measuring
import numpy as np
from measuring import Image
from skimage import data

from fermedia.images import ArrayImage
from fermedia.media.video import VideoReader
from fermedia.options import Sampling
from fermedia.vision.shots import ShotDetector, Thumbnail, make_thumbnail

WIDTH, HEIGHT = 320, 180
RATES = (5, 12, 25, 60, 240)
SECONDS = 24.0
IMAGES = ["astronaut", "camera", "cat", "coffee", "rocket", "motorcycle", "hubble_deep_field"]
IMAGES += ["moon", "coins", "retina", "brick", "grass", "page"]


@cache
def image(name: str) -> Image:
    """One of scikit-image's images, grey, 480 pixels high or wide at least."""
    loaded = data.stereo_motorcycle()[0] if name == "motorcycle" else getattr(data, name)()
    gray = cv2.cvtColor(loaded, cv2.COLOR_RGB2GRAY) if loaded.ndim == 3 else loaded
    scale = 520 / min(gray.shape)
    return np.asarray(cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)


class Camera:
    """Looks at a part of an image, and wanders with up to ``speed`` of its field's width a second."""

    def __init__(self, random: np.random.Generator, speed: float, name: str) -> None:
        self.name = name
        self._phase, self._rate = random.uniform(0, 6.3, 3), random.uniform(0.15, 0.4, 3)
        self._speed = speed
        self._head = random.uniform(0.2, 0.6), random.uniform(-0.5, 0.5), random.uniform(0, 6.3)

    def shoot(self, t: float) -> Image:
        source = image(self.name)
        h, w = source.shape
        a = np.sin(2 * np.pi * self._rate * t + self._phase)
        zoom = 1.25 + 0.1 * a[2]
        far = self._speed * WIDTH / (2 * np.pi * self._rate[:2].mean())
        room = (w - zoom * WIDTH) / 2 - 1, (h - zoom * HEIGHT) / 2 - 1
        x, y = w / 2 + np.clip(far * a[0], -room[0], room[0]), h / 2 + np.clip(far * a[1] / 2, -room[1], room[1])
        matrix = np.array([[zoom, 0, x - zoom * WIDTH / 2], [0, zoom, y - zoom * HEIGHT / 2]])
        seen = cv2.warpAffine(source, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        # Somebody walks through the image.
        size, pace, start = self._head
        at = int(WIDTH * (0.5 + 0.7 * np.sin(pace * 2 * t + start))), int(HEIGHT * (1.1 - size / 2))
        cv2.ellipse(seen, at, (int(size * 70), int(size * 110)), 0, 0, 360, 150, -1)
        return np.asarray(seen, np.uint8)


@dataclass
class Video:
    """Signatures with times; the times of true cuts; and spans in which a cut may be reported once or not at all.

    ``others`` are PySceneDetect's detectors, if they see the video too, and ``theirs`` the frames that they named.
    """

    seen: list[tuple[Thumbnail, float]] = field(default_factory=list)
    cuts: list[float] = field(default_factory=list)
    soft: list[tuple[float, float]] = field(default_factory=list)
    others: dict[str, Any] = field(default_factory=dict)
    theirs: dict[str, list[int]] = field(default_factory=dict)

    def show(self, mark: Thumbnail, bgr: Image, time: float) -> None:
        """The next frame; ``bgr`` (h, w, 3)."""
        for name, detector in self.others.items():
            named = detector.process_frame(_timecode(len(self.seen)), bgr)
            self.theirs.setdefault(name, []).extend(cut.frame_num for cut in named)
        self.seen.append((mark, time))

    def given(self, by: str) -> list[float]:
        """The times of the cuts that a detector finds; ours is called "fermedia"."""
        if by == OURS:
            shots = ShotDetector()
            return [t for s, t in self.seen if shots.update(s, t)]
        late = self.others.pop(by).post_process(_timecode(len(self.seen))) if by in self.others else []
        return [self.seen[n][1] for n in sorted({*self.theirs.get(by, []), *(cut.frame_num for cut in late)})]


OURS = "fermedia"

#: Frames a second at which PySceneDetect's detectors are compared.
COMPARED_AT = 25

#: What their command has as the shortest scene, in seconds.
_SHORTEST = 0.6


def their_detectors() -> dict[str, Any]:
    """PySceneDetect's detectors as they are by default; those for colours look at light alone, as videos are grey."""
    from scenedetect import detectors

    light = {"ContentDetector": {"luma_only": True}, "AdaptiveDetector": {"luma_only": True}}
    names = (*light, "HashDetector", "HistogramDetector", "ThresholdDetector")
    return {name: getattr(detectors, name)(min_scene_len=_SHORTEST, **light.get(name, {})) for name in names}


def _timecode(number: int) -> Any:
    from scenedetect import FrameTimecode

    return FrameTimecode(number, fps=float(COMPARED_AT))


Effect = Callable[[Image, float], Image]


def made_up(kind: str, rate: int, seed: int, compared: bool = False) -> Video:
    """``kind`` says what happens besides cuts every 1 to 4 seconds: see ``KINDS``."""
    random = np.random.default_rng([seed, rate])
    speed = {"calm": 0.02, "motion": 0.3, "fast pans": 0.9}.get(kind, 0.1)
    camera, begun, until = Camera(random, speed, str(random.choice(IMAGES))), 0.0, random.uniform(1, 4)
    video = Video(others=their_detectors() if compared else {})
    flash, lamp = random.uniform(0.5, 2), 1.0
    for n in range(int(SECONDS * rate)):
        # Twenty-four images a second, some shown twice, as where a video became television.
        t = int(n / rate * 24) / 24 if kind == "duplicates" and rate > 24 else n / rate
        if t >= until:
            others = [name for name in IMAGES if name != camera.name]
            camera = Camera(random, speed, camera.name if kind == "same image" else str(random.choice(others)))
            begun, until = t, t + random.uniform(1, 4)
            (video.soft.append((n / rate - 0.7, n / rate + 0.7)) if kind == "fades" else video.cuts.append(n / rate))
        image = camera.shoot(t - begun if kind != "same image" else t)
        if kind == "flashes":
            if t > flash + max(0.05, 1 / rate):
                flash = t + random.uniform(0.3, 2)
            elif t >= flash:
                image = np.clip(image * 1.8 + 70, 0, 255).astype(np.uint8)
        elif kind == "lamps":
            lamp = random.uniform(0.4, 1.4) if random.random() < 0.7 / rate else lamp
            image = np.clip(image * lamp, 0, 255).astype(np.uint8)
        elif kind == "fades":
            level = min(1.0, (t - begun) / 0.5 if begun else 1.0, (until - t) / 0.5)
            image = (image * level).astype(np.uint8)
        color = np.repeat(measuring.grained(image, n, 4, seed=3)[:, :, None], 3, axis=2)
        video.show(make_thumbnail(ArrayImage(color)), color, n / rate)
    return video


KINDS = ("calm", "motion", "fast pans", "same image", "flashes", "lamps", "fades", "duplicates")


def spliced(paths: list[Path], seed: int, every: int, compared: bool = False) -> Video:
    """Pieces of 1 to 3 seconds of recordings that have no cut of their own, every ``every``-th frame."""
    random = np.random.default_rng(seed)
    pieces = [_signatures(path) for path in paths]
    video, clock, which = Video(others=their_detectors() if compared else {}), 0.0, -1
    for _ in range(30):
        last, which = which, int(random.choice([i for i in range(len(pieces)) if i != which]))
        source = pieces[which]
        length = random.uniform(1, 3)
        begin = random.uniform(0, max(0.0, source[-1][2] - length))
        span = [(s, bgr, t) for s, bgr, t in source if begin <= t < begin + length][::every]
        if last >= 0:
            video.cuts.append(clock)
        for mark, bgr, t in span:
            video.show(mark, bgr, clock + (t - span[0][2]))
        clock = video.seen[-1][1] + 0.04 * every
    return video


@cache
def _signatures(path: Path) -> list[tuple[Thumbnail, Image, float]]:
    """Of each frame its signature, itself as small as the made-up videos, BGR, and its time."""
    with VideoReader(path) as reader:
        return [
            (make_thumbnail(frame.image), frame.image.rgb((WIDTH, HEIGHT))[:, :, ::-1].copy(), frame.time or 0.0)
            for frame in reader.frames(Sampling())
        ]


def score(video: Video, by: str = OURS) -> tuple[int, int, int]:
    """Cuts found, missed and made up."""
    given = video.given(by)
    found = set(given) & set(video.cuts)
    wrong = [t for t in given if t not in found and not any(a <= t <= b for a, b in video.soft)]
    soft = sum(any(a <= t <= b for t in given) for a, b in video.soft)
    return len(found) + soft, len(video.cuts) + len(video.soft) - len(found) - soft, len(wrong)


def cell(videos: Iterable[Video], by: str = OURS) -> str:
    """The scores of some videos together."""
    found, missed, wrong = np.sum([score(video, by) for video in videos], axis=0)
    return f"{found}/{found + missed}, {wrong}"


def table(title: str, videos: Mapping[str, Callable[[int, int], Video]], columns: tuple[int, ...], seeds: int) -> None:
    measuring.head(title, *map(str, columns))
    for name, make in videos.items():
        measuring.row(name, *[cell(make(column, seed) for seed in range(seeds)) for column in columns])


def comparison(paths: list[Path], seeds: int) -> None:
    names = [OURS, *their_detectors()]
    videos: dict[str, Callable[[int], Video]] = {}
    videos |= {kind: partial(made_up, kind, COMPARED_AT, compared=True) for kind in KINDS}
    if paths:
        videos["spliced"] = lambda seed: spliced(paths, seed, 1, compared=True)
    measuring.head(f"{COMPARED_AT} frames a second", *names)
    for kind, make in videos.items():
        seen = [make(seed) for seed in range(seeds)]
        measuring.row(kind, *[cell(seen, name) for name in names])


def main() -> None:
    parser = measuring.parser(__doc__)
    parser.add_argument("videos", nargs="*", type=Path)
    parser.add_argument("--seeds", type=int, default=4, help="videos per cell")
    parser.add_argument("--others", action="store_true", help="compare with PySceneDetect's detectors")
    given = parser.parse_args()
    print("Cuts found of all, and cuts made up.\n")
    if given.others:
        comparison(given.videos, given.seeds)
        return
    kinds = {kind: partial(made_up, kind) for kind in KINDS}
    table("frames a second", kinds, RATES, given.seeds)
    if given.videos:
        print()
        for path in given.videos:
            shots = ShotDetector()
            cuts = [round(t, 2) for s, _, t in _signatures(path) if shots.update(s, t)]
            print(f"{path.name}: cuts at {cuts or 'no time'}")
        print()
        table("every n-th frame", {"spliced": lambda n, seed: spliced(given.videos, seed, n)}, (1, 2, 5), given.seeds)
    wide = ArrayImage(np.random.default_rng(0).integers(0, 256, (1080, 1920, 3), dtype=np.uint8))
    cost = measuring.milliseconds(partial(make_thumbnail, wide), 50, time.perf_counter)
    print(f"\n{cost:.2f} ms a signature at 1920x1080")


if __name__ == "__main__":
    main()
