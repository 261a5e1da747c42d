"""Statistics of agreement against published worked examples and other libraries."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm
from scipy.stats import t as student

from fermedia.study import agreement as a

#: Fleiss (1971), table 1: 30 patients, six psychiatrists, five diagnoses; kappa 0.430.
FLEISS_1971 = """0 0 0 6 0|0 3 0 0 3|0 1 4 0 1|0 0 0 0 6|0 3 0 3 0|2 0 4 0 0|0 0 4 0 2|2 0 3 1 0|2 0 0 4 0|0 0 0 0 6
1 0 0 5 0|1 1 0 4 0|0 3 3 0 0|1 0 0 5 0|0 2 0 3 1|0 0 5 0 1|3 0 0 1 2|5 1 0 0 0|0 2 0 4 0|1 0 2 0 3
0 0 0 0 6|0 1 0 5 0|0 2 0 1 3|2 0 0 4 0|1 0 0 4 1|0 5 0 1 0|4 0 0 0 2|0 2 0 4 0|1 0 5 0 0|0 0 0 0 6"""

#: Shrout & Fleiss (1979), table 2: six targets, four judges.
SHROUT_FLEISS_1979 = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]

#: Their table 4 gives two decimals; the R package psych and pingouin give these.
SHROUT_FLEISS_RESULTS = {
    "icc1": 0.1657,
    "icc2": 0.2898,
    "icc3": 0.7148,
    "icc1k": 0.4428,
    "icc2k": 0.6201,
    "icc3k": 0.9093,
}


def diagnoses() -> NDArray[np.float64]:
    rows = FLEISS_1971.replace("\n", "|").split("|")
    return np.array([row.split() for row in rows], np.float64)


def drawn(n: int = 400, k: int = 4) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Labels of two who agree more often than not, and weights."""
    rng = np.random.default_rng(3)
    first = rng.choice(k, n, p=[0.6, 0.25, 0.1, 0.05])
    second = np.where(rng.random(n) < 0.7, first, rng.integers(0, k, n))
    return first, second, rng.uniform(0.5, 2, n)


def table_of(
    first: NDArray[np.int64], second: NDArray[np.int64], weights: NDArray[np.float64] | None = None, k: int = 4
) -> NDArray[np.float64]:
    table = np.zeros((k, k))
    np.add.at(table, (first, second), 1.0 if weights is None else weights)
    return table


def test_cohens_kappa_is_that_of_cohen_1960() -> None:
    # Cohen (1960), table 1, as proportions of 200: kappa .492 (po .70, pe .41).
    table = np.array([[88, 14, 18], [10, 40, 10], [2, 6, 12]], float)
    assert a.agreement(table) == pytest.approx(0.70)
    assert a.kappa(table) == pytest.approx(0.492, abs=5e-4)


def test_fleiss_kappa_is_that_of_fleiss_1971() -> None:
    counts = diagnoses()
    assert counts.shape == (30, 5)
    sums = a.several(counts, np.ones(30))
    assert a.fleiss(sums) == pytest.approx(0.430, abs=5e-4)
    assert a.agreement_of_several(sums) == pytest.approx(0.5556, abs=5e-4)


def test_ac1_is_that_of_gwet_2014() -> None:
    """Two abstractors of 100 records (Gwet 2014; the data "cont3x3abstractors" of his R package irrCAC)."""
    table = np.array([[13, 0, 0], [0, 20, 7], [0, 4, 56]], float)
    assert a.kappa(table) == pytest.approx(0.7964094, abs=1e-7)
    assert a.ac1(table) == pytest.approx(0.8493305, abs=1e-7)


def test_ac1_does_not_collapse_where_one_label_is_rare() -> None:
    """The paradox that it was made for (Gwet 2008): two agree in 118 of 125, and kappa is below 0."""
    table = np.array([[118, 5], [2, 0]], float)
    assert a.kappa(table) == pytest.approx(-0.0234, abs=5e-4)
    assert a.ac1(table) == pytest.approx(0.9408, abs=5e-4)


def test_iccs_are_those_of_shrout_and_fleiss_1979() -> None:
    found = a.iccs(a.moments(np.array(SHROUT_FLEISS_1979, float)))
    assert {name: round(float(value), 4) for name, value in found.items()} == SHROUT_FLEISS_RESULTS


def test_two_coders_are_as_in_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    first, second, weights = drawn()
    for weight in (None, weights):
        table = table_of(first, second, weight)
        assert a.kappa(table) == pytest.approx(metrics.cohen_kappa_score(first, second, sample_weight=weight))
        assert a.f1(table) == pytest.approx(metrics.f1_score(first, second, average="macro", sample_weight=weight))
        assert a.agreement(table) == pytest.approx(metrics.accuracy_score(first, second, sample_weight=weight))
        one = table_of((first == 1).astype(int), (second == 1).astype(int), weight, 2)
        assert a.f1_of_label(one) == pytest.approx(metrics.f1_score(first == 1, second == 1, sample_weight=weight))
        assert a.overlap(one) == pytest.approx(metrics.jaccard_score(first == 1, second == 1, sample_weight=weight))


def test_several_coders_are_as_in_statsmodels_and_ac1_of_two_as_of_several() -> None:
    inter_rater = pytest.importorskip("statsmodels.stats.inter_rater")
    assert a.fleiss(a.several(diagnoses(), np.ones(30))) == pytest.approx(inter_rater.fleiss_kappa(diagnoses()))
    first, second, weights = drawn()
    counts = np.eye(4)[first] + np.eye(4)[second]
    sums = a.several(counts, weights)
    assert a.ac1_of_several(sums) == pytest.approx(float(a.ac1(table_of(first, second, weights))))


def test_correlation_is_as_in_numpy_wherever_zero_is() -> None:
    rng = np.random.default_rng(5)
    values = rng.normal(size=(60, 1)) + rng.normal(scale=0.7, size=(60, 2)) + [0, 0.4]
    expected = np.corrcoef(values[:, 0], values[:, 1])[0, 1]
    assert a.correlation(a.moments(values)) == pytest.approx(expected)
    assert a.correlation(a.moments(values + 1000)) == pytest.approx(expected)


def test_the_sums_of_a_resample_are_those_of_its_people() -> None:
    """The bootstrap over people gives what resampling the people's own frames gives."""
    first, second, weights = drawn()
    person = np.arange(400) % 8
    tables = np.array([table_of(first[person == p], second[person == p], weights[person == p]) for p in range(8)])
    found = a.Bootstrap(8, 500, 1).estimate(tables, a.kappa)
    counts = np.random.default_rng(1).multinomial(8, np.full(8, 1 / 8), 500)
    slow = []
    for times in counts:
        rows = np.concatenate([np.tile(np.flatnonzero(person == p), t) for p, t in enumerate(times)])
        slow.append(float(a.kappa(table_of(first[rows], second[rows], weights[rows]))))
    assert found.value == pytest.approx(float(a.kappa(table_of(first, second, weights))))
    # Hesterberg (2015): the normal quantile of Student's 2.365 with 7 degrees of freedom, times the root of 8/7.
    tail = norm.cdf(-np.sqrt(8 / 7) * student.ppf(0.975, 7))
    assert 0.005 < tail < 0.006
    assert [found.low, found.high] == pytest.approx(np.quantile(slow, [tail, 1 - tail]).tolist())
    assert found.low < found.value < found.high


def test_what_is_undefined_has_no_value_and_one_person_no_interval() -> None:
    assert np.isnan(a.kappa(np.array([[5.0, 0], [0, 0]])))
    assert np.isnan(a.overlap(np.array([[5.0, 0], [0, 0]])))
    alone = a.Bootstrap(1, 100, 0).estimate(np.array([[[5.0, 1], [1, 3]]]), a.kappa)
    assert alone.value > 0.5
    assert np.isnan([alone.low, alone.high]).all()
    rare = np.zeros((6, 2, 2))
    rare[0] = [[5, 1], [1, 3]]
    assert np.isnan(a.Bootstrap(6, 200, 0).estimate(rare, a.kappa).low)  # a third of the resamples lack the person
