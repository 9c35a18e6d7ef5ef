"""Settings of the training loop, a group of every training stage's config; imports nothing heavy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from v2a.config import choose

PRECISIONS = ("auto", "fp32", "fp16")
COMPRESSIONS = ("none", "fp16")


@dataclass
class Train:
    """How a task is trained.

    Attributes:
        steps: optimizer steps.
        batch: clips per rank and backward pass (the paper: at most 2).
        accumulate: backward passes per optimizer step.
        lr: AdamW's learning rate.
        lr_scaling: with the world size: "none", "linear" (Goyal et al. 2017) or "sqrt".
        lr_final: the cosine ends at this part of the learning rate.
        warmup: steps of linear warm-up.
        weight_decay: AdamW's, on matrices and kernels only.
        beta2: AdamW's second one.
        clip_norm: largest norm of the gradient; 0 for no limit.
        precision: "fp16" (autocast with loss scaling), "fp32", or "auto": fp16 on a GPU.
        on_nan: a gradient that is not finite: "skip" that step (at most `max_skips` in a row) or "stop".
        max_skips: in a row.
        seed: of weights, order, crops, and every random draw.
        compression: of gradients between ranks: "none" or "fp16" (GPUs only: it slows a CPU down).
        workers: processes that read ahead; 0 reads in the training process, -1 is 2 for a GPU and 0 for a CPU.
        log_every: steps between two records.
        validate_every: steps between two validations; 0 for none but the last.
        validate_batches: of each rank, at most; 0 for all.
        checkpoint_every: steps.
        keep: checkpoints kept, beside the best.
    """

    SAME_RESULT: ClassVar[tuple[str, ...]] = ("workers", "log_every", "checkpoint_every", "keep")

    steps: int = 10_000
    batch: int = 2
    accumulate: int = 1
    lr: float = 3e-4
    lr_scaling: str = "none"
    lr_final: float = 0.05
    warmup: int = 200
    weight_decay: float = 0.01
    beta2: float = 0.99
    clip_norm: float = 1.0
    precision: str = "auto"
    on_nan: str = "skip"
    max_skips: int = 10
    seed: int = 0
    compression: str = "none"
    workers: int = -1
    log_every: int = 20
    validate_every: int = 1000
    validate_batches: int = 0
    checkpoint_every: int = 500
    keep: int = 3

    def __post_init__(self) -> None:
        """Refuse what cannot train."""
        for name, least in _LEAST.items():
            if not least <= getattr(self, name) < math.inf:
                raise ValueError(f"expected train.{name} of at least {least}, but got {getattr(self, name)}")
        if not 0 < self.lr < 1:
            raise ValueError(f"expected a learning rate between 0 and 1, but got train.lr={self.lr:g}")
        if not 0 <= self.lr_final <= 1:
            raise ValueError(f"expected train.lr_final from 0 to 1, but got {self.lr_final:g}")
        if not 0 < self.beta2 < 1:
            raise ValueError(f"expected train.beta2 between 0 and 1, but got {self.beta2:g}")
        if self.seed >= 2**32:
            raise ValueError(f"expected a seed below 2**32, but got train.seed={self.seed}")
        choose("train.lr_scaling", self.lr_scaling, ("none", "linear", "sqrt"))
        choose("train.precision", self.precision, PRECISIONS)
        choose("train.on_nan", self.on_nan, ("skip", "stop"))
        choose("train.compression", self.compression, COMPRESSIONS)


_LEAST = {
    **dict.fromkeys(("steps", "batch", "accumulate", "log_every", "checkpoint_every", "keep"), 1),
    **dict.fromkeys(("warmup", "weight_decay", "clip_norm", "max_skips", "seed"), 0),
    "workers": -1,
    **dict.fromkeys(("validate_every", "validate_batches"), 0),
}
