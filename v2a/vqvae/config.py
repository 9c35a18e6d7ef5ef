"""Config of the stage `vqvae`; imports nothing heavy."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

from v2a.models.config import Model
from v2a.quantize.config import Settings
from v2a.training.config import Train


@dataclass
class Config:
    """What to train on, and how.

    Attributes:
        data: folder of clip shards, from `python -m v2a.prepare`.
        preset: "base" (our network), "paper" (the paper's network and quantizer), or "tiny" (a CPU in under a minute, with
            clips of `v2a.prepare preset=tiny`).
        crop: frames of a random crop of a clip; 0 for whole clips, as in the paper.
        flip: mirror clips at random.
        colours: how many clips are trained on in random colours, and how far from theirs, 0 to 1.
        motion: how much more the error of what moves counts than that of what stands still; 0 for the paper's plain MSE.
        loss_scale: what the sum of the picture's squared error and the quantizer's losses is divided by.
        device: "auto", "cpu", "cuda", "cuda:1", ….
        model: the network; `model=paper` names it.
        quantizer: its codebook; `quantizer=gradient` names it.
        train: how it is trained.
    """

    PRESETS: ClassVar[dict[str, tuple[str, ...]]] = {
        "base": (),
        "paper": (
            "model=paper", "model.channels=64", "model.dim=16", "quantizer=gradient", "quantizer.start=uniform",
            "quantizer.restart_below=0", "crop=0", "colours=0", "motion=0", "train.batch=2", "train.lr=3e-4", "train.warmup=200",
        ),
        "tiny": (
            "model.channels=32", "model.narrow=16", "model.blocks=1", "model.encoder_blocks=1", "model.dim=16",
            "model.strides=4x4x8", "quantizer.codes=64", "train.steps=200", "train.batch=4", "train.lr=1e-3", "train.warmup=20",
            "train.log_every=10", "train.validate_every=100", "train.checkpoint_every=50",
        ),
    }  # fmt: skip

    SAME_RESULT: ClassVar[tuple[str, ...]] = ("preset", "device")

    data: str = "data/clips"
    preset: str = "base"
    crop: int = 20
    flip: bool = True
    colours: float = 1.0
    motion: float = 0.0
    loss_scale: float = 0.1
    device: str = "auto"
    model: Model = field(default_factory=Model)
    quantizer: Settings = field(default_factory=Settings)
    train: Train = field(default_factory=lambda: Train(batch=4, lr=1e-3, lr_final=0.02, warmup=50))

    def __post_init__(self) -> None:
        """Refuse crops that the strides do not divide."""
        if not 0 <= self.motion <= 1000:
            raise ValueError(f"expected motion from 0 to 1000, but got {self.motion:g}")
        if not 0 <= self.colours <= 1:
            raise ValueError(f"expected colours from 0 to 1, but got {self.colours:g}")
        if not 0 < self.loss_scale < math.inf:
            raise ValueError(f"expected loss_scale above 0, but got {self.loss_scale:g}")
        stride = self.model.product[0]
        if self.crop < 0 or self.crop % stride:
            raise ValueError(
                f"expected crop a multiple of {stride}, the model's stride in time, or 0 for whole clips, but got crop={self.crop}"
            )
