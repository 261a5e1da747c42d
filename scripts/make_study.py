"""A made-up study: short videos of eight people who rest, watch a comedy and watch a farewell, with all files around.

    python scripts/make_study.py FOLDER [--people N]

FOLDER gets recordings/, participants.csv (two conditions), people.csv (which face is who), events.csv, the codes of two
coders of smiles, and what the label of these means, labels.txt. The faces are the two portraits of the demo, in the
public domain: a person rests as one and smiles as the other, so the answers are known. Before the farewell the
recordings have a cut to another camera; in company, a smiling companion sits beside the participant. The chapter "A
study from beginning to end" of docs/guide.md uses it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import measuring
import numpy as np
from numpy.typing import NDArray

from fermedia.commands.demo import FACES, _paste, _read
from fermedia.files import whole_file
from tests.videos import write_video

WIDTH, HEIGHT, RATE, LENGTH = 480, 270, 12, 24.0

#: The events that all see: label, begin and end in seconds.
EVENTS = (("rest", 0.0, 4.0), ("comedy", 6.0, 12.0), ("farewell", 15.0, 21.0))

#: The conditions, and how much longer the smiles are in each, in seconds.
CONDITIONS = {"alone": 0.0, "company": 1.5}

#: When another camera takes over, in seconds.
CUT = 13.5

#: The companion of those who are in company.
COMPANION = "companion"

#: How long a smile takes to appear or to vanish, in seconds.
_FADE = 0.4


@dataclass(frozen=True)
class Person:
    """A person: name, condition, and the begin and end of the smiles in seconds."""

    name: str
    condition: str
    smiles: tuple[tuple[float, float], ...]
    tint: tuple[float, float, float]
    place: tuple[float, float, float]

    @property
    def in_company(self) -> bool:
        return CONDITIONS[self.condition] > 0


def people(count: int, seed: int = 1) -> list[Person]:
    """Made-up people; all smile at the comedy, a few of them shortly at the farewell, too."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        condition = list(CONDITIONS)[number % len(CONDITIONS)]
        begin = EVENTS[1][1] + rng.uniform(0.4, 1.4)
        smiles = [(begin, begin + rng.uniform(1.5, 3.0) + CONDITIONS[condition])]
        if number % 4 == 3:
            again = EVENTS[2][1] + rng.uniform(1, 3)
            smiles.append((again, again + 0.8))
        tint = tuple(rng.uniform(0.85, 1.1, 3).tolist())
        place = (rng.uniform(0.35, 0.5) * WIDTH, rng.uniform(0.45, 0.55) * HEIGHT, rng.uniform(80, 105))
        found.append(Person(f"p{number + 1:02}", condition, tuple(smiles), tint, place))
    return found


def write_study(folder: Path, count: int = 8) -> list[Person]:
    """Write the study into ``folder``."""
    persons = people(count)
    portraits = {name: _read(name) for name in FACES}
    (folder / "recordings").mkdir(parents=True, exist_ok=True)
    for person in persons:
        images = (_image(person, n / RATE, portraits) for n in range(int(LENGTH * RATE)))
        write_video(folder / "recordings" / f"{person.name}.mp4", images, RATE)
    rows: list[Sequence[Any]] = [(p.name, p.condition) for p in persons]
    _write(folder / "participants.csv", ("participant", "condition"), rows)
    rows = []
    for p in persons:  # faces are numbered by their size, and anew after the cut
        seen = [p.name, COMPANION] if p.in_company else [p.name]
        rows += [(f"{p.name}.mp4", number, name) for number, name in enumerate(2 * seen)]
    _write(folder / "people.csv", ("item", "face_id", "person"), rows)
    rows = [(f"{p.name}.mp4", begin, end, label) for p in persons for label, begin, end in EVENTS]
    _write(folder / "events.csv", ("item", "begin", "end", "label"), rows)
    rng = np.random.default_rng(2)
    for coder in ("anna", "ben"):
        rows = []
        for p in persons:
            for begin, end in p.smiles:
                early, late = rng.normal(0, 0.15, 2)
                rows.append((f"{p.name}.mp4", f"{begin + early:.2f}", f"{end + late:.2f}", "smile", p.name))
        _write(folder / f"codes_{coder}.csv", ("item", "begin", "end", "label", "person"), rows)
    with whole_file(folder / "labels.txt") as path:
        path.write_text("smile = happy\n", encoding="utf-8")
    return persons


def _image(person: Person, time: float, portraits: dict[str, Any]) -> NDArray[np.uint8]:
    """The frame at a time in seconds: RGB, uint8."""
    smile = max(np.clip(min(time - begin, end - time) / _FADE + 0.5, 0, 1) for begin, end in person.smiles)
    x, y, width = person.place
    x, y = x + 3 * np.sin(0.9 * time), y + 2 * np.sin(1.3 * time + 1)  # nobody sits quite still
    ground = (52, 60, 66)
    if time >= CUT:
        x, width, ground = x - 0.1 * WIDTH, 0.8 * width, (96, 82, 58)
    faces = []
    for name in ("hopper", "collins"):
        image = np.full((HEIGHT, WIDTH, 3), ground, np.float32)
        _paste(image, portraits[name], FACES[name], (x, y, width))
        faces.append(image)
    mixed = faces[0] + float(smile) * (faces[1] - faces[0])
    if person.in_company:
        mirrored = np.ascontiguousarray(portraits["collins"][:, ::-1])
        left, top, wide = FACES["collins"]
        beside = (0.84 if time < CUT else 0.7) * WIDTH - 2 * np.sin(0.7 * time), 0.56 * HEIGHT, 0.55 * width
        _paste(mixed, mirrored, (mirrored.shape[1] - left, top, wide), beside)
    return np.clip(mixed * np.array(person.tint), 0, 255).astype(np.uint8)


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def main() -> None:
    arguments = measuring.parser(__doc__)
    arguments.add_argument("folder", type=Path, help="a new folder")
    arguments.add_argument("--people", type=int, default=8, help="number of people (default: 8)")
    given = arguments.parse_args()
    persons = write_study(given.folder, given.people)
    tables = "participants.csv, people.csv, events.csv"
    print(f"{len(persons)} recordings, {tables} and the codes of two coders in {given.folder}")


if __name__ == "__main__":
    main()
