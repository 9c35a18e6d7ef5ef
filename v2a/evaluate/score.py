"""All measures of one sound of one clip."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from v2a.audio.bands import Bands
from v2a.audio.pitch import Pitch
from v2a.evaluate.reference import Reference
from v2a.evaluate.synthetic import Truth
from v2a.metrics.correlation import Array
from v2a.metrics.distribution import describe_sound, nearest
from v2a.metrics.heard import Heard, listen
from v2a.metrics.onsets import find_onsets, onset_f1, onset_strength
from v2a.metrics.physics import distance_slope, level_follows, pitch_follows
from v2a.metrics.spectral import (
    audible,
    centroid_scores,
    envelope_correlation,
    envelope_error,
    level_error,
    log_mel_l1,
    stft_distance,
)
from v2a.metrics.sync import sync_offset

Scores = dict[str, float]


@dataclass(frozen=True)
class Ruler:
    """What sounds are measured with.

    Attributes:
        bands, pitch: of the dataset's sample rate.
        reference: of the training clips.
    """

    bands: Bands
    pitch: Pitch
    reference: Reference

    def measure(self, wave: Array, truth: Heard, motion: Array, made: Truth) -> tuple[Scores, Array]:
        """All scores of a sound [S], nan where one says nothing of this clip; and its description, [128].

        Args:
            wave: the sound.
            truth: what it should be.
            motion: energy of the movement in the picture, [N].
            made: what is known of a synthetic clip.
        """
        sound = truth if wave is truth.wave else listen(wave, self.bands)
        described = describe_sound(sound)
        point, space = described[None], self.reference.space
        near = nearest(space.place(point), space.place(self.reference.described))[0]
        return {
            **_against_truth(sound, truth),
            **_in_time(sound, truth, motion),
            "nearest_training": float(near) / space.width,
            **self._synthetic(sound, truth, made),
        }, described

    def _synthetic(self, sound: Heard, truth: Heard, made: Truth) -> Scores:
        scores: Scores = {}
        if made.level_db is not None:
            follows = level_follows(sound, made.level_db)
            scores |= {"curve_r": follows.correlation, "curve_db": follows.error}
        if made.distance_m is not None:
            scores["distance_slope"] = distance_slope(sound, made.distance_m)
        if made.pitch_hz is not None and made.clear is not None:
            index, _ = self.pitch(torch.from_numpy(np.ascontiguousarray(sound.wave, np.float32))[None])
            heard = self.pitch.candidates[index[0]].numpy().astype(np.float64)
            weights = made.clear * audible(truth)
            weights = weights * ((made.pitch_hz > heard_from(self.pitch)) & (made.pitch_hz < heard_to(self.pitch)))
            follows = pitch_follows(heard[: len(weights)], made.pitch_hz, weights)
            scores |= {"doppler_r": follows.correlation, "doppler_missed": follows.error}
        if made.impacts_s is not None:
            scores["impact_f1"] = onset_f1(find_onsets(sound), made.impacts_s)
        return scores


def _against_truth(sound: Heard, truth: Heard) -> Scores:
    centroid_r, centroid_octaves = centroid_scores(sound, truth)
    level = level_error(sound, truth)
    return {
        "stft": stft_distance(sound, truth),
        "log_mel_db": log_mel_l1(sound, truth),
        "envelope_r": envelope_correlation(sound, truth),
        "envelope_db": envelope_error(sound, truth),
        "centroid_r": centroid_r,
        "centroid_octaves": centroid_octaves,
        "level_db": level,
        "level_abs_db": abs(level),
        "mse": float(np.square(sound.wave.astype(np.float64) - truth.wave).mean()),
        "mse_silence": float(np.square(truth.wave.astype(np.float64)).mean()),
    }


def _in_time(sound: Heard, truth: Heard, motion: Array) -> Scores:
    mine, theirs = find_onsets(sound), find_onsets(truth)
    scores = {"onset_f1": onset_f1(mine, theirs), "onsets": float(len(mine))}
    for name, a, b in (
        ("onset", onset_strength(sound), onset_strength(truth)),
        ("energy", sound.envelope_db, truth.envelope_db),
        ("motion", sound.envelope_db, motion),
    ):
        found = sync_offset(a, b, sound.frame_rate)
        scores |= {
            f"sync_{name}_s": found.seconds,
            f"sync_{name}_abs_s": abs(found.seconds),
            f"sync_{name}_fit": found.fit,
        }
    return scores


def heard_from(pitch: Pitch) -> float:
    """Hz, the lowest pitch that is looked for."""
    return float(pitch.candidates[0])


def heard_to(pitch: Pitch) -> float:
    """Hz, the highest."""
    return float(pitch.candidates[-1])
