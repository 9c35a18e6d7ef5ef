"""Onsets and offsets: known times, one-to-one matching, what silence gets, and what chance is."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.unit.metrics.sounds import RATE, clicks, heard, noise, swelling
from v2a.metrics.onsets import find_onsets, onset_f1, onset_strength
from v2a.metrics.sync import motion_energy, sync_offset

TIMES = [0.4, 1.1, 1.9, 3.2]


def test_onsets_are_found_where_they_are():
    found = find_onsets(heard(clicks(TIMES)))
    assert found.tolist() == pytest.approx(TIMES, abs=0.02)


@pytest.mark.parametrize("level_db", [-20.0, -50.0])
def test_steady_noise_and_silence_have_no_onset(level_db: float):
    assert len(find_onsets(heard(noise(10.0, level_db=level_db)))) == 0
    assert len(find_onsets(heard(np.zeros(RATE, np.float32)))) == 0


@pytest.mark.parametrize(
    ("ours", "truth", "f1"),
    [
        (TIMES, TIMES, 1.0),
        ([0.49, 1.2, 1.81, 3.1], TIMES, 1.0),  # up to 100 ms, its end included
        ([0.51, 1.21, 1.79, 3.09], TIMES, 0.0),
        ([0.4], TIMES, 2 / 5),
        ([0.4, 0.41, 0.42, 0.43], [0.42], 2 / 5),  # one truth counts once
        ([1.0, 1.09], [1.08, 1.17], 1.0),  # nearest first would leave one of each
        ([], TIMES, 0.0),
        (TIMES, [], 0.0),
        (list(np.arange(0, 4, 0.05)), TIMES, 8 / 84),  # everywhere is nowhere
    ],
)
def test_f1_of_known_onsets(ours: list[float], truth: list[float], f1: float):
    assert onset_f1(np.array(ours), np.array(truth)) == pytest.approx(f1)
    assert onset_f1(np.array(truth), np.array(ours)) == pytest.approx(f1)


def test_nothing_to_find_is_no_success():
    assert math.isnan(onset_f1(np.array([]), np.array([])))


@pytest.mark.parametrize("seed", range(5))
def test_f1_stays_in_bounds_and_agrees_with_an_exhaustive_matching(seed: int):
    random = np.random.default_rng(seed)
    ours, truth = (np.sort(random.uniform(0, 1.5, random.integers(1, 7))) for _ in range(2))

    def pairs(left: list[float], right: list[float]) -> int:
        if not left:
            return 0
        first, rest = left[0], left[1:]
        taken = [1 + pairs(rest, [r for r in right if r is not x]) for x in right if abs(first - x) <= 0.1]
        return max([pairs(rest, right), *taken])

    best = pairs(ours.tolist(), truth.tolist())
    assert onset_f1(ours, truth) == pytest.approx(2 * best / (len(ours) + len(truth)))


@pytest.mark.parametrize("late_s", [0.0, 0.137, -0.5, 1.5])
def test_a_shifted_click_is_late_by_just_that(late_s: float):
    truth = heard(clicks([1.0, 1.6, 2.2], 5.0))
    ours = heard(clicks([1.0 + late_s, 1.6 + late_s, 2.2 + late_s], 5.0, seed=9))
    found = sync_offset(onset_strength(ours), onset_strength(truth), ours.frame_rate)
    assert found.seconds == pytest.approx(late_s, abs=0.01)
    assert found.fit > 0.8
    energy = sync_offset(ours.envelope_db, truth.envelope_db, ours.frame_rate)
    assert energy.seconds == pytest.approx(late_s, abs=0.01)


def test_a_slow_hump_is_found_too():
    truth = heard(swelling(8.0))
    wave = np.concatenate([np.zeros(RATE // 2, np.float32), swelling(8.0, seed=3)[: -RATE // 2]])
    assert sync_offset(heard(wave).envelope, truth.envelope, 100.0).seconds == pytest.approx(0.5, abs=0.05)


def test_no_offset_without_change():
    flat, click = np.ones(400), onset_strength(heard(clicks([1.0])))
    for ours, truth in ((flat, click), (click, flat), (flat, flat)):
        found = sync_offset(ours, truth, 100.0)
        assert math.isnan(found.seconds)
        assert found.fit == 0
    with pytest.raises(ValueError, match="one length"):
        sync_offset(click, click[:-1], 100.0)


def test_an_offset_stays_in_its_limits():
    random = np.random.default_rng(0)
    found = [sync_offset(random.standard_normal(1000), random.standard_normal(1000), 100.0) for _ in range(200)]
    assert max(abs(offset.seconds) for offset in found) <= 2.0
    assert all(-1 <= offset.fit <= 1 for offset in found)
    # Chance is what the documents say: evenly over ±2 s would be 1 s, a little more as little overlap fits by chance more easily.
    assert 0.95 < float(np.median([abs(offset.seconds) for offset in found])) < 1.35
    assert abs(sync_offset(random.standard_normal(40), random.standard_normal(40), 100.0).seconds) <= 0.2


def test_motion_lies_between_its_pictures():
    video = np.zeros((20, 4, 4, 3), np.uint8)
    video[10:] = 60  # everything changes between 0.9 s and 1.0 s
    energy = motion_energy(video, 10.0, 100.0, 200)
    assert energy.shape == (200,)
    assert float(energy.max()) == pytest.approx(57, abs=4)
    assert (int(energy.argmax()) + 0.5) / 100 == pytest.approx(0.95, abs=0.01)
    assert not motion_energy(video[:1], 10.0, 100.0, 50).any()


def test_a_sound_at_a_movement_is_in_time_with_it():
    video = np.zeros((50, 4, 4, 3), np.uint8)
    video[21:] = 100  # moves at 2.05 s
    sound = heard(clicks([2.05], 5.0))
    motion = motion_energy(video, 10.0, sound.frame_rate, sound.power.shape[1])
    assert sync_offset(sound.envelope, motion, sound.frame_rate).seconds == pytest.approx(0, abs=0.06)


@pytest.mark.parametrize("late_s", [0.137, -0.0234, 1.0])
def test_offsets_are_finer_than_a_frame(late_s: float):
    time = np.arange(800) / 100
    truth, ours = (np.exp(-(((time - 4 - late) / 0.1) ** 2)) for late in (0.0, late_s))
    assert sync_offset(ours, truth, 100.0).seconds == pytest.approx(late_s, abs=0.001)
