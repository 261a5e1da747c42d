"""Emotion timelines and annotated video from recordings of faces.

The names below are loaded when they are first used, so ``import fermedia`` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.2.0"

if TYPE_CHECKING:
    from fermedia.errors import FermediaError
    from fermedia.library import FrameResult, analyze, observe
    from fermedia.report.plots import plot_timeline
    from fermedia.tables.segments import segments
    from fermedia.tables.summary import summary
    from fermedia.tables.timeline import read_timeline
    from fermedia.types import BLENDSHAPES, EMOTIONS, Measures, Mesh, Observation
    from fermedia.vision.classify import Classifier
    from fermedia.vision.detect import FaceDetector
    from fermedia.vision.measures import measured
    from fermedia.vision.mesh import FaceMesh
else:
    _HOME = {
        "BLENDSHAPES": "fermedia.types",
        "EMOTIONS": "fermedia.types",
        "Classifier": "fermedia.vision.classify",
        "FaceDetector": "fermedia.vision.detect",
        "FaceMesh": "fermedia.vision.mesh",
        "FermediaError": "fermedia.errors",
        "FrameResult": "fermedia.library",
        "Measures": "fermedia.types",
        "Mesh": "fermedia.types",
        "Observation": "fermedia.types",
        "analyze": "fermedia.library",
        "measured": "fermedia.vision.measures",
        "observe": "fermedia.library",
        "plot_timeline": "fermedia.report.plots",
        "read_timeline": "fermedia.tables.timeline",
        "segments": "fermedia.tables.segments",
        "summary": "fermedia.tables.summary",
    }

    # Hidden from type checkers, to which it would say that every name is there.
    def __getattr__(name):
        if name not in _HOME:
            raise AttributeError(f"module 'fermedia' has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(_HOME[name]), name)
        return value

    def __dir__():
        """The public names and no others, whatever has been loaded."""
        return __all__


__all__ = [
    "BLENDSHAPES",
    "EMOTIONS",
    "Classifier",
    "FaceDetector",
    "FaceMesh",
    "FermediaError",
    "FrameResult",
    "Measures",
    "Mesh",
    "Observation",
    "__version__",
    "analyze",
    "measured",
    "observe",
    "plot_timeline",
    "read_timeline",
    "segments",
    "summary",
]
