"""Figures of merit of probabilities (n, 7) against labels (n,)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fermedia.types import EMOTIONS

#: Bins of equal width in which confidence is compared with accuracy.
BINS = 15

#: Fewer images than this say nothing about a temperature.
LEAST_FOR_TEMPERATURE = 100

#: Random halvings that the cross-fitted calibration error is the mean of, and draws that its chance level is.
_HALVINGS, _DRAWS = 10, 200

#: The normal distribution's quantile that leaves 2.5 % above it.
_Z = 1.959963984540054

#: The temperatures that ``fit_temperature`` chooses from.
_TEMPERATURES = 0.2, 5.0


def measure(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> dict[str, Any]:
    """All figures, as plain values for JSON.

    ``n``, ``accuracy``, ``accuracy_interval`` (95 %, Wilson 1927), ``balanced_accuracy`` (mean recall) and
    ``macro_f1`` (both over the classes that have images), ``nll`` (mean negative log likelihood, nats), ``ece``
    (expected calibration error of the probabilities as they are), ``ece_cross_fitted`` (``cross_fitted_ece``),
    ``ece_by_chance`` (``ece_by_chance``), ``per_class`` (precision, recall and its interval, f1, support),
    ``confusion`` (7 rows of labels, 7 columns of answers, both in the order of ``EMOTIONS``) and ``reliability`` (the
    bins behind ``ece``). An interval is None where there are no images.
    """
    if probabilities.shape != (len(labels), len(EMOTIONS)) or not len(labels):
        raise ValueError(f"expected probabilities of shape (n, 7) for n labels, got {probabilities.shape}")
    answers = probabilities.argmax(1)
    correct = answers == labels
    classes = len(EMOTIONS)
    confusion = np.bincount(labels * classes + answers, minlength=classes**2).reshape(classes, classes)
    per_class = {name: _scores(confusion, i) for i, name in enumerate(EMOTIONS)}
    present = [row for row in per_class.values() if row["support"]]
    likelihood = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return {
        "n": len(labels),
        "accuracy": float(correct.mean()),
        "accuracy_interval": wilson(int(correct.sum()), len(labels)),
        "balanced_accuracy": float(np.mean([row["recall"] for row in present])),
        "macro_f1": float(np.mean([row["f1"] for row in present])),
        "nll": float(-np.log(np.clip(likelihood, 1e-7, None)).mean()),
        "ece": calibration_error(probabilities, labels),
        "ece_cross_fitted": cross_fitted_ece(probabilities, labels),
        "ece_by_chance": ece_by_chance(probabilities),
        "per_class": per_class,
        "confusion": confusion.tolist(),
        "reliability": reliability(probabilities, labels),
    }


def wilson(hits: int, n: int) -> list[float]:
    """The 95 % interval of a share (Wilson 1927), [low, high]; ``n`` is at least 1."""
    share, weight = hits / n, _Z**2 / n
    middle = (share + weight / 2) / (1 + weight)
    half = math.sqrt(share * (1 - share) * weight + weight**2 / 4) / (1 + weight)
    return [max(0.0, middle - half), min(1.0, middle + half)]


def reliability(probabilities: NDArray[np.floating], labels: NDArray[np.int64]) -> list[dict[str, Any]]:
    """The images by the probability of their answer, in ``BINS`` bins (low, high] (Guo et al. 2017).

    Each bin has ``low``, ``high``, ``n``, and the mean ``confidence`` and ``accuracy`` (None where it is empty).
    """
    confidence = probabilities.max(1).astype(np.float64)
    correct = probabilities.argmax(1) == labels
    bins = _bins(confidence)
    table = []
    for i in range(BINS):
        inside = bins == i
        n = int(inside.sum())
        table.append(
            {
                "low": i / BINS,
                "high": (i + 1) / BINS,
                "n": n,
                "confidence": float(confidence[inside].mean()) if n else None,
                "accuracy": float(correct[inside].mean()) if n else None,
            }
        )
    return table


def calibration_error(
    probabilities: NDArray[np.floating], labels: NDArray[np.int64], weights: NDArray[np.float64] | None = None
) -> float:
    """How far confidence and accuracy lie apart on average over the bins of ``reliability`` (Guo et al. 2017).

    ``weights`` (n,) say how much each image counts; all the same if None.
    """
    confidence = probabilities.max(1).astype(np.float64)
    weights = np.ones(len(labels)) if weights is None else weights
    gaps = np.bincount(_bins(confidence), weights * ((probabilities.argmax(1) == labels) - confidence))
    return float(np.abs(gaps).sum() / weights.sum())


def cross_fitted_ece(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> float | None:
    """The calibration error where no image had a part in the temperature that its own probabilities were divided by.

    The images are halved at random; each half's probabilities get the temperature that was fitted on the other; the
    error is taken over both together. Mean of ten halvings, always the same ones. None under 100 images.
    """
    n = len(labels)
    if n < LEAST_FOR_TEMPERATURE:
        return None
    rng = np.random.default_rng(0)
    errors = []
    for _ in range(_HALVINGS):
        halves = np.array_split(rng.permutation(n), 2)
        scaled = np.empty(probabilities.shape)
        for mine, other in (halves, halves[::-1]):
            scaled[mine] = with_temperature(probabilities[mine], fit_temperature(probabilities[other], labels[other]))
        errors.append(calibration_error(scaled, labels))
    return float(np.mean(errors))


def ece_by_chance(probabilities: NDArray[np.floating]) -> float:
    """The calibration error to be expected of as many images with the same confidences, were these exactly true.

    Chance alone keeps the accuracy in a bin from its confidence, so an error of this size is as good as none. Mean of
    200 draws, always the same ones.
    """
    confidence = probabilities.max(1).astype(np.float64)
    bins = _bins(confidence)
    rng = np.random.default_rng(0)
    gaps = [np.bincount(bins, (rng.random(len(bins)) < confidence) - confidence, BINS) for _ in range(_DRAWS)]
    return float(np.abs(gaps).sum(1).mean() / len(bins))


def fit_temperature(probabilities: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """The temperature for which ``with_temperature`` gives ``labels`` (n,) the highest likelihood, 0.2..5."""

    logs = _logarithms(probabilities)
    right = logs[np.arange(len(labels)), labels].mean()
    # The loss is convex in 1 / T, and its slope is what the answers expect of their logarithms less what comes true.
    low, high = (1 / temperature for temperature in reversed(_TEMPERATURES))
    for _ in range(30):
        middle = (low + high) / 2
        expected = (with_temperature(probabilities, 1 / middle) * logs).sum(1).mean()
        low, high = (low, middle) if expected > right else (middle, high)
    return 2 / (low + high)


def with_temperature(probabilities: NDArray[np.floating], temperature: float) -> NDArray[np.float64]:
    """softmax(log p / T) (Guo et al. 2017) of probabilities (n, classes)."""
    powers = np.exp(_logarithms(probabilities) / temperature)
    return np.asarray(powers / powers.sum(1, keepdims=True))


def _scores(confusion: NDArray[np.int64], i: int) -> dict[str, Any]:
    """Precision, recall and its interval, F1 and number of images of a class; 0 where there is nothing to divide by."""
    hits, answered, support = int(confusion[i, i]), int(confusion[:, i].sum()), int(confusion[i].sum())
    return {
        "precision": hits / max(answered, 1),
        "recall": hits / max(support, 1),
        "f1": 2 * hits / max(answered + support, 1),
        "support": support,
        "recall_interval": wilson(hits, support) if support else None,
    }


def _logarithms(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.log(np.clip(probabilities.astype(np.float64), 1e-12, None))


def _bins(confidence: NDArray[np.float64]) -> NDArray[np.intp]:
    return np.clip(np.ceil(confidence * BINS).astype(np.intp) - 1, 0, BINS - 1)
