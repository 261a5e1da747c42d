"""The tests. ``--without-posix`` counts from here on, before anything of ours is loaded."""

import os
import runpy
import sys
from pathlib import Path

if "--without-posix" in sys.argv:
    _folder = Path(__file__).parent / "without_posix"
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(_folder), os.environ.get("PYTHONPATH"))))
    runpy.run_path(str(_folder / "sitecustomize.py"))
