"""``fermedia train``: from a data set to a model folder, interruptible at any moment."""

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
    """Train on ``data`` into the folder ``out``; gives the closing line.

    ``options`` are fields of ``TrainOptions``, ``teachers`` folders that this left before (see
    ``fermedia.training.teachers``), ``start`` one whose weights are begun with instead of random ones. With ``resume``
    all of them, and the votes, come from the checkpoint, and what is given must agree with it. Raises UsageError,
    DataError, ModelError; KeyboardInterrupt with a hint on how to go on.
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
        raise UsageError(f"{data}: is not the data set that {out} was begun with; give that one, or another --out")
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
    """Make the model folder ``out`` of a training that is over, from what is kept of it in the folder ``trained``.

    That is ``weights.npz``, ``card.json`` and ``history.csv``; the weights are of float16 there, which changes no
    answer that matters. So a new way to ship a network needs no new training. Raises DataError and ModelError.
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
    """The training split without blank images and without those that stand in PublicTest too."""
    train = dataset["train"]
    return train.pick(~blank(train.images) & ~seen(train.images, digests(dataset["public"].images)))


def _run(trainer: Trainer, out: Path) -> None:
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
    """The state before the first epoch; UsageError where the network to start with is another than this training's."""
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
    """The state in ``out``; UsageError where what was given now differs from what it was begun with."""
    state = State.load(out / CHECKPOINT)
    unknown = state.options.keys() - TrainOptions().record().keys()
    if unknown:
        names = ", ".join(sorted(unknown))
        raise UsageError(f"{out} was begun by another version of fermedia, with {names}; train into another --out")
    begun = TrainOptions(**state.options).record()
    changed = {k: v for k, v in options.items() if begun[k] != v}
    if changed.keys() & {"epochs", "hours"}:
        raise UsageError(_prolonging(data, out, changed, state))
    differing = [f"--{k.replace('_', '-')} {v}" for k, v in changed.items()]
    if ferplus is not None and _origin(ferplus)["ferplus_sha256"] != state.data["ferplus_sha256"]:
        differing.append(f"--ferplus {ferplus}")
    if differing:
        raise UsageError(f"{out} was begun without {', '.join(differing)}; leave that out, or train into another --out")
    if ferplus is not None:
        state.data |= _origin(ferplus)
    state.data.setdefault("teachers", [])
    begun_with = state.data.setdefault("start", None)
    if start is not None and (begun_with is None or load_teachers([start])[0].sha256 != begun_with["sha256"]):
        raise UsageError(f"{out} was not begun with --start {start}; leave that out, or train into another --out")
    return state


def _prolonging(data: Path, out: Path, options: dict[str, Any], state: State) -> str:
    """What to do instead of resuming with more epochs or hours than those over which the learning rate falls to 0."""
    key = "epochs" if "epochs" in options else "hours"
    budget = next(f"--{k} {state.options[k]:g}" for k in ("epochs", "hours") if state.options[k])
    votes = f" --ferplus {state.data['ferplus']}" if state.data["ferplus"] else ""
    first = "" if (out / WEIGHTS).is_file() else f"finish it with --resume and without --{key}, and then "
    return (
        f"{out} was begun with {budget}, over which its learning rate falls to 0; {first}go on from there with: "
        f"fermedia train {data}{votes} --start {out} --out ANOTHER --{key} {options[key]:g}"
    )


def _committee(state: State, out: Path, given: Sequence[Path]) -> Committee | None:
    """The teachers in the folders given now, else in those of before, put down in ``state``; None without.

    UsageError where they are others than it was begun with.
    """
    begun = state.data.get("teachers")
    teachers = load_teachers(given or [Path(teacher["path"]) for teacher in begun or []])
    if begun is not None and [t.sha256 for t in teachers] != [t["sha256"] for t in begun]:
        names = ", ".join(Path(teacher["path"]).name for teacher in begun) or "none"
        raise UsageError(f"{out} was begun with other teachers ({names}); name those, or train into another --out")
    state.data["teachers"] = [_named(teacher) for teacher in teachers]
    return Committee(teachers, out / ANSWERS) if teachers else None


def _named(network: Teacher) -> dict[str, str]:
    return {"path": str(network.folder.resolve()), "sha256": network.sha256}


def _origin(ferplus: Path | None) -> dict[str, Any]:
    known = ferplus is not None and ferplus.is_file()
    return {
        "ferplus": str(ferplus.resolve()) if ferplus else None,
        "ferplus_sha256": sha256(ferplus) if ferplus and known else None,
    }
