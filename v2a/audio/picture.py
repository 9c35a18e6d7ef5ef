"""What a decoder of sound sees: a small picture of each frame, made from codes, and the features that convolutions find in it."""

from __future__ import annotations

import math

import torch
from torch import nn

from v2a.audio.config import Decoder
from v2a.audio.grid import Grid
from v2a.audio.motion import Motion, mean_around
from v2a.audio.vectors import Codebooks, CodeVectors
from v2a.models.cosines import unpatches

_WIDEST = 128  # pixels: a quarter of the work that 256 would be; not compared with it
_STACKED = 3  # frames that are seen together
_AROUND_S = 1.0
_EACH = 16  # features that are kept at each place
_LOOKS = 4  # places that are looked at in each frame
_COVERS = 32
_REACH = 3  # frames beyond those around: what `Motion` sees to each side
_CONTRAST = 4.0  # pixels of 0 to 1 have a deviation of about a quarter


class Picture(nn.Module):
    """What is given of a video to [B, width, T]: what is where in each frame, and how it moves.

    Each dimension of a code's vector stands for a patch of video (`Codebooks.basis`), so the sum of a group's vectors is a small
    picture of each of its frames without anything learned. Convolutions see each frame with its two neighbours, and what differs
    in it from the frames around (a camera that stands still shows only what moves there). Of the last one's features go on: each
    at its place, the largest and the mean of each over the frame, how much of the frame some of them cover, on a logarithmic scale
    (level falls with distance as the logarithm of the size does), and those at the places that the network looks at, with where
    these are (spatial softmax, Finn et al. 2016).

    What is given is codes [B, t, h, w]; or the encoder's latents [B, D, t, h, w], whose pictures come of the same basis; or pixels
    [B, 3, T, H, W], 0 to 1, which are scaled down to pictures of the same size.

    Args:
        codebooks: of stage 1.
        vectors: theirs; its weights are not this module's.
        grid: of a segment.
        settings: `channels` is the width C of what is returned, `input` what is given; with `mirror`, in training, the frames of
            each clip are mirrored, left for right, with a chance of a half.
    """

    basis: torch.Tensor
    places: torch.Tensor

    def __init__(self, codebooks: Codebooks, vectors: CodeVectors, grid: Grid, settings: Decoder) -> None:
        super().__init__()
        self._kind, self._mirror, width = settings.input, settings.mirror, settings.channels
        self._vectors, self._frames = [vectors], grid.frames  # in a list: not a module of this one
        self._around = round(_AROUND_S * grid.sample_rate / grid.samples * grid.frames)
        basis, self._block = _smaller(codebooks.basis, codebooks.block, grid)
        self._times = codebooks.block[1] // self._block[1]  # smaller than the video
        spread = vectors.codebooks[0] @ basis.t()
        self.register_buffer("basis", basis / spread.square().mean().sqrt().clamp(min=1e-8))
        quarter, half, full = max(8, width // 8), max(8, width // 4), max(8, width // 2)
        self.body = nn.Sequential(
            *_seeing(3 * (_STACKED + 1), quarter, 5, 2),
            *_seeing(quarter, half, 3, 2),
            *_seeing(half, full, 3, 2),
            *_seeing(full, full, 3, 1),
        )
        self.body.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # torch's stubs want a tensor with it
        rows, columns = (
            math.ceil(count * size / 8) for count, size in zip((grid.rows, grid.columns), self._block[1:], strict=True)
        )
        self.register_buffer("places", _coordinates(rows, columns), persistent=False)
        self.each = nn.Conv2d(full, _EACH, 1)
        self.look = nn.Conv2d(full, _LOOKS, 1)
        self.cover = nn.Conv2d(full, _COVERS, 1)
        self.motion = Motion()
        seen = _EACH * rows * columns + (2 + _LOOKS) * full + 2 * _LOOKS + _COVERS
        self.out = nn.Conv1d(seen + self.motion.features, width, 1)

    def forward(self, given: torch.Tensor, first: torch.Tensor | None = None, count: int | None = None) -> torch.Tensor:
        """Features [B, width, T], T = t * frames of a step.

        Args:
            given: see above.
            first: of each clip, int64 [B], the frame that features are wanted from; None for all of them.
            count: of so many frames; None for all of them.
        """
        frames = self.frames_of(given)
        if self.training and self._mirror:
            frames = _mirrored(frames)
        wanted: tuple[torch.Tensor, torch.Tensor] | None = None
        if first is not None and count is not None:  # no more frames than these, and those that they are seen with
            reach = self._around + _REACH
            length = min(frames.shape[2], count + 2 * reach)
            begin = (first - reach).clamp(0, frames.shape[2] - length)
            frames = torch.stack([clip[:, at : at + length] for clip, at in zip(frames, begin.tolist(), strict=True)])
            places = (first - begin)[:, None] + torch.arange(count, device=first.device)
            wanted = torch.arange(len(frames), device=first.device)[:, None], places
        differs = frames - mean_around(frames, self._around)
        stacked, moves = _stacked(frames, differs), self.motion(differs)
        if wanted is not None:
            stacked, moves = stacked[wanted], moves.transpose(1, 2)[wanted].transpose(1, 2)
        return self._gathered(stacked, moves)

    def _gathered(self, stacked: torch.Tensor, moves: torch.Tensor) -> torch.Tensor:
        """Features [B, width, T] of frames with those beside them, [B, T, H, W, 12], and of what moves, [B, M, T]."""
        batch, count = stacked.shape[:2]
        found = self.body(stacked.flatten(0, 1).permute(0, 3, 1, 2))  # [B T, C, h', w'], channels last in memory
        flat = found.flatten(2).float()
        look = self.look(found).flatten(2).float().softmax(-1)  # [B T, L, h' w']
        seen = torch.einsum("nlp,ncp->nlc", look, flat).flatten(1)
        where = torch.einsum("nlp,xp->nlx", look, self.places).flatten(1)
        covered = nn.functional.softplus(4 * self.cover(found).flatten(2).float()).mean(-1).add(1e-4).log()
        each = self.each(found).flatten(1).float()
        gathered = torch.cat([each, flat.amax(-1), flat.mean(-1), seen, where, covered], dim=1)
        still = gathered.view(batch, count, -1).transpose(1, 2)
        features: torch.Tensor = self.out(torch.cat([still, moves], dim=1))
        return features

    def length_of(self, given: torch.Tensor) -> int:
        """Frames that what is given stands for, T."""
        if self._kind == "pixels":
            return given.shape[2]
        return given.shape[1 if self._kind == "codes" else 2] * self._frames

    def frames_of(self, given: torch.Tensor) -> torch.Tensor:
        """Pictures [B, 3, T, H, W] of what is given, about 0 with a deviation about 1."""
        if self._kind == "pixels":
            smaller = nn.functional.avg_pool3d(given, (1, self._times, self._times))
            return (smaller - 0.5) * _CONTRAST
        vectors = self._vectors[0]
        whole = vectors.together(given) if self._kind == "codes" else vectors.unquantised(given)
        patches = torch.einsum("nd,bdthw->bnthw", self.basis, whole)
        return unpatches(patches, self._block)[:, :, : self.length_of(given)]


def _mirrored(frames: torch.Tensor) -> torch.Tensor:
    """Clips [B, 3, T, H, W], each as it is or mirrored, by the step's own seed."""
    mirrored = torch.rand(len(frames)).to(frames.device) < 0.5
    return torch.where(mirrored[:, None, None, None, None], frames.flip(-1), frames)


def _stacked(frames: torch.Tensor, differs: torch.Tensor) -> torch.Tensor:
    """Each frame with its neighbours and its difference from those around it: both [B, 3, T, H, W], to [B, T, H, W, 12]."""
    padded = nn.functional.pad(frames, (0, 0, 0, 0, 1, 1)).permute(0, 2, 3, 4, 1)
    beside = [padded[:, k : k + frames.shape[2]] for k in range(_STACKED)]
    return torch.cat([*beside, differs.permute(0, 2, 3, 4, 1)], dim=-1)


def _seeing(channels: int, out: int, size: int, stride: int) -> list[nn.Module]:
    """A convolution over one frame. Its features are normalised over that frame alone, so any length gives the same."""
    return [nn.Conv2d(channels, out, size, stride, size // 2), nn.GroupNorm(1, out), nn.SiLU()]


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
