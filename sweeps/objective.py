"""What a sweep makes small or large: metrics of a run, or settings that cost something."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Direction = Literal["minimize", "maximize"]
DIRECTIONS: dict[str, Direction] = {
    "min": "minimize",
    "minimize": "minimize",
    "max": "maximize",
    "maximize": "maximize",
}


class ObjectiveError(ValueError):
    """An objective that cannot be had; the text says why."""


class MissingMetric(ObjectiveError):  # noqa: N818 - the name says what happened
    """A run ended well and has no such number: another run of the same study will have none either."""


@dataclass(frozen=True)
class Objective:
    """One number of a run.

    Attributes:
        name: a metric ("validation/psnr"), or a setting that is a number ("quantizer.codes": what its bits follow from).
        direction: "minimize" or "maximize".
    """

    name: str
    direction: Direction

    def __str__(self) -> str:
        return f"{self.name}:{self.direction}"


def parse_objective(text: str) -> Objective:
    """ "validation/psnr:maximize" or "loss:min".

    Raises:
        ObjectiveError: another form.
    """
    name, _, direction = text.rpartition(":")
    if not name or direction not in DIRECTIONS:
        raise ObjectiveError(f"expected an objective like validation/psnr:maximize or loss:minimize, but got {text!r}")
    return Objective(name, DIRECTIONS[direction])


def values_of(objectives: Sequence[Objective], metrics: Mapping[str, Any], resolved: Mapping[str, Any]) -> list[float]:
    """The objectives' values of a finished run.

    Args:
        objectives: which.
        metrics: of the run.
        resolved: the run's settings by dotted name.

    Raises:
        MissingMetric: one is not there (names those that are).
        ObjectiveError: one is not finite.
    """
    found = []
    for objective in objectives:
        value = metrics.get(objective.name, resolved.get(objective.name))
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            numbers = sorted(name for name, number in metrics.items() if isinstance(number, (int, float)))
            raise MissingMetric(f"the run has no {objective.name}; its metrics are {', '.join(numbers)}")
        if not math.isfinite(value):
            raise ObjectiveError(f"{objective.name} is {value}")
        found.append(float(value))
    return found


def steps_of(settings: Mapping[str, Any]) -> int:
    """Training steps of a whole run with these settings, by dotted name."""
    return int(settings.get("train.steps", settings.get("steps", 1)))
