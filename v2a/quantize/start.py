"""A first codebook from encodings: k-means++ and a few rounds of k-means, on one rank; the others receive it."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from v2a.comm import Comm
from v2a.quantize.nearest import assign
from v2a.quantize.picks import generator, own_rows, pick

ROUNDS = 10
# Encodings for each code: of them k-means takes so many, and looks among so many for its seeds.
PER_CODE = 256
# And so many in all: a round takes as long as encodings times codes, on one rank, and Horovod ends ranks that wait for 300 s.
MOST = 1 << 18
SEEDS_PER_CODE = 8


def first_codebook(
    batches: Sequence[tuple[torch.Tensor, int]], codes: int, comm: Comm, random: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """k-means of encodings from whole batches: all of them, or 256 for each code, or 262,144. Every rank calls it.

    Args:
        batches: this rank's encodings, float32 [B, D, S], and how many all ranks together have, in equal shares.
        codes: K.
        comm: the ranks.
        random: in the same state on all ranks.

    Returns:
        float32 [K, D], and each code's share of the encodings, float64 [K]; on the encodings' device, the same on all ranks.
    """
    share = min(1.0, min(PER_CODE * codes, MOST) / sum(total for _, total in batches))
    parts: list[torch.Tensor] = []
    for z, total in batches:
        numbers = pick(total, max(1, int(total * share)), random)
        parts.append(comm.all_reduce(own_rows(z, numbers, comm.rank).float()))
    sample, device = torch.cat(parts), parts[0].device
    centres, counts = torch.zeros(codes, sample.shape[1]), torch.zeros(codes, dtype=torch.int64)
    if comm.rank == 0:
        centres, counts = k_means(sample.cpu(), codes, random)
    centres, counts = comm.broadcast(centres.to(device)), comm.broadcast(counts.to(device))
    return centres, counts.double() / len(sample)


def k_means(sample: torch.Tensor, codes: int, random: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Centres of a sample, by Lloyd's rounds from k-means++ seeds (Arthur & Vassilvitskii 2007).

    A centre that loses all its encodings stays where it is. With fewer different encodings than codes some centres are equal.

    Args:
        sample: float32 [M, D], on the CPU.
        codes: K.
        random: where the seeds come from.

    Returns:
        float32 [K, D], and the encodings of each, int64 [K].
    """
    middle = sample.double().mean(0).float()  # far from 0, differences of squares would drown in rounding
    sample = sample - middle
    few = pick(len(sample), min(len(sample), SEEDS_PER_CODE * codes), random)
    seeds = sample[few]
    centres = seeds[_seeds(seeds, codes, random)]
    columns = sample.t().unsqueeze(0)  # [1, D, M]
    for _ in range(ROUNDS):
        found = assign(columns, centres, with_sums=True)
        assert found.sums is not None
        means = found.sums / found.counts.clamp(min=1).unsqueeze(1)
        centres = torch.where(found.counts.unsqueeze(1) > 0, means.float(), centres)
    return centres + middle, assign(columns, centres, with_sums=False).counts


def _seeds(sample: torch.Tensor, codes: int, random: torch.Generator) -> torch.Tensor:
    """Numbers of encodings, each drawn with probability proportional to the squared distance to those drawn before."""
    draws = torch.rand(codes, generator=random, dtype=torch.float64)
    squares = sample.square().sum(1)
    far = torch.ones(len(sample))
    chosen = torch.empty(codes, dtype=torch.int64)
    for number in range(codes):
        heights = far.cumsum(0, dtype=torch.float64)
        at = int(torch.searchsorted(heights, draws[number] * heights[-1], right=True).clamp(max=len(sample) - 1))
        chosen[number] = at
        distances = torch.addmv(squares + squares[at], sample, sample[at], alpha=-2).clamp_(min=0)
        distances[at] = 0
        far = distances if number == 0 else torch.minimum(far, distances)
    return chosen


def uniform(codes: int, dim: int, seed: int) -> torch.Tensor:
    """Random vectors in ±1/K, float32 [K, D]; the same for the same seed."""
    return (torch.rand((codes, dim), generator=generator(seed, -2)) * 2 - 1) / codes
