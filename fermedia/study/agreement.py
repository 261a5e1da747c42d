"""Statistics of agreement, and their bootstrap.

Every statistic is a function of sums: of a table of how long (or how often) one gave each label while the other gave
each label, or of sums of values and squares. The sums of a sample of people are the sums over its people, so a
bootstrap over people adds up tables instead of going through frames again, and times can be weights. The functions of
scikit-learn, statsmodels and pingouin go through observations each time, and most take no weights; the tests compare
with them, and with published examples.

Arrays have the shape (..., k, k) or (..., n): all leading axes are resamples.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fermedia.study.groups import t_quantile

Floats = NDArray[np.float64]

#: A statistic of an array of sums.
Statistic = Callable[[Floats], Floats]

#: The largest share of resamples without a value (nobody showed the label) with which an interval is still given.
_MOST_UNDEFINED = 0.1


def agreement(table: Floats) -> Floats:
    """The share on which two agree.

    Args:
        table: Per label of the first (rows) and of the second (columns), how much there is: (..., k, k).
    """
    return _over(np.trace(table, axis1=-2, axis2=-1), table.sum(axis=(-2, -1)))


def kappa(table: Floats) -> Floats:
    """Cohen's kappa (Cohen 1960, "A coefficient of agreement for nominal scales"); arguments as of ``agreement``."""
    p = _shares(table)
    expected = (p.sum(axis=-1) * p.sum(axis=-2)).sum(axis=-1)
    return _over(np.trace(p, axis1=-2, axis2=-1) - expected, 1 - expected)


def ac1(table: Floats) -> Floats:
    """Gwet's AC1 of two (Gwet 2008, "Computing inter-rater reliability ..."); arguments as of ``agreement``."""
    p = _shares(table)
    return _ac1(np.trace(p, axis1=-2, axis2=-1), (p.sum(axis=-1) + p.sum(axis=-2)) / 2)


def f1(table: Floats) -> Floats:
    """The mean over labels of F1, twice the agreed amount by what both gave; labels that neither gave do not count."""
    agreed = np.diagonal(table, axis1=-2, axis2=-1)
    given = table.sum(axis=-1) + table.sum(axis=-2)
    counts = (given > 0).sum(axis=-1)
    return _over(np.where(given > 0, _over(2 * agreed, given), 0.0).sum(axis=-1), counts.astype(float))


def f1_of_label(table: Floats) -> Floats:
    """F1 of a label, from its table of 2 x 2 with "given" last."""
    return _over(2 * table[..., 1, 1], table[..., 1, :].sum(axis=-1) + table[..., :, 1].sum(axis=-1))


def overlap(table: Floats) -> Floats:
    """The time in which both gave a label by the time in which one did (Jaccard), from its table of 2 x 2."""
    return _over(table[..., 1, 1], table.sum(axis=(-2, -1)) - table[..., 0, 0])


def several(counts: Floats, weights: Floats) -> Floats:
    """The sums for ``fleiss`` and ``ac1_of_several``.

    Args:
        counts: How many coders gave each label in each unit: (units, k); every unit has the same number of coders.
        weights: The units' weights: (units,).

    Returns:
        (2 + k,): the weight, the weight times the share of pairs that agree, the weight of each label's share.
    """
    raters = counts[0].sum() if len(counts) else 2
    agreed = (counts * (counts - 1)).sum(axis=1) / (raters * (raters - 1))
    return np.concatenate([[weights.sum(), weights @ agreed], weights @ counts / raters])


def fleiss(sums: Floats) -> Floats:
    """Fleiss' kappa (Fleiss 1971, "Measuring nominal scale agreement among many raters"), from ``several``."""
    agreed, shares = _of_several(sums)
    expected = (shares**2).sum(axis=-1)
    return _over(agreed - expected, 1 - expected)


def ac1_of_several(sums: Floats) -> Floats:
    """Gwet's AC1 of any number of coders (Gwet 2014, "Handbook of Inter-Rater Reliability"), from ``several``."""
    return _ac1(*_of_several(sums))


def agreement_of_several(sums: Floats) -> Floats:
    """The mean share of pairs of coders that agree, from ``several``."""
    return _of_several(sums)[0]


def moments(values: Floats) -> Floats:
    """The sums for ``iccs`` and ``correlation``.

    Args:
        values: A value per unit and coder, none missing: (units, coders). Sums of squares lose digits where values are
            far from 0, so they are best centred.

    Returns:
        The number of units, the sum of squared sums of units, the coders' sums, and their products: (2 + k + k * k,).
    """
    products = values.T @ values
    return np.concatenate([[len(values), (values.sum(axis=1) ** 2).sum()], values.sum(axis=0), products.ravel()])


def correlation(sums: Floats) -> Floats:
    """Pearson's correlation of two coders, from ``moments``."""
    n, a, b, aa, ab, bb = (sums[..., i] for i in (0, 2, 3, 4, 5, 7))
    spread = (n * aa - a**2).clip(0) * (n * bb - b**2).clip(0)
    return _over(n * ab - a * b, np.sqrt(spread))


def iccs(sums: Floats) -> dict[str, Floats]:
    """The six intraclass correlations of Shrout & Fleiss (1979, "Intraclass correlations"), from ``moments``.

    ``icc1``: each unit may have had other coders; ``icc2``: absolute agreement of coders who stand for others;
    ``icc3``: consistency of just these coders. With k: of the mean of all coders instead of a single one.
    """
    coders = round((np.sqrt(4 * sums.shape[-1] - 7) - 1) / 2)  # from 2 + k + k * k numbers
    n, squared = sums[..., 0], sums[..., 1]
    columns = sums[..., 2 : 2 + coders]
    squares = np.trace(sums[..., 2 + coders :].reshape(*sums.shape[:-1], coders, coders), axis1=-2, axis2=-1)
    mean = _over(columns.sum(axis=-1) ** 2, n * coders)
    rows, cols, whole = squared / coders - mean, _over((columns**2).sum(axis=-1), n) - mean, squares - mean
    between = _over(rows, n - 1)
    within = _over(whole - rows, n * (coders - 1))
    judges = cols / (coders - 1)
    error = _over(whole - rows - cols, (n - 1) * (coders - 1))
    return {
        "icc1": _over(between - within, between + (coders - 1) * within),
        "icc2": _over(between - error, between + (coders - 1) * error + _over(coders * (judges - error), n)),
        "icc3": _over(between - error, between + (coders - 1) * error),
        "icc1k": _over(between - within, between),
        "icc2k": _over(between - error, between + _over(judges - error, n)),
        "icc3k": _over(between - error, between),
    }


@dataclass(frozen=True)
class Estimate:
    """A statistic with its interval of 95 %; NaN where there is none."""

    value: float
    low: float
    high: float


class Bootstrap:
    """Resamples of clusters (people, or items), the same for all statistics of a comparison.

    Args:
        clusters: The number of clusters; with one there are no intervals.
        resamples: The number of resamples.
        seed: Of the random numbers.
    """

    def __init__(self, clusters: int, resamples: int, seed: int) -> None:
        chosen = np.random.default_rng(seed)
        self._counts = chosen.multinomial(clusters, np.full(clusters, 1 / clusters), resamples).astype(np.float64)
        self._single = clusters < 2
        self._tails = _tails(clusters)

    def estimate(self, sums: Floats, statistic: Statistic) -> Estimate:
        """The statistic of the sum over clusters, with the expanded percentile interval (Hesterberg 2015).

        The percentile interval of few clusters is too narrow, as a normal interval with the divisor n would be. Its
        quantiles are therefore taken so far out as Student's interval with n - 1 is wider than that. There is no
        interval where the statistic is undefined in more than a tenth of the resamples.

        Args:
            sums: The sums of each cluster: (clusters, ...).
            statistic: The function of the sums.
        """
        value = float(statistic(sums.sum(axis=0)))
        if self._single or np.isnan(value):
            return Estimate(value, np.nan, np.nan)
        resampled = statistic(np.tensordot(self._counts, sums, axes=1))
        known = resampled[~np.isnan(resampled)]
        if len(known) < (1 - _MOST_UNDEFINED) * len(resampled):
            return Estimate(value, np.nan, np.nan)
        low, high = np.quantile(known, self._tails)
        return Estimate(value, float(low), float(high))


def _tails(clusters: int) -> tuple[float, float]:
    """The quantiles of the expanded percentile interval of 95 %."""
    if clusters < 2:
        return 0.025, 0.975
    wide = math.sqrt(clusters / (clusters - 1)) * t_quantile(clusters - 1)
    tail = math.erfc(wide / math.sqrt(2)) / 2
    return tail, 1 - tail


def _shares(table: Floats) -> Floats:
    return _over(table, table.sum(axis=(-2, -1))[..., None, None])


def _of_several(sums: Floats) -> tuple[Floats, Floats]:
    return _over(sums[..., 1], sums[..., 0]), _over(sums[..., 2:], sums[..., :1])


def _ac1(agreed: Floats, shares: Floats) -> Floats:
    """AC1 from the share agreed and the mean share of each label: (...) and (..., k)."""
    expected = _over((shares * (1 - shares)).sum(axis=-1), np.full(shares.shape[:-1], shares.shape[-1] - 1.0))
    return _over(agreed - expected, 1 - expected)


def _over(above: Floats, below: Floats) -> Floats:
    """The quotient, NaN where the divisor is 0 up to rounding."""
    below = np.asarray(below, np.float64)
    return np.divide(above, below, out=np.full(np.broadcast(above, below).shape, np.nan), where=np.abs(below) > 1e-12)
