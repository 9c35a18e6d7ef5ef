"""A few numbers of a drawn sound, for the validation of a run; stage `evaluate` has them all, with null baselines."""

from __future__ import annotations

import torch

from v2a.audio.bands import FLOOR, Bands, smooth

_ENVELOPE = 11  # control frames


def clip_scores(ours: torch.Tensor, truth: torch.Tensor, bands: Bands) -> dict[str, torch.Tensor]:
    """Of one clip [S]: "mse", "mse_silence", "level_db" (absolute error), "envelope" (correlation), "log_mel" (L1, dB)."""
    mine, theirs = (bands.power(wave[None])[0] for wave in (ours, truth))
    level = 10 * ((ours.square().mean() + FLOOR) / (truth.square().mean() + FLOOR)).log10()
    envelopes = [smooth(power.sum(0, keepdim=True)[None], _ENVELOPE)[0, 0].sqrt() for power in (mine, theirs)]
    return {
        "mse": (ours - truth).square().mean(),
        "mse_silence": truth.square().mean(),
        "level_db": level.abs(),
        "envelope": correlation(*envelopes),
        "log_mel": 10 * ((mine + FLOOR).log10() - (theirs + FLOOR).log10()).abs().mean(),
    }


def correlation(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Pearson's, -1 to 1, of [N]; 0 where one of them does not vary."""
    a, b = a - a.mean(), b - b.mean()
    scale = a.norm() * b.norm()
    return (a * b).sum() / scale if scale > 1e-12 else torch.zeros(())
