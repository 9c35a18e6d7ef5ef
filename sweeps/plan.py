"""What a study is about. It is kept in the study, and a study goes on only with the same."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hpc.stage_settings import ConfigError, absolute_inputs, resolve_settings
from sweeps.objective import Objective, parse_objective
from sweeps.space import POINTS, Parameter, from_items, holds, setting

_NAME = re.compile(r"[^\W_][^/\x00-\x1f\x7f]*")
_LONGEST = 100  # bytes: a file name has 255, and lock files and jobs are named after it


class StudyError(ValueError):
    """A study that cannot be used as asked; the text says what was wrong, the rule, and the fix."""


@dataclass(frozen=True)
class Plan:
    """Stage, settings that stay, space and objectives.

    Attributes:
        stage: name of the stage.
        settings: its "key=value" settings that stay as they are.
        space: what is searched, in this order.
        objectives: one, or several for a Pareto front.
    """

    stage: str
    settings: tuple[str, ...]
    space: tuple[Parameter, ...]
    objectives: tuple[Objective, ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "stage": self.stage,
            "settings": list(self.settings),
            "space": [parameter.as_dict() for parameter in self.space],
            "objectives": [str(objective) for objective in self.objectives],
        }

    @property
    def name(self) -> str:
        """A study's name that follows from it: the same search has the same study, however its settings are written."""
        space = [
            {key: value for key, value in parameter.as_dict().items() if (key, value) != ("points", POINTS)}
            for parameter in self.space
        ]
        record = {**self.as_dict(), "settings": _meaning(self), "space": space}
        text = json.dumps(record, sort_keys=True, default=str)
        return f"{self.stage}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"

    def resolved(self, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Every setting of a trial by dotted name; without parameters those of the plan.

        Raises:
            hpc.stage_settings.ConfigError: these parameters do not go together.
        """
        return resolve_settings(self.stage, self.overrides(params or {}))

    def overrides(self, params: Mapping[str, Any]) -> list[str]:
        """A trial's "key=value" settings."""
        return [*self.settings, *(setting(name, value) for name, value in params.items())]

    def active(self, parameter: Parameter, params: Mapping[str, Any]) -> bool:
        """Whether the parameter's condition holds after these were chosen; not where these do not go together."""
        if not parameter.when or parameter.when.partition("=")[0] in params:
            return holds(parameter, params, {})
        try:
            return holds(parameter, params, self.resolved(params))
        except ConfigError:
            return False


def plan_from(record: Any, mine: Plan | None = None) -> Plan:
    """A plan from what a study keeps.

    Args:
        record: what it keeps.
        mine: has the points of the grid that studies of an earlier version did not keep.

    Raises:
        StudyError: it is no such record.
    """
    points = {parameter.name: parameter.points for parameter in (mine.space if mine is not None else ())}
    try:
        space = [
            item if keeps_points(item) else {**item, "points": points.get(item["name"], POINTS)}
            for item in record["space"]
        ]
        return Plan(
            record["stage"], tuple(record["settings"]), tuple(from_items(space)),
            tuple(parse_objective(text) for text in record["objectives"]),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise StudyError(f"the study was not made by sweeps.optuna_run, or by another version: {error}") from None


def keeps_points(item: Any) -> bool:
    """Whether a study's record of a parameter says all of it: those of an earlier version had no points of a grid."""
    return not isinstance(item, dict) or item.get("kind") not in ("float", "log") or "points" in item


def differences(there: Plan, mine: Plan) -> list[str]:
    """How two plans differ, a line each."""
    lines = [f"stage: {there.stage}, not {mine.stage}"] if there.stage != mine.stage else []
    lines += _settings(there, mine)
    lines += _lists("objectives", [str(o) for o in there.objectives], [str(o) for o in mine.objectives])
    old = {parameter.name: _said(parameter) for parameter in there.space}
    new = {parameter.name: _said(parameter) for parameter in mine.space}
    for name in dict.fromkeys([*old, *new]):
        if old.get(name) != new.get(name):
            lines.append(f"{name}: {old.get(name, 'not searched')}, not {new.get(name, 'left out')}")
    return lines


def _settings(there: Plan, mine: Plan) -> list[str]:
    """What the settings come to, where that differs; one order of them is as good as another."""
    if there.stage != mine.stage or there.settings == mine.settings:
        return []
    try:
        old, new = _meaning(there), _meaning(mine)
    except ConfigError:  # of another version
        return _lists("settings", there.settings, mine.settings)
    other = [name for name in new if old.get(name) != new[name]]
    return _lists("settings", *([f"{name}={found.get(name)}" for name in other] for found in (old, new)))


def _meaning(plan: Plan) -> dict[str, Any]:
    return resolve_settings(plan.stage, absolute_inputs(plan.stage, plan.settings))


def _lists(title: str, old: Sequence[str], new: Sequence[str]) -> list[str]:
    return [] if list(old) == list(new) else [f"{title}: {' '.join(old) or 'none'}, not {' '.join(new) or 'none'}"]


def _said(parameter: Parameter) -> str:
    kept = {name: value for name, value in parameter.as_dict().items() if name != "name"}
    return ", ".join(f"{name} {value}" for name, value in kept.items())


def check_name(name: str) -> str:
    """A study's name, which is a folder's too.

    Raises:
        StudyError: it cannot be one.
    """
    if not _NAME.fullmatch(name) or name != name.strip() or len(name.encode(errors="replace")) > _LONGEST:
        raise StudyError(
            f"expected a study's name that begins with a letter or digit, without / and control characters, of at most "
            f"{_LONGEST} bytes, but got {name!r}"
        )
    return name
