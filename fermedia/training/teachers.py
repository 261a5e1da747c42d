"""Distillation: what trained networks answer, as targets for another one (Hinton et al. 2015).

An ensemble's accuracy can be taught to one network of the same size (Furlanello et al. 2018), the better the more the
two look at the very same pictures (Beyer et al. 2022), mixed ones included. Each picture costs each teacher two forward
passes, one of them for its mirror image, so the teachers answer a fixed number of augmented passes over the data, once,
and the student goes through those passes again and again. Only the answers are kept; the pictures are made again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from fermedia.errors import ModelError
from fermedia.files import sha256, whole_file
from fermedia.training.checkpoint import State

#: In a model's folder: the trained network before calibration, all that a teacher needs.
WEIGHTS = "weights.npz"
#: In a student's folder: a file of answers for each pass.
ANSWERS = "answers"

_FORMAT = 1

Answers = dict[str, NDArray[np.float16]]
"""Per head the teachers' mean probabilities (rows, units), in the order in which the pass shows its pictures."""


@dataclass(frozen=True, eq=False)
class Teacher:
    """A trained network as it was before calibration; ``weights`` in the model's order."""

    folder: Path
    sha256: str
    heads: list[str]
    width: float
    weights: list[NDArray[np.float32]]


def save(state: State, path: Path) -> None:
    """Write the weights of a training's best epoch as a teacher.

    Kernels are kept as float16; the few other numbers as float32, for a variance may lie beyond float16.
    """
    head = {
        "format": _FORMAT,
        "heads": ["fer2013", "ferplus"] if state.data["ferplus"] else ["fer2013"],
        "width": state.options["width"],
    }
    arrays = [w.astype(np.float16 if w.ndim > 1 else np.float32) for w in state.arrays["best"]]
    with whole_file(path) as temporary, temporary.open("wb") as file:
        flat = {f"weights/{i:04d}": w for i, w in enumerate(arrays)}
        np.savez(file, allow_pickle=False, teacher=np.array(json.dumps(head)), **flat)


def load_teachers(folders: Sequence[Path]) -> list[Teacher]:
    """The teachers in these folders, in an order that does not depend on the caller's. Raises ModelError."""
    return sorted((_load(folder) for folder in folders), key=lambda teacher: teacher.sha256)


def _load(folder: Path) -> Teacher:
    path = folder / WEIGHTS
    try:
        with np.load(path, allow_pickle=False) as file:
            head = json.loads(str(file["teacher"]))
            weights = [file[key].astype(np.float32) for key in sorted(file.files) if key != "teacher"]
        if head["format"] > _FORMAT:
            raise ModelError(f"{path}: was made by a newer fermedia (format {head['format']}); update this one")
        return Teacher(folder, sha256(path), list(head["heads"]), float(head["width"]), weights)
    except (FileNotFoundError, NotADirectoryError):
        message = (
            f"{folder}: is no trained network, it has no {WEIGHTS}; name a folder in which a training came to its end"
        )
        raise ModelError(message) from None
    except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile) as error:
        raise ModelError(f"{path}: is damaged ({error}); train or copy this teacher again") from error


@dataclass(frozen=True, eq=False)
class Committee:
    """Teachers and the folder in which their answers are kept, a file for each pass."""

    teachers: list[Teacher]
    folder: Path

    def keep(self, number: int, view: str, answers: Answers) -> None:
        """Write a pass's answers. ``view`` stands for its pictures."""
        with whole_file(self._path(number)) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, view=np.array(view), **answers)

    def kept(self, number: int, view: str) -> Answers | None:
        """A pass's answers; None where there are none that can be read, or where they are to other pictures.

        Another version of a library may draw an augmented picture differently; its old answer would be wrong then.
        """
        try:
            with np.load(self._path(number), allow_pickle=False) as file:
                same = str(file["view"]) == view
                return {head: file[head] for head in file.files if head != "view"} if same else None
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):
            return None

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:03d}.npz"


def blend(
    targets: dict[str, NDArray[np.float32]], weights: dict[str, NDArray[np.float32]], answers: Answers, share: float
) -> None:
    """Replace targets (n, units) and their weights (n,), of each head that has answers, by those of the mixed loss.

    The loss of an image is ``share`` times the cross-entropy with the answer and ``1 - share`` times its weight times
    that with the label. So an image without a label, such as one without FER+ votes, is taught by the answer alone.
    """
    for head in targets.keys() & answers.keys():
        label = (1 - share) * weights[head]
        weights[head] = np.asarray(label + share, np.float32)
        both = label[:, None] * targets[head] + share * answers[head].astype(np.float32)
        targets[head] = np.asarray(both / np.maximum(weights[head], 1e-6)[:, None], np.float32)
