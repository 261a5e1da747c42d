"""What a network's memory of its training images does, by how like one of them a face is.

    python scripts/measure_memory.py fer2013.zip --ferplus ferplus_votes.csv scripts/networks/six

PublicTest's images without those that stand in the training set too, in groups by their nearest training image (cosine,
1 being the same), classified by the network alone and with its memory, in float32, with the options' defaults. With
``--recordings``, the faces of videos and photographs are put into the groups as well, to see how like the training
images they are. Needs the extra `train`; two minutes on two cores.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import cv2
import keras
import measuring
import numpy as np
from compare_networks import ask, restored
from numpy.typing import NDArray

from fermedia import FaceDetector
from fermedia.images import as_image
from fermedia.training.dataset import digests, load, majority_labels, seen
from fermedia.training.export import SIZE
from fermedia.training.memory import WIDTH
from fermedia.training.session import training_images
from fermedia.vision.framing import crop_face

#: Edges of the groups.
EDGES = (1.01, 0.9, 0.8, 0.7, 0.6, -1.01)


def main() -> None:
    """Judge, and print two tables."""
    parser = measuring.parser(__doc__, data=True, ferplus=True)
    parser.add_argument("network", type=Path, help="a folder with weights.npz")
    parser.add_argument(
        "--recordings", nargs="*", default=[], help="videos, of which each tenth frame is taken, and photos"
    )
    given = parser.parse_args()
    data = load(given.data, ("train", "public"), given.ferplus)
    public = data["public"].pick(~seen(data["public"].images, digests(data["train"].images)))
    network = restored(given.network, training_images(data))
    alone, both = (ask(model, public.images) for model in (network.alone, network.with_memory))
    cosines = network.memory.cosines(network.trained)
    nearest = keras.Model(network.trained.input, keras.ops.max(cosines, axis=-1) * WIDTH)
    near = ask(nearest, public.images)
    assert public.votes is not None
    crowd, known = majority_labels(public.votes)
    for head, labels, counted in (("fer2013", public.labels, np.ones(len(public), bool)), ("ferplus", crowd, known)):
        print(f"\n{head}\n")
        measuring.head("nearest training image", "n", "alone, %", "with memory, %", "another answer, %")
        for name, inside in groups(near):
            rows = inside & counted
            if rows.any():
                was, now = (said[head].argmax(1)[rows] for said in (alone, both))
                cells = [100 * np.mean(x) for x in (was == labels[rows], now == labels[rows], was != now)]
                measuring.row(name, f"{rows.sum():,}", *[f"{c:.1f}" for c in cells])
    if given.recordings:
        faces = np.stack([face for recording in given.recordings for face in crops(recording)])
        print("\nfaces of recordings\n")
        measuring.head("nearest training image", "faces")
        for name, inside in groups(ask(nearest, faces)):
            measuring.row(name, f"{inside.sum():,}")
        was, now = (ask(model, faces) for model in (network.alone, network.with_memory))
        for head in was:
            other = 100 * np.mean(was[head].argmax(1) != now[head].argmax(1))
            print(f"\n{head}: another answer with memory for {other:.1f} % of them")


def groups(near: NDArray[np.float32]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """All, then each group: what it is called, and who (n,) belongs to it."""
    yield "all", np.ones(len(near), bool)
    for high, low in itertools.pairwise(EDGES):
        name = f"over {low:g}" if high > 1 else f"{low:g} to {high:g}" if low > -1 else f"under {high:g}"
        yield name, (near < high) & (near >= low)


def crops(recording: str) -> Iterator[NDArray[np.uint8]]:
    """The faces (48, 48) of a photograph or of every tenth frame of a video."""
    detector, capture = FaceDetector(), cv2.VideoCapture(recording)
    for number in itertools.count():
        there, frame = capture.read()
        if not there:
            return
        if number % 10 == 0:
            image = as_image(np.asarray(frame, np.uint8))
            for face in detector.detect(image):
                yield crop_face(image, face.box, SIZE)


if __name__ == "__main__":
    main()
