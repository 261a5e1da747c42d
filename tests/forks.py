"""The real command, in children forked from one process that has loaded the libraries: a start costs no seconds.

``Forks()`` starts that process; ``start`` gives a ``Child``, with Python to run before the command if wanted, so that a
test can break one step of it without a hook in the product. Where nothing can be forked every child is a process of its
own from the beginning.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from tests import videos
from tests.systems import KILL

_PATHS = [str(Path(videos.__file__).parents[1])]


@dataclass
class Child:
    """A run of the command. ``log`` is what it says, on both streams. ``wait`` gives its exit status, or minus the
    signal that killed it."""

    pid: int
    log: Path
    wait: Callable[[], int]

    def kill(self, number: int = KILL) -> None:
        """Send a signal; it may have ended already, but nobody else has its number before ``wait``."""
        os.kill(self.pid, number)

    def said(self) -> str:
        """Everything so far."""
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""


class Forks:
    """The process that forks; a context manager. ``logs`` is a folder for what the children say."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._count = 0
        self._process = _started("serve") if hasattr(os, "fork") else None

    def __enter__(self) -> Forks:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            assert self._process.stdin
            self._process.stdin.close()
            self._process.wait()

    def start(self, *arguments: str | Path, before: str = "", cwd: Path | None = None) -> Child:
        """Begin ``fermedia ARGUMENTS``, after the code ``before``; in one process if they do not say otherwise."""
        self._count += 1
        if "analyze" in arguments[:1] and not {"--workers", "--timeout", "--executor"} & set(arguments):
            arguments += ("--workers", "0")  # else the code would not come where it should break something
        log = self._logs / f"{self._count}.log"
        order = {"argv": [os.fsencode(a).hex() for a in arguments], "before": before, "log": str(log)}
        order |= {"cwd": str(cwd or self._logs)}
        if self._process is None:
            process = _started("run")
            assert process.stdin
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.close()
            return Child(process.pid, log, process.wait)
        pid = self._ask(order)
        return Child(pid, log, lambda: os.waitstatus_to_exitcode(self._ask({"wait": pid})))

    def run(self, *arguments: str | Path, before: str = "", cwd: Path | None = None) -> tuple[int, str]:
        """The exit status of a whole run and what it said."""
        child = self.start(*arguments, before=before, cwd=cwd)
        return child.wait(), child.said()

    def _ask(self, order: dict[str, Any]) -> int:
        """Send an order, and read its answer."""
        assert self._process
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(order) + "\n")
        return int(self._process.stdout.readline())


def _started(how: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.forks", how]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=_PATHS[0], bufsize=1)


def until(condition: Any, child: Child, seconds: float = 60) -> None:
    """Wait for something that the child does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, child.said()
        time.sleep(0.005)


#: What a run loads; some of it only where it is first used, which each child would do anew.
_LIBRARIES = (
    "ai_edge_litert.interpreter",
    "pandas",
    "pandas.core.methods.to_dict",
    "pandas.io.formats.csvs",
    "psutil",
    "pyarrow.pandas_compat",
    "fermedia.cli",
    "fermedia.commands.merge",
    "fermedia.commands.status",
    "fermedia.jobs.batch",
    "fermedia.jobs.workers",
)


def _load() -> None:
    for name in _LIBRARIES:
        import_module(name)


def _serve() -> None:
    for line in sys.stdin:
        order = json.loads(line)
        if "wait" in order:
            print(os.waitpid(order["wait"], 0)[1], flush=True)
            continue
        pid = os.fork()
        if pid == 0:
            _be_child(order)
        print(pid, flush=True)


def _be_child(order: dict[str, Any]) -> None:
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.chdir(order["cwd"])
    sys.argv = ["fermedia", *(os.fsdecode(bytes.fromhex(a)) for a in order["argv"])]
    exec(order["before"], {})
    from fermedia.cli import main

    try:
        main()
    except SystemExit as end:  # taking down all of the libraries would take a second or two
        sys.stdout and sys.stdout.flush()
        os._exit(int(end.code or 0))


if __name__ == "__main__":
    _load()
    _serve() if sys.argv[1] == "serve" else _be_child(json.loads(sys.stdin.readline()))
