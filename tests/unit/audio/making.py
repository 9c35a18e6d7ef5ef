"""Runs of stage `audio` made in a moment: an untrained decoder, its encoder beside it, and a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from tests.media.moving import TINY
from tests.unit.codes.making import PAPER, make_run
from v2a.audio.config import Config, Decoder, Weights
from v2a.audio.encoder import keep_encoder
from v2a.audio.grid import make_grid
from v2a.audio.make import AudioDecoder, make_decoder
from v2a.audio.vectors import codebooks_of
from v2a.comm import LocalComm
from v2a.geometry import Geometry
from v2a.models.config import Model
from v2a.training.checkpoint import Checkpoints
from v2a.training.stamp import stamp_run
from v2a.vqvae.load import load_vqvae

CPU = torch.device("cpu")
FRAMEWISE = Decoder(channels=16, blocks=1, bands=16)
FC = Decoder(name="fc", hidden=16)
WAVENET = Decoder(name="wavenet", channels=16, width=8, layers=4, piece_s=0.05)


def make_audio_run(
    folder: Path, settings: Decoder = FRAMEWISE, geometry: Geometry = TINY, model: Model = PAPER, *, seed: int = 0,
    step: int = 3, decoder: AudioDecoder | None = None,
) -> Path:  # fmt: skip
    """A run's folder with one checkpoint more; the stage-1 run is beside it."""
    stage1 = folder.with_name(folder.name + "-stage1")
    if not stage1.exists():
        make_run(stage1, geometry, model, seed=seed)
    encoder = load_vqvae(stage1, CPU)
    folder.mkdir(parents=True, exist_ok=True)
    stamp_run(folder, "audio", Config(model=str(stage1), crop=0, decoder=settings), geometry, LocalComm())
    keep_encoder(folder, stage1, encoder.identity, LocalComm())
    grid = make_grid(geometry, encoder.model.strides)
    decoder = decoder or make_decoder(settings, Weights(), grid, codebooks_of(encoder.model), seed)
    state: dict[str, Any] = {"model": decoder.state_dict(), "optimizer": {"state": {}}}
    Checkpoints(folder / "checkpoints", keep=9).save(state, step, None)
    return folder
