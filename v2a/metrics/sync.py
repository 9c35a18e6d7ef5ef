"""How late a sound is: the shift at which it fits the truth, or the movement in the picture, best."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from v2a.metrics.correlation import Array

LIMIT_S = 2.0
_FLAT = 1e-9


class Offset(NamedTuple):
    """Where a sound fits best.

    Attributes:
        seconds: positive when ours is late; nan when one of the tracks does not change.
        fit: correlation there, -1 to 1.
    """

    seconds: float
    fit: float


def sync_offset(ours: Array, truth: Array, frame_rate: float, limit_s: float = LIMIT_S) -> Offset:
    """The shift of `ours` with the largest Pearson correlation over what then overlaps, refined by a parabola.

    Chance is an offset spread over ±2 s, the edges rather more often than the middle: a median of |offset| of 1.0 to 1.2 s. Trap:
    a track with one slow hump fits nearly as well beside its place, and a steady one fits everywhere: see `fit`, and the null
    baselines. The whole correlation divided by both norms once would favour 0, so each shift is normalised by what overlaps.

    Args:
        ours: [N].
        truth: [N].
        frame_rate: frames a second.
        limit_s: shifts up to this; no more than half the length.
    """
    if ours.shape != truth.shape or ours.ndim != 1:
        raise ValueError(f"expected two tracks of one length, but got {ours.shape} and {truth.shape}")
    most = min(round(limit_s * frame_rate), len(ours) // 2)
    if not len(ours) or np.ptp(ours) < _FLAT or np.ptp(truth) < _FLAT:
        return Offset(float("nan"), 0.0)
    fits = _fits(ours, truth, most)
    best = int(fits.argmax())
    return Offset((best - most + _vertex(fits, best)) / frame_rate, float(fits[best]))


def _fits(ours: Array, truth: Array, most: int) -> Array:
    """Pearson's correlation of what overlaps when `ours` is moved back by -most to most frames, [2 most + 1]."""
    one, other = (track.astype(np.float64) - track.mean() for track in (ours, truth))
    count, lags = len(one), np.arange(-most, most + 1)
    begin, end = np.maximum(lags, 0), count + np.minimum(lags, 0)  # of ours; the truth's are those less the lag
    size = end - begin
    cross = np.correlate(one, other, "full")[count - 1 + lags]

    def sums(track: Array, first: Any, last: Any) -> Array:
        total = np.concatenate([[0.0], np.cumsum(track)])
        found: Array = total[last] - total[first]
        return found

    mean_one, mean_other = sums(one, begin, end) / size, sums(other, begin - lags, end - lags) / size
    spread_one = sums(one * one, begin, end) - size * mean_one**2
    spread_other = sums(other * other, begin - lags, end - lags) - size * mean_other**2
    varies = (spread_one > size * _FLAT) & (spread_other > size * _FLAT)
    scale = np.sqrt(np.where(varies, spread_one * spread_other, 1.0))
    found: Array = np.clip(np.where(varies, (cross - size * mean_one * mean_other) / scale, 0.0), -1, 1)
    return found


def _vertex(values: Array, best: int) -> float:
    """Where the parabola through three neighbours is highest, -0.5 to 0.5 of a step from the middle one."""
    if not 0 < best < len(values) - 1:
        return 0.0
    before, here, after = values[best - 1 : best + 2]
    bend = before - 2 * here + after
    return float(0.5 * (before - after) / bend) if bend < -_FLAT else 0.0


def motion_energy(video: npt.NDArray[Any], fps: float, frame_rate: float, frames: int) -> Array:
    """Mean |difference| of neighbouring pictures, 0 to 255, on the grid of sound's frames: [N].

    The difference of pictures k - 1 and k belongs to the moment (k - 1/2) / fps; between those, straight lines.

    Args:
        video: uint8 [T, H, W, 3], real frames.
        fps: of it.
        frame_rate: of the grid, 1/s.
        frames: of the grid; frame n is the moment (n + 1/2) / frame_rate, the middle of its hop.
    """
    if len(video) < 2:
        return np.zeros(frames)
    moved = np.array(
        [np.abs(video[k].astype(np.int16) - video[k - 1].astype(np.int16)).mean() for k in range(1, len(video))]
    )
    moments = (np.arange(1, len(video)) - 0.5) / fps
    found: Array = np.interp((np.arange(frames) + 0.5) / frame_rate, moments, moved)
    return found
