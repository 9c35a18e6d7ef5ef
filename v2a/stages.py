"""The stages by name: the one door through which a launcher reaches this package."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from v2a.config import build_config, choose, describe

if TYPE_CHECKING:
    from v2a.comm import Comm

# Stage -> module with its config dataclass (torch-free), module with its `run`, what it does.
_STAGES = {
    "selftest": (
        "v2a.selftest.config",
        "v2a.selftest.stage",
        "trains a small 3D network on made-up clips: does this cluster train?",
    ),
}


@dataclass(frozen=True)
class Context:
    """What a launcher gives to a stage.

    Attributes:
        comm: the ranks.
        out: the run's folder; it exists.
        report: called with the step and metrics, on every rank; the launcher decides what becomes of them.
        should_stop: asked at step boundaries; the stage makes all ranks agree before it stops.
    """

    comm: Comm
    out: Path
    report: Callable[[int, Mapping[str, float]], None]
    should_stop: Callable[[], bool]


def stage_names() -> list[str]:
    """Every stage of this version."""
    return list(_STAGES)


def stage_summary(name: str) -> str:
    """What a stage does, and its config keys with their defaults."""
    config_module, _, summary = _STAGES[choose("stage", name, _STAGES)]
    return f"{summary}\n{describe(importlib.import_module(config_module).Config)}"


def load_config(name: str, overrides: Iterable[str]) -> Any:
    """A stage's validated config; does not import torch.

    Raises:
        v2a.config.ConfigError: an unknown stage or key, or a bad value.
    """
    config_module = _STAGES[choose("stage", name, _STAGES)][0]
    return build_config(importlib.import_module(config_module).Config, overrides)


def run_stage(name: str, config: Any, context: Context) -> dict[str, float]:
    """Run a stage to its end, or until `should_stop`; its final metrics, equal on all ranks."""
    stage_module = _STAGES[choose("stage", name, _STAGES)][1]
    metrics: dict[str, float] = importlib.import_module(stage_module).run(config, context)
    return metrics
