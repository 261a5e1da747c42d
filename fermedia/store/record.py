"""run.json: how, when and where the results of a folder were made, for people and their methods sections.

Its contents come from the ledger, so the next run can always write it completely.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import fermedia
from fermedia.machine import cores
from fermedia.options import AnalyzeOptions
from fermedia.store.ledger import Ledger
from fermedia.vision.classify import Classifier
from fermedia.vision.networks import DETECTOR_FILES, MESH_FILES


def about_run(inputs: Sequence[Path], options: AnalyzeOptions, whole: bool) -> dict[str, Any]:
    """The ledger's record of a run that begins; ``whole`` is whether it includes no results of earlier runs."""
    packages = ["ai-edge-litert", "opencv-python-headless", "av", "numpy"]
    packages += ["mediapipe"] if options.runtime == "mediapipe" else []
    return {
        "begun": datetime.now(UTC).isoformat(timespec="seconds"),
        "inputs": [os.path.abspath(path) for path in inputs],
        "fermedia": fermedia.__version__,
        "machine": {"system": platform.platform(), "python": platform.python_version(), "processors": cores()},
        "versions": {name: version(name) for name in packages},
        "whole": whole,
    }


def run_record(
    ledger: Ledger, options: AnalyzeOptions, classifier: Classifier, totals: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The contents of run.json: the run that began the current results, and as ``later_runs`` those that continued it.

    ``inputs`` and ``state`` are those of the last run.
    """
    runs = about_runs(ledger)
    later = runs.pop("later_runs")
    return {
        **runs,
        "options": options.record(),
        "model": {"name": classifier.name, "labels": classifier.labels, "sha256": classifier.sha256},
        "detectors": DETECTOR_FILES,
        **({"mesh": MESH_FILES} if options.measures else {}),
        **({"totals": totals} if totals else {}),
        "later_runs": later,
    }


def about_runs(ledger: Ledger) -> dict[str, Any]:
    """The part of run.json that is in the ledger: when, where and from which inputs the results were made."""
    runs = ledger.begun or [{}]  # none if the disk was full at the beginning
    first = max((number for number, run in enumerate(runs) if run.get("whole")), default=0)
    analysis, *later = ({k: v for k, v in run.items() if k not in ("todo", "whole")} for run in runs[first:])
    last = runs[-1]
    return {
        **analysis,
        "inputs": last.get("inputs", []),
        "state": last.get("state", "running"),
        **({"removed": len(ledger.removed)} if ledger.removed else {}),
        "later_runs": later,
    }
