"""What is to be encoded: the shards of clips less those whose codes are there; nothing that does not fit goes unnoticed."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from v2a.config import ConfigError
from v2a.shards.code_folder import check_frames, check_head
from v2a.shards.code_layout import Head, code_shard_path, code_shard_paths
from v2a.shards.code_reader import CodeShard
from v2a.shards.errors import DiskFull, ShardError
from v2a.shards.manifest import NAME, REBUILD, read_manifest
from v2a.shards.reader import Shard

if TYPE_CHECKING:
    from v2a.vqvae.load import LoadedVQVAE


@dataclass(frozen=True)
class ShardTask:
    """A shard of clips to be encoded.

    Attributes:
        head: of the code shard that it will be.
        clips: number of clips.
    """

    head: Head
    clips: int


@dataclass
class Plan:
    """The work of one run.

    Attributes:
        tasks: most clips first.
        paths: of all code shards that will be there, in the order of the clips' manifest.
        done: clips whose codes are there.
        strays: code shards of no shard of clips.
    """

    tasks: list[ShardTask] = field(default_factory=list)
    paths: list[Path] = field(default_factory=list)
    done: int = 0
    strays: list[str] = field(default_factory=list)

    @property
    def clips(self) -> int:
        """To be encoded."""
        return sum(task.clips for task in self.tasks)

    @property
    def bytes(self) -> int:
        """Of codes that are still to be written, roughly."""
        return sum(2 * _positions(task.head) * task.clips + 4096 for task in self.tasks)


def make_plan(data: Path, out: Path, loaded: LoadedVQVAE) -> Plan:
    """Compare the clips with the codes that are there.

    Args:
        data: a dataset of clips.
        out: the folder of codes; may be missing.
        loaded: the model.

    Raises:
        ConfigError: the model is for clips of another geometry.
        ShardError: a shard is missing or damaged, or codes of other clips or of another encoder are in the way; names both.
    """
    manifest = read_manifest(data)
    if manifest.geometry != loaded.geometry:
        raise ConfigError(
            f"the model is for clips of {loaded.geometry}, but {data} has clips of {manifest.geometry}; prepare the videos "
            "with the model's geometry, or train a model on these clips"
        )
    plan = Plan()
    for entry in manifest.shards:
        with Shard(data / entry.name) as shard:
            if f"{shard.table_checksum:016x}" != entry.table:
                raise ShardError(shard.path, f"is not the shard that {NAME} names; {REBUILD}")
            if shard.geometry != manifest.geometry:
                raise ShardError(
                    shard.path, f"has clips of {shard.geometry}, where the dataset has {manifest.geometry}"
                )
            head = head_of(shard, loaded)
            path = code_shard_path(out, entry.name)
            plan.paths.append(path)
            if not os.path.lexists(path):
                plan.tasks.append(ShardTask(head, shard.clips))
                continue
            with CodeShard(path) as codes:
                check_head(path, codes.head, head)
                check_frames(path, codes.frames, shard)
                codes.check()
            plan.done += shard.clips
    if out.is_dir():
        plan.strays = [path.name for path in code_shard_paths(out) if path not in set(plan.paths)]
    plan.tasks.sort(key=lambda task: (-task.clips, task.head.clips))
    return plan


def head_of(shard: Shard, loaded: LoadedVQVAE) -> Head:
    """The head of the codes of a shard of clips."""
    model = loaded.model
    group = len(getattr(model.quantizer, "stages", ())) or 1  # codebooks that take turns
    return Head(
        loaded.identity, shard.geometry, model.strides, model.quantizer.codes, group, shard.path.name, shard.checksum
    )  # fmt: skip


def check_room(plan: Plan, out: Path) -> None:
    """What does not fit on the disk is said before the work.

    Raises:
        DiskFull: it does not fit.
    """
    status = os.statvfs(out)
    free = status.f_bavail * status.f_frsize
    if free < plan.bytes:
        raise DiskFull(f"{out} has {free / 1e6:.1f} MB free, but the codes take {plan.bytes / 1e6:.1f} MB; make room")


def _positions(head: Head) -> int:
    steps, rows, columns = head.grid
    return steps * rows * columns
