"""Quantization as one differentiable operation: vectors, and the loss of van den Oord et al. 2017.

Written by hand because it then keeps nothing for the backward pass but its input and its output, which its neighbours keep too.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from v2a.quantize.nearest import Assigned, assign


def quantize(
    z: torch.Tensor, codebook: torch.Tensor, beta: float, with_sums: bool, codes: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor, Assigned]:
    """Encodings to their nearest codes' vectors.

    Forward, with sg the stop-gradient: loss = mean (sg[z] - e)² + beta mean (z - sg[e])², the second and third term of equation 3
    of van den Oord et al. 2017 (arXiv 1711.00937); the third alone when the codebook is not trained by gradient (appendix A.1).
    Means over all numbers of z, so that the mean over ranks of equal shares is the whole batch's.

    Backward: d vectors / d z is the identity (section 3.2, straight-through), d loss / d z = 2 beta (z - e) / n of n numbers, and
    for code k of n_k encodings with the sum S_k, d loss / d e_k = 2 (n_k e_k - S_k) / n.

    Args:
        z: float32 [B, D, S].
        codebook: float32 [K, D]; gets a gradient when it requires one.
        beta: weight of the commitment loss.
        with_sums: whether the result has the sums of encodings.
        codes: int64 [B, S] to be taken instead of the nearest.

    Returns:
        vectors [B, D, S] exactly as in the codebook, the loss, and what was assigned, without gradients.
    """
    outcome: list[Assigned] = []
    vectors, loss = _Quantize.apply(z, codebook, beta, with_sums, codes, outcome)  # type: ignore[no-untyped-call]
    return vectors, loss, outcome[0]


class _Quantize(Function):
    @staticmethod
    def forward(  # noqa: PLR0913, PLR0917 - torch passes them by position
        ctx: Any,
        z: torch.Tensor,
        codebook: torch.Tensor,
        beta: float,
        with_sums: bool,
        codes: torch.Tensor | None,
        outcome: list[Assigned],
    ) -> tuple[torch.Tensor, torch.Tensor]:
        trained = codebook.requires_grad
        found = assign(z, codebook, with_sums or trained, codes)
        outcome.append(found)
        pull = None
        if trained and found.sums is not None:
            # In float64: the two are nearly equal when the codebook has settled.
            pull = (found.counts.double().unsqueeze(1) * codebook.double() - found.sums).float()
        ctx.save_for_backward(z, found.vectors, pull)
        ctx.set_materialize_grads(False)
        ctx.beta = beta
        mean = (found.error / max(1, z.numel())).float()
        return found.vectors, mean * (beta + float(trained))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: torch.Tensor | None) -> tuple[torch.Tensor | None, ...]:
        grad_vectors, grad_loss = grads
        z, vectors, pull = cast("tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]", ctx.saved_tensors)
        grad_z, grad_codebook = grad_vectors, None
        if grad_loss is not None:
            scale = grad_loss * (2 / z.numel())
            if ctx.needs_input_grad[0]:
                grad_z = torch.sub(z, vectors).mul_(scale * ctx.beta)
                grad_z = grad_z if grad_vectors is None else grad_z.add_(grad_vectors)
            if pull is not None and ctx.needs_input_grad[1]:
                grad_codebook = pull * scale
        return grad_z, grad_codebook, None, None, None, None
