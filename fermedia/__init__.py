"""Emotion timelines and annotated video from recordings of faces.

The names below are loaded when they are first used, so ``import fermedia`` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fermedia.outputs.plots import plot_timeline
    from fermedia.outputs.segments import segments
    from fermedia.outputs.summary import summary
    from fermedia.outputs.timeline import read_timeline
    from fermedia.runs.batch import analyze
    from fermedia.types import EMOTIONS
    from fermedia.vision.classify import Classifier
    from fermedia.vision.detect import FaceDetector

__version__ = "0.1.0"

_HOME = {
    "EMOTIONS": "fermedia.types",
    "Classifier": "fermedia.vision.classify",
    "FaceDetector": "fermedia.vision.detect",
    "analyze": "fermedia.runs.batch",
    "plot_timeline": "fermedia.outputs.plots",
    "read_timeline": "fermedia.outputs.timeline",
    "segments": "fermedia.outputs.segments",
    "summary": "fermedia.outputs.summary",
}

__all__ = [
    "EMOTIONS",
    "Classifier",
    "FaceDetector",
    "__version__",
    "analyze",
    "plot_timeline",
    "read_timeline",
    "segments",
    "summary",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'fermedia' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
