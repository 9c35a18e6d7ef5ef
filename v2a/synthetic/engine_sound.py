"""The sound of aircraft: harmonics of the blade passes, jet noise and turbine whine, a glider's rush; through air, by distance."""

from __future__ import annotations

import numpy as np

from v2a.geometry import Geometry
from v2a.synthetic.aircraft import Aircraft
from v2a.synthetic.clip import Floats
from v2a.synthetic.flight import Flight, heard_at
from v2a.synthetic.noise import shape_spectrum, slow_noise, spectrum_frequencies, spectrum_times

HARMONICS = 24
_REFERENCE_M = 100.0
# A real engine at low power is quieter and, for a propeller, turns more slowly; both follow from the path that is seen.
_POWER_DB = 12.0
# Two engines never turn at quite the same speed: the beat (1.4 Hz) is part of how a twin sounds. Nothing in the picture tells
# its phase, so the second engine has a tenth of the power, which keeps the beat's rise and fall within 6 dB.
_ENGINES = ((1.0, 0.9), (1.012, 0.1))  # relative speed, share of power


def air_db_per_m(hz: Floats) -> Floats:
    """Absorption of air at 20 degrees, 50 % humidity, dB per metre; near ISO 9613-1's values at 1, 4, 8 kHz (0.005, 0.03, 0.1)."""
    loss: Floats = 0.0044 * (hz / 1000) ** 1.3 + 0.0004 * (hz / 1000) ** 2.4
    return loss


def fundamental_hz(kind: Aircraft, flight: Flight) -> float:
    """Blade passes per second as emitted; 0 without a propeller."""
    return kind.blades * kind.rpm / 60 * (0.82 + 0.18 * flight.power)


def render_aircraft(rng: np.random.Generator, kind: Aircraft, flight: Flight, geometry: Geometry) -> Floats:
    """What the microphone hears of one aircraft, `[S]`, 1 is full scale."""
    rate, samples = geometry.sample_rate, geometry.samples
    columns = spectrum_times(samples, rate)
    noise_gain, tone_gain = _gains(kind, flight, columns, rate)
    sound = shape_spectrum(rng.standard_normal(samples), noise_gain, rate)
    if kind.family == "glider":
        return sound
    tones = _blade_tones(rng, kind, flight, geometry) if kind.blades else np.zeros(samples)
    if kind.whine_hz:
        tones = tones + _whine(rng, kind, flight, geometry)
    return sound + shape_spectrum(tones, tone_gain, rate)


def level_db(kind: Aircraft, flight: Flight, times: Floats, sample_rate: int) -> Floats:
    """Expected level at the microphone, dB of full scale (RMS), at times `[N]`: the sum of the powers of all parts."""
    noise_gain, tone_gain = _gains(kind, flight, times, sample_rate)
    # White noise of deviation 1 has its power spread evenly over the bins; the first and last count half.
    power = np.mean(noise_gain[1:-1] ** 2, axis=0)
    heard = heard_at(flight, times)
    hz = spectrum_frequencies(sample_rate)
    for order, amplitude in enumerate(_harmonics(kind, flight, sample_rate), 1):
        gain = _at(tone_gain, hz, order * fundamental_hz(kind, flight) * heard.doppler)
        power += (amplitude * gain) ** 2 / 2
    if kind.whine_hz:
        power += _whine_gain(heard.angle) ** 2 / 2 * _at(tone_gain, hz, kind.whine_hz * heard.doppler) ** 2
    level: Floats = 10 * np.log10(np.maximum(power, 1e-12))
    return level


def ambience(rng: np.random.Generator, wind: float, geometry: Geometry) -> tuple[Floats, float]:
    """Wind in the microphone and the grass, `[S]`, and its level, dB: -66 for still air to -52; slow gusts of 2 dB."""
    times, hz = spectrum_times(geometry.samples, geometry.sample_rate), spectrum_frequencies(geometry.sample_rate)
    colour = 1 / (1 + (hz / 180) ** 1.1)
    level = -66 + 14 * wind
    colour *= 10 ** (level / 20) / np.sqrt(np.mean(colour[1:-1] ** 2))
    gusts = 10 ** (2 * slow_noise(rng, len(times), times[1] - times[0], 1.2) / 20)
    return shape_spectrum(rng.standard_normal(geometry.samples), colour[:, None] * gusts, geometry.sample_rate), level


def _gains(kind: Aircraft, flight: Flight, times: Floats, sample_rate: int) -> tuple[Floats, Floats]:
    """Amplitudes `[bins, N]` for white noise of deviation 1, and for tones; the tones' parts carry their own strengths."""
    hz = spectrum_frequencies(sample_rate)
    heard = heard_at(flight, times)
    level = kind.level_db - _POWER_DB * (1 - flight.power)
    level = level + _directivity_db(kind, heard.angle) - 20 * np.log10(heard.distance_m / _REFERENCE_M)
    air = -air_db_per_m(hz)[:, None] * heard.distance_m
    path = 10 ** ((level + air) / 20)
    emitted = hz[:, None] / heard.doppler  # what arrives at f left as f / doppler
    below, above = (1.2, 1.6) if kind.family != "glider" else (2.0, 1.4)
    x = np.maximum(emitted, 1.0) / kind.noise_hz
    colour = 1 / (x**-below + x**above)
    # Its power is 1 whatever the shift, for the rate's own bandwidth.
    colour = colour / np.sqrt(np.mean(colour[1:-1] ** 2, axis=0))
    share = {"propeller": 10 ** (-13 / 20), "jet": 0.97, "glider": 1.0}[kind.family]
    return share * colour * path, path


def _directivity_db(kind: Aircraft, angle: Floats) -> Floats:
    """Jets roar behind (loudest at 140 degrees from the nose), propellers sound in the plane of their disc; 0 dB at the loudest."""
    weaker = np.zeros_like(angle)
    if kind.family == "jet":
        weaker = 10.8 * (1 - np.cos((angle - np.radians(140)) / 1.6))
    elif kind.family == "propeller":
        weaker = 4 * np.cos(angle) ** 2
    return -weaker


def _harmonics(kind: Aircraft, flight: Flight, sample_rate: int) -> Floats:
    """Amplitudes of the harmonics of all engines together, of power 1; none near half the sample rate."""
    if not kind.blades:
        return np.zeros(0)
    count = min(HARMONICS, int(0.4 * sample_rate / fundamental_hz(kind, flight) / 1.7))
    amplitudes = 10 ** (-kind.tilt_db * np.log2(np.arange(1, count + 1)) / 20)
    scaled: Floats = amplitudes * np.sqrt(2 / np.sum(amplitudes**2))
    return scaled


def _blade_tones(rng: np.random.Generator, kind: Aircraft, flight: Flight, geometry: Geometry) -> Floats:
    """Harmonics at the phase that the engine had when the sound set out: Doppler shift follows from that alone."""
    times = np.arange(geometry.samples) / geometry.sample_rate
    # The emission time is smooth: solved every 2 ms, straight between (under 1e-6 s of error; see docs/synthetic.md).
    knots = np.arange(int(geometry.segment_s * 500) + 2) / 500
    emission = np.interp(times, knots, heard_at(flight, knots).emission_s)
    amplitudes = _harmonics(kind, flight, geometry.sample_rate)
    total = np.zeros(geometry.samples)
    for speed, share in _ENGINES if len(kind.engines) > 1 else ((1.0, 1.0),):
        turn = 2 * np.pi * fundamental_hz(kind, flight) * speed
        z = np.exp(1j * (turn * emission + rng.uniform(0, 2 * np.pi)))
        weights = amplitudes * np.exp(1j * rng.uniform(0, 2 * np.pi, len(amplitudes)))
        series = np.full(geometry.samples, weights[-1])
        for weight in weights[-2::-1]:  # Horner: one multiplication for each harmonic instead of one sine
            series = series * z + weight
        total += np.sqrt(share) * (series * z).real
    return total


def _whine_gain(angle: Floats) -> Floats:
    """Amplitude of the turbine's tone relative to all: it is heard from the front."""
    return 0.22 * (0.15 + 0.85 * np.cos(angle / 2) ** 2)


def _whine(rng: np.random.Generator, kind: Aircraft, flight: Flight, geometry: Geometry) -> Floats:
    times = np.arange(geometry.samples) / geometry.sample_rate
    knots = np.arange(int(geometry.segment_s * 500) + 2) / 500
    heard = heard_at(flight, knots)
    phase = 2 * np.pi * kind.whine_hz * np.interp(times, knots, heard.emission_s) + rng.uniform(0, 2 * np.pi)
    tone: Floats = np.interp(times, knots, _whine_gain(heard.angle)) * np.sin(phase)
    return tone


def _at(gain: Floats, hz: Floats, frequency: Floats) -> Floats:
    """Gain `[bins, N]` at one frequency for each column, `[N]`."""
    place = np.clip(frequency / hz[1], 0, len(hz) - 1.001)
    base = place.astype(int)
    part = place - base
    columns = np.arange(gain.shape[1])
    between: Floats = gain[base, columns] * (1 - part) + gain[base + 1, columns] * part
    return between
