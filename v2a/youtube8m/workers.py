"""Work that waits for a network, in some threads, its results in the order in which they come."""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def in_parallel(items: Iterable[T], work: Callable[[T], R], count: int, stop: threading.Event) -> Iterator[tuple[T, R]]:
    """Give each item's result as it comes; when the iteration ends, however it does, `stop` is set.

    The threads are daemons: a download that hangs does not keep a process that was told to stop.

    Args:
        items: taken one by one, as threads become free.
        work: called in the threads; must look at `stop` when it waits.
        count: threads.
        stop: set it to take no further item.

    Raises:
        BaseException: what `work` raised first.
    """
    source, lock = iter(items), threading.Lock()
    results: queue.Queue[tuple[T, R] | BaseException | None] = queue.Queue()

    def take() -> list[T]:
        with lock:
            return [] if stop.is_set() else list(itertools.islice(source, 1))

    def serve() -> None:
        try:
            while found := take():
                results.put((found[0], work(found[0])))
        except BaseException as error:
            results.put(error)
        finally:
            results.put(None)

    threads = [threading.Thread(target=serve, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        running = count
        while running:
            result = results.get()
            if isinstance(result, BaseException):
                raise result
            if result is None:
                running -= 1
            else:
                yield result
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout=2.0)
