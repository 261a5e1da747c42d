"""The reading for faces of every day: what the two labellings say, mixed, with an assumption of its own.

Each labelling knows what the other does not. FER-2013's labels are the words by which images were searched for: who
learns them sees an emotion in most faces, in resting ones as well. The crowd of FER+ looked at the faces: who learns
their votes knows a resting face, and ranks emotions better, but is slow to leave neutral. So the mixture is mostly the
crowd's, and assumes how frequent each emotion is (a prior) in another way than the training images would have it.

The share and the weights were chosen on faces from elsewhere, and checked by leaving out people
(``scripts/measure_elsewhere.py``; models/emotion/README.md says on which faces, and what it came to).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fermedia.types import EMOTIONS

#: What the head is called, and those that it is made of.
NAME, OF = "everyday", ("fer2013", "ferplus")

#: FER-2013's share in the logits.
SHARE = 0.2

#: What the probability of each emotion is multiplied by, as the mixed heads give it without any correction. Seen from
#: the frequencies in training, rare emotions become likelier, and happy and neutral, which are frequent there and
#: elsewhere, a little less likely.
WEIGHTS = {"angry": 1.3, "disgust": 3.5, "fear": 2.7, "happy": 1.0, "sad": 1.1, "surprise": 2.1, "neutral": 0.88}

#: The temperature that makes the probabilities true for faces from elsewhere.
TEMPERATURE = 0.5


def mixed(logits: dict[str, Any], temperatures: dict[str, float], corrections: dict[str, NDArray[np.float64]]) -> Any:
    """The symbolic tensor (batch, 7) of the mixture's logits, at its temperature.

    ``logits`` are those of the heads that it is made of as they are shipped: with the logarithm of their
    ``corrections`` (7,) added, divided by their ``temperatures``. Both are undone.
    """
    total: Any = np.log([WEIGHTS[emotion] for emotion in EMOTIONS]).astype(np.float32)
    for head, share in zip(OF, (SHARE, 1 - SHARE), strict=True):
        total = share * (logits[head] * temperatures[head] - np.log(corrections[head]).astype(np.float32)) + total
    return total / TEMPERATURE
