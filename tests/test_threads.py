"""Stages in threads: order, bounds, errors, and that nothing is left running."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import partial
from typing import Any

import pytest

from fermedia.threads import BackgroundWriter, SerialQueue, WorkerPool, in_order, prefetch


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
    assert list(prefetch(source.items(), depth)) == list(range(count))
    assert running() == 0


def test_ahead_works_in_a_thread_of_its_own_and_keeps_its_distance() -> None:
    source = Source(100)
    with closing(prefetch(source.items(), 3)) as items:
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
    items = prefetch(source.items(), 2)
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
                threading.Thread(target=self._run_late).start()
            raise KeyboardInterrupt

        def _run_late(self) -> None:
            late.wait()
            self.run()

    monkeypatch.setattr("fermedia.threads.Thread", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        next(prefetch(source.items(), 2))
    late.set()
    made = source.made
    assert running() == 0
    time.sleep(0.05)
    assert source.made == made
    assert source.closed == (moment == "after")


def test_an_error_comes_out_after_what_was_made_before_it() -> None:
    source = Source(10, fails_at=5)
    items = prefetch(source.items(), 2)
    assert [next(items) for _ in range(5)] == list(range(5))
    with pytest.raises(OSError, match="disk is gone"):
        next(items)
    assert source.closed
    assert running() == 0


def submitting(pool: ThreadPoolExecutor, work: Callable[[int], int]) -> Callable[[int], Future[int]]:
    """What gives a number to the pool's threads."""
    return lambda number: pool.submit(work, number)


def itself(number: int) -> int:
    return number


def after(seconds: float) -> Callable[[int, object], int]:
    """Work that takes so long and gives its number."""

    def work(number: int, before: object) -> int:
        time.sleep(seconds)
        return number

    return work


def test_in_order_is_parallel_and_keeps_the_order(pool: ThreadPoolExecutor) -> None:
    barrier = threading.Barrier(3, timeout=5)  # passed only by three at a time

    def work(number: int) -> int:
        barrier.wait()
        time.sleep(0.01 * (3 - number % 3))
        return number * number

    assert list(in_order(submitting(pool, work), range(12), lambda _: 1, 3)) == [n * n for n in range(12)]


def test_in_order_holds_no_more_than_the_limit(pool: ThreadPoolExecutor) -> None:
    source, weights = Source(40), [1, 5, 2, 9, 30, 1]
    for number in in_order(submitting(pool, itself), source.items(), lambda n: weights[n % 6], 10):
        begun = [weights[n % 6] for n in range(number + 1, source.made - 1)]  # the last one made may wait outside
        assert sum(begun) <= 10 or len(begun) == 1
    assert number == 39


def test_in_order_takes_what_is_heavier_than_the_limit(pool: ThreadPoolExecutor) -> None:
    assert list(in_order(submitting(pool, itself), range(4), lambda _: 100, 10)) == [0, 1, 2, 3]


def test_an_error_in_the_work_stops_the_rest(pool: ThreadPoolExecutor) -> None:
    source, done = Source(10**6), []

    def work(number: int) -> int:
        done.append(number)
        if number == 3:
            raise RuntimeError("frame 3")
        return number

    items = in_order(submitting(pool, work), source.items(), lambda _: 1, 4)
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
    with closing(in_order(submitting(pool, work), source.items(), lambda _: 1, 6)) as items:
        next(items)
    assert not running
    assert source.closed
    assert source.made < 12


def test_the_stages_end_together(pool: ThreadPoolExecutor) -> None:
    """The order in which a video is read, looked at and written, and the writer fails."""
    source = Source(10**6)

    def write() -> None:
        read = prefetch(source.items(), 3)
        with closing(read), closing(task_queues(pool, read, lambda n, before: n)) as looked:
            for number in looked:
                if number == 20:
                    raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        write()
    assert source.closed
    assert running() == 0


def in_pool(*workers: Any) -> Generator[Any]:
    """What a crew makes of its items."""
    with WorkerPool[Any, Any](*workers) as members:
        yield from members


def task_queues(pool: ThreadPoolExecutor, items: Iterable[int], work: Any, limit: float = 6, each: int = 3) -> Any:
    """The pool's three threads at numbers of which ``each`` follow each other, all of the same weight."""
    return in_pool(pool, 3, items, lambda n: n // each, work, lambda _: 1.0, limit)


@pytest.mark.parametrize("count", [0, 1, 3, 50])
def test_a_pool_gives_everything_in_order(pool: ThreadPoolExecutor, count: int) -> None:
    source = Source(count)
    assert list(task_queues(pool, source.items(), lambda n, before: n * n)) == [n * n for n in range(count)]
    assert source.closed


def test_a_task_queue_is_worked_on_in_order_and_others_beside_it(pool: ThreadPoolExecutor) -> None:
    active: set[int] = set()
    most, lock = 0, threading.Lock()

    def work(number: int, before: tuple[int, int] | None) -> tuple[int, int]:
        nonlocal most
        with lock:
            assert number // 5 not in active
            active.add(number // 5)
            most = max(most, len(active))
        time.sleep(0.004)
        with lock:
            active.remove(number // 5)
        return number, -1 if before is None else before[0]

    given = list(task_queues(pool, range(40), work, 20, each=5))
    assert given == [(n, n - 1 if n % 5 else -1) for n in range(40)]
    assert most == 3


def test_what_has_no_queue_is_worked_on_side_by_side(pool: ThreadPoolExecutor) -> None:
    barrier = threading.Barrier(3, timeout=5)  # passed only by three at a time

    def work(number: int, before: int | None) -> int:
        assert before is None
        barrier.wait()
        return number

    assert list(in_pool(pool, 3, range(12), lambda _: None, work, lambda _: 1.0, 6)) == list(range(12))


def test_only_the_workers_fetch_and_one_at_a_time(pool: ThreadPoolExecutor) -> None:
    source = Source(60)  # a generator that two threads enter raises ValueError
    assert list(task_queues(pool, source.items(), after(0.001))) == list(range(60))
    assert threading.get_ident() not in source.threads
    assert source.made == 60


def test_items_are_fetched_as_long_as_there_is_room_before_any_is_worked_on(pool: ThreadPoolExecutor) -> None:
    """Else the other threads wait for who fetches, where that takes long."""
    source, ahead_of_work = Source(40), []

    def work(number: int, before: int | None) -> int:
        ahead_of_work.append(source.made - number)
        return number

    assert list(in_pool(pool, 1, source.items(), lambda n: n // 5, work, lambda _: 1.0, 8)) == list(range(40))
    assert ahead_of_work[0] == max(ahead_of_work) == 8


def test_a_pool_holds_no_more_than_the_limit(pool: ThreadPoolExecutor) -> None:
    source, weights = Source(60), [1, 5, 2, 9, 30, 1]
    looked = in_pool(pool, 3, source.items(), lambda n: n // 4, lambda n, _: n, lambda n: weights[n % 6], 10)
    for number in looked:
        time.sleep(0.02 if number % 20 == 19 else 0)
        held = [weights[n % 6] for n in range(number + 1, source.made)]
        # One more is taken before it is known what it weighs.
        assert sum(held[:-1]) <= 10 or len(held) <= 2
    assert number == 59


def test_of_what_was_worked_on_nothing_is_held(pool: ThreadPoolExecutor) -> None:
    class Image:
        pass

    kept: list[weakref.ref[Image]] = []

    def images() -> Iterator[Image]:
        for _ in range(30):
            made = Image()
            kept.append(weakref.ref(made))
            yield made
            del made

    for _ in in_pool(pool, 3, images(), lambda _: None, lambda image, _: None, lambda _: 1.0, 6):
        assert sum(ref() is not None for ref in kept) <= 8
    assert [ref for ref in kept if ref() is not None] == []


def test_an_error_in_a_queue_stops_everything(pool: ThreadPoolExecutor) -> None:
    source, done = Source(10**6), []

    def work(number: int, before: int | None) -> int:
        done.append(number)
        if number == 4:
            raise RuntimeError("frame 4")
        return number

    items = task_queues(pool, source.items(), work)
    assert [next(items) for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(RuntimeError, match="frame 4"):
        next(items)
    assert source.closed
    assert source.made < 14
    left = len(done)
    time.sleep(0.05)
    assert len(done) == left


def test_an_error_in_what_is_fetched_comes_out_after_what_was_before_it(pool: ThreadPoolExecutor) -> None:
    source = Source(50, fails_at=7)
    items = task_queues(pool, source.items(), after(0.002))
    assert [next(items) for _ in range(7)] == list(range(7))
    with pytest.raises(OSError, match="disk is gone"):
        next(items)
    assert source.closed


def test_a_pool_that_is_given_up_waits_for_what_has_begun(pool: ThreadPoolExecutor) -> None:
    active: set[int] = set()

    def work(number: int, before: int | None) -> int:
        active.add(number)
        time.sleep(0.03)
        active.discard(number)
        return number

    source = Source(1000)
    with closing(task_queues(pool, source.items(), work)) as items:
        next(items)
    assert not active
    assert source.closed
    assert source.made < 12


def workers(
    pool: ThreadPoolExecutor,
    items: Iterable[int],
    *serial_queues: SerialQueue,
    work: Any = lambda n, before: n,
    threads: int = 3,
) -> WorkerPool[int, int]:
    """The pool's threads at numbers that each stand for themselves, and at these lanes."""
    return WorkerPool(pool, threads, items, lambda _: None, work, lambda _: 1.0, 6, serial_queues)


def test_what_is_asked_of_lanes_goes_before_a_crews_items(pool: ThreadPoolExecutor) -> None:
    done: list[Any] = []
    begun, gate = threading.Event(), threading.Event()

    def work(number: int, before: int | None) -> int:
        begun.set()
        gate.wait(5)
        done.append(number)
        return number

    first, second = SerialQueue(), SerialQueue()
    with workers(pool, range(20), first, second, work=work, threads=1) as members:
        assert begun.wait(5)
        for name in "abc":
            second.submit(partial(done.append, name.upper()))
            first.submit(partial(done.append, name))
        gate.set()
        assert list(members) == list(range(20))
    assert done == [0, *"abcABC", *range(1, 20)]


def test_the_tasks_of_a_serial_queue_are_done_by_a_pools_threads_one_at_a_time(pool: ThreadPoolExecutor) -> None:
    serial_queue, inside = SerialQueue(), threading.Lock()

    def task() -> int:
        assert inside.acquire(blocking=False)
        time.sleep(0.002)
        inside.release()
        return threading.get_ident()

    with workers(pool, range(100), serial_queue, work=after(0.001)) as members:
        asked = [serial_queue.submit(task) for _ in range(20)]
        assert list(members) == list(range(100))
        assert threading.get_ident() not in {future.result(5) for future in asked}


def test_two_serial_queues_go_on_beside_each_other(pool: ThreadPoolExecutor) -> None:
    one, other = SerialQueue(), SerialQueue()
    barrier = threading.Barrier(2, timeout=5)  # passed only by two at a time
    with workers(pool, (), one, other):
        asked = [serial_queue.submit(barrier.wait) for serial_queue in (one, other) * 3]
        assert sorted(future.result(5) for future in asked) == [0, 0, 0, 1, 1, 1]


def test_while_one_thread_is_at_a_serial_queue_the_others_go_on_with_the_items(pool: ThreadPoolExecutor) -> None:
    serial_queue, gate = SerialQueue(), threading.Event()
    with workers(pool, range(50), serial_queue) as members:
        asked = serial_queue.submit(lambda: gate.wait(5))
        assert list(members) == list(range(50))
        assert not asked.done()
        gate.set()
        assert asked.result(5)


def test_a_lane_is_served_when_the_items_are_at_an_end(pool: ThreadPoolExecutor) -> None:
    serial_queue = SerialQueue()
    with workers(pool, range(3), serial_queue) as members:
        assert list(members) == [0, 1, 2]
        assert serial_queue.submit(lambda: "still there").result(5) == "still there"
        assert list(members) == []


def test_a_tasks_error_comes_out_and_the_rest_goes_on(pool: ThreadPoolExecutor) -> None:
    def fail() -> None:
        raise RuntimeError("the network is gone")

    serial_queue = SerialQueue()
    with workers(pool, range(50), serial_queue) as members:
        asked, after = serial_queue.submit(fail), serial_queue.submit(lambda: "after it")
        with pytest.raises(RuntimeError, match="network is gone"):
            asked.result(5)
        assert after.result(5) == "after it"
        assert list(members) == list(range(50))


def test_a_pool_that_is_left_waits_for_the_task_it_has_begun_and_leaves_the_rest(pool: ThreadPoolExecutor) -> None:
    source, serial_queue, begun, gate = Source(10**6), SerialQueue(), threading.Event(), threading.Event()

    def long() -> int:
        begun.set()
        gate.wait(5)
        return threading.get_ident()

    with workers(pool, source.items(), serial_queue):
        first, second = serial_queue.submit(long), serial_queue.submit(threading.get_ident)
        assert begun.wait(5)
        threading.Timer(0.05, gate.set).start()
    assert first.result(0) != threading.get_ident()
    assert source.closed
    time.sleep(0.05)
    assert not second.done()
    assert serial_queue.submit(lambda: "at once").result(0) == "at once"
    assert second.result(0) == threading.get_ident()


def test_of_an_errand_nothing_is_held(pool: ThreadPoolExecutor) -> None:
    class Image:
        pass

    serial_queue = SerialQueue()
    with workers(pool, range(3), serial_queue):
        made = Image()
        kept = weakref.ref(made)
        asked = serial_queue.submit(partial(lambda image: id(image), made))
        del made
        assert asked.result(5)
        settle(lambda: kept() is None)
        assert kept() is None


@pytest.mark.parametrize("begun", [0, 1, 2])
def test_a_crew_that_is_interrupted_as_it_begins_leaves_nothing_running(pool: ThreadPoolExecutor, begun: int) -> None:
    """Ctrl-C may come between the threads that are set to work."""
    source, left = Source(10**9), [begun]

    class Interrupted:
        def submit(self, *call: Any) -> Any:
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            return pool.submit(*call)

    with pytest.raises(KeyboardInterrupt), workers(Interrupted(), source.items()):  # type: ignore[arg-type]
        pytest.fail("it has begun")
    made = source.made
    time.sleep(0.05)
    assert source.made == made
    assert pool.submit(lambda: "free").result(5) == "free"


def test_what_is_behind_is_done_in_order_and_waited_for() -> None:
    done: list[int] = []
    behind: BackgroundWriter[int] = BackgroundWriter(done.append, 2)
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

    behind: BackgroundWriter[int] = BackgroundWriter(fail_at_three, 2)
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

    behind: BackgroundWriter[int] = BackgroundWriter(slow, 4)
    for number in range(4):
        behind.give(number)
    settle(lambda: begun)
    threading.Timer(0.05, go_on.set).start()
    behind.stop()
    assert begun == [0]
    assert go_on.is_set()


@pytest.mark.parametrize("left_at", [0, 3, 20])
def test_what_is_behind_in_a_lane_is_done_by_the_crew_and_when_that_is_gone_by_who_gives(
    pool: ThreadPoolExecutor, left_at: int
) -> None:
    done: list[tuple[int, bool]] = []
    main, serial_queue = threading.get_ident(), SerialQueue()

    def take(number: int) -> None:
        time.sleep(0.001)
        done.append((number, threading.get_ident() == main))

    behind: BackgroundWriter[int] = BackgroundWriter(take, 4, serial_queue)
    with workers(pool, range(left_at), serial_queue) as members:
        for number in members:
            behind.give(number)
            assert number - len(done) <= 4
    by_crew = len(done)
    for number in range(left_at, left_at + 10):
        behind.give(number)
    behind.finish()
    behind.stop()
    assert [number for number, _ in done] == list(range(left_at + 10))
    assert [here for _, here in done] == [False] * by_crew + [True] * (left_at + 10 - by_crew)
    assert by_crew >= left_at - 4


def test_what_fails_in_a_lane_is_raised_to_who_gives(pool: ThreadPoolExecutor) -> None:
    def fail_at_three(number: int) -> None:
        if number == 3:
            raise RuntimeError("three")

    serial_queue, given = SerialQueue(), []
    behind: BackgroundWriter[int] = BackgroundWriter(fail_at_three, 2, serial_queue)

    def write() -> None:
        with workers(pool, range(50), serial_queue) as members:
            for number in members:
                given.append(number)
                behind.give(number)

    with pytest.raises(RuntimeError, match="three"):
        write()
    behind.stop()
    assert 3 <= given[-1] < 7


def test_who_gives_up_leaves_out_what_waits_in_a_lane_and_is_held_by_nothing(pool: ThreadPoolExecutor) -> None:
    class Encoder:
        def __init__(self, serial_queue: SerialQueue) -> None:
            self.begun: list[int] = []
            self.behind: BackgroundWriter[int] = BackgroundWriter(self.take, 8, serial_queue)

        def take(self, number: int) -> None:
            self.begun.append(number)
            begun.set()
            go_on.wait(5)

    begun, go_on, serial_queue = threading.Event(), threading.Event(), SerialQueue()
    encoder = Encoder(serial_queue)
    with workers(pool, (), serial_queue):
        for number in range(5):
            encoder.behind.give(number)
        assert begun.wait(5)
        threading.Timer(0.05, go_on.set).start()
        encoder.behind.stop()
        assert go_on.is_set()
        settle(lambda: not serial_queue.has_work())
        assert encoder.begun == [0]
        kept = weakref.ref(encoder)
        del encoder
        settle(lambda: kept() is None)
        assert kept() is None
