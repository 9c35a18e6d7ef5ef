"""What stage `audio` trains, and what is measured of held-out clips."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from v2a.audio.bands import Bands
from v2a.audio.given import given_of
from v2a.audio.make import AudioDecoder
from v2a.audio.measure import clip_scores
from v2a.audio.normalise import as_wave
from v2a.audio.pictures import draw_spectrograms
from v2a.models.vqvae import VQVAE

Batch = dict[str, Any]


class AudioTask:
    """A decoder and its own loss.

    Args:
        model: the decoder.
        device: that it is on.
        fps: of the clips.
        encoder: of stage 1, on the same device; for a decoder that is given something else than codes.
    """

    validation_sums: tuple[str, ...] = ("loss", "mse", "mse_silence", "level_db", "envelope", "log_mel")

    def __init__(self, model: AudioDecoder, device: torch.device, *, fps: int, encoder: VQVAE | None = None) -> None:
        self.model = model
        self.fps = fps
        self.sample_rate = model.grid.sample_rate
        self._device, self._encoder = device, encoder
        # One ruler for every decoder: 64 bands, frames of 10 ms, windows of 32 ms.
        self._bands = Bands(self.sample_rate, self.sample_rate // 100, 512, 64)

    def begin(self, batches: Iterator[Batch]) -> None:
        """Nothing depends on the data."""

    def loss(self, batch: Batch, step: int) -> dict[str, torch.Tensor]:
        """The decoder's."""
        del step
        return self.model.loss(*self._to_device(batch))

    def metrics(self) -> dict[str, float]:
        """Nothing more."""
        return {}

    def epoch_end(self) -> dict[str, float]:
        """Nothing is counted."""
        return {}

    def validate(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Sums over whole clips: the loss; MSE of the sound and of silence; error of the level, dB; correlation of the envelope;
        L1 of the log-mel spectrum, dB. The drawn sound is the same each time; "wavenet"'s, which is slow, a second of each clip."""
        codes, audio = self._to_device(batch)
        drawn, truth = self._drawn(codes, audio)
        sums = {name: torch.zeros(()) for name in self.validation_sums}
        for ours, theirs in zip(drawn, truth, strict=True):
            for name, value in clip_scores(ours, theirs, self._bands).items():
                sums[name] += value
        sums["loss"] = self.model.loss(codes, audio)["loss"].cpu() * len(codes)
        return {**sums, "clips": torch.tensor(len(codes))}

    def pictures(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Spectrograms of the first clip: truth above the drawn sound."""
        drawn, truth = self._first(batch)
        return {"spectrogram": draw_spectrograms([truth, drawn], self._bands)}

    def sounds(self, batch: Batch) -> dict[str, torch.Tensor]:
        """The first clip, [S], -1 to 1: "truth" and "drawn"."""
        drawn, truth = self._first(batch)
        return {"truth": truth, "drawn": drawn}

    def _first(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        codes, audio = self._to_device(batch)
        drawn, truth = self._drawn(codes[:1], audio[:1])
        return drawn[0], truth[0]

    def _drawn(self, codes: torch.Tensor, audio: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The drawn sound and the truth of just this, [B, n] both, on the CPU."""
        drawn, samples = self.model.excerpt(codes, torch.Generator().manual_seed(0))
        return drawn.float().cpu(), as_wave(audio).cpu()[:, samples]

    def _to_device(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """What the decoder is given, and the sound."""
        audio = batch["audio"].to(self._device, non_blocking=True)
        if self._encoder is None:
            return batch["codes"].to(self._device, non_blocking=True), audio
        kind, encoder = self.model.input, self._encoder
        return torch.cat([given_of(kind, encoder, clip) for clip in batch["video"].numpy()]), audio
