"""A trained VQ-VAE by its path: an exported folder, or a run's last checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from v2a.comm import LocalComm
from v2a.export.errors import ModelError
from v2a.export.open import open_model
from v2a.geometry import Geometry
from v2a.models.config import Model
from v2a.models.make import make_vqvae
from v2a.models.vqvae import VQVAE
from v2a.quantize.config import Settings
from v2a.vqvae.export import is_kept
from v2a.vqvae.identity import beam_of, encoder_identity


class LoadedVQVAE(NamedTuple):
    """A model to be used.

    Attributes:
        model: in evaluation mode, without gradients, on the device that was asked for.
        geometry: of the clips that it was trained on.
        identity: of its encoder; codes of the same identity are of the same codebook.
    """

    model: VQVAE
    geometry: Geometry
    identity: str


def load_vqvae(path: Path, device: torch.device) -> LoadedVQVAE:
    """Load, verify, and put into evaluation mode. Checksums are compared, and nothing in the files can run.

    Raises:
        ModelError: no model, damaged, another stage's, or weights that are not those of its settings.
    """
    opened = open_model(path, "vqvae", device)
    return build_vqvae(path, opened.config, opened.tensors, device)


def build_vqvae(
    path: Path, config: Mapping[str, Any], tensors: dict[str, torch.Tensor], device: torch.device
) -> LoadedVQVAE:
    """A network of its parts, which are compared with each other.

    Args:
        path: where they are from, for messages.
        config: of an exported model of stage `vqvae`.
        tensors: its weights.
        device: where the network goes.

    Raises:
        ModelError: settings that this version does not know, or weights that are not those of the settings.
    """
    try:
        settings = Model(**{**config["model"], "beam": beam_of(config["model"])})
        quantizer = Settings(**config["quantizer"])
        geometry = Geometry.from_dict(config["geometry"])
        geometry.latent_grid([settings.product])
        identity = encoder_identity(tensors, config)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            path, f"has settings that this version does not know ({error}); use the version that wrote it"
        ) from None
    if identity != config.get("identity") or list(settings.product) != list(config["strides"]):
        raise ModelError(
            path,
            f"says that its encoder is {config.get('identity')}, but its weights are {identity}; export the run again",
        )
    model = make_vqvae(settings, quantizer, LocalComm(), seed=0).to(device)
    _fill(path, model, tensors)
    model.requires_grad_(False)
    return LoadedVQVAE(model.eval(), geometry, identity)


def _fill(path: Path, model: VQVAE, tensors: dict[str, Any]) -> None:
    try:
        missing, unknown = model.load_state_dict(tensors, strict=False)
    except RuntimeError as error:
        raise ModelError(
            path, f"has weights that do not fit its settings ({str(error).splitlines()[-1].strip()})"
        ) from None
    missing = [name for name in missing if is_kept(name)]
    if missing or unknown:
        raise ModelError(
            path, f"has weights that do not fit its settings (missing {missing[:3]}, unknown {unknown[:3]})"
        )
