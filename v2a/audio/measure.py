"""A few numbers of a drawn sound, for the validation of a run; stage `evaluate` has them all, with null baselines."""

from __future__ import annotations

import math

import torch

from v2a.audio.bands import Bands
from v2a.metrics.heard import listen
from v2a.metrics.spectral import envelope_correlation, level_error, log_mel_l1


def clip_scores(ours: torch.Tensor, truth: torch.Tensor, bands: Bands) -> dict[str, float]:
    """Of one clip [S]: "mse", "mse_silence", "level_db" (absolute error), "envelope" (correlation), "log_mel" (L1, dB).

    All but "mse_silence" are nan for a sound that is not finite.
    """
    silence = float(truth.square().mean())
    if not bool(torch.isfinite(ours).all()):
        return dict.fromkeys(("mse", "level_db", "envelope", "log_mel"), math.nan) | {"mse_silence": silence}
    mine, theirs = (listen(wave.numpy(), bands) for wave in (ours, truth))
    return {
        "mse": float((ours - truth).square().mean()),
        "mse_silence": silence,
        "level_db": abs(level_error(mine, theirs)),
        "envelope": envelope_correlation(mine, theirs),
        "log_mel": log_mel_l1(mine, theirs),
    }
