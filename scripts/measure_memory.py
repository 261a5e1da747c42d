"""What a network's memory of its training images does, by how like one of them a face is.

    python scripts/measure_memory.py fer2013.zip --ferplus ferplus_votes.csv scripts/networks/six

PublicTest's images without those that stand in the training set too, in groups by their nearest training image (cosine,
1 being the same), judged by the network alone and with its memory, in float32, with the options' defaults. With
``--recordings``, the faces of films and photographs are put into the groups as well, to see how like the training
images they are. Needs the extra `train`; two minutes on two cores.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path

import cv2
import keras
import numpy as np
from numpy.typing import NDArray

from fermedia import FaceDetector
from fermedia.options import TrainOptions
from fermedia.pictures import as_picture
from fermedia.training import network
from fermedia.training.dataset import digests, load, majority_labels, seen
from fermedia.training.export import SIZE, calibrated, correction, frequencies
from fermedia.training.memory import WIDTH, remember
from fermedia.training.session import training_images
from fermedia.training.teachers import load_teachers
from fermedia.vision.framing import crop_face

#: Edges of the groups.
EDGES = (1.01, 0.9, 0.8, 0.7, 0.6, -1.01)


def main() -> None:
    """Judge, and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="FER-2013: a folder, a zip or a CSV file")
    parser.add_argument("--ferplus", type=Path, required=True, help="the FER+ votes")
    parser.add_argument("network", type=Path, help="a folder with weights.npz")
    parser.add_argument(
        "--recordings", nargs="*", default=[], help="films, of which each tenth frame is taken, and photos"
    )
    given = parser.parse_args()
    data = load(given.data, ("train", "public"), given.ferplus)
    public = data["public"].pick(~seen(data["public"].images, digests(data["train"].images)))
    (teacher,) = load_teachers([given.network])
    trained = network.build(teacher.heads, teacher.width, SIZE)
    trained.set_weights(teacher.weights)
    train, options = training_images(data), TrainOptions()
    memory = remember(trained, train, options.memory)
    corrections = {head: correction(share, options.balance) for head, share in frequencies(train).items()}
    unity = dict.fromkeys(teacher.heads, 1.0)
    models = [calibrated(trained, corrections, unity, m) for m in (None, memory)]
    alone, both = (ask(model, public.images) for model in models)
    nearest = keras.Model(trained.input, keras.ops.max(memory.cosines(trained), axis=-1) * WIDTH)
    near = nearest.predict(floats(public.images), batch_size=256, verbose=0)
    assert public.votes is not None
    crowd, known = majority_labels(public.votes)
    for head, labels, counted in (("fer2013", public.labels, np.ones(len(public), bool)), ("ferplus", crowd, known)):
        print(f"\n{head}\n\n| nearest training image | n | alone, % | with memory, % | another answer, % |")
        print("|---|---|---|---|---|")
        for name, inside in groups(near):
            rows = inside & counted
            if rows.any():
                was, now = (said[head].argmax(1)[rows] for said in (alone, both))
                cells = [100 * np.mean(x) for x in (was == labels[rows], now == labels[rows], was != now)]
                print(f"| {name} | {rows.sum():,} | {' | '.join(f'{c:.1f}' for c in cells)} |")
    if given.recordings:
        faces = np.stack([face for recording in given.recordings for face in crops(recording)])
        near = nearest.predict(floats(faces), batch_size=256, verbose=0)
        print("\nfaces of recordings\n\n| nearest training image | faces |\n|---|---|")
        for name, inside in groups(near):
            print(f"| {name} | {inside.sum():,} |")
        was, now = (ask(model, faces) for model in models)
        for head in teacher.heads:
            other = 100 * np.mean(was[head].argmax(1) != now[head].argmax(1))
            print(f"\n{head}: another answer with memory for {other:.1f} % of them")


def groups(near: NDArray[np.float32]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """All, then each group: what it is called, and who (n,) belongs to it."""
    yield "all", np.ones(len(near), bool)
    for high, low in itertools.pairwise(EDGES):
        name = f"over {low:g}" if high > 1 else f"{low:g} to {high:g}" if low > -1 else f"under {high:g}"
        yield name, (near < high) & (near >= low)


def ask(model: keras.Model, faces: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    """Probabilities (n, 7) per head."""
    said: dict[str, NDArray[np.float32]] = model.predict(floats(faces), batch_size=256, verbose=0)
    return said


def floats(faces: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(n, 48, 48) as the network's input."""
    return faces[..., None].astype(np.float32)


def crops(recording: str) -> Iterator[NDArray[np.uint8]]:
    """The faces (48, 48) of a photograph or of every tenth frame of a film."""
    detector, capture = FaceDetector(), cv2.VideoCapture(recording)
    for number in itertools.count():
        there, frame = capture.read()
        if not there:
            return
        if number % 10 == 0:
            picture = as_picture(np.asarray(frame, np.uint8))
            for face in detector.detect(picture):
                yield crop_face(picture, face.box, SIZE)


if __name__ == "__main__":
    main()
