"""Synthetic truth: pitch that moves, level that falls with distance."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.unit.metrics.sounds import RATE, heard, noise
from v2a.metrics.physics import add_levels, distance_slope, level_follows, pitch_follows

FRAMES = 400
ALL = np.ones(FRAMES)


def test_pitch_within_a_semitone_counts():
    truth = np.linspace(220, 180, FRAMES)
    right = pitch_follows(truth * 1.02, truth, ALL)
    assert right.correlation == pytest.approx(1)
    assert right.error == 0
    octave = pitch_follows(truth * 2, truth, ALL)
    assert octave.correlation == pytest.approx(1)
    assert octave.error == 1
    assert pitch_follows(truth[::-1], truth, ALL).correlation == pytest.approx(-1, abs=0.01)
    assert pitch_follows(np.full(FRAMES, 200.0), truth, ALL).correlation == 0
    half = pitch_follows(
        np.where(np.arange(FRAMES) < 200, truth, 500.0), truth, (np.arange(FRAMES) < 200).astype(float)
    )
    assert half.error == 0
    assert math.isnan(pitch_follows(truth, truth, np.zeros(FRAMES)).error)


def flyby(loud_db: float = -20.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distance, expected level at the sound's frames, and noise that has it."""

    def far(count: int) -> np.ndarray:
        return np.hypot(100.0, 200 * np.linspace(-2, 2, count))

    distance = far(FRAMES)
    wave = noise() * (100 / far(4 * RATE)).astype(np.float32) * np.float32(10 ** ((loud_db + 20) / 20))
    return distance, loud_db - 20 * np.log10(distance / 100), wave


def test_a_level_that_follows_distance():
    distance, expected, wave = flyby()
    found = level_follows(heard(wave), expected)
    assert found.correlation > 0.99
    assert found.error < 0.3
    assert distance_slope(heard(wave), distance) == pytest.approx(-1, abs=0.03)
    louder = level_follows(heard(wave * np.float32(2)), expected)
    assert louder.correlation > 0.99
    assert louder.error == pytest.approx(6.02, abs=0.3)


def test_a_steady_level_follows_nothing():
    distance, expected, _ = flyby()
    # One steady noise follows by chance now and then: it has few independent moments. On average none does.
    found = [level_follows(heard(noise(seed=seed)), expected) for seed in range(20)]
    assert abs(np.mean([one.correlation for one in found])) < 0.25
    assert min(one.error for one in found) > 5
    assert distance_slope(heard(noise()), distance) == pytest.approx(0, abs=0.03)
    assert math.isnan(level_follows(heard(noise()), np.full(FRAMES, -20.0)).correlation)
    assert math.isnan(distance_slope(heard(noise()), np.full(FRAMES, 100.0)))


def test_levels_add_as_powers():
    assert add_levels(np.array([[-20.0], [-20.0]])) == pytest.approx([-16.99], abs=0.01)
    assert add_levels(np.array([[-20.0], [-80.0]])) == pytest.approx([-20.0], abs=0.001)
