"""What each part of framewise's loss is smallest at."""

from __future__ import annotations

import math

import pytest
import torch

from v2a.audio.bands import Bands
from v2a.audio.losses import centroid_loss, convergence_loss, correlation_loss, level_loss, power_loss

WIDTHS = torch.ones(16)


def swell(begin: int, low: int = 4, high: int = 12) -> torch.Tensor:
    """Band powers [1, 16, 300]: a hum that grows and brightens from a moment on for a second."""
    heard = torch.full((1, 16, 300), 1e-5)
    heard[:, low] = 1e-3
    shape = torch.hann_window(100)
    heard[:, low, begin : begin + 100] += 1e-1 * shape
    heard[:, high, begin : begin + 100] += 5e-2 * shape.square()
    return heard


def test_the_power_loss_is_zero_for_the_truth_and_counts_octaves_of_level():
    heard = torch.rand(2, 16, 60) * 1e-2 + 1e-3
    assert float(power_loss(heard, heard)) == 0
    assert float(power_loss(4 * heard, heard)) == pytest.approx(torch.tensor(4.0).log().item(), rel=1e-3)
    assert float(centroid_loss(4 * heard, heard)) == pytest.approx(0, abs=1e-4)
    shifted = torch.zeros(1, 16, 60)
    shifted[:, 7] = 1e-1
    there = torch.zeros(1, 16, 60)
    there[:, 3] = 1e-1
    assert float(centroid_loss(shifted, there)) == pytest.approx(1.0, rel=0.05)  # band 8 to band 4


def test_a_blow_at_an_uncertain_moment_is_not_silence():
    """One of three moments, as often each: the median of the log power is silence, the mean amplitude is not."""
    quiet, blow = 1e-6, 1e-2
    heard = torch.full((3, 16, 300), quiet)
    for clip, begin in enumerate((30, 130, 230)):
        heard[clip, :, begin : begin + 40] = blow
    silent = torch.full_like(heard, quiet)
    mean = heard.sqrt().mean(0, keepdim=True).square().expand_as(heard)
    assert power_loss(silent, heard) < power_loss(mean, heard)
    assert convergence_loss(mean, heard) < 0.9 * convergence_loss(silent, heard)
    assert float(convergence_loss(heard, heard)) == 0
    assert float(convergence_loss(4 * heard, heard)) == pytest.approx(1.0, rel=1e-3)
    assert float(convergence_loss(torch.zeros(1, 16, 300), torch.full((1, 16, 300), 1e-9))) < 0.01, "both are silence"


def test_correlation_sees_shape_and_not_level():
    truth = swell(100)
    assert float(correlation_loss(truth, truth, WIDTHS)) == pytest.approx(0, abs=0.06)
    assert float(correlation_loss(4 * truth, truth, WIDTHS)) == pytest.approx(0, abs=0.06)
    steady = truth.mean(-1, keepdim=True).expand_as(truth)
    late = swell(200)
    assert float(correlation_loss(steady, truth, WIDTHS)) == pytest.approx(2.0, abs=0.05)
    assert float(correlation_loss(late, truth, WIDTHS)) > 2.0
    shifted = swell(100, low=5, high=13)
    assert float(correlation_loss(shifted, truth, WIDTHS)) < 0.05, (
        "a constant distance of the centroid is the other loss's"
    )


def test_level_sees_a_burst_that_the_median_does_not():
    heard = torch.full((1, 16, 1000), 1e-4)
    burst = heard.clone()
    burst[..., 500:505] = 10.0
    assert float(level_loss(heard, heard, WIDTHS)) == 0
    assert float(level_loss(burst, heard, WIDTHS)) == pytest.approx(math.log(0.995 + 0.005 * 1e5), rel=1e-3)
    assert float(level_loss(heard / 10, heard, WIDTHS)) == pytest.approx(math.log(10), rel=1e-3), (
        "too quiet counts as well"
    )
    assert float(power_loss(burst, heard)) < 0.3
    silent = torch.zeros(1, 16, 1000, requires_grad=True)
    level_loss(silent, silent.detach(), WIDTHS).backward()
    assert silent.grad is not None
    assert silent.grad.isfinite().all()


def test_correlation_has_gradients_where_nothing_varies():
    still = torch.full((1, 16, 300), 1e-5, requires_grad=True)
    correlation_loss(still, torch.zeros(1, 16, 300), WIDTHS).backward()
    assert still.grad is not None
    assert still.grad.isfinite().all()


def test_the_bands_widths_make_the_power_of_the_wave():
    bands = Bands(8000, 80, 256, 16)
    white = 0.1 * torch.randn(1, 16000, generator=torch.Generator().manual_seed(0))
    power = torch.einsum("m,bmn->bn", bands.widths, bands.power(white)).mean() / (bands.size // 2 + 1)
    assert float(power) == pytest.approx(0.01, rel=0.1)
