"""How good a model is on FER-2013: figures, their report, and their pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from fermedia.errors import DataError, ModelError
from fermedia.files import counted, models_dir, write_json
from fermedia.training.dataset import Split, digests, majority_labels, seen
from fermedia.training.labelled import Faces, read_labelled
from fermedia.training.metrics import measure
from fermedia.training.robustness import format_robustness, measure_robustness
from fermedia.training.sources import Source
from fermedia.types import EMOTIONS
from fermedia.vision.classify import Classifier

#: In a model's folder: ``digests`` of the images that it was trained on.
TRAINING_DIGESTS = "training_digests.npy"

#: Faces predicted between two steps of the progress bar.
_BATCH = 256

_NAMES = {
    "fer2013": "FER-2013 labels",
    "ferplus": "FER+ labels (most votes)",
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
    """Measure the LiteRT model in the folder ``model`` (the one that ships if None) on labelled pictures.

    ``data`` is a FER-2013 data set, or any folder or zip of pictures in folders that are called by classes; ``split``
    and ``faces`` are those of ``labelled.read_labelled``. ``labels`` says which head of the model speaks; if None
    FER-2013's on FER-2013 (where the model has it), and elsewhere the one that speaks in ``analyze``. On FER-2013 the
    figures are against the labels of the head's name; against FER-2013's if there is no file ``ferplus``. With that
    file and FER-2013's head, the figures of the FER+ head against the FER+ labels stand beside them, under "ferplus".
    ``robustness`` is the number of images that are also made worse in many ways, which takes minutes; 0 for none.

    Gives what ``evaluate_split`` gives, with "data", "split" ("all" for data without parts), "splits" (pictures per
    part) and "pictures" (``Labelled.record``: what was left out). Raises DataError for data that is not as it should
    be, ModelError for the model.
    """
    labelled = read_labelled(data, split, ferplus, faces)
    own = "fer2013" if labelled.like_fer2013 else "folders"
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
    own: str = "fer2013",
) -> dict[str, Any]:
    """Measure a model on images that are loaded already.

    ``own`` is whose the split's labels are: "fer2013" or, of any other data, "folders". ``training`` are the
    ``digests`` of the training images; without them, those in the model's folder are taken.
    Gives the figures of ``metrics.measure`` and: "head" (which of the model's outputs spoke), "labels" (what it was
    compared with), "without_training_repeats" (the figures without images that also stand in the training set, or
    None) and their "accuracy_without_training_repeats", "training_repeats" (how many such images there are, and how
    that is known or why it is not), "model" (path, sha256), with votes "ferplus" (the same figures against the
    crowd's labels, of the head of that name where FER-2013's spoke, or None), and where it was asked for "robustness"
    (``measure_robustness`` of so many images, none of them a known repeat).
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
    if classifier.labels == "ferplus":
        if not len(crowd):
            raise DataError(f"none of the {len(split)} images has a FER+ label among the seven emotions")
        return result | _figures(classifier, crowd, "ferplus", again, robustness)
    result |= _figures(classifier, split, own, repeated, robustness)
    result["ferplus"] = None
    if len(crowd):
        apart = classifier.labels == "fer2013" and "ferplus" in classifier.heads
        other = Classifier.load(folder, "ferplus") if apart else classifier
        result["ferplus"] = _figures(other, crowd, "ferplus", again)
    return result


def _speaker(folder: Path, labels: str | None, own: str) -> Classifier:
    """The head that was asked for; without a wish the one of the name of the data's labels, or the model's default."""
    classifier = Classifier.load(folder, labels)
    if labels is None and classifier.labels != own and own in classifier.heads:
        return Classifier.load(folder, own)
    return classifier


def _training_digests(source: Source) -> NDArray[np.uint64] | None:
    """Those of the data's training split; faulty images in it are no concern here. None where there is none."""
    images = [item.pixels for item in source.read(["train"]) if item.pixels is not None]
    return digests(np.stack(images)) if images else None


def _repeated(split: Split, training: NDArray[np.uint64] | None, folder: Path) -> tuple[NDArray[np.bool_] | None, str]:
    """Which images stand in the training set too, (n,) or None, and how that is known or why it is not."""
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
        # Kaggle's JPEG files and the original CSV hold the same images with slightly different pixels.
        known_from += "; none found (pixels that went through another file format never match)"
    return repeated, known_from


def _figures(
    classifier: Classifier, split: Split, labels: str, repeated: NDArray[np.bool_] | None, robustness: int = 0
) -> dict[str, Any]:
    """Everything about one head's answers to a split whose labels are of the kind ``labels``."""
    # Other pictures than FER-2013's are judged as photos are by `analyze`.
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
    """Write the figures as JSON, and confusion matrix, reliability and robustness as pictures into a folder.

    The pictures alone need matplotlib, without which they are not made: ModuleNotFoundError.
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
    pictures = result["pictures"]
    lines = [
        f"data   {result['data']} ({parts})",
        *(
            [f"faces  the largest of each of {counted(pictures['searched'], 'picture')}"]
            if pictures["searched"]
            else []
        ),
        *([f"left out: {pictures['left_out']}"] if pictures["left_out"] else []),
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
