"""Calls in threads, whose results come in the order of the calls."""
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import Any, Generic, TypeVar

Item = TypeVar('Item')
Result = TypeVar('Result')


@contextmanager
def thread_pool(threads: int) -> Iterator[ThreadPoolExecutor]:
    """Yield a pool. When the context ends, also by an error, calls that have not begun are dropped."""
    pool = ThreadPoolExecutor(threads, thread_name_prefix='images')
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


class OrderedCalls(Generic[Result]):
    """Runs calls in the threads of a pool and returns their results in the order of the calls.

    What a call raises is raised where its result is taken.

    Args:
        pool: runs the calls; several objects may share it.
        limit: number of calls that ``map`` starts ahead; may be changed.

    Attributes:
        seconds: duration of the calls whose results were taken, added up.
    """

    def __init__(self, pool: ThreadPoolExecutor, limit: int) -> None:
        self.limit = limit
        self.seconds = 0.0
        self._pool = pool
        self._pending: deque[Future[tuple[Result, float]]] = deque()

    def submit(self, function: Callable[..., Result], *args: Any) -> None:
        """Start a call as soon as a thread is free."""
        self._pending.append(self._pool.submit(_timed, function, *args))

    def results(self, most: int) -> Iterator[Result]:
        """Yield the results that are there, and wait for more until at most ``most`` calls are left."""
        while self._pending and (len(self._pending) > most or self._pending[0].done()):
            yield self._take()

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield the result for each item; while one is used, the next ``limit`` are computed."""
        items = iter(items)
        while True:
            for item in islice(items, max(0, self.limit + 1 - len(self._pending))):
                self.submit(function, item)
            if not self._pending:
                return
            yield self._take()

    def _take(self) -> Result:
        result, seconds = self._pending.popleft().result()
        self.seconds += seconds
        return result


def _timed(function: Callable[..., Result], *args: Any) -> tuple[Result, float]:
    start = time.perf_counter()
    result = function(*args)
    return result, time.perf_counter() - start
