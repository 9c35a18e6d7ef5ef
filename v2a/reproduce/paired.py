"""The same test clips by two models: both means, and the mean of the clips' differences."""

from __future__ import annotations

from typing import NamedTuple

from v2a.metrics.bootstrap import Estimate, estimate
from v2a.reproduce.tables import number

Clips = dict[str, dict[str, str]]  # rows of clips.csv by clip


class Paired(NamedTuple):
    """A measure by two models, over the clips that have a number by both.

    Attributes:
        one, two: means of each.
        difference: mean of two less one.
    """

    one: Estimate
    two: Estimate
    difference: Estimate

    def text(self) -> str:
        """The difference with its 95 % interval over videos."""
        _, low, high, *_ = self.difference
        return f"{self.difference.value:+.2f} [{number(low, 2)}, {number(high, 2)}]"


def paired(one: Clips, two: Clips, measure: str) -> Paired:
    """Compare two models.

    Args:
        one: clips of the first.
        two: clips of the second.
        measure: a column.
    """
    common = [clip for clip in one if clip in two and one[clip][measure] and two[clip][measure]]
    pairs = [(float(one[clip][measure]), float(two[clip][measure])) for clip in common]
    videos = [one[clip]["video"] for clip in common]
    first, second = (estimate([pair[side] for pair in pairs], videos) for side in (0, 1))
    return Paired(first, second, estimate([after - before for before, after in pairs], videos))
