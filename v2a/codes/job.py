"""The stage `codes` as a job of independent tasks, one for each shard of clips.

torch is imported where it is used: a process that begins reads this module before it is deaf to Ctrl-C.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from v2a.codes.config import Config
from v2a.codes.plan import Plan, ShardTask, check_room, head_of, make_plan
from v2a.codes.progress import Progress
from v2a.codes.turns import Lead, Seat
from v2a.export.errors import ModelError
from v2a.shards.code_folder import CodeUse, check_head, count_codes
from v2a.shards.code_layout import code_shard_path
from v2a.shards.code_writer import remove_unfinished_codes, write_code_shard
from v2a.shards.errors import ShardError
from v2a.shards.reader import Shard
from v2a.tasks import Counts, Link

if TYPE_CHECKING:
    from v2a.vqvae.load import LoadedVQVAE


class CodesJob:
    """Plans, encodes and finishes; see `v2a.tasks.Job`. Only its config travels to the workers.

    Args:
        config: validated.
        progress: where the process that leads shows how far it is.
    """

    def __init__(self, config: Config, progress: Progress | None = None) -> None:
        self.config = config
        self._progress = progress or Progress()
        self._out = Path(config.out)
        self._lead = Lead(self._out)
        self._plan = Plan()
        self._lost: list[str] = []
        self._begun = time.monotonic()

    def __reduce__(self) -> tuple[type[CodesJob], tuple[Config]]:
        return CodesJob, (self.config,)

    def plan(self) -> Sequence[ShardTask]:
        """Load the model, see what is done.

        Raises:
            ConfigError, ModelError, ShardError: see `make_plan` and `load_vqvae`.
            FolderBusy: another is at work there.
            DiskFull: the codes would not fit.
        """
        import torch

        from v2a.vqvae.load import load_vqvae

        loaded = load_vqvae(Path(self.config.model), torch.device("cpu"))
        self._lead.take()
        cleaned = remove_unfinished_codes(self._out)
        self._plan = make_plan(Path(self.config.data), self._out, loaded)
        check_room(self._plan, self._out)
        self._progress.begin(self._plan, cleaned)
        return self._plan.tasks

    def work(self, link: Link) -> None:
        """One worker: encode shards as the link gives them. A shard that it is asked to stop in is left out."""
        tasks = link.tasks()
        # Not before the first task: the process that leads must have seen that no worker of an earlier run is left.
        first: ShardTask | None = next(tasks, None)
        if first is None:
            return
        from v2a.training.precision import pick_device
        from v2a.vqvae.load import load_vqvae

        with Seat(self._out) as seat:
            loaded = load_vqvae(Path(self.config.model), pick_device(self.config.device, seat.number))
            for task in chain([first], tasks):
                link.durable()
                _encode_shard(task, self.config, loaded, link)

    def show(self, done: int, total: int, counts: Counts) -> None:
        """Progress, by clips."""
        del done, total
        self._progress.show(counts)

    def again(self, task: ShardTask) -> ShardTask:
        """Nothing of a shard is kept before all of it."""
        return task

    def lost(self, task: ShardTask, reason: str) -> None:
        """Said at the end: the other shards are encoded first."""
        self._lost.append(f"{task.head.clips} ({reason})")

    def finish(self, counts: Counts, stopped: bool) -> Counts:
        """Count all codes, say what came of it.

        Raises:
            RuntimeError: shards that ended their process twice.
            ShardError: a code shard is damaged.
        """
        whole = [path for path in self._plan.paths if os.path.lexists(path)]
        use = count_codes(whole) if whole else None
        self._progress.end(self._out, use, counts, stopped)
        if self._lost:
            raise RuntimeError(
                f"{len(self._lost)} shards were not encoded: {'; '.join(self._lost)}; the same command tries again"
            )
        return {
            **_metrics(use),
            "encoded": counts.get("clips", 0.0),
            "wall_s": time.monotonic() - self._begun,
            "stopped": float(stopped),
        }

    def close(self) -> None:
        """Let others into the folder."""
        self._progress.close()
        self._lead.give()


def _encode_shard(task: ShardTask, config: Config, loaded: LoadedVQVAE, link: Link) -> None:
    from v2a.codes.encode import encode_clip

    path = Path(config.data) / task.head.clips
    out = code_shard_path(Path(config.out), task.head.clips)
    with Shard(path) as shard:
        head = head_of(shard, loaded)
        if head.encoder != task.head.encoder:
            raise ModelError(
                config.model, f"changed during the work: its encoder was {task.head.encoder} and is {head.encoder}. "
                "Export a run that still trains, and take the export"
            )  # fmt: skip
        check_head(out, task.head, head)
        codes: npt.NDArray[np.uint16] = np.empty((shard.clips, *head.grid), np.uint16)
        for clip in range(shard.clips):
            if link.should_stop():
                return
            codes[clip] = encode_clip(loaded.model, shard.frames(clip))
            link.count({"clips": 1})
        try:
            write_code_shard(out, head, codes, [row.frames for row in shard.rows()])
        except ValueError as error:
            raise ShardError(path, f"could not be encoded: {error}") from error


def _metrics(use: CodeUse | None) -> Counts:
    if use is None:
        return {"clips": 0.0, "shards": 0.0}
    return {
        "clips": float(use.clips), "shards": float(use.shards), "used": float(use.used), "perplexity": use.perplexity,
        "bits_per_pixel": use.bits_per_pixel,
    }  # fmt: skip
