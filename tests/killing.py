"""Runs that are killed, as by ``kill -9`` or a power cut, and continued; and what all runs must agree in."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path

import av

from fermedia.names import LEDGER
from tests.forks import Forks
from tests.systems import KILL, KILLED

#: Code for a child, which can then let any function be ``die``.
DIE = f"import os, signal\ndie = lambda *_: os.kill(os.getpid(), {KILL})\n"


def results(out: Path) -> dict[str, str]:
    """Every file of the results but those for times, by its name: videos as their frames, all else as its bytes."""
    found = {}
    for path in sorted(out.rglob("*")):
        if path.is_file() and path.name not in (LEDGER, "run.json", "items.js"):
            found[path.relative_to(out).as_posix()] = _content(path)
    return found


def _content(path: Path) -> str:
    digest = hashlib.sha256()
    if path.suffix == ".mp4":
        with av.open(str(path)) as video:
            for frame in video.decode(video=0):
                digest.update(f"{frame.pts} {frame.time_base}".encode() + frame.to_ndarray().tobytes())
    elif path.name == "item.json":
        record = json.loads(path.read_text())
        digest.update(repr(record | {"seconds_taken": 0}).encode())
    else:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def killed_and_continued(
    forks: Forks,
    inputs: Path,
    undisturbed: Path,
    out: Path,
    kills: int,
    moments: Callable[[], float],
    *options: str,
    before: str = "",
    status: int = 0,
) -> int:
    """Run until it ends, with ``status`` at last, killed up to ``kills`` times; gives the number of kills that hit.

    ``moments`` gives the seconds from a start to its kill. The results must be those of the ``undisturbed`` run.
    """
    hits = 0
    while hits < kills:
        child = forks.start("analyze", inputs, "--out", out, "--quiet", *options, before=before)
        time.sleep(moments())
        child.kill()
        if child.wait() != KILLED:
            break
        hits += 1
    else:
        ended, said = forks.run("analyze", inputs, "--out", out, *options, before=before)
        assert ended == status, said
    assert results(out) == results(undisturbed)
    assert not list(out.glob(".*"))
    return hits


def killed_fifty_times(folder: Path, killed: Callable[[Path, int], int]) -> None:
    """``killed``, which is ``killed_and_continued`` for (out, kills), in folders below ``folder`` until fifty hit."""
    hits = rounds = 0
    while hits < 50:
        rounds += 1
        hits += killed(folder / str(rounds), 50 - hits)
