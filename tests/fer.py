"""Small made-up FER-2013 sets: drawn faces whose mouth and brows follow their label, in every form people have."""

from __future__ import annotations

import csv
import zipfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fermedia.types import EMOTIONS

USAGES = {"train": "Training", "public": "PublicTest", "private": "PrivateTest"}

#: Mouth (height of its corners, opening), brows (slope, height), in pixels of 48, by emotion.
_LOOKS = {
    "angry": (2, 0, 4, 1),
    "disgust": (3, 2, 2, 2),
    "fear": (1, 4, -3, -2),
    "happy": (-5, 1, 0, 0),
    "sad": (4, 0, -4, 0),
    "surprise": (0, 7, 0, -3),
    "neutral": (0, 0, 0, 0),
}

_VOTES = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown")


@dataclass(frozen=True)
class Made:
    """One made-up image; ``number`` is unique in the set."""

    split: str
    label: int
    number: int
    pixels: NDArray[np.uint8]

    @property
    def name(self) -> str:
        """Kaggle's path of it."""
        top = "train" if self.split == "train" else "test"
        return f"{top}/{EMOTIONS[self.label]}/{USAGES[self.split]}_{self.number}.jpg"


def draw_face(label: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A face of (48, 48) grey values that shows an emotion; place, greys and noise vary."""
    corners, opening, slope, height = _LOOKS[EMOTIONS[label]]
    dx, dy = rng.integers(-2, 3, 2)
    background, skin = int(rng.integers(20, 110)), int(rng.integers(150, 230))
    face = np.full((192, 192), background, np.uint8)

    def at(x: float, y: float) -> tuple[int, int]:
        return round(4 * (x + dx)), round(4 * (y + dy))

    cv2.ellipse(face, at(24, 25), (72, 92), 0, 0, 360, skin, -1)
    for side in (-1, 1):
        cv2.circle(face, at(24 + 8 * side, 19), 10, 30, -1)
        brow = at(24 + 12 * side, 13 + height - slope / 2), at(24 + 4 * side, 13 + height + slope / 2)
        cv2.line(face, *brow, 40, 7)
    mouth = [at(24 + x, 36 - corners * (1 - (x / 9) ** 2) + corners / 2) for x in range(-9, 10, 3)]
    if opening < 3:
        cv2.polylines(face, [np.array(mouth)], False, 50, 7)
    if opening:
        cv2.ellipse(face, at(24, 36), (22, 4 * opening), 0, 0, 360, 20, -1)
    small = cv2.resize(face, (48, 48), interpolation=cv2.INTER_AREA).astype(float)
    return np.clip(small + rng.normal(0, 4, small.shape), 0, 255).astype(np.uint8)


def make_set(train: int = 4, public: int = 2, private: int = 2, seed: int = 0) -> list[Made]:
    """So many images per class and split, in the order of the original table: train, public, private."""
    rng = np.random.default_rng(seed)
    made: list[Made] = []
    for split, count in (("train", train), ("public", public), ("private", private)):
        for label in range(len(EMOTIONS)):
            for _ in range(count):
                made.append(Made(split, label, 1000 + len(made), draw_face(label, rng)))
    return made


def write_folder(path: Path, images: list[Made]) -> Path:
    """Kaggle's folder, as JPEG."""
    for image in images:
        file = path / image.name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(_jpeg(image))
    return path


def write_zip(path: Path, images: list[Made], top: str = "") -> Path:
    """A zip of Kaggle's folder, below one more folder if ``top`` names it."""
    with zipfile.ZipFile(path, "w") as file:
        for image in images:
            file.writestr(f"{top}/{image.name}" if top else image.name, _jpeg(image))
    return path


def write_csv(path: Path, images: list[Made]) -> Path:
    """The original table; with icml_face_data.csv's order and blanks in the column names if it is called so."""
    icml = path.name == "icml_face_data.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["emotion", " Usage", " pixels"] if icml else ["emotion", "pixels", "Usage"])
        for image in images:
            pixels, usage = " ".join(map(str, image.pixels.ravel())), USAGES[image.split]
            writer.writerow([image.label, usage, pixels] if icml else [image.label, pixels, usage])
    return path


def write_votes(path: Path, images: list[Made], votes: NDArray[np.int64]) -> Path:
    """FER+ votes (n, 10): Microsoft's form if the file is called fer2013new.csv, else by the images' paths."""
    microsoft = path.name == "fer2013new.csv"
    first = ["Usage", "Image name"] if microsoft else ["image"]
    last = "NF" if microsoft else "not_a_face"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*first, *_VOTES, last])
        for i, (image, row) in enumerate(zip(images, votes, strict=True)):
            key = [USAGES[image.split], f"fer{i:07d}.png"] if microsoft else [image.name]
            writer.writerow([*key, *row])
    return path


def agreeing_votes(images: list[Made], strength: int = 8) -> NDArray[np.int64]:
    """Votes (n, 10) of a crowd that sees what the labels say, but for two votes for neutral or happy."""
    columns = [4, 5, 6, 1, 3, 2, 0]
    votes = np.zeros((len(images), 10), np.int64)
    for row, image in zip(votes, images, strict=True):
        row[columns[image.label]] = strength
        row[1 if EMOTIONS[image.label] == "neutral" else 0] = 10 - strength
    return votes


def _jpeg(image: Made) -> bytes:
    buffer = BytesIO()
    Image.fromarray(image.pixels).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()
