"""A sound as the measures hear it: its samples, their RMS envelope, and its power in mel bands, a hundred times a second."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import uniform_filter1d

from v2a.metrics.correlation import Array

if TYPE_CHECKING:
    from v2a.audio.bands import Bands

FLOOR = 1e-7  # power, -70 dB of full scale: what is quieter is silence, as for the decoders
SMOOTHED = 11  # frames of 10 ms: the envelope's time scale; what is faster in noise is chance, not event
_WINDOW_S = 0.032
_BANDS = 64


@dataclass(frozen=True)
class Heard:
    """A sound and what was computed of it once.

    Attributes:
        wave: [S], full scale 1.
        power: of mel bands, [M, N]; frame n is centred on sample n * hop.
        hop: samples from frame to frame.
        sample_rate: Hz.
        centres: middle of each band, Hz, [M].
    """

    wave: Array
    power: Array
    hop: int
    sample_rate: int
    centres: Array

    @property
    def frame_rate(self) -> float:
        """Frames a second."""
        return self.sample_rate / self.hop

    @cached_property
    def square(self) -> Array:
        """Mean square of each hop, [N]."""
        count = self.power.shape[1]
        squares: Array = np.square(self.wave[: count * self.hop].astype(np.float64)).reshape(count, self.hop).mean(1)
        return squares

    @cached_property
    def envelope(self) -> Array:
        """RMS over 110 ms around each frame, [N]."""
        # SciPy adds and takes away as it goes along: after a loud moment, nothing may come out a little below zero.
        return np.sqrt(np.maximum(smooth(self.square, SMOOTHED), 0.0))

    @cached_property
    def envelope_db(self) -> Array:
        """The envelope in dB of full scale, at least -70, [N]."""
        return decibels(np.square(self.envelope))

    @cached_property
    def mel_db(self) -> Array:
        """Power of the bands, dB, at least -70, [M, N]."""
        return decibels(self.power)

    @property
    def level_db(self) -> float:
        """RMS of all samples, dB of full scale, at least -70."""
        return float(decibels(np.square(self.wave.astype(np.float64)).mean()))


def make_bands(sample_rate: int) -> Bands:
    """The one ruler of all sounds: 64 mel bands, frames of 10 ms, windows of 32 ms or the next power of two."""
    from v2a.audio.bands import Bands

    hop = max(1, round(sample_rate / 100))
    window = 1 << max(4, (round(_WINDOW_S * sample_rate) - 1).bit_length())
    return Bands(sample_rate, hop, window, _BANDS)


def listen(wave: Array, bands: Bands) -> Heard:
    """What is heard of samples [S] of full scale 1.

    Raises:
        ValueError: not one row of finite samples, or shorter than a frame.
    """
    import torch

    if wave.ndim != 1 or len(wave) < bands.hop:
        raise ValueError(f"expected samples [S] of at least one frame of {bands.hop}, but got {list(wave.shape)}")
    if not np.isfinite(wave).all():
        raise ValueError("expected finite samples, but some are not: the decoder that drew them went wrong")
    power = bands.power(torch.from_numpy(np.ascontiguousarray(wave, np.float32))[None])[0].numpy()
    filters = bands.filters.numpy()
    bins = np.arange(filters.shape[1]) * (bands.sample_rate / bands.size)
    return Heard(wave, power, bands.hop, bands.sample_rate, filters @ bins)


def decibels(power: Array | np.floating) -> Array:
    """10 log10(power + floor): -70 dB for nothing."""
    found: Array = 10 * np.log10(np.asarray(power) + FLOOR)
    return found


def smooth(track: Array, frames: int) -> Array:
    """Mean over `frames` (odd) around each along the last axis; beyond the ends the last value stands."""
    found: Array = uniform_filter1d(track, frames, axis=-1, mode="nearest")
    return found
