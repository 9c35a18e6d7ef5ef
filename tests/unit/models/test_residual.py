"""The residual network: cosines, groups of codes, and what it is before any training."""

import math

import pytest
import torch

from tests.unit.models.small import random_video, small, trained
from v2a.comm import LocalComm
from v2a.models.cosines import cosines, patches, unpatches
from v2a.models.staged import StagedQuantizer
from v2a.quantize.config import Settings
from v2a.training.config import Train
from v2a.training.schedule import parameter_groups

BLOCK = (3, 2, 4)


def test_cosines_are_orthonormal_and_the_first_is_the_mean():
    basis = cosines(BLOCK, 72)
    assert torch.allclose(basis @ basis.t(), torch.eye(72), atol=1e-6, rtol=0)
    assert torch.allclose(basis[0], torch.full((72,), 1 / math.sqrt(72)))


def test_more_cosines_than_numbers_are_refused():
    with pytest.raises(ValueError, match="at most 72 coefficients of a block"):
        cosines(BLOCK, 73)


def test_patches_hold_each_block_and_can_be_put_together():
    video = torch.rand(2, 3, 6, 4, 8)
    blocks = patches(video, BLOCK)
    assert blocks.shape == (2, 72, 2, 2, 2)
    assert torch.equal(blocks[1, :, 1, 0, 1], video[1, :, 3:6, 0:2, 4:8].flatten())
    assert torch.equal(unpatches(blocks, BLOCK), video)


def test_untrained_and_unquantized_it_keeps_what_the_cosines_span():
    """The encoder's transform and the decoder's are inverse: a picture of block means comes back exactly."""
    model = small("residual", dim=1).eval()
    video = torch.rand(2, 3, 2, 2, 3).mean(1, keepdim=True).repeat_interleave(12, 2)
    video = video.repeat_interleave(8, 3).repeat_interleave(8, 4).expand(-1, 3, -1, -1, -1)
    z = model.encode(video)
    only_first = torch.where(torch.arange(6).view(1, 1, 6, 1, 1) % 3 == 0, z, 0.0)
    assert torch.allclose(model.decode(only_first), video, atol=1e-5, rtol=0)


def test_the_encoder_and_the_transforms_learn_slowly():
    """Those that begin near their best; all else of the decoder at the full rate."""
    model = small("residual", slow=0.25)
    rates = {
        id(parameter): group["lr"]
        for group in parameter_groups(model, Train(lr=1e-2), world=1)
        for parameter in group["params"]  # type: ignore[attr-defined]
    }
    for name, parameter in model.named_parameters():
        slow = name.startswith("encoder.") or name == "decoder.linear"
        assert rates[id(parameter)] == pytest.approx(0.25e-2 if slow else 1e-2), name


def test_each_stage_refines_those_before_it():
    torch.manual_seed(0)
    z = torch.randn(2, 4, 2, 6, 6).repeat_interleave(3, 2)
    quantizer = StagedQuantizer(Settings(codes=16), 4, 3, LocalComm())
    quantizer(z)
    made = quantizer.eval()(z)
    errors = [
        float((z[:, :, ::3] - sum(made.vectors[:, :, k::3] for k in range(stages))).square().mean())
        for stages in (1, 2, 3)
    ]
    assert errors[0] < 0.8 * float(z.square().mean())
    assert errors[0] > 1.2 * errors[1] > 1.44 * errors[2]
    assert float(made.error) == pytest.approx(errors[2], rel=1e-5)


def test_a_start_from_many_videos_serves_a_video_of_another_colour():
    """Untrained, codebooks of 64 batches of plain clips know its colour nearly, those of the first batch do not; no batch more
    is taken."""
    colours = torch.rand(70, 2, 3, 1, 1, 1, generator=torch.Generator().manual_seed(5))
    taken = []

    def videos():
        for colour in colours:
            taken.append(colour)
            yield colour.expand(2, 3, 12, 32, 64)

    started, alone = (small("residual", codes=16) for _ in range(2))
    started.begin(videos())
    assert len(taken) == started.quantizer.settings.start_per_code * 16 // (2 * 4 * 8) == 64
    alone(colours[0].expand(2, 3, 12, 32, 64))
    unseen = colours[65:].flatten(0, 1).expand(10, 3, 12, 32, 64)
    with torch.no_grad():
        errors = [float((model.eval()(unseen).video - unseen).square().mean()) for model in (started, alone)]
    assert errors[0] < 0.1 * errors[1]
    before = {name: value.clone() for name, value in started.state_dict().items()}
    started.train().begin(videos())
    assert all(torch.equal(value, before[name]) for name, value in started.state_dict().items()), "it begins once"


def test_each_stage_takes_the_nearest_code_of_what_is_left():
    z = torch.randn(1, 4, 3, 2, 2)[:, :, :1].expand(-1, -1, 3, -1, -1)
    quantizer = StagedQuantizer(Settings(codes=16), 4, 3, LocalComm())
    quantizer(z)
    made = quantizer.eval()(z)
    rest = z[:, :, 0].movedim(1, -1)  # [1, h, w, D]
    for step, stage in enumerate(quantizer.stages):
        book = stage.state_dict()["codebook"]
        distances = (rest.unsqueeze(-2) - book).square().sum(-1)
        assert torch.equal(made.codes[:, step], distances.argmin(-1))
        rest = rest - book[made.codes[:, step]]


def test_the_gradient_of_the_sum_passes_through_once():
    quantizer = StagedQuantizer(Settings(codes=4), 2, 3, LocalComm())
    z = torch.randn(1, 2, 1, 2, 2, requires_grad=True)
    weight = torch.randn(1, 2, 2, 2)
    made = quantizer(z.repeat_interleave(3, 2))
    (made.vectors.sum(2) * weight).sum().backward()
    assert z.grad is not None
    assert torch.allclose(z.grad[:, :, 0], weight)


def test_a_last_group_that_is_cut_short_has_the_first_codes():
    model = trained("residual")  # groups of 3
    long = random_video(1, 24, 16, 16, seed=4)
    long[:, :, 16:] = long[:, :, 15:16]  # so that filling up with the last frame changes nothing
    whole, cut = model.codes(long), model.codes(long[:, :, :16])
    assert torch.equal(cut, whole[:, :4])
    first = model.decode(model.quantizer.codes_to_vectors(whole[:, :3]))
    assert torch.allclose(first, model(long).video[:, :, :12], atol=1e-5, rtol=0)


def test_groups_know_nothing_of_each_other():
    """So that a long clip can be decoded in pieces of whole groups, exactly."""
    model = trained("residual")
    video = random_video(1, 36, 16, 16, seed=5)
    pieces = [model(piece).video for piece in video.split(12, 2)]
    assert torch.allclose(torch.cat(pieces, 2), model(video).video, atol=1e-5, rtol=0)


def test_usage_is_the_mean_of_the_stages():
    quantizer = StagedQuantizer(Settings(codes=8, restart_below=0), 2, 2, LocalComm())
    assert quantizer.usage() == quantizer.perplexity() == 0
    quantizer(torch.randn(2, 2, 2, 4, 4)[:, :, :1].repeat_interleave(2, 2))
    books = [stage.get_buffer("used") for stage in quantizer.stages]
    assert quantizer.usage() == pytest.approx(sum(float((used > 0).float().mean()) for used in books) / 2)
    assert 1 < quantizer.perplexity() <= 8
    quantizer.reset_usage()
    assert quantizer.usage() == 0


def test_codes_of_another_shape_are_refused():
    quantizer = StagedQuantizer(Settings(codes=8), 2, 2, LocalComm())
    with pytest.raises(ValueError, match=r"expected codes \[B, t, h, w\]"):
        quantizer.codes_to_vectors(torch.zeros(2, 2, 2, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"expected codes from 0 to 7"):
        quantizer.codes_to_vectors(torch.full((1, 2, 2, 2), 8))
    with pytest.raises(ValueError, match=r"expected encodings \[B, 2, t, h, w\]"):
        quantizer(torch.zeros(2, 2, 2))
