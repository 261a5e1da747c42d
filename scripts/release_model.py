"""Make the model that ships again: train its teachers and itself, and put the result into models/emotion.

    python scripts/release_model.py fer2013.zip --ferplus fer2013new.csv --work release

Interrupted at any moment, the same command goes on. Needs the extra `train`.
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

#: The options of each teacher, by its name; all else is the defaults of this version.
TEACHERS: dict[str, dict[str, Any]] = {
    f"seed{seed}": {"epochs": 60, "seed": seed, "augmentation": 1.3, "mixup": 0.2} for seed in (1, 2, 3, 4)
}

#: Those of the student, who learns from all of them.
STUDENT: dict[str, Any] = {"epochs": 120, "seed": 0, "augmentation": 1.3, "mixup": 0.2, "distillation": 0.7}

MODELS = Path(__file__).resolve().parents[1] / "models" / "emotion"

#: What ships of the student's folder; what is kept of a teacher's, by the last of which it is known to be complete.
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
        "--teachers", type=Path, metavar="DIR", help="take the teachers that are here, put those that are not"
    )
    parser.add_argument("--to", type=Path, default=MODELS, help="where the model goes (default: models/emotion)")
    given = parser.parse_args(arguments)

    def train(out: Path, options: dict[str, Any], teachers: Sequence[Path] = ()) -> None:
        resume = (out / CHECKPOINT).is_file()
        print(train_model(given.data, out, options, ferplus=given.ferplus, teachers=teachers, resume=resume))

    teachers = make_teachers(train, given.work / "teachers", given.teachers)
    train(given.work / "student", STUDENT, teachers)
    publish(given.work / "student", given.to)


def make_teachers(train: Callable[[Path, dict[str, Any]], None], work: Path, store: Path | None) -> list[Path]:
    """The folders of all teachers, after training those that are finished neither in ``store`` nor in ``work``."""
    folders = []
    for name, options in TEACHERS.items():
        folder = work / name
        if store is not None and (store / name / WEIGHTS).is_file():
            folder = store / name
        elif not (folder / WEIGHTS).is_file():
            train(folder, options)
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
