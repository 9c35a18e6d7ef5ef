"""A batch in one piece of memory, which a worker process hands over without copying."""

from __future__ import annotations

import math

import torch
from torch.utils.data import get_worker_info

from v2a.geometry import Geometry

Sample = dict[str, torch.Tensor]
Batch = dict[str, torch.Tensor]


class Samples(list[Sample]):
    """The samples of a batch: views of `batch`, whose tensors have one more dimension in front.

    `batch` has also "skipped", the number of damaged clips that were replaced.
    """

    def __init__(self, batch: Batch) -> None:
        count = len(batch["clip"])
        super().__init__({name: whole[i] for name, whole in batch.items() if whole.ndim} for i in range(count))
        self.batch = batch


def empty_batch(count: int, geometry: Geometry, frames: int, *, with_audio: bool) -> Samples:
    """Memory for `count` samples of so many frames; shared memory in a worker process."""
    batch = {"video": _empty((count, frames, geometry.height, geometry.width, 3), torch.uint8)}
    if with_audio:
        batch["audio"] = _empty((count, geometry.samples_until(frames)), torch.int16)
    for name in ("clip", "start", "frames"):
        batch[name] = torch.zeros(count, dtype=torch.int64)
    batch["skipped"] = torch.zeros((), dtype=torch.int64)
    return Samples(batch)


def whole_batch(samples: list[Sample]) -> Batch:
    """The batch that samples of a `ClipDataset` are part of: DataLoader's `collate_fn`, without copying."""
    if not isinstance(samples, Samples):
        raise TypeError("expected the samples of one ClipDataset; for anything else use torch's default_collate")
    return samples.batch


def _empty(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    if get_worker_info() is None:
        return torch.empty(shape, dtype=dtype)
    # What a worker returns goes through shared memory; filled there, it is not copied into it.
    size = math.prod(shape) * dtype.itemsize
    storage = torch.UntypedStorage._new_shared(size, device="cpu")
    return torch.empty(0, dtype=dtype).set_(storage, 0, shape)
