"""Encodings chosen from the whole batch of all ranks, the same ones however many ranks share it.

Encodings are numbered through the ranks: rank 0's clips in order, each clip's positions in order, then rank 1's. One rank with the
batches of all, in the order of the ranks, numbers them alike.
"""

from __future__ import annotations

import torch


def generator(seed: int, step: int) -> torch.Generator:
    """Random numbers of one step, the same on every rank and at every world size."""
    return torch.Generator().manual_seed((seed * 0x9E3779B97F4A7C15 + step * 0xBF58476D1CE4E5B9) % 2**63)


def pick(total: int, count: int, random: torch.Generator) -> torch.Tensor:
    """`count` different numbers below `total`, in order, int64: one from each of as many equal stretches.

    Args:
        total: encodings in the batch of all ranks.
        count: at most `total`.
        random: where the numbers come from.
    """
    if not count:
        return torch.empty(0, dtype=torch.int64)
    edges = torch.arange(count + 1, dtype=torch.int64) * total // count
    begins, lengths = edges[:-1], edges.diff()
    offsets = (torch.rand(count, generator=random, dtype=torch.float64) * lengths).long()
    return begins + torch.minimum(offsets, lengths - 1)


def own_rows(values: torch.Tensor, numbers: torch.Tensor, rank: int) -> torch.Tensor:
    """Those encodings that this rank holds, zeros for the others': summed over ranks they are all.

    Args:
        values: this rank's, [B, D, S].
        numbers: int64 [M], of the whole batch.
        rank: of this process.

    Returns:
        float64 [M, D].
    """
    batch, dim, positions = values.shape
    rows = torch.zeros((len(numbers), dim), dtype=torch.float64, device=values.device)
    numbers = numbers.to(values.device) - rank * batch * positions
    mine = ((numbers >= 0) & (numbers < batch * positions)).nonzero().flatten()
    clips, places = numbers[mine] // positions, numbers[mine] % positions
    rows[mine] = values[clips, :, places].double()
    return rows
