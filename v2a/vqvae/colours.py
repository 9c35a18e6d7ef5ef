"""Random colours in training, so that a codebook knows more than those of the training videos."""

from __future__ import annotations

import torch

# Of differences from the clip's mean, at strength 1: ± this share; of the mean: brightness, and each channel alone.
_CONTRAST = 0.3
_BRIGHTNESS = 0.1
_CHANNEL = 0.04


def random_colours(video: torch.Tensor, strength: float) -> torch.Tensor:
    """Each clip in other colours, the same in all of its frames: channels exchanged, contrast and colours shifted.

    What is drawn is drawn on the CPU, so a seed means the same on every device.

    Args:
        video: [B, 3, T, H, W], 0 to 1.
        strength: 0 to 1: the share of clips that are changed, and by how much.

    Returns:
        Of the same shape, 0 to 1.
    """
    clips = len(video)
    order = torch.rand(clips, 3).argsort(1)
    order = torch.where(torch.rand(clips, 1) < strength / 2, order, torch.arange(3))
    gain = 1 + strength * _CONTRAST * (2 * torch.rand(clips, 1) - 1)
    shift = strength * (_BRIGHTNESS * torch.randn(clips, 1) + _CHANNEL * torch.randn(clips, 3))
    # Half of the clips keep their light: the true distribution counts most.
    kept = torch.rand(clips, 1) >= strength / 2
    gain, shift = torch.where(kept, torch.ones(()), gain), torch.where(kept, torch.zeros(()), shift)
    wide = (clips, -1, 1, 1, 1)
    order, gain, shift = (x.to(video.device) for x in (order, gain.view(wide), shift.view(wide)))
    exchanged = video.gather(1, order.view(wide).expand_as(video))
    mean = exchanged.mean((1, 2, 3, 4), keepdim=True)
    return ((exchanged - mean) * gain + mean + shift).clamp(0, 1)
