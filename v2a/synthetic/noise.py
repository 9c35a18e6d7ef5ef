"""Noise for pictures (fractal, in two dimensions) and for sound (a spectrum that changes with time)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import signal

from v2a.synthetic.clip import Floats

FFT = 1024  # samples of one spectrum at any rate: 21 ms at 48 kHz, with 47 Hz between bins
HOP = FFT // 4


@dataclass(frozen=True)
class Grain:
    """How noise looks.

    Attributes:
        cell: size of the largest structures, pixels.
        octaves: each has half the size of the one before.
        stretch: how much wider than high the structures are.
        fall: height of an octave relative to the one before.
    """

    cell: float
    octaves: int = 5
    stretch: float = 1.0
    fall: float = 0.5


def fractal(rng: np.random.Generator, width: int, height: int, look: Grain) -> npt.NDArray[np.float32]:
    """Smooth noise of several octaves `[height, width]`, about 0..1 with its mean at 0.5."""
    total = np.zeros((height, width), np.float32)
    weight = 0.0
    for octave in range(look.octaves):
        size = max(look.cell / 2**octave, 1.0)
        columns, rows = width / (size * look.stretch), height / size
        cells = Image.fromarray(rng.random((int(rows) + 4, int(columns) + 4), dtype=np.float32))
        smooth = cells.resize((width, height), Image.Resampling.BICUBIC, box=(1.0, 1.0, 1 + columns, 1 + rows))
        total += np.float32(look.fall**octave) * np.asarray(smooth)
        weight += look.fall**octave
    noise: npt.NDArray[np.float32] = np.clip(total / np.float32(weight), 0, 1)
    return noise


def smoothstep(low: float, high: float, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """0 below `low`, 1 above `high`, smooth between."""
    x = np.clip((values - np.float32(low)) / np.float32(high - low), 0, 1)
    smooth: npt.NDArray[np.float32] = x * x * (3 - 2 * x)
    return smooth


def spectrum_times(samples: int, sample_rate: int) -> Floats:
    """Seconds of the middle of each spectrum that `shape_spectrum` applies, `[K]`."""
    return np.arange((samples + FFT) // HOP + 1) * HOP / sample_rate


def spectrum_frequencies(sample_rate: int) -> Floats:
    """Hz of the bins that `shape_spectrum` applies, `[FFT // 2 + 1]`."""
    return np.arange(FFT // 2 + 1, dtype=np.float64) * (sample_rate / FFT)


def shape_spectrum(sound: Floats, gain: Floats, sample_rate: int) -> Floats:
    """Filter a sound with a spectrum that changes with time.

    Args:
        sound: `[S]`.
        gain: amplitude `[bins, K]` at `spectrum_frequencies` and `spectrum_times`; smooth over neighbouring bins.
        sample_rate: Hz.

    Returns:
        `[S]`, without delay (zero phase).
    """
    transform = signal.ShortTimeFFT(
        signal.windows.hann(FFT, sym=False), HOP, sample_rate, mfft=FFT, fft_mode="onesided"
    )
    first = transform.p_min
    spectra = transform.stft(sound)
    # Spectrum p of the transform is centred at sample p * HOP, those before 0 at the beginning of the gain.
    columns = np.clip(np.arange(spectra.shape[1]) + first, 0, gain.shape[1] - 1)
    shaped: Floats = transform.istft(spectra * gain[:, columns], k1=len(sound))
    return shaped


def slow_noise(rng: np.random.Generator, count: int, step_s: float, period_s: float) -> Floats:
    """A smooth random walk around 0 with deviation about 1, `[count]` values `step_s` apart, changing over `period_s`."""
    knots = rng.standard_normal(int(count * step_s / period_s) + 5)
    places = np.arange(count) * step_s / period_s + 1.0
    base = np.floor(places).astype(int)
    part = places - base
    before, left, right, after = (knots[base + shift] for shift in (-1, 0, 1, 2))
    # Catmull-Rom: smooth, and through every knot.
    curve: Floats = left + 0.5 * part * (
        right
        - before
        + part * (2 * before - 5 * left + 4 * right - after + part * (3 * (left - right) + after - before))
    )
    return curve
