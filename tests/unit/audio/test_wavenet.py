"""The autoregressive decoder: causal, as far back as it says, the same sample by sample as all at once, and it learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.signal import lfilter

from tests.unit.audio.test_decoders import CODES, GRID, SMALL, codebooks, codes
from v2a.audio.config import Decoder, Weights
from v2a.audio.make import make_decoder
from v2a.audio.mulaw import CLASSES, SILENCE, classes_of, wave_of
from v2a.audio.normalise import as_wave
from v2a.audio.steps import Steps, pick
from v2a.audio.wavenet import WaveNet


def wavenet(stacks: int = 2, layers: int = 3, **settings: float) -> WaveNet:
    """A small one in evaluation mode."""
    sizes = {"channels": 16, "width": 8, "piece_s": 0.1, **settings}
    made = make_decoder(
        Decoder(name="wavenet", stacks=stacks, layers=layers, **sizes),  # type: ignore[arg-type]
        Weights(), GRID, codebooks(group=1), seed=0,
    )  # fmt: skip
    assert isinstance(made, WaveNet)
    with torch.no_grad():  # as far from even odds as a trained one
        made.head[3].weight.mul_(20)
        made.condition.weight.mul_(5)
    return made.eval()


def known(count: int, seed: int = 1) -> torch.Tensor:
    """Random classes, [1, n]."""
    return torch.randint(0, CLASSES, (1, count), generator=torch.Generator().manual_seed(seed))


def test_classes_are_samples_within_half_a_step():
    audio = torch.arange(-32768, 32768, dtype=torch.int32).to(torch.int16)
    classes = classes_of(audio)
    assert int(classes.min()) == 0
    assert int(classes.max()) == CLASSES - 1
    assert bool((classes.diff() >= 0).all())
    assert int(classes_of(torch.zeros(1, dtype=torch.int16))) == SILENCE
    assert torch.equal(classes_of((wave_of(torch.arange(256)) * 32768).round().clamp(-32768, 32767).to(torch.int16)),
                       torch.arange(256))  # fmt: skip
    error = (wave_of(classes) - as_wave(audio)).abs()
    assert bool((error <= 0.025 * as_wave(audio).abs() + 1.5e-4).all())
    assert abs(float(wave_of(torch.tensor(SILENCE)))) < 10 ** (-80 / 20)


@torch.no_grad()
def test_it_is_causal_and_looks_as_far_back_as_it_says():
    made = wavenet()
    assert made.reach == 1 + 2 * (1 + 2 + 4)
    condition, begin, before = made.conditions(codes(1)), torch.tensor([900]), known(made.reach + 60)
    plain = made(condition, begin, before)
    assert plain.shape == (1, CLASSES, 61)
    place = made.reach + 20  # the last sample before that of logits number 21
    other = before.clone()
    other[:, place] = (other[:, place] + 99) % CLASSES
    changed = (made(condition, begin, other) - plain).abs().amax((0, 1)) > 1e-6
    assert changed.nonzero().flatten().tolist() == list(range(21, 21 + made.reach))


@torch.no_grad()
def test_the_odds_of_a_sample_depend_on_the_codes_of_its_moment():
    made = wavenet()
    picked = codes(1, 40)
    other = picked.clone()
    other[:, 20] = (other[:, 20] + 7) % CODES
    changed = (made.conditions(picked) - made.conditions(other)).abs().amax((0, 1)) > 1e-5
    assert changed[20 * GRID.frames : 21 * GRID.frames].all()
    assert not changed[: 20 * GRID.frames - SMALL.fps - 3].any()
    assert not changed[21 * GRID.frames + SMALL.fps + 3 :].any()


@torch.no_grad()
def test_step_by_step_is_the_full_convolution():
    """The same logits for every sample, across frames and from the very first one, and so the same samples for the same draws."""
    made, picked = wavenet(stacks=2, layers=5), codes(1)
    count = 2 * made.samples + 37
    condition = made.conditions(picked)
    chances = torch.rand(count, generator=torch.Generator().manual_seed(3), dtype=torch.float64).numpy()
    drawn = torch.from_numpy(Steps(made).draw(condition[0].numpy(), chances))
    assert len(drawn.unique()) > 50
    before = torch.cat([torch.full((made.reach,), SILENCE), drawn[:-1]])[None]
    logits = made(condition, torch.zeros(1, dtype=torch.int64), before)[0].t().numpy()
    again = [pick(row, chance) for row, chance in zip(logits, chances, strict=True)]
    assert np.mean(np.array(again) == drawn.numpy()) > 0.999  # rounding may decide a draw between two classes

    steps = Steps(made)
    told = condition[0].t().reshape(-1, len(made.dilations), 16).numpy()
    steps.begin(told[0] * steps.scale)
    for number in range(made.samples // 2):  # up to the middle of the first frame its features are held
        found = steps.step(int(before[0, made.reach + number - 1]), told[0] * steps.scale)
        np.testing.assert_allclose(found, logits[number], rtol=1e-3, atol=1e-3)


@torch.no_grad()
def test_a_loop_of_full_convolutions_draws_the_same_sound():
    made, picked = wavenet(), codes(1)
    condition = made.conditions(picked)
    chances = torch.rand(150, generator=torch.Generator().manual_seed(4), dtype=torch.float64).numpy()
    before = torch.full((1, made.reach), SILENCE)
    naive = []
    for number, chance in enumerate(chances):
        logits = made(condition, torch.tensor([number]), before[:, -made.reach :])
        naive.append(pick(logits[0, :, 0].numpy(), chance))
        before = torch.cat([before, torch.tensor([[naive[-1]]])], 1)
    assert Steps(made).draw(condition[0].numpy(), chances).tolist() == naive


@torch.no_grad()
@pytest.mark.parametrize("begin", [0, 3_000, SMALL.samples - 800])
def test_a_piece_of_a_clip_has_the_loss_that_it_has_in_the_whole(begin: int, monkeypatch: pytest.MonkeyPatch):
    made, picked = wavenet(layers=6), codes(2)
    audio = torch.randint(-20000, 20000, (2, SMALL.samples), dtype=torch.int16)
    monkeypatch.setattr(made, "_pieces", lambda clips, _: torch.full((clips, 1), begin))
    classes = torch.nn.functional.pad(classes_of(audio), (made.reach, 0), value=SILENCE)
    logits = made(made.conditions(picked), torch.zeros(2, dtype=torch.int64), classes[:, :-1])
    part = slice(begin, begin + 800)
    expected = torch.nn.functional.cross_entropy(logits[:, :, part], classes[:, made.reach :][:, part])
    assert float(made.loss(picked, audio)["loss"]) == pytest.approx(float(expected), rel=1e-5)


def test_training_takes_another_piece_each_time_and_validation_the_same():
    made, picked = wavenet(), codes(2)
    audio = torch.randint(-20000, 20000, (2, SMALL.samples), dtype=torch.int16)
    first, again = (float(made.loss(picked, audio)["loss"].detach()) for _ in range(2))
    assert first == again
    made.train()
    torch.manual_seed(0)
    assert len({float(made.loss(picked, audio)["loss"].detach()) for _ in range(4)}) == 4


def test_a_seed_is_a_sound_in_any_batch():
    made = wavenet()
    first, again, other = (made.sound(codes(1, 2), torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    pair = made.sound(torch.cat([codes(1, 2), codes(1, 2, seed=5)]), torch.Generator().manual_seed(1))
    assert torch.equal(pair[0], first[0])
    assert not torch.equal(pair[1], pair[0])


@pytest.mark.parametrize("steps", [1, 3, 7])
def test_it_makes_the_sound_of_any_length(steps: int):
    sound = wavenet().sound(codes(1, steps), torch.Generator().manual_seed(0))
    assert sound.shape == (1, steps * GRID.samples)
    assert float(sound.abs().max()) <= 1


def test_an_excerpt_is_a_second_in_the_middle():
    drawn, samples = wavenet().excerpt(codes(2), torch.Generator().manual_seed(0))
    assert (samples.start, samples.stop) == (12_000, 20_000)
    assert drawn.shape == (2, 8_000)


def test_gradients_reach_every_weight():
    made = wavenet().train()
    made.loss(codes(), torch.randint(-8000, 8000, (2, SMALL.samples), dtype=torch.int16))["loss"].backward()
    assert [name for name, p in made.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_it_learns_the_level_of_a_moment_and_the_colour_of_its_sound():
    """One clip: hiss, then a louder rumble, as the codes say. Its samples are drawn, each from those before, not only told."""
    torch.manual_seed(0)
    made = make_decoder(
        Decoder(name="wavenet", channels=16, width=16, stacks=1, layers=4, piece_s=0.02),
        Weights(),
        GRID,
        codebooks(group=1),
        0,
    )
    assert isinstance(made, WaveNet)
    picked = torch.zeros(1, 10, GRID.rows, GRID.columns, dtype=torch.int64)
    picked[:, 5:] = 9
    half = SMALL.samples // 2
    hiss = np.random.default_rng(0).standard_normal(SMALL.samples)
    truth = np.concatenate([500 * hiss[:half], 1000 * lfilter([1], [1, -0.9], hiss[half:])])
    audio = torch.from_numpy(truth.astype(np.int16))[None]
    optimizer = torch.optim.AdamW(made.parameters(), lr=5e-3)
    for _ in range(150):
        optimizer.zero_grad()
        made.loss(picked.expand(8, -1, -1, -1), audio.expand(8, -1))["loss"].backward()
        torch.nn.utils.clip_grad_norm_(made.parameters(), 1.0)
        optimizer.step()
    drawn = made.eval().sound(picked, torch.Generator().manual_seed(0))[0].numpy()
    for part, colour in ((slice(2000, half - 2000), 0.0), (slice(half + 2000, SMALL.samples), 0.9)):
        wave, wanted = drawn[part], truth[part] / 32768
        assert abs(20 * np.log10(wave.std() / wanted.std())) < 4
        assert abs(np.corrcoef(wave[1:], wave[:-1])[0, 1] - colour) < 0.25
