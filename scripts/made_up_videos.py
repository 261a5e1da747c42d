"""Made-up videos of people who cross, meet, hide, leave and return, with known answers; for measure_tracking.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial

import cv2
import numpy as np
from measuring import Image, grained

from fermedia.commands.demo import FACES
from fermedia.images import ArrayImage
from fermedia.types import Frame
from tests.vision.painting import portrait

WIDTH, HEIGHT, RATE = 640, 360, 30


@dataclass(frozen=True)
class Position:
    """Where a person is: middle and width of the face in pixels. Persons n and n + 6 look alike.

    Of several the later one stands in front.
    """

    who: int
    x: float
    y: float
    width: float
    part: int = 0  # counts a person's appearances that are to be told apart


@dataclass(frozen=True)
class Video:
    """Places by frame, the frames that begin a shot, and the (left, right) of a bar that hides what is behind.

    ``screens`` are the frames at which the background changes and the people stay, as where a slide is shown.
    """

    places: list[list[Position]]
    cuts: frozenset[int] = frozenset()
    bar: tuple[float, float] | None = None
    screens: frozenset[int] = frozenset()


@cache
def people() -> list[Image]:
    """Six faces in grey-less colour, each 160x160 with the face's box in the middle 100 pixels."""
    found = []
    for name, (x, y, width) in FACES.items():
        scale = 100 / width
        matrix = np.array([[scale, 0, 80 - x * scale], [0, scale, 80 - y * scale]])
        head = cv2.warpAffine(portrait(name), matrix, (160, 160), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
        light = np.linspace(0.35, 1.25, 160)[None, :, None]
        found += [head, head[:, ::-1], np.clip(head[:, ::-1] * light, 0, 255).astype(np.uint8)]
    return [np.ascontiguousarray(head) for head in found]


@cache
def _ground(shot: int) -> Image:
    rough = np.random.default_rng([shot, 7]).integers(20, 150, (4, 6, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(rough, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), np.uint8)


def paint(video: Video, n: int, heads: list[Image]) -> Image:
    """One frame, BGR, with noise. Every shot and every screen has its own background."""
    image = _ground(sum(cut <= n for cut in video.cuts | video.screens)).copy()
    ellipse = cv2.ellipse(np.zeros((160, 160), np.float32), (80, 76), (56, 74), 0, 0, 360, 1, -1)
    oval = cv2.GaussianBlur(ellipse, (0, 0), 3)
    for place in video.places[n]:
        scale = place.width / 100
        left, top = int(place.x - 80 * scale), int(place.y - 80 * scale)
        side = int(160 * scale) + 2
        x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + side, WIDTH), min(top + side, HEIGHT)
        if x1 <= x0 or y1 <= y0:
            continue
        matrix = np.array([[scale, 0, place.x - 80 * scale - x0], [0, scale, place.y - 80 * scale - y0]])
        head, mask = (cv2.warpAffine(part, matrix, (x1 - x0, y1 - y0)) for part in (heads[place.who % 6], oval))
        under = image[y0:y1, x0:x1]
        under[...] = under + mask[..., None] * (head.astype(np.float32) - under)
    if video.bar:
        image[:, int(video.bar[0]) : int(video.bar[1])] = (40, 50, 60)
    return grained(image, n, 3, seed=11)


def frames(video: Video) -> Iterator[Frame]:
    """The video's frames, painted one by one."""
    heads = people()
    for n in range(len(video.places)):
        image = ArrayImage(np.ascontiguousarray(paint(video, n, heads)[:, :, ::-1]))
        yield Frame(n, n / RATE, image, 1 / RATE)


# -- scenes -----------------------------------------------------------------------------------------------------------


def crossing(overlap: float, seed: int, twins: bool = False) -> Video:
    """Two to six people walk through each other in rows; at the closest two faces share ``overlap`` of their width."""
    random = np.random.default_rng(seed)
    width, frames = random.uniform(40, 60), 6 * RATE
    apart = (1 - overlap) * width
    rows = int(random.integers(1, 4))
    who = [0, 6, 1, 7, 2, 8] if twins else random.permutation(6)
    places: list[list[Position]] = [[] for _ in range(frames)]
    for row in range(rows):
        y = 70 + row * (HEIGHT - 110) / max(1, rows)
        for side in (0, 1):
            speed, phase = random.uniform(1.2, 2.8) * width / RATE, random.uniform(-40, 40)
            step = random.choice([-1, 1]) if side == 0 else 0
            for n in range(frames):
                x = (WIDTH / 2 + phase) + (speed if side else -speed) * (n - frames / 2)
                if -width / 2 < x < WIDTH + width / 2:
                    places[n].append(Position(int(who[2 * row + side]), x, y + step * apart, width))
    return Video(places)


def turning(overlap: float, seed: int) -> Video:
    """Two people approach until their faces share so much of their width, side by side, and go back again."""
    random = np.random.default_rng(seed)
    width, frames = random.uniform(50, 80), 5 * RATE
    who = random.permutation(6)
    near = (1 - overlap) * width / 2
    speed = random.uniform(0.8, 2.0) * width / RATE
    y = random.uniform(120, 240)
    places = []
    for n in range(frames):
        far = near + speed * abs(n - frames / 2)
        places.append(
            [Position(int(who[0]), WIDTH / 2 - far, y, width), Position(int(who[1]), WIDTH / 2 + far, y + 4, width)]
        )
    return Video(places)


def wandering(count: int, seed: int) -> Video:
    """So many people wander about, each by a smooth path of its own, and cross as it happens."""
    random = np.random.default_rng(seed)
    frames = 10 * RATE
    widths = random.uniform(40, 60, count)
    t = np.arange(frames) / RATE
    paths = []
    for _ in range(count):
        waves = [[random.uniform(0.04, 0.16), random.uniform(0, 6.3), random.uniform(0.4, 1)] for _ in range(4)]
        x, y = (sum(a * np.sin(2 * np.pi * f * t + p) for f, p, a in waves[i : i + 2]) for i in (0, 2))
        paths.append((WIDTH / 2 + 0.42 * WIDTH * x / np.abs(x).max(), HEIGHT / 2 + 0.34 * HEIGHT * y / np.abs(y).max()))
    who = random.permutation(6)
    return Video(
        [
            [Position(int(who[i]), float(x[n]), float(y[n]), widths[i]) for i, (x, y) in enumerate(paths)]
            for n in range(frames)
        ]
    )


def hidden(seconds: float, seed: int) -> Video:
    """Somebody walks behind a bar for so long, while somebody else stands near it."""
    random = np.random.default_rng(seed)
    width, frames = random.uniform(40, 60), 6 * RATE
    speed = random.uniform(1.0, 2.0) * width
    thick = max(seconds * speed, 0.6 * width)
    who = random.permutation(6)
    return Video(
        [
            [
                Position(int(who[0]), WIDTH / 2 + speed * (n - frames / 2) / RATE, 150, width),
                Position(int(who[1]), WIDTH / 2 + thick / 2 + 1.2 * width, 170 + random.normal(0, 0.5), width),
            ]
            for n in range(frames)
        ],
        bar=(WIDTH / 2 - thick / 2, WIDTH / 2 + thick / 2),
    )


def returning(away: float, seed: int) -> Video:
    """One of two leaves for so many seconds and returns by the same side; after 3 seconds it counts as another."""
    random = np.random.default_rng(seed)
    width, speed, who = 60.0, random.uniform(60, 120), random.permutation(6)
    begin, y = 2.0, random.uniform(100, 200)
    places = []
    for n in range(int(RATE * (4 + away))):
        t = n / RATE
        out = (begin - t) * speed if t < begin + away / 2 else (t - begin - away) * speed
        here = [Position(int(who[1]), 420, 200, 70)]
        if -width / 2 < out:
            here.append(Position(int(who[0]), out, y, width, part=int(away > 3 and t > begin + away / 2)))
        places.append(here)
    return Video(places)


def cutting(seed: int) -> Video:
    """Every second or two another shot of the same people in other places, or sometimes one in the other's place."""
    random = np.random.default_rng(seed)
    places: list[list[Position]] = []
    cuts = []
    for shot in range(6):
        cuts.append(len(places))
        who = random.permutation(6)[: random.integers(1, 4)]
        spots = [(random.uniform(60 + 200 * i, 180 + 200 * i), random.uniform(90, 260)) for i in range(len(who))]
        drift = random.normal(0, 20, (len(who), 2)) / RATE
        for n in range(int(random.integers(RATE, 2 * RATE))):
            places.append(
                [
                    Position(int(w), x + n * dx, y + n * dy, 70, shot)
                    for w, (x, y), (dx, dy) in zip(who, spots, drift, strict=True)
                ]
            )
    return Video(places, frozenset(cuts[1:]))


def meeting(moved: bool, seed: int) -> Video:
    """Four people at their desks in the tiles of a call, and every second or two another slide behind the tiles.

    Where they are ``moved``, each change puts another person in every tile: then it is a cut, and all are new.
    """
    random = np.random.default_rng(seed)
    who, width, frames = random.permutation(6)[:4], random.uniform(50, 70), 8 * RATE
    screens = np.cumsum(random.integers(RATE, 2 * RATE, 10))
    sway = [[random.uniform(0.02, 0.06), random.uniform(0.1, 0.5), random.uniform(0, 6.3)] for _ in range(8)]
    places = []
    for n in range(frames):
        part = int((screens <= n).sum()) if moved else 0
        moves = [width * a * np.sin(2 * np.pi * f * n / RATE + p) for a, f, p in sway]
        places.append(
            [
                Position(int(who[(i + part) % 4]), 100 + 145 * i + moves[2 * i], 300 + moves[2 * i + 1], width, part)
                for i in range(4)
            ]
        )
    changes = frozenset(int(n) for n in screens if n < frames)
    return Video(places, changes) if moved else Video(places, screens=changes)


#: What happens -> makers of videos, from a seed.
SCENES: dict[str, list[Callable[[int], Video]]] = {
    "cross, no overlap": [partial(crossing, 0.0)],
    "cross, 1/4 width": [partial(crossing, 0.25)],
    "cross, 1/2 width": [partial(crossing, 0.5)],
    "cross, 3/4 width": [partial(crossing, 0.75)],
    "cross, whole": [partial(crossing, 1.0)],
    "cross, 1/2, twins": [partial(crossing, 0.5, twins=True)],
    "cross, whole, twins": [partial(crossing, 1.0, twins=True)],
    "meet and turn, 0..1/2": [partial(turning, 0.0), partial(turning, 0.25), partial(turning, 0.5)],
    "meet and turn, whole": [partial(turning, 1.0)],
    "wander, 2..6 faces": [partial(wandering, n) for n in (2, 4, 6)],
    "behind a bar, 0.3..1.5 s": [partial(hidden, seconds) for seconds in (0.3, 0.8, 1.5)],
    "away 1 s": [partial(returning, 1.0)],
    "away 5 s": [partial(returning, 5.0)],
    "six shots": [cutting],
    "call, slides change": [partial(meeting, False)],
    "call, all change tiles": [partial(meeting, True)],
}
