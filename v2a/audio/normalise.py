"""Samples as the decoders see them: the paper's tanh normalisation, and its inverse."""

from __future__ import annotations

import torch

_MOST = 0.9999  # atanh ends at 1


def normalise(audio: torch.Tensor, gain: float = 1.0) -> torch.Tensor:
    """tanh(gain x), the range of the decoder's final tanh (section 3.2 of the paper): float32, -1 to 1, of int16 samples."""
    return torch.tanh(gain * as_wave(audio))


def denormalise(sound: torch.Tensor, gain: float = 1.0) -> torch.Tensor:
    """The inverse, as float samples of full scale 1: float32, clipped to -1 to 1."""
    return (torch.atanh(sound.float().clamp(-_MOST, _MOST)) / gain).clamp(-1, 1)


def as_wave(audio: torch.Tensor) -> torch.Tensor:
    """int16 samples as float32, -1 to 1."""
    return audio.float() / 32768


def as_samples(sound: torch.Tensor) -> torch.Tensor:
    """Float samples as int16, clipped."""
    return (sound.float() * 32767).round().clamp(-32768, 32767).to(torch.int16)
