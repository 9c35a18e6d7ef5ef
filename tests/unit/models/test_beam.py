"""Beam search over stages of codes: never worse than greedy here, the best of all when wide enough, and an exact inverse."""

from __future__ import annotations

import itertools

import torch

from tests.unit.models.small import random_video, trained
from v2a.comm import LocalComm
from v2a.models.beam import search
from v2a.models.staged import StagedQuantizer
from v2a.quantize.config import Settings


def books(stages: int, codes: int, dim: int) -> list[torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    return [torch.randn(codes, dim, generator=random) / (stage + 1) for stage in range(stages)]


def errors(z: torch.Tensor, codebooks: list[torch.Tensor], codes: torch.Tensor) -> torch.Tensor:
    """Squared distance of each encoding [B, S]."""
    made = sum(book[codes[:, stage]] for stage, book in enumerate(codebooks))
    return (z.movedim(1, 2) - made).square().sum(2)


def test_wide_enough_it_finds_the_best_sum_of_all():
    codebooks = books(3, 5, 4)
    z = torch.randn(2, 4, 30, generator=torch.Generator().manual_seed(1))
    every = torch.stack([a + b + c for a, b, c in itertools.product(*codebooks)])  # [125, D]
    best = torch.cdist(z.movedim(1, 2), every).amin(2).square()
    found = search(z, codebooks, width=5)
    assert found.shape == (2, 3, 30)
    wide = errors(z, codebooks, search(z, codebooks, 25))
    torch.testing.assert_close(wide, best, atol=1e-5, rtol=0)
    assert float(errors(z, codebooks, found).sum()) >= float(best.sum()) - 1e-4


def test_of_width_1_it_takes_each_stages_nearest():
    codebooks = books(4, 64, 8)
    z = torch.randn(1, 8, 300, generator=torch.Generator().manual_seed(2))
    found, rest = search(z, codebooks, 1), z.movedim(1, 2)
    for stage, book in enumerate(codebooks):
        nearest = torch.cdist(rest, book).argmin(2)
        assert torch.equal(found[:, stage], nearest)
        rest = rest - book[nearest]


def test_a_wider_search_is_nearer_and_pieces_do_not_matter(monkeypatch):
    codebooks = books(5, 256, 16)
    z = torch.randn(2, 16, 400, generator=torch.Generator().manual_seed(3))
    sums = [float(errors(z, codebooks, search(z, codebooks, width)).sum()) for width in (1, 4, 16)]
    assert sums[0] > 1.05 * sums[1] > 1.05 * sums[2]
    whole = search(z, codebooks, 8)
    monkeypatch.setattr("v2a.models.beam._ERRORS", 8 * 256 * 37)
    assert float((search(z, codebooks, 8) != whole).double().mean()) < 1e-3, "but for ties within rounding"


def test_the_model_uses_it_outside_training_only():
    """Codes and vectors belong together; each stage's vectors are those of its codes; training is greedy."""
    torch.manual_seed(0)
    z = torch.randn(2, 4, 2, 6, 6).repeat_interleave(3, 2)
    wide, greedy = (StagedQuantizer(Settings(codes=16), 4, 3, LocalComm(), beam=beam) for beam in (8, 1))
    assert torch.equal(wide(z).codes, greedy(z).codes)
    found, plain = wide.eval()(z), greedy.eval()(z)
    assert float(found.error) < 0.95 * float(plain.error)
    assert torch.equal(wide.codes_to_vectors(found.codes), found.vectors)
    assert not torch.equal(found.codes, plain.codes)


def test_a_models_codes_rebuild_what_its_forward_pass_gave():
    model = trained("residual", beam=4)
    video = random_video(1, 24, 16, 32, seed=9)
    made = model(video)
    codes = model.codes(video)
    assert torch.equal(codes, made.quantized.codes)
    assert torch.equal(model.decode(model.quantizer.codes_to_vectors(codes)), made.video)
