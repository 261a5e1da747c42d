"""Metrics of predicted probabilities (n, 7) against labels (n,)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fermedia.types import EMOTIONS

#: Number of bins of equal width in which confidence is compared with accuracy.
BINS = 15

#: Minimum number of images for fitting a temperature.
LEAST_FOR_TEMPERATURE = 100

#: Number of random halvings for ``cross_fitted_ece``, and of random draws for ``ece_by_chance``; both are averaged.
_HALVINGS, _DRAWS = 10, 200

#: The 97.5 % quantile of the normal distribution.
_Z = 1.959963984540054

#: The lowest and the highest temperature that ``fit_temperature`` returns.
_TEMPERATURES = 0.2, 5.0


def measure(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> dict[str, Any]:
    """Compute all metrics.

    Args:
        probabilities: Shape (n, 7), float32, in the order of ``EMOTIONS``.
        labels: Shape (n,), int64, 0..6; at least one.

    Returns:
        Plain values for JSON:

        - ``n``: the number of images;
        - ``accuracy`` and ``accuracy_interval`` (95 %, Wilson 1927);
        - ``balanced_accuracy`` (mean recall) and ``macro_f1``, both over the classes that have images;
        - ``nll``: mean negative log likelihood, in nats;
        - ``ece``: expected calibration error of the probabilities as they are;
        - ``ece_cross_fitted`` and ``ece_by_chance``: the results of the functions of these names;
        - ``per_class``: precision, recall and its interval (None for a class without images), F1 and support;
        - ``confusion``: 7 rows of labels, 7 columns of predictions, both in the order of ``EMOTIONS``;
        - ``reliability``: the bins from which ``ece`` is computed.

    Raises:
        ValueError: The shapes are wrong, or there are no labels.
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
    """The 95 % confidence interval of the share ``hits / n`` (Wilson 1927), as [low, high]; ``n`` is at least 1."""
    share, weight = hits / n, _Z**2 / n
    middle = (share + weight / 2) / (1 + weight)
    half = math.sqrt(share * (1 - share) * weight + weight**2 / 4) / (1 + weight)
    return [max(0.0, middle - half), min(1.0, middle + half)]


def reliability(probabilities: NDArray[np.floating], labels: NDArray[np.int64]) -> list[dict[str, Any]]:
    """Group the images by confidence, the probability of the prediction (Guo et al. 2017).

    Args:
        probabilities: Shape (n, 7).
        labels: Shape (n,).

    Returns:
        ``BINS`` bins (low, high], each with ``low``, ``high``, ``n``, mean ``confidence`` and ``accuracy``; the last
        two are None if the bin is empty.
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
    """The expected calibration error: the mean difference of confidence and accuracy over bins (Guo et al. 2017).

    Args:
        probabilities: Shape (n, 7).
        labels: Shape (n,).
        weights: The weight of each image, (n,); None for equal weights.

    Returns:
        The mean absolute difference over the bins of ``reliability``, weighted by their images, 0..1.
    """
    confidence = probabilities.max(1).astype(np.float64)
    weights = np.ones(len(labels)) if weights is None else weights
    gaps = np.bincount(_bins(confidence), weights * ((probabilities.argmax(1) == labels) - confidence))
    return float(np.abs(gaps).sum() / weights.sum())


def cross_fitted_ece(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> float | None:
    """The calibration error with temperatures that were fitted on other images (cross-fitting).

    The images are divided at random into two halves; the temperature fitted on each half is applied to the other; the
    error is computed over both halves together. The mean of ten divisions, always the same ones. None if there are
    fewer than 100 images.
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
    """The calibration error that images with these confidences would have if these were perfectly calibrated.

    In a finite sample the accuracy in a bin differs from its confidence by chance, so an error of this size cannot be
    told from none. The mean of 200 random draws, always the same ones.
    """
    confidence = probabilities.max(1).astype(np.float64)
    bins = _bins(confidence)
    rng = np.random.default_rng(0)
    gaps = [np.bincount(bins, (rng.random(len(bins)) < confidence) - confidence, BINS) for _ in range(_DRAWS)]
    return float(np.abs(gaps).sum(1).mean() / len(bins))


def fit_temperature(probabilities: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """The temperature, 0.2..5, with which ``with_temperature`` gives the labels (n,) the highest likelihood."""
    logs = _logarithms(probabilities)
    right = logs[np.arange(len(labels)), labels].mean()
    # The loss is convex in 1 / T. Its slope is the mean of log p that the scaled probabilities expect, minus the mean
    # of log p of the labels; bisection finds its zero.
    low, high = (1 / temperature for temperature in reversed(_TEMPERATURES))
    for _ in range(30):
        middle = (low + high) / 2
        expected = (with_temperature(probabilities, 1 / middle) * logs).sum(1).mean()
        low, high = (low, middle) if expected > right else (middle, high)
    return 2 / (low + high)


def with_temperature(probabilities: NDArray[np.floating], temperature: float) -> NDArray[np.float64]:
    """Apply a temperature T to probabilities p, shape (n, classes): softmax(log p / T) (Guo et al. 2017)."""
    powers = np.exp(_logarithms(probabilities) / temperature)
    return np.asarray(powers / powers.sum(1, keepdims=True))


def _scores(confusion: NDArray[np.int64], i: int) -> dict[str, Any]:
    """Precision, recall and its interval, F1 and number of images of a class; 0 instead of a division by zero."""
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
    """The index of the bin (low, high] of each confidence."""
    return np.clip(np.ceil(confidence * BINS).astype(np.intp) - 1, 0, BINS - 1)
