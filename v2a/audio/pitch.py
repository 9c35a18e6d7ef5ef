"""How salient each pitch is in a sound: what the framewise decoder's pitch head learns from."""

from __future__ import annotations

import torch

from v2a.audio.bands import Bands, mel_filters, smooth

_HARMONICS = 8
_SMOOTHED = 11  # frames
_NOISE, _TONE = 0.8, 1.4  # best salience of white noise, and of a steady tone with harmonics (measured)


class Pitch(torch.nn.Module):
    """Sub-harmonic summation (Hermes 1988): energy at multiples of a pitch, less that between them.

    Args:
        sample_rate: Hz.
        hop: samples from frame to frame.
        lowest, highest: Hz.
        count: candidates, equally spaced on a logarithmic scale, P.
    """

    candidates: torch.Tensor
    comb: torch.Tensor
    near: torch.Tensor
    hann: torch.Tensor

    def __init__(
        self, sample_rate: int, hop: int, lowest: float = 30.0, highest: float = 800.0, count: int = 96
    ) -> None:
        super().__init__()
        self.hop = hop
        self.size = (
            1 << (int(sample_rate * 0.25) - 1).bit_length()
        )  # a quarter of a second: low pitches must be told apart
        steps = torch.linspace(0, 1, count)
        self.register_buffer("candidates", lowest * (highest / lowest) ** steps, persistent=False)  # [P], Hz
        self.register_buffer("comb", self._comb(sample_rate), persistent=False)
        self.register_buffer("near", self._near(sample_rate), persistent=False)
        self.register_buffer("hann", torch.hann_window(self.size), persistent=False)

    def forward(self, wave: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Best candidate, int64 [B, N], and how sure, [B, N] from 0 (noise) to 1, of [B, S]; N = S // hop."""
        with torch.autocast(wave.device.type, enabled=False):
            found = torch.stft(
                wave.float(),
                self.size,
                self.hop,
                window=self.hann,
                center=True,
                pad_mode="constant",
                return_complex=True,
            )[..., : wave.shape[-1] // self.hop]
            level = (found.abs() + 1e-4).log()
            level = level - torch.nn.functional.avg_pool1d(
                level.transpose(1, 2), 51, stride=1, padding=25, count_include_pad=False
            ).transpose(1, 2)  # above its neighbourhood: the colour of the sound is not its pitch
            salience = smooth(torch.matmul(self.comb, level), _SMOOTHED)  # [B, P, N]
        best, index = salience.max(dim=1)
        return index, ((best - _NOISE) / (_TONE - _NOISE)).clamp(0, 1)

    def tonal_share(self, wave: torch.Tensor, index: torch.Tensor, sure: torch.Tensor, bands: Bands) -> torch.Tensor:
        """Share of each band's power that lies at multiples of the pitch, less what would lie there by chance: [B, M, N].

        Args:
            wave: [B, S].
            index, sure: of its pitch, as `forward` gives them.
            bands: which.
        """
        found = torch.stft(
            wave.float(), self.size, self.hop, window=self.hann, center=True, pad_mode="constant", return_complex=True
        )[..., : wave.shape[-1] // self.hop]
        power = found.abs().square()  # [B, F, N]
        filters = mel_filters(bands.sample_rate, self.size, bands.count, bands.lowest).to(wave.device)
        near = self.near[index].transpose(1, 2)  # [B, F, N]
        whole = torch.matmul(filters, power).clamp(min=1e-12)
        chance = torch.matmul(filters, near) / filters.sum(1)[:, None]
        share = torch.matmul(filters, power * near) / whole
        return ((share - chance) / (1 - chance).clamp(min=0.1)).clamp(0, 1) * sure[:, None]

    def _comb(self, sample_rate: int) -> torch.Tensor:
        """[P, F]: weights 1/h at multiple h of a candidate, the same taken away half way to the next."""
        bins = self.size // 2 + 1
        comb = torch.zeros(len(self.candidates), bins)
        rows = torch.arange(len(self.candidates))
        total = sum(1 / h for h in range(1, _HARMONICS + 1))
        for h in range(1, _HARMONICS + 1):
            for multiple, sign in ((h, 1.0), (h + 0.5, -1.0)):
                place = (self.candidates * multiple * self.size / sample_rate).round().long()
                inside = place < bins
                comb[rows[inside], place[inside]] += sign / h / total
        return comb

    def _near(self, sample_rate: int) -> torch.Tensor:
        """[P, F]: 1 within two bins of a multiple of the candidate."""
        bins = torch.arange(self.size // 2 + 1) * (sample_rate / self.size)
        multiples = (bins / self.candidates[:, None]).round().clamp(min=1) * self.candidates[:, None]
        return ((bins - multiples).abs() <= 2.0 * sample_rate / self.size).float()
