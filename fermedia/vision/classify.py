"""From face crops to probabilities, with a model folder: ``card.json`` and ``model.tflite``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fermedia.errors import ModelError, UsageError
from fermedia.files import models_dir
from fermedia.types import EMOTIONS
from fermedia.vision.quiet import quiet_stderr

#: Faces the network is given at a time, the last group filled up with black. Always the same number: so a face's
#: result never depends on which others it was seen with.
BATCH = 8

#: The newest form of card.json that is understood.
_CARD_FORMAT = 1

#: The largest side of an input, in pixels: a card is a stranger's, and the crops are made of its size.
_LARGEST = 512

#: The signature that Keras gives an exported model.
_SIGNATURE = "serving_default"


class Classifier:
    """A trained network. Make one with ``load``; one must not be used by two threads at the same time.

    ``name`` is the model folder's path, ``labels`` which of its heads speaks, ``heads`` all there are, ``sha256``
    the network file's, ``input_size`` the side in pixels that crops are brought to.
    """

    def __init__(self, folder: Path, labels: str | None) -> None:
        card = _read_card(folder)
        content = _read_network(folder, card)
        self.name = str(folder)
        self.heads: list[str] = card["heads"]
        self.labels = labels or card["default_labels"]
        if self.labels not in self.heads:
            raise UsageError(f"{folder}: the model has no labels {self.labels!r}; it has {', '.join(self.heads)}")
        self.sha256: str = card["files"]["model.tflite"]["sha256"]
        self.input_size: int = card["input"]["height"]
        self._content = content  # the interpreter reads from it
        self._run = _make_runner(folder, content, self.input_size, self.heads)

    @classmethod
    def load(cls, path: str | Path | None = None, labels: str | None = None) -> Classifier:
        """Read a model folder, the one that ships if ``path`` is None; its files' checksums are verified.

        ``labels`` chooses one of its ``heads``; the card says which if None. Raises ModelError where
        the folder is incomplete, damaged or newer than this program, UsageError for labels that it does not have.
        """
        return cls(models_dir() / "emotion" if path is None else Path(path), labels)

    def predict(
        self, faces: NDArray[np.uint8] | Sequence[NDArray[np.uint8]], mirrored: bool = False
    ) -> NDArray[np.float32]:
        """Probabilities (n, 7), float32, in the order of ``EMOTIONS``, each row of sum 1.

        ``faces`` are n crops framed as FER-2013 frames faces (``framing.crop_face``), uint8, of any size: an array
        (n, h, w), or a sequence of grey (h, w) or BGR (h, w, 3). Raises ValueError for anything else. ``mirrored``
        gives the mean of a face's and its mirror image's, at twice the cost: what photos get, which have one look.
        """
        if mirrored:
            turned = self.predict([np.asarray(face)[:, ::-1] for face in faces])
            return np.asarray((self.predict(faces) + turned) / 2, np.float32)
        rows = np.zeros((-(-len(faces) // BATCH) * BATCH, self.input_size, self.input_size, 1), np.float32)
        for row, face in zip(rows, faces, strict=False):
            row[..., 0] = self._fit(np.asarray(face))
        parts = [self._run(rows[i : i + BATCH])[self.labels] for i in range(0, len(rows), BATCH)]
        if not parts:
            return np.empty((0, len(EMOTIONS)), np.float32)
        return np.concatenate(parts)[: len(faces)]

    def _fit(self, face: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A crop as the network's input, grey (size, size)."""
        color = face.ndim == 3 and face.shape[2] == 3
        if face.dtype != np.uint8 or not (face.ndim == 2 or color) or face.size == 0:
            raise ValueError(f"a face must be uint8 of shape (h, w) or (h, w, 3), got {face.dtype} {face.shape}")
        gray = cv2.cvtColor(np.ascontiguousarray(face), cv2.COLOR_BGR2GRAY) if color else np.ascontiguousarray(face)
        side = self.input_size
        if gray.shape != (side, side):
            method = cv2.INTER_AREA if min(gray.shape) >= side else cv2.INTER_LINEAR
            gray = cv2.resize(gray, (side, side), interpolation=method)
        return np.asarray(gray, np.uint8)


def _read_card(folder: Path) -> dict[str, Any]:
    path = folder / "card.json"
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        form, labels, side = int(card["format"]), card["labels"], card["input"]
        known = (card["heads"], card["default_labels"], card["files"]["model.tflite"]["sha256"])
    except FileNotFoundError:
        raise ModelError(f"{folder}: is not a model folder, it has no card.json; give one that train made") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path}: is damaged ({error!r}); reinstall fermedia, or export the model again") from error
    if form > _CARD_FORMAT:
        raise ModelError(f"{path}: was made by a newer fermedia (format {form}); update this one")
    if labels != list(EMOTIONS):
        raise ModelError(f"{path}: its labels are {labels}, and should be {list(EMOTIONS)}")
    height, width = side["height"], side["width"]
    if (
        not isinstance(height, int)
        or not 1 <= height <= _LARGEST
        or height != width
        or side["channels"] != 1
        or not all(known)
    ):
        raise ModelError(f"{path}: describes another kind of network than fermedia uses")
    return dict(card)


def _read_network(folder: Path, card: dict[str, Any]) -> bytes:
    path = folder / "model.tflite"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"{path}: cannot be read ({error.strerror}); reinstall fermedia, or export it again"
        ) from error
    if hashlib.sha256(content).hexdigest() != card["files"]["model.tflite"]["sha256"]:
        raise ModelError(f"{path}: is damaged, its checksum is not the card's; reinstall fermedia, or export it again")
    return content


def _make_runner(folder: Path, content: bytes, side: int, heads: list[str]) -> Any:
    """A function from (BATCH, side, side, 1) float32, 0..255, to a dictionary of (BATCH, 7) per head."""
    from ai_edge_litert.interpreter import Interpreter

    with quiet_stderr():
        try:
            interpreter = Interpreter(model_content=content, num_threads=1)
            runner = interpreter.get_signature_runner(_SIGNATURE)
            ((name, details),) = runner.get_input_details().items()
            first = runner(**{name: np.zeros((BATCH, side, side, 1), np.float32)})
        except (ValueError, RuntimeError) as error:
            raise ModelError(f"{folder / 'model.tflite'}: cannot be run ({error})") from error
    # A convolutional network takes other sizes without a word, and answers something else.
    if not set(heads) <= set(first) or tuple(details["shape_signature"][1:]) != (side, side, 1):
        raise ModelError(f"{folder / 'model.tflite'}: has other inputs or outputs than its card says; export it again")
    if any(p.shape != (BATCH, len(EMOTIONS)) for p in first.values()):
        raise ModelError(f"{folder / 'model.tflite'}: gives other than {len(EMOTIONS)} probabilities a face")

    def run(faces: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        return dict(runner(**{name: faces}))

    return run
