"""How often the faces that the page of a run suggests as one person are one, on made-up films with known answers.

    python scripts/measure_alike.py                         people made up from the demo's two portraits
    python scripts/measure_alike.py --photos FOLDER_OR_ZIP  people of photos named NAME_NUMBER.jpg, one face each

Two to five people are seen in shots of one or two of them, with cuts; somebody leaves, and the same or another person
comes to the same place; from shot to shot place, size, light and background stay or change, and heads tilt, turn and
speak. `fermedia` analyses the films, then each suggestion is right, wrong or missed. With ``--photos`` also films in
which everybody is any of up to four photos in each shot. People and films differ between the halves; constants are
chosen on the first. Prints a table of docs/tracking.md.
"""

from __future__ import annotations

import re
import tempfile
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import measuring
import numpy as np
from numpy.typing import NDArray

from fermedia import FaceDetector
from fermedia.report.alike import alike
from fermedia.tables.finished import FinishedItem
from fermedia.training.metrics import wilson
from fermedia.types import Mesh
from fermedia.vision.mesh import FaceMesh
from tests.videos import write_video
from tests.vision.painting import portrait, rolled, with_lids, with_mouth

WIDTH, HEIGHT, RATE = 640, 360, 6

#: The maximum number of people of photos in each half.
MOST = 60

#: How strongly the films are compressed, by x264's crf: one after another.
QUALITY = (20, 26, 32, 38)

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Look:
    """An image of a person, BGR, with the face's middle and width in pixels."""

    image: Pixels
    mesh: Mesh
    x: float
    y: float
    width: float


@dataclass(frozen=True)
class Person:
    """A made-up person: images, and what is kept in all of them."""

    name: str
    looks: tuple[Look, ...]
    clothes: tuple[float, ...]


@dataclass(frozen=True)
class Seen:
    """A person in a part of a shot: the times, and the place of the face's middle and its width in pixels."""

    person: Person
    begin: float
    end: float
    x: float
    y: float
    width: float
    images: tuple[Look, ...] = ()


@dataclass(frozen=True)
class Shot:
    """Times in seconds; the background; and the light: factors of the colours, a power, and how strong on one side."""

    begin: float
    end: float
    ground: int
    tint: tuple[float, ...]
    power: float
    side: float


# -- people -----------------------------------------------------------------------------------------------------------


class Studio:
    """Takes images of people."""

    def __init__(self, detector: FaceDetector, reader: FaceMesh) -> None:
        self._detector, self._reader = detector, reader

    def look(self, image: Pixels) -> Look | None:
        """The image's only face; None if there is none, or several."""
        image = np.ascontiguousarray(image)
        faces = self._detector.detect(image)
        if len(faces) != 1:
            return None
        mesh = self._reader.read(image, faces[0])
        box = faces[0].box
        return Look(image, mesh, *box.center, max(box.width, box.height))

    def made_up(self, count: int, seed: int) -> list[Person]:
        """People made from the two portraits: mixed, with other proportions, skin and hair."""
        rng = np.random.default_rng([seed, 1])
        found: list[Person] = []
        faces = [_framed(look) for name in ("collins", "hopper") if (look := self.look(portrait(name)))]
        while len(found) < count:
            share = rng.choice([0.0, 0.0, 1.0, 1.0, 0.5])
            image = faces[0] + share * (faces[1] - faces[0])
            image = _reshaped(image[:, ::-1] if rng.random() < 0.5 else image, rng)
            image = 255 * (image / 255) ** rng.uniform(0.75, 1.5) * rng.uniform(0.85, 1.1, 3)
            look = self.look(np.clip(image, 0, 255).astype(np.uint8))
            if look:
                found.append(Person(f"made up {len(found)}", (look,), tuple(rng.uniform(10, 210, 3))))
        return found

    def photographed(self, path: Path, half: int, seed: int) -> list[Person]:
        """People of a half of the photos in a folder or zip file, those with most photos; at most four of each."""
        rng, by_name = np.random.default_rng([seed, 2]), defaultdict(list)
        for name in _photos(path):
            by_name[re.sub(r"_\d+\.\w+$", "", name.rsplit("/", 1)[-1])].append(name)
        found: list[Person] = []
        for who, several in sorted(by_name.items(), key=lambda one: (-len(one[1]), one[0]))[half::2]:
            if len(found) == MOST:
                break
            skin = np.array([0.75, 0.9, 1.05]) * rng.uniform(0.85, 1.1, 3)
            looks: list[Look] = []
            for name in several[:8]:
                image = _photo(path, name)
                if image is None or min(image.shape[:2]) < 120:
                    continue
                if np.ptp(image.astype(int), axis=2).mean() < 4:  # grey: everyone gets a skin
                    image = np.clip(image * skin, 0, 255).astype(np.uint8)
                look = self.look(np.pad(image, ((60, 60), (60, 60), (0, 0)), "edge"))
                if look and look.width > 80 and len(looks) < 4:
                    looks.append(look)
            if looks:
                found.append(Person(who, tuple(looks), tuple(rng.uniform(10, 210, 3))))
        return found


def _photos(path: Path) -> list[str]:
    if path.is_file():
        with zipfile.ZipFile(path) as file:
            return sorted(name for name in file.namelist() if name.endswith((".jpg", ".png")))
    return sorted(p.relative_to(path).as_posix() for p in path.rglob("*") if p.suffix in (".jpg", ".png"))


def _photo(path: Path, name: str) -> Pixels | None:
    if path.is_file():
        with zipfile.ZipFile(path) as file:
            content = file.read(name)
    else:
        content = (path / name).read_bytes()
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    return None if image is None else np.asarray(image, np.uint8)


def _framed(look: Look) -> NDArray[np.float32]:
    """The face of an image in the middle 160 of 320 pixels, float32."""
    scale = 160 / look.width
    matrix = np.array([[scale, 0, 160 - scale * look.x], [0, scale, 160 - scale * look.y]])
    framed = cv2.warpAffine(look.image, matrix, (320, 320), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
    return framed.astype(np.float32)


def _reshaped(image: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """A framed face with other proportions: smooth random shifts of some 6 of its 160 pixels."""
    shifts = rng.normal(0, 6, (2, 6, 6)).astype(np.float32)
    x, y = np.meshgrid(np.arange(320, dtype=np.float32), np.arange(320, dtype=np.float32))
    right, down = (cv2.resize(s, (320, 320), interpolation=cv2.INTER_CUBIC) for s in shifts)
    shaped = cv2.remap(image, x + right, y + down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(shaped, np.float32)


# -- films ------------------------------------------------------------------------------------------------------------


def film(people: Sequence[Person], other_photos: bool, seed: int) -> tuple[list[Shot], list[Seen]]:
    """Shots and who is seen in them, for a film of so many people."""
    rng = np.random.default_rng([seed, 3])
    cast = [people[i] for i in rng.choice(len(people), int(rng.integers(2, 6)), replace=False)]
    home = {p.name: (rng.uniform(0.3, 0.7), rng.uniform(0.4, 0.5), rng.uniform(70, 130)) for p in cast}
    shots: list[Shot] = []
    seen: list[Seen] = []
    now, same_room = 0.0, rng.random() < 0.5
    for number in range(int(rng.integers(4, 8))):
        length = 2.0
        change = rng.random() < 0.6
        shot = Shot(
            now,
            now + length,
            0 if same_room else number,
            tuple(rng.uniform(0.85, 1.15, 3) * rng.uniform(0.7, 1.2)) if change else (1.0, 1.0, 1.0),
            float(rng.uniform(0.8, 1.3)) if change else 1.0,
            float(rng.uniform(-0.5, 0.5)) if change else 0.0,
        )
        both = rng.random() < 0.35
        chosen = [cast[i] for i in rng.choice(len(cast), 2 if both else 1, replace=False)]
        for k, person in enumerate(chosen):
            x, y, width = home[person.name]
            if both:
                x, width = (0.28, 0.72)[k] + rng.uniform(-0.05, 0.05), min(width, 110)
            elif rng.random() < 0.4:
                x, y, width = rng.uniform(0.25, 0.75), rng.uniform(0.38, 0.55), rng.uniform(60, 140)
            images = _images(person, rng, other_photos)
            seen.append(Seen(person, now, now + length, x * WIDTH, y * HEIGHT, width, images))
        now += length
        if not both and rng.random() < 0.4:  # who is seen leaves; after a while somebody comes
            comes = chosen[0] if rng.random() < 0.5 else cast[int(rng.integers(len(cast)))]
            last = seen[-1]
            back = replace(last, person=comes, begin=now + 2.5, end=now + 4.5, x=last.x + rng.uniform(-60, 60))
            seen.append(replace(back, images=_images(comes, rng, other_photos)))
            now += 4.5
            shot = replace(shot, end=now)
        shots.append(shot)
    return shots, seen


def _images(person: Person, rng: np.random.Generator, other_photos: bool) -> tuple[Look, ...]:
    """What is shown of a person in a shot: with a closed or opened mouth, open or shut eyes, tilted and turned."""
    look = person.looks[int(rng.integers(len(person.looks)))] if other_photos else person.looks[0]
    angle, across = rng.uniform(-9, 9), rng.uniform(0.86, 1)
    found = []
    for mouth, lids in ((0.0, 0.0), (rng.uniform(0.03, 0.12), 0.0), (rng.uniform(0, 0.05), rng.uniform(0, 0.7))):
        image = with_mouth(look.image, look.mesh, mouth * look.width) if mouth else look.image
        image = with_lids(image, look.mesh, lids) if lids else image
        found.append(replace(look, image=_turned(rolled(image, angle), look.x, across)))
    return tuple(found)


def _turned(image: Pixels, x: float, across: float) -> Pixels:
    """The image made narrower around ``x``, more so on one side, as a face that turns a little."""
    columns = np.arange(image.shape[1], dtype=np.float32)
    away = columns - x
    source = x + np.where(away > 0, away / across, away / (0.5 + across / 2))
    rows = np.arange(image.shape[0], dtype=np.float32)
    across_map, down_map = np.meshgrid(source.astype(np.float32), rows)
    turned = cv2.remap(image, across_map, down_map, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(turned, np.uint8)


def frames(shots: Sequence[Shot], seen: Sequence[Seen], seed: int) -> Iterator[Pixels]:
    """The film's frames, RGB."""
    grounds = {s.ground: _ground(s.ground, seed) for s in shots}
    light = np.linspace(-1, 1, WIDTH, dtype=np.float32)[None, :, None]
    for n in range(round(shots[-1].end * RATE)):
        time = n / RATE
        shot = next(s for s in shots if s.begin <= time < s.end)
        image = grounds[shot.ground].copy()
        for one in seen:
            if one.begin <= time < one.end:
                _draw(image, one, time)
        lit = 255 * cv2.pow(np.clip(image / 255, 0, 1), shot.power) * np.array(shot.tint, np.float32)
        yield measuring.grained(lit * (1 + shot.side * light), n, 3, seed)[:, :, ::-1]


def _ground(number: int, seed: int) -> NDArray[np.float32]:
    rough = np.random.default_rng([seed, number, 4]).uniform(30, 160, (4, 6, 3)).astype(np.float32)
    return np.asarray(cv2.resize(rough, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), np.float32)


def _draw(image: NDArray[np.float32], one: Seen, time: float) -> None:
    """Clothes, and above them the head with faded edges."""
    look = one.images[int(2 * time) % len(one.images)]
    scale = one.width / look.width
    x, y = one.x + 4 * np.sin(0.9 * time), one.y + 3 * np.sin(1.3 * time)
    shoulders = (round(x), round(y + 1.75 * one.width)), (round(1.1 * one.width), round(one.width))
    cv2.ellipse(image, *shoulders, 0, 0, 360, one.person.clothes, -1, cv2.LINE_AA)
    matrix = np.array([[scale, 0, x - scale * look.x], [0, scale, y - scale * look.y]])
    head = cv2.warpAffine(look.image, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_AREA).astype(np.float32)
    size = (round(0.6 * one.width), round(0.8 * one.width))
    oval = cv2.ellipse(np.zeros((HEIGHT, WIDTH), np.float32), (round(x), round(y)), size, 0, 0, 360, 1, -1)
    inside = cv2.warpAffine(np.ones(look.image.shape[:2], np.float32), matrix, (WIDTH, HEIGHT))
    mask = cv2.GaussianBlur(oval * inside, (0, 0), 0.03 * one.width)[..., None]
    image += mask * (head - image)


# -- the score --------------------------------------------------------------------------------------------------------


def persons(item: FinishedItem, seen: Sequence[Seen]) -> dict[int, str]:
    """Who each face_id is, by its boxes. Left out are those at nobody's place, and those that mix two people."""
    votes: dict[int, Counter[str]] = defaultdict(Counter)
    found = item.timeline[item.timeline["success"]]
    for row in found.to_dict("records"):
        x, y = row["x"] + row["width"] / 2, row["y"] + row["height"] / 2
        for one in seen:
            near = np.hypot(x - one.x, y - one.y) < 0.5 * one.width
            if one.begin - 1e-6 <= row["timestamp"] < one.end and near:
                votes[int(row["face_id"])][one.person.name] += 1
    most = {face_id: count.most_common(1)[0] for face_id, count in votes.items()}
    return {face_id: name for face_id, (name, number) in most.items() if number > 0.9 * votes[face_id].total()}


@dataclass
class Score:
    """Counts over films. A face is missed if its person was seen before and nothing right is suggested."""

    faces: int = 0
    again: int = 0
    right: int = 0
    wrong: int = 0

    def add(self, item: FinishedItem, who: dict[int, str]) -> None:
        order = item.timeline[item.timeline["success"]].groupby("face_id")["timestamp"].min().sort_values()
        before: set[str] = set()
        for face_id in order.index:
            if face_id in who:
                self.faces += 1
                self.again += who[face_id] in before
                before.add(who[face_id])
        for pair in alike(item):
            if pair.face_id in who and pair.earlier in who:
                same = who[pair.face_id] == who[pair.earlier]
                self.right += same
                self.wrong += not same


def measure(people: Sequence[Person], films: int, other_photos: bool, seed: int, work: Path) -> Score:
    """Make the films, analyse them and score the suggestions."""
    inputs = work / "films"
    cast = {}
    for n in range(films):
        shots, cast[f"{n:03}.mp4"] = film(people, other_photos, 1000 * seed + n)
        inputs.mkdir(parents=True, exist_ok=True)
        path = inputs / f"{n:03}.mp4"
        if not path.exists():
            write_video(
                path,
                frames(shots, cast[path.name], 1000 * seed + n),
                RATE,
                options={"crf": str(QUALITY[n % len(QUALITY)]), "preset": "veryfast"},
            )
    measuring.analyze(inputs, work / "results", "--no-video")
    score = Score()
    for key, seen in cast.items():
        item = FinishedItem.of(work / "results", key)
        score.add(item, persons(item, seen))
    return score


def main() -> None:
    arguments = measuring.parser(__doc__)
    arguments.add_argument("--photos", type=Path, help="folder or zip file of photos named NAME_NUMBER.jpg")
    arguments.add_argument("--films", type=int, default=40, help="films per row (default: 40)")
    arguments.add_argument("--work", type=Path, help="a folder for films and results (default: a temporary one)")
    given = arguments.parse_args()
    measuring.head("people", "half", "films", "faces", "seen before", "right", "wrong", "missed", "right of suggested")
    with FaceDetector() as detector, FaceMesh() as reader, tempfile.TemporaryDirectory() as temporary:
        studio = Studio(detector, reader)
        for half, name in enumerate(("first", "second")):
            if given.photos:
                people = studio.photographed(given.photos, half, half)
                kinds = [("one photo each", people, False)]
                kinds += [("one of several photos in each shot", [p for p in people if len(p.looks) > 1], True)]
            else:
                kinds = [("made up", studio.made_up(24, half), False)]
            for kind, cast, other_photos in kinds:
                work = (given.work or Path(temporary)) / f"{kind} {name}".replace(" ", "_")
                score = measure(cast, given.films, other_photos, half, work)
                suggested = score.right + score.wrong
                share = measuring.percent(score.right / suggested, wilson(score.right, suggested)) if suggested else ""
                counts = given.films, score.faces, score.again, score.right, score.wrong, score.again - score.right
                measuring.row(f"{kind} ({len(cast)})", name, *counts, share)


if __name__ == "__main__":
    main()
