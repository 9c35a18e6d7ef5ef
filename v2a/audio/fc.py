"""The paper's decoder of sound (section 3.2): all codes of a segment through fully connected layers to all of its samples."""

from __future__ import annotations

import torch
from torch import nn

from v2a.audio.config import Decoder
from v2a.audio.grid import Grid
from v2a.audio.normalise import denormalise, normalise
from v2a.audio.vectors import CodeVectors


class FullyConnected(nn.Module):
    """Vectors flattened to [B, t h w D], two hidden layers with ReLU, a last layer with tanh: [B, S], trained by MSE.

    At the paper's geometry with D = 16 and 512 hidden numbers: 230,400 x 512 + 512 x 512 + 512 x 160,000, about 2e8 weights.

    Args:
        settings: width and normalisation.
        grid: of a segment; this decoder takes no other length.
        codebooks: [G, K, D].
    """

    def __init__(self, settings: Decoder, grid: Grid, codebooks: torch.Tensor) -> None:
        super().__init__()
        self.grid, self._gain, self.input = grid, settings.gain, "codes"
        self.vectors = CodeVectors(codebooks)
        numbers = grid.steps * grid.rows * grid.columns * self.vectors.dim
        self.layers = nn.Sequential(
            nn.Linear(numbers, settings.hidden),
            nn.ReLU(),
            nn.Linear(settings.hidden, settings.hidden),
            nn.ReLU(),
            nn.Linear(settings.hidden, grid.steps * grid.samples),
        )

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        """Normalised sound [B, S], -1 to 1, of codes [B, t, h, w].

        Raises:
            ValueError: codes of another grid.
        """
        expected = (self.grid.steps, self.grid.rows, self.grid.columns)
        if tuple(codes.shape[1:]) != expected:
            raise ValueError(f"expected codes [B, {', '.join(map(str, expected))}], but got {list(codes.shape)}")
        return torch.tanh(self.layers(self.vectors(codes).flatten(1)))

    def loss(self, codes: torch.Tensor, audio: torch.Tensor) -> dict[str, torch.Tensor]:
        """MSE against the normalised truth, int16 [B, S]; and that of silence beside it."""
        truth = normalise(audio, self._gain)
        mse = (self(codes).float() - truth).square().mean()
        return {"loss": mse, "mse": mse, "mse_silence": truth.square().mean()}

    def sound(self, codes: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
        """Float samples of full scale 1, [B, S]; nothing is drawn."""
        del generator
        return denormalise(self(codes), self._gain)

    def excerpt(self, codes: torch.Tensor, generator: torch.Generator | None = None) -> tuple[torch.Tensor, slice]:
        """What is listened to in validation, and which samples that is: all of it."""
        return self.sound(codes, generator), slice(None)
