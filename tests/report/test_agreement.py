"""The figure of agreement, and the paragraph for a method section."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from fermedia.report.agreement import Study, method_text
from fermedia.report.agreement_plots import plot_agreement
from fermedia.report.plots import save
from fermedia.study.comparison import compare
from fermedia.study.ratings import Rated, Rating
from fermedia.types import EMOTIONS

FRAMES = 60


def face(item: str, coders: list[str], labels: list[str], seed: int) -> Rated:
    """A face of which everybody says the machine's label, or in a quarter of the frames another one."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, len(labels), FRAMES)

    def rating(wrong: float) -> Rating:
        said = np.where(rng.random(FRAMES) < wrong, rng.integers(0, len(labels), FRAMES), truth)
        given = {label: said == n for n, label in enumerate(labels)}
        return Rating(given, np.ones(FRAMES, bool), {"valence": truth + rng.normal(0, 0.1, FRAMES)})

    machine = rating(0)
    raters = {coder: rating(0.25) for coder in coders}
    return Rated(item, item, np.full(FRAMES, 0.1), True, raters, machine, machine)


def study(coders: list[str], labels: list[str], items: int = 4) -> Study:
    timed = dict.fromkeys(coders, True)
    faces = [face(f"{n}.mp4", coders, labels, n) for n in range(items)]
    return Study(*compare(faces, timed, 200), timed, items, "none", False, 200, [])


@pytest.mark.parametrize(
    ("coders", "labels"),
    [
        (["anna"], ["happy", "sad"]),
        (["anna", "ben"], [*EMOTIONS]),
        ([f"research assistant with a long name {n}" for n in range(4)], [*EMOTIONS, "a very long label of a scheme"]),
    ],
)
def test_nothing_is_cut_off_or_covers_anything(coders: list[str], labels: list[str], tmp_path: Path) -> None:
    made = study(coders, labels)
    figure = plot_agreement(made.agreement, made.confusion)
    FigureCanvasAgg(figure).draw()  # type: ignore[no-untyped-call]
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert min(box.x0, box.y0, width - box.x1, height - box.y1) > -0.01  # inches
    kappas, *_ = figure.axes
    confusion = next(axes for axes in figure.axes if axes.images)
    (legend,) = figure.legends
    pairs = len(coders) * (len(coders) - 1) // 2 + len(coders)
    assert len(legend.get_texts()) == pairs
    own = confusion.get_tightbbox()
    assert own is not None
    assert not legend.get_window_extent().overlaps(own)
    left = kappas.get_tightbbox()
    assert left is not None
    assert not legend.get_window_extent().overlaps(left)
    assert not left.overlaps(own)
    for name in ("one", "two"):
        save(plot_agreement(made.agreement, made.confusion), tmp_path / name, ("png", "pdf"))
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    assert (tmp_path / "one.pdf").read_bytes() == (tmp_path / "two.pdf").read_bytes()
    assert (tmp_path / "one.pdf").read_bytes().startswith(b"%PDF")


def test_the_paragraph_has_the_figures_of_the_table() -> None:
    made = study(["anna", "ben", "caro"], ["happy", "sad"])
    text = method_text(made)
    assert text.startswith("Three coders (anna, ben, caro) coded periods of 4 items.")
    whole = made.agreement[made.agreement["label"] == "all"].set_index(["coder_1", "coder_2", "statistic"])
    kappa = whole.loc[("anna", "machine", "kappa")]
    said = f"anna: Cohen's kappa {kappa['value']:.2f} [{kappa['low']:.2f}, {kappa['high']:.2f}]"
    assert f"Between coders and fermedia, over the labels that fermedia has, {said}" in text
    fleiss = made.agreement[made.agreement["statistic"] == "fleiss_kappa"].iloc[0]
    assert f"Over all 3 coders, Fleiss' kappa {fleiss['value']:.2f}" in text
    assert "valence, anna and ben: Pearson's r 0.9" in text
    assert "from 200 bootstrap resamples of the 4 items" in text


def test_a_comparison_without_anything_in_common_has_no_rows() -> None:
    one, other = face("a.mp4", ["anna"], ["happy", "sad"], 0), face("b.mp4", ["ben"], ["happy", "sad"], 1)
    agreement, confusion = compare([one, other], {"anna": True, "ben": True}, 100)
    assert set(zip(agreement["coder_1"], agreement["coder_2"], strict=True)) == {
        ("anna", "machine"),
        ("ben", "machine"),
    }
    assert isinstance(confusion, pd.DataFrame)
    assert set(confusion["coder_2"]) == {"machine"}
