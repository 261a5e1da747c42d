"""Evaluate a model on labelled images: metrics, report and plots."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from fermedia.errors import DataError, ModelError
from fermedia.files import counted, models_dir, write_json
from fermedia.options import FER2013, FERPLUS
from fermedia.training.dataset import Split, digests, majority_labels, seen
from fermedia.training.labelled import Faces, read_labelled
from fermedia.training.metrics import measure
from fermedia.training.robustness import format_robustness, measure_robustness
from fermedia.training.sources import Source
from fermedia.types import EMOTIONS
from fermedia.vision.classify import Classifier

#: The file in a model's folder with the ``digests`` of its training images.
TRAINING_DIGESTS = "training_digests.npy"

#: Faces predicted between two steps of the progress bar.
_BATCH = 256

_NAMES = {
    FER2013: "FER-2013 labels",
    FERPLUS: "FER+ labels (most votes)",
    "folders": "labels of the folders",
}


def evaluate(
    data: Path,
    split: str | None = None,
    *,
    model: Path | None = None,
    ferplus: Path | None = None,
    labels: str | None = None,
    robustness: int = 0,
    faces: Faces = "auto",
) -> dict[str, Any]:
    """Evaluate a LiteRT model on labelled images.

    On FER-2013 the metrics are against the labels of the head's name, or FER-2013's without a file ``ferplus``. With
    that file and FER-2013's head, the metrics of the FER+ head against the FER+ labels are added under "ferplus".

    Args:
        data: A FER-2013 data set, or any folder or zip of images in folders named by classes.
        split: As in ``labelled.read_labelled``.
        model: The model's folder; the shipped model if None.
        ferplus: A file of FER+ votes.
        labels: The head to evaluate; if None, FER-2013's on FER-2013 (if the model has it), else the one that
            ``analyze`` uses.
        robustness: The number of images that are also evaluated degraded, which takes minutes; 0 for none.
        faces: As in ``labelled.read_labelled``.

    Returns:
        The result of ``evaluate_split``, with "data", "split" ("all" for data without splits), "splits" (images in each
        split) and "pictures" (``Labelled.record``: what was skipped).

    Raises:
        DataError: The data is invalid.
        ModelError: The model is invalid.
    """
    labelled = read_labelled(data, split, ferplus, faces)
    own = FER2013 if labelled.like_fer2013 else "folders"
    training = _training_digests(labelled.source)
    result = evaluate_split(labelled.split, model, labels, training, robustness, own)
    return {
        "data": str(data),
        "split": "all" if "all" in labelled.parts else split or "public",
        "splits": labelled.parts,
        "pictures": labelled.record(),
        **result,
    }


def evaluate_split(
    split: Split,
    model: Path | None = None,
    labels: str | None = None,
    training: NDArray[np.uint64] | None = None,
    robustness: int = 0,
    own: str = FER2013,
) -> dict[str, Any]:
    """Evaluate a model on loaded images.

    Args:
        split: The images and labels.
        model: The model's folder; the shipped model if None.
        labels: The head to evaluate.
        training: The ``digests`` of the training images; if None, those in the model's folder.
        robustness: The number of images to evaluate degraded.
        own: The kind of the split's labels: "fer2013", or "folders" for any other data.

    Returns:
        The metrics of ``metrics.measure`` and: "head" (the evaluated output), "labels" (what it was compared with),
        "without_training_repeats" (the metrics without images that are also in the training set, or None) and their
        "accuracy_without_training_repeats", "training_repeats" (the number of such images, and how it is known or why
        it is not), "model" (path, sha256); with votes "ferplus" (the same metrics against the FER+ labels, of the FER+
        head if FER-2013's was evaluated, or None); if requested "robustness" (``measure_robustness`` of so many images
        without known repeats).
    """
    folder = models_dir() / "emotion" if model is None else model
    classifier = _speaker(folder, labels, own)
    repeated, known_from = _repeated(split, training, folder)
    count = None if repeated is None else int(repeated.sum())
    result: dict[str, Any] = {
        "model": {"path": str(folder), "sha256": classifier.sha256},
        "training_repeats": {"n": count, "known_from": known_from},
    }
    if split.votes is None:
        return result | _figures(classifier, split, own, repeated, robustness)
    voted, known = majority_labels(split.votes)
    crowd = replace(split, labels=voted).pick(known)
    again = None if repeated is None else repeated[known]
    if classifier.labels == FERPLUS:
        if not len(crowd):
            raise DataError(f"none of the {len(split)} images has a FER+ label among the seven emotions")
        return result | _figures(classifier, crowd, FERPLUS, again, robustness)
    result |= _figures(classifier, split, own, repeated, robustness)
    result["ferplus"] = None
    if len(crowd):
        apart = classifier.labels == FER2013 and FERPLUS in classifier.heads
        other = Classifier.load(folder, FERPLUS) if apart else classifier
        result["ferplus"] = _figures(other, crowd, FERPLUS, again)
    return result


def _speaker(folder: Path, labels: str | None, own: str) -> Classifier:
    """Load the requested head; by default that with the name of the data's labels, or the model's default."""
    classifier = Classifier.load(folder, labels)
    if labels is None and classifier.labels != own and own in classifier.heads:
        return Classifier.load(folder, own)
    return classifier


def _training_digests(source: Source) -> NDArray[np.uint64] | None:
    """The digests of the data's training split, without faulty images; None if there is no such split."""
    images = [item.pixels for item in source.read(["train"]) if item.pixels is not None]
    return digests(np.stack(images)) if images else None


def _repeated(split: Split, training: NDArray[np.uint64] | None, folder: Path) -> tuple[NDArray[np.bool_] | None, str]:
    """A mask (n,) of the images that are also in the training set, or None, and how that is known or why it is not."""
    known_from = "the data's training split"
    if training is None:
        path = folder / TRAINING_DIGESTS
        if not path.is_file():
            return None, f"unknown: the data has no training split, and {folder} no {TRAINING_DIGESTS}"
        try:
            training, known_from = np.load(path, allow_pickle=False), f"the model's {TRAINING_DIGESTS}"
        except (OSError, ValueError, EOFError) as error:
            raise ModelError(f"{path} is damaged ({error}); reinstall fermedia or export the model again") from error
    repeated = seen(split.images, training)
    if not repeated.any():
        # Kaggle's JPEG files and the original CSV have the same images with slightly different pixels.
        known_from += "; none found (pixels that went through another file format never match)"
    return repeated, known_from


def _figures(
    classifier: Classifier, split: Split, labels: str, repeated: NDArray[np.bool_] | None, robustness: int = 0
) -> dict[str, Any]:
    """The metrics of one head on a split whose labels are of the kind ``labels``."""
    # Other images than FER-2013's are classified as photos are by `analyze`.
    probabilities = _predict(classifier, split.images, mirrored=labels == "folders")
    figures = {"labels": labels, "head": classifier.labels, **measure(probabilities, split.labels)}
    rest, tested = None, split
    if repeated is not None and not repeated.all():
        rest, tested = measure(probabilities[~repeated], split.labels[~repeated]), split.pick(~repeated)
    figures["accuracy_without_training_repeats"] = rest["accuracy"] if rest else None
    figures["without_training_repeats"] = rest
    if robustness:
        figures["robustness"] = measure_robustness(classifier, tested, robustness)
    return figures


def _predict(classifier: Classifier, images: NDArray[np.uint8], mirrored: bool) -> NDArray[np.float32]:
    with tqdm(total=len(images), desc="evaluating", unit="face", leave=False, disable=None) as bar:
        parts = []
        for start in range(0, len(images), _BATCH):
            parts.append(classifier.predict(images[start : start + _BATCH], mirrored))
            bar.update(len(parts[-1]))
    return np.concatenate(parts)


def write_report(result: dict[str, Any], json_file: Path | None = None, out: Path | None = None) -> None:
    """Write the metrics as JSON, and plots of confusion matrix, reliability and robustness into the folder ``out``.

    Raises:
        ModuleNotFoundError: matplotlib, which only the plots need, is not installed.
    """
    if json_file is not None:
        write_json(json_file, result)
    if out is None:
        return
    from fermedia.training import plots

    for figures, suffix in ((result, ""), (result.get("ferplus"), "_ferplus")):
        if figures:
            title = f"{_NAMES[figures['labels']]}, {counted(figures['n'], 'image')}"
            plots.plot_confusion(figures["confusion"], out / f"confusion{suffix}.png", title)
            plots.plot_reliability(figures["reliability"], figures["ece"], out / f"reliability{suffix}.png", title)
    if "robustness" in result:
        plots.plot_robustness(result["robustness"], out / "robustness.png", _NAMES[result["labels"]])


def format_report(result: dict[str, Any]) -> str:
    """The figures as a page of plain text."""
    parts = ", ".join(f"{name} {n:,}" for name, n in result["splits"].items())
    images = result["pictures"]
    lines = [
        f"data   {result['data']} ({parts})",
        *([f"faces  the largest of each of {counted(images['searched'], 'image')}"] if images["searched"] else []),
        *([f"left out: {images['left_out']}"] if images["left_out"] else []),
        f"model  {result['model']['path']} (sha256 {result['model']['sha256'][:12]}...)",
        "",
        *_format_figures(result, result["training_repeats"]),
    ]
    if result.get("ferplus"):
        lines += ["", *_format_figures(result["ferplus"], result["training_repeats"])]
    if "robustness" in result:
        lines += ["", *format_robustness(result["robustness"])]
    return "\n".join(lines)


def _format_figures(figures: dict[str, Any], repeats: dict[str, Any]) -> list[str]:
    low, high = figures["accuracy_interval"]
    rest = figures["without_training_repeats"]
    lines = [
        f"Against the {_NAMES[figures['labels']]}: {counted(figures['n'], 'image')}, "
        f"answers of the head '{figures['head']}'",
        "",
        f"  accuracy            {figures['accuracy']:7.2%}   95 % interval {low:.2%} to {high:.2%}",
        f"  balanced accuracy   {figures['balanced_accuracy']:7.2%}",
        f"  macro F1            {figures['macro_f1']:7.2%}",
        f"  calibration error   {figures['ece']:7.4f}   ECE, {len(figures['reliability'])} bins; "
        f"chance alone gives {figures['ece_by_chance']:.4f}",
        f"  log loss            {figures['nll']:7.4f}",
    ]
    if figures["ece_cross_fitted"] is not None:
        line = (
            f"    cross-fitted      {figures['ece_cross_fitted']:7.4f}   with temperatures fitted on the other images"
        )
        lines.insert(-1, line)
    if rest:
        lines.append(
            f"  without repeats     {rest['accuracy']:7.2%}   accuracy without what also stands in the training set "
            f"({counted(figures['n'] - rest['n'], 'image')})"
        )
    else:
        why = repeats["known_from"] if repeats["n"] is None else "every image stands in the training set"
        lines.append(f"  without repeats           -   {why}")
    lines += ["", "             precision   recall       F1   images"]
    for name, row in figures["per_class"].items():
        scores = (f"{row[k]:.1%}" if row["support"] else "-" for k in ("precision", "recall", "f1"))
        lines.append(f"  {name:<9}  " + "".join(f"{score:>9}" for score in scores) + f"{row['support']:9,}")
    lines += ["", "  rows: the label, columns: the answer", "  " + " " * 9 + "".join(f"{e:>10}" for e in EMOTIONS)]
    for name, row in zip(EMOTIONS, figures["confusion"], strict=True):
        lines.append(f"  {name:<9}" + "".join(f"{n:>10,}" for n in row))
    return lines
