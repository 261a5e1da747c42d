"""Work that overlaps: one stage a thread, a bounded number of things between them, errors carried out.

Decoding, the networks and encoding release the interpreter lock, so threads are enough. Both functions are
generators; closing them (or the error of whoever uses them) stops what they began and waits for it, so that nothing
goes on behind the back of a caller who has given up.
"""

from __future__ import annotations

import ctypes
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from queue import SimpleQueue
from threading import Semaphore, Thread
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


#: How many processors this process keeps to; None for all there are. See ``keep_to``.
_kept: int | None = None


def cores() -> int:
    """How many processors this process may use."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return there if _kept is None else min(there, _kept)


def keep_to(count: int) -> None:
    """Use no more processors than so many from now on, because others work beside this process."""
    global _kept
    _kept = max(1, count)


def give_back_memory() -> None:
    """Hand what is free to the system. glibc keeps much of what decoders and threads that are gone have used."""
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def ahead(items: Iterable[T], depth: int) -> Generator[T]:
    """The same items, made by a thread of its own that is at most ``depth`` of them ahead.

    What ``items`` raises is raised here, after the items before it. A generator is closed in its thread.
    """
    made: SimpleQueue[tuple[T | None, BaseException | None, bool]] = SimpleQueue()
    room = Semaphore(depth)
    stopped = False

    def make() -> None:
        error: BaseException | None = None
        try:
            for item in () if stopped else items:
                made.put((item, None, False))
                room.acquire()
                if stopped:
                    break
        except BaseException as raised:  # whatever it is, the caller must hear of it
            error = raised
        finally:
            if isinstance(items, Generator):
                items.close()
            made.put((None, error, True))

    thread = Thread(target=make, name="ahead", daemon=True)
    try:
        thread.start()  # within: Ctrl-C may come while it waits for the thread to begin
        while True:
            item, error, ended = made.get()
            if error is not None:
                raise error
            if ended:
                return
            yield item  # type: ignore[misc]  # only the last one is None
            room.release()
    finally:
        stopped = True
        room.release()
        if thread.is_alive():  # else it has ended, or is about to begin and will take nothing
            thread.join()


class Behind(Generic[T]):
    """Gives items to a function, in order, in a thread of its own that is at most ``depth`` of them behind.

    What the function raises is raised by one of the next ``give``, or by ``finish``.
    """

    def __init__(self, function: Callable[[T], None], depth: int) -> None:
        self._function, self._depth = function, depth
        self._pool = ThreadPoolExecutor(1, "behind")
        self._waiting: deque[Future[None]] = deque()

    def give(self, item: T) -> None:
        """Hand over an item; waits while ``depth`` others are not done."""
        while len(self._waiting) >= self._depth:
            self._waiting.popleft().result()
        self._waiting.append(self._pool.submit(self._function, item))

    def finish(self) -> None:
        """Wait until all is done."""
        while self._waiting:
            self._waiting.popleft().result()

    def stop(self) -> None:
        """Leave out what has not been begun, and wait for what has."""
        self._pool.shutdown(cancel_futures=True)


def in_order(
    submit: Callable[[T], Future[R]],
    items: Iterable[T],
    weigh: Callable[[T], float],
    limit: float,
) -> Generator[R]:
    """What becomes of each item, which ``submit`` gives to a pool's threads, in the items' order.

    At most about as many are begun and not yet given as weigh ``limit`` together, and always one.
    """
    waiting: deque[tuple[Future[R], float]] = deque()
    held = 0.0
    try:
        for item in items:
            weight = weigh(item)
            while waiting and held + weight > limit:
                future, lighter = waiting.popleft()
                held -= lighter
                yield future.result()
            waiting.append((submit(item), weight))
            held += weight
            # The item is the pool's now: holding it here would keep one more picture than the limit allows.
            del item
        while waiting:
            yield waiting.popleft()[0].result()
    finally:
        for future, _ in waiting:
            future.cancel()
        wait([future for future, _ in waiting])
        if isinstance(items, Generator):
            items.close()


def then(pool: Executor, before: Future[R], function: Callable[[R], T]) -> Future[T]:
    """``function`` of another future's result, done by the pool once that is there; no thread waits meanwhile.

    Where the other failed or was cancelled, so does and is this one.
    """
    after: Future[T] = Future()

    def begin(done: Future[R]) -> None:
        if done.cancelled():
            after.cancel()
        if not after.set_running_or_notify_cancel():
            return
        try:
            pool.submit(function, done.result()).add_done_callback(end)
        except BaseException as error:  # its own, or that the pool is closed
            after.set_exception(error)

    def end(done: Future[T]) -> None:
        try:
            after.set_result(done.result())
        except BaseException as error:  # CancelledError too, when the pool was closed
            after.set_exception(error)

    before.add_done_callback(begin)
    return after
