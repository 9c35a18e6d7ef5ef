"""Step for step what vector-quantize-pytorch does, where it is installed (pip install vector-quantize-pytorch)."""

from typing import Any

import pytest
import torch

from v2a.comm import LocalComm
from v2a.quantize.base import Quantizer
from v2a.quantize.config import Settings
from v2a.quantize.make import make_quantizer

CODES, DIM = 48, 6


def _pair(kind: str) -> tuple[Quantizer, Any]:
    library = pytest.importorskip(
        "vector_quantize_pytorch", reason="vector-quantize-pytorch is not installed: nothing to compare with"
    )
    rows = torch.randn(CODES, DIM, generator=torch.Generator().manual_seed(0))
    ours = make_quantizer(Settings(kind, CODES, start="uniform", restart_below=0.0, decay=0.8), DIM, LocalComm())
    theirs = library.VectorQuantize(
        DIM, codebook_size=CODES, decay=0.8, eps=1e-12, commitment_weight=0.25, accept_3d_fmap=True, rotation_trick=False,
        kmeans_init=False, threshold_ema_dead_code=0, learnable_codebook=kind == "gradient", ema_update=kind == "ema",
    )  # fmt: skip
    with torch.no_grad():
        ours.codebook.copy_(rows)
        theirs._codebook.embed.copy_(rows[None])
        theirs._codebook.embed_avg.copy_(rows[None])
    if kind == "ema":
        ours.sums.copy_(rows)
        ours.use.fill_(1.0)
        ours.initialised.fill_(True)
    return ours, theirs


@pytest.mark.parametrize("kind", ["ema", "gradient"])
def test_codes_vectors_gradients_and_codebook_are_equal(kind: str):
    ours, theirs = _pair(kind)
    for step in range(10):
        random = torch.Generator().manual_seed(step)
        data = torch.randn(2, DIM, 3, 4, 5, generator=random)
        arriving = torch.randn(data.shape, generator=random)
        z, other = data.clone().requires_grad_(), data.clone().requires_grad_()
        found = ours(z)
        vectors, codes, loss = theirs(other)
        assert torch.equal(found.codes, codes)
        torch.testing.assert_close(found.vectors, vectors, rtol=0, atol=1e-6)
        # Theirs is beta (z - e)²; a trained codebook it moves, without stop-gradients, by beta of what ours does.
        torch.testing.assert_close(float(found.error) * 0.25, loss.item(), rtol=1e-5, atol=0)
        torch.autograd.backward([found.vectors, found.loss], [arriving, torch.tensor(1.0)])
        torch.autograd.backward([vectors, loss], [arriving, torch.ones_like(loss)])
        torch.testing.assert_close(z.grad, other.grad, rtol=1e-5, atol=1e-6)
        if kind == "gradient":
            torch.testing.assert_close(ours.codebook.grad, theirs._codebook.embed.grad[0] / 0.25, rtol=1e-4, atol=1e-7)
            ours.codebook.grad = theirs._codebook.embed.grad = None
        torch.testing.assert_close(ours.codebook.detach(), theirs._codebook.embed[0].detach(), rtol=1e-5, atol=1e-6)
