"""Processors, memory and turns: what is asked of the machine is what it gives."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import threading
from concurrent.futures import wait
from pathlib import Path

import numpy as np
import psutil
import pytest

import fermedia.machine as module
from fermedia.machine import busy_pool, cores, trim_heap


def test_cores_are_those_that_may_be_used() -> None:
    assert cores() >= 1


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="threads cannot be bound here")
@pytest.mark.parametrize("processors", [{0}, {0, 1}])
def test_busy_threads_keep_to_a_processor_each_where_all_are_theirs(
    monkeypatch: pytest.MonkeyPatch, processors: set[int]
) -> None:
    there, bound = os.sched_getaffinity(0), []
    if not processors <= there:
        pytest.skip("a single processor")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: processors)
    monkeypatch.setattr(os, "sched_setaffinity", lambda _, places: bound.append(places))

    def used(threads: int) -> list[set[int]]:
        bound.clear()
        barrier = threading.Barrier(threads, timeout=5)
        with busy_pool(threads, "busy") as busy:
            wait([busy.submit(barrier.wait) for _ in range(threads)])
        return sorted(bound, key=min)

    assert used(len(processors)) == ([{0}, {1}] if len(processors) == 2 else [])
    assert used(len(processors) + 1) == []  # more than processors: some would have to share
    monkeypatch.setattr(module, "_kept", 2)
    assert used(2) == []


def test_busy_threads_work_where_they_cannot_be_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("sched_getaffinity", "sched_setaffinity"):
        monkeypatch.delattr(os, name, raising=False)
    with busy_pool(2, "busy") as busy:
        assert busy.submit(int, "7").result() == 7


@pytest.mark.skipif(platform.system() != "Linux", reason="elsewhere a thread cannot give way on its own")
def test_busy_threads_give_way_alone() -> None:
    with busy_pool(1, "busy", nice=3) as busy:
        mine, theirs = os.getpriority(os.PRIO_PROCESS, 0), busy.submit(os.getpriority, os.PRIO_PROCESS, 0).result()
    assert theirs == min(mine + 3, 19)
    assert os.getpriority(os.PRIO_PROCESS, 0) == mine


@pytest.mark.skipif(not hasattr(os, "sched_setscheduler"), reason="Linux alone has such turns")
@pytest.mark.parametrize(("before", "after"), [("SCHED_OTHER", "SCHED_BATCH"), ("SCHED_IDLE", "SCHED_IDLE")])
def test_turns_are_long_for_all_threads_where_nobody_chose_otherwise(before: str, after: str) -> None:
    program = f"""
import os
from concurrent.futures import ThreadPoolExecutor
from fermedia.machine import use_batch_scheduling
os.sched_setscheduler(0, os.{before}, os.sched_param(0))
use_batch_scheduling()
with ThreadPoolExecutor(1) as pool:
    found = pool.submit(os.sched_getscheduler, 0).result()
assert found == os.sched_getscheduler(0) == os.{after}, found
"""
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries keep less, or give it back themselves")
def test_what_the_c_library_keeps_is_given_back() -> None:
    """32 KB each, too small for memory of their own. The last one lies above the others, which cannot shrink then."""

    def megabytes() -> float:
        return psutil.Process().memory_info().rss / 1e6

    blocks = [np.ones(4000) for _ in range(5000)]
    last = np.ones(4000)
    del blocks
    before = megabytes()
    trim_heap()
    assert before - megabytes() > 100
    assert last.sum() == 4000


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such heaps")
@pytest.mark.parametrize(
    ("call", "environment", "heaps"),
    [
        ("", {}, range(5, 99)),
        ("limit_malloc_arenas()", {}, range(1, 3)),
        ("limit_malloc_arenas()", {"MALLOC_ARENA_MAX": "4"}, range(4, 5)),
        ("limit_malloc_arenas()", {"GLIBC_TUNABLES": "glibc.malloc.arena_max=4"}, range(4, 5)),
    ],
)
def test_threads_share_heaps_where_nobody_chose_otherwise(
    call: str, environment: dict[str, str], heaps: range, tmp_path: Path
) -> None:
    """Ten threads that all hold memory; glibc itself says of how many heaps."""
    program = f"""
import ctypes, threading
from fermedia.machine import limit_malloc_arenas
{call}
libc = ctypes.CDLL(None)
libc.fopen.restype = libc.malloc.restype = ctypes.c_void_p
held = threading.Barrier(11)
def hold():
    libc.malloc(1000)
    held.wait(10)
    held.wait(10)
for _ in range(10):
    threading.Thread(target=hold).start()
held.wait(10)
file = ctypes.c_void_p(libc.fopen({str(tmp_path / "heaps.xml").encode()!r}, b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
held.wait(10)
"""
    clean = {k: v for k, v in os.environ.items() if k not in ("MALLOC_ARENA_MAX", "GLIBC_TUNABLES")}
    # glibc's own limit is eight for each processor.
    subprocess.run([sys.executable, "-c", program], env=clean | environment, check=True)
    assert (tmp_path / "heaps.xml").read_text().count("<heap ") in heaps
