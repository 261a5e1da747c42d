"""A figure for papers: how far coders agree with each other and with the machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fermedia.report.plots import FAINT, INK, WIDTH, short, style
from fermedia.study.codes import ALL, MACHINE
from fermedia.types import EMOTIONS

if TYPE_CHECKING:
    import pandas as pd


def plot_agreement(agreement: pd.DataFrame, confusion: pd.DataFrame) -> Figure:
    """Plot Cohen's kappa of each label, between coders and with the machine, and the confusion with the machine.

    The confusion adds up that of all coders with the machine; without any, that of the coders with each other.

    Args:
        agreement: agreement.csv (``columns.AGREEMENT``).
        confusion: confusion.csv (``columns.CONFUSION``).

    Returns:
        A figure, to be saved with ``savefig``.
    """
    rows = agreement[agreement["statistic"] == "kappa"].dropna(subset=["value"])
    machine = rows["coder_2"] == MACHINE
    other = rows["coder_2"].where(~machine, "fermedia")
    rows = rows.assign(pair=rows["coder_1"].map(short) + " and " + other.map(short))
    pairs = [*rows.loc[~machine, "pair"].unique(), *rows.loc[machine, "pair"].unique()]
    labels = [ALL, *(label for label in rows["label"].unique() if label != ALL)]
    with_machine = confusion["coder_2"] == MACHINE
    table = confusion[with_machine] if with_machine.any() else confusion
    columns = max(1, min(3, int(WIDTH / (0.35 + 0.065 * max(map(len, pairs), default=1)))))
    lines = -(-len(pairs) // columns)
    height = max(3.0, 0.1 * len(labels) * max(2, len(pairs)) + 0.6) + 0.17 * lines
    with style():
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(1.1, 1))
        _draw_kappas(left, rows, labels, pairs)
        _draw_confusion(right, table, bool(with_machine.any()))
        handles, names = left.get_legend_handles_labels()
        look = {"frameon": False, "handletextpad": 0.3, "columnspacing": 1.2}
        figure.legend(handles, names, loc="outside lower left", ncols=columns, **look)
    return figure


def _draw_kappas(axes: Axes, rows: pd.DataFrame, labels: Sequence[str], pairs: Sequence[str]) -> None:
    step = 0.8 / max(1, len(pairs))
    for n, pair in enumerate(pairs):
        own = rows[rows["pair"] == pair]
        is_machine = bool((own["coder_2"] == MACHINE).all())
        color = mpl.colormaps["Blues" if is_machine else "Oranges"](0.9 - 0.5 * (n / max(1, len(pairs))))
        places = [labels.index(label) - 0.4 + step * (n + 0.5) for label in own["label"]]
        axes.hlines(places, own["low"], own["high"], color=color, linewidth=1.4)
        axes.plot(own["value"], places, "o" if is_machine else "D", color=color, markersize=3.6, label=pair)
    axes.set_yticks(range(len(labels)), [f"{label} labels" if label == ALL else short(label, 18) for label in labels])
    axes.set_ylim(len(labels) - 0.45, -0.55)
    lowest = min([0.0, *rows["value"].tolist(), *rows["low"].dropna().tolist()])
    axes.set_xlim(max(-1.0, lowest) - 0.04, 1.04)
    axes.set_xlabel("Cohen's kappa, 95 % interval")
    axes.grid(axis="x", color="#e4e4e4", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.axvline(0, color=FAINT, linewidth=0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _draw_confusion(axes: Axes, table: pd.DataFrame, machine: bool) -> None:
    if table.empty:
        axes.set_axis_off()
        return
    amount = "seconds" if table["seconds"].notna().all() else "frames"
    given = list(dict.fromkeys([*table["label_1"], *table["label_2"]]))
    order = [e for e in EMOTIONS if e in given] + sorted(set(given) - set(EMOTIONS))
    grid = table.pivot_table(index="label_1", columns="label_2", values=amount, aggfunc="sum", fill_value=0)
    counts = grid.reindex(index=order, columns=order, fill_value=0).to_numpy(np.float64)
    whole = counts.sum(axis=1, keepdims=True)
    counts, order_1 = counts[whole[:, 0] > 0], [o for o, w in zip(order, whole[:, 0], strict=True) if w > 0]
    shares = counts / counts.sum(axis=1, keepdims=True)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_anchor("N")
    for (a, b), share in np.ndenumerate(shares):
        text = f"{100 * share:.0f}" if share >= 0.005 else "0" if share else ""
        axes.text(b, a, text, ha="center", va="center", fontsize=7, color="white" if share > 0.55 else INK)
    axes.set_xticks(
        range(len(order)), [short(name, 16) for name in order], rotation=60, ha="right", rotation_mode="anchor"
    )
    axes.set_yticks(range(len(order_1)), [short(name, 16) for name in order_1])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_ylabel("coders" if machine else "first coder")
    axes.set_xlabel("fermedia" if machine else "second coder")
    what = "time" if amount == "seconds" else "frames"
    axes.set_title(f"% of the {what} of a row", fontsize=8, loc="left")
