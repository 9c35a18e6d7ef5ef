"""Both networks behind one interface: shapes, codes and back, gradients, half precision, seeds, refusals."""

import pytest
import torch

from tests.unit.models.small import random_video, small, trained
from v2a.models.vqvae import VQVAE

both = pytest.mark.parametrize("name", ["paper", "residual"])


@both
@pytest.mark.parametrize("strides", ["4x8x8", "1x2x4", "2x16x8"])
@pytest.mark.parametrize("grid", [(1, 1, 1), (5, 3, 2)])
def test_shapes_of_any_multiples(name: str, strides: str, grid: tuple[int, int, int]):
    model = small(name, strides=strides, dim=4, group=3)
    size = [length * stride for length, stride in zip(grid, model.strides, strict=True)]
    video = torch.rand(2, 3, *size)
    z = model.encode(video)
    assert z.shape == (2, 4, *grid)
    made = model(video)
    assert made.video.shape == video.shape
    assert made.quantized.vectors.shape == z.shape
    codes = model.eval().codes(video)
    assert codes.shape == (2, *grid)
    assert codes.dtype == torch.int64


@both
def test_codes_are_all_that_the_reconstruction_needs(name: str):
    model = trained(name)
    video = random_video(2, 20, 16, 32, seed=9)  # 5 latent steps: with groups of 3 the last is cut short
    made = model(video)
    codes = model.codes(video)
    assert len(codes.unique()) > 4
    assert torch.equal(codes, made.quantized.codes)
    assert torch.equal(model.quantizer.codes_to_vectors(codes), made.quantized.vectors)
    assert torch.equal(model.decode(model.quantizer.codes_to_vectors(codes)), made.video)
    assert 0 <= made.video.min() <= made.video.max() <= 1


@both
def test_a_gradient_reaches_every_parameter(name: str):
    model = trained(name).train()
    video = random_video(2, 24, 16, 32)
    made = model(video)
    ((made.video - video).square().mean() + made.quantized.loss).backward()
    still = [key for key, p in model.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert still == []


@both
def test_half_precision_stays_finite_and_near(name: str):
    model = trained(name)
    video = random_video(2, 24, 16, 32)
    plain = model(video)
    with torch.autocast("cpu", torch.float16):
        half = model(video)
    assert half.quantized.vectors.dtype == torch.float32
    # 2**-10 of rounding in each layer; some codes fall to the neighbour, which is as near.
    assert (half.video.float() - plain.video).square().mean() < 1e-4
    model.train()
    with torch.autocast("cpu", torch.float16):
        made = model(video)
        loss = (made.video.float() - video).square().mean() + made.quantized.loss
    (loss * 1024).backward()
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters() if p.grad is not None)


@both
def test_extreme_pictures_stay_finite(name: str):
    model = trained(name)
    for video in (torch.zeros(1, 3, 12, 16, 16), torch.ones(1, 3, 12, 16, 16), torch.rand(1, 3, 12, 16, 16).round()):
        with torch.autocast("cpu", torch.float16):
            rebuilt = model(video).video
        assert rebuilt.isfinite().all()


@both
def test_whatever_the_vectors_the_video_is_between_0_and_1(name: str):
    model = trained(name)
    rebuilt = model.decode(100 * torch.randn(1, 8, 3, 2, 2))
    assert 0 <= rebuilt.min() < 0.1
    assert 0.9 < rebuilt.max() <= 1


def test_in_training_the_residual_network_may_leave_that_range_and_has_a_gradient_there():
    model = trained("residual").train()
    vectors = (100 * torch.ones(1, 8, 3, 2, 2)).requires_grad_()
    rebuilt = model.decode(vectors)
    assert rebuilt.max() > 1
    (rebuilt.max() - 1).backward()
    assert vectors.grad is not None
    assert vectors.grad.abs().max() > 0


@both
def test_the_seed_decides_the_weights_and_nothing_else_is_drawn(name: str):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, again, other = small(name, seed=1), small(name, seed=1), small(name, seed=2)
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), again.state_dict().values(), strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True))


@both
def test_a_state_goes_into_another_network_whole(name: str):
    model, other = trained(name), small(name, seed=3)
    other.load_state_dict(model.state_dict())
    video = random_video(1, 12, 16, 16)
    assert torch.equal(other.eval()(video).video, model(video).video)


@both
def test_training_lowers_the_error(name: str):
    model = small(name)
    video = random_video(2, 12, 16, 32)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    errors = []
    for _ in range(100):
        made = model(video)
        error = (made.video - video).square().mean()
        optimizer.zero_grad()
        (error + made.quantized.loss).backward()
        optimizer.step()
        errors.append(float(error.detach()))
    assert errors[-1] < 0.7 * errors[1]


@pytest.fixture
def model() -> VQVAE:
    return small("residual")


@pytest.mark.parametrize(
    ("shape", "sentence"),
    [
        ((1, 3, 14, 16, 16), "expected frames a multiple of 4, but got 14; 16 is"),
        ((1, 3, 4, 17, 16), "expected height a multiple of 8, but got 17; 16 is"),
        ((1, 3, 4, 16, 1), "expected width a multiple of 8, but got 1; 8 is"),
        ((1, 1, 4, 16, 16), r"expected a video \[B, 3, T, H, W\].*\(1, 1, 4, 16, 16\)"),
        ((3, 4, 16, 16), r"expected a video \[B, 3, T, H, W\]"),
        ((0, 3, 4, 16, 16), r"expected a video \[B, 3, T, H, W\]"),
        ((1, 3, 0, 16, 16), r"expected a video \[B, 3, T, H, W\]"),
    ],
)
def test_videos_that_are_refused(model: VQVAE, shape: tuple[int, ...], sentence: str):
    with pytest.raises(ValueError, match=sentence):
        model(torch.zeros(shape))


def test_bytes_are_refused(model: VQVAE):
    with pytest.raises(ValueError, match=r"of floating point, 0 to 1, but got torch.uint8"):
        model.encode(torch.zeros(1, 3, 4, 16, 16, dtype=torch.uint8))


@pytest.mark.parametrize("shape", [(1, 7, 1, 2, 2), (1, 8, 2, 2), (1, 8, 0, 2, 2)])
def test_vectors_that_are_refused(model: VQVAE, shape: tuple[int, ...]):
    with pytest.raises(ValueError, match=r"expected vectors \[B, 8, t, h, w\], but got"):
        model.decode(torch.zeros(shape))


def test_codes_are_refused_in_training(model: VQVAE):
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(ValueError, match=r"expected the model in evaluation mode.*call \.eval\(\)"):
        model.codes(random_video(1, 4, 16, 16))
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
