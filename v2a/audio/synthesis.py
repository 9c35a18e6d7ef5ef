"""Noise and tones from a spectral envelope over time: the framewise decoder's instrument.

After the harmonics-plus-noise model (Serra & Smith 1990; DDSP, Engel et al. 2020), with one envelope for both: where the sound is
tonal, the power that a band would have as noise goes into the harmonics that fall into it. So the envelope alone decides the power.
"""

from __future__ import annotations

import math

import torch

from v2a.audio.bands import Bands

_HARMONICS = 48


def synthesise(
    bands: Bands,
    power: torch.Tensor,
    tonal: torch.Tensor,
    pitch: torch.Tensor,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """A sound of S = N * hop samples.

    Args:
        bands: the grid.
        power: of each band, [B, M, N].
        tonal: share of it in harmonics, [B, M, N], 0 to 1.
        pitch: Hz, [B, N].
        generator: of the noise and of the harmonics' phases, on the CPU, so that a seed means the same on every device.

    Returns:
        [B, S], float32.
    """
    with torch.autocast(power.device.type, enabled=False):
        power, tonal, pitch = power.float(), tonal.float(), pitch.float()
        noise = filtered_noise(bands, power * (1 - tonal), generator)
        return noise + harmonics(bands, power * tonal, pitch, generator)


def filtered_noise(bands: Bands, power: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
    """White noise through the envelope [B, M, N], by its short-time spectra: [B, N * hop]."""
    batch, _, frames = power.shape
    samples = frames * bands.hop
    white = torch.randn(batch, samples, generator=generator).to(power.device)
    spectrum = bands.spectrum(white) * bands.to_bins(power).clamp(min=1e-12).sqrt()
    spectrum = torch.cat([spectrum, spectrum[..., -1:]], dim=-1)  # the frame at the very end
    return torch.istft(spectrum, bands.size, bands.hop, window=bands.hann, center=True, length=samples)


def harmonics(
    bands: Bands, power: torch.Tensor, pitch: torch.Tensor, generator: torch.Generator | None
) -> torch.Tensor:
    """Sines at the multiples of the pitch [B, N] that carry the envelope [B, M, N]: [B, N * hop].

    A harmonic stands for a strip as wide as the pitch: its power is the envelope's there times pitch / (sample rate / 2).
    """
    batch, _, frames = power.shape
    numbers = torch.arange(1, _HARMONICS + 1, device=power.device, dtype=torch.float32)
    at = pitch[:, None] * numbers[:, None]  # [B, K, N], Hz
    nyquist = bands.sample_rate / 2
    density = _look_up(bands.to_bins(power), at * (bands.size / bands.sample_rate))
    audible = ((nyquist - at) / (0.05 * nyquist)).clamp(0, 1)  # fades out below half the sample rate
    amplitude = (2 * density * pitch[:, None] / nyquist).clamp(min=1e-14).sqrt() * audible
    phase = 2 * math.pi * torch.cumsum(_to_samples(pitch[:, None], bands.hop)[:, 0].double() / bands.sample_rate, dim=1)
    start = 2 * math.pi * torch.rand(batch, _HARMONICS, 1, generator=generator).to(power.device)
    total = power.new_zeros(batch, frames * bands.hop)
    for k in range(_HARMONICS):  # one by one: all at once would need 48 times the memory
        angle = torch.remainder(phase * (k + 1), 2 * math.pi).float() + start[:, k]
        total = total + _to_samples(amplitude[:, k : k + 1], bands.hop)[:, 0] * torch.sin(angle)
    return total


def _look_up(values: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    """Of [B, F, N] at fractional places [B, K, N] along F."""
    low = place.floor().clamp(0, values.shape[1] - 2)
    part = (place - low).clamp(0, 1)
    index = low.long()
    return values.gather(1, index) * (1 - part) + values.gather(1, index + 1) * part


def _to_samples(values: torch.Tensor, hop: int) -> torch.Tensor:
    """[B, K, N] at frame centres n * hop to [B, K, N * hop], straight lines between; the last frame holds."""
    extended = torch.cat([values, values[..., -1:]], dim=-1)
    samples = torch.nn.functional.interpolate(extended, values.shape[-1] * hop + 1, mode="linear", align_corners=True)
    return samples[..., :-1]
