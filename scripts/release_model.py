"""Make the model: train the networks that teach it and itself, and put the result into models/emotion.

    python scripts/release_model.py fer2013.csv --ferplus fer2013new.csv --work release

A network may learn from the answers of others beside the labels, and begin with the weights of one; the last one is the
model. Interrupted at any moment, the same command goes on. The weights of networks that were trained before lie in
scripts/networks; they are taken from there unless ``--from-nothing`` is given. If those of the last one are there too,
nothing is trained: it is made ready to ship again, in some minutes. Needs the extra `train`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import measuring

from fermedia.files import whole_file, write_json
from fermedia.training.checkpoint import CHECKPOINT, HISTORY
from fermedia.training.session import export_again, train_model
from fermedia.training.teachers import WEIGHTS


@dataclass(frozen=True)
class Recipe:
    """How a network is made: fields of ``TrainOptions``, and the names of networks before it."""

    options: dict[str, Any]
    teachers: tuple[str, ...] = ()
    start: str | None = None  #: whose weights it begins with


#: In order, by name; all else is the defaults of this version. What others reached: models/emotion/experiments.csv.
#: "five" and "six" were trained by the clock, for 2.1 and 1.45 hours, which were so many epochs; "five" by teachers who
#: were not asked about mirror images yet.
NETWORKS: dict[str, Recipe] = {
    "three": Recipe({"epochs": 110, "seed": 3, "augmentation": 1.3, "mixup": 0.2}),
    "four": Recipe({"epochs": 80, "seed": 5, "augmentation": 1.3, "mixup": 0.2, "width": 1.5}),
    "five": Recipe(
        {"epochs": 96, "seed": 7, "augmentation": 1.3, "mixup": 0.2, "width": 1.5, "copies": 40},
        teachers=("three", "four"),
        start="four",
    ),
    "six": Recipe(
        {
            "epochs": 51,
            "seed": 13,
            "learning_rate": 0.05,
            "augmentation": 1.3,
            "mixup": 0.2,
            "width": 1.5,
            "copies": 14,
        },
        teachers=("three", "four", "five"),
        start="five",
    ),
}

#: Trains into a folder, with these options, teachers' folders, and the folder to start with.
Train = Callable[[Path, dict[str, Any], list[Path], Path | None], None]

MODELS = measuring.ROOT / "models" / "emotion"
STORE = measuring.ROOT / "scripts" / "networks"

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
    parser = measuring.parser(__doc__, data=True, ferplus=True)
    parser.add_argument("--work", type=Path, required=True, help="folder of the trainings")
    parser.add_argument(
        "--from-nothing", action="store_true", help="train all of them here; leave scripts/networks as it is"
    )
    parser.add_argument("--to", type=Path, default=MODELS, help="where the model goes (default: models/emotion)")
    given = parser.parse_args(arguments)

    def train(out: Path, options: dict[str, Any], teachers: list[Path], start: Path | None) -> None:
        made_of: dict[str, Any] = {"ferplus": given.ferplus, "teachers": teachers, "start": start}
        print(train_model(given.data, out, options, **made_of, resume=(out / CHECKPOINT).is_file()))

    last = list(NETWORKS)[-1]
    if not given.from_nothing and (STORE / last / WEIGHTS).is_file():
        export_again(given.data, STORE / last, given.work / last, given.ferplus)
    else:
        make_networks(train, given.work, None if given.from_nothing else STORE)
    publish(given.work / last, given.to)


def make_networks(train: Train, work: Path, store: Path | None) -> list[Path]:
    """The folders of all networks, after training those that are finished neither in ``store`` nor in ``work``.

    The last one is always made in ``work``, where all of its files are.
    """
    folders: dict[str, Path] = {}
    for name, recipe in NETWORKS.items():
        last = len(folders) == len(NETWORKS) - 1
        folder = work / name
        if store is not None and not last and (store / name / WEIGHTS).is_file():
            folder = store / name
        elif not (folder / WEIGHTS).is_file():
            teachers = [folders[teacher] for teacher in recipe.teachers]
            train(folder, recipe.options, teachers, folders[recipe.start] if recipe.start else None)
        if store is not None and folder != store / name:
            copy(folder, store / name, KEPT)
            folder = store / name
        folders[name] = folder
    return list(folders.values())


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
    for other in [*card["dataset"].get("teachers", []), card["dataset"].get("start")]:
        if other:
            other["path"] = Path(other["path"]).name
    card["metrics"]["public"]["model"]["path"] = path or to.name
    write_json(to / "card.json", card)
    for name in names:
        if name != "card.json":
            with whole_file(to / name) as temporary:
                shutil.copyfile(trained / name, temporary)


if __name__ == "__main__":
    main()
