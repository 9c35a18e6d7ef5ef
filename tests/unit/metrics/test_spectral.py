"""Level, STFT distance, log-mel L1, envelope and centroid: known answers, bounds, and what a trap does."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.unit.metrics.sounds import BANDS, RATE, clicks, heard, noise, swelling, tone
from v2a.metrics.correlation import correlation
from v2a.metrics.heard import listen, make_bands
from v2a.metrics.spectral import (
    audible,
    centroid_scores,
    centroid_track,
    envelope_correlation,
    envelope_error,
    level_error,
    log_mel_l1,
    stft_distance,
)

SOUNDS = [noise(), clicks([0.5, 2.0]), swelling(), tone(440.0), np.zeros(4 * RATE, np.float32)]
SILENCE = heard(np.zeros(4 * RATE, np.float32))


@pytest.mark.parametrize("wave", SOUNDS)
def test_a_sound_against_itself_has_no_error(wave: np.ndarray):
    sound = heard(wave)
    assert stft_distance(sound, sound) == 0
    assert log_mel_l1(sound, sound) == envelope_error(sound, sound) == level_error(sound, sound) == 0


@pytest.mark.parametrize(("factor", "decibels"), [(0.5, -6.0206), (2.0, 6.0206), (0.1, -20.0)])
def test_level_of_a_scaled_sound(factor: float, decibels: float):
    sound, truth = heard(noise(level_db=-25) * np.float32(factor)), heard(noise(level_db=-25))
    assert level_error(sound, truth) == pytest.approx(decibels, abs=0.02)
    assert envelope_error(sound, truth) == pytest.approx(abs(decibels), abs=0.02)
    assert log_mel_l1(sound, truth) == pytest.approx(abs(decibels), abs=0.1)
    assert envelope_correlation(sound, truth) == pytest.approx(1.0, abs=1e-6)
    assert truth.level_db == pytest.approx(-25, abs=0.01)


def test_silence_is_minus_seventy():
    assert SILENCE.level_db == pytest.approx(-70)
    truth = heard(noise(level_db=-30))
    assert level_error(SILENCE, truth) == pytest.approx(-40, abs=0.01)
    assert envelope_correlation(SILENCE, truth) == 0
    assert envelope_error(SILENCE, truth) == pytest.approx(40, abs=0.2)


def test_two_draws_of_one_noise_are_the_floor_that_the_documents_name():
    one, other = heard(noise(seed=1)), heard(noise(seed=2))
    assert 2 < log_mel_l1(one, other) < 6
    assert 1.1 < stft_distance(one, other) < 1.5
    # Phase does not count: turned round, noise is another draw at worst.
    assert stft_distance(heard(-noise(seed=1)), one) == pytest.approx(0, abs=1e-6)


def test_envelope_correlation_does_not_see_level_and_its_error_does():
    truth = heard(swelling())
    quiet = heard(swelling() * np.float32(0.1))
    assert envelope_correlation(quiet, truth) == pytest.approx(1, abs=1e-6)
    assert envelope_error(quiet, truth) > 15
    backwards = heard(np.ascontiguousarray(np.exp(-np.linspace(0, 5, 4 * RATE)) * noise()))
    rising = heard(np.ascontiguousarray(np.exp(-np.linspace(5, 0, 4 * RATE)) * noise()))
    assert envelope_correlation(backwards, rising) < -0.3


def test_centroid_is_the_frequency_of_a_tone():
    track = centroid_track(heard(tone(1000.0)))
    assert float(np.median(2**track)) == pytest.approx(1000, rel=0.03)


def test_centroid_follows_a_glide_up_and_not_one_down():
    up, down = np.linspace(300, 3000, 4 * RATE), np.linspace(3000, 300, 4 * RATE)
    truth = heard(tone(up))
    assert centroid_scores(heard(tone(up, amplitude=0.02)), truth)[0] > 0.99
    assert centroid_scores(heard(tone(down)), truth)[0] < -0.8
    assert centroid_scores(heard(tone(1.5 * up)), truth)[1] == pytest.approx(math.log2(1.5), abs=0.1)
    assert centroid_scores(SILENCE, truth)[0] == 0


def test_centroid_counts_only_where_the_truth_is_heard():
    half = 2 * RATE
    truth = tone(np.linspace(300, 3000, 4 * RATE))
    truth[half:] = 0
    ours = truth.copy()
    ours[half:] = tone(np.full(half, 100.0), 2.0)
    weights = audible(heard(truth))
    assert weights[:180].all()
    assert not weights[220:].any()
    assert centroid_scores(heard(ours), heard(truth))[0] > 0.7  # the seam counts; all of it would give -0.66
    assert math.isnan(centroid_scores(heard(ours), SILENCE)[0])


@pytest.mark.parametrize("seed", range(8))
def test_bounds_hold_for_any_two_sounds(seed: int):
    random = np.random.default_rng(seed)
    kinds = [
        lambda s: noise(seed=s, level_db=random.uniform(-90, 0)),
        lambda s: clicks([random.uniform(0, 3.5)], seed=s),
    ]
    one, other = (heard(np.clip(kinds[random.integers(2)](seed + k), -1, 1)) for k in (0, 100))
    assert -1 <= envelope_correlation(one, other) <= 1
    assert 0 < log_mel_l1(one, other) <= 80
    assert stft_distance(one, other) > 0
    assert log_mel_l1(one, other) == pytest.approx(log_mel_l1(other, one))
    assert level_error(one, other) == pytest.approx(-level_error(other, one))


@pytest.mark.parametrize("rate", [400, 8000, 11027, 44100])
@pytest.mark.parametrize("seconds", [0.1, 1.2])
def test_other_rates_and_short_sounds(rate: int, seconds: float):
    bands = make_bands(rate)
    wave = np.random.default_rng(0).standard_normal(round(rate * seconds)).astype(np.float32) * np.float32(0.1)
    sound = listen(wave, bands)
    assert sound.power.shape == (64, len(wave) // bands.hop)
    assert len(sound.envelope) == sound.power.shape[1]
    assert level_error(listen(wave * np.float32(0.5), bands), sound) == pytest.approx(-6.02, abs=0.01)
    assert stft_distance(sound, sound) == 0


def test_what_cannot_be_measured_is_said():
    with pytest.raises(ValueError, match="one length and rate, but got 64000 samples at 16000 Hz and 32000"):
        log_mel_l1(heard(noise()), heard(noise(2.0)))
    with pytest.raises(ValueError, match="finite samples"):
        heard(np.full(RATE, np.nan, np.float32))
    with pytest.raises(ValueError, match="at least one frame of 160"):
        listen(np.zeros(10, np.float32), BANDS)


def test_correlation_with_weights():
    a, b = np.array([1.0, 2, 3, 100]), np.array([2.0, 4, 6, -50])
    assert correlation(a, b) < 0
    assert correlation(a, b, np.array([1.0, 1, 1, 0])) == pytest.approx(1)
    assert correlation(a, np.full(4, 3.0)) == 0
    assert correlation(a, b, np.zeros(4)) == 0
    assert correlation(a, b, np.array([1.0, 1, 1, 3])) == pytest.approx(
        correlation(np.array([1.0, 2, 3, 100, 100, 100]), np.array([2.0, 4, 6, -50, -50, -50]))
    )
    with pytest.raises(ValueError, match="one length"):
        correlation(a, b[:2])


@pytest.mark.parametrize("seed", range(5))
def test_digital_silence_after_a_loud_moment_is_silence(seed: int):
    wave = noise(seed=seed, level_db=-3)
    wave[RATE:] = 0
    sound = heard(wave)
    assert np.isfinite(sound.envelope).all()
    assert float(sound.envelope_db[-1]) == pytest.approx(-70, abs=0.01)
    assert envelope_correlation(sound, sound) == pytest.approx(1)
