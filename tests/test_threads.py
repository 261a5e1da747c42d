"""Stages in threads: order, bounds, errors, and that nothing is left running."""

from __future__ import annotations

import os
import platform
import threading
import time
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from fermedia.threads import Behind, ahead, cores, give_back_memory, in_order, then


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(3) as made:
        yield made


def settle(condition: object) -> None:
    """Wait for something that another thread is about to do."""
    until = time.monotonic() + 5
    while not condition() and time.monotonic() < until:  # type: ignore[operator]
        time.sleep(0.002)


class Source:
    """Numbers that remember who made them, how many, and whether the generator was closed."""

    def __init__(self, count: int, fails_at: int | None = None) -> None:
        self.made, self.closed = 0, False
        self.threads: set[int] = set()
        self.count, self.fails_at = count, fails_at

    def items(self) -> Generator[int]:
        try:
            for number in range(self.count):
                self.threads.add(threading.get_ident())
                if number == self.fails_at:
                    raise OSError("the disk is gone")
                self.made += 1
                yield number
        finally:
            self.closed = True
            self.threads.add(threading.get_ident())


def running() -> int:
    return sum(thread.name == "ahead" for thread in threading.enumerate())


@pytest.mark.parametrize("count", [0, 1, 3, 50])
@pytest.mark.parametrize("depth", [1, 4])
def test_ahead_gives_everything_in_order(count: int, depth: int) -> None:
    source = Source(count)
    assert list(ahead(source.items(), depth)) == list(range(count))
    assert running() == 0


def test_ahead_works_in_a_thread_of_its_own_and_keeps_its_distance() -> None:
    source = Source(100)
    with closing(ahead(source.items(), 3)) as items:
        assert next(items) == 0
        settle(lambda: source.made >= 4)
        time.sleep(0.05)
        assert source.made == 4  # the one in hand, and three
        assert [next(items) for _ in range(10)] == list(range(1, 11))
        settle(lambda: source.made >= 14)
        time.sleep(0.05)
        assert source.made == 14
    assert source.threads.isdisjoint({threading.get_ident()})


def test_ahead_that_is_given_up_stops_and_closes_its_source() -> None:
    source = Source(10**9)
    items = ahead(source.items(), 2)
    next(items)
    items.close()
    assert source.closed
    assert running() == 0


@pytest.mark.parametrize("moment", ["before", "after"])
def test_ahead_that_is_interrupted_as_it_starts_leaves_nothing_running(
    moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C may come while the new thread has not begun yet, or when it already works."""
    source, late = Source(10**9), threading.Event()

    class Interrupted(threading.Thread):
        def start(self) -> None:
            if moment == "after":
                super().start()
                settle(lambda: source.made)
            else:
                threading.Thread(target=lambda: (late.wait(), self.run())).start()
            raise KeyboardInterrupt

    monkeypatch.setattr("fermedia.threads.Thread", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        next(ahead(source.items(), 2))
    late.set()
    made = source.made
    assert running() == 0
    time.sleep(0.05)
    assert source.made == made
    assert source.closed == (moment == "after")


def test_an_error_comes_out_after_what_was_made_before_it() -> None:
    source = Source(10, fails_at=5)
    items = ahead(source.items(), 2)
    assert [next(items) for _ in range(5)] == list(range(5))
    with pytest.raises(OSError, match="disk is gone"):
        next(items)
    assert source.closed
    assert running() == 0


def test_in_order_is_parallel_and_keeps_the_order(pool: ThreadPoolExecutor) -> None:
    barrier = threading.Barrier(3, timeout=5)  # passed only by three at a time

    def work(number: int) -> int:
        barrier.wait()
        time.sleep(0.01 * (3 - number % 3))
        return number * number

    assert list(in_order(partial(pool.submit, work), range(12), lambda _: 1, 3)) == [n * n for n in range(12)]


def test_in_order_holds_no_more_than_the_limit(pool: ThreadPoolExecutor) -> None:
    source, weights = Source(40), [1, 5, 2, 9, 30, 1]
    for number in in_order(partial(pool.submit, lambda n: n), source.items(), lambda n: weights[n % 6], 10):
        begun = [weights[n % 6] for n in range(number + 1, source.made - 1)]  # the last one made may wait outside
        assert sum(begun) <= 10 or len(begun) == 1
    assert number == 39


def test_in_order_takes_what_is_heavier_than_the_limit(pool: ThreadPoolExecutor) -> None:
    assert list(in_order(partial(pool.submit, lambda n: n), range(4), lambda _: 100, 10)) == [0, 1, 2, 3]


def test_an_error_in_the_work_stops_the_rest(pool: ThreadPoolExecutor) -> None:
    source, done = Source(10**6), []

    def work(number: int) -> int:
        done.append(number)
        if number == 3:
            raise RuntimeError("frame 3")
        return number

    items = in_order(partial(pool.submit, work), source.items(), lambda _: 1, 4)
    assert [next(items) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(RuntimeError, match="frame 3"):
        next(items)
    assert source.closed
    assert len(done) <= source.made < 12
    left = len(done)
    time.sleep(0.05)
    assert len(done) == left


def test_in_order_that_is_given_up_waits_for_what_has_begun(pool: ThreadPoolExecutor) -> None:
    running: set[int] = set()

    def work(number: int) -> int:
        running.add(number)
        time.sleep(0.03)
        running.discard(number)
        return number

    source = Source(1000)
    with closing(in_order(partial(pool.submit, work), source.items(), lambda _: 1, 6)) as items:
        next(items)
    assert not running
    assert source.closed
    assert source.made < 12


def test_the_stages_end_together(pool: ThreadPoolExecutor) -> None:
    """The order in which a film is read, looked at and written, and the writer fails."""
    source = Source(10**6)

    def write() -> None:
        read = ahead(source.items(), 3)
        with closing(read), closing(in_order(partial(pool.submit, lambda n: n), read, lambda _: 1, 3)) as looked:
            for number in looked:
                if number == 20:
                    raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        write()
    assert source.closed
    assert running() == 0


def test_cores_are_those_that_may_be_used() -> None:
    assert cores() >= 1


def test_then_goes_on_with_the_result(pool: ThreadPoolExecutor) -> None:
    last: Future[int] = pool.submit(int, "1")
    for _ in range(50):
        last = then(pool, last, lambda n: n + 1)
    assert last.result() == 51


def test_then_holds_no_thread_while_it_waits() -> None:
    with ThreadPoolExecutor(1) as pool:
        first: Future[int] = Future()
        after = then(pool, first, lambda n: n + 1)
        assert pool.submit(int, "7").result() == 7
        first.set_result(1)
        assert after.result() == 2


def test_then_fails_as_the_one_before(pool: ThreadPoolExecutor) -> None:
    broken = pool.submit(int, "one")
    after = then(pool, then(pool, broken, abs), abs)
    with pytest.raises(ValueError, match="one"):
        after.result()
    fails = then(pool, pool.submit(int, "0"), lambda n: 1 / n)
    with pytest.raises(ZeroDivisionError):
        fails.result()


def test_then_is_cancelled_with_the_one_before(pool: ThreadPoolExecutor) -> None:
    first: Future[int] = Future()
    after = [then(pool, first, abs)]
    after.append(then(pool, after[-1], abs))
    assert first.cancel()
    assert wait(after, timeout=10).not_done == set()
    assert all(future.cancelled() for future in after)


def test_then_does_not_hang_on_a_pool_that_is_closed() -> None:
    pool = ThreadPoolExecutor(1)
    first: Future[int] = Future()
    after = then(pool, first, abs)
    pool.shutdown()
    first.set_result(1)
    with pytest.raises(RuntimeError):
        after.result(timeout=10)


def test_what_is_behind_is_done_in_order_and_waited_for() -> None:
    done: list[int] = []
    behind: Behind[int] = Behind(done.append, 2)
    for number in range(50):
        behind.give(number)
        assert number - len(done) <= 2
    behind.finish()
    assert done == list(range(50))
    behind.stop()


def test_what_fails_behind_is_raised_and_the_rest_left_out() -> None:
    begun: list[int] = []
    failed = threading.Event()

    def fail_at_three(number: int) -> None:
        begun.append(number)
        if number == 3:
            failed.set()
            raise RuntimeError("three")

    behind: Behind[int] = Behind(fail_at_three, 2)
    for number in range(4):
        behind.give(number)
    assert failed.wait(5)
    with pytest.raises(RuntimeError, match="three"):
        behind.finish()
    behind.stop()
    assert begun == [0, 1, 2, 3]


def test_who_gives_up_waits_only_for_what_was_begun() -> None:
    begun: list[int] = []
    go_on = threading.Event()

    def slow(number: int) -> None:
        begun.append(number)
        go_on.wait(5)

    behind: Behind[int] = Behind(slow, 4)
    for number in range(4):
        behind.give(number)
    settle(lambda: begun)
    threading.Timer(0.05, go_on.set).start()
    behind.stop()
    assert begun == [0]
    assert go_on.is_set()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries keep less, or give it back themselves")
def test_what_the_c_library_keeps_is_given_back() -> None:
    """32 KB each, too small for memory of their own. The last one lies above the others, which cannot shrink then."""

    def megabytes() -> float:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

    blocks = [np.ones(4000) for _ in range(5000)]
    last = np.ones(4000)
    del blocks
    before = megabytes()
    give_back_memory()
    assert before - megabytes() > 100
    assert last.sum() == 4000
