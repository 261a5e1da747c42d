"""Measure a network's accuracy on degraded faces: small, blurred, noisy, dark, compressed, badly framed."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from fermedia.files import counted
from fermedia.training.dataset import Split
from fermedia.types import EMOTIONS, Gray
from fermedia.vision.classify import Classifier
from fermedia.vision.framing import cut_square

#: Number of images that are degraded and classified together.
_BATCH = 64


@dataclass(frozen=True)
class Trouble:
    """One way of degrading a face.

    Attributes:
        name: Its name, for users.
        unit: The unit of the strengths.
        unchanged: The strength of the unchanged images; it need not be among ``strengths``.
        strengths: The strengths to measure, in increasing order.
        apply: Degrades a face, (48, 48), uint8, with a strength. Returns one or more such faces: one for each direction
            of the change, such as left and right.
    """

    name: str
    unit: str
    unchanged: float
    strengths: tuple[float, ...]
    apply: Callable[[Gray, float], Sequence[Gray]]


def _resized(face: Gray, side: float) -> list[Gray]:
    """The face as if seen with ``side`` pixels, then resized to its former size as ``framing.crop_face`` does."""
    length = round(side)
    method = cv2.INTER_AREA if length < len(face) else cv2.INTER_CUBIC
    seen = np.asarray(cv2.resize(face, (length, length), interpolation=method), np.uint8)
    return [cut_square(seen, (length / 2, length / 2), length, len(face))]


def _blurred(face: Gray, sigma: float) -> list[Gray]:
    return [np.asarray(cv2.GaussianBlur(face, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE), np.uint8)]


def _noisy(face: Gray, sigma: float) -> list[Gray]:
    """Add noise that depends only on the face, so that the order and selection of faces do not change it."""
    noise = np.random.default_rng(zlib.crc32(face.tobytes())).normal(0, sigma, face.shape)
    return [_clipped(face.astype(float) + noise)]


def _brighter(face: Gray, offset: float) -> list[Gray]:
    return [_clipped(face.astype(float) + offset)]


def _exposed(face: Gray, factor: float) -> list[Gray]:
    return [_clipped(face.astype(float) * factor)]


def _contrasted(face: Gray, factor: float) -> list[Gray]:
    return [_clipped((face.astype(float) - 128) * factor + 128)]


def _compressed(face: Gray, quality: float) -> list[Gray]:
    _, content = cv2.imencode(".jpg", face, [cv2.IMWRITE_JPEG_QUALITY, round(quality)])
    return [np.asarray(cv2.imdecode(content, cv2.IMREAD_GRAYSCALE), np.uint8)]


def _shifted(face: Gray, percent: float) -> list[Gray]:
    """Shift the frame by a percentage of its side, in eight directions."""
    side = len(face)
    turns = np.arange(8) * np.pi / 4
    steps = np.stack([np.cos(turns), np.sin(turns)], 1) * side * percent / 100
    return [cut_square(face, (side / 2 + x, side / 2 + y), side, side) for x, y in steps]


def _reframed(face: Gray, percent: float) -> list[Gray]:
    side = len(face)
    return [cut_square(face, (side / 2, side / 2), side * (1 + percent / 100), side)]


def _rolled(face: Gray, degrees: float) -> list[Gray]:
    """Rotate the face to the left and to the right."""
    side, middle = len(face), (len(face) - 1) / 2
    turns = [cv2.getRotationMatrix2D((middle, middle), angle, 1) for angle in (-degrees, degrees)]
    return [np.asarray(cv2.warpAffine(face, t, (side, side), borderMode=cv2.BORDER_REPLICATE), np.uint8) for t in turns]


def _clipped(values: NDArray[np.floating]) -> Gray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


#: The degradations to measure. Lengths are in pixels of FER-2013's frame of 48x48, whose side is 1.175 times that of
#: the detector's box.
TROUBLES = (
    Trouble("face size", "pixels", 48, (12, 16, 20, 24, 32, 48, 64, 96), _resized),
    Trouble("blur", "sigma, pixels", 0, (0.5, 1, 1.5, 2, 3), _blurred),
    Trouble("noise", "sigma, grey values", 0, (5, 10, 20, 30), _noisy),
    Trouble("brightness", "grey values added", 0, (-80, -40, 40, 80), _brighter),
    Trouble("exposure", "factor", 1, (0.125, 0.25, 0.5, 1.5, 2), _exposed),
    Trouble("contrast", "factor", 1, (0.125, 0.25, 0.5, 1.5, 2), _contrasted),
    Trouble("JPEG quality", "of 100", 100, (10, 20, 30, 50, 70, 90), _compressed),
    Trouble("framing, shift", "% of the side", 0, (5, 10), _shifted),
    Trouble("framing, size", "% larger", 0, (-20, -10, 10, 20), _reframed),
    Trouble("roll", "degrees", 0, (5, 10, 15, 20, 30), _rolled),
)


def measure_robustness(classifier: Classifier, split: Split, sample: int) -> dict[str, Any]:
    """Measure the accuracy of a classifier on unchanged faces and with every strength of ``TROUBLES``.

    The result is the same in every run.

    Args:
        classifier: The classifier.
        split: The faces and labels.
        sample: Maximum number of images to use: always the same ones, each class in its proportion, spread evenly over
            the split.

    Returns:
        Plain values for JSON:

        - ``n``, ``head``; ``accuracy`` and ``balanced_accuracy`` (mean recall of the classes that have images) of the
          unchanged images;
        - ``troubles``: for each degradation its ``name``, ``unit``, ``unchanged`` and ``rows``. A row has
          ``strength``, ``accuracy`` and ``balanced_accuracy`` (means over the directions), ``change`` (of the accuracy
          against the unchanged images) and ``change_interval`` (95 %, normal, of the difference on the same images).
    """
    chosen = split.pick(_spread(split.labels, sample))
    n = len(chosen)
    total = 1 + sum(len(t.apply(chosen.images[0], s)) for t in TROUBLES for s in t.strengths if s != t.unchanged)
    with tqdm(total=n * total, desc="robustness", unit="face", leave=False, disable=None) as bar:

        def hits(apply: Callable[[Gray, float], Sequence[Gray]], strength: float) -> NDArray[np.float64]:
            """For each image the share of its variants that are classified correctly, (n,)."""
            shares = []
            for start in range(0, n, _BATCH):
                labels = chosen.labels[start : start + _BATCH]
                variants = np.stack([np.stack(apply(f, strength)) for f in chosen.images[start : start + _BATCH]])
                answers = classifier.predict(variants.reshape(-1, *variants.shape[2:])).argmax(1)
                shares.append((answers.reshape(variants.shape[:2]) == labels[:, None]).mean(1))
                bar.update(len(answers))
            return np.concatenate(shares)

        plain = hits(lambda face, _: [face], 0)
        troubles = []
        for trouble in TROUBLES:
            rows = []
            for strength in trouble.strengths:
                worse = plain if strength == trouble.unchanged else hits(trouble.apply, strength)
                rows.append({"strength": strength, **_scores(worse, chosen.labels), **_change(worse - plain)})
            troubles.append({"name": trouble.name, "unit": trouble.unit, "unchanged": trouble.unchanged, "rows": rows})
    return {"n": n, "head": classifier.labels, **_scores(plain, chosen.labels), "troubles": troubles}


def _spread(labels: NDArray[np.int64], sample: int) -> NDArray[np.intp]:
    """At most ``sample`` indices in increasing order: each label in its proportion, evenly spaced within each label."""
    n = min(sample, len(labels))
    return np.sort(np.argsort(labels, kind="stable")[np.arange(n) * len(labels) // n])


def _scores(shares: NDArray[np.float64], labels: NDArray[np.int64]) -> dict[str, float]:
    """Accuracy and balanced accuracy from the correct shares (n,) of the images."""
    recalls = [shares[labels == c].mean() for c in range(len(EMOTIONS)) if (labels == c).any()]
    return {"accuracy": float(shares.mean()), "balanced_accuracy": float(np.mean(recalls))}


def _change(differences: NDArray[np.float64]) -> dict[str, Any]:
    """The mean of the differences (n,) and its 95 % interval."""
    mean, margin = float(differences.mean()), float(1.96 * differences.std() / np.sqrt(len(differences)))
    return {"change": mean, "change_interval": [mean - margin, mean + margin]}


def format_robustness(result: dict[str, Any]) -> list[str]:
    """The result of ``measure_robustness`` as lines of plain text."""
    lines = [
        f"Robustness: {counted(result['n'], 'image')}, answers of the head '{result['head']}'",
        "",
        " " * 42 + "accuracy  change (95 % interval)   balanced",
        f"  {'as they are':<38}{result['accuracy']:10.1%}{'':25}{result['balanced_accuracy']:10.1%}",
    ]
    for trouble in result["troubles"]:
        for row in trouble["rows"]:
            condition = f"{trouble['name']} ({trouble['unit']})".ljust(31) + f"{row['strength']:>7g}"
            low, high = (100 * bound for bound in row["change_interval"])
            change = f"{100 * row['change']:+6.1f} ({low:+.1f} to {high:+.1f})"
            lines.append(f"  {condition}{row['accuracy']:10.1%}  {change:<23}{row['balanced_accuracy']:10.1%}")
    return lines
