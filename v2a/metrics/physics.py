"""What a synthetic clip's truth says of its sound, and whether a sound obeys: Doppler track, level over distance."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from v2a.metrics.correlation import Array, correlation
from v2a.metrics.heard import Heard, decibels, smooth

_NEAR = 2 ** (1 / 12)  # a semitone
_CHANGE_DB = 3.0
_CURVE = 41  # frames: levels are told of every 10th of a second, engines beat below


class Track(NamedTuple):
    """How well a track follows the true one.

    Attributes:
        correlation: -1 to 1; 0 for a track that does not change.
        error: see the function.
    """

    correlation: float
    error: float


def pitch_follows(pitch_hz: Array, truth_hz: Array, weights: Array) -> Track:
    """The pitch heard against fundamental x Doppler: correlation of log2, and the share of moments more than a semitone off.

    Trap: an octave off is a miss, and the true sound of a far aircraft misses too: compare with the truth's own row.

    Args:
        pitch_hz: estimated, [N].
        truth_hz: as the truth says, at the same moments, [N].
        weights: [N]; moments that count.
    """
    if not weights.sum() > 0:
        return Track(float("nan"), float("nan"))
    off = np.abs(np.log2(pitch_hz / truth_hz))
    missed = float(np.average(off > np.log2(_NEAR), weights=weights))
    return Track(correlation(np.log2(pitch_hz), np.log2(truth_hz), weights), missed)


def level_follows(sound: Heard, expected_db: Array) -> Track:
    """The RMS level over 410 ms against that which distance, type and power make: correlation in dB, mean |difference| in dB.

    The correlation is nan where the level should change by less than 3 dB: there is no curve to follow.

    Args:
        sound: ours.
        expected_db: dB of full scale at the sound's frames, [N].
    """
    heard = decibels(smooth(sound.square, _CURVE))
    expected = np.maximum(expected_db, -70.0)
    follows = correlation(heard, expected) if np.ptp(expected) >= _CHANGE_DB else float("nan")
    return Track(follows, float(np.abs(heard - expected).mean()))


def distance_slope(sound: Heard, distance_m: Array) -> float:
    """Slope of the level (dB, 410 ms) over 20 log10(distance): -1 is 6 dB less for twice the distance.

    nan where the distance hardly changes. Trap: ambience flattens it, and direction bends it, so the truth's own is not -1 either.
    """
    far = 20 * np.log10(np.maximum(distance_m, 1e-3))
    if np.ptp(far) < _CHANGE_DB:
        return float("nan")
    return float(np.polyfit(far, decibels(smooth(sound.square, _CURVE)), 1)[0])


def add_levels(levels_db: Array) -> Array:
    """Level of sounds together, dB, of independent ones: [k, N] to [N]."""
    found: Array = 10 * np.log10(np.power(10, levels_db / 10).sum(0))
    return found
