"""Pearson's correlation, with weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]
_NOTHING = 1e-12  # a variance that is only rounding


def correlation(a: Array, b: Array, weights: Array | None = None) -> float:
    """Σ w a' b' / √(Σ w a'² · Σ w b'²), a' and b' less their weighted means: -1 to 1.

    0 where one of them does not vary, and where there is no weight: a sound that does nothing must not be left out of a mean.

    Args:
        a: [N].
        b: [N].
        weights: [N], at least 0; None for all alike.
    """
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"expected two tracks of one length, but got {a.shape} and {b.shape}")
    w = np.ones(len(a)) if weights is None else weights.astype(np.float64)
    if not w.sum() > 0:
        return 0.0
    w = w / w.sum()
    a, b = a - (w * a).sum(), b - (w * b).sum()
    spread = (w * a * a).sum(), (w * b * b).sum()
    if min(spread) < _NOTHING:
        return 0.0
    return float(np.clip((w * a * b).sum() / np.sqrt(spread[0] * spread[1]), -1, 1))
