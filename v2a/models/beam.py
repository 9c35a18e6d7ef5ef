"""Codes of all stages chosen together, by beam search: nearer than each stage's nearest after the other.

Babenko & Lempitsky 2014 ("Additive quantization", section 3.1) and others since. Of each encoding the best few sums of vectors
so far are kept, and each is continued by every code of the next stage.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

# Paths times codes whose errors are held at once: 4 MB, which stay in a core's cache; 32 MB took half as long again.
_ERRORS = 2**20
_PIECE = 64  # codes whose minimum is looked at before they are


@torch.no_grad()
def search(z: torch.Tensor, codebooks: Sequence[torch.Tensor], width: int) -> torch.Tensor:
    """One code of each stage for every encoding, so that the vectors' sum is near it; width 1 is each stage's nearest.

    Args:
        z: float32 [B, D, S].
        codebooks: of the stages, each float32 [K, D].
        width: paths kept after each stage, from 1 to K.

    Returns:
        int64 [B, stages, S].
    """
    batch, _, positions = z.shape
    length = max(1, _ERRORS // (width * len(codebooks[0])))
    codes = torch.empty((batch, len(codebooks), positions), dtype=torch.int64, device=z.device)
    halves = [codebook.square().sum(1) / 2 for codebook in codebooks]
    for clip in range(batch):
        for start in range(0, positions, length):
            here = slice(start, start + length)
            codes[clip, :, here] = _paths(z[clip, :, here].t(), codebooks, halves, width)
    return codes


def _paths(
    rows: torch.Tensor, codebooks: Sequence[torch.Tensor], halves: Sequence[torch.Tensor], width: int
) -> torch.Tensor:
    """Codes [stages, S] of rows [S, D]."""
    rest = rows.unsqueeze(1)  # [S, paths, D]: what each path leaves
    errors = rest.square().sum(2) / 2
    chosen: list[torch.Tensor] = []  # of each stage so far, [S, paths]
    for codebook, half in zip(codebooks, halves, strict=True):
        count, paths, dim = rest.shape
        # ||r - e||²/2 = ||r||²/2 + (||e||²/2 - r·e)
        scores = torch.addmm(half, rest.reshape(-1, dim), codebook.t(), alpha=-1)
        errors, kept = _smallest(scores.view(count, paths, -1), errors, width)
        path, code = kept // len(codebook), kept % len(codebook)
        chosen = [before.gather(1, path) for before in chosen] + [code]
        rest = rest.gather(1, path.unsqueeze(2).expand(-1, -1, dim)) - codebook[code]
    best_path = rest.square().sum(2).argmin(1, keepdim=True)  # not by `errors`, which have gathered rounding
    return torch.stack([codes.gather(1, best_path).squeeze(1) for codes in chosen])


def _smallest(scores: torch.Tensor, errors: torch.Tensor, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The `width` smallest of scores [S, paths, K] + errors [S, paths], with their places in paths * K: each [S, width] or fewer.

    They lie in the `width` pieces whose minima are smallest; a minimum is vectorised and `topk` is not (docs/LOG.md).
    """
    count, paths, codes = scores.shape
    piece = math.gcd(codes, _PIECE)
    pieces = scores.view(count, paths, -1, piece)
    minima = (pieces.amin(3) + errors.unsqueeze(2)).flatten(1)  # [S, paths * K / piece]
    where = minima.topk(min(width, minima.shape[1]), dim=1, largest=False).indices
    found = pieces.view(count, -1, piece).gather(1, where.unsqueeze(2).expand(-1, -1, piece))
    found = found + errors.gather(1, where // (codes // piece)).unsqueeze(2)  # [S, width, piece]
    best, place = found.flatten(1).topk(min(width, found.shape[1] * piece), dim=1, largest=False)
    return best, where.gather(1, place // piece) * piece + place % piece
