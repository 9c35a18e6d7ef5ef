"""The shards that a process has open: opened when first read, a limited number, and never shared with a forked process."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

from v2a.shards.reader import Shard


class OpenShards:
    """Gives shards by their number and keeps the last used ones open.

    Args:
        paths: of all shards.
        limit: how many stay open.
    """

    def __init__(self, paths: Sequence[Path], limit: int = 64) -> None:
        if limit < 1:
            raise ValueError(f"expected at least one open file, but got {limit}")
        self._paths = list(paths)
        self._limit = limit
        self._process = os.getpid()
        self._open: OrderedDict[int, Shard] = OrderedDict()
        self._lock = threading.Lock()

    def __getitem__(self, number: int) -> Shard:
        if self._process != os.getpid():  # a forked worker: what its parent opened is the parent's
            self._process = os.getpid()
            self._open = OrderedDict()
            self._lock = threading.Lock()
        with self._lock:
            return self._get(number)

    def _get(self, number: int) -> Shard:
        shard = self._open.get(number)
        if shard is not None:
            self._open.move_to_end(number)
            return shard
        shard = Shard(self._paths[number])
        shard.chunk_reader("video")  # what is left to do for threads is reading
        self._open[number] = shard
        if len(self._open) > self._limit:
            self._open.popitem(last=False)  # closes with its last reference
        return shard

    def __len__(self) -> int:
        return len(self._open)

    def __getstate__(self) -> tuple[list[Path], int]:
        """Pickled without open files."""
        return self._paths, self._limit

    def __setstate__(self, state: tuple[list[Path], int]) -> None:
        self.__init__(*state)  # type: ignore[misc]

    def close(self) -> None:
        """Close all; they open again when they are read."""
        self._open.clear()
