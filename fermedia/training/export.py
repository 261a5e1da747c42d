"""Export a finished training to a model folder: calibrated Keras and LiteRT files, the card and its plots."""

from __future__ import annotations

import contextlib
import io
import os
import platform
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from numpy.typing import NDArray

import fermedia
from fermedia.files import sha256, whole_file, write_json
from fermedia.options import EVERYDAY, FER2013, FERPLUS
from fermedia.training import everyday, network, plots, teachers
from fermedia.training.checkpoint import HISTORY
from fermedia.training.dataset import Split, majority_labels, vote_distribution
from fermedia.training.evaluate import TRAINING_DIGESTS, evaluate_split, write_report
from fermedia.training.fit import Trainer
from fermedia.training.memory import Memory, remember
from fermedia.training.metrics import LEAST_FOR_TEMPERATURE, fit_temperature
from fermedia.types import EMOTIONS
from fermedia.vision.framing import FRAMING

SIZE = 48

#: Characters in a line of ``architecture.txt``.
_SUMMARY_WIDTH = 120


def export(trainer: Trainer, out: Path, known: NDArray[np.uint64]) -> dict[str, Any]:
    """Write the files of a model folder except the checkpoint, and return the card.

    Args:
        trainer: The finished training.
        out: The folder.
        known: The digests of the whole training split, by which ``evaluate`` recognizes training images.
    """
    trained = network.build(trainer.heads, trainer.options.width, SIZE)
    trained.set_weights(trainer.state.arrays["best"])
    memory = remember(trained, trainer.train, trainer.options.memory) if trainer.options.memory else None
    temperatures = _temperatures(trainer, trained, memory)
    model = calibrated(trained, _corrections(trainer), temperatures, memory)
    with whole_file(out / "model.keras") as path:
        model.save(path)
    write_litert(model, out / "model.tflite")
    with whole_file(out / TRAINING_DIGESTS) as path:
        np.save(path, known)
    card = _card(trainer, out, temperatures)
    write_json(out / "card.json", card)  # without metrics yet: these are of the exported files, which need a card
    public = evaluate_split(trainer.public, out, training=known)
    write_report(public, out=out)
    card["metrics"] = {"public": public}
    write_json(out / "card.json", card)
    write_history(trainer.state.history, out)
    plots.plot_history(pd.DataFrame(trainer.state.history), out / "curves.png")
    _architecture(model, out)
    teachers.save(trainer.state, out / teachers.WEIGHTS)  # last: its presence marks a complete folder
    return card


def calibrated(
    trained: keras.Model,
    corrections: dict[str, NDArray[np.float64]],
    temperatures: dict[str, float],
    memory: Memory | None = None,
) -> keras.Model:
    """Build the network to ship: from grey values (n, 48, 48, 1), float32, 0..255, to probabilities (n, 7) per head.

    The corrections of ``memory`` are added to the logits of ``trained``. Calibration is folded into the last layers'
    weights: logits plus the logarithm of ``corrections`` (7,), divided by the temperature (Guo et al. 2017). FER+'s
    eighth class, contempt, is dropped, so the other seven are conditional on its absence. If there are heads for both
    labellings, a third one mixes them (``training.everyday``).
    """
    features = trained.get_layer("pool").output
    scales = {name: 1 / temperature for name, temperature in temperatures.items()}
    recalled = memory.scaled(scales).corrections(trained) if memory else {}
    answers = {}
    for name, scale in scales.items():
        kernel, bias = trained.get_layer(name).get_weights()
        head = keras.layers.Dense(len(EMOTIONS), name=f"{name}_logits")
        logits = head(features)
        shift = np.log(corrections[name])
        head.set_weights([kernel[:, : len(EMOTIONS)] * scale, (bias[: len(EMOTIONS)] + shift) * scale])
        answers[name] = logits + recalled[name] if memory else logits
    if set(everyday.OF) <= answers.keys():
        answers[EVERYDAY] = everyday.mixed(answers, temperatures, corrections)
    outputs = {name: keras.layers.Softmax(name=name)(logits) for name, logits in answers.items()}
    return keras.Model(trained.input, outputs, name="fermedia")


def write_litert(model: keras.Model, out: Path) -> None:
    """Write the network as a LiteRT file with int8 weights.

    Each filter has its own scale, each dense layer a single one: a scale for each of the memory's images would be a
    third as large as its key. The interpreter quantizes activations to int8 by the range of each face. This changes
    the result of one face in a thousand, and takes a ninth of the time on processors that support it.
    """
    one_scale = {"_experimental_disable_per_channel_quantization_for_dense_layers": True}
    with whole_file(out) as path, contextlib.redirect_stdout(io.StringIO()):
        model.export(path, format="litert", verbose=False, optimizations=[tf.lite.Optimize.DEFAULT], **one_scale)


def correction(frequency: NDArray[np.float64], balance: float) -> NDArray[np.float64]:
    """The factor of each class's probability (7,) that compensates for the classes' unequal ``frequency`` (7,).

    The most likely class after the correction maximises ``1 - balance`` times the accuracy plus ``balance`` times the
    balanced accuracy: a correct answer of class c adds 1/n to the former and 1/(7 n frequency[c]) to the latter. At 1
    the prior is divided out, which is the logit adjustment of Menon et al. (2021); its powers below 1 would cost more
    accuracy for the same balanced accuracy.
    """
    return 1 - balance + balance / (len(frequency) * frequency)


def frequencies(train: Split) -> dict[str, NDArray[np.float64]]:
    """By head, each class's share (7,) of the head's training targets; none is 0."""
    counts = {FER2013: np.bincount(train.labels, minlength=len(EMOTIONS)).astype(float)}
    if train.votes is not None:
        target, known = vote_distribution(train.votes)
        counts[FERPLUS] = target[known, : len(EMOTIONS)].sum(0, dtype=float)
    return {name: np.maximum(c, 1) / np.maximum(c, 1).sum() for name, c in counts.items()}


def _corrections(trainer: Trainer) -> dict[str, NDArray[np.float64]]:
    return {name: correction(share, trainer.options.balance) for name, share in frequencies(trainer.train).items()}


def _temperatures(trainer: Trainer, trained: keras.Model, memory: Memory | None) -> dict[str, float]:
    """The temperature of each head that maximises the likelihood of PublicTest's labels; 1 if there are too few."""
    unity = dict.fromkeys(trainer.heads, 1.0)
    plain = calibrated(trained, _corrections(trainer), unity, memory)
    probabilities = plain.predict(trainer.public.images[..., None].astype(np.float32), batch_size=256, verbose=0)
    fitted = {}
    for name in trainer.heads:
        labels, known = trainer.public.labels, np.ones(len(trainer.public.labels), bool)
        if name == FERPLUS:
            assert trainer.public.votes is not None
            labels, known = majority_labels(trainer.public.votes)
        enough = known.sum() >= LEAST_FOR_TEMPERATURE
        fitted[name] = fit_temperature(probabilities[name][known], labels[known]) if enough else 1.0
    return fitted


def _card(trainer: Trainer, out: Path, temperatures: dict[str, float]) -> dict[str, Any]:
    best = trainer.state.best
    files = {p.name: {"sha256": sha256(p), "bytes": p.stat().st_size} for p in sorted(out.glob("model.*"))}
    packages = ("tensorflow", "keras", "numpy", "opencv-python-headless")
    heads = [EVERYDAY, *trainer.heads] if set(everyday.OF) <= set(trainer.heads) else trainer.heads
    return {
        "format": 1,
        "labels": list(EMOTIONS),
        "input": {"height": SIZE, "width": SIZE, "channels": 1, "dtype": "float32", "values": "grey, 0..255"},
        "scaling": "inside the graph",
        "framing": FRAMING,
        "heads": heads,
        "default_labels": heads[0],
        "files": files,
        "calibration": {
            "temperatures": temperatures,
            "balance": trainer.options.balance,
            "fitted_on": "PublicTest",
        },
        "memory": trainer.options.memory,
        "dataset": trainer.state.data | {"training_images": len(trainer.train.images)},
        "training": {
            "options": trainer.options.record(),
            "epochs": trainer.state.epoch,
            "chosen_epoch": best["epoch"],
            "hours": round(trainer.state.seconds / 3600, 2),
            "processor": platform.machine(),
            "parameters": int(sum(w.size for w in trainer.state.arrays["best"])),
        },
        "versions": {"fermedia": fermedia.__version__, "python": platform.python_version()}
        | {name: version(name) for name in packages},
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def write_history(history: list[dict[str, float]], out: Path) -> None:
    """Write ``history.csv``, with a row per epoch."""
    with whole_file(out / HISTORY) as path:
        pd.DataFrame(history).to_csv(path, index=False, float_format="%.6g")


def _architecture(model: keras.Model, out: Path) -> None:
    """Write ``architecture.txt``, and a diagram if graphviz and pydot are installed."""
    lines: list[str] = []
    with _columns(_SUMMARY_WIDTH):
        model.summary(print_fn=lambda line, **_: lines.append(line), line_length=_SUMMARY_WIDTH)
    with whole_file(out / "architecture.txt") as path:
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with contextlib.suppress(ImportError), contextlib.redirect_stdout(io.StringIO()):
        keras.utils.plot_model(model, str(out / "architecture.png"), show_shapes=True, dpi=80)


@contextlib.contextmanager
def _columns(width: int) -> Iterator[None]:
    """Set the terminal's width: Keras truncates its tables there, wherever they are written."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(width)
    try:
        yield
    finally:
        del os.environ["COLUMNS"]
        if before is not None:
            os.environ["COLUMNS"] = before
