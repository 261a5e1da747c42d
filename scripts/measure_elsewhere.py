"""Measure a model on labelled photos from anywhere, through the whole product, each of its heads.

    python scripts/measure_elsewhere.py PHOTOS --json elsewhere.json

PHOTOS is a folder, or a zip of one, with photos in folders that are called by emotions. Faces are found as `fermedia
analyze` finds them in photos, and the largest of each photo is classified; where none is found, the answer counts as
wrong. The base install is enough.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import measuring
import numpy as np
from measuring import table
from numpy.typing import NDArray

from fermedia.errors import DataError, FermediaError
from fermedia.files import write_json
from fermedia.training.labelled import read_labelled
from fermedia.training.metrics import calibration_error, wilson
from fermedia.types import EMOTIONS
from fermedia.vision.classify import Classifier

#: How frequent each word is among everyday faces: in the labels of a collection of press and movie photos
#: (muxspace/facial_expressions). The two words that are missing are too rare there, and too badly labelled, to count.
EVERYDAY = {"angry": 0.018, "happy": 0.42, "sad": 0.02, "surprise": 0.027, "neutral": 0.5}

#: Least probabilities of the best word that are tried for calling a face decided; with 0, all are.
THRESHOLDS = (0.0, 0.3, 0.4, 0.5, 0.6)

#: Draws of the bootstrap.
_DRAWS = 10_000


def main() -> None:
    """Measure, print, and write."""
    parser = measuring.parser(__doc__)
    parser.add_argument("photos", type=Path, help="a folder or a zip with a folder of photos for each emotion")
    parser.add_argument("--model", type=Path, help="the model's folder (default: the one that ships)")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    arguments = parser.parse_args()
    try:
        result = measure(arguments.photos, arguments.model)
    except FermediaError as error:
        sys.exit(f"measure_elsewhere: {error}")
    if arguments.json:
        write_json(arguments.json, result)
    print(text(result))


def measure(photos: Path, model: Path | None = None) -> dict[str, Any]:
    """The ``figures`` of each head of a model under "heads", and what they are of.

    "photos" are all that can be read, "found" the share of them in which a face was found, with its interval.
    """
    labelled = read_labelled(photos, "all", faces="find")
    missed = np.array([entry.label for entry in labelled.faceless], np.int64)
    default = Classifier.load(model)
    heads = {}
    for head in default.heads:
        probabilities = Classifier.load(model, head).predict(labelled.split.images, mirrored=True)
        heads[head] = figures(probabilities, labelled.split.labels, missed)
    faces, n = len(labelled.split), len(labelled.split) + len(missed)
    return {
        "data": photos.name,
        "model": {"sha256": default.sha256, "default_labels": default.labels},
        "photos": n,
        "found": {"share": faces / n, "interval": wilson(faces, n)},
        "pictures": labelled.record(),
        "heads": heads,
    }


def figures(probabilities: NDArray[np.float32], labels: NDArray[np.int64], missed: NDArray[np.int64]) -> dict[str, Any]:
    """What a head's ``probabilities`` (n, 7) are worth for faces of ``labels`` (n,), and of ``missed`` (m,) not found.

    "recall" has for each word ``n``, its ``share`` and its ``interval``, None where there are no photos. "five" is the
    mean recall of the words of ``EVERYDAY`` that there are photos of, "everyday" the accuracy where each is as frequent
    as there, both with a 95 % interval (bootstrap over the photos). A face that was not found is wrong in all of these.
    "calibration_error" and "undecided" are of the faces found with these words, as they are and ("everyday") as if
    each word were as frequent as in ``EVERYDAY``.
    """
    right = probabilities.argmax(1) == labels
    recall = {name: _recall(right[labels == i], int((missed == i).sum())) for i, name in enumerate(EMOTIONS)}
    words = [name for name in EVERYDAY if recall[name]["n"]]
    if not words:
        raise DataError(f"there are no photos of any of {', '.join(EVERYDAY)}")
    frequency = np.array([EVERYDAY[name] for name in words])
    frequency /= frequency.sum()
    counts, shares = (np.array([recall[name][key] for name in words]) for key in ("n", "share"))
    # To draw photos anew within each class is to draw how many of them are right from a binomial distribution.
    drawn = np.random.default_rng(0).binomial(counts, shares, (_DRAWS, len(words))) / counts
    codes = [EMOTIONS.index(name) for name in words]
    counted = np.isin(labels, codes)
    p, labels, right = probabilities[counted], labels[counted], right[counted]
    weights = np.zeros(len(labels))
    for code, share in zip(codes, frequency, strict=True):
        weights[labels == code] = share / max((labels == code).sum(), 1)
    even = np.full(len(labels), 1 / max(len(labels), 1))
    return {
        "recall": recall,
        "five": {"share": float(shares.mean()), "interval": _interval(drawn.mean(1))},
        "everyday": {"share": float(shares @ frequency), "interval": _interval(drawn @ frequency)},
        "faces": len(labels),
        "calibration_error": calibration_error(p, labels),
        "calibration_error_everyday": calibration_error(p, labels, weights),
        "undecided": [
            {"below": low, **_undecided(p, right, low, even), "everyday": _undecided(p, right, low, weights)}
            for low in THRESHOLDS
        ],
    }


def _recall(right: NDArray[np.bool_], missed: int) -> dict[str, Any]:
    hits, n = int(right.sum()), len(right) + missed
    return {"n": n, "share": hits / n if n else None, "interval": wilson(hits, n) if n else None}


def _interval(drawn: NDArray[np.float64]) -> list[float]:
    return [float(bound) for bound in np.percentile(drawn, (2.5, 97.5))]


def _undecided(
    p: NDArray[np.float32], right: NDArray[np.bool_], low: float, weights: NDArray[np.float64]
) -> dict[str, Any]:
    """The share of faces whose best word has less than ``low``, and the accuracy of the others (None without any)."""
    decided = p.max(1) >= low
    rest = float(weights[decided].sum())
    return {
        "share": float(weights[~decided].sum() / weights.sum()),
        "accuracy_of_others": float(weights[decided & right].sum()) / rest if rest else None,
    }


def text(result: dict[str, Any]) -> str:
    """The figures as Markdown."""
    found, heads = result["found"], result["heads"]
    default = result["model"]["default_labels"]
    lines = [
        f"{result['photos']:,} photos of {result['data']}; faces found in {_percent(found)}. "
        f"By default the head `{default}` speaks.",
    ]
    if result["pictures"]["left_out"]:
        lines.append(f"Left out: {result['pictures']['left_out']}.")
    first = next(iter(heads.values()))
    named = [f"{name} ({first['recall'][name]['n']})" for name in EMOTIONS]
    rows = [
        [
            f"`{head}`",
            _percent(f["five"]),
            _percent(f["everyday"]),
            *(_plain(f["recall"][e]["share"]) for e in EMOTIONS),
        ]
        for head, f in heads.items()
    ]
    lines += ["", table(["head", "five", "at everyday frequencies", *named], rows)]
    rows = [
        [f"`{head}`", f"{f['calibration_error']:.3f}", f"{f['calibration_error_everyday']:.3f}"]
        for head, f in heads.items()
    ]
    lines += ["", f"Calibration error of the {first['faces']:,} faces found with the five words:", ""]
    lines += [table(["head", "as they are", "at everyday frequencies"], rows)]
    lines += [
        "",
        "A face whose best word has less than this is undecided; of these faces, and right of the others:",
        "",
    ]
    rows = [
        [
            f"`{head}`",
            f"{row['below']:g}",
            *(_plain(part[k]) for part in (row, row["everyday"]) for k in ("share", "accuracy_of_others")),
        ]
        for head, f in heads.items()
        for row in f["undecided"]
    ]
    both = ["undecided", "right of the others"]
    return "\n".join([*lines, table(["head", "less than", *both, *(f"{w}, everyday" for w in both)], rows)])


def _plain(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _percent(figure: dict[str, Any]) -> str:
    return measuring.percent(figure["share"], figure["interval"])


if __name__ == "__main__":
    main()
