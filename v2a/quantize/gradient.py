"""The paper's quantizer: the codebook follows the gradient of the quantization loss."""

from __future__ import annotations

import torch
from torch import nn

from v2a.comm import Comm
from v2a.quantize.base import Quantizer
from v2a.quantize.config import Settings
from v2a.quantize.start import uniform


class GradientQuantizer(Quantizer):
    """loss = mean (sg[z] - e)² + beta mean (z - sg[e])², equation 3 of van den Oord et al. 2017 (arXiv 1711.00937).

    The first term moves the codebook to the encodings, the second the encodings to the codebook. The codebook is a parameter: its
    gradient is averaged over ranks with all others, which for equal shares is the gradient of the whole batch.

    `settings.lr_factor` becomes an attribute of the codebook, which the training loop reads. The gradient of a mean over many
    encodings is thin; AdamW's steps don't depend on its size.

    With restarts, which the paper does not have: the optimizer keeps its averages of a code that restarts, but a dead code had no
    gradient for long, so its momentum is gone.

    The arguments are those of `Quantizer`.
    """

    codebook: nn.Parameter

    def __init__(self, settings: Settings, dim: int, comm: Comm, seed: int = 0) -> None:
        super().__init__(settings, dim, comm, seed)
        self.codebook = nn.Parameter(uniform(settings.codes, dim, seed))
        self.codebook.lr_factor = settings.lr_factor  # type: ignore[attr-defined]  # v2a.training.schedule reads it

    def _place(self, rows: torch.Tensor, vectors: torch.Tensor, use: torch.Tensor) -> None:
        del use
        self.codebook[rows] = vectors

    def _move(self, sums: torch.Tensor | None) -> None:
        """The optimizer moves it."""
