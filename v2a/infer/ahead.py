"""The next item made in another thread while the present one is used: decoding while the network works."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar, cast

_T = TypeVar("_T")
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
