"""Ranks that agree: on equal weights to begin with, on stopping, and on who met what."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import xxhash
from torch import nn

from v2a.comm import Comm


def broadcast_model(model: nn.Module, comm: Comm) -> None:
    """Give every rank rank 0's parameters and buffers."""
    with torch.no_grad():
        for tensor in _tensors(model):
            tensor.copy_(comm.broadcast(tensor))


def ranks_agree(model: nn.Module, comm: Comm) -> bool:
    """Whether all parameters and buffers are equal on all ranks, bit for bit (by a hash of 62 bits)."""
    digest = xxhash.xxh3_64()
    for tensor in _tensors(model):
        digest.update(_bytes(tensor))
    mine = torch.tensor(digest.intdigest() >> 2, dtype=torch.int64)
    return int(comm.all_reduce(mine, "max")) == -int(comm.all_reduce(-mine, "max"))


def weights_hash(state: Mapping[str, torch.Tensor]) -> str:
    """Of a model's state: names, and numbers bit for bit; 16 hexadecimal digits."""
    digest = xxhash.xxh3_64()
    for name in sorted(state):
        digest.update(name.encode())
        digest.update(_bytes(state[name]))
    return digest.hexdigest()


def any_rank(flag: bool, comm: Comm) -> bool:
    """Whether it is so on any rank."""
    return bool(comm.all_reduce(torch.tensor(float(flag)), "max") > 0)


def ranks_where(flag: bool, comm: Comm) -> str:
    """The ranks where it is so, with commas."""
    flags = torch.zeros(comm.size)
    flags[comm.rank] = float(flag)
    return ", ".join(str(int(rank)) for rank in comm.all_reduce(flags, "max").nonzero().flatten())


def _bytes(tensor: torch.Tensor) -> memoryview:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data


def _tensors(model: nn.Module) -> list[torch.Tensor]:
    return [*model.parameters(), *model.buffers()]
