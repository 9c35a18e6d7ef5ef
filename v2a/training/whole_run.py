"""What every training stage does with its task and its three splits: train, then measure the test split once."""

from __future__ import annotations

import torch

from v2a.loading.codes import CodeDataset
from v2a.loading.dataset import ClipDataset
from v2a.loading.feed import ClipFeed, in_order
from v2a.stages import Context
from v2a.training.config import Train
from v2a.training.held_out import measure_test
from v2a.training.loop import train
from v2a.training.precision import Precision, reading_processes
from v2a.training.stamp import Stamp
from v2a.training.task import Task

Clips = ClipDataset | CodeDataset
Splits = tuple[Clips, Clips, Clips]


def train_and_test(  # noqa: PLR0913, PLR0917 - what `train` takes, and the run's stamp
    task: Task, splits: Splits, config: Train, context: Context, device: torch.device, stamp: Stamp | None = None
) -> dict[str, float]:
    """Train to the last step, or until asked to stop; then the test split, once.

    Args:
        task: on `device`.
        splits: to train on, for validation, for the test; the last two may be empty.
        config: how.
        context: ranks, run folder, `report`, `should_stop`.
        device: of this rank.
        stamp: of the run; written when its checkpoint and its clips were accepted, so that what is refused changes nothing.

    Returns:
        What `v2a.training.loop.train` returns, and when it finished the means over the test split as "test/…".

    Raises:
        FloatingPointError, CheckpointError, RanksDiffer: see `v2a.training.loop.train`.
    """
    clips, held_out, test = splits
    comm = context.comm
    feed = ClipFeed(
        clips, held_out if len(held_out) else None, batch=config.batch, comm=comm, seed=config.seed,
        workers=reading_processes(config, device), pin_memory=device.type == "cuda",
    )  # fmt: skip
    metrics = train(task, feed, config, context, device, accepted=lambda: stamp.write(comm) if stamp else None)
    if metrics["stopped"]:
        return metrics
    precision, tested = Precision(config.precision, device), in_order(test, 1, comm)
    return metrics | measure_test(
        context.out, metrics["step"], test.identity, task, tested, comm=comm, precision=precision, draw=not len(held_out)
    )  # fmt: skip
