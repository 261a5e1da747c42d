"""Correct a network's output by the training images that are most similar to a face.

FER-2013 was collected by web search. Many of its images show the same photo, person or series, mostly with the same
label, as in any data labelled by folder or search term. A network that is regularized against memorizing its images
cannot use that; nearest neighbours can. Therefore the model stores, for each training image, a short key and the
difference between its label and the network's own prediction. This is a kernel regression of the network's residuals
(Nadaraya 1964; Watson 1964) on its features, similar to nearest-neighbour language models (Khandelwal et al. 2020). A
face that is similar to no training image is classified by the network alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from fermedia.options import FERPLUS
from fermedia.training.dataset import Split, majority_labels
from fermedia.types import EMOTIONS

#: The length of each part of an image's key, by the layer whose mean over the image it is computed from. The last layer
#: represents emotions, the one before it also identity and style: both together find related images best.
KEYS = {"stage2_add": 24, "stage3_add": 16}

#: Width of the kernel exp((cosine - 1) / WIDTH): an image with a cosine of 0.9 has a weight of 8 %, with 0.8 of 0.7 %.
WIDTH = 0.04

#: The total weight of the training images at which half of their mean residual is applied.
DOUBT = 0.03

#: Added to the standard deviations of the features when these are whitened, in units of the largest one: limits noise.
_RIDGE = 0.3


@dataclass(frozen=True, eq=False)
class Memory:
    """The keys of the training images and the corrections that they stand for.

    Attributes:
        projections: By layer, the matrix (c, d) and shift (d,), float32, that project the layer's mean (c,) to a part
            of the key.
        keys: The keys of the n training images, (n, sum of d), float32; each part has length 1.
        values: By head, what is added to the logits if only this image is similar, (n, 7), float32.
    """

    projections: dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]
    keys: NDArray[np.float32]
    values: dict[str, NDArray[np.float32]]

    def scaled(self, factors: dict[str, float]) -> Memory:
        """A memory with the values of each head multiplied by the head's factor."""
        return replace(self, values={head: v * np.float32(factors[head]) for head, v in self.values.items()})

    def cosines(self, network: keras.Model) -> Any:
        """The symbolic tensor (batch, n) of the similarity of a face to each training image, divided by ``WIDTH``.

        The similarity is the mean cosine of the parts of the keys; 1 if the keys are the same.
        """
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
        """By head, the symbolic tensor (batch, 7) to be added to the logits of ``network``."""
        weights = keras.layers.Activation("exponential", name="nearness")(self.cosines(network))
        # The weights are exp(cosine / WIDTH): exp((cosine - 1) / WIDTH) would need one more stored number per image,
        # the one to subtract. So DOUBT is scaled instead.
        total = keras.ops.sum(weights, axis=-1, keepdims=True) + DOUBT * math.exp(1 / WIDTH)
        added = {}
        for head, values in self.values.items():
            recall = keras.layers.Dense(values.shape[1], use_bias=False, name=f"{head}_memory")
            added[head] = recall(weights) / total
            recall.set_weights([values])
        return added


def remember(network: keras.Model, train: Split, strength: float) -> Memory:
    """Build the memory of the training images for a network.

    Args:
        network: A network that returns logits by head.
        train: The training images. For FER+, the label is the majority's; images without one have a residual of 0.
        strength: Factor on the residuals, which are too small if the network has memorized its images.
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
        if head == FERPLUS:
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
    """A projection of ``features`` (n, c) to their d = ``size`` first principal components, of almost equal variance.

    Returns the matrix (c, d) and the shift (d,), float32.
    """
    mean = features.mean(0, dtype=float)
    variances, axes = np.linalg.eigh(np.cov(features, rowvar=False, dtype=float))
    deviations = np.sqrt(np.maximum(variances[::-1][:size], 0))
    matrix = axes[:, ::-1][:, :size] / (deviations + _RIDGE * deviations[0] + 1e-6)
    return matrix.astype(np.float32), (-mean @ matrix).astype(np.float32)
