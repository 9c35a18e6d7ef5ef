"""The command that makes a run again, and its settings."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from v2a.config import ConfigError
from v2a.evaluate.config import GIVEN
from v2a.stages import load_config, stage_names


def flatten(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Dotted names and values, as they are written on a command line."""
    found: list[tuple[str, str]] = []
    for name, value in values.items():
        found += flatten(value, f"{prefix}{name}.") if isinstance(value, Mapping) else [(prefix + name, _text(value))]
    return found


def training_command(stage: str, config: Mapping[str, Any], out: Path) -> str:
    """`python -m v2a.STAGE …` with every setting that is not its default, quoted for a shell."""
    defaults = _defaults(stage, str(config.get("preset", "")))
    chosen = [f"{name}={value}" for name, value in flatten(config) if defaults.get(name) != value]
    return shlex.join(["python", "-m", f"v2a.{stage}", *chosen, "--out", no_option(str(out))])


def _defaults(stage: str, preset: str) -> dict[str, str]:
    if stage not in stage_names():
        return {}
    import dataclasses

    try:
        default: Any = load_config(stage, [f"preset={preset}"] if preset else [])
    except (ConfigError, ValueError):  # a preset of another version: every setting is written
        return {}
    plain = load_config(stage, [])
    found = dict(flatten(dataclasses.asdict(default)))
    found["preset"] = str(getattr(plain, "preset", ""))
    return found


def kept_overrides(folder: Path, name: str = "config.json") -> list[str] | None:
    """The settings that a launcher keeps in a run's `config.json`, or an evaluation in its own file; None without them."""
    try:
        found = json.loads((folder / name).read_bytes())["overrides"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return [str(setting) for setting in found] if isinstance(found, list) else None


def evaluation_command(folder: Path, settings: Mapping[str, Any]) -> str:
    """`python -m v2a.evaluate …`; an older folder does not keep where models and clips were: these are named in capitals."""
    kept = kept_overrides(folder, GIVEN) or kept_overrides(folder)
    if kept is None:
        models = settings.get("models") or {}
        names = [f"model={name}" for name in models] if isinstance(models, Mapping) else []
        kept = [*names, "codes=CODES", "data=CLIPS", *_given(settings, ("split", "seed", "sheet"))]
        kept += [f"clips={settings['n']}"] if "n" in settings else []
        kept += _given(settings, ("reference",))
    kept = [setting for setting in kept if not setting.startswith("out=")]
    return shlex.join(["python", "-m", "v2a.evaluate", *kept, f"out={folder}"])


def inference_command(folder: Path, inputs: Sequence[str], seeds: Sequence[str]) -> str:
    """`python -m v2a.infer …`; the model is known by its identity only."""
    shown = [no_option(name) for name in inputs] if 0 < len(inputs) <= 3 else ["VIDEOS"]
    seed = ["--seed", seeds[0]] if len(seeds) == 1 else []
    return shlex.join(["python", "-m", "v2a.infer", *shown, "--model", "MODEL", "--out", no_option(str(folder)), *seed])


def no_option(path: str) -> str:
    """A path whose name begins with "-" would be read as an option."""
    return f"./{path}" if path.startswith("-") else path


def _given(settings: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    return [f"{name}={settings[name]}" for name in names if name in settings]


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)
