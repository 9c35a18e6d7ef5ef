"""Stage `vqvae`: train the VQ-VAE on clip shards, then measure it on clips of videos it never saw."""

from __future__ import annotations

import math
from pathlib import Path

import torch

from v2a.comm import Comm, LocalComm
from v2a.loading.dataset import ClipDataset
from v2a.models.make import make_vqvae
from v2a.quantize.start import MOST, PER_CODE
from v2a.stages import Context
from v2a.training.alone import alone_in
from v2a.training.precision import Precision, pick_device
from v2a.training.stamp import check_stamp
from v2a.training.whole_run import train_and_test
from v2a.vqvae.config import Config
from v2a.vqvae.task import VQVAETask


def run(config: Config, context: Context) -> dict[str, float]:
    """Train to the last step, or until asked to stop; then the test split, once.

    Returns:
        What `v2a.training.loop.train` returns, and when it finished the means over the test split as "test/…".

    Raises:
        ValueError: the data set has no clip to train on, or a size the model does not take; the run folder is another run's.
        v2a.shards.errors.ShardError: a shard is missing or damaged.
    """
    comm = context.comm
    device = pick_device(config.device, comm.local_rank)
    clips, held_out, test = (_clips(config, split) for split in ("train", "validation", "test"))
    _check(config, clips)
    with alone_in(context.out, comm):
        stamp = check_stamp(context.out, "vqvae", config, clips.geometry)
        task = _task(config, clips, comm, device)
        return train_and_test(task, (clips, held_out, test), config.train, context, device, stamp)


def plan(config: Config) -> list[str]:
    """What a run would do, for people."""
    clips, held_out, test = (_clips(config, split) for split in ("train", "validation", "test"))
    _check(config, clips)
    Precision(config.train.precision, pick_device(config.device, 0))
    model = make_vqvae(config.model, config.quantizer, LocalComm(), config.train.seed)
    grid = clips.geometry.latent_grid([config.model.product])
    frames = config.crop or clips.geometry.frames
    starts = min(config.quantizer.start_per_code, PER_CODE) if config.quantizer.start == "kmeans" else 0
    bits = (config.quantizer.codes - 1).bit_length()
    return [
        f"clips of {clips.geometry}: {len(clips)} to train on, {len(held_out)} for validation, {len(test)} for the test",
        f"model {config.model.name}: {sum(p.numel() for p in model.parameters() if p.requires_grad):,} weights, "
        f"{config.quantizer.codes} codes of {config.model.dim} numbers ({config.quantizer.kind})",
        f"the codebook starts from k-means of {min(starts * config.quantizer.codes, MOST):,} encodings"
        if starts
        else f"the codebook starts from {config.quantizer.start}"
        + " of the first batch" * (config.quantizer.start == "kmeans"),
        f"codes of a clip: {grid[0]}x{grid[1]}x{grid[2]}, {bits / math.prod(config.model.product):.3f} bit per pixel",
        f"{config.train.steps} steps of {config.train.batch * config.train.accumulate} clips per rank, {frames} frames each: "
        f"{config.train.steps * config.train.batch * config.train.accumulate / max(1, len(clips)):.1f} epochs on one rank",
    ]


def _clips(config: Config, split: str) -> ClipDataset:
    """Crops to train on; whole clips of the other splits."""
    frames = (config.crop or None) if split == "train" else None
    return ClipDataset(Path(config.data), split, frames=frames, seed=config.train.seed, with_audio=False)


def _check(config: Config, clips: ClipDataset) -> None:
    clips.geometry.latent_grid([config.model.product])
    if not len(clips):
        raise ValueError(
            f"{config.data} has no clip to train on (too short for crop={config.crop}: {clips.left_out['short']}); "
            "`python -m v2a.shards info` shows what is in it"
        )


def _task(config: Config, clips: ClipDataset, comm: Comm, device: torch.device) -> VQVAETask:
    model = make_vqvae(config.model, config.quantizer, comm, config.train.seed).to(device)
    return VQVAETask(model, device, config, fps=clips.geometry.fps)
