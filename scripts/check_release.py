"""Whether a release's two files hold what they should: python scripts/check_release.py DIST

DIST is a folder in which ``python -m build`` has left one wheel and one source distribution of this checkout, whose
files git knows. The wheel has to hold all files of the package and the models, the source distribution all files there
are, and neither anything else.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).resolve().parents[1]

#: Bytes that a wheel may have: the networks are most of it, and a careless training output would double it.
MOST = 16_000_000

#: What no list that is made from the checkout may lack, in the wheel.
KEPT = (
    "fermedia/py.typed",
    "fermedia/report/page.html",
    "fermedia/commands/portraits/hopper.jpg",
    "fermedia/models/emotion/model.tflite",
    "fermedia/models/face/LICENSE",
    "fermedia/models/face/face_detection_full_range_sparse.tflite",
    "fermedia/models/face/face_landmarks_detector.tflite",
)


def differences(name: str, held: set[str], due: set[str]) -> list[str]:
    """A line for each file that is missing from an archive or does not belong there."""
    return [f"{name} lacks {path}" for path in sorted(due - held)] + [
        f"{name} has no use for {path}" for path in sorted(held - due)
    ]


def check_wheel(path: Path, tracked: set[str]) -> list[str]:
    """What is wrong with a wheel."""
    version = "-".join(path.name.split("-")[:2])
    due = {file for file in tracked if file.startswith("fermedia/")}
    due |= {f"fermedia/{file}" for file in tracked if file.startswith("models/")}
    due |= {
        f"{version}.dist-info/{file}" for file in ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "top_level.txt")
    }
    due |= {f"{version}.dist-info/licenses/{file}" for file in ("LICENSE", "models/face/LICENSE")}
    with ZipFile(path) as wheel:
        wrong = differences(path.name, set(wheel.namelist()), due | set(KEPT))
    size = path.stat().st_size
    return wrong + ([f"{path.name} has {size:,} bytes, more than {MOST:,}"] if size > MOST else [])


def check_source(path: Path, tracked: set[str]) -> list[str]:
    """What is wrong with a source distribution."""
    with tarfile.open(path) as archive:
        held = {file.name.partition("/")[2] for file in archive if file.isfile()}
    made = {"PKG-INFO"} | {file for file in held if file.startswith("fermedia.egg-info/")}
    return differences(path.name, held, tracked | made)


def main() -> None:
    """Print what is wrong, and end with status 1 if anything is."""
    (dist,) = map(Path, sys.argv[1:])
    (wheel,), (source,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    tracked = set(listed.stdout.split("\0")) - {""}
    wrong = check_wheel(wheel, tracked) + check_source(source, tracked)
    for file in (wheel, source):
        print(f"{file.name}: {file.stat().st_size:,} bytes")
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
