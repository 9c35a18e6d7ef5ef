"""Our decoder of sound: the codes of each moment, and of a window around it, say what is to be heard then.

Weights are shared over time, so sound is aligned by construction and any length works. What the network gives is not samples but
what a picture can determine: power in mel bands, how tonal it is, and the pitch, at 100 frames a second. Noise and harmonics
are drawn from that (`synthesis`).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from v2a.audio.bands import FLOOR, Bands
from v2a.audio.bounds import bounded
from v2a.audio.config import Decoder, Weights
from v2a.audio.grid import Grid
from v2a.audio.losses import framewise_loss, hear
from v2a.audio.onsets import since_onsets, told_onsets
from v2a.audio.picture import Picture
from v2a.audio.pitch import Pitch
from v2a.audio.synthesis import synthesise
from v2a.audio.vectors import Codebooks, CodeVectors

_WINDOW_S = 0.032
_PITCH_S = 0.05  # from look to look at the truth's pitch, which changes slowly
# More blocks at the rate of the video, each of which looks twice as far: 3.6 s to each side with two, and the picture a second
# more. An aircraft is told by what it looked like when it was near.
_FARTHER = 3
_LOG_POWER = (-18.0, 4.0)  # natural logarithms: 8 dB under the floor, 17 dB above a noise of full scale


class Controls(NamedTuple):
    """What is to be heard, at N control frames.

    Attributes:
        power: of each mel band, [B, M, N].
        tonal: share of it in harmonics, logits [B, M, N].
        pitch: logits of the candidates, [B, P, N].
        onsets: logits of an onset in each frame, [B, N].
    """

    power: torch.Tensor
    tonal: torch.Tensor
    pitch: torch.Tensor
    onsets: torch.Tensor


class Framewise(nn.Module):
    """Codes to controls to sound.

    Args:
        settings: sizes.
        weights: of the loss.
        grid: of a segment; codes may have any number of steps.
        codebooks: of stage 1.

    Attributes:
        input: what it is given (`v2a.audio.given`): codes, or what stands in their place in an experiment.
    """

    def __init__(self, settings: Decoder, weights: Weights, grid: Grid, codebooks: Codebooks) -> None:
        super().__init__()
        self.grid, self._weights, self.input = grid, weights, settings.input
        self.vectors = CodeVectors(codebooks.vectors)
        window = 1 << round(_WINDOW_S * grid.sample_rate - 1).bit_length()
        self.bands = Bands(grid.sample_rate, grid.hop, window, settings.bands)
        self.pitches = Pitch(grid.sample_rate, grid.hop, max(1, round(_PITCH_S * grid.sample_rate / grid.hop)))
        width = settings.channels
        self.picture = Picture(codebooks, self.vectors, grid, settings)
        self.frames = nn.Sequential(*(_Residual(width, 2**k) for k in range(settings.blocks + _FARTHER)))
        self.to_controls = _Finer(width, width // 2, grid.samples // grid.frames // grid.hop)
        told = nn.Conv1d(width // 4, 1, 9, padding=4)
        self.tell = nn.Sequential(_ChannelNorm(), nn.Conv1d(width // 2, width // 4, 9, padding=4), nn.SiLU(), told)
        self.follow = nn.Conv1d(4, width // 2, 1, bias=False)
        self.fine = nn.Sequential(*(_Residual(width // 2, 2**k) for k in range(settings.blocks)))
        self.heads = nn.Conv1d(width // 2, 2 * settings.bands + len(self.pitches.candidates), 1)
        with torch.no_grad():  # begins with a quiet rustle, not with full scale
            assert self.heads.bias is not None
            assert told.bias is not None
            told.bias[:] = -4.0
            self.heads.bias[: settings.bands] = -8.0
            self.heads.bias[settings.bands : 2 * settings.bands] = -1.0

    def forward(self, codes: torch.Tensor, onsets: torch.Tensor | None = None) -> Controls:
        """Controls of codes [B, t, h, w], for N = t * controls of a step; with the truth's onsets [B, N] in training."""
        moments = self.to_controls(self.frames(self.picture(codes)))  # [B, C / 2, N]
        told = self.tell(moments).squeeze(1).float()
        onsets = told_onsets(told) if onsets is None else onsets
        given = self.heads(self.fine(moments + self.follow(since_onsets(onsets)))).float()  # [B, 2 M + P, N]
        power, tonal, pitch = given.split(
            [self.bands.count, self.bands.count, given.shape[1] - 2 * self.bands.count], dim=1
        )
        return Controls(bounded(power, *_LOG_POWER).exp(), tonal, pitch, told)

    def loss(self, codes: torch.Tensor, audio: torch.Tensor) -> dict[str, torch.Tensor]:
        """Of what was given against the truth, int16 [B, S]: the weighted sum, and its parts."""
        truth = hear(self.bands, audio)
        return framewise_loss(self, self(codes, truth.onsets), truth, self._weights)

    def render(self, controls: Controls, generator: torch.Generator | None = None) -> torch.Tensor:
        """Sound [B, S] of controls; gradients reach power and share of harmonics, not the pitch."""
        return synthesise(
            self.bands, controls.power, torch.sigmoid(controls.tonal), self.hertz(controls.pitch.detach()), generator
        )

    def hertz(self, logits: torch.Tensor) -> torch.Tensor:
        """Pitch [B, N]: the mean of the candidates around the likeliest, on a logarithmic scale."""
        best = logits.argmax(dim=1, keepdim=True)
        places = torch.arange(logits.shape[1], device=logits.device)[:, None]
        near = torch.where((places - best).abs() <= 3, logits, torch.full_like(logits, -1e4)).softmax(dim=1)
        found = (near * self.pitches.candidates.log()[:, None]).sum(1, keepdim=True)
        hertz: torch.Tensor = nn.functional.avg_pool1d(found, 9, 1, 4, count_include_pad=False)[:, 0].exp()
        return hertz

    def sound(self, codes: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
        """Float samples of full scale 1, [B, t * samples]. Silence stays silence: what is under -70 dB is not played."""
        controls = self(codes)
        quiet = (controls.power - FLOOR).clamp(min=0)
        return self.render(controls._replace(power=quiet), generator).clamp(-1, 1)

    def excerpt(self, codes: torch.Tensor, generator: torch.Generator | None = None) -> tuple[torch.Tensor, slice]:
        """What is listened to in validation, and which samples that is: all of it."""
        return self.sound(codes, generator), slice(None)


class _ChannelNorm(nn.Module):
    """Each position to unit mean square over its channels; knows nothing of other moments, so any length gives the same."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        scale = torch.rsqrt(values.float().square().mean(1, keepdim=True) + 1e-5)
        scaled: torch.Tensor = values * scale.to(values.dtype)
        return scaled


class _Residual(nn.Module):
    """Two convolutions over time around a way straight through."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _ChannelNorm(),
            nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation),
            nn.SiLU(),
            nn.Conv1d(width, width, 3, padding=1),
        )

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return values + self.body(values)  # type: ignore[no-any-return]


class _Finer(nn.Module):
    """[B, C, N] to [B, out, N * times]: each moment says what happens in its parts."""

    def __init__(self, width: int, out: int, times: int) -> None:
        super().__init__()
        self.times = times
        self.spread = nn.Conv1d(width, out * times, 3, padding=1)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        found = self.spread(values)
        batch, _, length = found.shape
        finer: torch.Tensor = found.view(batch, -1, self.times, length).transpose(2, 3).flatten(2)
        return finer
