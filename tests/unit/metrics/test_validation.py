"""The few scores of a run's validation are those of the evaluation."""

from __future__ import annotations

import math

import pytest
import torch

from tests.unit.metrics.sounds import BANDS, heard, noise, swelling
from v2a.audio.measure import clip_scores
from v2a.metrics.spectral import envelope_correlation, log_mel_l1


def test_scores_of_a_validation():
    ours, truth = swelling(seed=1) * 0.5, swelling()
    found = clip_scores(torch.from_numpy(ours), torch.from_numpy(truth), BANDS)
    assert found["log_mel"] == log_mel_l1(heard(ours), heard(truth))
    assert found["envelope"] == envelope_correlation(heard(ours), heard(truth)) > 0.9
    assert found["mse_silence"] == pytest.approx(float((truth**2).mean()))
    assert found["level_db"] == pytest.approx(6.02, abs=0.3)
    assert found["mse"] == pytest.approx(float(((ours - truth) ** 2).mean()))


def test_a_sound_that_is_not_finite_has_no_scores():
    found = clip_scores(torch.full((16000,), math.nan), torch.from_numpy(noise(1.0)), BANDS)
    assert all(math.isnan(value) for name, value in found.items() if name != "mse_silence")
    assert found["mse_silence"] == pytest.approx(0.01, rel=1e-3)
