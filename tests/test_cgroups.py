"""The limits of control groups, in made-up trees of both versions."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fermedia import cgroups, machine
from fermedia.machine import cores, free_memory

GB = 10**9
NONE = 9223372036854771712  # version 1's word for no limit


def tree(folder: Path, own: str, files: dict[str, str]) -> tuple[Path, Path]:
    """(root, own) of a system whose process is in the groups ``own``."""
    (folder / "cgroup").write_text(own)
    for name, text in files.items():
        path = folder / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return folder / "root", folder / "cgroup"


def memory_2(group: str, limit: str, current: int, inactive: int) -> dict[str, str]:
    stat = f"anon 1\nfile {inactive + 5}\ninactive_anon 9\ninactive_file {inactive}\nactive_file 5"
    return {f"{group}memory.max": limit, f"{group}memory.current": str(current), f"{group}memory.stat": stat}


def memory_1(group: str, limit: int, usage: int, inactive: int) -> dict[str, str]:
    names = {"limit_in_bytes": str(limit), "usage_in_bytes": str(usage)}
    names["stat"] = f"cache 7\ninactive_file 1\ntotal_cache 9\ntotal_inactive_file {inactive}"
    return {f"memory/{group}memory.{name}": text for name, text in names.items()}


@pytest.mark.parametrize(
    ("own", "files", "processors"),
    [
        # A container sees its own group as the outermost.
        ("0::/\n", {"cpu.max": "200000 100000"}, 2.0),
        ("0::/\n", {"cpu.max": "max 100000"}, None),
        ("0::/\n", {"cpu.max": "50000 100000"}, 0.5),
        # systemd: a service in a slice; the smallest counts, wherever it stands, and the outermost has no file.
        (
            "0::/a.slice/b.service\n",
            {"a.slice/cpu.max": "150000 100000", "a.slice/b.service/cpu.max": "max 10000"},
            1.5,
        ),
        ("0::/a/b\n", {"a/cpu.max": "800000 100000", "a/b/cpu.max": "30000 10000", "c/cpu.max": "1 100"}, 3.0),
        # The container's way on its host, which it cannot see.
        ("0::/system.slice/docker-1.scope\n", {"cpu.max": "400000 100000"}, 4.0),
        ("0::/../other\n", {"cpu.max": "400000 100000", "other/cpu.max": "1 1"}, 4.0),
        # Version 1.
        ("4:cpu,cpuacct:/\n", {"cpu/cpu.cfs_quota_us": "250000", "cpu/cpu.cfs_period_us": "100000"}, 2.5),
        ("4:cpu,cpuacct:/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        (
            "5:memory:/x\n4:cpuacct,cpu:/docker/1/2\n1:name=systemd:/docker/1\n0::/\n",
            {
                "cpu/docker/1/cpu.cfs_quota_us": "100000",
                "cpu/docker/1/cpu.cfs_period_us": "100000",
                "cpu/docker/1/2/cpu.cfs_quota_us": "-1",
                "cpu/docker/1/2/cpu.cfs_period_us": "100000",
                "cpu/x/cpu.cfs_quota_us": "1",
            },
            1.0,
        ),
        # Both at once.
        ("1:memory:/\n0::/a\n", {"unified/a/cpu.max": "700000 100000"}, 7.0),
        ("", {}, None),
        ("0::/\n", {"cpu.max": "what is this"}, None),
    ],
)
def test_a_quota_of_processors(tmp_path: Path, own: str, files: dict[str, str], processors: float | None) -> None:
    assert cgroups.processors(*tree(tmp_path, own, files)) == processors


@pytest.mark.parametrize(
    ("own", "files", "memory"),
    [
        ("0::/\n", memory_2("", str(8 * GB), 7 * GB, 5 * GB), 6 * GB),
        ("0::/\n", memory_2("", "max", 7 * GB, 5 * GB), None),
        # Slurm: a step in a job; the job has less left than the step may have.
        (
            "0::/slurm/job_1/step_0\n",
            memory_2("slurm/job_1/", str(4 * GB), 3 * GB, GB) | memory_2("slurm/job_1/step_0/", str(16 * GB), GB, 0),
            2 * GB,
        ),
        ("0::/a\n", memory_2("a/", str(GB), 2 * GB, 0), -GB),
        ("9:memory:/\n", memory_1("", 6 * GB, 5 * GB, 4 * GB), 5 * GB),
        ("9:memory:/a/b\n0::/\n", memory_1("a/", 3 * GB, GB, 0) | memory_1("a/b/", NONE, GB, 0), 2 * GB),
        ("", {}, None),
    ],
)
def test_memory_that_is_left(tmp_path: Path, own: str, files: dict[str, str], memory: int | None) -> None:
    assert cgroups.memory(*tree(tmp_path, own, files)) == memory


def test_where_there_are_no_groups(tmp_path: Path) -> None:
    nowhere = tmp_path / "none"
    assert cgroups.processors(nowhere, nowhere) is None
    assert cgroups.memory(nowhere, nowhere) is None


@pytest.mark.parametrize(("quota", "count"), [(None, 8), (0.25, 1), (1.5, 2), (3.0, 3), (64.0, 8)])
def test_no_more_processors_than_the_quota(monkeypatch: pytest.MonkeyPatch, quota: float | None, count: int) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(cgroups, "processors", lambda: quota)
    machine._quota.cache_clear()
    assert cores() == count
    machine._quota.cache_clear()


@pytest.mark.parametrize(("left", "free"), [(None, 4 * GB), (2 * GB, 2 * GB), (9 * GB, 4 * GB), (-GB, 0)])
def test_no_more_memory_than_the_groups_leave(monkeypatch: pytest.MonkeyPatch, left: int | None, free: int) -> None:
    import psutil

    class Memory:
        available = 4 * GB

    monkeypatch.setattr(psutil, "virtual_memory", Memory)
    monkeypatch.setattr(cgroups, "memory", lambda: left)
    assert free_memory() == free
