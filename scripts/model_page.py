"""Measure the model that ships, and write all that its page says in numbers: one command after every new model.

    python scripts/model_page.py fer2013.csv --ferplus fer2013new.csv

Writes into models/emotion: evaluation.json, the plots, and the parts of README.md between its markers; the text around
them is written by hand. ``method.md`` there says how this very model was made, ``elsewhere.md`` what
``scripts/measure_elsewhere.py`` printed of it; both are included as they are. About five minutes on one core. Needs
the extra `test`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import measuring
import numpy as np
from measuring import percent, table
from numpy.typing import NDArray
from scipy.stats import binomtest

from fermedia.files import whole_file
from fermedia.options import EVERYDAY, FER2013, FERPLUS
from fermedia.training.dataset import CHOICES, Dataset, digests, load, majority_labels, seen
from fermedia.training.evaluate import evaluate, write_report
from fermedia.training.export import correction, frequencies
from fermedia.training.metrics import wilson
from fermedia.vision.classify import Classifier

MODELS = measuring.ROOT / "models" / "emotion"

#: Parts of the page that lie beside it, each in a file of its own.
TEXTS = ("method", "elsewhere")

#: Values of the option ``balance`` that the heads are compared at.
BALANCES = (0.0, 0.1, 0.25, 0.5, 1.0)

_SPLITS = {"train": "the training images", "public": "PublicTest", "private": "PrivateTest"}
_HEADS = {FER2013: "FER-2013", FERPLUS: "FER+"}


def main() -> None:
    """Measure and write."""
    parser = measuring.parser(__doc__, data=True, ferplus=True)
    parser.add_argument("--model", type=Path, default=MODELS, help="the model's folder (default: models/emotion)")
    parser.add_argument("--split", choices=CHOICES, default="public", help="the images (default: public)")
    parser.add_argument("--sample", type=int, default=1000, help="images for the robustness (default: 1000)")
    arguments = parser.parse_args()
    result = measure(arguments.data, arguments.ferplus, arguments.model, arguments.split, arguments.sample)
    write_report(result, json_file=arguments.model / "evaluation.json", out=arguments.model)
    write_page(arguments.model)


def measure(data: Path, ferplus: Path, model: Path, split: str, sample: int) -> dict[str, Any]:
    """What ``evaluate`` gives, of no machine in particular, with ``compare_heads`` under "heads"."""
    result = evaluate(data, split, model=model, ferplus=ferplus, labels=FER2013, robustness=sample)
    result["data"], result["model"]["path"] = data.name, f"models/{model.name}"
    dataset = load(data, ["train", *result["splits"]], ferplus)
    return result | {"heads": compare_heads(dataset, model)}


def compare_heads(dataset: Dataset, model: Path) -> dict[str, Any]:
    """The heads on the test faces on which both labellings agree and that no training image repeats.

    ``dataset`` has the training split, for the classes' frequency, and at least one other, all with votes. Gives ``n``
    and per head ``accuracy``, its interval, ``balanced_accuracy``, how many faces only this head had right
    (``alone_right``), and ``balances``: accuracy and balanced accuracy had ``balance`` been another.
    """
    tests = Dataset(dataset.path, {n: s for n, s in dataset.items() if n != "train"}).joined()
    assert tests.votes is not None
    voted, known = majority_labels(tests.votes)
    agreed = tests.pick(known & (voted == tests.labels) & ~seen(tests.images, digests(dataset["train"].images)))
    card = json.loads((model / "card.json").read_text(encoding="utf-8"))["calibration"]
    logits, hits = {}, {}
    for head in _HEADS:
        probabilities = Classifier.load(model, head).predict(agreed.images)
        logits[head] = np.log(np.clip(probabilities, 1e-12, None)) * card["temperatures"][head]
        hits[head] = probabilities.argmax(1) == agreed.labels
    mixed = Classifier.load(model, EVERYDAY).predict(agreed.images).argmax(1)
    result: dict[str, Any] = {"n": len(agreed), "balance": card["balance"]}
    result[EVERYDAY] = {
        **_scores(mixed, agreed.labels),
        "accuracy_interval": wilson(int((mixed == agreed.labels).sum()), len(agreed)),
    }
    shares = frequencies(dataset["train"])
    for head, other in ((FER2013, FERPLUS), (FERPLUS, FER2013)):
        plain = logits[head] - np.log(correction(shares[head], card["balance"]))
        answers = {b: plain + np.log(correction(shares[head], b)) for b in BALANCES}
        result[head] = {
            **_scores(logits[head].argmax(1), agreed.labels),
            "accuracy_interval": wilson(int(hits[head].sum()), len(agreed)),
            "alone_right": int((hits[head] & ~hits[other]).sum()),
            "balances": {str(b): _scores(a.argmax(1), agreed.labels) for b, a in answers.items()},
        }
    return result


def _scores(answers: NDArray[np.intp], labels: NDArray[np.int64]) -> dict[str, float]:
    right = answers == labels
    recalls = [right[labels == c].mean() for c in np.unique(labels)]
    return {"accuracy": float(right.mean()), "balanced_accuracy": float(np.mean(recalls))}


def write_page(model: Path) -> None:
    """Fill README.md in the model's folder from evaluation.json, card.json and ``TEXTS`` beside it."""
    result = json.loads((model / "evaluation.json").read_text(encoding="utf-8"))
    card = json.loads((model / "card.json").read_text(encoding="utf-8"))
    texts = {name: (model / f"{name}.md").read_text(encoding="utf-8") for name in TEXTS}
    page = fill((model / "README.md").read_text(encoding="utf-8"), parts(result, card, texts))
    with whole_file(model / "README.md") as path:
        path.write_text(page, encoding="utf-8")


def fill(page: str, contents: dict[str, str]) -> str:
    """The page with what stands between ``<!-- begin NAME -->`` and ``<!-- end NAME -->`` replaced.

    Raises ValueError if the page's markers are not exactly the names of ``contents``.
    """
    marked = re.compile(r"(<!-- begin (\w+) -->\n).*?(<!-- end \2 -->)", re.DOTALL)
    names = [match[2] for match in marked.finditer(page)]
    if sorted(names) != sorted(contents):
        raise ValueError(f"the page has the markers {sorted(names)}, and needs {sorted(contents)}")
    return marked.sub(lambda match: f"{match[1]}{contents[match[2]].strip()}\n{match[3]}", page)


def parts(result: dict[str, Any], card: dict[str, Any], texts: dict[str, str]) -> dict[str, str]:
    """Everything between the page's markers, by name."""
    return {
        **texts,
        "details": _details(card),
        "figures": _figures(result),
        "calibration": _calibration(result, card),
        "classes": _classes(result),
        "robustness": _robustness(result["robustness"]),
        "default": f"This model's default: `{card['default_labels']}`.",
        "heads": _heads(result["heads"]),
    }


def _details(card: dict[str, Any]) -> str:
    file, training = card["files"]["model.tflite"], card["training"]
    return table(
        ["", ""],
        [
            ["file", f"`model.tflite`, {file['bytes']:,} bytes, SHA-256 `{file['sha256']}`"],
            ["parameters", f"{training['parameters']:,}"],
            ["training", f"{training['epochs']} epochs, the {_nth(training['chosen_epoch'])} chosen"],
            ["made", f"{card['created'][:10]}, with fermedia {card['versions']['fermedia']}"],
            ["heads", f"{', '.join(f'`{h}`' for h in card['heads'])}; by default `{card['default_labels']}`"],
        ],
    )


def _figures(result: dict[str, Any]) -> str:
    images = " and ".join(_SPLITS[name] for name in result["splits"])
    rows = []
    for figures in (result, result["ferplus"]):
        name = _HEADS[figures["labels"]]
        for what, f in ((images, figures), ("without training repeats", figures["without_training_repeats"])):
            share, interval = percent(f["accuracy"], f["accuracy_interval"]).split(" ", 1)
            accuracy = f"**{share}** {interval}"
            rest = [f"{f['balanced_accuracy']:.1%}", f"{f['macro_f1']:.1%}", f"{f['nll']:.3f}"]
            rows.append([name, what, f"{f['n']:,}", accuracy, *rest])
    head = ["labels and head", "images", "n", "accuracy (95 % interval)", "balanced accuracy", "macro F1", "log loss"]
    return table(head, rows)


def _calibration(result: dict[str, Any], card: dict[str, Any]) -> str:
    rows = []
    for f in (result, result["ferplus"]):
        errors = ["-" if f[k] is None else f"{f[k]:.3f}" for k in ("ece", "ece_cross_fitted", "ece_by_chance")]
        rows.append([_HEADS[f["labels"]], f"{f['n']:,}", *errors])
    fitted = f"as shipped (temperatures fitted on {card['calibration']['fitted_on']})"
    return table(["labels and head", "n", fitted, "cross-fitted", "expected by chance"], rows)


def _classes(result: dict[str, Any]) -> str:
    texts = []
    for figures in (result, result["ferplus"]):
        rest, rows = figures["without_training_repeats"]["per_class"], []
        for name, row in figures["per_class"].items():
            fresh = rest[name]
            scores = [f"{row[k]:.1%}" for k in ("precision", "f1")]
            both = [f"{row['support']:,}", _recall(row), *scores, f"{fresh['support']:,}", _recall(fresh)]
            rows.append([name, *both])
        head = [
            "label",
            "n",
            "recall (95 % interval)",
            "precision",
            "F1",
            "n without repeats",
            "recall there",
        ]
        texts += [f"**{_HEADS[figures['labels']]} labels, head `{figures['head']}`**", "", table(head, rows), ""]
    return "\n".join(texts)


def _recall(row: dict[str, Any]) -> str:
    if row["recall_interval"] is None:
        return "-"
    return percent(row["recall"], row["recall_interval"], digits=0)


def _robustness(result: dict[str, Any]) -> str:
    rows = [["as they are", "", f"{result['accuracy']:.1%}", "", f"{result['balanced_accuracy']:.1%}"]]
    for trouble in result["troubles"]:
        for row in trouble["rows"]:
            change = measuring.points(row["change"], row["change_interval"])
            what = [f"{trouble['name']} ({trouble['unit']})", f"{row['strength']:g}"]
            rows.append([*what, f"{row['accuracy']:.1%}", change, f"{row['balanced_accuracy']:.1%}"])
    troubles = table(["", "strength", "accuracy", "change in points (95 % interval)", "balanced accuracy"], rows)
    return f"n = {result['n']:,}, head `{result['head']}`, the labels of the same name.\n\n{troubles}"


def _heads(result: dict[str, Any]) -> str:
    rows, others = [], []
    for head, name in _HEADS.items():
        figures = result[head]
        accuracy = percent(figures["accuracy"], figures["accuracy_interval"])
        rows.append([name, accuracy, f"{figures['balanced_accuracy']:.1%}", f"{figures['alone_right']:,}"])
        cells = [f"{s['accuracy']:.1%} / {s['balanced_accuracy']:.1%}" for s in figures["balances"].values()]
        others.append([name, *cells])
    mixed = result[EVERYDAY]
    accuracy = percent(mixed["accuracy"], mixed["accuracy_interval"])
    rows.append([f"`{EVERYDAY}`, of both", accuracy, f"{mixed['balanced_accuracy']:.1%}", "-"])
    return "\n".join(
        (
            f"n = {result['n']:,}. {_verdict(result)}",
            "",
            table(["head", "accuracy (95 % interval)", "balanced accuracy", "faces only this head has right"], rows),
            "",
            f"Had `--balance` been another than {result['balance']:g} (accuracy / balanced accuracy):",
            "",
            table(["head", *result["fer2013"]["balances"]], others),
        )
    )


def _verdict(result: dict[str, Any]) -> str:
    """Which head these faces speak for, by McNemar's exact test of the faces that only one of them has right."""
    better, worse = sorted(_HEADS, key=lambda head: -result[head]["alone_right"])
    alone, other = result[better]["alone_right"], result[worse]["alone_right"]
    p = float(binomtest(alone, alone + other).pvalue) if alone + other else 1.0
    test = f"(McNemar's exact test, p {'< 0.001' if p < 0.001 else f'= {p:.3f}'})"
    if p >= 0.05:
        return f"The heads do not differ more than by chance {test}."
    return f"These faces speak for the head `{better}` {test}."


def _nth(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


if __name__ == "__main__":
    main()
