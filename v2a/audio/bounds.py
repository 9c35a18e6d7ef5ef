"""Numbers held within bounds that what was learned can come back from."""

from __future__ import annotations

from typing import Any

import torch


class _Bounded(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, low: float, high: float) -> torch.Tensor:
        ctx.save_for_backward(values)
        ctx.low, ctx.high = low, high
        return values.clamp(low, high)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (values,) = ctx.saved_tensors
        farther = ((values > ctx.high) & (gradient < 0)) | ((values < ctx.low) & (gradient > 0))
        return gradient.masked_fill(farther, 0), None, None


def bounded(values: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """As `torch.clamp`, but a gradient that points back within the bounds passes.

    Beyond a bound clamp has no gradient, so what a large step once pushed there stays there: of real clips 0.6 % of all powers were
    stuck at full scale and 41 % at silence (docs/LOG.md).

    Args:
        values: of any shape.
        low: the lower bound.
        high: the upper bound.
    """
    found: torch.Tensor = _Bounded.apply(values, low, high)  # type: ignore[no-untyped-call]
    return found
