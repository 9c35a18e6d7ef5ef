"""Distance of distributions, diversity, memorising, intervals: closed forms where there are some, calibration where not."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.unit.metrics.sounds import heard, noise
from v2a.metrics.bootstrap import estimate
from v2a.metrics.distribution import describe_sound, diversity, learn_space, nearest, squared_mmd


def cloud(count: int, seed: int, centre: float = 0.0) -> np.ndarray:
    """Gaussian points, [count, 8]."""
    return np.random.default_rng(seed).standard_normal((count, 8)) + centre


def each(count: int) -> list[str]:
    """A video for each clip."""
    return [str(number) for number in range(count)]


def test_mmd_of_one_distribution_is_zero_within_its_error_and_so_without_bias():
    found = [squared_mmd(cloud(20, 2 * k), cloud(20, 2 * k + 1), each(20), 4.0) for k in range(200)]
    values = np.array([one.value for one in found])
    assert abs(values.mean()) < 3 * values.std() / math.sqrt(200)
    assert values.min() < 0 < values.max()
    # The error that is told is about the true spread, rather larger.
    assert 0.8 < np.mean([one.error for one in found]) / values.std() < 2.0


def test_mmd_grows_with_the_distance_and_ends_below_two():
    found = [
        squared_mmd(cloud(30, 0), cloud(30, 1, centre), each(30), 4.0).value for centre in (0.0, 0.5, 1.0, 3.0, 99.0)
    ]
    assert found == sorted(found)
    assert found[2] > 3 * squared_mmd(cloud(30, 0), cloud(30, 1, 1.0), each(30), 4.0).error
    assert found[-1] < 2


def test_mmd_of_gaussians_is_its_closed_form():
    """For N(0, 1) and N(m, 1) in d dimensions and width w: 2 (w²/(w²+2))^(d/2) (1 - exp(-|m|²/(2 (w²+2))))."""
    width, apart = 3.0, 1.0
    expected = 2 * (width**2 / (width**2 + 2)) ** 4 * (1 - math.exp(-8 * apart**2 / (2 * (width**2 + 2))))
    found = squared_mmd(cloud(800, 5), cloud(800, 6, apart), each(800), width)
    assert found.value == pytest.approx(expected, abs=4 * found.error)
    assert found.error < 0.05


def test_mmd_of_the_truth_with_itself_is_nothing_and_clips_of_a_video_are_one_witness():
    points = cloud(12, 0)
    assert squared_mmd(points, points, each(12), 4.0).value == 0
    twice = np.repeat(points, 3, axis=0)
    other = np.repeat(cloud(12, 1), 3, axis=0)
    videos = [str(number // 3) for number in range(36)]
    plain = squared_mmd(points, cloud(12, 1), each(12), 4.0)
    tripled = squared_mmd(twice, other, videos, 4.0)
    assert (tripled.value, tripled.error) == (pytest.approx(plain.value), pytest.approx(plain.error))
    assert tripled.clips == 36


def test_mmd_of_too_few_says_so():
    assert math.isnan(squared_mmd(cloud(3, 0), cloud(3, 1), ["a"] * 3, 4.0).value)
    two = squared_mmd(cloud(2, 0), cloud(2, 1), each(2), 4.0)
    assert math.isfinite(two.value)
    assert math.isnan(two.error)
    with pytest.raises(ValueError, match="same clips"):
        squared_mmd(cloud(3, 0), cloud(2, 1), each(3), 4.0)


def test_the_space_is_learned_on_training_clips_alone():
    training = np.random.default_rng(0).standard_normal((40, 128)) * np.linspace(20, 0.01, 128)
    space = learn_space(training)
    points = space.place(training)
    assert points.shape == (40, 8)
    assert points.mean(0) == pytest.approx(np.zeros(8), abs=1e-9)
    assert space.directions.T @ space.directions == pytest.approx(np.eye(8), abs=1e-9)
    assert space.scale.min() == 1.0  # what hardly varies stays small
    assert learn_space(training[:3]).directions.shape == (128, 2)
    with pytest.raises(ValueError, match="at least 2 training clips"):
        learn_space(training[:1])


def test_a_description_is_mean_and_spread_of_bands():
    described = describe_sound(heard(noise(level_db=-20)))
    assert described.shape == (128,)
    louder = describe_sound(heard(noise(level_db=-14)))
    assert (louder - described)[:64] == pytest.approx(np.full(64, 6.0), abs=0.05)
    assert (louder - described)[64:] == pytest.approx(np.zeros(64), abs=0.05)


def test_diversity_of_copies_and_of_the_truth():
    truth = cloud(10, 0)
    assert diversity(truth, truth, each(10)) == 1
    assert diversity(np.zeros((10, 8)), truth, each(10)) == 0
    assert diversity(truth * 0.5, truth, each(10)) == pytest.approx(0.5)
    assert math.isnan(diversity(truth, truth, ["one"] * 10))
    assert math.isnan(diversity(truth, np.zeros((10, 8)), each(10)))


def test_a_copy_of_a_training_clip_is_at_zero():
    training = cloud(30, 0)
    found = nearest(np.vstack([training[7], training[7] + 100]), training)
    assert found[0] == 0
    assert found[1] > 100


def test_an_interval_is_about_the_mean_by_video():
    random = np.random.default_rng(0)
    hits = 0
    for trial in range(100):
        of_video = random.standard_normal(25)
        values = np.repeat(of_video, 4) + 0.01 * random.standard_normal(100)
        found = estimate(values.tolist(), [str(k // 4) for k in range(100)], seed=trial)
        hits += found.low <= 0 <= found.high
    assert 86 <= hits <= 100  # 95 %; counted by clip it would be about 67
    assert (found.clips, found.videos) == (100, 25)


def test_intervals_are_drawn_the_same_again_and_leave_out_what_says_nothing():
    values, videos = [1.0, 2.0, math.nan, 4.0], ["a", "b", "c", "d"]
    found = estimate(values, videos, seed=3)
    assert found == estimate(values, videos, seed=3)
    assert found.value == pytest.approx(7 / 3)
    assert (found.clips, found.videos) == (3, 3)
    assert found.low < found.value < found.high
    assert found.low >= 1
    assert found.high <= 4


def test_medians_do_not_mind_one_outlier():
    values = [0.01, 0.02, 0.03, 0.04, 2.0] * 4
    videos = [str(k) for k in range(20)]
    found = estimate(values, videos, statistic="median")
    assert found.value == 0.03
    assert found.high < 0.1
    assert estimate([1.0, 2.0, 3.0, 4.0], list("abcd"), statistic="median").value == 2.5


def test_one_video_has_no_interval_and_no_clip_no_value():
    one = estimate([1.0, 2.0], ["a", "a"])
    assert one.value == 1.5
    assert math.isnan(one.low)
    assert math.isnan(one.high)
    none = estimate([math.nan], ["a"])
    assert math.isnan(none.value)
    assert none.clips == 0
    with pytest.raises(ValueError, match="a video for each of 2 clips, but got 1"):
        estimate([1.0, 2.0], ["a"])
