"""A network by its settings."""

from __future__ import annotations

import torch

from v2a.comm import Comm
from v2a.models.config import Model
from v2a.models.paper import paper_decoder, paper_encoder
from v2a.models.residual import ResidualDecoder, ResidualEncoder
from v2a.models.staged import StagedQuantizer
from v2a.models.vqvae import VQVAE
from v2a.quantize.config import Settings
from v2a.quantize.make import make_quantizer


def make_vqvae(model: Model, quantizer: Settings, comm: Comm, seed: int) -> VQVAE:
    """The network that `model.name` names, on the CPU; the same weights for the same seed, and torch's own draws are left alone.

    Args:
        model: its settings.
        quantizer: the codebook's.
        comm: the ranks that train together.
        seed: of weights and codebook; the same on all ranks.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if model.name == "paper":
            codebook = make_quantizer(quantizer, model.dim, comm, seed)
            return VQVAE(paper_encoder(model), paper_decoder(model), codebook, model.product)
        staged = StagedQuantizer(quantizer, model.dim, model.group, comm, seed, model.beam)
        return VQVAE(ResidualEncoder(model), ResidualDecoder(model), staged, model.product)
