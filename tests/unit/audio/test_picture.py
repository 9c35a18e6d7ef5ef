"""The small pictures that a decoder of sound sees: those of stage 1's own decoder, of any length."""

from __future__ import annotations

import torch

from v2a.audio.config import Decoder
from v2a.audio.grid import make_grid
from v2a.audio.picture import Picture
from v2a.audio.vectors import Codebooks, CodeVectors, codebooks_of
from v2a.comm import LocalComm
from v2a.geometry import Geometry
from v2a.models.config import Model
from v2a.models.make import make_vqvae
from v2a.models.vqvae import VQVAE
from v2a.quantize.config import Settings

WIDE = Geometry(width=256, height=144, fps=10, segment_s=4.0, sample_rate=8000)
SMALL = Geometry(width=64, height=48, fps=10, segment_s=2.0, sample_rate=8000)


def vqvae(model: Model) -> VQVAE:
    """Untrained, with codebooks of random numbers."""
    made = make_vqvae(model, Settings(codes=32), LocalComm(), seed=0).eval()
    generator = torch.Generator().manual_seed(1)
    for stage in getattr(made.quantizer, "stages", [made.quantizer]):
        stage.codebook.copy_(torch.randn(stage.codebook.shape, generator=generator))
    return made


def look(codebooks: Codebooks, geometry: Geometry, strides: tuple[int, int, int]) -> Picture:
    return Picture(codebooks, CodeVectors(codebooks.vectors), make_grid(geometry, strides), Decoder(channels=32))


def codes_of(geometry: Geometry, strides: tuple[int, int, int], steps: int) -> torch.Tensor:
    grid = make_grid(geometry, strides)
    return torch.randint(0, 32, (1, steps, grid.rows, grid.columns), generator=torch.Generator().manual_seed(2))


def alike(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """Correlation over all pixels."""
    return float(torch.corrcoef(torch.stack([ours.flatten(), theirs.flatten()]))[0, 1])


@torch.no_grad()
def test_pictures_are_those_of_the_residual_decoders_transform_at_half_size():
    made = vqvae(Model(dim=24, channels=16, narrow=8, blocks=1, encoder_blocks=1))
    codes = codes_of(WIDE, made.strides, 7)  # the second group is cut short
    frames = look(codebooks_of(made), WIDE, made.strides).frames_of(codes)
    made.decoder.train()  # does not clip to 0 to 1
    video = made.decode(made.quantizer.codes_to_vectors(codes))
    assert frames.shape == (1, 3, 28, 72, 128)
    assert alike(frames, torch.nn.functional.avg_pool3d(video, (1, 2, 2))) > 0.99  # all but the mean code


@torch.no_grad()
def test_pictures_of_the_papers_network_are_near_what_it_makes_of_each_code():
    made = vqvae(Model(name="paper", channels=16, dim=8, strides="4x8x8"))
    found = codebooks_of(made)
    assert found.block == (4, 8, 8)
    alone = made.decode(found.vectors[0][:, :, None, None, None]).flatten(1)
    guessed = (found.vectors[0] - found.vectors[0].mean(0)) @ found.basis.t()
    assert alike(guessed, alone - alone.mean(0)) > 0.7


@torch.no_grad()
def test_what_is_seen_of_a_moment_does_not_depend_on_the_rest():
    made = vqvae(Model(name="paper", channels=16, dim=8, strides="4x8x8"))
    picture = look(codebooks_of(made), SMALL, made.strides).eval()
    codes = codes_of(SMALL, made.strides, 10)
    whole, part = picture(codes), picture(codes[:, :7])
    assert whole.shape == (1, 32, 40)
    torch.testing.assert_close(
        whole[..., :15], part[..., :15], rtol=1e-4, atol=1e-5
    )  # all but the last second and three frames


@torch.no_grad()
def test_a_code_that_changes_is_seen_where_it_is():
    made = vqvae(Model(name="paper", channels=16, dim=8, strides="4x8x8"))
    picture = look(codebooks_of(made), SMALL, made.strides).eval()
    codes = codes_of(SMALL, made.strides, 10)
    other = codes.clone()
    other[:, 5, 3, 4] = (other[:, 5, 3, 4] + 7) % 32
    changed = (picture(codes) - picture(other)).abs().amax((0, 1)) > 1e-6
    assert changed[20:24].all()
    assert not changed[:7].any()  # the mean of a second around, and motion over three frames, do not reach farther
    assert not changed[37:].any()


@torch.no_grad()
def test_in_training_half_of_the_clips_are_seen_mirrored_and_otherwise_none():
    made = vqvae(Model(name="paper", channels=16, dim=8, strides="4x8x8"))
    picture = look(codebooks_of(made), SMALL, made.strides)
    codes = codes_of(SMALL, made.strides, 5).expand(12, -1, -1, -1)
    as_it_is, again = picture.eval()(codes[:1]), picture(codes[:1])
    torch.testing.assert_close(as_it_is, again)
    torch.manual_seed(0)
    seen = picture.train()(codes)
    same = (seen - as_it_is).abs().amax((1, 2)) < 1e-4
    assert 2 <= int(same.sum()) <= 10
    torch.manual_seed(0)
    torch.testing.assert_close(picture(codes), seen)
    picture = Picture(
        codebooks_of(made), picture._vectors[0], make_grid(SMALL, made.strides), Decoder(channels=32, mirror=False)
    )
    straight = picture(codes)
    torch.testing.assert_close(straight, straight[:1].expand_as(straight), rtol=1e-4, atol=1e-4)
