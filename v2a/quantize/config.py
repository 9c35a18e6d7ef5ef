"""How a quantizer is made and trained; needs no torch, so that a login node can check it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

KINDS = ("ema", "gradient")
STARTS = ("kmeans", "uniform")


@dataclass(frozen=True)
class Settings:
    """A quantizer's settings. The defaults are what we recommend; `PAPER` are the paper's.

    Attributes:
        kind: "ema": the codebook is a moving average of the encodings; "gradient": it follows the quantization loss's gradient.
        codes: K, 2 to 65,536 (code shards hold uint16).
        beta: weight of the commitment loss (0.25 in van den Oord et al. 2017; from 0.1 to 2 their "results did not vary").
        decay: gamma of the moving averages; with both kinds that of each code's use. 0.99 in their appendix A.1; a codebook that
            starts from one batch learns faster with 0.97 (docs/LOG.md).
        start: "kmeans" of the first encodings, or "uniform" in ±1/K.
        start_per_code: with "kmeans", how many encodings for each code are collected before the first step; 0 for the first batch's
            alone. A codebook from one batch knows a few clips, and training hardly makes that good (docs/LOG.md).
        restart_below: a code is dead, and restarts at an encoding, when its average use falls below this share of the mean use;
            0 for never. Anything from 0.02 to 0.1 did as well (docs/LOG.md).
        lr_factor: with "gradient", the codebook's learning rate by the model's (10 for AdamW at 1e-3: docs/LOG.md).
    """

    NAME: ClassVar[str] = "kind"

    kind: str = "ema"
    codes: int = 1024
    beta: float = 0.25
    decay: float = 0.99
    start: str = "kmeans"
    start_per_code: int = 256
    restart_below: float = 0.02
    lr_factor: float = 10.0

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        for name, choice, known in (("kind", self.kind, KINDS), ("start", self.start, STARTS)):
            if choice not in known:
                raise ValueError(f"expected {name} to be {' or '.join(known)}, but got {name}={choice!r}")
        if not 2 <= self.codes <= 65536:
            raise ValueError(f"expected codes from 2 to 65536, but got codes={self.codes}")
        if not 0 <= self.start_per_code <= 65536:
            raise ValueError(f"expected start_per_code from 0 to 65536, but got start_per_code={self.start_per_code}")
        if not 0 <= self.beta < float("inf"):
            raise ValueError(f"expected beta of at least 0, but got beta={self.beta}")
        if not 0 < self.lr_factor < float("inf"):
            raise ValueError(f"expected lr_factor above 0, but got lr_factor={self.lr_factor}")
        for name, value in (("decay", self.decay), ("restart_below", self.restart_below)):
            if not 0 <= value < 1:
                raise ValueError(f"expected {name} from 0 to below 1, but got {name}={value}")


PAPER = Settings(kind="gradient", start="uniform", restart_below=0.0, lr_factor=1.0)
