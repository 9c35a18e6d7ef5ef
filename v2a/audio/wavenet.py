"""The earlier work's decoder of sound: an autoregressive WaveNet, one sample after another, conditioned frame by frame.

The network is van den Oord et al. 2016 (sections 2.1 to 2.5): classes of samples, dilated causal convolutions with gated units,
residual and skip connections, local conditioning. That the features of each frame of the video go to just its samples is the
frame-to-frame way of Zhou et al. 2018 ("Visual to Sound"), who repeat them, where here lines go from frame to frame, and whose
generator was a SampleRNN.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from v2a.audio.config import Decoder
from v2a.audio.grid import Grid
from v2a.audio.mulaw import CLASSES, SILENCE, classes_of, wave_of
from v2a.audio.picture import Picture
from v2a.audio.steps import Steps
from v2a.audio.vectors import Codebooks, CodeVectors

SKIP, HEAD = 64, 128  # features that all layers give to the output, and of the layer before it
EXCERPT_S = 1.0  # of a held-out clip that is drawn while a run is validated
_PIECES = 4  # of a held-out clip whose loss is taken


class WaveNet(nn.Module):
    """Codes to features of frames; those, and the samples so far, to the odds of the next sample.

    A sample depends on the `reach` samples before it, and on the features of the two frames whose middles it lies between. Before
    the first sample there was silence.

    Args:
        settings: sizes.
        grid: of a segment; codes may have any number of steps.
        codebooks: of stage 1.
    """

    def __init__(self, settings: Decoder, grid: Grid, codebooks: Codebooks) -> None:
        super().__init__()
        self.grid, self.input = grid, settings.input
        self.vectors = CodeVectors(codebooks.vectors)
        self.picture = Picture(codebooks, self.vectors, grid, settings)
        self.dilations = tuple(2**layer for _ in range(settings.stacks) for layer in range(settings.layers))
        self.reach = 1 + sum(self.dilations)
        self._piece = max(1, round(settings.piece_s * grid.sample_rate))
        self.enter = nn.Embedding(CLASSES, settings.width)
        self.condition = nn.Conv1d(settings.channels, len(self.dilations) * 2 * settings.width, 1)
        self.layers = nn.ModuleList(_Layer(settings.width, dilation) for dilation in self.dilations)
        self.head = nn.Sequential(nn.ReLU(), nn.Conv1d(SKIP, HEAD, 1), nn.ReLU(), nn.Conv1d(HEAD, CLASSES, 1))
        with torch.no_grad():  # neighbouring classes begin as neighbours
            self.enter.weight.copy_(_cosines(settings.width))

    @property
    def samples(self) -> int:
        """Of a frame."""
        return self.grid.samples // self.grid.frames

    def forward(self, condition: torch.Tensor, begin: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        """Logits [B, 256, n] of n samples that follow each other, each given all that were before it.

        Args:
            condition: of F frames, [B, layers * 2 width, F], from `conditions`.
            begin: first of these n samples, counted from the begin of the first of these frames, int64 [B].
            known: classes of the samples from `reach` before the first one to the one before the last, int64 [B, reach + n - 1].
        """
        wanted = known.shape[1] - self.reach + 1
        at = begin[:, None] - self.reach + 1 + torch.arange(known.shape[1], device=known.device)
        between = _between(at, condition.shape[2], self.samples).to(condition.dtype)  # [B, F, reach + n - 1]
        x = self.enter(known).transpose(1, 2)
        total = x.new_zeros(())
        for layer, its in zip(self.layers, condition.chunk(len(self.layers), 1), strict=True):
            x, skip = layer(x, its, between, wanted)
            total = total + skip
        logits: torch.Tensor = self.head(total)
        return logits

    def conditions(
        self, codes: torch.Tensor, first: torch.Tensor | None = None, count: int | None = None
    ) -> torch.Tensor:
        """What each layer is told of each frame, [B, layers * 2 width, T]; of `count` frames from `first` [B] on when given."""
        found: torch.Tensor = self.condition(nn.functional.silu(self.picture(codes, first, count)))
        return found

    def loss(self, codes: torch.Tensor, audio: torch.Tensor) -> dict[str, torch.Tensor]:
        """Cross-entropy of a random piece of each clip, nats a sample; int16 [B, S].

        In evaluation of four pieces that lie evenly in it, so that a clip has one loss.
        """
        begin = self._pieces(audio.shape[0], audio.shape[1])
        count = begin.shape[1]
        clip = torch.arange(len(audio)).repeat_interleave(count)
        begin = begin.flatten()
        wanted = min(self._piece, audio.shape[1])
        classes = nn.functional.pad(classes_of(audio), (self.reach, 0), value=SILENCE)
        heard = torch.stack(
            [classes[b, at : at + self.reach + wanted] for b, at in zip(clip, begin.tolist(), strict=True)]
        )
        frames = self.picture.length_of(codes)
        looks = min(frames, (self.reach + wanted) // self.samples + 4)
        first = ((begin - self.reach) // self.samples - 1).clamp(0, frames - looks)
        condition = self.conditions(codes[clip] if count > 1 else codes, first.to(codes.device), looks)
        logits = self(condition, (begin - first * self.samples).to(codes.device), heard[:, :-1])
        return {"loss": nn.functional.cross_entropy(logits.float(), heard[:, self.reach :])}

    def sound(
        self, codes: torch.Tensor, generator: torch.Generator | None = None, part: tuple[int, int] | None = None
    ) -> torch.Tensor:
        """Float samples of full scale 1, [B, t * samples], drawn one after another.

        On the CPU in float32, wherever the network is, clip by clip: hundreds of small steps a sample are no work for a GPU, and a
        clip sounds the same in any batch.

        Args:
            codes: [B, t, h, w].
            generator: of the draws, on the CPU.
            part: first frame and number of frames to be drawn; None for all.
        """
        first, count = part or (0, self.picture.length_of(codes))
        with torch.autocast(codes.device.type, enabled=False):
            condition = self.conditions(codes).float()[:, :, first : first + count].detach().cpu()
        draws = torch.rand(len(codes), count * self.samples, generator=generator, dtype=torch.float64)
        steps = Steps(self)
        drawn = [steps.draw(its.numpy(), chance.numpy()) for its, chance in zip(condition, draws, strict=True)]
        return wave_of(torch.stack([torch.from_numpy(classes) for classes in drawn])).to(codes.device)

    def excerpt(self, codes: torch.Tensor, generator: torch.Generator | None = None) -> tuple[torch.Tensor, slice]:
        """What is listened to in validation, [B, n], and which samples that is: a second in the middle; all would take too long."""
        frames = self.picture.length_of(codes)
        count = min(frames, max(1, round(EXCERPT_S * self.grid.sample_rate / self.samples)))
        first = (frames - count) // 2
        return self.sound(codes, generator, (first, count)), slice(first * self.samples, (first + count) * self.samples)

    def _pieces(self, clips: int, samples: int) -> torch.Tensor:
        """First samples of the pieces, int64 [B, pieces]."""
        room = max(0, samples - self._piece)
        if self.training:
            return torch.randint(0, room + 1, (clips, 1))
        return (torch.arange(_PIECES) * room // (_PIECES - 1)).expand(clips, -1)


class _Layer(nn.Module):
    """A causal convolution of two samples `dilation` apart, gated, to the next layer and to the output."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self._width, self._dilation = width, dilation
        self.look = nn.Conv1d(width, 2 * width, 2, dilation=dilation, bias=False)  # the condition has one
        self.leave = nn.Conv1d(width, width + SKIP, 1, bias=False)

    def forward(
        self, x: torch.Tensor, condition: torch.Tensor, between: torch.Tensor, wanted: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The next layer's input [B, width, n - dilation], and the last `wanted` of what goes to the output, of [B, width, n]."""
        z = self.look(x)
        z = z + torch.bmm(condition, between[:, :, -z.shape[2] :])
        signal, gate = z.chunk(2, 1)
        left = self.leave(torch.tanh(signal) * torch.sigmoid(gate))
        return x[:, :, self._dilation :] + left[:, : self._width], left[:, self._width :, -wanted:]


def _between(at: torch.Tensor, frames: int, samples: int) -> torch.Tensor:
    """How much of each frame's features a sample has, [B, F, n] of sample numbers [B, n]: straight lines from middle to middle."""
    place = ((at + 0.5) / samples - 0.5).clamp(0, frames - 1)
    return (1 - (place[:, None] - torch.arange(frames, device=at.device)[:, None]).abs()).clamp(min=0)


def _cosines(width: int) -> torch.Tensor:
    """[256, width]: cosines over the classes, slow ones first."""
    place = (torch.arange(CLASSES) + 0.5) / CLASSES
    return torch.cos(math.pi * place[:, None] * torch.arange(1, width + 1))
