"""Parameters that no trial has yet: drawn at random, and where there are only so many, looked for one by one."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from hpc.stage_settings import ConfigError
from sweeps.plan import Plan
from sweeps.space import Parameter, Value

_DRAWS = (
    60  # before combinations are counted through; of a range of real numbers so many equal or unfit draws are the end
)
_MOST_UNFIT = 1000  # combinations that do not go together are looked at, while nobody else can choose: some seconds


class UsedUp(Exception):  # noqa: N818 - the name says what happened
    """There are no other parameters; the text says why."""


def find_free(plan: Plan, taken: Iterable[Mapping[str, Any]], *, grid: bool, seed: int) -> dict[str, Value]:
    """Parameters that go together and that no trial has.

    Args:
        plan: of the study.
        taken: parameters of its trials.
        grid: only points of the grid.
        seed: of the draws.

    Raises:
        UsedUp: there are none, or none was found.
    """
    known = {_key(params) for params in taken}
    draws = random.Random(seed)

    def fits(point: Mapping[str, Any]) -> bool:
        try:
            plan.resolved(point)
        except ConfigError:
            known.add(_key(point))
            return False
        return True

    for _ in range(_DRAWS):
        point = _draw(plan, grid, draws)
        if _key(point) not in known and fits(point):
            return point
    if not grid and any(parameter.kind in ("float", "log") for parameter in plan.space):
        raise UsedUp(f"{_DRAWS} draws in a row had no other parameters that go together")
    unfit = 0
    for point in _combinations(plan, {}, plan.space):
        if _key(point) in known:
            continue
        if fits(point):
            return point
        unfit += 1
        if unfit == _MOST_UNFIT:
            raise UsedUp(f"the next {_MOST_UNFIT} combinations do not go together")
    raise UsedUp("all combinations are done")


def _key(params: Mapping[str, Any]) -> frozenset[tuple[str, Any]]:
    return frozenset(params.items())


def _draw(plan: Plan, grid: bool, draws: random.Random) -> dict[str, Value]:
    chosen: dict[str, Value] = {}
    for parameter in plan.space:
        if plan.active(parameter, chosen):
            chosen[parameter.name] = _value(parameter, grid, draws)
    return chosen


def _value(parameter: Parameter, grid: bool, draws: random.Random) -> Value:
    if parameter.kind == "int":
        return draws.randrange(int(parameter.low), int(parameter.high) + 1, parameter.step)
    if grid or parameter.kind == "choice":
        return draws.choice(parameter.grid())
    if parameter.kind == "float":
        return draws.uniform(parameter.low, parameter.high)
    drawn = math.exp(draws.uniform(math.log(parameter.low), math.log(parameter.high)))
    return min(max(drawn, parameter.low), parameter.high)


def _combinations(plan: Plan, chosen: dict[str, Value], left: Sequence[Parameter]) -> Iterator[dict[str, Value]]:
    """Every one that can come about, conditions included; one at a time, for there may be more than there is memory for."""
    if not left:
        yield chosen
        return
    parameter, *others = left
    if not plan.active(parameter, chosen):
        yield from _combinations(plan, chosen, others)
        return
    for value in _all_of(parameter):
        yield from _combinations(plan, {**chosen, parameter.name: value}, others)


def _all_of(parameter: Parameter) -> Iterable[Value]:
    if parameter.kind == "int":
        return range(int(parameter.low), int(parameter.high) + 1, parameter.step)
    return parameter.grid()
