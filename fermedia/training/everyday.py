"""The head for everyday faces: a mixture of the FER-2013 and FER+ heads with its own class prior.

The two labellings complement each other. FER-2013's labels are the search terms of the images: a network trained on
them predicts an emotion for most faces, also for resting ones. FER+'s labels are votes of people who saw the faces: a
network trained on them recognizes a resting face and ranks emotions better, but predicts neutral too often. So the
mixture is mostly FER+'s, with another prior for the emotions than that of the training images.

The share and the weights were chosen on faces from other sources, and checked by cross-validation over people
(``scripts/measure_elsewhere.py``; models/emotion/README.md lists the faces and the results).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fermedia.options import FER2013, FERPLUS
from fermedia.types import EMOTIONS

#: The heads in the mixture.
OF = FER2013, FERPLUS

#: FER-2013's share in the logits.
SHARE = 0.2

#: The factor of each emotion's probability, as given by the mixed heads without any correction. Relative to the
#: frequencies in training, rare emotions become likelier, and happy and neutral, which are frequent there and
#: elsewhere, slightly less likely.
WEIGHTS = {"angry": 1.3, "disgust": 3.5, "fear": 2.7, "happy": 1.0, "sad": 1.1, "surprise": 2.1, "neutral": 0.88}

#: The temperature that calibrates the probabilities for faces from other sources.
TEMPERATURE = 0.5


def mixed(logits: dict[str, Any], temperatures: dict[str, float], corrections: dict[str, NDArray[np.float64]]) -> Any:
    """The symbolic tensor (batch, 7) of the mixture's logits, divided by its temperature.

    Args:
        logits: By head, symbolic tensors (batch, 7) as shipped: with the logarithm of the correction added, divided by
            the temperature. Both are undone.
        temperatures: By head.
        corrections: By head, (7,).
    """
    total: Any = np.log([WEIGHTS[emotion] for emotion in EMOTIONS]).astype(np.float32)
    for head, share in zip(OF, (SHARE, 1 - SHARE), strict=True):
        total = share * (logits[head] * temperatures[head] - np.log(corrections[head]).astype(np.float32)) + total
    return total / TEMPERATURE
