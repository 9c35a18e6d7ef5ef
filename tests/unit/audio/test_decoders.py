"""The decoders of sound: shapes, alignment in time, what they learn from, and that both begin the same for the same seed."""

from __future__ import annotations

import pytest
import torch

from v2a.audio.config import Config, Decoder, Weights
from v2a.audio.fc import FullyConnected
from v2a.audio.framewise import Framewise
from v2a.audio.grid import Grid, make_grid
from v2a.audio.make import make_decoder
from v2a.audio.vectors import Codebooks, CodeVectors
from v2a.config import ConfigError, build_config
from v2a.geometry import Geometry

SMALL = Geometry(width=64, height=36, fps=10, segment_s=4.0, sample_rate=8000)
GRID = make_grid(SMALL, (4, 4, 8))
CODES = 32


def codebooks(group: int = 5, dim: int = 6) -> Codebooks:
    """Made up, of patches of 4 frames a step, 4 rows and 8 columns."""
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(group, CODES, dim, generator=generator)
    return Codebooks(vectors, torch.randn(3 * 4 * group * 4 * 8, dim, generator=generator), (4 * group, 4, 8))


def codes(batch: int = 2, steps: int = GRID.steps, seed: int = 0) -> torch.Tensor:
    """Random ones, [B, t, h, w]."""
    return torch.randint(
        0, CODES, (batch, steps, GRID.rows, GRID.columns), generator=torch.Generator().manual_seed(seed)
    )


def framewise(group: int = 5) -> Framewise:
    """A small one in evaluation mode."""
    made = make_decoder(Decoder(channels=16, blocks=1, bands=16), Weights(), GRID, codebooks(group), seed=0)
    assert isinstance(made, Framewise)
    return made.eval()


def test_the_grid_of_the_paper():
    grid = make_grid(Geometry(), (4, 8, 8))
    assert grid == Grid(steps=25, rows=18, columns=32, samples=6400, hop=160, frames=4, sample_rate=16000)
    assert grid.controls == 40


def test_a_step_without_whole_samples_is_refused():
    with pytest.raises(ValueError, match=r"expected a sample rate that is a multiple of 7, .* got 16000 Hz; 16002 is"):
        make_grid(Geometry(fps=7, segment_s=4.0), (4, 8, 8))


def test_a_frame_whose_samples_have_no_divisor_near_ten_milliseconds_is_refused():
    rate = 10 * 1601  # a prime number of samples a frame
    with pytest.raises(ValueError, match=r"expected 1601 samples of a frame to have a divisor between 80 and 320"):
        make_grid(Geometry(sample_rate=rate), (4, 8, 8))


@pytest.mark.parametrize("group", [1, 3, 5])
def test_vectors_are_those_of_each_steps_codebook(group: int):
    vectors = CodeVectors(codebooks(group).vectors)
    picked = codes(steps=7)
    found = vectors(picked)
    assert found.shape == (2, 6, 7, GRID.rows, GRID.columns)
    for step in range(7):
        assert torch.equal(found[1, :, step, 2, 3], vectors.codebooks[step % group, picked[1, step, 2, 3]])
    together = vectors.together(picked)
    assert together.shape[2] == -(-7 // group)
    torch.testing.assert_close(together[:, :, 0], found[:, :, :group].sum(2))
    torch.testing.assert_close(together[:, :, -1], found[:, :, 7 - (7 % group or group) :].sum(2))


def test_fc_is_the_papers():
    made = make_decoder(Decoder(name="fc", hidden=24), Weights(), GRID, codebooks(), seed=0)
    assert isinstance(made, FullyConnected)
    numbers = GRID.steps * GRID.rows * GRID.columns * 6
    widths = [tuple(layer.weight.shape) for layer in made.layers if isinstance(layer, torch.nn.Linear)]
    assert widths == [(24, numbers), (24, 24), (SMALL.samples, 24)]
    audio = torch.randint(-20000, 20000, (2, SMALL.samples), dtype=torch.int16)
    found = made.loss(codes(), audio)
    truth = torch.tanh(audio.float() / 32768)
    torch.testing.assert_close(found["loss"], (made(codes()) - truth).square().mean())
    torch.testing.assert_close(found["mse_silence"], truth.square().mean())
    assert made.sound(codes()).shape == (2, SMALL.samples)
    with pytest.raises(ValueError, match=r"expected codes \[B, 10, 9, 8\], but got \[2, 5, 9, 8\]"):
        made(codes(steps=5))


@pytest.mark.parametrize("steps", [5, 10, 23])
def test_framewise_makes_the_sound_of_any_length(steps: int):
    sound = framewise().sound(codes(1, steps), torch.Generator().manual_seed(0))
    assert sound.shape == (1, steps * GRID.samples)
    assert bool(torch.isfinite(sound).all())
    assert float(sound.detach().abs().max()) <= 1


def test_framewise_is_aligned_in_time():
    """Other codes in one group change the controls there, and not those that are further than its window."""
    decoder, picked = framewise(group=1), codes(1, 40)
    other = picked.clone()
    other[:, 20] = (other[:, 20] + 7) % CODES
    before, after = decoder(picked).power, decoder(other).power
    changed = (before - after).abs().sum(1)[0].nonzero().flatten()
    inside = 20 * GRID.controls
    assert int(changed.min()) > inside - 12 * GRID.controls
    assert int(changed.max()) < inside + 12 * GRID.controls
    assert bool(((changed >= inside) & (changed < inside + GRID.controls)).any())


def test_a_seed_is_a_sound():
    first, again, other = (framewise().sound(codes(1), torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


def test_gradients_reach_every_weight():
    decoder = framewise().train()
    audio = torch.randint(-8000, 8000, (2, SMALL.samples), dtype=torch.int16)
    audio[:, : SMALL.samples // 2] //= 1000  # an onset, without which nothing follows one
    decoder.loss(codes(), audio)["loss"].backward()
    assert [name for name, p in decoder.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_it_learns_level_and_pitch_of_what_it_hears():
    """One clip: silence, then a tone, as the codes say."""
    torch.manual_seed(0)
    decoder = framewise(group=1).train()
    picked = torch.zeros(1, 10, GRID.rows, GRID.columns, dtype=torch.int64)
    picked[:, 5:] = 9
    time = torch.arange(SMALL.samples) / SMALL.sample_rate
    tone = sum(4000 / k * torch.sin(2 * torch.pi * 200 * k * time) for k in range(1, 8))
    audio = (tone * (time >= 2.0)).to(torch.int16)[None]
    optimizer = torch.optim.AdamW(decoder.parameters(), lr=3e-3)
    for _ in range(120):
        optimizer.zero_grad()
        decoder.loss(picked, audio)["loss"].backward()
        optimizer.step()
    drawn = decoder.eval().sound(picked, torch.Generator().manual_seed(0))[0]
    truth = audio[0].float() / 32768
    quiet, loud = drawn[: SMALL.samples // 2 - 2000], drawn[SMALL.samples // 2 + 2000 :]
    assert float(quiet.detach().square().mean()) < 1e-5
    level = 10 * torch.log10(loud.square().mean() / truth[SMALL.samples // 2 + 2000 :].square().mean())
    assert abs(float(level.detach())) < 2
    pitch = decoder.hertz(decoder(picked).pitch)[0, -100:-20]
    assert float((pitch / 200).log2().abs().max().detach()) < 1 / 12


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (["decoder=fc", "crop=40"], "expected crop=0 with decoder=fc"),
        (["decoder=wave"], "there is no decoder 'wave'"),
        (["decoder.bands=2"], "expected decoder.bands from 8 to 256"),
        (["weights.stft=-1"], "expected weights.stft of at least 0"),
        (["weights.power=inf"], "expected weights.power of at least 0, and finite"),
        (
            [f"weights.{part}=0" for part in ("power", "centroid", "correlation", "level", "pitch", "tonal", "onsets")],
            "expected at least one of weights.* above 0",
        ),
        (["weights.convergence=-1"], "expected weights.convergence of at least 0"),
        (["crop=-4"], "expected crop of at least 0"),
        (["decoder=wavenet", "decoder.width=2"], "expected decoder.width from 4 to 64"),
        (["decoder=wavenet", "decoder.layers=13"], "expected decoder.layers from 1 to 12"),
        (["decoder=wavenet", "decoder.piece_s=0"], "expected decoder.piece_s from 0.001 to 60"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: list[str], sentence: str):
    with pytest.raises(ConfigError, match=sentence):
        build_config(Config, settings)
