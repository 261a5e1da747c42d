"""Classify face crops with the network of a model folder (``card.json`` and ``model.tflite``)."""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fermedia.errors import ModelError, UsageError
from fermedia.files import models_dir, regular
from fermedia.types import EMOTIONS
from fermedia.vision.quiet import quiet_litert

#: The batch size, the last batch padded with black. It never varies, so that a face's result does not depend on the
#: other faces in its batch.
BATCH = 8

#: The newest supported format of card.json.
_CARD_FORMAT = 1

#: The largest allowed side of an input in pixels: a card is untrusted, and the crops are made in its size.
_LARGEST = 512

#: The largest allowed sizes of the files in bytes: ours have 20 thousand and 6 million.
_LARGEST_CARD, _LARGEST_NETWORK = 10_000_000, 1_000_000_000

#: The fields that a card must have, and their types.
_HELD: dict[tuple[str, ...], type] = {
    ("format",): int,
    ("labels",): list,
    ("heads",): list,
    ("default_labels",): str,
    ("files", "model.tflite", "sha256"): str,
}
_HELD |= {("input", name): int for name in ("height", "width", "channels")}

#: The signature that Keras gives an exported model.
_SIGNATURE = "serving_default"


class Classifier:
    """A trained network that classifies faces. Create it with ``load``; use it in one thread at a time.

    Attributes:
        name: The model folder's path.
        labels: The head whose probabilities ``predict`` returns.
        heads: All heads of the model.
        sha256: Checksum of the network's file.
        input_size: Side in pixels that crops are resized to.
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
        """Load a model folder and verify its files' checksums.

        Args:
            path: The model folder; the model that ships with fermedia if None.
            labels: One of the model's heads; the default head that its card names if None.

        Returns:
            The classifier.

        Raises:
            ModelError: The folder is incomplete, damaged, or made for a newer fermedia.
            UsageError: The model has no such labels.
        """
        return cls(models_dir() / "emotion" if path is None else Path(path), labels)

    def predict(
        self, faces: NDArray[np.uint8] | Sequence[NDArray[np.uint8]], mirrored: bool = False
    ) -> NDArray[np.float32]:
        """Classify faces that are already cut out.

        Args:
            faces: n crops framed like FER-2013's (``vision.framing.crop_face``), uint8, of any size: an
                array of shape (n, h, w), or a sequence of grey (h, w) or BGR (h, w, 3) arrays.
            mirrored: Average the probabilities of each face and of its mirror image, at twice the cost. This is used
                for photos; the frames of a video are averaged over time instead.

        Returns:
            Probabilities, shape (n, 7), float32, in the order of ``EMOTIONS``; each row sums to 1.

        Raises:
            ValueError: A crop has another dtype or shape.
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
        """Convert a crop to the network's input: grey (size, size), uint8."""
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
        card = json.loads(_content(path, _LARGEST_CARD).decode())
        wrong = [".".join(way) for way, kind in _HELD.items() if type(_at(card, way)) is not kind]
    except FileNotFoundError:
        raise ModelError(f"{folder}: is not a model folder, it has no card.json; give one that train made") from None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: is damaged ({error}); reinstall fermedia, or export the model again") from error
    form, labels = _at(card, ("format",)), _at(card, ("labels",))
    if type(form) is int and form > _CARD_FORMAT:
        raise ModelError(f"{path}: was made by a newer fermedia (format {form}); update fermedia")
    wrong += ["format"] if type(form) is int and form < 1 else []
    if wrong or not card["heads"] or {type(head) for head in card["heads"]} != {str}:
        what = ", ".join(wrong or ["heads"])
        raise ModelError(f"{path}: is damaged ({what}); reinstall fermedia, or export the model again")
    if labels != list(EMOTIONS):
        raise ModelError(f"{path}: its labels are {labels}, and should be {list(EMOTIONS)}")
    side = card["input"]
    if not 1 <= side["height"] <= _LARGEST or side["height"] != side["width"] or side["channels"] != 1:
        raise ModelError(f"{path}: describes another kind of network than fermedia uses")
    return dict(card)


def _at(card: Any, way: tuple[str, ...]) -> Any:
    """The value at a path of keys in a card; None if there is none."""
    for name in way:
        card = card.get(name) if isinstance(card, dict) else None
    return card


def _content(path: Path, most: int) -> bytes:
    """Read a file of at most ``most`` bytes. Raises OSError."""
    with regular(path).open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"it has more than {most:,} bytes")
    return content


def _read_network(folder: Path, card: dict[str, Any]) -> bytes:
    path = folder / "model.tflite"
    try:
        content = _content(path, _LARGEST_NETWORK)
    except FileNotFoundError as error:
        raise ModelError(f"{path}: is missing; reinstall fermedia, or export it again") from error
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from error
    if hashlib.sha256(content).hexdigest() != card["files"]["model.tflite"]["sha256"]:
        raise ModelError(f"{path}: is damaged, its checksum is not the card's; reinstall fermedia, or export it again")
    return content


def _make_runner(folder: Path, content: bytes, side: int, heads: list[str]) -> Any:
    """Load the network: a function from (BATCH, side, side, 1), float32, 0..255, to (BATCH, 7) for each head."""
    from ai_edge_litert.interpreter import Interpreter

    with quiet_litert():
        try:
            interpreter = Interpreter(model_content=content, num_threads=1)
            runner = interpreter.get_signature_runner(_SIGNATURE)
            ((name, details),) = runner.get_input_details().items()
            first = runner(**{name: np.zeros((BATCH, side, side, 1), np.float32)})
        except (ValueError, RuntimeError) as error:
            raise ModelError(f"{folder / 'model.tflite'}: cannot be run ({error})") from error
    # A convolutional network accepts other sizes without an error, with wrong results.
    if not set(heads) <= set(first) or tuple(details["shape_signature"][1:]) != (side, side, 1):
        raise ModelError(f"{folder / 'model.tflite'}: has other inputs or outputs than its card says; export it again")
    if any(p.shape != (BATCH, len(EMOTIONS)) for p in first.values()):
        raise ModelError(f"{folder / 'model.tflite'}: does not return {len(EMOTIONS)} probabilities per face")

    def run(faces: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        return dict(runner(**{name: faces}))

    return run
