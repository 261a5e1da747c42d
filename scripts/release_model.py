"""Make the model that ships again: train from FER-2013 and the FER+ votes, and put the result into models/emotion.

    python scripts/release_model.py fer2013.zip --ferplus fer2013new.csv --work release

Interrupted at any moment, the same command goes on. Needs the extra `train`.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from fermedia.training.fit import CHECKPOINT
from fermedia.training.session import train_model

MODELS = Path(__file__).resolve().parents[1] / "models" / "emotion"

#: The options of the release; all else is the defaults of this version.
RECIPE = {"epochs": 45, "seed": 0}

#: What ships of a trained model's folder.
SHIPPED = (
    "model.tflite",
    "card.json",
    "training_digests.npy",
    "history.csv",
    "curves.png",
    "confusion.png",
    "reliability.png",
)


def main() -> None:
    """Train, or go on, and copy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="FER-2013: Kaggle's folder, a zip of it, or the original CSV")
    parser.add_argument("--ferplus", type=Path, required=True, help="the FER+ votes")
    parser.add_argument("--work", type=Path, required=True, help="folder of the training")
    parser.add_argument("--to", type=Path, default=MODELS, help="where the model goes (default: models/emotion)")
    arguments = parser.parse_args()
    resume = (arguments.work / CHECKPOINT).is_file()
    print(train_model(arguments.data, arguments.work, RECIPE, ferplus=arguments.ferplus, resume=resume))
    publish(arguments.work, arguments.to)


def publish(trained: Path, to: Path) -> None:
    """Copy what ships; the card names no file that does not."""
    to.mkdir(parents=True, exist_ok=True)
    for name in SHIPPED:
        shutil.copy(trained / name, to / name)
    card = json.loads((to / "card.json").read_text(encoding="utf-8"))
    card["files"] = {name: entry for name, entry in card["files"].items() if name in SHIPPED}
    card["dataset"]["ferplus"] = Path(card["dataset"]["ferplus"]).name
    card["metrics"]["public"]["model"]["path"] = "models/emotion"
    (to / "card.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
