"""What a launcher may ask of a stage before it runs: are these settings sound, and what do they come to? Needs no torch."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from v2a import stages
from v2a.config import ConfigError
from v2a.stages import load_config, shares_tasks, stage_names

__all__ = [
    "ConfigError",
    "absolute_inputs",
    "check_inputs",
    "resolve_settings",
    "training_stages",
]  # sweeps knows no v2a

_INPUTS = ("data", "codes", "model")  # a group of settings that has one of these names is no folder
_CLIPS = (
    "make some: python -m v2a.synthetic flyby out=data/flyby n=30 seed=1, then python -m v2a.prepare videos=data/flyby out={} "
    "preset=tiny; or give data=FOLDER"
)


def resolve_settings(stage: str, settings: Iterable[str]) -> dict[str, Any]:
    """Every setting of a stage by its dotted name, defaults and preset filled in.

    Raises:
        ConfigError: an unknown stage or key (names the nearest), or a bad value.
    """
    return dict(_flat(dataclasses.asdict(load_config(stage, settings))))


def training_stages() -> list[str]:
    """Stages that train."""
    return [name for name in stage_names() if not shares_tasks(name)]


def check_inputs(stage: str, settings: Iterable[str]) -> None:
    """See that what a stage reads is there, whole, and of one geometry.

    Raises:
        ConfigError: it is not; names the command that makes it.
    """
    config = load_config(stage, settings)
    data = getattr(config, "data", None)
    if isinstance(data, str) and not Path(data, "dataset.json").exists():
        raise ConfigError(f"there is nothing to train on in data={data}; {_CLIPS.format(data)}")
    stages.check_inputs(stage, config)


def absolute_inputs(stage: str, settings: Iterable[str]) -> list[str]:
    """The settings with the folders that a stage trains on spelled out and absolute: they mean the same from every folder.

    Raises:
        ConfigError: an unknown stage or key, or a bad value.
    """
    settings = list(settings)
    config = load_config(stage, settings)
    places = {
        name: os.path.abspath(place)
        for name in _INPUTS
        if isinstance(place := getattr(config, name, None), str) and place
    }
    kept = [setting for setting in settings if setting.partition("=")[0] not in places]
    return [*kept, *(f"{name}={place}" for name, place in places.items())]


def _flat(group: dict[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in group.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
