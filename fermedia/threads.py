"""Concurrent pipeline stages: threads with bounded queues between them, errors raised in the consumer.

Decoding, the networks and encoding release the interpreter lock, so threads are enough. Closing a generator, leaving a
``WorkerPool``, or an error in the consumer stops the threads and waits for them, so that no work continues unnoticed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Hashable, Iterable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue
from threading import Condition, Lock, Semaphore, Thread
from typing import Any, Generic, Self, TypeVar

T = TypeVar("T")
R = TypeVar("R")
E = TypeVar("E")


def prefetch(items: Iterable[T], depth: int) -> Generator[T]:
    """Yield the same items, produced by a separate thread that runs at most ``depth`` items ahead.

    An error of ``items`` is raised here, after the items before it. If ``items`` is a generator, its thread closes it.
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
        except BaseException as raised:  # of any kind: it is raised in the consumer
            error = raised
        finally:
            if isinstance(items, Generator):
                items.close()
            made.put((None, error, True))

    thread = Thread(target=make, name="prefetch", daemon=True)
    try:
        thread.start()  # inside the try: Ctrl-C may arrive while it waits for the thread to start
        while True:
            item, error, ended = made.get()
            if error is not None:
                raise error
            if ended:
                return
            yield item  # type: ignore[misc]  # only the end marker is None
            room.release()
    finally:
        stopped = True
        room.release()
        if thread.is_alive():  # otherwise it has ended, or is about to start and will fetch nothing
            thread.join()


class SerialQueue:
    """Run tasks in order, one at a time: on the threads of the ``WorkerPool`` that serves the queue, or immediately.

    Only the thread that uses the pool may submit tasks.
    """

    def __init__(self) -> None:
        self._waiting: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._wake: Callable[[], None] | None = None

    def submit(self, task: Callable[[], E]) -> Future[E]:
        """Queue a task, or run it immediately if no pool serves the queue."""
        future: Future[E] = Future()
        self._waiting.append((future, task))
        if self._wake:
            self._wake()
        self.finish()
        return future

    def serve(self, wake: Callable[[], None] | None) -> None:
        """Leave running the tasks to a pool, whose ``wake`` is called for each new task; None ends this.

        Tasks left over then wait for the next ``submit`` or ``finish``.
        """
        self._wake = wake

    def finish(self) -> None:
        """Run the remaining tasks in this thread, unless a pool serves the queue."""
        if self._wake is None:
            self.run()

    def has_work(self) -> bool:
        """Whether tasks are waiting."""
        return bool(self._waiting)

    def run(self, stopped: Callable[[], bool] = lambda: False) -> None:
        """Run the waiting tasks here until ``stopped()`` is true between two; never in two threads at once."""
        while self._waiting and not stopped():
            future, task = self._waiting.popleft()
            if future.set_running_or_notify_cancel():
                try:
                    result = task()
                except BaseException as error:  # of any kind: the future passes it on
                    future.set_exception(error)
                else:
                    future.set_result(result)
                    del result
            del future, task  # they may hold large objects


class BackgroundWriter(Generic[T]):
    """Call a function with each item, in order, in a background thread.

    An error of the function is raised by one of the next calls of ``give``, or by ``finish``.

    Args:
        function: Called with one item at a time.
        depth: Items that may be unfinished before ``give`` blocks.
        serial_queue: Runs the calls instead of a thread, if given.
    """

    def __init__(self, function: Callable[[T], None], depth: int, serial_queue: SerialQueue | None = None) -> None:
        self._function, self._depth, self._queue = function, depth, serial_queue
        self._pool = ThreadPoolExecutor(1, "background")  # starts its thread with the first item
        self._waiting: deque[Future[None]] = deque()

    def give(self, item: T) -> None:
        """Hand over an item; blocks while ``depth`` others are unfinished."""
        while len(self._waiting) >= self._depth:
            self._wait_for_one()
        task = partial(self._function, item)
        self._waiting.append(self._pool.submit(task) if self._queue is None else self._queue.submit(task))

    def finish(self) -> None:
        """Wait until all items are finished."""
        while self._waiting:
            self._wait_for_one()

    def stop(self) -> None:
        """Cancel the items that have not started, and wait for those that have; ``give`` may not be called again."""
        wait([future for future in self._waiting if not future.cancel()])
        self._pool.shutdown()
        # Both often refer back to the owner of this object: the cycle would keep an encoder and its frames alive.
        del self._function, self._queue

    def _wait_for_one(self) -> None:
        if self._queue is not None:
            self._queue.finish()
        self._waiting.popleft().result()


def in_order(
    submit: Callable[[T], Future[R]],
    items: Iterable[T],
    weigh: Callable[[T], float],
    limit: float,
) -> Generator[R]:
    """Process items concurrently and yield the results in the items' order.

    Args:
        submit: Starts the work on an item in a pool.
        items: The items; a generator is closed at the end.
        weigh: The cost of holding an item.
        limit: The total weight of items started but not yet yielded; it may be exceeded by about one item, and one is
            always started.
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
            # The pool owns the item now: a reference here would keep one more image alive than the limit allows.
            del item
        while waiting:
            yield waiting.popleft()[0].result()
    finally:
        for future, _ in waiting:
            future.cancel()
        wait([future for future, _ in waiting])
        if isinstance(items, Generator):
            items.close()


@dataclass(eq=False, slots=True)
class _Entry(Generic[T, R]):
    """An item, then its result or error."""

    item: T | None
    weight: float
    done: bool = False
    result: R | None = None
    error: BaseException | None = None


@dataclass(eq=False, slots=True)
class _TaskQueue(Generic[T, R]):
    """Entries that are processed in order by one thread at a time, and the latest result."""

    waiting: deque[_Entry[T, R]] = field(default_factory=deque)
    taken: bool = False
    before: R | None = None


class WorkerPool(Generic[T, R]):
    """Process items on the threads of a pool, and iterate over the results in the items' order; a context manager.

    Consecutive items with the same task queue are processed one after another, each with the result of the one before
    (None for the first). Different queues, and items whose queue is None, are processed concurrently. An error of
    ``items`` is raised here, after the results of the items before it. A generator is closed at the end.

    The same threads also run the ``serial_queues`` and fetch the items, because with more threads than processors,
    those that others depend on would often wait for a processor. Both take precedence over processing: when there are
    no more items to process, all threads but one wait for the one that fetches. The thread that takes a serial queue
    keeps it while it has tasks, because their data is in that processor's cache.

    Args:
        pool: Runs the threads.
        threads: How many of its threads to use.
        items: The items.
        task_queue: The name of an item's task queue, or None.
        work: Makes the result from an item and the result before it in its queue.
        weigh: The cost of holding an item.
        limit: The total weight of items fetched but not yet returned; it may be exceeded by about one item, and one is
            always fetched.
        serial_queues: Queues whose tasks these threads run.
    """

    def __init__(
        self,
        pool: Executor,
        threads: int,
        items: Iterable[T],
        task_queue: Callable[[T], Hashable],
        work: Callable[[T, R | None], R],
        weigh: Callable[[T], float],
        limit: float,
        serial_queues: Sequence[SerialQueue] = (),
    ) -> None:
        self._pool, self._threads, self._source = pool, threads, items
        self._items, self._name_of, self._work, self._weigh, self._limit = iter(items), task_queue, work, weigh, limit
        self._serving: list[Future[None]] = []
        self._lock = Lock()
        self._more, self._first_done = Condition(self._lock), Condition(self._lock)
        #: Entries not returned yet, in order, their weight and that of the latest; queues with work but no thread.
        self._entries: deque[_Entry[T, R]] = deque()
        self._held = self._lately = 0.0
        self._ready: deque[_TaskQueue[T, R]] = deque()
        self._last: tuple[Hashable, _TaskQueue[T, R]] = None, _TaskQueue()
        self._serial_queues, self._taken = serial_queues, set[SerialQueue]()
        self._fetching = self._ended = self._stopped = False
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        try:
            for serial_queue in self._serial_queues:
                serial_queue.serve(self._wake)
            for _ in range(self._threads):
                self._serving.append(self._pool.submit(self._serve))
        except BaseException:  # Ctrl-C
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._stopped = True
            self._more.notify_all()
        try:
            wait(self._serving)
        finally:
            for serial_queue in self._serial_queues:
                serial_queue.serve(None)
        if isinstance(self._source, Generator):
            self._source.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> R:
        with self._lock:
            while not (self._entries and self._entries[0].done):
                if self._ended and not self._entries:
                    raise self._error or StopIteration
                self._first_done.wait()
            entry = self._entries.popleft()
            self._held -= entry.weight
            self._more.notify()
        if entry.error is not None:
            raise entry.error
        return entry.result  # type: ignore[return-value]  # a finished entry without an error has a result

    def _wake(self) -> None:
        with self._lock:
            self._more.notify()

    def _serve(self) -> None:
        """Process tasks until the pool is left; runs in each thread."""
        while (next_ := self._next()) is not None:
            next_()
            del next_  # it holds an item

    def _next(self) -> Callable[[], None] | None:
        """Wait for the next task of this thread; None once the pool is left."""
        with self._lock:
            while not self._stopped:
                what = self._serial_task_or_fetch()
                if what is not None:
                    if self._ready:
                        self._more.notify()  # another thread takes over what this one would have processed
                    return what
                if self._ready:
                    task_queue = self._ready.popleft()
                    return partial(self._do, task_queue, task_queue.waiting.popleft())
                self._more.wait()
        return None

    def _serial_task_or_fetch(self) -> Callable[[], None] | None:
        """The next serial queue to run or the next fetch, which precede the processing of items; None if neither."""
        for serial_queue in self._serial_queues:
            if serial_queue.has_work() and serial_queue not in self._taken:
                self._taken.add(serial_queue)
                return partial(self._take, serial_queue)
        if self._may_fetch():
            self._fetching = True
            return self._fetch
        return None

    def _take(self, serial_queue: SerialQueue) -> None:
        serial_queue.run(lambda: self._stopped)
        with self._lock:
            self._taken.remove(serial_queue)

    def _may_fetch(self) -> bool:
        room = not self._entries or self._held + self._lately <= self._limit
        return room and not (self._fetching or self._ended)

    def _fetch(self) -> None:
        """Fetch one item; only one thread at a time does."""
        error: BaseException | None = None
        try:
            item = next(self._items)
            name, weight = self._name_of(item), self._weigh(item)
        except BaseException as raised:  # of any kind: it is raised in the consumer
            error = raised
        with self._lock:
            self._fetching = False
            if error is not None:
                self._ended = True
                self._error = None if isinstance(error, StopIteration) else error
                self._more.notify_all()
                self._first_done.notify()
                return
            before, task_queue = self._last
            if name is None or name != before:
                task_queue = _TaskQueue()
                self._last = name, task_queue
            entry = _Entry[T, R](item, weight)
            self._entries.append(entry)
            self._held, self._lately = self._held + weight, weight
            task_queue.waiting.append(entry)
            if not task_queue.taken:
                task_queue.taken = True
                self._ready.append(task_queue)
            self._more.notify()

    def _do(self, task_queue: _TaskQueue[T, R], entry: _Entry[T, R]) -> None:
        item, entry.item = entry.item, None  # the entry must not keep it after it is processed
        try:
            entry.result = task_queue.before = self._work(item, task_queue.before)  # type: ignore[arg-type]
        except BaseException as error:
            entry.error = error
        del item
        with self._lock:
            entry.done = True
            if self._entries and self._entries[0] is entry:
                self._first_done.notify()
            task_queue.taken = bool(task_queue.waiting)
            if task_queue.taken:
                self._ready.appendleft(task_queue)  # this thread continues with it, unless other work takes precedence
