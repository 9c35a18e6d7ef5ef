"""Typed configuration from `key=value` overrides, on OmegaConf's structured configs. Needs no torch: login nodes validate too."""

import copy
import dataclasses
import difflib
import functools
import inspect
import re
import textwrap
from collections.abc import Iterable
from typing import Any, TypeVar, get_type_hints

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

T = TypeVar("T")


class ConfigError(ValueError):
    """A configuration that a person must change; the text says what was wrong, the rule, and the fix."""


def build_config(schema: type[T], overrides: Iterable[str]) -> T:
    """The schema's defaults, then those of its preset, then the overrides; validated.

    Args:
        schema: a dataclass; its `__post_init__` raises `ValueError` for values out of range. With a field `preset` it has a
            `PRESETS` too: for each name, "key=value" settings. A group with a class attribute `NAME`, the name of its field that
            says which it is, may be set by it: "model=paper" is "model.name=paper".
        overrides: "key=value" or "group.key=value". The value is taken as it stands, spaces, brackets, quotes, "=" and "$"
            included, and converted to the field's type.

    Raises:
        ConfigError: no "=", an unknown key (names the nearest), a value of the wrong type or out of range.
    """
    config, known, short = _blank(schema)  # type: ignore[arg-type]  # a class is hashable
    config, overrides = copy.deepcopy(config), list(overrides)
    for override in [*preset_settings(schema, overrides), *overrides]:
        key, equals, value = override.partition("=")
        if not equals:
            raise ConfigError(f"expected key=value, but got {override!r}")
        key = short.get(key, key)
        if key not in known:
            raise ConfigError(_unknown("key", key, known))
        try:
            OmegaConf.update(config, key, _literal(value))
            # OmegaConf takes some values and refuses them when they are read.
            OmegaConf.select(config, key, throw_on_missing=True)
        except OmegaConfBaseException:
            raise ConfigError(f"expected {key}=<{known[key]}>, but got {value!r}") from None
    try:
        built: T = OmegaConf.to_object(config)  # type: ignore[assignment]
    except ValueError as error:
        raise ConfigError(str(error)) from error
    return built


@functools.cache
def _blank(schema: type) -> tuple[DictConfig, dict[str, str], dict[str, str]]:
    """The schema's defaults, the type of each setting, and short names. Made once: a search looks at thousands of settings."""
    config = OmegaConf.structured(schema)
    _unfreeze(config)
    return config, dict(_leaves(schema)), dict(_named_groups(schema))


def _unfreeze(config: DictConfig) -> None:
    """Let settings reach a group that is a frozen dataclass."""
    OmegaConf.set_readonly(config, False)
    for node in config.values():
        if isinstance(node, DictConfig):
            _unfreeze(node)


def preset_settings(schema: Any, overrides: Iterable[str]) -> tuple[str, ...]:
    """The "key=value" settings of the preset that the overrides choose; none without one.

    Raises:
        ConfigError: there is no such preset.
    """
    presets: dict[str, tuple[str, ...]] = getattr(schema, "PRESETS", {})
    chosen = [override.partition("=")[2] for override in overrides if override.startswith("preset=")]
    if not presets or not chosen:
        return ()
    return presets[choose("preset", chosen[-1], presets)]


def choose(kind: str, name: str, known: Iterable[str]) -> str:
    """`name` if it is among `known`.

    Raises:
        ConfigError: it is not; names the nearest, or all when they are few.
    """
    names = list(known)
    if name not in names:
        raise ConfigError(_unknown(kind, name, names))
    return name


def science(config: Any, prefix: str = "") -> dict[str, Any]:
    """What can change a result: every setting by its dotted name, but those that its dataclass names in `SAME_RESULT`.

    Args:
        config: a dataclass. `SAME_RESULT`, a class attribute of it or of a group in it, names fields that change how fast, where or
            how often something is done or written down, and never what comes of it.
        prefix: of the names.
    """
    found: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            found |= science(value, f"{prefix}{field.name}.")
        elif field.name not in getattr(config, "SAME_RESULT", ()):
            found[prefix + field.name] = value
    return found


def describe(schema: type) -> str:
    """Two lines per field, "key=default  (type)" and what its dataclass's docstring says of it, for `--help`."""
    config, meanings = OmegaConf.structured(schema), field_meanings(schema)
    lines = []
    for key, kind in _leaves(schema):
        lines.append(f"  {key}={OmegaConf.select(config, key)}  ({kind})")
        lines += textwrap.wrap(meanings.get(key, ""), 110, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return "\n".join(lines)


def field_meanings(schema: Any, prefix: str = "") -> dict[str, str]:
    """What the "Attributes:" part of the docstrings says of each field, by dotted name; fields it leaves out are not there."""
    part = re.search(r"^Attributes:\n((?:    .*\n?|\n)+)", inspect.cleandoc(schema.__doc__ or ""), re.MULTILINE)
    entries = re.findall(r"^    (\w[\w, ]*): (.*(?:\n {8,}.*)*)", part.group(1) if part else "", re.MULTILINE)
    said = {name: " ".join(text.split()) for names, text in entries for name in names.split(", ")}
    meanings: dict[str, str] = {}
    kinds = get_type_hints(schema)
    for field in dataclasses.fields(schema):
        if dataclasses.is_dataclass(kinds[field.name]):
            meanings |= field_meanings(kinds[field.name], f"{prefix}{field.name}.")
        elif field.name in said:
            meanings[prefix + field.name] = said[field.name]
    return meanings


def _literal(value: str) -> str:
    """The value, spelled so that OmegaConf reads it as it stands: a "${" would be its interpolation, and a path may hold one."""
    return re.sub(r"(\\*)\$\{", r"\1\1\\${", value)


def _leaves(schema: Any, prefix: str = "") -> Iterable[tuple[str, str]]:
    """Dotted name and type name of every field that is not itself a group."""
    kinds = get_type_hints(schema)  # a field's own `type` is a string under `from __future__ import annotations`
    for field in dataclasses.fields(schema):
        kind = kinds[field.name]
        if dataclasses.is_dataclass(kind):
            yield from _leaves(kind, f"{prefix}{field.name}.")
        else:
            yield prefix + field.name, getattr(kind, "__name__", str(kind))


def _named_groups(schema: Any) -> Iterable[tuple[str, str]]:
    """Each group that one of its own fields names, and that field."""
    kinds = get_type_hints(schema)
    for field in dataclasses.fields(schema):
        if name := getattr(kinds[field.name], "NAME", None):
            yield field.name, f"{field.name}.{name}"


def _unknown(kind: str, name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    # A key without its group, or a group without its key, is nearer than any spelling.
    near = [known for known in names if name and (known.endswith(f".{name}") or known.startswith(f"{name}."))]
    near = near or difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(names)}"
    return f"there is no {kind} {name!r}; {hint}"
