"""Make the model: train the networks that teach it and itself, and put the result into models/emotion.

    python scripts/release_model.py fer2013.csv --ferplus fer2013new.csv --work release

Each network learns from the labels and from the answers of those before it; the last one is the model. Interrupted at
any moment, the same command goes on. The weights of networks that were trained before lie in scripts/networks; they are
taken from there unless ``--from-nothing`` is given. Needs the extra `train`.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fermedia.files import whole_file, write_json
from fermedia.training.checkpoint import CHECKPOINT, HISTORY
from fermedia.training.session import train_model
from fermedia.training.teachers import WEIGHTS

#: The options of each network, in order, by its name; all else is the defaults of this version. At the moment it is one
#: that learns from the labels alone. What others reached is in models/emotion/experiments.csv.
NETWORKS: dict[str, dict[str, Any]] = {
    "four": {"epochs": 80, "seed": 5, "augmentation": 1.3, "mixup": 0.2, "width": 1.5},
}

MODELS = Path(__file__).resolve().parents[1] / "models" / "emotion"
STORE = Path(__file__).resolve().parent / "networks"

#: What ships of the last one's folder; what is kept of each, by the last of which it is known to be complete.
SHIPPED = (
    "model.tflite",
    "card.json",
    "training_digests.npy",
    HISTORY,
    "curves.png",
    "confusion.png",
    "reliability.png",
)
KEPT = (HISTORY, "card.json", WEIGHTS)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, or go on, and copy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="FER-2013: Kaggle's folder, a zip of it, or the original CSV")
    parser.add_argument("--ferplus", type=Path, required=True, help="the FER+ votes")
    parser.add_argument("--work", type=Path, required=True, help="folder of the trainings")
    parser.add_argument(
        "--from-nothing", action="store_true", help="train all of them here; leave scripts/networks as it is"
    )
    parser.add_argument("--to", type=Path, default=MODELS, help="where the model goes (default: models/emotion)")
    given = parser.parse_args(arguments)

    def train(out: Path, options: dict[str, Any], teachers: Sequence[Path]) -> None:
        resume = (out / CHECKPOINT).is_file()
        print(train_model(given.data, out, options, ferplus=given.ferplus, teachers=teachers, resume=resume))

    make_networks(train, given.work, None if given.from_nothing else STORE)
    publish(given.work / list(NETWORKS)[-1], given.to)


def make_networks(
    train: Callable[[Path, dict[str, Any], Sequence[Path]], None], work: Path, store: Path | None
) -> list[Path]:
    """The folders of all networks, after training those that are finished neither in ``store`` nor in ``work``.

    The last one is always made in ``work``, where all of its files are.
    """
    folders: list[Path] = []
    for name, options in NETWORKS.items():
        last = len(folders) == len(NETWORKS) - 1
        folder = work / name
        if store is not None and not last and (store / name / WEIGHTS).is_file():
            folder = store / name
        elif not (folder / WEIGHTS).is_file():
            train(folder, options, folders)
        if store is not None and folder != store / name:
            copy(folder, store / name, KEPT)
            folder = store / name
        folders.append(folder)
    return folders


def publish(trained: Path, to: Path) -> None:
    """Copy what ships."""
    copy(trained, to, SHIPPED, path="models/emotion")


def copy(trained: Path, to: Path, names: Sequence[str], path: str | None = None) -> None:
    """Copy files of a model's folder; the card names none but these, and no folder of this machine.

    ``path`` is what the card calls the folder of the model, its name if not given.
    """
    card = json.loads((trained / "card.json").read_text(encoding="utf-8"))
    card["files"] = {name: entry for name, entry in card["files"].items() if name in names}
    card["dataset"]["ferplus"] = Path(card["dataset"]["ferplus"]).name
    for teacher in card["dataset"].get("teachers", []):
        teacher["path"] = Path(teacher["path"]).name
    card["metrics"]["public"]["model"]["path"] = path or to.name
    write_json(to / "card.json", card)
    for name in names:
        if name != "card.json":
            with whole_file(to / name) as temporary:
                shutil.copyfile(trained / name, temporary)


if __name__ == "__main__":
    main()
