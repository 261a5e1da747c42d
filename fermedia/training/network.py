"""The network: a small residual convolutional net for 48x48 grey faces, made from scratch.

The trunk follows the nine-layer residual nets of the DAWNBench CIFAR-10 entries (Page 2018): a thin stem at full
resolution, then few, wide 3x3 convolutions at half resolution and below, which use a processor's arithmetic better
than many thin ones.
Inputs are grey values 0..255; their scaling is inside the graph, so whoever uses the file cannot get it wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

#: Channels of the stem and the three stages at width 1.
CHANNELS = (32, 64, 128, 256)

#: Units of each head: FER-2013's seven labels; FER+'s eight (the seven and contempt, last).
HEADS = {"fer2013": 7, "ferplus": 8}

#: Mean and deviation of FER-2013's training pixels, on the scale 0..255 (`fermedia dataset` prints them).
PIXEL_MEAN, PIXEL_STD = 129.4, 65.0


def build(
    heads: Sequence[str],
    width: float = 1.0,
    size: int | None = None,
    norm: type[layers.BatchNormalization] = layers.BatchNormalization,
    convolution: type[layers.Conv2D] = layers.Conv2D,
) -> keras.Model:
    """The network from grey values to logits.

    Input: float32 (n, size, size, 1), 0..255; any size from 24 up when ``size`` is None. Output: a dictionary
    with float32 logits (n, units) for each of ``heads``. ``norm`` and ``convolution`` are the kinds of
    its layers: what they compute is the same, how quickly they learn is not.
    """
    kinds = convolution, norm
    channels = [max(8, round(c * width / 8) * 8) for c in CHANNELS]
    inputs = keras.Input((size, size, 1), name="faces")
    x = layers.Rescaling(1 / PIXEL_STD, offset=-PIXEL_MEAN / PIXEL_STD, name="scale")(inputs)
    x = _conv(x, channels[0], kinds, "stem")
    for stage, count in enumerate(channels[1:], start=1):
        x = layers.MaxPooling2D(name=f"stage{stage}_pool")(x)
        x = _conv(x, count, kinds, f"stage{stage}_conv1")
        y = _conv(x, count, kinds, f"stage{stage}_conv2")
        y = _conv(y, count, kinds, f"stage{stage}_conv3")
        x = layers.Add(name=f"stage{stage}_add")([x, y])
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    # The heads stay in float32 under mixed precision: their softmax needs it.
    outputs = {name: layers.Dense(HEADS[name], dtype="float32", name=name)(x) for name in heads}
    return keras.Model(inputs, outputs, name="fermedia")


def _conv(x: Any, filters: int, kinds: tuple[type[layers.Conv2D], type[layers.BatchNormalization]], name: str) -> Any:
    convolution, norm = kinds
    x = convolution(filters, 3, padding="same", use_bias=False, kernel_initializer="he_normal", name=name)(x)
    # A short memory: the moving statistics must keep up with weights that still move fast.
    x = norm(momentum=0.9, epsilon=1e-4, name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x)
