"""Processors, memory and scheduling: what this process may use, and settings for it.

A setting that the operating system lacks, such as the affinity of threads, is skipped.
"""

from __future__ import annotations

import ctypes
import gc
import math
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from threading import get_native_id

from fermedia import cgroups

#: glibc's mallopt parameter for the number of heaps (arenas), and how many suffice: with them no run was slower.
_M_ARENA_MAX, _HEAPS = -8, 2

#: Linux's prctl option for the signal that is sent when the parent process ends.
_PR_SET_PDEATHSIG = 1

#: The number of processors that this process limits itself to; None for all. See ``pin_threads``.
_kept: int | None = None


#: The message where a thread or a process cannot be started.
NO_THREADS = "the system allows no further thread or process; allow more (ulimit -u, pids.max), or use fewer --workers"


def is_no_thread(error: Exception) -> bool:
    """Whether an error says that no thread could be started."""
    return isinstance(error, RuntimeError) and "start new thread" in str(error)


def cores() -> int:
    """How many processors this process may use."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    there = min(there, _quota() or there)
    return there if _kept is None else min(there, _kept)


@cache
def _quota() -> int | None:
    """How many processors the control groups allow, None if they set no limit; read once.

    Rounded up, so that no part of the quota is left unused.
    """
    quota = cgroups.processors()
    return None if quota is None else max(1, math.ceil(quota))


def free_memory() -> int:
    """Bytes that this process and its children may still allocate, by the machine's memory and the control groups.

    The file cache counts as free.
    """
    import psutil

    limits = [psutil.virtual_memory().available, cgroups.memory()]
    return max(0, min(limit for limit in limits if limit is not None))


def pin_threads(count: int) -> None:
    """Use at most ``count`` processors from now on, because other processes need the rest."""
    global _kept
    _kept = max(1, count)


def trim_heap() -> None:
    """Return free memory to the system: glibc keeps much of what closed decoders and ended threads used.

    Reference cycles, such as a generator and the error that ended it, are collected first.
    """
    gc.collect()
    _ask_libc("malloc_trim", 0)


def limit_malloc_arenas() -> None:
    """Limit glibc to two heaps (arenas) for all threads started later; by default it makes one for each of many.

    Free memory in one thread's heap is of no use to the others, and little of it can be returned while its neighbours
    are in use: decoders and encoders, each with threads of its own, took 17 MB more with every part of a video of
    1920x1080. For the command line's own processes only. A limit that the user has set is kept.
    """
    chosen = "MALLOC_ARENA_MAX" in os.environ or "glibc.malloc.arena_max" in os.environ.get("GLIBC_TUNABLES", "")
    if not chosen:
        _ask_libc("mallopt", _M_ARENA_MAX, _HEAPS)


def _ask_libc(function: str, *arguments: int) -> None:
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL(None)[function](*arguments)


def die_with_parent(parent: int) -> None:
    """Have this process killed when the one that started it ends, even while it is suspended (Linux).

    Args:
        parent: The parent's process id.
    """
    if sys.platform == "linux" and hasattr(signal, "SIGKILL"):
        _ask_libc("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before the call
            os._exit(1)


def use_batch_scheduling() -> None:
    """Set Linux's SCHED_BATCH for this thread and those it starts, so that they preempt each other less often.

    For processes where throughput counts and response time does not. A policy that the user has set is kept.
    """
    with suppress(AttributeError, OSError):  # another system, or not permitted
        if sys.platform == "linux" and os.sched_getscheduler(0) == os.SCHED_OTHER:
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def busy_pool(threads: int, name: str, nice: int = 0) -> ThreadPoolExecutor:
    """Make a thread pool for compute-bound work.

    With as many threads as processors, each thread, and those that libraries start from it, is pinned to a processor
    of its own: Linux by default often has two of them wait for one processor while another idles. Threads are not
    pinned where this process limits itself to fewer processors, nor where the system has no affinity.

    Args:
        threads: The number of threads.
        name: The prefix of their names.
        nice: By how much to raise their niceness, which lowers their priority within this process (Linux only).
    """
    processors = sorted(os.sched_getaffinity(0)) if _kept is None and hasattr(os, "sched_getaffinity") else []
    if not 1 < len(processors) == threads:
        processors = []

    def begin() -> None:
        with suppress(OSError):
            if nice and sys.platform == "linux":  # elsewhere it would apply to the whole process
                os.setpriority(os.PRIO_PROCESS, get_native_id(), os.getpriority(os.PRIO_PROCESS, 0) + nice)
            if processors and hasattr(os, "sched_setaffinity"):
                os.sched_setaffinity(0, {processors.pop()})

    return ThreadPoolExecutor(threads, name, initializer=begin)
