"""What the decoders see of codes: their vectors in stage 1's codebooks."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn
from torch.nn.functional import embedding, pad

from v2a.models.residual import ResidualDecoder
from v2a.models.vqvae import VQVAE


class Codebooks(NamedTuple):
    """What stage 1's codes stand for.

    Attributes:
        vectors: [G, K, D], one codebook for each latent step of a group whose codes describe their frames together; G is 1 without
            groups.
        basis: [3 * frames * rows * columns, D], the patch of video that each dimension of a vector stands for, in the order of
            `v2a.models.cosines.patches`.
        block: frames, rows and columns of a patch, which is a group's.
    """

    vectors: torch.Tensor
    basis: torch.Tensor
    block: tuple[int, int, int]


@torch.no_grad()
def codebooks_of(model: VQVAE) -> Codebooks:
    """Those of a trained model: the residual network's linear transform is the basis.

    The paper's network has none: there it is the linear map (least squares) from the codebook to what the decoder makes of each
    code alone.
    """
    stages = getattr(model.quantizer, "stages", [model.quantizer])
    vectors = torch.stack([stage.codebook.detach().cpu().float() for stage in stages])
    frames, rows, columns = model.strides
    block = (frames * len(stages), rows, columns)
    if isinstance(model.decoder, ResidualDecoder):
        return Codebooks(vectors, model.decoder.linear.detach().cpu().float(), block)
    alone = model.decode(stages[0].codebook.detach().float()[:, :, None, None, None]).cpu().float().flatten(1)
    book, alone = vectors[0] - vectors[0].mean(0), alone - alone.mean(0)
    ridge = 1e-4 * book.square().mean() * torch.eye(book.shape[1])  # fewer codes than dimensions are no trouble
    return Codebooks(
        vectors, torch.linalg.solve(book.t() @ book / len(book) + ridge, book.t() @ alone / len(book)).t(), block
    )


class CodeVectors(nn.Module):
    """Codes to standardised vectors; the codebooks are stage 1's and stay as they are.

    Args:
        codebooks: [G, K, D].
    """

    codebooks: torch.Tensor
    middle: torch.Tensor
    scale: torch.Tensor

    def __init__(self, codebooks: torch.Tensor) -> None:
        super().__init__()
        # One scale for all of them: how far codes lie apart in each dimension is what stage 1 learned.
        first = codebooks[0] - codebooks[0].mean(0)
        scale = first.square().mean().sqrt().clamp(min=1e-8)
        middle = torch.zeros_like(codebooks[:, :1])
        middle[0] = codebooks[0].mean(0)
        self.register_buffer("codebooks", (codebooks - middle) / scale)
        self.register_buffer("middle", codebooks[0].mean(0), persistent=False)
        self.register_buffer("scale", scale, persistent=False)

    @property
    def group(self) -> int:
        """G, latent steps."""
        return len(self.codebooks)

    @property
    def dim(self) -> int:
        """D."""
        return int(self.codebooks.shape[2])

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        """The vector of each code: [B, t, h, w] to [B, D, t, h, w]."""
        parts = [embedding(codes[:, stage :: self.group], book) for stage, book in enumerate(self.codebooks)]
        longest = parts[0].shape[1]
        full = [pad(part, (0, 0, 0, 0, 0, 0, 0, longest - part.shape[1])) for part in parts]
        return torch.stack(full, 2).flatten(1, 2)[:, : codes.shape[1]].movedim(-1, 1)

    def unquantised(self, latents: torch.Tensor) -> torch.Tensor:
        """What `together` would give if codes were exact, [B, D, t / G rounded up, h, w], of latents [B, D, t, h, w]."""
        centred = latents[:, :, :: self.group] - self.middle[:, None, None, None]
        return centred / self.scale

    def together(self, codes: torch.Tensor) -> torch.Tensor:
        """The sum of a group's vectors: [B, t, h, w] to [B, D, t / G rounded up, h, w]."""
        found = [embedding(codes[:, stage :: self.group], book) for stage, book in enumerate(self.codebooks)]
        whole = found[0]
        for part in found[1:]:
            whole = whole + pad(part, (0, 0, 0, 0, 0, 0, 0, whole.shape[1] - part.shape[1]))
        return whole.movedim(-1, 1)
