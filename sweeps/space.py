"""What a sweep may change: parameters with their kinds, ranges and conditions, checked against the stage's own settings."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from hpc.stage_settings import ConfigError, resolve_settings

KINDS = ("float", "log", "int", "choice")
Value = int | float | str
_POINTS = 5  # of a range, on a grid
_FORM = re.compile(
    r"\s*(?P<name>[\w.]+)\s*=\s*(?P<kind>\w+)\s*\((?P<arguments>.*?)\)\s*(?:if\s+(?P<when>\S+)\s*)?", re.DOTALL
)


class SpaceError(ValueError):
    """A search space that a person must change; the text says what was wrong, the rule, and the fix."""


@dataclass(frozen=True)
class Parameter:
    """One setting that a sweep chooses.

    Attributes:
        name: of the setting, "train.lr" for example.
        kind: "float" and "log" (uniform in the logarithm) from `low` to `high`; "int" likewise in whole steps; "choice".
        low: the least value, included.
        high: the largest, included.
        step: of "int".
        points: of a grid over "float" and "log", the ends included.
        choices: of "choice".
        when: "setting=value": it is chosen only where this holds; "" for always.
    """

    name: str
    kind: str
    low: float = 0
    high: float = 0
    step: int = 1
    points: int = _POINTS
    choices: tuple[Value, ...] = ()
    when: str = ""

    def __post_init__(self) -> None:
        """Refuse what nothing can be chosen from."""
        if self.kind not in KINDS:
            raise SpaceError(f"expected {self.name} to be of kind {', '.join(KINDS)}, but got {self.kind!r}")
        if not isinstance(self.when, str):
            raise SpaceError(
                f"expected the condition of {self.name} to be text like model.name=residual, but got {self.when!r}"
            )
        if self.kind == "choice":
            if len(set(self.choices)) < 2:
                raise SpaceError(
                    f"expected two different choices or more for {self.name}, but got {list(self.choices)}"
                )
            return
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise SpaceError(f"expected low < high for {self.name}, but got {self.low:g} and {self.high:g}")
        if self.kind == "log" and self.low <= 0:
            raise SpaceError(f"expected log({self.name}) from above 0, but got {self.low:g}")
        if self.kind == "int" and (self.low % 1 or self.high % 1 or self.step < 1 or self.step % 1):
            raise SpaceError(f"expected whole numbers and a step of at least 1 for {self.name}")
        if self.points < 2 or self.points % 1:
            raise SpaceError(f"expected two points of a grid or more for {self.name}, but got {self.points}")

    def ends(self) -> tuple[Value, ...]:
        """The values whose soundness makes all others sound: every choice, or both ends of a range."""
        if self.kind == "choice":
            return self.choices
        return (int(self.low), int(self.high)) if self.kind == "int" else (float(self.low), float(self.high))

    def grid(self) -> tuple[Value, ...]:
        """Its values on a grid."""
        if self.kind == "choice":
            return self.choices
        if self.kind == "int":
            return tuple(range(int(self.low), int(self.high) + 1, self.step))
        low, high = (math.log(self.low), math.log(self.high)) if self.kind == "log" else (self.low, self.high)
        between = [low + (high - low) * i / (self.points - 1) for i in range(1, self.points - 1)]
        inner = [math.exp(value) for value in between] if self.kind == "log" else between
        return float(self.low), *inner, float(self.high)

    def size(self) -> int:
        """How many those are; counted, for a range may hold more than there is memory for."""
        if self.kind == "choice":
            return len(self.choices)
        return (int(self.high) - int(self.low)) // self.step + 1 if self.kind == "int" else self.points

    @property
    def described(self) -> str:
        """As on a command line."""
        if self.kind == "choice":
            inside = ", ".join(map(str, self.choices))
        elif self.kind == "int":
            inside = f"{self.low:g}, {self.high:g}" + (f", {self.step}" if self.step > 1 else "")
        else:
            inside = f"{self.low:g}, {self.high:g}"
        return f"{self.name}={self.kind}({inside})" + (f" if {self.when}" if self.when else "")

    def as_dict(self) -> dict[str, Any]:
        """What a study keeps of it: JSON values, without what does not matter for its kind."""
        kept: dict[str, Any] = {"name": self.name, "kind": self.kind}
        kept |= {"choices": list(self.choices)} if self.kind == "choice" else {"low": self.low, "high": self.high}
        kept |= {"step": self.step} if self.kind == "int" else {}
        return kept | ({"when": self.when} if self.when else {})


def parse_parameter(text: str) -> Parameter:
    """One of a command line: "train.lr=log(1e-4, 1e-2)", "quantizer.codes=choice(64, 128)", "model.blocks=int(1, 4)".

    A third number is the step of "int", and for "float" and "log" the points of a grid. " if model.name=residual" may follow.

    Raises:
        SpaceError: any other form.
    """
    match = _FORM.fullmatch(text)
    if match is None or match["kind"] not in KINDS:
        raise SpaceError(
            f"expected a search like train.lr=log(1e-4, 1e-2), model.dim=choice(8, 16) or model.blocks=int(1, 4), but got "
            f"{text!r}; the kinds are {', '.join(KINDS)}"
        )
    name, kind, when = match["name"], match["kind"], match["when"] or ""
    arguments = [part.strip() for part in match["arguments"].split(",") if part.strip()]
    if kind == "choice":
        return Parameter(name, kind, choices=tuple(as_value(part) for part in arguments), when=when)
    numbers = [as_value(part) for part in arguments]
    if len(numbers) not in (2, 3) or any(isinstance(number, str) for number in numbers):
        raise SpaceError(f"expected {name}={kind}(low, high) with numbers, but got {text!r}")
    found = Parameter(name, kind, float(numbers[0]), float(numbers[1]), when=when)
    if len(numbers) == 2:
        return found
    if numbers[2] % 1 or not math.isfinite(numbers[2]):  # type: ignore[arg-type]
        what = "step" if kind == "int" else "number of points of a grid"
        raise SpaceError(f"expected the third number of {name}={kind}(…) to be a whole {what}, but got {arguments[2]}")
    third = int(numbers[2])
    return replace(found, step=third) if kind == "int" else replace(found, points=third)


def from_items(items: Any) -> list[Parameter]:
    """Those of a file: a list of mappings with the fields of `Parameter`.

    Raises:
        SpaceError: another form, or an unknown field.
    """
    fields = Parameter.__dataclass_fields__
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise SpaceError("expected a list of parameters, each with name, kind, and low and high or choices")
    found = []
    for item in items:
        if unknown := set(item) - set(fields):
            raise SpaceError(f"a parameter has no {sorted(unknown)[0]!r}; it has {', '.join(fields)}")
        if not {"name", "kind"} <= set(item):
            raise SpaceError(f"expected name and kind of every parameter, but got {item}")
        try:
            found.append(Parameter(**{**item, "choices": tuple(item.get("choices", ()))}))
        except TypeError as error:
            raise SpaceError(f"the parameter {item['name']} has a value of the wrong type: {error}") from None
    return found


def as_value(text: str) -> Value:
    """A whole number, a number, or the text itself."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def check_space(stage: str, settings: Sequence[str], space: Sequence[Parameter]) -> list[Parameter]:
    """See that the stage takes every parameter, at its ends; those whose condition cannot hold are left out.

    Args:
        stage: name of the stage.
        settings: its "key=value" settings that stay as they are.
        space: what is searched.

    Raises:
        SpaceError: a parameter that is also fixed, stands twice, or has a bad condition; or none is left.
        ConfigError: a setting that the stage does not have, or a value that it does not take.
    """
    resolved = resolve_settings(stage, settings)
    names = [parameter.name for parameter in space]
    for name in names:
        if names.count(name) > 1:
            raise SpaceError(f"{name} is searched twice; leave one of them out")
        if name in {setting.partition("=")[0] for setting in settings}:
            raise SpaceError(f"{name} is both set and searched; leave one of them out")
    left = [parameter for parameter in space if _can_hold(parameter, resolved, space)]
    for parameter in left:
        condition = [parameter.when] if parameter.when else []
        for value in parameter.ends():
            try:
                resolve_settings(stage, [*settings, *condition, setting(parameter.name, value)])
            except ConfigError as error:
                raise ConfigError(f"{parameter.name} cannot be searched at {value}: {error}") from None
    if not left:
        raise SpaceError(
            "there is nothing to search: give --search NAME=KIND(...), for example --search 'train.lr=log(1e-4, 1e-2)'"
        )
    return left


def _can_hold(parameter: Parameter, resolved: Mapping[str, Any], space: Sequence[Parameter]) -> bool:
    if not parameter.when:
        return True
    name, equals, value = parameter.when.partition("=")
    if not equals or name not in resolved:
        raise SpaceError(
            f"expected {parameter.name} if SETTING=VALUE with a setting of the stage, but got {parameter.when!r}"
        )
    searched = next((other for other in space if other.name == name), None)
    if searched is None:
        return str(resolved[name]) == value
    if searched.kind != "choice" or value not in {str(choice) for choice in searched.choices}:
        raise SpaceError(f"{parameter.name} waits for {parameter.when}, which is none of the choices of {name}")
    if space.index(searched) > space.index(parameter):
        raise SpaceError(f"{parameter.name} waits for {name}; name {name} first")
    return True


def holds(parameter: Parameter, chosen: Mapping[str, Any], resolved: Mapping[str, Any]) -> bool:
    """Whether its condition holds for what was chosen before it."""
    if not parameter.when:
        return True
    name, _, value = parameter.when.partition("=")
    return str(chosen.get(name, resolved[name] if name not in chosen else None)) == value


def grid_size(space: Iterable[Parameter]) -> int:
    """Points of the whole grid."""
    return math.prod(parameter.size() for parameter in space)


def space_size(space: Iterable[Parameter]) -> int | None:
    """Different parameters that there are, at most; None when there is a range of real numbers."""
    parameters = list(space)
    return None if any(parameter.kind in ("float", "log") for parameter in parameters) else grid_size(parameters)


def grid_points(space: Sequence[Parameter]) -> Iterable[dict[str, Value]]:
    """Every point of the grid, the last parameter's values first."""
    for values in product(*(parameter.grid() for parameter in space)):
        yield dict(zip((parameter.name for parameter in space), values, strict=True))


def setting(name: str, value: Value) -> str:
    """The stage's "key=value" for it; floats to their last digit."""
    return f"{name}={value!r}" if isinstance(value, float) else f"{name}={value}"
