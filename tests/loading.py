"""The programs of scripts/, as modules."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"


def load_script(name: str) -> ModuleType:
    """A script as a module, with the others beside it; the test is skipped where there are none."""
    if not SCRIPTS.is_dir():
        pytest.skip("scripts/ is not installed", allow_module_level=True)
    if str(SCRIPTS) not in sys.path:
        sys.path.append(str(SCRIPTS))
    return importlib.import_module(name)
