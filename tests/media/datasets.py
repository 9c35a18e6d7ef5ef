"""What a prepared folder holds, for comparing two of them."""

from __future__ import annotations

from pathlib import Path

from v2a.shards.folder import shard_paths
from v2a.shards.reader import Shard
from v2a.shards.records import ClipRow, VideoRecord


def rows_of(out: Path) -> list[ClipRow]:
    """All rows of all whole shards."""
    return [row for path in shard_paths(out) for row in Shard(path).rows()]


def records_of(out: Path) -> list[VideoRecord]:
    """All records of all whole shards."""
    return [record for path in shard_paths(out) for record in Shard(path).videos()]


def moments(out: Path) -> list[tuple[str, float]]:
    """File name and start of each clip, sorted; one that is there twice stands twice."""
    return sorted((Path(row.source).name, row.start_s) for row in rows_of(out))


def clips_of(out: Path) -> dict[tuple[str, float], bytes]:
    """Every clip's bytes, by file name and start."""
    found = {}
    for path in shard_paths(out):
        with Shard(path) as shard:
            for number, row in enumerate(shard.rows()):
                clip = shard.clip(number)
                found[Path(row.source).name, row.start_s] = clip.video.tobytes() + clip.audio.tobytes()
    return found
