"""How salient each pitch is in a sound: what the framewise decoder's pitch head learns from."""

from __future__ import annotations

import torch

from v2a.audio.bands import Bands, mel_filters, short_time_spectrum, smooth

_HARMONICS = 8
_PER_OCTAVE = 24
_SMOOTHED_S = 0.11
_NOISE, _TONE = 1.2, 3.0  # best salience of white noise, and of a steady tone with harmonics (measured)


class Pitch(torch.nn.Module):
    """Sub-harmonic summation (Hermes 1988): power at multiples of a pitch, less that between them, on a logarithmic scale.

    Args:
        sample_rate: Hz.
        hop: samples from frame to frame.
        every: only each so many frames are looked at, and stand for those around them. The window is a quarter of a second long, so
            looks 50 ms apart miss little, at a fifth of the cost.
        lowest: Hz.
        highest: Hz; candidates lie 1/24 octave apart, P of them.
    """

    candidates: torch.Tensor
    rows: torch.Tensor
    comb: torch.Tensor
    hann: torch.Tensor

    def __init__(
        self, sample_rate: int, hop: int, every: int = 1, *, lowest: float = 30.0, highest: float = 800.0
    ) -> None:
        super().__init__()
        self.hop, self._every, self._rate = hop, every, sample_rate
        self._smoothed = 2 * round((_SMOOTHED_S * sample_rate / (hop * every) - 1) / 2) + 1  # looks, an odd number
        self.size = (
            1 << (int(sample_rate * 0.25) - 1).bit_length()
        )  # a quarter of a second: low pitches must be told apart
        octaves = torch.log2(torch.tensor([highest / lowest, sample_rate / 2 / lowest]))
        count, places = (int(number) for number in octaves * _PER_OCTAVE)
        scale = lowest * 2 ** (torch.arange(places) / _PER_OCTAVE)
        self.register_buffer("candidates", scale[:count], persistent=False)  # [P], Hz
        self.register_buffer("rows", self._rows(scale), persistent=False)
        self.register_buffer("comb", _comb(count, places), persistent=False)
        self.register_buffer("hann", torch.hann_window(self.size), persistent=False)

    def forward(self, wave: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Best candidate, int64 [B, N], and how sure, [B, N] from 0 (noise) to 1, of [B, S]; N = S // hop."""
        level = (torch.matmul(self.rows, self._power(wave)) + 1e-8).log()  # [B, J, N]
        level = level - smooth(level.transpose(1, 2), 2 * _PER_OCTAVE + 1).transpose(
            1, 2
        )  # its colour is not its pitch
        salience = smooth(torch.matmul(self.comb, level), max(1, self._smoothed))  # [B, P, looks]
        best, index = salience.max(dim=1)
        sure = ((best - _NOISE) / (_TONE - _NOISE)).clamp(0, 1)
        return self._around(index, wave), self._around(sure, wave)

    def tonal_share(self, wave: torch.Tensor, index: torch.Tensor, sure: torch.Tensor, bands: Bands) -> torch.Tensor:
        """Share of each band's power that lies at multiples of the pitch, less what would lie there by chance: [B, M, N].

        Args:
            wave: [B, S].
            index: of its pitch, as `forward` gives it.
            sure: the same.
            bands: which.
        """
        power = self._power(wave)  # [B, F, N]
        filters = mel_filters(bands.sample_rate, self.size, bands.count, bands.lowest).to(wave.device)
        near = self._near(self.candidates[index[:, :: self._every][:, : power.shape[2]]])
        chance = torch.matmul(filters, near) / filters.sum(1)[:, None]
        share = torch.matmul(filters, power * near) / torch.matmul(filters, power).clamp(min=1e-12)
        tonal = ((share - chance) / (1 - chance).clamp(min=0.1)).clamp(0, 1)
        return self._around(tonal, wave) * sure[:, None]

    def _power(self, wave: torch.Tensor) -> torch.Tensor:
        """[B, F, looks]; look k is at frame k * every."""
        return short_time_spectrum(wave, self.hop * self._every, self.hann, self.size).abs().square()

    def _around(self, looks: torch.Tensor, wave: torch.Tensor) -> torch.Tensor:
        """[..., looks] to [..., N]: each frame takes the look nearest to it."""
        if self._every == 1:
            return looks
        frames = torch.arange(wave.shape[1] // self.hop, device=looks.device)
        nearest = ((frames + self._every // 2) // self._every).clamp(max=looks.shape[-1] - 1)
        return looks[..., nearest]

    def _near(self, pitch: torch.Tensor) -> torch.Tensor:
        """[B, F, N]: 1 within half a candidate's step, or two bins, of a multiple of the pitch [B, N]."""
        spacing = self._rate / self.size
        bins = (torch.arange(self.size // 2 + 1, device=pitch.device) * spacing)[:, None]
        pitch = pitch[:, None]
        off = (bins - (bins / pitch).round().clamp(min=1) * pitch).abs()
        return (off <= (bins * (0.5 / _PER_OCTAVE)).clamp(min=2 * spacing, max=None)).float()

    def _rows(self, scale: torch.Tensor) -> torch.Tensor:
        """[J, F]: mean of the bins around each place of the scale; the nearest two where they lie further apart."""
        bins = torch.arange(self.size // 2 + 1) * (self._rate / self.size)
        half = (scale * (2 ** (0.5 / _PER_OCTAVE) - 1)).clamp(min=self._rate / self.size)
        weights = (1 - (bins - scale[:, None]).abs() / (2 * half[:, None])).clamp(min=0)
        return weights / weights.sum(1, keepdim=True)


def _comb(count: int, places: int) -> torch.Tensor:
    """[P, J]: weights 1/h at multiple h of a candidate, the same taken away half way to the next."""
    comb = torch.zeros(count, places)
    rows = torch.arange(count)
    total = sum(1 / h for h in range(1, _HARMONICS + 1))
    for h in range(1, _HARMONICS + 1):
        for multiple, sign in ((h, 1.0), (h + 0.5, -1.0)):
            place = rows + round(float(torch.log2(torch.tensor(multiple))) * _PER_OCTAVE)
            inside = place < places
            comb[rows[inside], place[inside]] += sign / h / total
    return comb
