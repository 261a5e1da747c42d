"""The limits that Linux's control groups set for this process: containers, Slurm and systemd use them.

Groups are nested, and the smallest limit among a group and its parents applies. Versions 1 and 2 are read, also where
both are mounted. In a container the outermost visible group is the container's own, whatever its path is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

#: Where the groups are mounted, and which of them this process is in: lines of "number:controllers:path", for version 2
#: without controllers.
_ROOT, _OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def processors(root: Path = _ROOT, own: Path = _OWN) -> float | None:
    """The processor time that this process may use, in processors (1.5 is one and a half); None without a limit."""
    return min(_limits(root, own, "cpu", _quota), default=None)


def memory(root: Path = _ROOT, own: Path = _OWN) -> int | None:
    """Bytes that may still be allocated; None without a limit. The inactive file cache counts as free.

    Negative where a group uses more than its limit, which may have been lowered.
    """
    return min(map(int, _limits(root, own, "memory", _unused)), default=None)


def _limits(root: Path, own: Path, controller: str, read: Callable[[Path], float]) -> Iterator[float]:
    """The limits that ``read`` finds in this process's groups and their parents."""
    for folder in _folders(root, own, controller):
        with suppress(OSError, ValueError, KeyError):  # no such group, or no limit
            yield read(folder)


def _folders(root: Path, own: Path, controller: str) -> Iterator[Path]:
    """The folders of the groups; some may not exist."""
    try:
        lines = own.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # another system
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        inside = PurePosixPath(path.lstrip("/"))
        groups = [inside, *inside.parents]
        if ".." in inside.parts:  # outside the namespace of this process
            groups = [PurePosixPath()]
        for top in [root / controller] if controllers else [root, root / "unified"]:
            yield from (top / group for group in groups)


def _quota(group: Path) -> float:
    if (group / "cpu.max").exists():
        quota, period = _text(group, "cpu.max").split()
    else:
        quota, period = _text(group, "cpu.cfs_quota_us"), _text(group, "cpu.cfs_period_us")
    share = int(quota) / int(period)
    if share <= 0:
        raise ValueError("-1 stands for none")
    return share


def _unused(group: Path) -> float:
    if (group / "memory.max").exists():
        limit, taken, files = "memory.max", "memory.current", "inactive_file"
    else:
        limit, taken, files = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
    kept = dict(line.split() for line in _text(group, "memory.stat").splitlines())
    return int(_text(group, limit)) - (int(_text(group, taken)) - int(kept[files]))


def _text(group: Path, name: str) -> str:
    return (group / name).read_text(encoding="utf-8")
