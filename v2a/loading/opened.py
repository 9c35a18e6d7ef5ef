"""The shards that a process has open: opened when first read, a limited number, and never shared with a forked process."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from v2a.shards.reader import Shard

Kind = TypeVar("Kind")


def open_clips(path: Path) -> Shard:
    """A shard of clips, ready to read chunks: what is left to do for threads is reading."""
    shard = Shard(path)
    shard.chunk_reader("video")
    return shard


class OpenShards(Generic[Kind]):
    """Gives shards by their number and keeps the last used ones open.

    Args:
        paths: of all shards.
        open_shard: opens one; a function or class of a module, so that it can be pickled.
        limit: how many stay open.
    """

    def __init__(self, paths: Sequence[Path], open_shard: Callable[[Path], Kind], limit: int = 64) -> None:
        if limit < 1:
            raise ValueError(f"expected at least one open file, but got {limit}")
        self._paths = list(paths)
        self._open_shard = open_shard
        self._limit = limit
        self._process = os.getpid()
        self._open: OrderedDict[int, Kind] = OrderedDict()
        self._lock = threading.Lock()

    def __getitem__(self, number: int) -> Kind:
        if self._process != os.getpid():  # a forked worker: what its parent opened is the parent's
            self._process = os.getpid()
            self._open = OrderedDict()
            self._lock = threading.Lock()
        with self._lock:
            return self._get(number)

    def _get(self, number: int) -> Kind:
        shard = self._open.get(number)
        if shard is not None:
            self._open.move_to_end(number)
            return shard
        shard = self._open_shard(self._paths[number])
        self._open[number] = shard
        if len(self._open) > self._limit:
            self._open.popitem(last=False)  # closes with its last reference
        return shard

    def __len__(self) -> int:
        return len(self._open)

    def __getstate__(self) -> tuple[list[Path], Callable[[Path], Kind], int]:
        """Pickled without open files."""
        return self._paths, self._open_shard, self._limit

    def __setstate__(self, state: tuple[list[Path], Callable[[Path], Kind], int]) -> None:
        self.__init__(*state)  # type: ignore[misc]

    def close(self) -> None:
        """Close all; they open again when they are read."""
        self._open.clear()
