"""Cosine transform of blocks of video: where the residual network starts from, instead of from noise."""

from __future__ import annotations

import math

import torch

# Correlation of neighbouring numbers along time, rows and columns, by which the coefficients are ranked; 0.95 is the textbook's for
# pictures (Jain 1989, section 2.10), and time changes less.
_CORRELATION = (0.98, 0.95, 0.95)
# Rows: brightness and two differences of colour, orthonormal; and how much less the differences vary.
_COLOURS = ((1 / math.sqrt(3),) * 3, (1 / math.sqrt(2), 0.0, -1 / math.sqrt(2)), (0.5, -1.0, 0.5))
_COLOUR_SHARES = (1.0, 0.05, 0.02)


def cosines(block: tuple[int, int, int], count: int) -> torch.Tensor:
    """The coefficients of largest expected variance of a block of colour video, with their basis vectors.

    Args:
        block: frames, rows, columns.
        count: coefficients, at most the numbers of a block.

    Returns:
        float32 [count, 3 * frames * rows * columns], orthonormal rows, in the order of `patches`' channels.

    Raises:
        ValueError: more coefficients than numbers.
    """
    size = 3 * math.prod(block)
    if count > size:
        raise ValueError(f"expected at most {size} coefficients of a block of {block}, but got {count}")
    bases = [_basis(length) for length in block]
    variances = [
        torch.einsum("kn,nm,km->k", basis, _markov(length, rho), basis)
        for basis, length, rho in zip(bases, block, _CORRELATION, strict=True)
    ]
    colours = torch.tensor(_COLOURS, dtype=torch.float64)
    colours = colours / colours.norm(dim=1, keepdim=True)
    shares = torch.tensor(_COLOUR_SHARES, dtype=torch.float64)
    expected = torch.einsum("c,t,h,w->cthw", shares, *variances).flatten()
    best = expected.argsort(descending=True, stable=True)[:count]
    places = torch.stack(torch.unravel_index(best, (3, *block)), 1).tolist()
    rows = [
        torch.einsum("c,t,h,w->cthw", colours[c], bases[0][t], bases[1][h], bases[2][w]).flatten()
        for c, t, h, w in places
    ]
    return torch.stack(rows).float()


def _basis(length: int) -> torch.Tensor:
    """Orthonormal cosines (DCT-II), float64 [length, length], one a row."""
    places = torch.arange(length, dtype=torch.float64)
    basis = torch.cos(math.pi / length * torch.outer(places, places + 0.5)) * math.sqrt(2 / length)
    basis[0] /= math.sqrt(2)
    return basis


def _markov(length: int, rho: float) -> torch.Tensor:
    """Covariance of numbers whose neighbours correlate by rho, float64 [length, length]."""
    places = torch.arange(length, dtype=torch.float64)
    return rho ** (places.unsqueeze(0) - places.unsqueeze(1)).abs()


def patches(video: torch.Tensor, block: tuple[int, int, int]) -> torch.Tensor:
    """[B, C, T, H, W] to [B, C * frames * rows * columns, T / frames, H / rows, W / columns]: each block's numbers as channels."""
    batch, channels, *lengths = video.shape
    (time, rows, columns), (t, h, w) = block, (length // part for length, part in zip(lengths, block, strict=True))
    split = video.reshape(batch, channels, t, time, h, rows, w, columns)
    return split.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(batch, -1, t, h, w)


def unpatches(x: torch.Tensor, block: tuple[int, int, int]) -> torch.Tensor:
    """The inverse of `patches`."""
    batch, _, t, h, w = x.shape
    time, rows, columns = block
    split = x.reshape(batch, -1, time, rows, columns, t, h, w)
    return split.permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(batch, -1, t * time, h * rows, w * columns)
