"""Figures of merit of probabilities (n, 7) against labels (n,)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from fermedia.types import EMOTIONS

#: Bins of equal width in which confidence is compared with accuracy.
BINS = 15


def measure(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> dict[str, Any]:
    """All figures, as plain values for JSON.

    ``n``, ``accuracy``, ``accuracy_interval`` (95 %, Wilson 1927), ``balanced_accuracy`` (mean recall) and
    ``macro_f1`` (both over the classes that have images), ``nll`` (mean negative log likelihood, nats), ``ece``
    (expected calibration error), ``per_class`` (precision, recall, f1, support), ``confusion`` (7 rows of labels,
    7 columns of answers, both in the order of ``EMOTIONS``) and ``reliability`` (the bins behind ``ece``).
    """
    if probabilities.shape != (len(labels), len(EMOTIONS)) or not len(labels):
        raise ValueError(f"expected probabilities of shape (n, 7) for n labels, got {probabilities.shape}")
    answers = probabilities.argmax(1)
    classes = np.arange(len(EMOTIONS))
    correct = answers == labels
    interval = binomtest(int(correct.sum()), len(labels)).proportion_ci(0.95, method="wilson")
    scores = precision_recall_fscore_support(labels, answers, labels=classes, zero_division=0)
    per_class = {
        name: {"precision": float(p), "recall": float(r), "f1": float(f), "support": int(s)}
        for name, p, r, f, s in zip(EMOTIONS, *scores, strict=True)
    }
    present = [row for row in per_class.values() if row["support"]]
    bins = reliability(probabilities, labels)
    likelihood = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return {
        "n": len(labels),
        "accuracy": float(correct.mean()),
        "accuracy_interval": [float(interval.low), float(interval.high)],
        "balanced_accuracy": float(np.mean([row["recall"] for row in present])),
        "macro_f1": float(np.mean([row["f1"] for row in present])),
        "nll": float(-np.log(np.clip(likelihood, 1e-7, None)).mean()),
        "ece": sum(b["n"] / len(labels) * abs(b["accuracy"] - b["confidence"]) for b in bins if b["n"]),
        "per_class": per_class,
        "confusion": confusion_matrix(labels, answers, labels=classes).tolist(),
        "reliability": bins,
    }


def reliability(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> list[dict[str, Any]]:
    """The images by the probability of their answer, in ``BINS`` bins (low, high] (Guo et al. 2017).

    Each bin has ``low``, ``high``, ``n``, and the mean ``confidence`` and ``accuracy`` (None where it is empty).
    """
    confidence = probabilities.max(1).astype(np.float64)
    correct = probabilities.argmax(1) == labels
    bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
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
