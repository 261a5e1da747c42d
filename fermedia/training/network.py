"""The network: a small residual convolutional network for 48x48 grey faces, trained from scratch.

The trunk follows the nine-layer residual networks of the DAWNBench CIFAR-10 entries (Page 2018): a stem with few
channels at full resolution, then a few 3x3 convolutions with many channels at half resolution and below, which use a
processor's arithmetic units better than many layers with few channels. Inputs are grey values 0..255; they are scaled
inside the graph, so that users of the file cannot scale them wrongly.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from fermedia.options import FER2013, FERPLUS

#: Channels of the stem and the three stages at width 1.
CHANNELS = (32, 64, 128, 256)

#: Units of each head: FER-2013 has seven labels, FER+ eight (the same seven, then contempt).
HEADS = {FER2013: 7, FERPLUS: 8}

#: Mean and standard deviation of FER-2013's training pixels, on the scale 0..255 (``fermedia dataset`` prints them).
PIXEL_MEAN, PIXEL_STD = 129.4, 65.0


def build(
    heads: Sequence[str],
    width: float = 1.0,
    size: int | None = None,
    norm: type[layers.BatchNormalization] = layers.BatchNormalization,
    convolution: type[layers.Conv2D] = layers.Conv2D,
) -> keras.Model:
    """Build the network, with random weights.

    Args:
        heads: The names of its heads, keys of ``HEADS``.
        width: Factor on the numbers of channels.
        size: Height and width of the input in pixels; None for any from 24 up.
        norm: The class of its normalization layers. Subclasses compute the same but may train faster or slower.
        convolution: The class of its convolutions, likewise.

    Returns:
        A model whose input is float32 (n, size, size, 1), grey values 0..255, and whose output is a dictionary with
        float32 logits (n, units) for each head.
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
    # The heads use float32 even under mixed precision, since their softmax needs it.
    outputs = {name: layers.Dense(HEADS[name], dtype="float32", name=name)(x) for name in heads}
    return keras.Model(inputs, outputs, name="fermedia")


def _conv(x: Any, filters: int, kinds: tuple[type[layers.Conv2D], type[layers.BatchNormalization]], name: str) -> Any:
    """Add a 3x3 convolution, a normalization and a ReLU."""
    convolution, norm = kinds
    x = convolution(filters, 3, padding="same", use_bias=False, kernel_initializer="he_normal", name=name)(x)
    # A low momentum, so that the moving statistics follow weights that still change quickly.
    x = norm(momentum=0.9, epsilon=1e-4, name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x)
