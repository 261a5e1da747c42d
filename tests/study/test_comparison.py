"""The table of a study is what other libraries say of its frames."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from fermedia.study.comparison import compare
from fermedia.study.ratings import Rated, Rating

LABELS = ["happy", "sad", "surprise", "neutral"]
CODERS = ["anna", "ben", "caro"]
FRAMES, ITEMS = 80, 5

Ints = NDArray[np.int64]


def rating(said: Ints) -> Rating:
    """-1 is not coded, 4 is coded without a label."""
    return Rating({label: said == n for n, label in enumerate(LABELS)}, said >= 0)


@pytest.fixture(scope="module")
def study() -> tuple[list[Rated], dict[str, Ints], NDArray[np.float64]]:
    """The faces, what everybody says of all frames one after another, and the frames' weights."""
    rng = np.random.default_rng(8)
    said: dict[str, list[Ints]] = {name: [] for name in (*CODERS, "machine")}
    faces, weights = [], []
    for item in range(ITEMS):
        truth = rng.choice(4, FRAMES, p=[0.5, 0.3, 0.15, 0.05])
        for name, own in said.items():
            wrong = rng.integers(0, 4 if name == "machine" else 5, FRAMES)
            own.append(np.where(rng.random(FRAMES) < 0.6, truth, wrong))
        said["machine"][-1][:10] = -1  # nobody there
        weights.append(rng.uniform(0.02, 0.2, FRAMES))
        coders = {name: rating(said[name][-1]) for name in CODERS}
        machine = rating(said["machine"][-1])
        faces.append(Rated(f"{item}.mp4", f"{item}.mp4", weights[-1], True, coders, machine, machine))
    return faces, {name: np.concatenate(own) for name, own in said.items()}, np.concatenate(weights)


def values(faces: list[Rated], timed: bool) -> dict[tuple[str, str, str, str], float]:
    table, _ = compare(faces, dict.fromkeys(CODERS, timed), 50)
    keys = table[["coder_1", "coder_2", "label", "statistic"]].fillna("").itertuples(index=False, name=None)
    return dict(zip(keys, table["value"].tolist(), strict=True))


@pytest.mark.parametrize("timed", [True, False])
def test_two_coders_and_the_machine(
    study: tuple[list[Rated], dict[str, Ints], NDArray[np.float64]], timed: bool
) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    faces, said, seconds = study
    weights = seconds if timed else np.ones(len(seconds))
    found = values(faces, timed)
    for first, other in (("anna", "ben"), ("ben", "caro"), ("anna", "machine"), ("caro", "machine")):
        a, b = said[first], said[other]
        # All coders' frames count between coders; with the machine, those with one of its labels on both sides.
        use = (a < 4) & (b >= 0) & (b < 4) if other == "machine" else a >= 0
        own = {"sample_weight": weights[use]}
        kappa = metrics.cohen_kappa_score(a[use], b[use], **own)
        assert found[first, other, "all", "kappa"] == pytest.approx(kappa)
        f1 = metrics.f1_score(a[use], b[use], average="macro", **own)
        assert found[first, other, "all", "f1"] == pytest.approx(f1)
        for n, label in enumerate(LABELS):
            use = b >= 0
            own = {"sample_weight": weights[use]}
            one, two = a[use] == n, b[use] == n
            assert found[first, other, label, "kappa"] == pytest.approx(metrics.cohen_kappa_score(one, two, **own))
            assert found[first, other, label, "f1"] == pytest.approx(metrics.f1_score(one, two, **own))
            if timed:
                jaccard = metrics.jaccard_score(one, two, **own)
                assert found[first, other, label, "overlap"] == pytest.approx(jaccard)
            else:
                assert (first, other, label, "overlap") not in found


def test_all_coders(study: tuple[list[Rated], dict[str, Ints], NDArray[np.float64]]) -> None:
    inter_rater = pytest.importorskip("statsmodels.stats.inter_rater")
    faces, said, _ = study
    found = values(faces, timed=False)
    counts = np.sum([np.eye(5)[said[name]] for name in CODERS], axis=0)
    assert found["all coders", "", "all", "fleiss_kappa"] == pytest.approx(inter_rater.fleiss_kappa(counts))
    happy = np.stack([counts[:, 0], 3 - counts[:, 0]], axis=1)
    assert found["all coders", "", "happy", "fleiss_kappa"] == pytest.approx(inter_rater.fleiss_kappa(happy))
