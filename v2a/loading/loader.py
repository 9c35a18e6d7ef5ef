"""A DataLoader of clips: dataset, order and worker processes put together."""

from __future__ import annotations

import signal
from collections.abc import Iterable
from typing import TYPE_CHECKING

from torch.utils.data import DataLoader

from v2a.loading.batch import whole_batch

if TYPE_CHECKING:
    from torch.utils.data import Dataset

    from v2a.loading.batch import Sample
    from v2a.loading.order import Draw


def make_loader(
    dataset: Dataset[Sample], batches: Iterable[list[Draw]], *, workers: int = 0, pin_memory: bool = False
) -> DataLoader[dict[str, object]]:
    """Batches of a dataset in the order of `ShuffledBatches` or `OrderedBatches`, as dicts of tensors `[B, …]`.

    Args:
        dataset: `ClipDataset` or `CodeDataset`.
        batches: the batch sampler; its state is the caller's to keep.
        workers: processes that read ahead; 0 reads in this one.
        pin_memory: for fast copies to a GPU.
    """
    return DataLoader(
        dataset,  # type: ignore[arg-type]
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=whole_batch,
        pin_memory=pin_memory,
        persistent_workers=workers > 0,
        worker_init_fn=_deaf,
    )


def _deaf(_: int) -> None:
    """Signals are for the training process: it ends its workers when it has saved. They also end when it is gone."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
