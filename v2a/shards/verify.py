"""Is every byte of a dataset sound? All shards are looked at, whatever is wrong with the first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from v2a.shards.errors import ShardError
from v2a.shards.folder import shard_paths
from v2a.shards.layout import UNFINISHED
from v2a.shards.manifest import NAME, REBUILD, Manifest, count_shards, read_manifest
from v2a.shards.reader import Shard

_REMAKE = "move it away and run prepare again with the same settings: the videos that it held are done anew"


@dataclass
class Verdict:
    """What was found.

    Attributes:
        shards, clips: that were read whole and are sound.
        bytes: of chunks that were read.
        problems: what makes the dataset unusable, as sentences.
        notes: what is worth knowing.
    """

    shards: int = 0
    clips: int = 0
    bytes: int = 0
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def verify(folder: Path, progress: Callable[[int], object] = lambda count: None) -> Verdict:
    """Read every chunk and table of every shard, and compare the manifest with them.

    Args:
        folder: a dataset.
        progress: called with bytes of files that are done, often.

    Raises:
        OSError: the folder cannot be listed.
    """
    verdict = Verdict()
    paths = shard_paths(folder)
    bad = [path for path in paths if not _verify_shard(path, verdict, progress)]
    if bad:
        verdict.problems.append(f"what to do with each damaged shard ({len(bad)}): {_REMAKE}")
    _verify_manifest(folder, paths, bad, verdict)
    unfinished = sorted(path.name for path in Path(folder).glob(f"clips-*{UNFINISHED}"))
    if unfinished:
        verdict.notes.append(
            f"unfinished: {', '.join(unfinished)}. A running prepare writes it, or the next run removes it"
        )
    return verdict


def _verify_shard(path: Path, verdict: Verdict, progress: Callable[[int], object]) -> bool:
    problems: list[str] = []
    size = path.stat().st_size if path.is_file() else 0
    done = 0
    try:
        with Shard(path) as shard, Shard(path, direct=False) as through:
            shard.rows()
            for name in ("video", "audio"):
                reader = through.chunk_reader(name)
                if not np.array_equal(reader.hdf5_places(), reader.table[..., :2]):
                    problems.append(f"{path}: HDF5 and the list of chunks disagree on where {name} lies")
            for clip in range(shard.clips):
                read = _verify_clip(shard, clip, problems)
                done += read
                progress(read)
            verdict.clips += shard.clips
    except ShardError as error:
        problems.append(str(error))
    progress(size - done)
    verdict.bytes += done
    verdict.shards += not problems
    verdict.problems.extend(problems)
    return not problems


def _verify_clip(shard: Shard, clip: int, problems: list[str]) -> int:
    read = 0
    for name in ("video", "audio"):
        reader = shard.chunk_reader(name)
        try:
            read += reader.check(clip)
            if not reader.direct:  # packed bytes are sound; do they unpack?
                (shard.frames if name == "video" else shard.audio)(clip)
        except ShardError as error:
            problems.append(f"{error} ({name})")
    return read


def _verify_manifest(folder: Path, paths: list[Path], bad: list[Path], verdict: Verdict) -> None:
    try:
        manifest = read_manifest(folder)
    except ShardError as error:
        verdict.problems.append(str(error))
        return
    here = {path.name for path in paths}
    named = {entry.name for entry in manifest.shards}
    for name in sorted(named - here):
        verdict.problems.append(
            f"{Path(folder) / name}: {NAME} names it, but it is missing. Put it back, or run prepare again, or {REBUILD}"
        )
    for name in sorted(here - named):
        verdict.notes.append(f"{name} is not in {NAME}, so nothing reads it: a prepare is running, or {REBUILD}")
    if not bad and named == here:
        _verify_counts(folder, manifest, verdict)


def _verify_counts(folder: Path, manifest: Manifest, verdict: Verdict) -> None:
    try:
        counted = count_shards(folder, manifest.geometry, manifest.settings, manifest.splits)
    except ShardError as error:
        verdict.problems.append(str(error))
        return
    if counted != manifest:
        verdict.problems.append(f"{Path(folder) / NAME} does not say what the shards hold; {REBUILD}")
