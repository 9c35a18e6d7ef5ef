"""The training clip whose codes are nearest: the baseline that shows what copying reaches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial.distance import cdist

from v2a.loading.codes import CodeDataset
from v2a.metrics.correlation import Array

_AT_ONCE = 32  # clips whose counts are in memory


def nearest_codes(
    clips: CodeDataset, wanted: Sequence[int], training: CodeDataset, among: Sequence[int]
) -> tuple[list[int], list[float]]:
    """For each wanted clip the nearest training clip, and how far it is.

    The distance of two clips is the share of codes that would have to be exchanged at the same latent step, wherever in the picture
    they are: 0 for the same codes, 1 for none in common. It found sounds nearer to the truth than distances that compare
    place by place (docs/LOG.md), so it is the harder baseline. A clip never finds itself, nor another clip of its video.

    Args:
        clips: that are looked up.
        wanted: numbers in `clips`.
        training: where to find.
        among: numbers in `training`.
    """
    best = np.full(len(wanted), np.inf)
    found = np.full(len(wanted), -1)
    groups = [clips.row(clip).group for clip in wanted]
    theirs = np.array([training.row(clip).group for clip in among], object)
    for first in range(0, len(wanted), _AT_ONCE):
        mine = _counts(clips, wanted[first : first + _AT_ONCE])
        for start in range(0, len(among), _AT_ONCE):
            part = among[start : start + _AT_ONCE]
            apart = cdist(mine, _counts(training, part), "cityblock") / 2
            for row, place in enumerate(range(first, first + len(mine))):
                far = np.where(theirs[start : start + len(part)] == groups[place], np.inf, apart[row])
                if far.min() < best[place]:
                    best[place], found[place] = far.min(), part[int(far.argmin())]
    return found.tolist(), best.tolist()


def _counts(clips: CodeDataset, numbers: Sequence[int]) -> Array:
    """Share of each code at each latent step ÷ the number of steps: [n, t * K], the sum of a row is 1."""
    kinds = clips.head.codes
    steps, rows, columns = clips.head.grid
    found = np.zeros((len(numbers), steps * kinds))
    offsets = np.arange(steps)[:, None] * kinds
    for place, clip in enumerate(numbers):
        codes = clips[clip]["codes"].numpy().reshape(steps, -1)
        found[place] = np.bincount((codes + offsets).ravel(), minlength=steps * kinds)
    shares: Array = found / (steps * rows * columns)
    return shares
