"""Which of several trained networks is better, told with less noise than by accuracy on PublicTest as it is.

    python scripts/compare_networks.py fer2013.csv --ferplus fer2013new.csv my-model scripts/networks/six

Two networks of the same accuracy differ by half a point where the one or the other happens to fall on the right side of
close decisions. So every image of PublicTest is classified thirteen times: as it is, and in slight variations that
nobody would judge differently (mirrored, 2 pixels aside, 8 % larger or smaller, rolled by 5 degrees, a little more or
less contrast, a little blurred). Networks are compared by the means, each image counting once in the interval of a
difference. They are taken in float32, with their memory and the correction for the classes' frequency, all with the
options' defaults. Needs the extra `train`; some three minutes a network on two cores.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import keras
import measuring
import numpy as np
from numpy.typing import NDArray

from fermedia.options import TrainOptions
from fermedia.training import network
from fermedia.training.dataset import Split, load, majority_labels
from fermedia.training.export import SIZE, calibrated, correction, frequencies
from fermedia.training.memory import Memory, remember
from fermedia.training.session import training_images
from fermedia.training.teachers import load_teachers
from fermedia.types import EMOTIONS

#: Per variation whether it is mirrored, pixels to the right and down, size, and roll in degrees.
MOVED = (
    (False, 0, 0, 1.0, 0),
    (True, 0, 0, 1.0, 0),
    (False, 2, 0, 1.0, 0),
    (True, 2, 0, 1.0, 0),
    (False, 0, 2, 1.0, 0),
    (False, 0, -2, 1.0, 0),
    (False, 0, 0, 1.08, 0),
    (True, 0, 0, 0.92, 0),
    (False, 0, 0, 1.0, 5),
    (True, 0, 0, 1.0, 5),
)
#: Factors on the distance of grey values from 128, and the sigma of the blur in pixels.
CONTRASTS, BLUR = (0.8, 1.2), 0.5


def main() -> None:
    """Judge, and print a table."""
    parser = measuring.parser(__doc__, data=True, ferplus=True)
    parser.add_argument("networks", type=Path, nargs="+", help="folders with weights.npz; the others against the first")
    given = parser.parse_args()
    data = load(given.data, ("train", "public"), given.ferplus)
    public = data["public"]
    train = training_images(data)
    assert public.votes is not None
    crowd, known = majority_labels(public.votes)
    first: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None
    ferplus = ("FER+ mean", "against the first")
    measuring.head("network", "FER-2013 as it is", "mean of 13", "balanced", "against the first", *ferplus)
    for folder in given.networks:
        model = restored(folder, train).with_memory
        answers = [{head: p.argmax(1) for head, p in ask(model, faces).items()} for faces in variations(public.images)]
        ours = np.array([a["fer2013"] == public.labels for a in answers], float)
        crowds = np.array([a["ferplus"][known] == crowd[known] for a in answers], float).mean(0)
        mean = ours.mean(0)
        balanced = np.mean([mean[public.labels == c].mean() for c in range(len(EMOTIONS))])
        first = first or (mean, crowds)
        cells = [f"{100 * ours[0].mean():.2f}", f"{100 * mean.mean():.2f}", f"{100 * balanced:.2f}"]
        cells += [difference(mean, first[0]), f"{100 * crowds.mean():.2f}", difference(crowds, first[1])]
        measuring.row(folder.name, *cells)


@dataclass(frozen=True)
class Restored:
    """A network as it was trained, its memory, and it with all that makes it answer, without the memory and with it."""

    trained: keras.Model
    memory: Memory
    alone: keras.Model
    with_memory: keras.Model


def restored(folder: Path, train: Split) -> Restored:
    """A network by its weights; the corrections and the memory are of ``train``, with the options' defaults."""
    (teacher,) = load_teachers([folder])
    trained = network.build(teacher.heads, teacher.width, SIZE)
    trained.set_weights(teacher.weights)
    options, unity = TrainOptions(), dict.fromkeys(teacher.heads, 1.0)
    memory = remember(trained, train, options.memory)
    corrections = {head: correction(share, options.balance) for head, share in frequencies(train).items()}
    return Restored(trained, memory, *(calibrated(trained, corrections, unity, m) for m in (None, memory)))


def variations(images: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """(n, 48, 48) as they are, then in slight variations."""
    side = images.shape[1]
    for mirrored, right, down, size, roll in MOVED:
        matrix = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), roll, size)
        matrix[:, 2] += right, down
        seen = np.ascontiguousarray(images[:, :, ::-1] if mirrored else images)
        edge = cv2.BORDER_REPLICATE
        yield np.stack([cv2.warpAffine(face, matrix, (side, side), borderMode=edge) for face in seen]).astype(np.uint8)
    for factor in CONTRASTS:
        yield np.clip((images - 128.0) * factor + 128, 0, 255).astype(np.uint8)
    yield np.stack([cv2.GaussianBlur(face, (0, 0), BLUR, borderType=cv2.BORDER_REPLICATE) for face in images])


def ask(model: keras.Model, faces: NDArray[np.uint8]) -> Any:
    """What a model says of (n, 48, 48) faces: probabilities (n, 7) per head, or whatever it gives."""
    return model.predict(faces[..., None].astype(np.float32), batch_size=256, verbose=0)


def difference(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> str:
    """Points by which the one is better per image, with a 95 % interval."""
    gain = ours - theirs
    reach = 1.96 * gain.std() / np.sqrt(len(gain))
    return measuring.points(gain.mean(), (gain.mean() - reach, gain.mean() + reach), digits=2)


if __name__ == "__main__":
    main()
