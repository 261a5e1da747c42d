"""``fermedia train``: train a network on a data set and write a model folder; can be interrupted and resumed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import tensorflow as tf
from tqdm import tqdm

from fermedia.errors import UsageError
from fermedia.files import counted, sha256
from fermedia.options import TrainOptions
from fermedia.training.checkpoint import CHECKPOINT, HISTORY, State
from fermedia.training.dataset import Dataset, Split, blank, digests, load, seen
from fermedia.training.export import export, write_history
from fermedia.training.fit import Trainer
from fermedia.training.teachers import ANSWERS, WEIGHTS, Committee, Teacher, load_teachers


def train_model(
    data: Path,
    out: Path,
    options: dict[str, Any],
    *,
    ferplus: Path | None = None,
    teachers: Sequence[Path] = (),
    start: Path | None = None,
    resume: bool = False,
) -> str:
    """Train on ``data`` into the folder ``out``.

    Args:
        data: The data set.
        out: The folder to write.
        options: Fields of ``TrainOptions``.
        ferplus: A file of FER+ votes.
        teachers: Folders of earlier trainings to distill (see ``fermedia.training.teachers``).
        start: A folder with initial weights; random ones if None.
        resume: Take all of these from the checkpoint in ``out``; those that are given must agree with it.

    Returns:
        The closing line for the user.

    Raises:
        UsageError, DataError, ModelError: An argument, the data or a model is invalid.
        KeyboardInterrupt: With a hint on how to resume.
    """
    state = _resumed(data, out, options, ferplus, start) if resume else None
    if state is None:
        if out.is_dir() and any(out.iterdir()):
            raise UsageError(f"--out {out}: is not empty; add --resume to go on with it, or name another folder")
        state = _begun(options, ferplus, start)
    committee = _committee(state, out, teachers)
    ferplus = Path(state.data["ferplus"]) if state.data["ferplus"] else None
    dataset = load(data, ("train", "public"), ferplus)
    if state.data.setdefault("digest", dataset.digest) != dataset.digest:
        raise UsageError(f"{data}: is not the data set that {out} was started with; give that one, or another --out")
    trainer = Trainer(training_images(dataset), dataset["public"], TrainOptions(**state.options), state, committee)
    state.save(out / CHECKPOINT)
    try:
        _run(trainer, out)
    except KeyboardInterrupt as error:
        kept = f"{counted(state.epoch, 'epoch')} {'is' if state.epoch == 1 else 'are'} kept"
        done = kept if state.epoch else "no epoch was finished"
        raise KeyboardInterrupt(f"{done}; go on with: fermedia train {data} --out {out} --resume") from error
    card = export(trainer, out, digests(dataset["train"].images))
    public = card["metrics"]["public"]
    low, high = public["accuracy_interval"]
    return (
        f"{out}: {counted(state.epoch, 'epoch')} in {state.seconds / 3600:.2f} hours; PublicTest accuracy "
        f"{public['accuracy']:.1%} ({low:.1%} to {high:.1%}, n = {public['n']}); "
        f"use it with: fermedia analyze VIDEO --model {out} --out DIR"
    )


def export_again(data: Path, trained: Path, out: Path, ferplus: Path) -> None:
    """Export a finished training again, so that a new way of exporting needs no new training.

    Args:
        data: The data set.
        trained: The folder of the training, with ``weights.npz``, ``card.json`` and ``history.csv``. The weights are
            float16, which makes no relevant difference.
        out: The model folder to write.
        ferplus: The file of FER+ votes.

    Raises:
        DataError: The data set is invalid.
        ModelError: The trained network is missing or damaged.
    """
    (network,) = load_teachers([trained])
    card = json.loads((trained / "card.json").read_text(encoding="utf-8"))
    history = pd.read_csv(trained / HISTORY).to_dict("records")
    options = TrainOptions(**card["training"]["options"])
    origin = {k: v for k, v in card["dataset"].items() if k != "training_images"} | _origin(ferplus)
    state = State(options.record(), origin, arrays=dict.fromkeys(("weights", "average", "best"), network.weights))
    state.history, state.epoch = history, len(history)
    state.seconds = history[-1]["seconds"]
    dataset = load(data, ("train", "public"), ferplus)
    export(Trainer(training_images(dataset), dataset["public"], options, state), out, digests(dataset["train"].images))


def training_images(dataset: Dataset) -> Split:
    """The training split without blank images and without images that are also in PublicTest."""
    train = dataset["train"]
    return train.pick(~blank(train.images) & ~seen(train.images, digests(dataset["public"].images)))


def _run(trainer: Trainer, out: Path) -> None:
    """Train all epochs, saving the checkpoint, the history and the TensorBoard log after each."""
    writer = tf.summary.create_file_writer(str(out / "tensorboard"))
    with writer.as_default():
        for state in trainer.epochs():
            state.save(out / CHECKPOINT)
            write_history(state.history, out)
            row = state.history[-1]
            for name, value in row.items():
                tf.summary.scalar(name, value, step=state.epoch)
            writer.flush()
            tqdm.write(
                f"epoch {state.epoch}: loss {row['loss']:.3f}, accuracy {row['accuracy']:.1%}; "
                f"PublicTest {row['val_accuracy']:.2%} (best {state.best['val_accuracy']:.2%}), "
                f"{tqdm.format_interval(int(state.seconds))} so far"
            )
    writer.close()


def _begun(options: dict[str, Any], ferplus: Path | None, start: Path | None) -> State:
    """The state before the first epoch. Raises UsageError if the network ``start`` does not fit the options."""
    data = _origin(ferplus) | {"start": None}
    if start is None:
        return State(options=TrainOptions(**options).record(), data=data)
    (given,) = load_teachers([start])
    chosen = TrainOptions(**{"width": given.width} | options)
    if chosen.width != given.width:
        raise UsageError(f"--start {start}: is a network of width {given.width:g}; leave --width out")
    if ("ferplus" in given.heads) != (ferplus is not None):
        advice = "leave --ferplus out" if ferplus else "give --ferplus"
        raise UsageError(f"--start {start}: is a network with the heads {', '.join(given.heads)}; {advice}")
    data["start"] = _named(given)
    return State(chosen.record(), data, arrays={"weights": given.weights, "average": given.weights})


def _resumed(data: Path, out: Path, options: dict[str, Any], ferplus: Path | None, start: Path | None) -> State:
    """The state of the checkpoint in ``out``. Raises UsageError if arguments differ from those it was started with."""
    state = State.load(out / CHECKPOINT)
    unknown = state.options.keys() - TrainOptions().record().keys()
    if unknown:
        names = ", ".join(sorted(unknown))
        raise UsageError(f"{out} was started by another version of fermedia, with {names}; train into another --out")
    begun = TrainOptions(**state.options).record()
    changed = {k: v for k, v in options.items() if begun[k] != v}
    if changed.keys() & {"epochs", "hours"}:
        raise UsageError(_prolonging(data, out, changed, state))
    differing = [f"--{k.replace('_', '-')} {v}" for k, v in changed.items()]
    if ferplus is not None and _origin(ferplus)["ferplus_sha256"] != state.data["ferplus_sha256"]:
        differing.append(f"--ferplus {ferplus}")
    if differing:
        raise UsageError(
            f"{out} was started without {', '.join(differing)}; leave that out, or train into another --out"
        )
    if ferplus is not None:
        state.data |= _origin(ferplus)
    state.data.setdefault("teachers", [])
    begun_with = state.data.setdefault("start", None)
    if start is not None and (begun_with is None or load_teachers([start])[0].sha256 != begun_with["sha256"]):
        raise UsageError(f"{out} was not started with --start {start}; leave that out, or train into another --out")
    return state


def _prolonging(data: Path, out: Path, options: dict[str, Any], state: State) -> str:
    """A message that says how to train with a larger budget.

    A training cannot be resumed with another budget, since its learning rate falls to 0 over the budget.
    """
    key = "epochs" if "epochs" in options else "hours"
    budget = next(f"--{k} {state.options[k]:g}" for k in ("epochs", "hours") if state.options[k])
    votes = f" --ferplus {state.data['ferplus']}" if state.data["ferplus"] else ""
    first = "" if (out / WEIGHTS).is_file() else f"finish it with --resume and without --{key}, and then "
    return (
        f"{out} was started with {budget}, over which its learning rate falls to 0; {first}go on from there with: "
        f"fermedia train {data}{votes} --start {out} --out ANOTHER --{key} {options[key]:g}"
    )


def _committee(state: State, out: Path, given: Sequence[Path]) -> Committee | None:
    """Load the teachers from the given folders, or else from those in ``state``, and record them there.

    Returns None if there are no teachers. Raises UsageError if they are not those that the training was started with.
    """
    begun = state.data.get("teachers")
    teachers = load_teachers(given or [Path(teacher["path"]) for teacher in begun or []])
    if begun is not None and [t.sha256 for t in teachers] != [t["sha256"] for t in begun]:
        names = ", ".join(Path(teacher["path"]).name for teacher in begun) or "none"
        raise UsageError(f"{out} was started with other teachers ({names}); name those, or train into another --out")
    state.data["teachers"] = [_named(teacher) for teacher in teachers]
    return Committee(teachers, out / ANSWERS) if teachers else None


def _named(network: Teacher) -> dict[str, str]:
    """The path and checksum of a trained network, for the state."""
    return {"path": str(network.folder.resolve()), "sha256": network.sha256}


def _origin(ferplus: Path | None) -> dict[str, Any]:
    """The path and checksum of the file of FER+ votes, for the state; None if there is no such file."""
    known = ferplus is not None and ferplus.is_file()
    return {
        "ferplus": str(ferplus.resolve()) if ferplus else None,
        "ferplus_sha256": sha256(ferplus) if ferplus and known else None,
    }
