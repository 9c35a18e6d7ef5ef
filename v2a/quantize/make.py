"""A quantizer by its settings."""

from __future__ import annotations

from v2a.comm import Comm
from v2a.quantize.base import Quantizer
from v2a.quantize.config import Settings
from v2a.quantize.ema import EmaQuantizer
from v2a.quantize.gradient import GradientQuantizer


def make_quantizer(settings: Settings, dim: int, comm: Comm, seed: int = 0) -> Quantizer:
    """The quantizer that `settings.kind` names; the arguments are those of `Quantizer`."""
    return {"ema": EmaQuantizer, "gradient": GradientQuantizer}[settings.kind](settings, dim, comm, seed)
