"""Sounds with known answers."""

from __future__ import annotations

import numpy as np

from v2a.metrics.correlation import Array
from v2a.metrics.heard import Heard, listen, make_bands

RATE = 16000
BANDS = make_bands(RATE)


def noise(seconds: float = 4.0, seed: int = 0, level_db: float = -20.0) -> Array:
    """White, of this RMS level."""
    wave = np.random.default_rng(seed).standard_normal(round(seconds * RATE))
    return (wave * 10 ** (level_db / 20) / wave.std()).astype(np.float32)


def clicks(times: list[float], seconds: float = 4.0, seed: int = 0) -> Array:
    """Bursts of noise that die away in 50 ms, on a bed of -65 dB."""
    wave = noise(seconds, seed, -65.0)
    ring = np.random.default_rng(seed + 1).standard_normal(RATE // 4) * np.exp(-np.arange(RATE // 4) / (0.05 * RATE))
    for time in times:
        first = round(time * RATE)
        wave[first : first + len(ring)] += (0.3 * ring[: len(wave) - first]).astype(np.float32)
    return wave


def tone(hertz: Array | float, seconds: float = 4.0, amplitude: float = 0.1) -> Array:
    """A sine whose frequency may change: [S] or one number."""
    track = np.broadcast_to(hertz, round(seconds * RATE))
    return (amplitude * np.sin(2 * np.pi * np.cumsum(track) / RATE)).astype(np.float32)


def heard(wave: Array) -> Heard:
    """What the measures take."""
    return listen(wave, BANDS)


def swelling(seconds: float = 4.0, seed: int = 0) -> Array:
    """Noise that swells and dies, and moves up in pitch: like a fly-by."""
    time = np.linspace(-1, 1, round(seconds * RATE))
    high = np.diff(noise(seconds, seed + 50), prepend=0).astype(np.float32)
    return ((noise(seconds, seed) * (1 - time) + high * (1 + time)) * np.exp(-4 * time**2)).astype(np.float32)
