"""A batch in one piece of memory: used again for a later batch, or shared memory that a worker process hands over uncopied."""

from __future__ import annotations

import math
import weakref
from collections.abc import Sequence
from typing import overload

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import get_worker_info

Sample = dict[str, torch.Tensor]
Batch = dict[str, torch.Tensor]
_KEPT = 4  # free pieces of memory: a loop holds one or two batches at a time


class Samples(Sequence[Sample]):
    """The samples of a batch: views of `batch`, whose tensors have one more dimension in front.

    `batch` has also "skipped", the number of damaged clips that were replaced; a sample has not.
    """

    def __init__(self, batch: Batch) -> None:
        self.batch = batch

    def __len__(self) -> int:
        return len(self.batch["clip"])

    @overload
    def __getitem__(self, place: int) -> Sample: ...
    @overload
    def __getitem__(self, place: slice) -> list[Sample]: ...
    def __getitem__(self, place: int | slice) -> Sample | list[Sample]:
        if isinstance(place, slice):
            return [self[k] for k in range(len(self))[place]]
        return {name: whole[range(len(self))[place]] for name, whole in self.batch.items() if whole.ndim}


def whole_batch(samples: Sequence[Sample]) -> Batch:
    """The batch that samples of a `ClipDataset` are part of: DataLoader's `collate_fn`, without copying."""
    if not isinstance(samples, Samples):
        raise TypeError("expected the samples of one ClipDataset; for anything else use torch's default_collate")
    return samples.batch


class Memory:
    """Gives tensors, not initialised. In the training process their memory comes back when nothing refers to them any more.

    Fresh memory costs more than filling it: the kernel clears it page by page (docs/LOG.md has the measurement).
    """

    def __init__(self) -> None:
        self._free: list[npt.NDArray[np.uint8]] = []

    def tensor(self, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        """A tensor of this shape and type."""
        size = math.prod(shape) * dtype.itemsize
        if not size:
            return torch.empty(shape, dtype=dtype)
        if get_worker_info() is not None:
            # What a worker returns goes through shared memory; filled there, it is not copied into it.
            storage = torch.UntypedStorage._new_shared(size, device="cpu")  # type: ignore[no-untyped-call]
            shared: torch.Tensor = torch.empty(0, dtype=dtype).set_(storage)
            return shared.view(shape)
        piece = self._take(size)
        lent = piece[:size]
        # The tensor and all its views hold `lent`: when it goes, so have they.
        weakref.finalize(lent, self._give_back, self._free, piece).atexit = False
        return torch.from_numpy(lent).view(dtype).view(shape)

    def __getstate__(self) -> dict[str, object]:
        """Pickled empty."""
        return {"_free": []}

    def _take(self, size: int) -> npt.NDArray[np.uint8]:
        fitting = [piece for piece in self._free if size <= piece.nbytes <= 2 * size]
        if not fitting:
            return np.empty(size, np.uint8)
        self._free[:] = [piece for piece in self._free if piece is not fitting[0]]
        return fitting[0]

    @staticmethod
    def _give_back(free: list[npt.NDArray[np.uint8]], piece: npt.NDArray[np.uint8]) -> None:
        free.append(piece)
        del free[:-_KEPT]
