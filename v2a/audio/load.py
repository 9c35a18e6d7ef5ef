"""A trained decoder of sound with its encoder by its path: an exported folder, or a run's last checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch

from v2a.audio.config import Decoder, Weights
from v2a.audio.export import DECODER, ENCODER
from v2a.audio.grid import Grid, make_grid
from v2a.audio.identity import audio_identity
from v2a.audio.make import AudioDecoder, make_decoder
from v2a.audio.vectors import codebooks_of
from v2a.export.errors import ModelError
from v2a.export.open import open_model
from v2a.geometry import Geometry
from v2a.vqvae.load import LoadedVQVAE, build_vqvae


class LoadedAudio(NamedTuple):
    """A model to be used, in evaluation mode, without gradients, on the device that was asked for.

    Attributes:
        decoder: codes to sound.
        encoder: clips to codes, with its own identity.
        geometry: of the clips that both were trained on.
        grid: of a segment's codes and sound.
        identity: of encoder and decoder together; the same identity and seed make the same sound.
    """

    decoder: AudioDecoder
    encoder: LoadedVQVAE
    geometry: Geometry
    grid: Grid
    identity: str


def load_audio(path: Path, device: torch.device) -> LoadedAudio:
    """Load, verify, and put into evaluation mode. Checksums are compared, and nothing in the files can run.

    Raises:
        ModelError: no model, damaged, another stage's, or weights that are not those of its settings.
    """
    opened = open_model(path, "audio", device)
    config = opened.config
    sound, stage1 = (_named(opened.tensors, prefix) for prefix in (DECODER, ENCODER))
    try:
        settings = Decoder(**config["decoder"])
        geometry = Geometry.from_dict(config["geometry"])
        identity = audio_identity(sound, config)
        encoder = build_vqvae(path, config["encoder"], stage1, device)
        grid = make_grid(geometry, encoder.model.strides)
    except ModelError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            path, f"has settings that this version does not know ({error}); use the version that wrote it"
        ) from None
    if identity != config.get("identity") or encoder.geometry != geometry:
        raise ModelError(
            path, f"says that it is {config.get('identity')}, but its weights are {identity}; export the run again"
        )
    decoder = make_decoder(settings, Weights(), grid, codebooks_of(encoder.model), seed=0).to(device)
    _fill(path, decoder, sound)
    decoder.requires_grad_(False)
    return LoadedAudio(decoder.eval(), encoder, geometry, grid, identity)


def _named(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _fill(path: Path, decoder: AudioDecoder, tensors: dict[str, Any]) -> None:
    ours = decoder.vectors.codebooks.clone()
    try:
        decoder.load_state_dict(tensors)
    except RuntimeError as error:
        raise ModelError(
            path, f"has weights that do not fit its settings ({str(error).splitlines()[-1].strip()})"
        ) from None
    # Two devices may differ in the last bit of a mean.
    if not torch.allclose(ours, decoder.vectors.codebooks, rtol=1e-3, atol=1e-4):
        raise ModelError(path, "has a decoder of another encoder's codes; export the run again")
