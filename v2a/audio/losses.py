"""Losses that do not see phase: against what a picture can determine of a sound, smoothed, and of the sound as drawn."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch

from v2a.audio.bands import FLOOR, smooth
from v2a.audio.normalise import as_wave
from v2a.audio.onsets import onset_loss, true_onsets

if TYPE_CHECKING:
    from v2a.audio.bands import Bands
    from v2a.audio.config import Weights
    from v2a.audio.framewise import Controls, Framewise

_WIDTHS = (3, 11, 41)  # control frames of about 10 ms
_LEAST_VARIANCE = 1e-3
_WINDOWS = (512, 1024, 2048)
_LEAST_AMPLITUDE = 1e-3  # -60 dB of full scale: a clip that is quieter than that is told apart no more


class Truth(NamedTuple):
    """What is known of a clip's own sound.

    Attributes:
        wave: [B, S], full scale 1.
        power: of the decoder's bands, [B, M, N].
        onsets: 1 where one is, [B, N].
    """

    wave: torch.Tensor
    power: torch.Tensor
    onsets: torch.Tensor


def hear(bands: Bands, audio: torch.Tensor) -> Truth:
    """The truth of int16 [B, S], in float32 also under autocast."""
    with torch.autocast(audio.device.type, enabled=False):
        wave = as_wave(audio)
        power = bands.power(wave)
        return Truth(wave, power, true_onsets(power))


def framewise_loss(decoder: Framewise, controls: Controls, truth: Truth, weights: Weights) -> dict[str, torch.Tensor]:
    """The weighted sum, "loss", and its parts.

    The power of a drawn sound is a noisy witness of the power that it was drawn with, so power is compared as it was given,
    before anything is drawn; the truth, which is one draw of its own, is smoothed.

    Args:
        decoder: whose controls these are.
        controls: N frames.
        truth: as long.
        weights: of the parts.
    """
    wave, heard = truth.wave, truth.power
    with torch.autocast(wave.device.type, enabled=False):
        index, sure = decoder.pitches(wave)
        tonal = decoder.pitches.tonal_share(wave, index, sure, decoder.bands)
        parts = {
            "power": power_loss(controls.power, heard),
            "convergence": convergence_loss(controls.power, heard),
            "centroid": centroid_loss(controls.power, heard),
            "correlation": correlation_loss(controls.power, heard, decoder.bands.widths),
            "level": level_loss(controls.power, heard, decoder.bands.widths),
            "pitch": (torch.nn.functional.cross_entropy(controls.pitch, index, reduction="none") * sure).mean(),
            "tonal": torch.nn.functional.binary_cross_entropy_with_logits(controls.tonal, tonal),
            "onsets": onset_loss(controls.onsets, truth.onsets),
        }
        if weights.stft or weights.mse:
            drawn = decoder.render(controls)
            parts |= {"stft": stft_loss(drawn, wave), "mse": (drawn - wave).square().mean()}
    factors = {
        "power": weights.power, "convergence": weights.convergence, "centroid": weights.centroid,
        "correlation": weights.correlation, "level": weights.level, "pitch": weights.pitch, "tonal": weights.tonal,
        "onsets": weights.onsets, "stft": weights.stft, "mse": weights.mse,
    }  # fmt: skip
    total = sum(factors[name] * value for name, value in parts.items())
    return {"loss": total, **parts, "mse_silence": wave.square().mean()}


def power_loss(given: torch.Tensor, heard: torch.Tensor) -> torch.Tensor:
    """Mean L1 of natural logarithms of band powers [B, M, N] over three smoothings; what is under the floor is alike."""
    terms = [((smooth(given, w) + FLOOR).log() - (smooth(heard, w) + FLOOR).log()).abs().mean() for w in _WIDTHS]
    return torch.stack(terms).mean()


def convergence_loss(given: torch.Tensor, heard: torch.Tensor) -> torch.Tensor:
    """Error of the bands' amplitudes as a share of the truth's, mean over clips and the longer two smoothings.

    The spectral convergence of Arik et al. 2018, of powers before anything is drawn. L1 of logarithms is smallest at the median,
    which for a blow whose moment is uncertain is silence; this one is smallest near the mean, and the loud moments rule it.
    """
    total = given.new_zeros(())
    for width in _WIDTHS[1:]:
        ours, theirs = ((smooth(power, width) + FLOOR).sqrt() for power in (given, heard))
        size = theirs.flatten(1).norm(dim=1).clamp(min=_LEAST_AMPLITUDE * math.sqrt(theirs[0].numel()))
        total = total + ((ours - theirs).flatten(1).norm(dim=1) / size).clamp(max=10).mean()
    return total / len(_WIDTHS[1:])


def centroid_loss(given: torch.Tensor, heard: torch.Tensor) -> torch.Tensor:
    """L1 of the centroids, octaves, where the truth is heard."""
    given, heard = smooth(given, _WIDTHS[1]), smooth(heard, _WIDTHS[1])
    return ((centroid(given) - centroid(heard)).abs() * _audible(heard)).mean()


def correlation_loss(given: torch.Tensor, heard: torch.Tensor, widths: torch.Tensor) -> torch.Tensor:
    """1 - r of the RMS envelopes, plus 1 - r of the centroids where the truth is heard, mean over clips: 0 to 4.

    L1 leaves room for a track that lies near the truth's and moves otherwise; this one sees nothing else. Tracks that hardly vary
    count little.

    Args:
        given: power of bands, [B, M, N].
        heard: the truth's.
        widths: of the bands, bins, [M].
    """
    given, heard = smooth(given, _WIDTHS[1]), smooth(heard, _WIDTHS[1])
    ours, theirs = (_total(power, widths).sqrt() for power in (given, heard))
    envelope = _correlation(
        ours / ours.mean(1, keepdim=True), theirs / theirs.mean(1, keepdim=True), torch.ones_like(ours)
    )
    return (2 - envelope - _correlation(centroid(given), centroid(heard), _audible(heard))).mean()


def level_loss(given: torch.Tensor, heard: torch.Tensor, widths: torch.Tensor) -> torch.Tensor:
    """Error of the natural logarithm of a clip's mean power, mean over clips.

    The others do not see how loud the loudest moments are: L1 of logarithms is of medians, and correlation knows no scale.

    Args:
        given: power of bands, [B, M, N].
        heard: the truth's.
        widths: of the bands, bins, [M].
    """
    ours, theirs = (_total(power, widths).mean(1).log() for power in (given, heard))
    return (ours - theirs).abs().mean()


def _total(power: torch.Tensor, widths: torch.Tensor) -> torch.Tensor:
    """Power of all bands [B, M, N] together, not below the floor: [B, N]."""
    return torch.einsum("m,bmn->bn", widths, power) + FLOOR


def centroid(power: torch.Tensor) -> torch.Tensor:
    """Logarithm to base 2 of the mean band number, weighted by power [B, M, N]: [B, N]. Bands lie evenly on the mel scale."""
    numbers = torch.arange(1, power.shape[1] + 1, device=power.device, dtype=power.dtype)
    mean = (numbers[:, None] * (power + FLOOR)).sum(1) / (power + FLOOR).sum(1)
    return mean.log2()


def _audible(heard: torch.Tensor) -> torch.Tensor:
    """Near 1 where band powers [B, M, N] are heard, near 0 in silence: [B, N]."""
    return (heard.sum(1) / (heard.sum(1) + 1e-4)).detach()


def _correlation(ours: torch.Tensor, theirs: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Pearson's, of tracks [B, N] with weights: [B]."""
    weights = weights / weights.sum(1, keepdim=True).clamp(min=1e-6)
    ours, theirs = (track - (weights * track).sum(1, keepdim=True) for track in (ours, theirs))
    spread = [(weights * track.square()).sum(1) + _LEAST_VARIANCE for track in (ours, theirs)]
    return (weights * ours * theirs).sum(1) / (spread[0] * spread[1]).sqrt()


def stft_loss(drawn: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Multi-resolution STFT loss (Yamamoto et al. 2020): spectral convergence and L1 of log magnitudes, mean over windows."""
    total = drawn.new_zeros(())
    for size in _WINDOWS:
        ours, theirs = (_magnitude(wave, size) for wave in (drawn, truth))
        convergence = (theirs - ours).norm() / theirs.norm().clamp(min=1e-3)
        total = total + convergence.clamp(max=10) + ((ours + 1e-3).log() - (theirs + 1e-3).log()).abs().mean()
    return total / len(_WINDOWS)


def _magnitude(wave: torch.Tensor, size: int) -> torch.Tensor:
    window = torch.hann_window(size, device=wave.device)
    found = torch.stft(wave, size, size // 4, window=window, center=True, pad_mode="constant", return_complex=True)
    return (found.real.square() + found.imag.square() + 1e-10).sqrt()
