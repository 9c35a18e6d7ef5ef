"""Codes of a group of latent steps that describe one encoding together, each refining those before it.

Residual quantization (Chen et al. 2010; for learned codecs Zeghidour et al. 2021, SoundStream, section III-C), with the stages laid
out along time: what stands still over a group's steps gets all of their bits, and a clip has as many codes as without groups.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.functional import pad

from v2a.comm import Comm
from v2a.models.beam import search
from v2a.quantize.base import Quantized, Quantizer
from v2a.quantize.config import Settings
from v2a.quantize.make import make_quantizer
from v2a.quantize.nearest import nearest


class StagedQuantizer(nn.Module):
    """One codebook for each step of a group; the sum of a group's vectors is what the decoder gets.

    It has the methods of a `Quantizer`. Of a last group that is cut short there are only the first codes.

    Args:
        settings: of each codebook.
        dim: D.
        group: latent steps, G.
        comm: the ranks that train together.
        seed: of every choice; the same on all ranks.
        beam: in evaluation, how many sums of vectors are kept while a group's codes are looked for (`v2a.models.beam`); in
            training, and with 1, each stage takes its nearest.

    Attributes:
        codes: of each codebook, K.
        stages: the codebooks, G.
        beam: as given; may be changed.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what a Quantizer takes, and two of its own
        self, settings: Settings, dim: int, group: int, comm: Comm, seed: int = 0, beam: int = 1
    ) -> None:
        super().__init__()
        self.beam = beam
        self.settings, self.dim, self.codes = settings, dim, settings.codes
        self.stages = nn.ModuleList(make_quantizer(settings, dim, comm, seed + stage) for stage in range(group))

    def forward(self, z: torch.Tensor) -> Quantized:
        """Codes of encodings [B, D, t, h, w] that are the same for all steps of a group; in training the codebooks learn.

        The gradient of the vectors' sum passes straight through to the encoding.

        Raises:
            ValueError: see `Quantizer.forward`.
        """
        if z.ndim != 5:
            raise ValueError(f"expected encodings [B, {self.dim}, t, h, w], but got {tuple(z.shape)}")
        steps, group = z.shape[2], len(self.stages)
        rest = z[:, :, ::group]
        vectors: list[torch.Tensor] = []
        codes: list[torch.Tensor] = []
        losses: list[torch.Tensor] = []
        chosen = self._search(rest)
        for number, stage in enumerate(self.stages):
            found: Quantized = stage(rest, None if chosen is None else chosen[:, number])
            vectors.append(found.vectors.detach() if vectors else found.vectors)
            rest = rest.float() - found.vectors.detach()
            codes.append(found.codes)
            losses.append(found.loss)
        error = rest.detach().square().mean()
        together = torch.stack(vectors, 3).flatten(2, 3)[:, :, :steps]
        return Quantized(together, torch.stack(codes, 2).flatten(1, 2)[:, :steps], torch.stack(losses).mean(), error)

    def _search(self, z: torch.Tensor) -> torch.Tensor | None:
        """Codes [B, G, t, h, w] of encodings [B, D, t, h, w]; None when each stage takes its nearest."""
        if self.training or self.beam == 1:
            return None
        codebooks = [stage.codebook for stage in self._quantizers()]
        with torch.autocast(z.device.type, enabled=False):
            found = search(z.detach().float().flatten(2), codebooks, self.beam)
        return found.view(len(z), len(codebooks), *z.shape[2:])

    @torch.no_grad()
    def codes_to_vectors(self, codes: torch.Tensor) -> torch.Tensor:
        """The inverse: float32 [B, D, t, h, w] of integer codes [B, t, h, w].

        Raises:
            ValueError: see `Quantizer.codes_to_vectors`; no steps in time.
        """
        if codes.ndim != 4:
            raise ValueError(f"expected codes [B, t, h, w], but got {tuple(codes.shape)}")
        group = len(self.stages)
        parts: list[torch.Tensor] = [
            stage.codes_to_vectors(codes[:, step::group]) for step, stage in enumerate(self._quantizers())
        ]
        longest = parts[0].shape[2]
        full = [pad(part, (0, 0, 0, 0, 0, longest - part.shape[2])) for part in parts]
        return torch.stack(full, 3).flatten(2, 3)[:, :, : codes.shape[1]]

    def wanted(self) -> int:
        """Encodings of each rank that `begin` would like, each counted for all steps of its group; 0 for none."""
        return self._quantizers()[0].wanted() * len(self.stages)

    @torch.no_grad()
    def begin(self, encodings: Sequence[torch.Tensor]) -> None:
        """Start each codebook from what those before it leave of many batches' encodings; see `Quantizer.begin`."""
        if not self.wanted():
            return
        rests = [z[:, :, :: len(self.stages)].float() for z in encodings]
        for stage in self._quantizers():
            stage.begin(rests)
            # Not the stage itself: in training it would learn.
            rests = [rest - nearest(rest, stage.codebook) for rest in rests]

    def usage(self) -> float:
        """Mean over the codebooks of the share of their codes that were used since `reset_usage`."""
        return sum(stage.usage() for stage in self._quantizers()) / len(self.stages)

    def perplexity(self) -> float:
        """Mean over the codebooks, 1 to K; 0 before any code was used."""
        return sum(stage.perplexity() for stage in self._quantizers()) / len(self.stages)

    def reset_usage(self) -> None:
        """Begin to count anew; on all ranks at the same step."""
        for stage in self._quantizers():
            stage.reset_usage()

    def _quantizers(self) -> list[Quantizer]:
        return [stage for stage in self.stages if isinstance(stage, Quantizer)]
