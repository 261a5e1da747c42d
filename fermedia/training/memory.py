"""What a network remembers: a correction of its answer by the training images that look most like a face.

FER-2013 was collected by web search. The same photo, person or series stands in many of its images, mostly with the
same label, and so it is wherever images were labelled by the folder or search that they come from. A network that is
kept from learning its images by heart knows nothing of that; nearest neighbours do. So the network carries its training
images in a few numbers each, and what they were labelled beyond what it would have said itself: a kernel regression of
its residuals (Nadaraya 1964; Watson 1964) on its own features, as nearest neighbours are added to the answers of
language models (Khandelwal et al. 2020). A face that is like no training image is judged by the network alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from fermedia.training.dataset import Split, majority_labels
from fermedia.types import EMOTIONS

#: How many numbers are kept of an image, by the layer of the network whose mean over the image they are made of. The
#: last layer knows emotions, the one before it also who and how: both together find an image's relatives best.
KEYS = {"stage2_add": 24, "stage3_add": 16}

#: Width of the kernel exp((cosine - 1) / WIDTH): at a cosine of 0.9 an image counts 8 %, at 0.8 it counts 0.7 %.
WIDTH = 0.04

#: How much weight the images must have in sum for the half of their mean residual to be believed.
DOUBT = 0.03

#: Added to the features' deviations in units of the largest one, where they are made equal: keeps noise down.
_RIDGE = 0.3


@dataclass(frozen=True, eq=False)
class Memory:
    """``projections`` of a layer's mean (c,) to a part of the key: matrix (c, d) and shift (d,), by layer.

    ``keys`` (n, sum of d), float32, are the training images', each part of length 1. ``values`` (n, 7), float32, per
    head: what is added to the logits if this image alone is near.
    """

    projections: dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]
    keys: NDArray[np.float32]
    values: dict[str, NDArray[np.float32]]

    def scaled(self, factors: dict[str, float]) -> Memory:
        """The same memory, saying ``factors`` times as much per head."""
        return replace(self, values={head: v * np.float32(factors[head]) for head, v in self.values.items()})

    def cosines(self, network: keras.Model) -> Any:
        """The symbolic tensor (batch, n) of how like each training image a face is, 1 being the same, over WIDTH."""
        parts = []
        for layer, (matrix, shift) in self.projections.items():
            project = keras.layers.Dense(matrix.shape[1], name=f"{layer}_key")
            parts.append(keras.layers.UnitNormalization(name=f"{layer}_place")(project(_mean(network, layer))))
            project.set_weights([matrix, shift])
        compare = keras.layers.Dense(len(self.keys), use_bias=False, name="memory")
        result = compare(keras.layers.Concatenate(name="place")(parts))
        compare.set_weights([self.keys.T / (len(parts) * WIDTH)])
        return result

    def corrections(self, network: keras.Model) -> dict[str, Any]:
        """Per head the symbolic tensor (batch, 7) that is to be added to the logits of ``network``."""
        weights = keras.layers.Activation("exponential", name="nearness")(self.cosines(network))
        # exp(cosine / WIDTH), for exp((cosine - 1) / WIDTH) would take a number more of each image: what to subtract.
        total = keras.ops.sum(weights, axis=-1, keepdims=True) + DOUBT * math.exp(1 / WIDTH)
        added = {}
        for head, values in self.values.items():
            recall = keras.layers.Dense(values.shape[1], use_bias=False, name=f"{head}_memory")
            added[head] = recall(weights) / total
            recall.set_weights([values])
        return added


def remember(network: keras.Model, train: Split, strength: float) -> Memory:
    """The memory that ``network``, which gives logits per head, has of ``train``.

    ``strength`` is the factor on residuals, which are too small where the network knows its images by heart. The label
    of FER+ is its majority's; images without one have no residual.
    """
    means = keras.Model(network.input, [*(_mean(network, layer) for layer in KEYS), network.output])
    *features, logits = means.predict(train.images[..., None].astype(np.float32), batch_size=256, verbose=0)
    projections, parts = {}, []
    for (layer, size), feature in zip(KEYS.items(), features, strict=True):
        projections[layer] = _whitening(feature, size)
        matrix, shift = projections[layer]
        part = feature @ matrix + shift
        parts.append(part / np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-6))
    values = {}
    for head, scores in logits.items():
        labels, known = train.labels, np.ones(len(train), bool)
        if head == "ferplus":
            assert train.votes is not None
            labels, known = majority_labels(train.votes)
        answers = np.exp(scores - scores.max(1, keepdims=True))
        answers /= answers.sum(1, keepdims=True)
        residual = np.eye(len(EMOTIONS))[labels] - answers[:, : len(EMOTIONS)]
        values[head] = (strength * residual * known[:, None]).astype(np.float32)
    return Memory(projections, np.hstack(parts).astype(np.float32), values)


def _mean(network: keras.Model, layer: str) -> Any:
    return keras.layers.GlobalAveragePooling2D()(network.get_layer(layer).output)


def _whitening(features: NDArray[np.float32], size: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Matrix (c, d) and shift (d,) to the ``size`` principal components of ``features`` (n, c), almost equally wide."""
    mean = features.mean(0, dtype=float)
    variances, axes = np.linalg.eigh(np.cov(features, rowvar=False, dtype=float))
    deviations = np.sqrt(np.maximum(variances[::-1][:size], 0))
    matrix = axes[:, ::-1][:, :size] / (deviations + _RIDGE * deviations[0] + 1e-6)
    return matrix.astype(np.float32), (-mean @ matrix).astype(np.float32)
