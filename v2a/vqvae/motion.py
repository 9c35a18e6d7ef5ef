"""Where a video moves: weights that keep small moving things, which the mean squared error alone gives up."""

from __future__ import annotations

import torch

_STILL = 0.02  # of the range of colours: less than this is noise, not motion


def motion_weight(video: torch.Tensor, strength: float) -> torch.Tensor:
    """Weight of each pixel's squared error, with a mean of 1 over each clip.

    1 + strength * d / (mean of d + 0.02), divided by its mean, where d is a pixel's distance from its own mean over time, the mean
    of the colours. An aeroplane in a clear sky weighs as much as many pixels of sky; where all moves, as under a moving
    camera, all weigh about the same.

    Args:
        video: [B, 3, T, H, W], 0 to 1.
        strength: 0 for the plain mean squared error.

    Returns:
        [B, 1, T, H, W].
    """
    moved = (video - video.mean(2, keepdim=True)).abs().mean(1, keepdim=True)
    weight = 1 + strength * moved / (_mean(moved) + _STILL)
    return weight / _mean(weight)


def _mean(values: torch.Tensor) -> torch.Tensor:
    return values.mean(dim=(1, 2, 3, 4), keepdim=True)
