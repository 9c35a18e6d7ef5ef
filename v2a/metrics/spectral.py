"""How far two sounds are apart, phase not counted: STFT distance, log-mel L1, level, envelope, spectral centroid."""

from __future__ import annotations

import numpy as np

from v2a.metrics.correlation import Array, correlation
from v2a.metrics.heard import FLOOR, SMOOTHED, Heard, smooth

_AUDIBLE_DB = 40.0  # below the loudest moment of the truth


def stft_distance(ours: Heard, truth: Heard) -> float:
    """Multi-resolution STFT distance (Yamamoto et al. 2020), mean over windows of 512, 1024 and 2048 samples.

    ‖|T| - |O|‖ / ‖|T|‖ + mean |log(|O| + 0.001) - log(|T| + 0.001)|: 0 for the same magnitudes, no upper bound in theory.
    The first part is cut at 10 for each window. Trap: two draws of one noise are about 1.3 apart, so 0 is only for copies; silence
    has 1 in the first part, which a wrong loud sound exceeds.
    """
    import torch

    from v2a.audio.losses import stft_loss

    _check_same(ours, truth)
    one, other = (torch.from_numpy(np.ascontiguousarray(sound.wave, np.float32))[None] for sound in (ours, truth))
    return float(stft_loss(one, other))


def log_mel_l1(ours: Heard, truth: Heard) -> float:
    """Mean |10 log10 O - 10 log10 T| over 64 mel bands and frames of 10 ms, dB: 0 to about 70.

    What is below -70 dB is alike. Trap: two draws of one noise differ by some 3 to 6 dB (docs/evaluation.md), the floor of whatever
    draws its noise itself; and where the truth is quiet, a right but louder sound loses to silence.
    """
    _check_same(ours, truth)
    return float(np.abs(ours.mel_db - truth.mel_db).mean())


def level_error(ours: Heard, truth: Heard) -> float:
    """RMS level of ours less the truth's, dB; -6.02 for half the amplitude. Silence counts as -70 dB."""
    return ours.level_db - truth.level_db


def envelope_correlation(ours: Heard, truth: Heard) -> float:
    """Pearson's correlation of the RMS envelopes (110 ms), -1 to 1; 0 for a sound that does not change.

    Trap: blind to level, and ruled by the loudest moments; so the error in dB stands beside it.
    """
    _check_same(ours, truth)
    return correlation(ours.envelope, truth.envelope)


def envelope_error(ours: Heard, truth: Heard) -> float:
    """Mean |difference| of the RMS envelopes in dB, at least -70 dB each: 0 to about 70 dB."""
    _check_same(ours, truth)
    return float(np.abs(ours.envelope_db - truth.envelope_db).mean())


def centroid_track(sound: Heard) -> Array:
    """log2 of the mean frequency weighted by band power over 110 ms, octaves above 1 Hz, [N].

    A floor of -70 dB in every band draws it to a constant where there is no sound.
    """
    power = smooth(sound.power.astype(np.float64), SMOOTHED) + FLOOR
    found: Array = np.log2((sound.centres[:, None] * power).sum(0) / power.sum(0))
    return found


def audible(truth: Heard) -> Array:
    """1.0 where the truth is heard, else 0.0, [N]: within 40 dB of its own loudest moment and 10 dB above the floor."""
    return (truth.envelope_db > max(float(truth.envelope_db.max()) - _AUDIBLE_DB, -60.0)).astype(np.float64)


def centroid_scores(ours: Heard, truth: Heard) -> tuple[float, float]:
    """Correlation of the centroid tracks, and their mean |difference| in octaves, where the truth is heard.

    The truth alone says where: a sound may not choose its moments. nan when the truth is heard nowhere. Trap: the difference
    is small for any sound of the mean spectrum; the correlation is what tells.
    """
    _check_same(ours, truth)
    weights = audible(truth)
    if not weights.any():
        return float("nan"), float("nan")
    mine, theirs = centroid_track(ours), centroid_track(truth)
    return correlation(mine, theirs, weights), float(np.average(np.abs(mine - theirs), weights=weights))


def _check_same(ours: Heard, truth: Heard) -> None:
    if ours.wave.shape != truth.wave.shape or ours.sample_rate != truth.sample_rate:
        raise ValueError(
            f"expected two sounds of one length and rate, but got {len(ours.wave)} samples at {ours.sample_rate} Hz and "
            f"{len(truth.wave)} at {truth.sample_rate} Hz"
        )
