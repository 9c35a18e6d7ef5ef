"""Moments at which something begins to sound: found in the truth, told from the picture, and what follows each of them.

A blow whose moment is known only to within a frame of video has no sharp mean, so a network that must give the power of each 10 ms
smears it or leaves it out. Here the moments come first: in training those of the truth, to which the network draws what follows,
and which it learns to tell; later those that it tells itself.
"""

from __future__ import annotations

import math

import torch

from v2a.audio.bands import FLOOR, smooth

# As `v2a.metrics.onsets` finds them, but for where a peak's prominence is looked for.
_LAG = 2  # control frames of about 10 ms
_PROMINENCE_DB = 2.0
_APART = 5
_VALLEY = 20
# Chosen by F1 on training clips of impacts, where wider (8) and stricter (0.4) lose a fifth of the onsets (docs/LOG.md).
_NEAR = 5  # frames to each side over which a moment's probability is gathered
_LEAST = 0.2  # expected onsets there
_DECAYS = (3.0, 12.0, 48.0, 192.0)  # frames


def true_onsets(power: torch.Tensor) -> torch.Tensor:
    """Onsets in a sound's band powers [B, M, N]: 1 where one is, else 0, [B, N].

    Peaks of the spectral flux (mean over bands of the rise in dB over 20 ms, falls counted as 0; after Böck & Widmer 2013) that
    stand out by 2 dB from what lies within 200 ms before and after, 50 ms apart.
    """
    level = 10 * (power.float() + FLOOR).log10()
    rise = torch.nn.functional.pad(level[..., _LAG:] - level[..., :-_LAG], (_LAG, 0)).clamp(min=0)
    strength = smooth(rise.mean(1, keepdim=True), 3)  # [B, 1, N]
    low = torch.nn.functional.pad(-strength, (_VALLEY, _VALLEY), value=-math.inf)
    before, after = (
        -torch.nn.functional.max_pool1d(part, _VALLEY + 1, 1) for part in (low[..., :-_VALLEY], low[..., _VALLEY:])
    )
    stands_out = strength - torch.maximum(before, after) >= _PROMINENCE_DB
    return (stands_out & _is_peak(strength, _APART)).squeeze(1).to(power.dtype)


def onset_loss(logits: torch.Tensor, onsets: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of each frame's logit [B, N] against the truth's onsets [B, N], summed over the frames of 100 ms: scalar."""
    return torch.nn.functional.binary_cross_entropy_with_logits(logits.float(), onsets.float()) * 10


def told_onsets(logits: torch.Tensor) -> torch.Tensor:
    """Moments around which an onset is likely: 1 where one is, else 0, [B, N] of logits [B, N]."""
    likely = torch.sigmoid(logits.float()).unsqueeze(1)
    window = torch.hann_window(2 * _NEAR + 3, periodic=False, device=logits.device)[1:-1].view(1, 1, -1)
    expected = torch.nn.functional.conv1d(likely, window, padding=_NEAR)
    return ((expected >= _LEAST) & _is_peak(expected, _NEAR)).squeeze(1).to(logits.dtype)


def since_onsets(onsets: torch.Tensor) -> torch.Tensor:
    """How long ago the last onset was: exp(-frames / decay) for four decays, 0 before the first; [B, 4, N] of [B, N]."""
    numbers = torch.arange(onsets.shape[1], device=onsets.device, dtype=torch.float32)
    last = torch.where(onsets > 0, numbers, numbers.new_tensor(-math.inf)).cummax(dim=1).values
    ago = (numbers - last).unsqueeze(1)
    return torch.cat([(-ago / decay).exp() for decay in _DECAYS], dim=1)


def _is_peak(values: torch.Tensor, reach: int) -> torch.Tensor:
    """Whether each of [B, 1, N] is the largest within `reach` frames and above 0; of equals the first."""
    padded = torch.nn.functional.pad(values, (reach, reach), value=-math.inf)
    largest = torch.nn.functional.max_pool1d(padded, 2 * reach + 1, 1)
    before = torch.nn.functional.max_pool1d(padded[..., : -reach - 1], reach, 1)
    return (values == largest) & (values > before) & (values > 0)
