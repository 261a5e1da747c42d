"""What a process asks of the machine it runs on: processors, memory, and turns at them.

What a system does not have, such as threads bound to processors, is left undone there.
"""

from __future__ import annotations

import ctypes
import gc
import math
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from threading import get_native_id

from fermedia import cgroups

#: glibc's name for how many heaps there may be, and how many suffice: with them no run was slower.
_M_ARENA_MAX, _HEAPS = -8, 2

#: How many processors this process keeps to; None for all there are. See ``keep_to``.
_kept: int | None = None


def cores() -> int:
    """How many processors this process may use."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    there = min(there, _quota() or there)
    return there if _kept is None else min(there, _kept)


@cache
def _quota() -> int | None:
    """How many processors the control groups leave this process, None if they say nothing: asked once.

    A part of one counts as one, so that nothing is left unused.
    """
    quota = cgroups.processors()
    return None if quota is None else max(1, math.ceil(quota))


def free_memory() -> int:
    """Bytes that this process and its children may still take: of the machine's, and of its control groups'.

    What files that were read are kept in counts as free.
    """
    import psutil

    limits = [psutil.virtual_memory().available, cgroups.memory()]
    return max(0, min(limit for limit in limits if limit is not None))


def keep_to(count: int) -> None:
    """Use no more processors than so many from now on, because others work beside this process."""
    global _kept
    _kept = max(1, count)


def give_back_memory() -> None:
    """Hand what is free to the system. glibc keeps much of what decoders and threads that are gone have used.

    What hangs together in circles of references, such as a generator and the error that ended it, is freed before.
    """
    gc.collect()
    _ask_glibc("malloc_trim", 0)


def share_heaps() -> None:
    """Have all threads to come take their memory from two heaps, where glibc makes one for each of many threads.

    What is free in one thread's heap no other can use, and little of it can be given back while anything near is in
    use: decoders and encoders, each with threads of its own, filled 17 MB more with every part of a film of 1920x1080.
    For a process that is ours alone; it stays as it is where somebody has chosen otherwise.
    """
    chosen = "MALLOC_ARENA_MAX" in os.environ or "glibc.malloc.arena_max" in os.environ.get("GLIBC_TUNABLES", "")
    if not chosen:
        _ask_glibc("mallopt", _M_ARENA_MAX, _HEAPS)


def _ask_glibc(function: str, *arguments: int) -> None:
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL(None)[function](*arguments)


def take_long_turns() -> None:
    """Have this thread, and all that are begun from it, interrupted less often by each other (Linux's SCHED_BATCH).

    For a process whose answers nobody waits for one by one. It stays as it is where somebody has chosen otherwise.
    """
    with suppress(AttributeError, OSError):  # another system, or it forbids that
        if sys.platform == "linux" and os.sched_getscheduler(0) == os.SCHED_OTHER:
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def busy_pool(threads: int, name: str, nice: int = 0) -> ThreadPoolExecutor:
    """A pool for ``threads`` that keep the processors at work, and may be ``nice`` to others of this process.

    Where there are as many as processors, each thread keeps to one of its own, and so do those that libraries begin
    from it: Linux, left to itself, often lets two of them wait for one processor while another idles. It is not done
    where this process is to leave processors to others, nor where the system has no such binding.
    """
    places = sorted(os.sched_getaffinity(0)) if _kept is None and hasattr(os, "sched_getaffinity") else []
    if not 1 < len(places) == threads:
        places = []

    def begin() -> None:
        with suppress(OSError):
            if nice and sys.platform == "linux":  # elsewhere it would be the whole process
                os.setpriority(os.PRIO_PROCESS, get_native_id(), os.getpriority(os.PRIO_PROCESS, 0) + nice)
            if places and hasattr(os, "sched_setaffinity"):
                os.sched_setaffinity(0, {places.pop()})

    return ThreadPoolExecutor(threads, name, initializer=begin)
