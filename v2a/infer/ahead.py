"""Work in other threads, in order: decoding while the network works, and the network on several segments at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar, cast

_T = TypeVar("_T")
_R = TypeVar("_R")
_END = object()


@contextmanager
def ahead(items: Iterable[_T]) -> Iterator[Iterator[_T]]:
    """The same items in the same order, each asked for when the one before is handed out; one is held, never more.

    An error of `items` is raised where its item would have been. On leaving, whatever is being made is waited for, so that what
    `items` reads from may be closed then.

    Args:
        items: iterated by one other thread alone.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as pool:
        yield _ahead(iter(items), pool)


def _ahead(items: Iterator[_T], pool: ThreadPoolExecutor) -> Iterator[_T]:
    coming = pool.submit(next, items, _END)
    while (item := coming.result()) is not _END:
        coming = pool.submit(next, items, _END)
        yield cast("_T", item)


def side_by_side(make: Callable[[_T], _R], items: Iterable[_T], threads: int) -> Iterator[tuple[_T, _R]]:
    """Each item with what is made of it, in their order, up to `threads` of them at once; one thread is the caller's own.

    An error is raised where its item would have been. On leaving, what is being made is waited for.
    """
    if threads == 1:
        for item in items:
            yield item, make(item)
        return
    with ThreadPoolExecutor(threads, thread_name_prefix="beside") as pool:
        under_way: deque[tuple[_T, Future[_R]]] = deque()
        for item in items:
            under_way.append((item, pool.submit(make, item)))
            if len(under_way) == threads:
                first, made = under_way.popleft()
                yield first, made.result()
        for first, made in under_way:
            yield first, made.result()
