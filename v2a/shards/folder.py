"""The shards of a dataset folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from v2a.shards.layout import SUFFIX, UNFINISHED
from v2a.shards.reader import Shard
from v2a.shards.records import ClipRow, VideoRecord


def shard_paths(folder: Path) -> list[Path]:
    """The whole shards of a folder, in order of their names.

    Raises:
        FileNotFoundError, NotADirectoryError: there is no such folder.
    """
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.name.startswith("clips-") and entry.name.endswith(SUFFIX)]
    return [Path(folder) / name for name in sorted(names)]


def remove_unfinished(folder: Path) -> list[Path]:
    """Remove what killed writers left; only while no writer works in the folder. Returns what was removed."""
    removed = []
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.name.startswith("clips-") and entry.name.endswith(UNFINISHED)]
    for name in sorted(names):
        path = Path(folder) / name
        path.unlink(missing_ok=True)
        removed.append(path)
    return removed


def read_videos(folder: Path) -> Iterator[tuple[Path, list[VideoRecord]]]:
    """The records of finished videos, shard by shard; reads tables only.

    Raises:
        ShardError: a shard cannot be read; names it.
    """
    for path in shard_paths(folder):
        with Shard(path) as shard:
            yield path, shard.videos()


def read_rows(folder: Path) -> Iterator[tuple[Path, list[ClipRow]]]:
    """The rows of clips, shard by shard; reads tables only.

    Raises:
        ShardError: a shard cannot be read; names it.
    """
    for path in shard_paths(folder):
        with Shard(path) as shard:
            yield path, shard.rows()
