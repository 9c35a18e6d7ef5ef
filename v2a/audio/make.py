"""A decoder of sound by its settings."""

from __future__ import annotations

import torch

from v2a.audio.config import Decoder, Weights
from v2a.audio.fc import FullyConnected
from v2a.audio.framewise import Framewise
from v2a.audio.grid import Grid
from v2a.audio.vectors import Codebooks
from v2a.audio.wavenet import WaveNet

AudioDecoder = FullyConnected | Framewise | WaveNet


def make_decoder(settings: Decoder, weights: Weights, grid: Grid, codebooks: Codebooks, seed: int) -> AudioDecoder:
    """The decoder that `settings.name` names, on the CPU; the same weights for the same seed.

    Args:
        settings: sizes.
        weights: of the parts of the loss.
        grid: of a segment.
        codebooks: of stage 1.
        seed: the same on all ranks.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if settings.name == "fc":
            return FullyConnected(settings, grid, codebooks.vectors)
        if settings.name == "wavenet":
            return WaveNet(settings, grid, codebooks)
        return Framewise(settings, weights, grid, codebooks)
