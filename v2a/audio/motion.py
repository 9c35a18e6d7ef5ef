"""What moves in a video, seen apart from everything that stands still."""

from __future__ import annotations

import torch
from torch import nn

_STACKED = 3  # differences that are seen together
_FIRST, _CHANNELS, _KINDS = 24, 48, 32
_DEEP = 2
_LARGE = 4.0  # brings differences, whose deviation is about a quarter of the frames', near 1


class Motion(nn.Module):
    """Differences of frames from those around them, [B, 3, T, H, W], to features [B, `features`, T].

    A ball is a hundredth of a picture. Where convolutions see it together with the wall behind it, whose bricks are all over the
    frame, they hear of the wall (docs/LOG.md); here the wall of a fixed camera is zero. Convolutions over time and over place in
    turn find how it moves: what falls and then flies up has hit something. Of each kind of motion go on its largest and the
    logarithm of its sum over the frame; of each channel its mean.
    """

    features = 2 * _KINDS + _CHANNELS

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Sequential(
            nn.Conv2d(3 * _STACKED, _FIRST, 5, 2, 2), nn.GroupNorm(1, _FIRST), nn.SiLU(),
            nn.Conv2d(_FIRST, _CHANNELS, 3, 2, 1), nn.GroupNorm(1, _CHANNELS), nn.SiLU(),
        )  # fmt: skip
        self.enter.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # torch's stubs want a tensor with it
        self.over_time = nn.ModuleList(nn.Conv2d(_CHANNELS, _CHANNELS, (3, 1), padding=(1, 0)) for _ in range(_DEEP))
        self.over_place = nn.ModuleList(nn.Conv2d(_CHANNELS, _CHANNELS, 3, padding=1) for _ in range(_DEEP))
        self.norms = nn.ModuleList(nn.GroupNorm(1, _CHANNELS) for _ in range(2 * _DEEP))
        self.kinds = nn.Conv2d(_CHANNELS, _KINDS, 1)

    def forward(self, differs: torch.Tensor) -> torch.Tensor:
        """Features of each frame."""
        batch, _, count, _, _ = differs.shape
        small = nn.functional.avg_pool3d(differs, (1, 2, 2)) * _LARGE
        padded = nn.functional.pad(small, (0, 0, 0, 0, 1, 1)).permute(0, 2, 3, 4, 1)
        stacked = torch.cat([padded[:, k : k + count] for k in range(_STACKED)], dim=-1)
        found = self.enter(stacked.flatten(0, 1).permute(0, 3, 1, 2))  # [B T, C, h, w], channels last in memory
        for number, (over_time, over_place) in enumerate(zip(self.over_time, self.over_place, strict=True)):
            found = found + nn.functional.silu(self.norms[2 * number](_along(over_time, found, batch)))
            found = found + nn.functional.silu(self.norms[2 * number + 1](over_place(found)))
        kinds = self.kinds(found).flatten(2).float()
        covered = nn.functional.softplus(2 * kinds).mean(-1).add(1e-4).log()
        gathered = torch.cat([kinds.amax(-1), covered, found.flatten(2).float().mean(-1)], dim=1)
        return gathered.view(batch, count, -1).transpose(1, 2)


def mean_around(frames: torch.Tensor, reach: int) -> torch.Tensor:
    """Mean of the frames up to `reach` before and after each: [B, C, T, H, W] to the same; at the ends of those that are there."""
    number = torch.arange(frames.shape[2], device=frames.device)
    near = ((number[:, None] - number).abs() <= reach).to(frames.dtype)
    return torch.matmul(near / near.sum(1, keepdim=True), frames.flatten(3)).view_as(frames)


def _along(layer: nn.Module, values: torch.Tensor, batch: int) -> torch.Tensor:
    """A convolution over time at each place: [B T, C, h, w] to the same."""
    _, channels, rows, columns = values.shape
    found: torch.Tensor = layer(values.view(batch, -1, channels, rows * columns).transpose(1, 2))  # [B, C, T, h w]
    return found.transpose(1, 2).reshape(-1, channels, rows, columns)
