"""The sounds that are measured for a clip: those of the null baselines, and those of the models."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from v2a.evaluate.clips import fit_length
from v2a.evaluate.reference import Reference
from v2a.metrics.correlation import Array
from v2a.metrics.heard import SMOOTHED, Heard, smooth

if TYPE_CHECKING:
    import torch

    from v2a.audio.bands import Bands
    from v2a.audio.make import AudioDecoder

SHIFT_S = 0.5


def seed_of(seed: int, key: str, draw: int = 0) -> int:
    """Seed of what is drawn for a clip: the same in whatever order, in whichever process."""
    return int.from_bytes(hashlib.sha256(f"{seed} {key} {draw}".encode()).digest()[:6], "big")


def silence(samples: int) -> Array:
    """Nothing: zeros [samples]."""
    found: Array = np.zeros(samples, np.float32)
    return found


def shifted(truth: Array, sample_rate: int) -> Array:
    """The truth 0.5 s late, or half its length where that is less; before it, its beginning backwards: no silence, and no click."""
    late = min(round(SHIFT_S * sample_rate), len(truth) // 2)
    found: Array = np.concatenate([truth[:late][::-1], truth[: len(truth) - late]])
    return found


def mean_noise(reference: Reference, bands: Bands, samples: int, seed: int) -> Array:
    """Steady noise of the training clips' mean spectrum and mean level, dB both."""
    power = np.power(10, reference.spectrum_db / 10)[:, None].repeat(samples // bands.hop + 1, 1)
    wave = _draw(power, bands, seed)[:samples]
    loud = float(np.sqrt(np.square(wave, dtype=np.float64).mean()))
    found: Array = (wave * (10 ** (reference.level_db / 20) / max(loud, 1e-9))).astype(np.float32)
    return found


def redrawn(truth: Heard, bands: Bands, seed: int) -> Array:
    """The truth's own band powers over 110 ms as noise: what a decoder that draws noise reaches when it knows all of them."""
    power = smooth(truth.power.astype(np.float64), SMOOTHED)
    return fit_length(_draw(np.concatenate([power, power[:, -1:]], 1), bands, seed), len(truth.wave))


def model_sound(decoder: AudioDecoder, given: torch.Tensor, samples: int, seed: int) -> Array:
    """What a decoder draws for what it is given of a clip (`v2a.audio.given`), [1, …]: float32 [samples]."""
    import torch

    device = next(decoder.parameters()).device
    with torch.inference_mode():
        wave = decoder.sound(given.to(device), torch.Generator().manual_seed(seed))[0]
    return fit_length(wave.float().cpu().numpy(), samples)


def _draw(power: Array, bands: Bands, seed: int) -> Array:
    import torch

    from v2a.audio.synthesis import filtered_noise

    given = torch.from_numpy(np.ascontiguousarray(power, np.float32))[None]
    found: Array = filtered_noise(bands, given, torch.Generator().manual_seed(seed))[0].numpy()
    return found
