"""Runs of stage `vqvae` made in a moment: a network that saw one batch, and its checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from tests.unit.shards.making import TINY
from v2a.comm import LocalComm
from v2a.geometry import Geometry
from v2a.models.config import Model
from v2a.models.make import make_vqvae
from v2a.models.vqvae import VQVAE
from v2a.quantize.config import Settings
from v2a.training.checkpoint import Checkpoints
from v2a.training.stamp import stamp_run
from v2a.vqvae.config import Config

PAPER = Model(name="paper", dim=4, channels=8, strides="4x4x4")
STAGED = Model(name="residual", dim=4, channels=8, narrow=8, blocks=1, encoder_blocks=1, group=3, strides="2x4x4")
BOOK = Settings(codes=16, restart_below=0.0)


def make_network(geometry: Geometry = TINY, model: Model = PAPER, seed: int = 0, batches: int = 1) -> VQVAE:
    """A network whose codebook started from noise."""
    network = make_vqvae(model, BOOK, LocalComm(), seed)
    random = torch.Generator().manual_seed(seed)
    for _ in range(batches):
        network(torch.rand((2, 3, geometry.frames, geometry.height, geometry.width), generator=random))
    return network


def make_run(
    folder: Path, geometry: Geometry = TINY, model: Model = PAPER, *, seed: int = 0, step: int = 3,
    score: float | None = None, network: VQVAE | None = None, data: str = "data/clips",
) -> Path:  # fmt: skip
    """A run's folder with one checkpoint more."""
    folder.mkdir(parents=True, exist_ok=True)
    config = Config(data=data, crop=0, model=model, quantizer=BOOK)
    stamp_run(folder, "vqvae", config, geometry, LocalComm())
    network = network or make_network(geometry, model, seed)
    state: dict[str, Any] = {"model": network.state_dict(), "optimizer": {"state": {}}}
    Checkpoints(folder / "checkpoints", keep=9).save(state, step, score)
    return folder
