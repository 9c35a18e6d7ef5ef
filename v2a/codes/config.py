"""Config of the stage `codes`; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass
class Config:
    """What is encoded, and by what.

    Attributes:
        model: a model's folder from `python -m v2a.export`, or a run's folder, whose last checkpoint is taken.
        data: folder of clip shards, from `python -m v2a.prepare`.
        out: folder of code shards; made when missing.
        device: "auto" (a GPU for each process in turn, the CPU where there is none), "cpu", "cuda", "cuda:1", ….
    """

    SAME_RESULT: ClassVar[tuple[str, ...]] = ("device",)

    model: str = "runs/vqvae"
    data: str = "data/clips"
    out: str = "data/codes"
    device: str = "auto"

    def __post_init__(self) -> None:
        """Refuse empty names."""
        for name in ("model", "data", "out", "device"):
            if not getattr(self, name):
                raise ValueError(f"expected {name}=…, but it is empty")
