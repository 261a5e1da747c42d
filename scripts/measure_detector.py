"""What each detection preset finds, what it takes for a face by mistake, and what it costs. Prints Markdown tables.

python scripts/measure_detector.py [--quick] [--only faces|squares|false|cost]
python scripts/measure_detector.py --only parity [--photos FOLDER]    with the extra mediapipe

Composites: the two public-domain portraits of the demo, mirrored, darkened, in grey or colour, are set into
scikit-image's images without a human face. A face counts as found when a reported box overlaps its own by half
(intersection over union); every reported box that no face answers to is false. ``balanced`` is measured twice: as it
looks at a video's frames, and as at single images (``detect(..., still=True)``). Parity compares the networks in
LiteRT with the same in Google's mediapipe, on composites and on all photos below a folder.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import av
import cv2
import measuring
import numpy as np
from measuring import Image as Pixels
from skimage import data

import fermedia
from fermedia.media.frames import VideoImage
from fermedia.media.photos import read_photo
from fermedia.options import PRESETS
from fermedia.types import Box, Face, Image
from fermedia.vision import tiles

#: Portrait -> the middle (x, y) and the width of its face's box; the sides that are cut out around it, in widths.
PORTRAITS = {"collins.jpg": (224, 122, 100), "hopper.jpg": (264, 237, 190)}
SCOPE = 2.3

#: Looked at one by one: no human face in any (a cat's in ``cat``).
FACELESS = (
    *("brick", "cat", "cell", "clock", "coffee", "colorwheel", "grass", "gravel", "horse", "hubble_deep_field"),
    *("immunohistochemistry", "logo", "microaneurysms", "moon", "page", "retina", "rocket", "text"),
)

#: Column -> preset, and whether the image is shown as a single one.
COLUMNS = {
    "fast": ("fast", True),
    "balanced, video": ("balanced", False),
    "balanced, photo": ("balanced", True),
    "thorough": ("thorough", True),
}

SIZES = ((500, 400), (1280, 720), (1920, 1080))
WIDTHS = (12, 16, 20, 24, 32, 40, 48, 64, 96, 128, 192, 288)

#: An image, RGB, and the boxes of the faces in it.
Scene = tuple[Pixels, list[Box]]
#: The middle and the width of a face's box.
Spot = tuple[float, float, float]


class Studio:
    """Makes scenes; the same seed makes the same ones."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        folder = Path(fermedia.__file__).parent / "commands" / "portraits"
        self._heads = []
        for name, (x, y, width) in PORTRAITS.items():
            half = round(width * SCOPE / 2)
            bordered = np.pad(read_photo(folder / name).rgb(), ((half, half), (half, half), (0, 0)), "edge")
            self._heads.append(bordered[y : y + 2 * half, x : x + 2 * half])
        self._backgrounds = [_color(getattr(data, name)()) for name in FACELESS] + [_color(data.stereo_motorcycle()[0])]

    def background(self, size: tuple[int, int]) -> Pixels:
        """A part of an image without a face, of ``size`` (width, height); one in five is made of noise."""
        width, height = size
        if self.random.random() < 0.2:
            coarse = self.random.integers(0, 256, (int(self.random.integers(2, 60)),) * 2 + (3,)).astype(np.uint8)
            return np.asarray(cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC), np.uint8)
        source = self._backgrounds[self.random.integers(len(self._backgrounds))]
        factor = max(width / source.shape[1], height / source.shape[0]) * self.random.uniform(1, 1.5)
        method = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
        large = cv2.resize(source, None, fx=factor, fy=factor, interpolation=method)
        large = cv2.copyMakeBorder(large, 0, 1, 0, 1, cv2.BORDER_REPLICATE)
        top, left = (self.random.integers(0, large.shape[i] - size[1 - i] + 1) for i in (0, 1))
        return np.ascontiguousarray(large[top : top + height, left : left + width])

    def scene(self, size: tuple[int, int], faces: Sequence[Spot], roll: float = 0) -> Scene:
        """Faces, each rolled ``roll`` degrees to one side or the other, on a background."""
        image = self.background(size)
        for spot in faces:
            self._paste(image, *spot, roll * self.random.choice((-1, 1)))
        return image, [Box(x - width / 2, y - width / 2, width, width) for x, y, width in faces]

    def spread(self, size: tuple[int, int], width: float, count: int) -> list[Spot]:
        """``count`` faces of a width, or as many as the image holds, each somewhere in a cell of a grid."""
        across = max(1, min(int(size[0] / (1.6 * width)), round((count * size[0] / size[1]) ** 0.5)))
        down = max(1, min(int(size[1] / (1.6 * width)), -(-count // across)))
        cells = [(i, j) for i in range(across) for j in range(down)]
        self.random.shuffle(cells)
        cell = np.array(size) / (across, down)
        free = np.maximum(0, cell - 1.5 * width) / 2
        middles = [(np.array(at) + 0.5) * cell + self.random.uniform(-free, free) for at in cells[:count]]
        return [(x, y, width) for x, y in np.array(middles).tolist()]

    def _paste(self, image: Pixels, x: float, y: float, width: float, roll: float) -> None:
        head = self._heads[self.random.integers(len(self._heads))]
        if self.random.random() < 0.5:
            head = head[:, ::-1]
        if self.random.random() < 0.3:
            head = _color((head @ [0.299, 0.587, 0.114]).astype(np.uint8))
        light = (head / np.float32(255)) ** np.exp(self.random.normal(0, 0.25)) * self.random.uniform(0.7, 1)
        u = np.abs((np.arange(head.shape[0]) + 0.5) / head.shape[0] * 2 - 1) ** 4
        mask = np.clip((1 - (u[:, None] + u[None]) ** 0.25) * 6, 0, 1)
        # Premultiplied, so that the soft edge stays clean; averaged before it is turned, so that it does not alias.
        patch = np.dstack([light * mask[:, :, None], mask]).astype(np.float32)
        side = min(head.shape[0], round(width * SCOPE))
        patch = np.asarray(cv2.resize(patch, (side, side), interpolation=cv2.INTER_AREA), np.float32)
        turn = cv2.getRotationMatrix2D((side / 2 - 0.5, side / 2 - 0.5), roll, width * SCOPE / side)
        reach = width * SCOPE * 0.75
        top, left = max(0, int(y - reach)), max(0, int(x - reach))
        part = image[top : max(0, int(y + reach)), left : max(0, int(x + reach))]
        turn[:, 2] += np.array([x - left, y - top]) - side / 2
        laid = cv2.warpAffine(patch, turn, part.shape[1::-1], flags=cv2.INTER_LINEAR)
        part[...] = np.clip(laid[:, :, :3] * 255 + part * (1 - laid[:, :, 3:]), 0, 255).astype(np.uint8)


def _color(image: Pixels) -> Pixels:
    if image.dtype == bool:
        image = image.astype(np.uint8) * 255
    return np.repeat(image[:, :, None], 3, axis=2) if image.ndim == 2 else image[:, :, :3]


# -- counting -----------------------------------------------------------------------------------------------------


@dataclass
class Count:
    """Faces shown, faces found, boxes that are false, images."""

    faces: int = 0
    found: int = 0
    false: int = 0
    images: int = 0

    def add(self, faces: list[Box], boxes: list[Box]) -> None:
        """One image's result. Each face takes one box; a second one on it is false."""
        found = sum(any(face.iou(box) >= 0.5 for box in boxes) for face in faces)
        self.faces += len(faces)
        self.found += found
        self.false += len(boxes) - found
        self.images += 1

    def add_all(self, other: Count) -> None:
        """What another one counted, too."""
        for name, number in vars(other).items():
            setattr(self, name, getattr(self, name) + number)

    def __str__(self) -> str:
        false = f"{self.false / self.images:.2f}" if self.false else "0"
        if not self.faces:
            return false
        return f"{100 * self.found / self.faces:.0f}" + (f" ({false})" if self.false else "")


#: Everything that was shown, by column.
TOTALS: dict[str, Count] = {}

Detect = Callable[[Pixels | Image], Sequence[Face]]


def head(title: str, rows: tuple[str, str], detectors: dict[str, Detect]) -> None:
    """Print a table's head."""
    print(f"\n**{title}**\n")
    measuring.head(*rows, *detectors)


def row(label: str, scenes: Iterable[Scene], detectors: dict[str, Detect]) -> None:
    """Print one row of a table: how many faces (or images) it rests on, and each detector's count."""
    counts = {name: Count() for name in detectors}
    for image, faces in scenes:
        for name, detect in detectors.items():
            counts[name].add(faces, [face.box for face in detect(image[:, :, ::-1])])
    first = next(iter(counts.values()))
    measuring.row(label, first.faces or first.images, *counts.values())
    for name, count in counts.items():
        TOTALS.setdefault(name, Count()).add_all(count)


def measure_total(detectors: dict[str, Detect]) -> None:
    """Precision: how many of all boxes are faces."""
    head("All images above: precision in %, false boxes of all boxes", ("", "images"), detectors)
    cells = [f"{100 * n.found / (n.found + n.false):.1f}, {n.false} of {n.found + n.false}" for n in TOTALS.values()]
    measuring.row("", TOTALS[next(iter(TOTALS))].images, *cells)


def measure_faces(detectors: dict[str, Detect], images: int) -> None:
    """By size, roll, place at the edge, and number."""
    for size in SIZES:
        title = f"Size, in {size[0]}x{size[1]}: recall in % (false boxes an image, if any)"
        head(title, ("width", "faces"), detectors)
        for width in (*(w for w in WIDTHS if w <= 0.7 * size[1]), size[1], round(1.3 * size[1])):
            studio = Studio(width)
            label = f"{width}" + ("" if width < size[1] else " (fills the height)")
            scenes = (studio.scene(size, studio.spread(size, width, 4)) for _ in range(images))
            row(label, scenes, detectors)
    size = (1280, 720)
    head("Roll, in 1280x720, faces of 120 pixels", ("degrees", "faces"), detectors)
    for roll in (0, 15, 30, 45, 60, 75, 90):
        studio = Studio(roll)
        row(str(roll), (studio.scene(size, studio.spread(size, 120, 3), roll) for _ in range(images)), detectors)
    head("Cut by the image's edge, in 1280x720, faces of 150 pixels", ("share outside", "faces"), detectors)
    for share in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5):
        studio = Studio(round(share * 10))
        inset = 75 - share * 150
        edges = [(inset, 360.0), (1280 - inset, 360.0), (640.0, inset), (640.0, 720 - inset)]
        row(f"{share:.0%}", (studio.scene(size, [(*edges[i % 4], 150)]) for i in range(2 * images)), detectors)
    head("Number, in 1280x720, faces of 70 to 110 pixels", ("in an image", "faces"), detectors)
    for number in (1, 2, 5, 10, 20, 30):
        studio = Studio(number)
        widths = studio.random.uniform(70, 110, images)
        row(str(number), (studio.scene(size, studio.spread(size, width, number)) for width in widths), detectors)


def measure_false(detectors: dict[str, Detect], images: int) -> None:
    """Images without a face."""
    head("Without a face: false boxes an image", ("image", "images"), detectors)
    for size in SIZES:
        studio = Studio(size[0])
        row(f"{size[0]}x{size[1]}", (studio.scene(size, []) for _ in range(8 * images)), detectors)


def measure_squares(detectors: dict[str, Detect], images: int) -> None:
    """What the smallest square of a thorough search is worth: faces of 24 and 20 pixels in 1920x1080."""
    size, before, before_side = (1920, 1080), tiles._THOROUGH_SHARE, tiles._LEAST_SIDE
    print("\n**The smallest square of thorough, in 1920x1080: recall in %, of faces of so many pixels**\n")
    measuring.head("side", "squares", "faces", "24 pixels", "20 pixels")
    for least in (240, 192, 160):
        tiles._THOROUGH_SHARE, tiles._LEAST_SIDE = least / size[0], min(least, before_side)
        counts = []
        for width in (24, 20):
            studio, count = Studio(99), Count()
            for _ in range(2 * images):
                image, faces = studio.scene(size, studio.spread(size, width, 9))
                count.add(faces, [face.box for face in detectors["thorough"](image[:, :, ::-1])])
            counts.append(count)
        squares = len(tiles.overlapping(*size, levels=None))
        measuring.row(least, squares, counts[0].faces, *counts)
    tiles._THOROUGH_SHARE, tiles._LEAST_SIDE = before, before_side


def measure_cost(detectors: dict[str, Detect], images: int) -> None:
    """Processor time, all threads together, for decoded frames; the median."""
    title = "Milliseconds of processor time a frame: with one face of a third of its height, with none"
    head(title, ("frame", "frames"), detectors)
    for size in ((640, 360), *SIZES):
        studio = Studio(size[0])
        kinds: tuple[list[Spot], ...] = ([(size[0] / 2, size[1] / 2, size[1] / 3)], [])
        shown = [[studio.scene(size, faces)[0] for _ in range(2 * images)] for faces in kinds]
        cells = [", ".join(f"{_median_cost(detect, shots):.0f}" for shots in shown) for detect in detectors.values()]
        measuring.row(f"{size[0]}x{size[1]}", 2 * images, *cells)


def measure_parity(images: int, photos: Path | None) -> None:
    """The same faces by either runtime, as single images are searched by ``balanced``."""
    print("\n**The same faces in LiteRT and in mediapipe**\n")
    measuring.head("images", "number", "LiteRT", "mediapipe", "both", "width apart, median", "overlap, median")
    kinds: dict[str, Sequence[Pixels | Image]] = {}
    for size in SIZES:
        studio = Studio(size[0] + 1)
        spots = [studio.spread(size, width, 4) for width in (32, 64, 128, 192) for _ in range(images)]
        kinds[f"{size[0]}x{size[1]}"] = [studio.scene(size, faces)[0][:, :, ::-1] for faces in [*spots, *[[]] * images]]
    if photos is not None:
        paths = sorted(path for path in photos.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
        kinds[photos.name] = [read_photo(path) for path in paths]
    with fermedia.FaceDetector() as ours, fermedia.FaceDetector(runtime="mediapipe") as theirs:
        for name, shown in kinds.items():
            counts, apart, overlaps = [0, 0, 0], [], []
            for image in shown:
                mine, google = ([face.box for face in detector.detect(image)] for detector in (ours, theirs))
                pairs = [(a, max(google, key=a.iou)) for a in mine if any(a.iou(b) > 0.5 for b in google)]
                counts = [n + m for n, m in zip(counts, (len(mine), len(google), len(pairs)), strict=True)]
                apart += [abs(a.width - b.width) / b.width for a, b in pairs]
                overlaps += [a.iou(b) for a, b in pairs]
            medians = f"{statistics.median(apart):.2%}", f"{statistics.median(overlaps):.3f}"
            measuring.row(name, len(shown), *counts, *medians)


def _median_cost(detect: Detect, images: list[Pixels]) -> float:
    frames = (av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p") for image in images)
    return statistics.median(measuring.milliseconds(partial(detect, VideoImage(frame))) for frame in frames)


def main() -> None:
    """Print the tables."""
    parser = measuring.parser(__doc__)
    parser.add_argument("--quick", action="store_true", help="a quarter of the images")
    parser.add_argument("--only", choices=("faces", "squares", "false", "cost", "parity"))
    parser.add_argument("--photos", type=Path, help="a folder of photos, for parity")
    arguments = parser.parse_args()
    if arguments.only == "parity":
        measure_parity(2 if arguments.quick else 8, arguments.photos)
        return
    made = {preset: fermedia.FaceDetector(preset=preset) for preset in PRESETS}
    detectors: dict[str, Detect] = {k: partial(made[name].detect, still=still) for k, (name, still) in COLUMNS.items()}
    images = 2 if arguments.quick else 8
    tables = {"faces": measure_faces, "false": measure_false, "squares": measure_squares, "cost": measure_cost}
    for name, measure in tables.items():
        if arguments.only in (None, name):
            measure(detectors, images)
        if name == "false" and arguments.only is None:
            measure_total(detectors)


if __name__ == "__main__":
    main()
