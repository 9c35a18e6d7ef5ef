"""Config of the self-test; imports nothing heavy."""

from dataclasses import dataclass


@dataclass
class Config:
    """Sizes of the self-test.

    Attributes:
        steps: optimizer steps.
        batch: clips per step over all ranks together, so that any world size trains the same.
        lr: AdamW's learning rate.
        seed: of the weights and the clips.
    """

    steps: int = 100
    batch: int = 16
    lr: float = 0.01
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse sizes that cannot train."""
        for name in ("steps", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"expected {name} of at least 1, but got {name}={getattr(self, name)}")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"expected a seed from 0 to 2**32 - 1, but got seed={self.seed}")
        if not 0 < self.lr < 1:
            raise ValueError(f"expected a learning rate between 0 and 1, but got lr={self.lr}")
