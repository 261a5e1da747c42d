"""What a test needs of the system that it runs on."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

#: Ends a process at once, on every system; and the exit status that it then has.
KILL = 9
KILLED = 9 if sys.platform == "win32" else -9

#: Whether a file that is open can be moved and removed. Where it cannot, what an interruption left open stays in the
#: run's folder until the next run, which removes it.
OPEN_FILES_GO = hasattr(os, "fork")

needs_signals = pytest.mark.skipif(
    sys.platform == "win32", reason="on Windows a signal from outside just ends a process, and no status names it"
)
needs_masks = pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="signals cannot be kept from workers")
needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks Linux about processes")
needs_permissions = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nobody is refused a file here, as root is not"
)
needs_any_name = pytest.mark.skipif(sys.platform != "linux", reason="only Linux allows any bytes in a name")
needs_links = pytest.mark.skipif(sys.platform == "win32", reason="Windows lets few make symbolic links")
needs_open_files_to_go = pytest.mark.skipif(
    not OPEN_FILES_GO, reason="on Windows a file that is open can neither be moved nor removed"
)
