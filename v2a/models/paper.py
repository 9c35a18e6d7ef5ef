"""The paper's encoder and decoder: two 3D convolutions with ReLU, and the same backwards."""

from __future__ import annotations

from torch import nn

from v2a.models.config import Model

# A kernel reaches one number beyond its stride on each side: neighbours overlap by two, and lengths divide exactly, back and forth.
_BEYOND = 1


def paper_encoder(model: Model) -> nn.Module:
    """[B, 3, T, H, W] to [B, D, t, h, w]: convolution, ReLU, convolution, ReLU, projection to D."""
    first, second = model.steps
    half = model.channels // 2
    return nn.Sequential(
        nn.Conv3d(3, half, _kernel(first), first, _BEYOND),
        nn.ReLU(),
        nn.Conv3d(half, model.channels, _kernel(second), second, _BEYOND),
        nn.ReLU(),
        nn.Conv3d(model.channels, model.dim, 1),
    )


def paper_decoder(model: Model) -> nn.Module:
    """[B, D, t, h, w] to [B, 3, T, H, W], 0 to 1: transposed convolutions and ReLU in turn, then a sigmoid."""
    first, second = model.steps
    half = model.channels // 2
    return nn.Sequential(
        nn.Conv3d(model.dim, model.channels, 1),
        nn.ReLU(),
        nn.ConvTranspose3d(model.channels, half, _kernel(second), second, _BEYOND),
        nn.ReLU(),
        nn.ConvTranspose3d(half, 3, _kernel(first), first, _BEYOND),
        nn.Sigmoid(),
    )


def _kernel(stride: tuple[int, int, int]) -> tuple[int, int, int]:
    return stride[0] + 2 * _BEYOND, stride[1] + 2 * _BEYOND, stride[2] + 2 * _BEYOND
