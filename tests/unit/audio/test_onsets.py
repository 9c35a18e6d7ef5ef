"""Onsets in the truth, told ones, and what follows them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from v2a.audio.bands import Bands
from v2a.audio.onsets import onset_loss, since_onsets, told_onsets, true_onsets
from v2a.metrics.heard import listen
from v2a.metrics.onsets import find_onsets

RATE = 16000
BANDS = Bands(RATE, RATE // 100, 512, 64)


def blows(times: list[float], seconds: float = 4.0, seed: int = 0) -> torch.Tensor:
    """Decaying noise at these times over a quiet hiss: [1, S]."""
    generator = np.random.default_rng(seed)
    clock = np.arange(round(seconds * RATE)) / RATE
    sound = 1e-3 * generator.standard_normal(len(clock))
    for time in times:
        since = np.maximum(clock - time, 0)
        sound += 0.3 * np.where(clock >= time, np.exp(-since / 0.1), 0) * generator.standard_normal(len(clock))
    return torch.from_numpy(sound).float()[None]


@pytest.mark.parametrize("times", [[], [0.5], [0.3, 1.1, 1.5, 3.2], [0.5, 0.9, 1.3, 1.7, 2.1]])
def test_the_truths_onsets_are_those_that_the_measure_finds(times: list[float]):
    sound = blows(times)
    ours = torch.nonzero(true_onsets(BANDS.power(sound))[0]).flatten().numpy() / 100
    theirs = find_onsets(listen(sound[0].numpy(), BANDS))
    assert len(ours) == len(times)
    assert ours == pytest.approx(theirs, abs=0.011)


def test_noise_has_none():
    assert not true_onsets(BANDS.power(blows([]))).any()
    assert not true_onsets(BANDS.power(torch.zeros(1, RATE))).any()


def test_a_moment_is_told_once_and_only_where_it_is_likely():
    logits = torch.full((1, 300), -9.0)
    logits[0, 95:106] = -2.0  # about 0.12 each of 11 frames
    logits[0, 100] = -1.5
    logits[0, 200] = -2.0  # 0.12, and nothing around
    assert torch.nonzero(told_onsets(logits)).tolist() == [[0, 100]]


def test_time_since_the_last_onset():
    onsets = torch.zeros(1, 20)
    onsets[0, [5, 11]] = 1
    since = since_onsets(onsets)
    assert since.shape == (1, 4, 20)
    assert not since[..., :5].any()
    assert torch.equal(since[..., 5], torch.ones(1, 4))
    assert since[0, 0, 8].item() == pytest.approx(np.exp(-1))
    torch.testing.assert_close(since[..., 11:15], since[..., 5:9])


def test_the_loss_is_least_for_what_is_true():
    onsets = torch.zeros(2, 50)
    onsets[:, 10] = 1
    sure, wrong = 8 * (2 * onsets - 1), -8 * (2 * onsets - 1)
    assert onset_loss(sure, onsets) < 0.01 < onset_loss(torch.zeros(2, 50), onsets) < onset_loss(wrong, onsets)
