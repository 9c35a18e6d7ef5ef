"""Small runs of the stage in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from v2a.comm import LocalComm
from v2a.config import build_config
from v2a.stages import Context
from v2a.tasks import SerialTasks
from v2a.vqvae.config import Config

SMALL = (
    "preset=tiny", "model=paper", "model.channels=8", "quantizer.codes=16", "train.steps=12", "train.warmup=2", "train.log_every=4",
    "train.validate_every=6", "train.checkpoint_every=5", "train.batch=2",
)  # fmt: skip


def small(data: Path, *changes: str) -> Config:
    """A config that trains in a second."""
    return build_config(Config, [f"data={data}", *SMALL, *changes])


def context(out: Path, should_stop: Callable[[], bool] = lambda: False) -> Context:
    """One rank's."""
    out.mkdir(parents=True, exist_ok=True)
    return Context(LocalComm(), SerialTasks(), out, lambda step, metrics: None, should_stop)
