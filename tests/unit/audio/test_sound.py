"""Bands, pitch and synthesis: what goes in as an envelope comes out as one."""

from __future__ import annotations

import math

import pytest
import torch

from v2a.audio.bands import FLOOR, Bands, mel_filters, smooth
from v2a.audio.normalise import as_samples, denormalise, normalise
from v2a.audio.pitch import Pitch
from v2a.audio.synthesis import synthesise

RATE = 16000


@pytest.fixture(scope="module")
def bands() -> Bands:
    """The grid of the defaults."""
    return Bands(RATE, 160, 512, 64)


def seeded(seed: int = 1) -> torch.Generator:
    """A generator of its own."""
    return torch.Generator().manual_seed(seed)


def hill(frames: int) -> torch.Tensor:
    """A peak that wanders up the bands, [1, 64, frames]."""
    time = torch.linspace(0, 1, frames)
    return (1e-3 * torch.exp(-(((torch.arange(64)[:, None] - 20 - 20 * time) / 12) ** 2)) + 1e-6)[None]


def test_white_noise_has_its_variance_in_every_band(bands: Bands):
    noise = 0.1 * torch.randn(2, 10 * RATE, generator=seeded())
    power = bands.power(noise)
    assert power.shape == (2, 64, 1000)
    assert power[..., 2:-2].mean(dim=(0, 2)).tolist() == pytest.approx([0.01] * 64, rel=0.1)


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_every_band_reaches_a_bin_and_every_bin_a_band(rate: int):
    filters = mel_filters(rate, 512, 64, 20.0)
    assert float(filters.sum(1).min()) > 0
    assert bool((filters[:, 2:-1].sum(0) > 0).all())
    assert float(filters.min()) == 0


def test_smoothing_keeps_a_constant_up_to_the_ends():
    assert torch.equal(smooth(torch.ones(1, 2, 30), 11), torch.ones(1, 2, 30))
    assert smooth(torch.eye(9)[None], 3)[0, 4].tolist() == pytest.approx([0, 0, 0, 1 / 3, 1 / 3, 1 / 3, 0, 0, 0])


@pytest.mark.parametrize(("tonal", "limit_db"), [(0.0, 1.0), (0.5, 1.5)])
def test_what_is_drawn_has_the_power_it_was_given(bands: Bands, tonal: float, limit_db: float):
    power = hill(300)
    pitch = 120 * (1.2 - 0.4 * torch.linspace(0, 1, 300))[None]
    drawn = synthesise(bands, power, torch.full_like(power, tonal), pitch, seeded())
    assert drawn.shape == (1, 300 * 160)
    error = 10 * (smooth(bands.power(drawn), 31).clamp(min=FLOOR) / smooth(power, 31)).log10()
    assert float(error[:, 5:, 20:-20].abs().mean()) < limit_db
    assert float(drawn.square().mean()) == pytest.approx(float(bands.to_bins(power).mean()), rel=0.1)


def test_tones_alone_carry_the_same_power_at_multiples_of_the_pitch(bands: Bands):
    power, pitch = torch.full((1, 64, 200), 1e-3), torch.full((1, 200), 200.0)
    drawn = synthesise(bands, power, torch.ones_like(power), pitch, seeded())
    assert float(drawn.square().mean()) == pytest.approx(1e-3, rel=0.1)
    spectrum = torch.fft.rfft(drawn[0, 8000:24000]).abs().square()  # bins of 1 Hz
    near = sum(float(spectrum[200 * k - 2 : 200 * k + 3].sum()) for k in range(1, 40))
    assert near / float(spectrum.sum()) > 0.99


def test_a_seed_is_a_sound(bands: Bands):
    given = (hill(40), torch.full((1, 64, 40), 0.5), torch.full((1, 40), 100.0))
    first, again, other = (synthesise(bands, *given, seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other, atol=1e-4)


def test_gradients_reach_the_power_and_the_share_of_tones(bands: Bands):
    power = hill(40).requires_grad_()
    tonal = torch.full((1, 64, 40), 0.5, requires_grad=True)
    synthesise(bands, power, tonal, torch.full((1, 40), 100.0), seeded()).square().sum().backward()
    for leaf in (power, tonal):
        assert leaf.grad is not None
        assert bool(torch.isfinite(leaf.grad).all())
        assert float(leaf.grad.abs().max()) > 0


@pytest.mark.parametrize("every", [1, 5])
@pytest.mark.parametrize("hertz", [60.0, 97.0, 220.0, 500.0])
def test_a_tone_has_its_pitch_and_noise_has_none(hertz: float, every: int):
    time = torch.arange(2 * RATE) / RATE
    tone = sum(0.05 / k * torch.sin(2 * math.pi * hertz * k * time + k) for k in range(1, 12))
    assert isinstance(tone, torch.Tensor)
    pitch = Pitch(RATE, 160, every)
    index, sure = pitch((tone + 1e-4 * torch.randn(2 * RATE, generator=seeded()))[None])
    middle = slice(30, -30)
    assert pitch.candidates[index[0, middle]].log2().sub(math.log2(hertz)).abs().max() < 1 / 12
    assert float(sure[0, middle].min()) > 0.8
    _, noise_sure = pitch(0.1 * torch.randn(1, 2 * RATE, generator=seeded()))
    assert float(noise_sure.mean()) < 0.2


def test_looks_that_are_further_apart_follow_a_glide():
    """An octave in two seconds, as no aircraft does; frames and looks are centred alike."""
    time = torch.arange(2 * RATE + 70) / RATE  # no whole number of looks
    phase = 2 * math.pi * 100 * 2 / math.log(2) * (2 ** (time / 2) - 1)
    glide = torch.stack([torch.sin(k * phase) / k for k in range(1, 12)]).sum(0)[None] * 0.05
    (each, _), (fifth, sure) = (Pitch(RATE, 160, every)(glide) for every in (1, 5))
    assert each.shape == fifth.shape == sure.shape == (1, 200)
    off = (each - fifth)[0, 30:-30].float()
    assert float(off.abs().max()) <= 2
    assert abs(float(off.mean())) < 0.5, "as often late as early"
    assert float(sure[0, 30:-30].min()) > 0.8


def test_a_sound_shorter_than_the_distance_of_looks_has_one():
    index, sure = Pitch(RATE, 160, 5)(torch.zeros(1, 640))
    assert index.shape == sure.shape == (1, 4)


@pytest.mark.parametrize("every", [1, 5])
def test_tones_are_told_from_noise_in_each_band(bands: Bands, every: int):
    """Harmonics below, noise above."""
    power = torch.full((1, 64, 300), 1e-3)
    tonal = (torch.arange(64) < 24).float()[None, :, None].expand_as(power)
    drawn = synthesise(bands, power, tonal, torch.full((1, 300), 150.0), seeded())
    pitch = Pitch(RATE, 160, every)
    index, sure = pitch(drawn)
    share, heard = (found[0, :, 40:-40] for found in (pitch.tonal_share(drawn, index, sure, bands), bands.power(drawn)))
    weighted = (share * heard).sum(1) / heard.sum(1)
    assert float((weighted * heard.sum(1))[:22].sum() / heard.sum(1)[:22].sum()) > 0.7
    assert float(weighted[28:].mean()) < 0.3


def test_the_normalisation_has_an_inverse():
    audio = torch.arange(-32768, 32768, 7).to(torch.int16)
    for gain in (0.5, 1.0, 3.0):
        there = normalise(audio, gain)
        assert float(there.abs().max()) < 1
        back = as_samples(denormalise(there, gain))
        assert int((back.int() - audio.int()).abs().max()) <= 2
