"""Typed configuration from `key=value` overrides, on OmegaConf's structured configs. Needs no torch: login nodes validate too."""

import dataclasses
import difflib
from collections.abc import Iterable
from typing import Any, TypeVar

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

T = TypeVar("T")


class ConfigError(ValueError):
    """A configuration that a person must change; the text says what was wrong, the rule, and the fix."""


def build_config(schema: type[T], overrides: Iterable[str]) -> T:
    """The schema's defaults with overrides applied and validated.

    Args:
        schema: a dataclass; its `__post_init__` raises `ValueError` for values out of range.
        overrides: "key=value" or "group.key=value". The value is taken as it stands, spaces, brackets, quotes, "=" and "$"
            included, and converted to the field's type.

    Raises:
        ConfigError: no "=", an unknown key (names the nearest), a value of the wrong type or out of range.
    """
    config = OmegaConf.structured(schema)
    known = dict(_leaves(schema))
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals:
            raise ConfigError(f"expected key=value, but got {override!r}")
        if key not in known:
            raise ConfigError(_unknown("key", key, known))
        try:
            # A "${" would be OmegaConf's interpolation, and a path may hold one.
            OmegaConf.update(config, key, value.replace("${", "\\${"))
        except OmegaConfBaseException:
            raise ConfigError(f"expected {key}=<{known[key]}>, but got {value!r}") from None
    try:
        built: T = OmegaConf.to_object(config)  # type: ignore[assignment]
    except ValueError as error:
        raise ConfigError(str(error)) from error
    return built


def choose(kind: str, name: str, known: Iterable[str]) -> str:
    """`name` if it is among `known`.

    Raises:
        ConfigError: it is not; names the nearest, or all when they are few.
    """
    names = list(known)
    if name not in names:
        raise ConfigError(_unknown(kind, name, names))
    return name


def describe(schema: type) -> str:
    """One line per field, "key=default  (type)", for `--help`."""
    config = OmegaConf.structured(schema)
    return "\n".join(f"  {key}={OmegaConf.select(config, key)}  ({kind})" for key, kind in _leaves(schema))


def _leaves(schema: Any, prefix: str = "") -> Iterable[tuple[str, str]]:
    """Dotted name and type name of every field that is not itself a group."""
    for field in dataclasses.fields(schema):
        if dataclasses.is_dataclass(field.type):
            yield from _leaves(field.type, f"{prefix}{field.name}.")
        else:
            yield prefix + field.name, getattr(field.type, "__name__", str(field.type))


def _unknown(kind: str, name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(names)}"
    return f"there is no {kind} {name!r}; {hint}"
