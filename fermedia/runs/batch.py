"""A run: many inputs, one folder of results."""

from __future__ import annotations

import csv
import shutil
import tempfile
import time
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fermedia
from fermedia.errors import MediaError, UsageError
from fermedia.files import whole_file, write_json
from fermedia.media.find import find_items
from fermedia.options import AnalyzeOptions
from fermedia.outputs.summary import SUMMARY_COLUMNS, summarize
from fermedia.outputs.timeline import read_timeline
from fermedia.runs.item import Engine, Failure, ItemResult
from fermedia.runs.progress import Progress
from fermedia.vision.detect import DETECTOR_FILES

if TYPE_CHECKING:
    import pandas as pd

RUN = "run.json"


@dataclass
class Totals:
    """What a run did."""

    items: int = 0
    finished: int = 0
    frames: int = 0
    frames_analysed: int = 0
    frames_with_face: int = 0
    faces: int = 0
    seconds: float = 0.0
    failures: list[Failure] = field(default_factory=list)

    def add(self, result: ItemResult) -> None:
        """Count an item."""
        self.finished += result.folder is not None
        self.frames += result.frames
        self.frames_analysed += result.analysed
        self.frames_with_face += result.with_face
        self.faces += result.faces
        self.failures += result.failures

    def record(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self) | {"seconds": round(self.seconds, 2)}

    def sentence(self, out: Path) -> str:
        """The last line of a run."""
        text = (
            f"{self.finished} of {self.items} items, {self.frames_analysed} frames analysed, "
            f"{self.frames_with_face} with a face, in {self.seconds:.1f} s; results in {out}"
        )
        return text + (f"; {len(self.failures)} failures, see {out / 'failures.csv'}" if self.failures else "")


def run_batch(
    inputs: Sequence[Path], out: Path, options: AnalyzeOptions, *, overwrite: bool, progress: Progress
) -> Totals:
    """Analyse ``inputs`` into the folder ``out``; failures of single items are counted, not raised.

    Raises UsageError where an input is missing or ``out`` holds other things, ModelError where the model does
    not load.
    """
    _check_out(out, overwrite)
    items = find_items(inputs, exclude=out)
    totals = Totals(items=len(items))
    results: list[ItemResult] = []
    begun = time.monotonic()
    with Engine(options) as engine:
        out.mkdir(parents=True, exist_ok=True)
        record = _record(inputs, options, engine)
        write_json(out / RUN, record | {"state": "running"})
        staging = Path(tempfile.mkdtemp(dir=out, prefix=".working-"))
        state = "interrupted"
        try:
            for number, item in enumerate(items, 1):
                with progress.item(f"[{number}/{len(items)}] {item.key}") as on_frames:
                    result = engine.run(item, staging / "item", out / "items" / item.key, on_frames)
                totals.add(result)
                results.append(result)
                progress.report(number, len(items), result)
            state = "finished"
        finally:
            totals.seconds = time.monotonic() - begun
            shutil.rmtree(staging, ignore_errors=True)
            _write_tables(out, results)
            write_json(out / RUN, record | {"state": state, "totals": totals.record()})
    return totals


def analyze(path: str | Path, **options: Any) -> pd.DataFrame:
    """The timeline of a video, a picture or a folder, as ``timeline.csv`` has it; nothing is left on the disk.

    ``options`` are the fields of ``fermedia.options.AnalyzeOptions`` (``every=5``, ``start=10.0`` ...). Raises
    MediaError if nothing could be read, UsageError for a wrong option; warns of what was left out.
    """
    import pandas as pd

    known = {item.name for item in fields(AnalyzeOptions)}
    if unknown := sorted(set(options) - known):
        raise UsageError(f"analyze has no option {', '.join(unknown)}; there are: {', '.join(sorted(known))}")
    chosen = AnalyzeOptions(**options | {"video": False})
    with tempfile.TemporaryDirectory(prefix="fermedia-") as folder, Progress(quiet=True) as progress:
        totals = run_batch([Path(path)], Path(folder), chosen, overwrite=False, progress=progress)
        for failure in totals.failures:
            if not totals.finished:
                raise MediaError(failure.error, failure.stage)
            warnings.warn(failure.error, stacklevel=2)
        tables = [read_timeline(p) for p in sorted(Path(folder).glob("items/**/timeline.csv"))]
    return pd.concat(tables, ignore_index=True)


def _check_out(out: Path, overwrite: bool) -> None:
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out}: is a file; name a folder")
    if out.is_dir() and any(out.iterdir()) and not overwrite:
        kind = "already holds results" if (out / RUN).is_file() else "is not empty"
        raise UsageError(f"--out {out}: {kind}; name another folder, or add --overwrite to write into this one")


def _record(inputs: Sequence[Path], options: AnalyzeOptions, engine: Engine) -> dict[str, Any]:
    packages = ("mediapipe", "ai-edge-litert", "opencv-contrib-python", "av", "numpy")
    return {
        "fermedia": fermedia.__version__,
        "begun": datetime.now(UTC).isoformat(timespec="seconds"),
        "inputs": [str(path) for path in inputs],
        "options": options.record(),
        "model": {
            "name": engine.classifier.name,
            "labels": engine.classifier.labels,
            "sha256": engine.classifier.sha256,
        },
        "detectors": DETECTOR_FILES,
        "versions": {name: version(name) for name in packages},
    }


def _write_tables(out: Path, results: Sequence[ItemResult]) -> None:
    """summary.csv and failures.csv of what is finished; both always there, with their headers."""
    import pandas as pd

    summaries = [
        summarize(read_timeline(r.folder / "timeline.csv"), str(r.item.key), r.end) for r in results if r.folder
    ]
    with whole_file(out / "summary.csv") as path:
        table = pd.concat(summaries) if summaries else pd.DataFrame(columns=list(SUMMARY_COLUMNS))
        table.to_csv(path, index=False, float_format="%.6f", errors="surrogateescape")
    failures: Iterable[Failure] = (failure for r in results for failure in r.failures)
    with (
        whole_file(out / "failures.csv") as path,
        path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        writer = csv.writer(file)
        writer.writerow([item.name for item in fields(Failure)])
        writer.writerows((f.item, f.stage, f.error) for f in failures)
