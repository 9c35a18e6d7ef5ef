"""What a decoder of sound sees: a small picture of each frame, made from codes, and the features that convolutions find in it."""

from __future__ import annotations

import math

import torch
from torch import nn

from v2a.audio.grid import Grid
from v2a.audio.vectors import Codebooks, CodeVectors
from v2a.models.cosines import unpatches

_WIDEST = 128  # pixels: a quarter of the work that 256 would be; not compared with it
_LOOKS = 4  # places that are looked at in each frame


class Picture(nn.Module):
    """Codes [B, t, h, w] to [B, width, T]: what is where in each frame, and how it moves.

    Each dimension of a code's vector stands for a patch of video (`Codebooks.basis`), so the sum of a group's vectors is a small
    picture of each of its frames without anything learned. Convolutions over space, and over neighbouring frames, see what
    moves in it. Of the last one's features go on: each at its place, the largest and the mean of each over the frame, and those at
    the places that the network looks at, with where these are (spatial softmax, Finn et al. 2016).

    Args:
        codebooks: of stage 1.
        vectors: theirs; its weights are not this module's.
        grid: of a segment.
        width: C of what is returned.
    """

    basis: torch.Tensor
    places: torch.Tensor

    def __init__(self, codebooks: Codebooks, vectors: CodeVectors, grid: Grid, width: int) -> None:
        super().__init__()
        self._vectors, self._frames = [vectors], grid.frames  # in a list: not a module of this one
        basis, self._block = _smaller(codebooks.basis, codebooks.block, grid)
        spread = vectors.codebooks[0] @ basis.t()
        self.register_buffer("basis", basis / spread.square().mean().sqrt().clamp(min=1e-8))
        quarter, half, full = max(8, width // 8), max(8, width // 4), max(8, width // 2)
        self.body = nn.Sequential(
            nn.Conv3d(3, quarter, (3, 5, 5), (1, 2, 2), (1, 2, 2)),
            FrameNorm(quarter),
            nn.SiLU(),
            nn.Conv3d(quarter, half, (1, 3, 3), (1, 2, 2), (0, 1, 1)),
            FrameNorm(half),
            nn.SiLU(),
            nn.Conv3d(half, full, 3, (1, 2, 2), 1),
            FrameNorm(full),
            nn.SiLU(),
            nn.Conv3d(full, full, 3, padding=1),
            FrameNorm(full),
            nn.SiLU(),
        )
        rows, columns = (
            math.ceil(count * size / 8) for count, size in zip((grid.rows, grid.columns), self._block[1:], strict=True)
        )
        self.register_buffer("places", _coordinates(rows, columns), persistent=False)
        self.each = nn.Conv3d(full, 16, 1)
        self.look = nn.Conv3d(full, _LOOKS, 1)
        self.out = nn.Conv1d(16 * rows * columns + (2 + _LOOKS) * full + 2 * _LOOKS, width, 1)

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        """Features [B, width, T] of codes [B, t, h, w], T = t * frames of a step."""
        found = self.body(self.frames_of(codes))  # [B, C, T, h', w']
        flat = found.flatten(3)
        look = self.look(found).flatten(3).float().softmax(-1)  # [B, L, T, h' w']
        seen = torch.einsum("bltp,bctp->blct", look, flat.float()).flatten(1, 2)
        where = torch.einsum("bltp,xp->blxt", look, self.places).flatten(1, 2)
        each = self.each(found).permute(0, 1, 3, 4, 2).flatten(1, 3)
        gathered = torch.cat([each, flat.amax(-1), flat.mean(-1), seen.to(flat.dtype), where.to(flat.dtype)], dim=1)
        given: torch.Tensor = self.out(gathered)
        return given

    def frames_of(self, codes: torch.Tensor) -> torch.Tensor:
        """Pictures [B, 3, T, H, W] of codes, about 0 with a deviation about 1."""
        patches = nn.functional.conv3d(self._vectors[0].together(codes), self.basis[:, :, None, None, None])
        return unpatches(patches, self._block)[:, :, : codes.shape[1] * self._frames]


class FrameNorm(nn.Module):
    """Each frame to mean 0 and deviation 1, then scaled; knows nothing of other moments, so any length gives the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels, 1, 1, 1))
        self.shift = nn.Parameter(torch.zeros(channels, 1, 1, 1))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """[B, C, T, H, W] to the same."""
        wide = values.float()
        wide = wide - wide.mean((1, 3, 4), keepdim=True)
        wide = wide * torch.rsqrt(wide.square().mean((1, 3, 4), keepdim=True) + 1e-5)
        return (wide * self.scale + self.shift).to(values.dtype)


def _smaller(basis: torch.Tensor, block: tuple[int, int, int], grid: Grid) -> tuple[torch.Tensor, tuple[int, int, int]]:
    """The basis [3 * frames * rows * columns, D] of pictures at half size, until they are small enough."""
    frames, rows, columns = block
    while grid.columns * columns > _WIDEST and rows % 2 == 0 and columns % 2 == 0:
        halved = basis.view(3, frames, rows // 2, 2, columns // 2, 2, -1).mean((3, 5))
        basis, rows, columns = halved.flatten(0, 3), rows // 2, columns // 2
    return basis, (frames, rows, columns)


def _coordinates(rows: int, columns: int) -> torch.Tensor:
    """[2, rows * columns]: row and column of each place, -1 to 1."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, rows), torch.linspace(-1, 1, columns), indexing="ij")
    return torch.stack([y.flatten(), x.flatten()])
