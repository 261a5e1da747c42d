"""How many cuts are found, and how many made up, on films with known answers. Prints a table of docs/tracking.md.

    python scripts/measure_shots.py                 films made from scikit-image's pictures
    python scripts/measure_shots.py FILM FILM ...   and films spliced from pieces of these recordings, without a cut

Needs scikit-image (the extra `test`).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage import data

from fermedia.media.video import VideoReader
from fermedia.options import Sampling
from fermedia.pictures import ArrayPicture
from fermedia.vision.shots import ShotDetector, Signature, signature

Image = NDArray[np.uint8]

WIDTH, HEIGHT = 320, 180
RATES = (5, 12, 25, 60, 240)
SECONDS = 24.0
PICTURES = ["astronaut", "camera", "cat", "coffee", "rocket", "motorcycle", "hubble_deep_field"]
PICTURES += ["moon", "coins", "retina", "brick", "grass", "page"]


@cache
def picture(name: str) -> Image:
    """One of scikit-image's pictures, grey, 480 pixels high or wide at least."""
    loaded = data.stereo_motorcycle()[0] if name == "motorcycle" else getattr(data, name)()
    gray = cv2.cvtColor(loaded, cv2.COLOR_RGB2GRAY) if loaded.ndim == 3 else loaded
    scale = 520 / min(gray.shape)
    return np.asarray(cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)


class Camera:
    """Looks at a part of a picture, and wanders with up to ``speed`` of its field's width a second."""

    def __init__(self, random: np.random.Generator, speed: float, name: str) -> None:
        self.name = name
        self._phase, self._rate = random.uniform(0, 6.3, 3), random.uniform(0.15, 0.4, 3)
        self._speed = speed
        self._head = random.uniform(0.2, 0.6), random.uniform(-0.5, 0.5), random.uniform(0, 6.3)

    def shoot(self, t: float) -> Image:
        source = picture(self.name)
        h, w = source.shape
        a = np.sin(2 * np.pi * self._rate * t + self._phase)
        zoom = 1.25 + 0.1 * a[2]
        far = self._speed * WIDTH / (2 * np.pi * self._rate[:2].mean())
        room = (w - zoom * WIDTH) / 2 - 1, (h - zoom * HEIGHT) / 2 - 1
        x, y = w / 2 + np.clip(far * a[0], -room[0], room[0]), h / 2 + np.clip(far * a[1] / 2, -room[1], room[1])
        matrix = np.array([[zoom, 0, x - zoom * WIDTH / 2], [0, zoom, y - zoom * HEIGHT / 2]])
        seen = cv2.warpAffine(source, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        # Somebody walks through the picture.
        size, pace, start = self._head
        at = int(WIDTH * (0.5 + 0.7 * np.sin(pace * 2 * t + start))), int(HEIGHT * (1.1 - size / 2))
        cv2.ellipse(seen, at, (int(size * 70), int(size * 110)), 0, 0, 360, 150, -1)
        return np.asarray(seen, np.uint8)


@dataclass
class Film:
    """Signatures with times; the times of true cuts; and spans in which a cut may be reported once or not at all."""

    seen: list[tuple[Signature, float]] = field(default_factory=list)
    cuts: list[float] = field(default_factory=list)
    soft: list[tuple[float, float]] = field(default_factory=list)


Effect = Callable[[Image, float], Image]


def made_up(kind: str, rate: int, seed: int) -> Film:
    """``kind`` says what happens besides cuts every 1 to 4 seconds: see ``KINDS``."""
    random = np.random.default_rng([seed, rate])
    speed = {"calm": 0.02, "motion": 0.3, "fast pans": 0.9}.get(kind, 0.1)
    film, camera, begun, until = Film(), Camera(random, speed, str(random.choice(PICTURES))), 0.0, random.uniform(1, 4)
    flash, lamp = random.uniform(0.5, 2), 1.0
    for n in range(int(SECONDS * rate)):
        # Twenty-four pictures a second, some shown twice, as where a film became television.
        t = int(n / rate * 24) / 24 if kind == "duplicates" and rate > 24 else n / rate
        if t >= until:
            others = [name for name in PICTURES if name != camera.name]
            camera = Camera(random, speed, camera.name if kind == "same picture" else str(random.choice(others)))
            begun, until = t, t + random.uniform(1, 4)
            (film.soft.append((n / rate - 0.7, n / rate + 0.7)) if kind == "fades" else film.cuts.append(n / rate))
        image = camera.shoot(t - begun if kind != "same picture" else t)
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
        image = np.clip(image + _noise(n), 0, 255).astype(np.uint8)
        film.seen.append((signature(ArrayPicture(np.repeat(image[:, :, None], 3, axis=2))), n / rate))
    return film


KINDS = ("calm", "motion", "fast pans", "same picture", "flashes", "lamps", "fades", "duplicates")


def _noise(n: int) -> NDArray[np.int16]:
    x, y = n * 37 % WIDTH, n * 23 % HEIGHT
    return _grain()[y : y + HEIGHT, x : x + WIDTH]


@cache
def _grain() -> NDArray[np.int16]:
    return np.random.default_rng(3).normal(0, 4, (2 * HEIGHT, 2 * WIDTH)).astype(np.int16)


def spliced(paths: list[Path], seed: int, every: int) -> Film:
    """Pieces of 1 to 3 seconds of recordings that have no cut of their own, every ``every``-th frame."""
    random = np.random.default_rng(seed)
    pieces = [_signatures(path) for path in paths]
    film, clock, which = Film(), 0.0, -1
    for _ in range(30):
        last, which = which, int(random.choice([i for i in range(len(pieces)) if i != which]))
        source = pieces[which]
        length = random.uniform(1, 3)
        begin = random.uniform(0, max(0.0, source[-1][1] - length))
        span = [(s, t) for s, t in source if begin <= t < begin + length][::every]
        if last >= 0:
            film.cuts.append(clock)
        film.seen += [(s, clock + (t - span[0][1])) for s, t in span]
        clock = film.seen[-1][1] + 0.04 * every
    return film


@cache
def _signatures(path: Path) -> list[tuple[Signature, float]]:
    with VideoReader(path) as reader:
        return [(signature(frame.picture), frame.time or 0.0) for frame in reader.frames(Sampling())]


def score(film: Film) -> tuple[int, int, int]:
    """Cuts found, missed and made up."""
    shots = ShotDetector()
    given = [t for s, t in film.seen if shots.update(s, t)]
    found = set(given) & set(film.cuts)
    wrong = [t for t in given if t not in found and not any(a <= t <= b for a, b in film.soft)]
    soft = sum(any(a <= t <= b for t in given) for a, b in film.soft)
    return len(found) + soft, len(film.cuts) + len(film.soft) - len(found) - soft, len(wrong)


def table(title: str, films: Mapping[str, Callable[[int, int], Film]], columns: tuple[int, ...], seeds: int) -> None:
    print(f"| {title} | {' | '.join(map(str, columns))} |\n|---|{'---|' * len(columns)}")
    for name, make in films.items():
        cells = []
        for column in columns:
            found, missed, wrong = np.sum([score(make(column, seed)) for seed in range(seeds)], axis=0)
            cells.append(f"{found}/{found + missed}, {wrong}")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("films", nargs="*", type=Path)
    parser.add_argument("--seeds", type=int, default=4, help="films per cell")
    given = parser.parse_args()
    print("Cuts found of all, and cuts made up.\n")
    kinds = {kind: partial(made_up, kind) for kind in KINDS}
    table("frames a second", kinds, RATES, given.seeds)
    if given.films:
        print()
        for path in given.films:
            shots = ShotDetector()
            cuts = [round(t, 2) for s, t in _signatures(path) if shots.update(s, t)]
            print(f"{path.name}: cuts at {cuts or 'no time'}")
        print()
        table("every n-th frame", {"spliced": lambda n, seed: spliced(given.films, seed, n)}, (1, 2, 5), given.seeds)
    wide = ArrayPicture(np.random.default_rng(0).integers(0, 256, (1080, 1920, 3), dtype=np.uint8))
    begun = time.perf_counter()
    for _ in range(50):
        signature(wide)
    print(f"\n{(time.perf_counter() - begun) * 20:.2f} ms a signature at 1920x1080")


if __name__ == "__main__":
    main()
