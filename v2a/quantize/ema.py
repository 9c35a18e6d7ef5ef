"""The quantizer whose codebook is a moving average of the encodings: what `model=residual` trains with."""

from __future__ import annotations

import torch

from v2a.comm import Comm
from v2a.quantize.base import Quantizer
from v2a.quantize.config import Settings
from v2a.quantize.start import uniform


class EmaQuantizer(Quantizer):
    """Appendix A.1 of van den Oord et al. 2017 (arXiv 1711.00937), equations 6 to 8; Razavi et al. 2019 use the same.

    Over all ranks, for code k of n_k encodings z in a step: N_k ← gamma N_k + (1 - gamma) n_k, m_k ← gamma m_k + (1 - gamma) Σ z,
    e_k = m_k / N_k. The loss is the commitment loss alone, beta mean (z - sg[e])². A step quantizes with the codebook of the steps
    before it.

    N and m are float64: sums over ranks then differ from those of one rank by less than what float32 shows, and N_k of a code that
    is never used does not reach 0 for 70,000 steps (no smoothing, which would draw such codes to the origin).

    The arguments are those of `Quantizer`.
    """

    _learns_sums = True
    sums: torch.Tensor

    def __init__(self, settings: Settings, dim: int, comm: Comm, seed: int = 0) -> None:
        super().__init__(settings, dim, comm, seed)
        self.register_buffer("codebook", uniform(settings.codes, dim, seed))
        self.register_buffer("sums", self.codebook.double())  # m, [K, D]; N is `use`

    def _place(self, rows: torch.Tensor, vectors: torch.Tensor, use: torch.Tensor) -> None:
        self.codebook[rows] = vectors
        self.sums[rows] = vectors.to(self.sums.dtype) * use.unsqueeze(1)

    def _move(self, sums: torch.Tensor | None) -> None:
        assert sums is not None
        self.sums.copy_(self.sums * self.settings.decay + sums * (1 - self.settings.decay))
        # A code that was never used keeps its place; so does one whose average has vanished.
        means = (self.sums / self.use.unsqueeze(1)).float()
        self.codebook.copy_(torch.where((self.use > 1e-200).unsqueeze(1), means, self.codebook))
