"""Distillation: the outputs of trained networks as targets for another one (Hinton et al. 2015).

The accuracy of an ensemble can be transferred to one network of the same size (Furlanello et al. 2018). This works best
if teachers and student see exactly the same images (Beyer et al. 2022), mixed ones included. Each image costs each
teacher two forward passes, one of them for its mirror image. Therefore the teachers classify a fixed number of
augmented passes over the data only once, and the student is trained on these passes repeatedly. Only the answers (the
teachers' probabilities) are stored; the images are generated again.
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
from fermedia.files import regular, sha256, whole_file
from fermedia.options import FER2013, FERPLUS
from fermedia.training.checkpoint import State

#: The file in a model folder with the trained network before calibration: all that a teacher needs.
WEIGHTS = "weights.npz"
#: The folder in a student's folder that has a file of answers for each pass.
ANSWERS = "answers"

_FORMAT = 1

Answers = dict[str, NDArray[np.float16]]
"""By head, the teachers' mean probabilities (images, units), in the order of the pass's images."""


@dataclass(frozen=True, eq=False)
class Teacher:
    """A trained network before calibration.

    Attributes:
        folder: The model folder.
        sha256: The checksum of its file of weights.
        heads: The names of its heads.
        width: The width of the network (see ``network.build``).
        weights: The weights, float32, in the order of the Keras model.
    """

    folder: Path
    sha256: str
    heads: list[str]
    width: float
    weights: list[NDArray[np.float32]]


def save(state: State, path: Path) -> None:
    """Write the weights of a training's best epoch to a file, from which ``load_teachers`` loads them.

    Kernels are stored as float16, the few other weights as float32, since variances may exceed float16's range.
    """
    head = {
        "format": _FORMAT,
        "heads": [FER2013, FERPLUS] if state.data["ferplus"] else [FER2013],
        "width": state.options["width"],
    }
    arrays = [w.astype(np.float16 if w.ndim > 1 else np.float32) for w in state.arrays["best"]]
    with whole_file(path) as temporary, temporary.open("wb") as file:
        flat = {f"weights/{i:04d}": w for i, w in enumerate(arrays)}
        np.savez(file, allow_pickle=False, teacher=np.array(json.dumps(head)), **flat)


def load_teachers(folders: Sequence[Path]) -> list[Teacher]:
    """Load the teachers in these folders, in an order that does not depend on the folders' order.

    Raises:
        ModelError: A folder has no trained network, or it is damaged or of a newer version.
    """
    return sorted((_load(folder) for folder in folders), key=lambda teacher: teacher.sha256)


def _load(folder: Path) -> Teacher:
    path = folder / WEIGHTS
    try:
        with np.load(regular(path), allow_pickle=False) as file:
            head = json.loads(str(file["teacher"]))
            weights = [file[key].astype(np.float32) for key in sorted(file.files) if key != "teacher"]
        if head["format"] > _FORMAT:
            raise ModelError(f"{path}: was made by a newer fermedia (format {head['format']}); update fermedia")
        return Teacher(folder, sha256(path), list(head["heads"]), float(head["width"]), weights)
    except (FileNotFoundError, NotADirectoryError):
        message = f"{folder}: is not a trained network, it has no {WEIGHTS}; name the folder of a finished training"
        raise ModelError(message) from None
    except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile) as error:
        raise ModelError(f"{path}: is damaged ({error}); train or copy this teacher again") from error


@dataclass(frozen=True, eq=False)
class Committee:
    """Teachers, and the folder in which their answers are stored, a file for each pass."""

    teachers: list[Teacher]
    folder: Path

    def keep(self, number: int, view: str, answers: Answers) -> None:
        """Store the answers of a pass.

        Args:
            number: The number of the pass.
            view: Identifies the images of the pass.
            answers: The answers.
        """
        with whole_file(self._path(number)) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, view=np.array(view), **answers)

    def kept(self, number: int, view: str) -> Answers | None:
        """The stored answers of a pass; None if they are missing, not readable, or of other images than ``view``.

        Another version of a library may augment an image differently, so that a stored answer would be wrong.
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
    """Mix the answers into targets and weights, in place, for each head that has answers.

    The loss of an image becomes ``share`` times the cross-entropy with the answer, plus ``1 - share`` times its weight
    times the cross-entropy with the label. So an image without a label, such as one without FER+ votes, is learned
    from the answer alone.

    Args:
        targets: By head, the target probabilities (n, units), float32.
        weights: By head, the weights of the images (n,), float32.
        answers: By head, the teachers' answers (n, units).
        share: The share of the answers in the loss, 0..1.
    """
    for head in targets.keys() & answers.keys():
        label = (1 - share) * weights[head]
        weights[head] = np.asarray(label + share, np.float32)
        both = label[:, None] * targets[head] + share * answers[head].astype(np.float32)
        targets[head] = np.asarray(both / np.maximum(weights[head], 1e-6)[:, None], np.float32)
