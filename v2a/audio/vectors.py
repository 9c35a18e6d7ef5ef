"""What the decoders see of a code: its vector in stage 1's codebook."""

from __future__ import annotations

import torch
from torch import nn


class CodeVectors(nn.Module):
    """Codes to standardised vectors; the codebook is stage 1's and stays as it is.

    Args:
        codebook: [K, D].
    """

    codebook: torch.Tensor

    def __init__(self, codebook: torch.Tensor) -> None:
        super().__init__()
        codebook = codebook.detach().float()
        # One scale for all dimensions: how far codes lie apart in each is what stage 1 learned.
        scale = (codebook - codebook.mean(0)).square().mean().sqrt().clamp(min=1e-8)
        self.register_buffer("codebook", (codebook - codebook.mean(0)) / scale)

    @property
    def count(self) -> int:
        """K."""
        return len(self.codebook)

    @property
    def dim(self) -> int:
        """D."""
        return int(self.codebook.shape[1])

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        """[B, t, h, w] to [B, D, t, h, w]."""
        return nn.functional.embedding(codes, self.codebook).movedim(-1, 1)
