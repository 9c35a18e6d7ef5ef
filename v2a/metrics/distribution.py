"""Sounds as points of a small space: how far two sets of them are apart, how different they are, how near to the training set.

A point is the mean and the standard deviation over time of 64 mel bands in dB, 128 numbers; see `Space` for what becomes of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.spatial.distance import cdist

from v2a.metrics.correlation import Array
from v2a.metrics.heard import Heard

DIMENSIONS = 8
_LEAST_DB = 1.0  # a number that varies less among training clips is not blown up to the size of the others


def describe_sound(sound: Heard) -> Array:
    """Mean and standard deviation over time of each band, dB: [128]."""
    return np.concatenate([sound.mel_db.mean(1), sound.mel_db.std(1)]).astype(np.float64)


@dataclass(frozen=True)
class Space:
    """A fixed linear map, learned on training clips only: standardised, then the first principal directions.

    Attributes:
        mean, scale: of the 128 numbers, [128].
        directions: orthonormal, [128, d].
        width: median distance of two training clips in the space: the kernel's width.
    """

    mean: Array
    scale: Array
    directions: Array
    width: float

    def place(self, described: Array) -> Array:
        """Points [n, d] of descriptions [n, 128]."""
        found: Array = ((described - self.mean) / self.scale) @ self.directions
        return found


def learn_space(training: Array, dimensions: int = DIMENSIONS) -> Space:
    """The space of training clips' descriptions [n, 128]; with fewer clips than dimensions, fewer dimensions.

    Raises:
        ValueError: fewer than two clips.
    """
    if len(training) < 2:
        raise ValueError(
            f"expected at least 2 training clips with sound to learn a space from, but got {len(training)}"
        )
    mean, scale = training.mean(0), np.maximum(training.std(0), _LEAST_DB)
    _, _, rows = np.linalg.svd((training - mean) / scale, full_matrices=False)
    directions = rows[: min(dimensions, len(training) - 1)].T
    points = ((training - mean) / scale) @ directions
    apart = cdist(points, points)[np.triu_indices(len(points), 1)]
    return Space(mean, scale, directions, max(float(np.median(apart)), 1e-6))


class Discrepancy(NamedTuple):
    """A squared distance of two sets.

    Attributes:
        value: squared maximum mean discrepancy, without bias, so it may be below 0.
        error: standard error, by leaving out one video after the other; nan with fewer than 3 videos.
        clips: n of each set.
    """

    value: float
    error: float
    clips: int


def squared_mmd(ours: Array, truth: Array, videos: list[str], width: float) -> Discrepancy:
    """Squared MMD of clips of ours and of the truth, by the unbiased estimator (Gretton et al. 2012, lemma 6, eq. 4).

    Mean over i ≠ j of k(o_i, o_j) + k(t_i, t_j) - k(o_i, t_j) - k(o_j, t_i), with k(x, y) = exp(-|x - y|² / (2 width²)): 0 on
    average for two samples of one distribution, at most about 2. Pairs of clips of one video are left out, for they are alike for
    another reason; so the truth against itself is exactly 0. A Fréchet distance of the same points is larger than 0 for one
    distribution by an amount that depends on n (docs/LOG.md has both measured).
    """
    _check_places(ours, truth, videos)
    names, number = np.unique(np.asarray(videos, object).astype(str), return_inverse=True)
    if len(names) < 2:
        return Discrepancy(float("nan"), float("nan"), len(ours))
    cross = _kernel(ours, truth, width)
    terms = _kernel(ours, ours, width) + _kernel(truth, truth, width) - cross - cross.T
    other = number[:, None] != number[None, :]
    sums, counts = np.where(other, terms, 0.0), other.astype(np.float64)
    total, pairs = sums.sum(), counts.sum()
    if len(names) < 3:
        return Discrepancy(float(total / pairs), float("nan"), len(ours))
    without = []
    for video in range(len(names)):
        mine = number == video
        without.append((total - 2 * sums[mine].sum()) / (pairs - 2 * counts[mine].sum()))  # its own pairs are not in it
    spread = np.square(np.array(without) - np.mean(without)).sum() * (len(names) - 1) / len(names)
    return Discrepancy(float(total / pairs), float(np.sqrt(spread)), len(ours))


def diversity(ours: Array, truth: Array, videos: list[str]) -> float:
    """Mean distance of two of our clips of different videos ÷ the truth's: 1 as different as the truth, 0 all the same.

    nan with one video, or a truth without differences. Trap: noise added to every clip raises it, and so do wrong sounds: the
    truth shuffled has 1.
    """
    _check_places(ours, truth, videos)
    number = np.unique(np.asarray(videos, object).astype(str), return_inverse=True)[1]
    other = number[:, None] != number[None, :]
    if not other.any():
        return float("nan")
    mine, theirs = cdist(ours, ours)[other].mean(), cdist(truth, truth)[other].mean()
    return float(mine / theirs) if theirs > 0 else float("nan")


def nearest(points: Array, training: Array) -> Array:
    """Distance of each point [n, d] to the nearest training clip [m, d]: [n]. 0 is a copy; compare with the truth's own."""
    found: Array = cdist(points, training).min(1)
    return found


def _kernel(a: Array, b: Array, width: float) -> Array:
    found: Array = np.exp(-cdist(a, b, "sqeuclidean") / (2 * width**2))
    return found


def _check_places(ours: Array, truth: Array, videos: list[str]) -> None:
    if ours.shape != truth.shape or len(videos) != len(ours):
        raise ValueError(
            f"expected the same clips of both, each with its video, but got {ours.shape}, {truth.shape} and {len(videos)} videos"
        )
