"""The state of a training between two epochs, as saved in ``checkpoint.npz``."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from fermedia.errors import DataError, UsageError
from fermedia.files import whole_file

CHECKPOINT = "checkpoint.npz"
HISTORY = "history.csv"


@dataclass
class State:
    """Everything needed to resume. Before the first epoch there are no arrays, or only the initial weights."""

    options: dict[str, Any]
    data: dict[str, Any]
    """``digest`` of the data set, ``ferplus`` (path or None) and ``ferplus_sha256``, and ``path`` and ``sha256`` of
    each of ``teachers`` and of ``start``, the network with the initial weights (or None)."""
    epoch: int = 0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    arrays: dict[str, list[NDArray[Any]]] = field(default_factory=dict)
    """``weights``, ``average``, ``optimizer`` and ``best`` (the average of the best epoch), in the model's order."""

    def save(self, path: Path) -> None:
        """Write the file atomically."""
        plain = {k: getattr(self, k) for k in ("options", "data", "epoch", "seconds", "history")}
        flat = {f"{name}/{i:04d}": a for name, arrays in self.arrays.items() for i, a in enumerate(arrays)}
        with whole_file(path) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, state=np.array(json.dumps(plain)), **flat)

    @classmethod
    def load(cls, path: Path) -> State:
        """Read the file.

        Raises:
            UsageError: There is none.
            DataError: It is damaged.
        """
        if not path.is_file():
            raise UsageError(f"{path.parent} has no checkpoint to resume; start without --resume")
        try:
            with np.load(path, allow_pickle=False) as file:
                state = cls(**json.loads(str(file["state"])))
                for key in sorted(file.files):
                    if "/" in key:
                        state.arrays.setdefault(key.split("/")[0], []).append(file[key])
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
            raise DataError(f"{path}: damaged checkpoint ({error}); start again in another folder") from error
        return state

    @property
    def best(self) -> dict[str, float]:
        """The history's row with the highest accuracy on PublicTest, of equal ones the latest."""
        return max(self.history, key=lambda row: (row["val_accuracy"], row["epoch"]))
