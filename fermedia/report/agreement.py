"""The page of ``fermedia agree``, and the paragraph for a method section."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import fermedia
from fermedia.report.pages import write_single
from fermedia.study.codes import ALL, EVERYBODY, MACHINE
from fermedia.tables.tables import records
from fermedia.types import EMOTIONS

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Study:
    """What was compared.

    Attributes:
        agreement: agreement.csv.
        confusion: confusion.csv.
        timed: Whether each coder, by name, codes periods.
        items: The number of items.
        gaps: What uncoded time is.
        people: Whether the bootstrap is over people rather than items.
        resamples: The number of resamples.
        notes: What was left out.
    """

    agreement: pd.DataFrame
    confusion: pd.DataFrame
    timed: dict[str, bool]
    items: int
    gaps: str
    people: bool
    resamples: int
    notes: Sequence[str]


def write_agreement_page(path: Path, study: Study, method: str) -> None:
    """Write the page. Raises OSError."""
    data: dict[str, Any] = {
        "coders": list(study.timed),
        "machine": MACHINE,
        "everybody": EVERYBODY,
        "all": ALL,
        "items": study.items,
        "clusters": "people" if study.people else "items",
        "agreement": records(study.agreement.round(6)),
        "confusion": records(study.confusion.round(6)),
        "method": method,
        "notes": list(study.notes),
        "fermedia": fermedia.__version__,
    }
    write_single(path, "agreement", "Agreement · fermedia", data)


def method_text(study: Study) -> str:
    """A paragraph for a method or result section, with the figures of all labels together."""
    coders = list(study.timed)
    whole = study.agreement[study.agreement["label"] == ALL]
    parts = [_design(study, coders)]
    pairs = whole[(whole["coder_2"] != MACHINE) & whole["coder_2"].notna()]
    if len(coders) > 1 and len(pairs):
        found = [_figure(rows, ("kappa", "ac1", "agreement")) for _, rows in pairs.groupby(["coder_1", "coder_2"])]
        names = [" and ".join(names) for names, _ in pairs.groupby(["coder_1", "coder_2"])]
        said = "; ".join(f"{name}: {text}" for name, text in zip(names, found, strict=True))
        parts.append(f"Between coders, over all labels, {said}.")
    every = whole[whole["coder_1"] == EVERYBODY]
    if len(every):
        parts.append(f"Over all {len(coders)} coders, {_figure(every, ('fleiss_kappa', 'ac1', 'agreement'))}.")
    with_machine = study.agreement[(study.agreement["coder_2"] == MACHINE) & (study.agreement["statistic"] == "kappa")]
    if len(with_machine):
        said = "; ".join(_with_machine(study, coder) for coder in dict.fromkeys(with_machine["coder_1"]))
        parts.append(f"Between coders and fermedia, over the labels that fermedia has, {said}.")
    numbers = study.agreement[study.agreement["statistic"] == "r"]
    if len(numbers):
        said = "; ".join(
            f"{row['label']}, {row['coder_1']} and {_called(row['coder_2'])}: {_figure(rows, ('r', 'icc2'))}"
            for row, rows in (
                (rows.iloc[0], rows)
                for _, rows in study.agreement.groupby(["label", "coder_1", "coder_2"], sort=False)
                if "r" in set(rows["statistic"])
            )
        )
        parts.append(f"For numbers, {said}.")
    return " ".join(parts) + "\n"


def _with_machine(study: Study, coder: str) -> str:
    """What a coder and the machine agree on.

    Where the coder gave a single one of the machine's labels, there are no figures of all labels; then it is compared
    with everything else.
    """
    rows = study.agreement[(study.agreement["coder_1"] == coder) & (study.agreement["coder_2"] == MACHINE)]
    labels = [
        label for label in dict.fromkeys(rows["label"]) if label in EMOTIONS and "kappa" in set(rows["statistic"])
    ]
    if len(labels) == 1:
        return (
            f"{coder}: {labels[0]} or not, {_figure(rows[rows['label'] == labels[0]], ('kappa', 'ac1', 'agreement'))}"
        )
    return f"{coder}: {_figure(rows[rows['label'] == ALL], ('kappa', 'ac1', 'f1', 'agreement'))}"


_WORDS = ("No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")

_NAMES = {
    "kappa": "Cohen's kappa",
    "fleiss_kappa": "Fleiss' kappa",
    "ac1": "Gwet's AC1",
    "f1": "macro F1",
    "agreement": "agreement",
    "r": "Pearson's r",
    "icc2": "ICC(2,1)",
}


def _called(coder: str) -> str:
    return "fermedia" if coder == MACHINE else coder


def _figure(rows: pd.DataFrame, names: Sequence[str]) -> str:
    """The statistics of one comparison, each with its interval."""
    by_name = rows.set_index("statistic")
    texts = []
    for name in names:
        if name not in by_name.index:
            continue
        row = by_name.loc[name]
        text = f"{_NAMES[name]} {_number(row['value'], name)}"
        if not np.isnan(row["low"]):
            text += f" [{_number(row['low'], name)}, {_number(row['high'], name)}]"
        texts.append(text)
    return ", ".join(texts)


def _number(value: float, name: str) -> str:
    if np.isnan(value):
        return "not defined"
    return f"{100 * value:.0f} %" if name == "agreement" else f"{value:z.2f}".replace("-", "\N{MINUS SIGN}")


def _design(study: Study, coders: Sequence[str]) -> str:
    number = _WORDS[len(coders)] if len(coders) < len(_WORDS) else str(len(coders))
    many = f"{number} coder{'' if len(coders) == 1 else 's'} ({', '.join(coders)})"
    items = f"{study.items} item{'' if study.items == 1 else 's'}"
    kinds = set(study.timed.values())
    how = "periods" if kinds == {True} else "single frames" if kinds == {False} else "periods or single frames"
    text = f"{many} coded {how} of {items}. "
    if "time" in set(study.agreement["unit"]):
        gaps = {"none": "was a label of its own", "skip": "was left out"}.get(study.gaps, f"counted as {study.gaps}")
        text += (
            "Agreement on periods is by time: each analysed frame counts by the time for which it is shown, and time "
            f"without a code {gaps}. "
        )
    text += (
        f"fermedia {fermedia.__version__} read the same faces without knowledge of the codes; its labels are those of "
        f"its most probable emotion{', averaged over time for periods' if True in kinds else ''}. "
    )
    whole = study.agreement
    clusters = int(whole["clusters"].max()) if len(whole) else 0
    of_what = "people" if study.people else "items"
    if clusters > 1:
        text += (
            f"Intervals are expanded percentile intervals of 95 % (Hesterberg, 2015) from {study.resamples:,} "
            f"bootstrap resamples of the {clusters} {of_what}."
        )
    else:
        text += f"With a single {'person' if study.people else 'item'}, no intervals can be given."
    return text
