"""What a sweep may change: parameters with their kinds, ranges and conditions."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

KINDS = ("float", "log", "int", "choice")
Value = int | float | str
POINTS = 5  # of a range, on a grid
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
    points: int = POINTS
    choices: tuple[Value, ...] = ()
    when: str = ""

    def __post_init__(self) -> None:
        """Refuse what nothing can be chosen from."""
        if not isinstance(self.name, str):
            raise SpaceError(f"expected the name of a setting, such as train.lr, but got {self.name!r}")
        if self.kind not in KINDS:
            raise SpaceError(f"expected {self.name} to be of kind {', '.join(KINDS)}, but got {self.kind!r}")
        if not isinstance(self.when, str):
            raise SpaceError(
                f"expected the condition of {self.name} to be text like model.name=residual, but got {self.when!r}"
            )
        if self.kind == "choice":
            if odd := [value for value in self.choices if not isinstance(value, (int, float, str))]:
                raise SpaceError(f"expected numbers and words among the choices of {self.name}, but got {odd[0]!r}")
            if len(set(self.choices)) < 2:
                raise SpaceError(
                    f"expected two different choices or more for {self.name}, but got {list(self.choices)}"
                )
            return
        for field in ("low", "high", "step", "points"):
            self._check_number(field)
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise SpaceError(
                f"expected low < high for {self.name}, but got low {self.low:g} and high {self.high:g} (0 when left out)"
            )
        if self.kind == "log" and self.low <= 0:
            raise SpaceError(f"expected log({self.name}) from above 0, but got {self.low:g}")
        if self.kind == "int" and (self.low % 1 or self.high % 1 or self.step < 1 or self.step % 1):
            raise SpaceError(f"expected whole numbers and a step of at least 1 for {self.name}")
        if self.points < 2 or self.points % 1:
            raise SpaceError(f"expected two points of a grid or more for {self.name}, but got {self.points}")
        object.__setattr__(self, "step", int(self.step))  # 2.0 of a file
        object.__setattr__(self, "points", int(self.points))

    def _check_number(self, field: str) -> None:
        value: Any = getattr(self, field)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise SpaceError(
                f"expected a number for {field} of {self.name}, but got {value!r}: a value of the wrong type"
            )
        try:
            float(value)
        except OverflowError:
            raise SpaceError(f"expected {field} of {self.name} within ±1.8e308, the largest of numbers") from None

    def ends(self) -> tuple[Value, ...]:
        """The values whose soundness makes all others sound: every choice, or both ends of a range."""
        if self.kind == "choice":
            return self.choices
        return (int(self.low), int(self.high)) if self.kind == "int" else (float(self.low), float(self.high))

    def grid(self) -> tuple[Value, ...]:
        """Its values on a grid, each once."""
        if self.kind == "choice":
            return tuple(dict.fromkeys(self.choices))
        if self.kind == "int":
            return tuple(range(int(self.low), int(self.high) + 1, self.step))
        low, high = (math.log(self.low), math.log(self.high)) if self.kind == "log" else (self.low, self.high)
        between = [low + (high - low) * i / (self.points - 1) for i in range(1, self.points - 1)]
        inner = [math.exp(value) for value in between] if self.kind == "log" else between
        return float(self.low), *inner, float(self.high)

    def size(self) -> int:
        """How many those are; counted, for a range may hold more than there is memory for."""
        if self.kind == "choice":
            return len(set(self.choices))
        return (int(self.high) - int(self.low)) // self.step + 1 if self.kind == "int" else self.points

    @property
    def described(self) -> str:
        """As on a command line."""
        if self.kind == "choice":
            inside = ", ".join(typed(choice) for choice in self.choices)
        elif self.kind == "int":
            inside = f"{self.low:g}, {self.high:g}" + (f", {self.step}" if self.step > 1 else "")
        else:
            inside = f"{self.low:g}, {self.high:g}" + (f", {self.points}" if self.points != POINTS else "")
        name, equals, value = self.when.partition("=")
        return f"{self.name}={self.kind}({inside})" + (f" if {name}{equals}{typed(value)}" if self.when else "")

    def as_dict(self) -> dict[str, Any]:
        """What a study keeps of it: JSON values, without what does not matter for its kind."""
        kept: dict[str, Any] = {"name": self.name, "kind": self.kind}
        kept |= {"choices": list(self.choices)} if self.kind == "choice" else {"low": self.low, "high": self.high}
        kept |= {"step": self.step} if self.kind == "int" else {}
        kept |= {"points": self.points} if self.kind in ("float", "log") else {}
        return kept | ({"when": self.when} if self.when else {})


def typed(value: Value) -> str:
    """As a person types it, and not as Python writes it: true."""
    text = str(value)
    return text.lower() if text in ("True", "False") else text


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
    found = Parameter(name, kind, numbers[0], numbers[1], when=when)  # type: ignore[arg-type]
    found = replace(found, low=float(found.low), high=float(found.high))
    if len(numbers) == 2:
        return found
    if isinstance(numbers[2], float) and not numbers[2].is_integer():
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
            raise SpaceError(f"a parameter has no {min(map(str, unknown))!r}; it has {', '.join(fields)}")
        if not {"name", "kind"} <= set(item):
            raise SpaceError(f"expected name and kind of every parameter, but got {item}")
        choices = item.get("choices", [])
        if not isinstance(choices, list):
            raise SpaceError(f"expected a list of choices for {item['name']}, such as [8, 16], but got {choices!r}")
        found.append(Parameter(**{**item, "choices": tuple(choices)}))
    return found


def as_value(text: str) -> Value:
    """A whole number, a number, or the text itself."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def holds(parameter: Parameter, chosen: Mapping[str, Any], resolved: Mapping[str, Any]) -> bool:
    """Whether its condition holds for what was chosen before it."""
    if not parameter.when:
        return True
    name, _, value = parameter.when.partition("=")
    return str(chosen.get(name, resolved[name] if name not in chosen else None)) == value


def waits_for_any(parameter: Parameter, names: Iterable[str]) -> bool:
    """Whether its condition depends on one of these settings, or on a group of settings that one of them chooses."""
    setting_name = parameter.when.partition("=")[0]
    return any(setting_name == name or setting_name.startswith(f"{name}.") for name in names)


def grid_size(space: Iterable[Parameter]) -> int:
    """Points of the whole grid."""
    return math.prod(parameter.size() for parameter in space)


def grid_points(space: Sequence[Parameter]) -> Iterable[dict[str, Value]]:
    """Every point of the grid, the last parameter's values first."""
    for values in product(*(parameter.grid() for parameter in space)):
        yield dict(zip((parameter.name for parameter in space), values, strict=True))


def setting(name: str, value: Value) -> str:
    """The stage's "key=value" for it; floats to their last digit."""
    return f"{name}={value!r}" if isinstance(value, float) else f"{name}={value}"
