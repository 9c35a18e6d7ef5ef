"""See that a stage takes what is to be searched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hpc.stage_settings import ConfigError, resolve_settings
from sweeps.space import Parameter, SpaceError, as_value, setting, waits_for_any


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
    resolve_settings(stage, settings)
    names = [parameter.name for parameter in space]
    for name in names:
        if names.count(name) > 1:
            raise SpaceError(f"{name} is searched twice; leave one of them out")
        if name in {setting.partition("=")[0] for setting in settings}:
            raise SpaceError(f"{name} is both set and searched; leave one of them out")
    settled = [_settle(parameter, stage, settings, space) for parameter in space]
    left = [parameter for parameter in settled if parameter is not None]
    for parameter in left:
        condition = [parameter.when] if waits_for_any(parameter, names) else []  # others hold as it is
        for value in parameter.ends():
            try:
                resolve_settings(stage, [*settings, *condition, setting(parameter.name, value)])
            except ConfigError as error:
                raise ConfigError(f"{parameter.name} cannot be searched at {value}: {error}") from None
    if not left:
        none_holds = "; the condition of none of these holds: " + ", ".join(parameter.described for parameter in space)
        raise SpaceError(
            "there is nothing to search: give --search NAME=KIND(...), for example --search 'train.lr=log(1e-4, 1e-2)'"
            + (none_holds if space else "")
        )
    return left


def _settle(parameter: Parameter, stage: str, settings: Sequence[str], space: Sequence[Parameter]) -> Parameter | None:
    """The parameter with its condition written as `holds` compares it; None where that cannot hold."""
    if not parameter.when:
        return parameter
    resolved = resolve_settings(stage, settings)
    name, equals, value = parameter.when.partition("=")
    if not equals or name not in resolved:
        raise SpaceError(
            f"expected {parameter.name} if SETTING=VALUE with a setting of the stage, but got {parameter.when!r}"
        )
    searched = next((other for other in space if other.name == name), None)
    if searched is None:
        there = resolved[name]
        return replace(parameter, when=f"{name}={there}") if _taken(parameter, stage, settings) == there else None
    same = [choice for choice in searched.choices if _is_same(stage, settings, name, (str(choice), value))]
    if searched.kind != "choice" or not same:
        raise SpaceError(f"{parameter.name} waits for {parameter.when}, which is none of the choices of {name}")
    if space.index(searched) > space.index(parameter):
        raise SpaceError(f"{parameter.name} waits for {name}; name {name} first")
    return replace(parameter, when=f"{name}={same[0]}")


def _is_same(stage: str, settings: Sequence[str], name: str, texts: tuple[str, str]) -> bool:
    """Whether two texts are one value to the stage: 0.001 and 1e-3, True of a file and true."""
    if texts[0] == texts[1] or as_value(texts[0]) == as_value(texts[1]):
        return True
    try:
        first, second = (_value(stage, settings, name, text) for text in texts)
    except ConfigError:
        return False
    return bool(first == second)


def _taken(parameter: Parameter, stage: str, settings: Sequence[str]) -> Any:
    """What the stage makes of the value that the parameter waits for: 0.001 of 1e-3."""
    name, _, value = parameter.when.partition("=")
    try:
        return _value(stage, settings, name, value)
    except ConfigError as error:
        raise SpaceError(f"{parameter.name} waits for {parameter.when}, which can never be: {error}") from None


def _value(stage: str, settings: Sequence[str], name: str, text: str) -> Any:
    try:
        return resolve_settings(stage, [*settings, f"{name}={text}"])[name]
    except ConfigError:  # maybe it only does not go with the other settings
        return resolve_settings(stage, [f"{name}={text}"])[name]
