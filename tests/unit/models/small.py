"""Small networks of both kinds, and videos for them."""

import dataclasses

import torch

from v2a.comm import LocalComm
from v2a.models.config import Model
from v2a.models.make import make_vqvae
from v2a.models.vqvae import VQVAE
from v2a.quantize.config import Settings

SMALL = Model(dim=8, channels=16, narrow=8, blocks=1, encoder_blocks=1, group=3)


def small(name: str, seed: int = 0, codes: int = 32, **changes: object) -> VQVAE:
    model = dataclasses.replace(SMALL, name=name, **changes)  # type: ignore[arg-type]
    return make_vqvae(model, Settings(codes=codes), LocalComm(), seed)


def random_video(*shape: int, seed: int = 0) -> torch.Tensor:
    """Smooth enough that codes differ: a random one of an eighth of the size, scaled up."""
    batch, frames, height, width = shape
    few = torch.rand(batch, 3, frames, height // 8, width // 8, generator=torch.Generator().manual_seed(seed))
    return few.repeat_interleave(8, 3).repeat_interleave(8, 4)


def trained(name: str, **changes: object) -> VQVAE:
    """After a few steps, so that nothing that begins at zero is left there; in evaluation mode."""
    model = small(name, **changes)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for step in range(4):
        video = random_video(2, 24, 16, 32, seed=step)
        made = model(video)
        optimizer.zero_grad()
        ((made.video - video).square().mean() + made.quantized.loss).backward()
        optimizer.step()
    return model.eval()
