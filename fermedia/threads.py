"""Work that overlaps: one stage a thread, a bounded number of things between them, errors carried out.

Decoding, the networks and encoding release the interpreter lock, so threads are enough. The functions are
generators; closing them, or leaving a ``Crew`` (or the error of whoever uses them), stops what they began and waits for
it, so that nothing goes on behind the back of a caller who has given up.
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


class Lane:
    """Errands that are done in turn, one at a time: by the threads of a ``Crew`` that serves the lane, else at once.

    It is used by the thread that uses the crew.
    """

    def __init__(self) -> None:
        self._waiting: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._wake: Callable[[], None] | None = None

    def ask(self, errand: Callable[[], E]) -> Future[E]:
        """Have something done."""
        future: Future[E] = Future()
        self._waiting.append((future, errand))
        if self._wake:
            self._wake()
        self.finish()
        return future

    def serve(self, wake: Callable[[], None] | None) -> None:
        """From now on somebody else lets it ``go_on``, and is told whenever there is something to do; None for nobody.

        What is left then waits for who asks for more, or for ``finish``.
        """
        self._wake = wake

    def finish(self) -> None:
        """Do what is left, here, if nobody else does."""
        if self._wake is None:
            self.go_on()

    def has_work(self) -> bool:
        """Whether anything is left to do."""
        return bool(self._waiting)

    def go_on(self, stopped: Callable[[], bool] = lambda: False) -> None:
        """Do all that is left, here, unless it is ``stopped`` between two errands; not in two threads at a time."""
        while self._waiting and not stopped():
            future, errand = self._waiting.popleft()
            if future.set_running_or_notify_cancel():
                try:
                    result = errand()
                except BaseException as error:  # whatever it is, who asked must hear of it
                    future.set_exception(error)
                else:
                    future.set_result(result)
                    del result
            del future, errand  # which may hold what is large


class Behind(Generic[T]):
    """Gives items to a function, in order, in a thread of its own that is at most ``depth`` of them behind.

    If a ``lane`` is given, that takes the thread's place. What the function raises is raised by one of the next
    ``give``, or by ``finish``.
    """

    def __init__(self, function: Callable[[T], None], depth: int, lane: Lane | None = None) -> None:
        self._function, self._depth, self._lane = function, depth, lane
        self._pool = ThreadPoolExecutor(1, "behind")  # begins a thread when it is first given something
        self._waiting: deque[Future[None]] = deque()

    def give(self, item: T) -> None:
        """Hand over an item; waits while ``depth`` others are not done."""
        while len(self._waiting) >= self._depth:
            self._wait_for_one()
        errand = partial(self._function, item)
        self._waiting.append(self._pool.submit(errand) if self._lane is None else self._lane.ask(errand))

    def finish(self) -> None:
        """Wait until all is done."""
        while self._waiting:
            self._wait_for_one()

    def stop(self) -> None:
        """Leave out what has not been begun, and wait for what has; nothing more can be given."""
        wait([future for future in self._waiting if not future.cancel()])
        self._pool.shutdown()
        # Both often hold who holds this: an encoder and its frames would outlive their use.
        del self._function, self._lane

    def _wait_for_one(self) -> None:
        if self._lane is not None:
            self._lane.finish()
        self._waiting.popleft().result()


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


@dataclass(eq=False, slots=True)
class _Piece(Generic[T, R]):
    """An item, then what became of it."""

    item: T | None
    weight: float
    done: bool = False
    result: R | None = None
    error: BaseException | None = None


@dataclass(eq=False, slots=True)
class _Strand(Generic[T, R]):
    """Pieces that one thread at a time works on, in order, and what became of the last one."""

    waiting: deque[_Piece[T, R]] = field(default_factory=deque)
    taken: bool = False
    before: R | None = None


class Crew(Generic[T, R]):
    """So many ``threads`` of a pool that take items and work on them; what becomes of each, in the items' order.

    A context manager and an iterator. Items that follow each other with the same ``strand`` are worked on one after
    another, each with what became of the one before (None for the first); different strands, and items whose strand is
    None, side by side. About as many items are taken and not yet given as weigh ``limit`` together, and always one.
    What ``items`` raises is raised here, after what was made of the items before it. A generator is closed at the end.

    The threads do what is asked of the ``lanes`` and fetch the items themselves, for more threads than there are
    processors would often be waited for while they wait for their turn. Both go before work on items: when that runs
    out, all but one of the threads wait for who fetches. Who takes up a lane stays with it while it has work, for what
    that needs is in the processor's cache.
    """

    def __init__(
        self,
        pool: Executor,
        threads: int,
        items: Iterable[T],
        strand: Callable[[T], Hashable],
        work: Callable[[T, R | None], R],
        weigh: Callable[[T], float],
        limit: float,
        lanes: Sequence[Lane] = (),
    ) -> None:
        self._pool, self._threads, self._source = pool, threads, items
        self._items, self._name_of, self._work, self._weigh, self._limit = iter(items), strand, work, weigh, limit
        self._serving: list[Future[None]] = []
        self._lock = Lock()
        self._more, self._first_done = Condition(self._lock), Condition(self._lock)
        #: All that is not given yet, in order, and its weight; the strands that have work and no thread.
        self._pieces: deque[_Piece[T, R]] = deque()
        self._held = self._lately = 0.0
        self._ready: deque[_Strand[T, R]] = deque()
        self._last: tuple[Hashable, _Strand[T, R]] = None, _Strand()
        self._lanes, self._taken = lanes, set[Lane]()
        self._fetching = self._ended = self._stopped = False
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        try:
            for lane in self._lanes:
                lane.serve(self._wake)
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
            for lane in self._lanes:
                lane.serve(None)
        if isinstance(self._source, Generator):
            self._source.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> R:
        with self._lock:
            while not (self._pieces and self._pieces[0].done):
                if self._ended and not self._pieces:
                    raise self._error or StopIteration
                self._first_done.wait()
            piece = self._pieces.popleft()
            self._held -= piece.weight
            self._more.notify()
        if piece.error is not None:
            raise piece.error
        return piece.result  # type: ignore[return-value]  # it has one

    def _wake(self) -> None:
        with self._lock:
            self._more.notify()

    def _serve(self) -> None:
        """Work until the crew is left; in any number of threads."""
        while (next_ := self._next()) is not None:
            next_()
            del next_  # which holds an item

    def _next(self) -> Callable[[], None] | None:
        """What a thread is to do, waited for."""
        with self._lock:
            while not self._stopped:
                what = self._lane_or_fetch()
                if what is not None:
                    if self._ready:
                        self._more.notify()  # what this thread would have gone on with
                    return what
                if self._ready:
                    strand = self._ready.popleft()
                    return partial(self._do, strand, strand.waiting.popleft())
                self._more.wait()
        return None

    def _lane_or_fetch(self) -> Callable[[], None] | None:
        """What goes before all work on items, if there is any of it."""
        for lane in self._lanes:
            if lane.has_work() and lane not in self._taken:
                self._taken.add(lane)
                return partial(self._take, lane)
        if self._may_fetch():
            self._fetching = True
            return self._fetch
        return None

    def _take(self, lane: Lane) -> None:
        lane.go_on(lambda: self._stopped)
        with self._lock:
            self._taken.remove(lane)

    def _may_fetch(self) -> bool:
        room = not self._pieces or self._held + self._lately <= self._limit
        return room and not (self._fetching or self._ended)

    def _fetch(self) -> None:
        """Take one item; only one thread at a time does."""
        error: BaseException | None = None
        try:
            item = next(self._items)
            name, weight = self._name_of(item), self._weigh(item)
        except BaseException as raised:  # whatever it is, the caller must hear of it
            error = raised
        with self._lock:
            self._fetching = False
            if error is not None:
                self._ended = True
                self._error = None if isinstance(error, StopIteration) else error
                self._more.notify_all()
                self._first_done.notify()
                return
            before, strand = self._last
            if name is None or name != before:
                strand = _Strand()
                self._last = name, strand
            piece = _Piece[T, R](item, weight)
            self._pieces.append(piece)
            self._held, self._lately = self._held + weight, weight
            strand.waiting.append(piece)
            if not strand.taken:
                strand.taken = True
                self._ready.append(strand)
            self._more.notify()

    def _do(self, strand: _Strand[T, R], piece: _Piece[T, R]) -> None:
        item, piece.item = piece.item, None  # nor is it held here any longer than it is worked on
        try:
            piece.result = strand.before = self._work(item, strand.before)  # type: ignore[arg-type]
        except BaseException as error:
            piece.error = error
        del item
        with self._lock:
            piece.done = True
            if self._pieces and self._pieces[0] is piece:
                self._first_done.notify()
            strand.taken = bool(strand.waiting)
            if strand.taken:
                self._ready.appendleft(strand)  # this thread goes on with it, unless it is asked for something else
