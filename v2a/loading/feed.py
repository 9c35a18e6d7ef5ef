"""Batches of a dataset for the training loop: an endless shuffled stream, and held-out clips in a fixed order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from v2a.comm import Comm
from v2a.loading.codes import CodeDataset
from v2a.loading.dataset import ClipDataset
from v2a.loading.loader import make_loader
from v2a.loading.order import OrderedBatches, ShuffledBatches


class ClipFeed:
    """This rank's share of the training clips, and of the clips of the validation split.

    Args:
        clips: to train on.
        held_out: for validation; None when the split has none.
        batch: clips of this rank in a batch.
        comm: the ranks.
        seed: of the order.
        workers: processes that read ahead; 0 reads in this one.
        pin_memory: for fast copies to a GPU.
        held_out_batch: clips of a batch in validation.
    """

    def __init__(  # noqa: PLR0913 - settings by name
        self, clips: ClipDataset | CodeDataset, held_out: ClipDataset | CodeDataset | None, *, batch: int, comm: Comm, seed: int,
        workers: int = 0, pin_memory: bool = False, held_out_batch: int = 1,
    ) -> None:  # fmt: skip
        self.clips = batch
        self._dataset, self._held_out, self._comm = clips, held_out, comm
        self._workers, self._pin_memory, self._held_out_batch = workers, pin_memory, held_out_batch
        self._order = ShuffledBatches(
            len(clips), seed=seed, batch=batch, rank=comm.rank, world=comm.size, identity=clips.identity
        )

    def batches(self) -> Iterator[Any]:
        """From the present position on, without end."""
        return iter(make_loader(self._dataset, self._order, workers=self._workers, pin_memory=self._pin_memory))

    def advance(self) -> None:
        """A batch was used."""
        self._order.advance()

    @property
    def epoch(self) -> float:
        """Epochs used, with their fraction."""
        return self._order.samples_seen / self._order.clips

    def validation(self) -> Iterable[Any]:
        """This rank's part of the validation split."""
        return () if self._held_out is None else in_order(self._held_out, self._held_out_batch, self._comm)

    def state_dict(self) -> dict[str, Any]:
        """The position; the same on all ranks, and good for any number of them."""
        return self._order.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there; raises `ValueError` when the state is of other clips or another seed."""
        self._order.load_state_dict(state)


def in_order(dataset: ClipDataset | CodeDataset, batch: int, comm: Comm) -> Iterable[Any]:
    """This rank's part of a dataset, each clip once."""
    return make_loader(dataset, OrderedBatches(len(dataset), batch=batch, rank=comm.rank, world=comm.size))
