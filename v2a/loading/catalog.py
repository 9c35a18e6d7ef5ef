"""Which clips of a dataset folder belong to a split, in an order that follows from the clips alone."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from v2a.geometry import Geometry
from v2a.shards.errors import ShardError
from v2a.shards.identity import clip_key
from v2a.shards.manifest import NAME, REBUILD, Manifest, read_manifest, unique
from v2a.shards.reader import Shard
from v2a.shards.records import ClipRow
from v2a.shards.splits import SPLITS, split_of


@dataclass(frozen=True)
class Catalog:
    """The clips of a split; which shard a clip lies in makes no difference to its number.

    Attributes:
        geometry: of all clips.
        paths: the shards.
        shard: index into `paths`, `[n]`.
        row: clip within the shard, `[n]`.
        frames: real frames, `[n]`.
        left_out: clips of the split that are not here, by reason.
        identity: hash of which clips these are.
    """

    geometry: Geometry
    paths: list[Path]
    shard: npt.NDArray[np.int32]
    row: npt.NDArray[np.int32]
    frames: npt.NDArray[np.int32]
    left_out: dict[str, int]
    identity: str


def read_catalog(folder: Path, split: str, *, least_frames: int = 1, need_audio: bool = False) -> Catalog:
    """The clips of a split, from the tables of the shards that the manifest names.

    Args:
        folder: a dataset.
        split: "train", "validation", "test", or "all".
        least_frames: leave out clips with fewer real frames.
        need_audio: leave out clips of videos without sound.

    Raises:
        ShardError: no manifest; a shard is missing, damaged, or not the one that the manifest names.
    """
    if split not in (*SPLITS, "all"):
        raise ValueError(f"expected a split out of {', '.join(SPLITS)}, all, but got {split!r}")
    manifest = read_manifest(folder)
    paths = [Path(folder) / entry.name for entry in manifest.shards]
    found = [(row, (shard, number)) for shard, number, row in _rows(manifest, paths)]
    kept, left_out = [], {"short": 0, "silent": 0}
    for row, place in unique(found):
        if split not in ("all", split_of(row.group, manifest.splits)):
            continue
        if row.frames < least_frames:
            left_out["short"] += 1
        elif need_audio and not row.has_audio:
            left_out["silent"] += 1
        else:
            kept.append((row, place))
    identity = hashlib.sha256()
    for row, _ in kept:
        identity.update(repr(clip_key(row)).encode())
    places = np.array([place for _, place in kept], np.int32).reshape(-1, 2)
    frames = np.array([row.frames for row, _ in kept], np.int32)
    return Catalog(
        manifest.geometry, paths, places[:, 0].copy(), places[:, 1].copy(), frames, left_out, identity.hexdigest()[:16]
    )


def _rows(manifest: Manifest, paths: list[Path]) -> list[tuple[int, int, ClipRow]]:
    rows: list[tuple[int, int, ClipRow]] = []
    for number, (entry, path) in enumerate(zip(manifest.shards, paths, strict=True)):
        with Shard(path) as shard:
            if f"{shard.table_checksum:016x}" != entry.table:
                raise ShardError(path, f"is not the shard that {NAME} names; {REBUILD}")
            if shard.geometry != manifest.geometry:
                raise ShardError(path, f"has clips of {shard.geometry}, where the dataset has {manifest.geometry}")
            rows.extend((number, clip, row) for clip, row in enumerate(shard.rows()))
    return rows
