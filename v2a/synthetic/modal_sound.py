"""The sound of strikes: damped modes by material and size, brighter and louder the harder the blow; rolling; the room's answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import signal

from v2a.synthetic.clip import Floats
from v2a.synthetic.materials import Body

# Peak of a strike of 1 at 3 m/s by a body of 25 cm, heard from 5 m; the loudest of all scenes stays below full scale.
_PEAK, _SPEED, _SIZE, _DISTANCE = 0.085, 3.0, 0.25, 5.0
# What the ground itself answers: frequencies, Hz, and the time in which they fall by 60 dB, s.
FLOORS = {
    "planks": ((92.0, 178.0, 310.0), 0.16),
    "concrete": ((150.0, 420.0), 0.04),
    "stone": ((240.0, 690.0), 0.05),
    "metal": ((210.0, 530.0, 1130.0, 1720.0), 0.35),
    "table": ((160.0, 340.0, 560.0), 0.10),
}


def strike_amplitude(body: Body, speed: float, distance_m: float) -> float:
    """Peak, 1 is full scale: grows with the speed of the blow, the size and the material; falls with distance."""
    loud = 10 ** (body.material.loudness_db / 20)
    return float(_PEAK * loud * speed / _SPEED * (body.size / _SIZE) ** 0.6 * _DISTANCE / distance_m)


@dataclass(frozen=True)
class Blow:
    """A strike as it is heard: of which body, how fast (m/s), how loud (peak, 1 is full scale), and on which ground, if on any."""

    body: Body
    speed: float
    amplitude: float
    ground: str | None


def strike(rng: np.random.Generator, blow: Blow, rate: int) -> Floats:
    """One strike from its first sample on, its peak near `blow.amplitude`."""
    body = blow.body
    material = body.material
    # Modes that hold less than one in a thousand are not needed.
    length = int(rate * min(1.6, 0.02 + 1.1 * material.ring_s * _longer(body)))
    t = np.arange(length) / rate
    contact = material.contact_s * (body.size / 0.1) ** 0.7 * (max(blow.speed, 0.05) / 2) ** -0.35
    sound = np.zeros(length)
    total = 0.0
    for order, ratio in enumerate(material.modes):
        hz = body.pitch_hz * ratio * (1.07 if body.shape == "box" and order else 1.0)
        if hz > 0.45 * rate:
            continue
        weight = (1 / (1 + 0.35 * order)) / (1 + (hz * contact * 2) ** 2)
        decay = 6.91 / (material.ring_s * _longer(body) / (1 + 0.45 * (ratio - 1)))
        sound += weight * np.exp(-decay * t) * np.sin(2 * np.pi * hz * t + 0.4)
        total += weight
    sound /= max(total, 1e-9)
    if blow.ground is not None:
        sound += _answer(blow.ground, t, contact)
    burst = int(rate * 0.012)
    click = rng.standard_normal(burst) * np.exp(-np.arange(burst) / (rate * 0.0012))
    smooth = np.exp(-1 / (rate * max(contact, 0.5 / rate)))
    dull = signal.lfilter([1 - smooth], [1, -smooth], click)
    sound[:burst] += 0.25 * dull[: len(sound)] / max(float(np.abs(dull).max()), 1e-9)
    return blow.amplitude * sound


def rolling(rng: np.random.Generator, body: Body, speed: Floats, distance_m: float, rate: int) -> Floats:
    """Soft noise while a body rolls or slides; `speed` in m/s for each sample, 0 while it does not."""
    low, high = 0.25 * body.pitch_hz, min(1.6 * body.pitch_hz, 0.4 * rate)
    band = signal.butter(2, [low, high], "bandpass", fs=rate, output="sos")
    noise = signal.sosfilt(band, rng.standard_normal(len(speed)))
    noise /= max(float(noise.std()), 1e-9)
    loud = strike_amplitude(body, 1.0, distance_m) * (0.035 if body.round else 0.07)
    rolled: Floats = loud * noise * np.minimum(speed, 3.0)
    return rolled


def room_answer(place: str, ring_s: float, rate: int) -> Floats:
    """A short echo tail, the same for every clip of a place; sample 0 is the direct sound."""
    rng = np.random.default_rng(list(place.encode()))
    length = int(rate * ring_s)
    t = np.arange(length) / rate
    tail = rng.standard_normal(length) * np.exp(-6.91 * t / ring_s)
    tail = signal.lfilter([0.35], [1, -0.65], tail)
    tail[: int(0.004 * rate)] = 0.0  # the nearest wall is more than a metre away
    tail *= 0.12 / max(float(np.sqrt(np.sum(tail**2))), 1e-9)
    tail[0] = 1.0
    answer: Floats = tail
    return answer


def _answer(floor: str, t: Floats, contact: float) -> Floats:
    frequencies, ring = FLOORS[floor]
    sound = np.zeros_like(t)
    for order, hz in enumerate(frequencies):
        sound += (
            np.exp(-6.91 / ring * (1 + 0.3 * order) * t) * np.sin(2 * np.pi * hz * t) / (1 + (hz * contact * 2) ** 2)
        )
    return 0.3 / len(frequencies) * sound


def _longer(body: Body) -> float:
    return float((body.size / 0.1) ** 0.4)
