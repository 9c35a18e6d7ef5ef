"""Stage `audio`: train a decoder of sound on code shards, then measure it on clips of videos it never saw."""

from __future__ import annotations

from pathlib import Path

import torch

from v2a.audio.config import Config
from v2a.audio.encoder import keep_encoder
from v2a.audio.grid import Grid, make_grid
from v2a.audio.make import make_decoder
from v2a.audio.task import AudioTask
from v2a.audio.vectors import codebooks_of
from v2a.loading.codes import CodeDataset
from v2a.loading.dataset import ClipDataset
from v2a.stages import Context
from v2a.training.alone import alone_in
from v2a.training.precision import Precision, pick_device
from v2a.training.stamp import check_stamp
from v2a.training.whole_run import Clips, train_and_test
from v2a.vqvae.load import LoadedVQVAE, load_vqvae


def run(config: Config, context: Context) -> dict[str, float]:
    """Train to the last step, or until asked to stop; then the test split, once.

    Returns:
        What `v2a.training.loop.train` returns, and when it finished the means over the test split as "test/…".

    Raises:
        ValueError: there is no clip to train on; the run folder is another run's, or of another encoder.
        v2a.shards.errors.ShardError: a shard is missing, damaged, or of another encoder than the model's.
        v2a.export.errors.ModelError: the stage-1 model cannot be used.
    """
    comm = context.comm
    device = pick_device(config.device, comm.local_rank)
    encoder = load_vqvae(Path(config.model), torch.device("cpu"))
    clips, held_out, test = (open_clips(config, encoder, split) for split in ("train", "validation", "test"))
    _check(config, clips)
    grid = _grid(encoder)
    with alone_in(context.out, comm):
        stamp = check_stamp(context.out, "audio", config, encoder.geometry)
        keep_encoder(context.out, Path(config.model), encoder.identity, comm)
        decoder = make_decoder(config.decoder, config.weights, grid, codebooks_of(encoder.model), config.train.seed)
        beside = None if config.decoder.input == "codes" else encoder.model.to(device)
        task = AudioTask(decoder.to(device), device, fps=encoder.geometry.fps, encoder=beside)
        return train_and_test(task, (clips, held_out, test), config.train, context, device, stamp)


def plan(config: Config) -> list[str]:
    """What a run would do, for people."""
    encoder = load_vqvae(Path(config.model), torch.device("cpu"))
    clips, held_out, test = (open_clips(config, encoder, split) for split in ("train", "validation", "test"))
    _check(config, clips)
    Precision(config.train.precision, pick_device(config.device, 0))
    grid = _grid(encoder)
    decoder = make_decoder(config.decoder, config.weights, grid, codebooks_of(encoder.model), config.train.seed)
    weights = sum(p.numel() for p in decoder.parameters())
    return [
        f"{config.decoder.input} of encoder {encoder.identity}: {len(clips)} clips with sound to train on, {len(held_out)} for "
        f"validation, {len(test)} for the test",
        f"decoder {config.decoder.name}: {weights:,} weights, {4 * weights / 1e6:,.0f} MB of gradients for ranks to average a "
        f"step, {16 * weights / 1e6:,.0f} MB a rank for weights, gradients and AdamW's two moments",
        f"a code step is {grid.frames} frames and {grid.samples} samples, {grid.rows}x{grid.columns} codes",
    ]


def open_clips(config: Config, encoder: LoadedVQVAE, split: str) -> Clips:
    """Crops to train on; whole clips of the other splits; with codes, or with pictures for a decoder that is given something else.

    Raises:
        ValueError: clips of another geometry than the encoder's, or crops that are not of whole groups of codes.
    """
    frames = (config.crop or None) if split == "train" else None
    if config.decoder.input != "codes":
        clips = ClipDataset(Path(config.data), split, frames=frames, seed=config.train.seed, need_audio=True)
        step = encoder.model.strides[0] * len(getattr(encoder.model.quantizer, "stages", (0,)))
        if clips.geometry != encoder.geometry:
            raise ValueError(
                f"expected clips of {encoder.geometry}, which the model at {config.model} was trained on, but those of "
                f"{config.data} are of {clips.geometry}"
            )
        if config.crop % step:
            raise ValueError(f"expected crops of a multiple of {step} frames, but got crop={config.crop}")
        return clips
    return CodeDataset(
        Path(config.codes),
        Path(config.data),
        split,
        frames=frames,
        seed=config.train.seed,
        encoder=encoder.identity,
        need_audio=True,
    )


def _check(config: Config, clips: Clips) -> None:
    if not len(clips):
        raise ValueError(
            f"{config.data} has no clip with sound to train on (left out: {clips.left_out}); "
            "`python -m v2a.shards info` shows what is in it"
        )


def _grid(encoder: LoadedVQVAE) -> Grid:
    return make_grid(encoder.geometry, encoder.model.strides)
