"""Power of a sound in mel bands over time: what the framewise decoder predicts, and what its noise is filtered by.

Power is that of |STFT|² / Σ window²: white noise of variance v has the power v in every bin, whatever the window.
"""

from __future__ import annotations

import math

import torch

FLOOR = 1e-7  # -70 dB of full scale: what is quieter is silence


class Bands(torch.nn.Module):
    """Short-time spectra on a fixed grid of frames and bands. Keeps float32, also under autocast.

    Frame n is centred on sample n * hop: S samples have S / hop + 1 frames, of which the last is left out.

    Args:
        sample_rate: Hz.
        hop: samples from frame to frame.
        window: samples of a frame, a power of two.
        count: mel bands, M.
        lowest: Hz, lower edge of the first band.
    """

    filters: torch.Tensor
    spread: torch.Tensor
    widths: torch.Tensor
    hann: torch.Tensor

    def __init__(self, sample_rate: int, hop: int, window: int, count: int, lowest: float = 20.0) -> None:
        super().__init__()
        self.sample_rate, self.hop, self.size, self.count = sample_rate, hop, window, count
        self.lowest = lowest
        filters = mel_filters(sample_rate, window, count, lowest)
        self.register_buffer("filters", filters / filters.sum(1, keepdim=True), persistent=False)  # [M, F], means
        self.register_buffer(
            "spread", filters / filters.sum(0).clamp(min=1e-6), persistent=False
        )  # [M, F], back to bins
        self.register_buffer("widths", self.spread.sum(1), persistent=False)  # [M], bins that a band stands for
        self.register_buffer("hann", torch.hann_window(window), persistent=False)

    def spectrum(self, wave: torch.Tensor) -> torch.Tensor:
        """Complex [B, F, N] of [B, S], N = S // hop frames."""
        return short_time_spectrum(wave, self.hop, self.hann, self.size)

    def power(self, wave: torch.Tensor) -> torch.Tensor:
        """Mean power of each band: [B, M, N] of [B, S]."""
        density = self.spectrum(wave).abs().square() / self.hann.square().sum()
        return torch.matmul(self.filters, density)

    def to_bins(self, power: torch.Tensor) -> torch.Tensor:
        """Power of each bin, [B, F, N], of that of bands [B, M, N]: each bin takes from the bands that overlap it."""
        return torch.matmul(self.spread.T, power)


def mel_filters(sample_rate: int, window: int, count: int, lowest: float) -> torch.Tensor:
    """Triangles [M, F] of equal width on the mel scale (2595 log10(1 + f / 700)); the narrowest still reach two bins."""
    bins = torch.arange(window // 2 + 1) * (sample_rate / window)
    low, high = _mel(lowest), _mel(sample_rate / 2)
    points = torch.tensor([_hertz(low + (high - low) * k / (count + 1)) for k in range(count + 2)])
    spacing = sample_rate / window
    lower = torch.minimum(points[:-2], points[1:-1] - spacing)
    upper = torch.maximum(points[2:], points[1:-1] + spacing)
    rising = (bins - lower[:, None]) / (points[1:-1] - lower)[:, None]
    falling = (upper[:, None] - bins) / (upper - points[1:-1])[:, None]
    return torch.minimum(rising, falling).clamp(min=0)


def smooth(values: torch.Tensor, width: int) -> torch.Tensor:
    """Mean over `width` frames (an odd number) around each: [B, M, N] to the same; at the ends over those that are there."""
    if width == 1:
        return values
    return torch.nn.functional.avg_pool1d(values, width, stride=1, padding=width // 2, count_include_pad=False)


def _mel(hertz: float) -> float:
    return 2595 * math.log10(1 + hertz / 700)


def _hertz(mel: float) -> float:
    return 700 * (10 ** (mel / 2595) - 1)


def short_time_spectrum(wave: torch.Tensor, hop: int, window: torch.Tensor, size: int) -> torch.Tensor:
    """Complex [B, F, N] of [B, S], a frame every `hop` samples, N = S // hop, at least 1; in float32 inside autocast too."""
    with torch.autocast(wave.device.type, enabled=False):
        found = torch.stft(
            wave.float(), size, hop, window=window, center=True, pad_mode="constant", return_complex=True
        )
    return found[..., : max(1, wave.shape[-1] // hop)]
