"""Our encoder and decoder: residual networks around a cosine transform, that see a group of latent steps at once."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn
from torch.nn.functional import pad

from v2a.models.config import Model
from v2a.models.cosines import cosines, patches, unpatches


class ResidualEncoder(nn.Module):
    """[B, 3, T, H, W], -1 to 1, to [B, D, t, h, w], the same for all steps of a group.

    A linear transform of the whole group's block, which starts as cosines, plus what a residual network adds to it. A last group
    that is cut short is filled up with its last frame.
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        self._group, self._stride = model.group, model.product
        self._block = (model.group * model.product[0], *model.product[1:])
        size = 3 * math.prod(self._block)
        # Numbers near 1 in the weight: AdamW's steps are of one size whatever the weight's.
        self.linear = nn.Parameter(cosines(self._block, model.dim) * math.sqrt(size))
        narrow = model.narrow
        self.enter = nn.Conv3d(3 * math.prod(model.product), narrow, 1)
        self.fine = Residual(narrow, dims=3)
        self.merge = nn.Conv2d(narrow * model.group, model.channels, 1)
        self.blocks = nn.Sequential(*(Residual(model.channels, dims=2) for _ in range(model.encoder_blocks)))
        self.leave = _silent(nn.Conv2d(model.channels, model.dim, 1))
        _slow(self.parameters(), model.slow)

    def forward(self, video: torch.Tensor) -> torch.Tensor:
        """Encodings of a video."""
        batch, _, frames, _, _ = video.shape
        steps = frames // self._stride[0]
        short = -frames % self._block[0]
        if short:
            video = torch.cat([video, video[:, :, -1:].expand(-1, -1, short, -1, -1)], 2)
        groups = _apart(video, self._block[0])  # [B g, 3, G st, H, W]
        z = _at_each_place(self.linear / self.linear.shape[1], patches(groups, self._block).squeeze(2))
        x = self.fine(self.enter(patches(groups, self._stride)))  # [B g, N, G, h, w]
        z = z + self.leave(self.blocks(self.merge(x.flatten(1, 2)))) * _SMALL
        return _together(z.unsqueeze(2), batch).repeat_interleave(self._group, 2)[:, :, :steps]


class ResidualDecoder(nn.Module):
    """[B, D, t, h, w] to [B, 3, T, H, W], 0 to 1: the sum of a group's vectors is all that is known of its frames.

    In training the video may leave 0 to 1: what lies beyond still has a gradient.
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        self._group = model.group
        self._block = (model.group * model.product[0], *model.product[1:])
        self._last, self._up = model.steps
        size = 3 * math.prod(self._block)
        self.linear = nn.Parameter(cosines(self._block, model.dim).t().contiguous() * math.sqrt(size))
        self.enter = nn.Conv2d(model.dim, model.channels, 3, padding=1)
        self.blocks = nn.Sequential(*(Residual(model.channels, dims=2) for _ in range(model.blocks)))
        self.split = nn.Conv2d(model.channels, model.narrow * model.group, 1)
        self.fine = Residual(model.narrow, dims=3)
        self.finer = nn.Conv3d(model.narrow, model.narrow // 2 * math.prod(self._up), 1)
        self.finest = Residual(model.narrow // 2, dims=3)
        self.leave = _silent(nn.Conv3d(model.narrow // 2, 3 * math.prod(self._last), 1))
        _slow([self.linear], model.slow)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """The video of codes' vectors."""
        batch, _, steps, _, _ = vectors.shape
        short = -steps % self._group
        z = _apart(pad(vectors, (0, 0, 0, 0, 0, short)), self._group).sum(2)  # [B g, D, h, w]
        whole = _at_each_place(self.linear, z).unsqueeze(2)
        x = self.split(self.blocks(self.enter(z * _LARGE)))
        x = x.view(len(z), -1, self._group, *z.shape[2:])  # [B g, N, G, h, w]
        x = self.finest(unpatches(self.finer(self.fine(x)), self._up))
        video = unpatches(whole, self._block) + unpatches(self.leave(x), self._last) * _SMALL
        video = _together(video, batch)[:, :, : steps * self._block[0] // self._group] * 0.5 + 0.5
        return video if self.training else video.clamp(0, 1)


class Residual(nn.Module):
    """x + convolution(ReLU(convolution(ReLU(x)))), of 3 numbers along each axis; at first x alone."""

    def __init__(self, channels: int, dims: int) -> None:
        super().__init__()
        kind = {2: nn.Conv2d, 3: nn.Conv3d}[dims]
        self.layers = nn.Sequential(
            nn.ReLU(),
            kind(channels, channels, 3, padding=1),
            nn.ReLU(),
            _silent(kind(channels, channels, 3, padding=1)),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Of the input's shape."""
        return x + torch.as_tensor(self.layers(x))


def _at_each_place(matrix: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """[out, in] times the channels of [B, in, h, w]: [B, out, h, w].

    `einsum` would copy x first, and `@` rounds otherwise when it keeps gradients.
    """
    return nn.functional.conv2d(x, matrix[:, :, None, None])


def _apart(x: torch.Tensor, length: int) -> torch.Tensor:
    """[B, C, g * length, H, W] to [B * g, C, length, H, W]."""
    batch, channels, _, height, width = x.shape
    return x.reshape(batch, channels, -1, length, height, width).transpose(1, 2).flatten(0, 1)


def _together(x: torch.Tensor, batch: int) -> torch.Tensor:
    """The inverse of `_apart`."""
    return x.reshape(batch, -1, *x.shape[1:]).transpose(1, 2).flatten(2, 3)


# What the networks add is small beside the transform: encodings are a tenth and corrections a tenth of the picture's range.
_SMALL = 0.1
_LARGE = 10.0


def _slow(parameters: Iterable[nn.Parameter], factor: float) -> None:
    """Let them learn at this share of the learning rate (`v2a.training.schedule.parameter_groups`)."""
    for parameter in parameters:
        parameter.lr_factor = factor  # type: ignore[attr-defined]


def _silent(layer: nn.Module) -> nn.Module:
    """The layer with weights and bias of zero, so that at first it adds nothing."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer
