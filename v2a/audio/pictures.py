"""Spectrograms to look at."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from matplotlib import colormaps

from v2a.audio.bands import FLOOR, Bands

_ROWS = 3  # pixels of a band
_GAP = 4  # pixels between two spectrograms


def draw_spectrograms(waves: Sequence[torch.Tensor], bands: Bands) -> torch.Tensor:
    """Mel spectrograms under each other, low notes below, -70 to 0 dB of the first one's loudest: uint8 [H, W, 3]."""
    powers = [bands.power(wave[None])[0] for wave in waves]
    loudest = max(float(powers[0].max()), FLOOR)
    rows = []
    for power in powers:
        level = 1 + (power / loudest).clamp(min=1e-7).log10() / 7
        colours = torch.from_numpy(colormaps["magma"](level.clamp(0, 1).flip(0).numpy())[..., :3])
        rows += [
            (colours * 255).byte().repeat_interleave(_ROWS, 0),
            torch.full((_GAP, power.shape[1], 3), 255, dtype=torch.uint8),
        ]
    return torch.cat(rows[:-1])
