"""Parameters that no trial has yet: drawn at random, and where there are only so many, looked for one by one."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from hpc.stage_settings import ConfigError
from sweeps.plan import Plan
from sweeps.space import Parameter, Value

DONE = "all combinations are done"
_DRAWS = 200  # of all parameters at once
_DRAWS_IN_TURN = 20  # of one after the other, and so often of one until it goes with those before it:
_TRIES_EACH = 16
_MOST_UNFIT = 2000  # combinations that do not go together are looked at, while nobody else can choose: some seconds


class UsedUp(Exception):  # noqa: N818 - the name says what happened
    """There are surely no other parameters; the text says why."""


class NoneFound(Exception):  # noqa: N818 - the name says what happened
    """None were found, and there may be some; the text says how many were looked at, and why the stage took none of them."""


def find_free(plan: Plan, taken: Iterable[Mapping[str, Any]], *, grid: bool, seed: int) -> dict[str, Value]:
    """Parameters that go together and that no trial has: drawn all at once; then one after the other, which finds what several
    narrow rules leave; then every combination, with one draw of each range of real numbers.

    Args:
        plan: of the study.
        taken: parameters of its trials.
        grid: only points of the grid.
        seed: of the draws.

    Raises:
        UsedUp: trials have all there are.
        NoneFound: none was found.
    """
    search = _Search(plan, taken, grid, seed)
    for _ in range(_DRAWS):
        point = search.draw()
        if search.is_free(point):
            return point
    for _ in range(_DRAWS_IN_TURN if search.refused else 0):
        drawn = search.draw_in_turn()
        if drawn is not None and search.is_free(drawn):
            return drawn
    return search.count_through()


class _Search:
    """Looks at points.

    Args: those of `find_free`.
    """

    def __init__(self, plan: Plan, taken: Iterable[Mapping[str, Any]], grid: bool, seed: int) -> None:
        self._plan, self._grid, self._draws = plan, grid, random.Random(seed)
        self._taken = {_key(params) for params in taken}
        self._real = {parameter.name for parameter in plan.space if parameter.kind in ("float", "log") and not grid}
        self._unfit: set[frozenset[tuple[str, Any]]] = set()
        self._why = ""

    @property
    def refused(self) -> int:
        return len(self._unfit)

    def is_free(self, point: Mapping[str, Any]) -> bool:
        return _key(point) not in self._taken and self._fits(point)

    def _fits(self, point: Mapping[str, Any]) -> bool:
        if _key(point) in self._unfit:
            return False
        try:
            self._plan.resolved(point)
        except ConfigError as error:
            self._unfit.add(_key(point))
            self._why = str(error)
            return False
        return True

    def draw(self) -> dict[str, Value]:
        chosen: dict[str, Value] = {}
        for parameter in self._plan.space:
            if self._plan.active(parameter, chosen):
                chosen[parameter.name] = self._value(parameter)
        return chosen

    def draw_in_turn(self) -> dict[str, Value] | None:
        """Each so that it goes with those before it and with the plan's own values of the others; None where one did not."""
        chosen: dict[str, Value] = {}
        for parameter in self._plan.space:
            if not self._plan.active(parameter, chosen):
                continue
            drawn = ({**chosen, parameter.name: self._value(parameter)} for _ in range(_TRIES_EACH))
            fit = next((point for point in drawn if self._fits(point)), None)
            if fit is None:
                return None
            chosen = fit
        return chosen

    def count_through(self) -> dict[str, Value]:
        unfit, done, sure = 0, 0, True
        for point in self._combinations({}, self._plan.space):
            sure = sure and self._real.isdisjoint(point)
            if _key(point) in self._taken:
                done += 1
                continue
            if self._fits(point):
                return point
            unfit += 1
            if unfit == _MOST_UNFIT:
                sure = False
                break
        if sure and done:
            raise UsedUp(DONE)
        if not self.refused:
            raise NoneFound("all that were drawn are those of other trials")
        raise NoneFound(f"{self.refused:,} were looked at that do not go together, the last for this: {self._why}")

    def _combinations(self, chosen: dict[str, Value], left: Sequence[Parameter]) -> Iterator[dict[str, Value]]:
        """Every one that can come about, conditions included; one at a time, for there may be more than there is memory for."""
        if not left:
            yield chosen
            return
        parameter, *others = left
        if not self._plan.active(parameter, chosen):
            yield from self._combinations(chosen, others)
            return
        for value in self._all_of(parameter):
            yield from self._combinations({**chosen, parameter.name: value}, others)

    def _all_of(self, parameter: Parameter) -> Iterable[Value]:
        if parameter.name in self._real:
            return (self._value(parameter),)
        if parameter.kind == "int":
            return range(int(parameter.low), int(parameter.high) + 1, parameter.step)
        return parameter.grid()

    def _value(self, parameter: Parameter) -> Value:
        if parameter.kind == "int":
            return self._draws.randrange(int(parameter.low), int(parameter.high) + 1, parameter.step)
        if self._grid or parameter.kind == "choice":
            return self._draws.choice(parameter.grid())
        if parameter.kind == "float":
            return self._draws.uniform(parameter.low, parameter.high)
        drawn = math.exp(self._draws.uniform(math.log(parameter.low), math.log(parameter.high)))
        return min(max(drawn, parameter.low), parameter.high)


def _key(params: Mapping[str, Any]) -> frozenset[tuple[str, Any]]:
    return frozenset(params.items())
