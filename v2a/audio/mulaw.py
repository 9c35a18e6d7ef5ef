"""Samples as 256 classes: mu-law companding (ITU-T G.711; for WaveNet van den Oord et al. 2016, section 2.2)."""

from __future__ import annotations

import math

import torch

from v2a.audio.normalise import as_wave

CLASSES = 256
SILENCE = 128  # the class of a sample of 0
_MU = CLASSES - 1


def classes_of(audio: torch.Tensor) -> torch.Tensor:
    """int64 classes, 0 to 255 from low to high, of int16 samples of any shape."""
    wave = as_wave(audio)
    companded = wave.sign() * torch.log1p(_MU * wave.abs()) / math.log1p(_MU)
    return ((companded + 1) / 2 * _MU + 0.5).floor().clamp(0, _MU).long()


def wave_of(classes: torch.Tensor) -> torch.Tensor:
    """float32 samples of full scale 1, the middle of each class; next to 0 a class is 1.7e-4 wide, at full scale 0.04."""
    companded = 2 * classes.float() / _MU - 1
    return companded.sign() * torch.expm1(companded.abs() * math.log1p(_MU)) / _MU
