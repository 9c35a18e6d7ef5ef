"""Means over held-out clips, equal on all ranks."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

import torch

from v2a.comm import Comm
from v2a.training.precision import Precision
from v2a.training.task import Batch, Task


def validate(
    task: Task, batches: Iterable[Batch], comm: Comm, precision: Precision, limit: int = 0
) -> tuple[dict[str, float], Batch | None]:
    """Put the model into evaluation and measure it.

    Args:
        task: what is measured, and how.
        batches: this rank's part.
        comm: the ranks.
        precision: of the forward pass.
        limit: batches of each rank at most; 0 for all.

    Returns:
        The mean over all ranks' clips of each of `task.validation_sums`, and "clips", their number; nothing but that when there
        are none. And this rank's first batch.
    """
    task.model.eval()
    names = ("clips", *task.validation_sums)
    sums = torch.zeros(len(names), dtype=torch.float64)
    first: Batch | None = None
    with torch.no_grad():
        for batch in islice(batches, limit or None):
            first = batch if first is None else first
            with precision.autocast():
                found = task.validate(batch)
            sums += torch.stack([found[name].detach().double().cpu() for name in names])
    sums = comm.all_reduce(sums)
    clips = float(sums[0])
    means = {name: float(value) / clips for name, value in zip(names[1:], sums[1:], strict=True)} if clips else {}
    return {**means, "clips": clips}, first
