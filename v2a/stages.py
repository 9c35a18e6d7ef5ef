"""The stages by name: the one door through which a launcher reaches this package."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from v2a.config import build_config, choose, describe, preset_settings, science
from v2a.contents import absolute, contents, page_is_stale
from v2a.inputs import check

if TYPE_CHECKING:
    from v2a.comm import Comm
    from v2a.tasks import Tasks


@dataclass(frozen=True)
class _Stage:
    """Where a stage is: `<package>.config` has its torch-free `Config`, `<package>.stage` its `run`."""

    package: str
    summary: str
    shares_tasks: bool = False
    uses_gpu: bool = True


_STAGES = {
    "prepare": _Stage(
        "v2a.prepare",
        "videos of any kind to verified shards of clips, shared out video by video",
        shares_tasks=True,
        uses_gpu=False,
    ),
    "vqvae": _Stage("v2a.vqvae", "trains the 3D VQ-VAE whose codes stand for a video (stage 1)"),
    "codes": _Stage(
        "v2a.codes",
        "encodes clip shards to code shards with a trained VQ-VAE, shared out shard by shard",
        shares_tasks=True,
    ),
    "audio": _Stage("v2a.audio", "trains a decoder that turns codes into sound (stage 2)"),
    "evaluate": _Stage(
        "v2a.evaluate",
        "measures decoders of sound on a test split, null baselines beside them, shared out clip by clip",
        shares_tasks=True,
    ),
    "report": _Stage("v2a.report", "makes one page of what runs came to", shares_tasks=True, uses_gpu=False),
    "infer": _Stage("v2a.infer", "makes sound for silent videos, shared out video by video", shares_tasks=True),
    "selftest": _Stage("v2a.selftest", "trains a small 3D network on made-up clips: does this cluster train?"),
}


@dataclass(frozen=True)
class Context:
    """What a launcher gives to a stage.

    Attributes:
        comm: the ranks that train together; a single one for a stage that shares out tasks.
        tasks: how a stage that shares out tasks runs them.
        out: the run's folder; it exists.
        report: called with the step and metrics, on every rank; the launcher decides what becomes of them.
        should_stop: asked at step boundaries; the stage makes all ranks agree before it stops.
        measured: numbers of the launcher's for each record of a training, of the time since the one before.
    """

    comm: Comm
    tasks: Tasks
    out: Path
    report: Callable[[int, Mapping[str, float]], None]
    should_stop: Callable[[], bool]
    measured: Callable[[], Mapping[str, float]] = dict


def stage_names() -> list[str]:
    """Every stage of this version."""
    return list(_STAGES)


def shares_tasks(name: str) -> bool:
    """Whether the stage shares out independent tasks (`Context.tasks`) instead of training (`Context.comm`)."""
    return _stage(name).shares_tasks


def uses_gpu(name: str) -> bool:
    """Whether the stage runs on GPUs where there are some."""
    return _stage(name).uses_gpu


def stage_summary(name: str) -> str:
    """What a stage does, and its config keys with their defaults."""
    stage = _stage(name)
    return f"{stage.summary}\n{describe(_config(stage))}"


def load_config(name: str, overrides: Iterable[str]) -> Any:
    """A stage's validated config; does not import torch.

    Raises:
        v2a.config.ConfigError: an unknown stage or key, or a bad value.
    """
    return build_config(_config(_stage(name)), overrides)


def preset_keys(name: str, overrides: Iterable[str]) -> set[str]:
    """Dotted names of the settings that the preset among the overrides decides; none without a preset.

    Raises:
        v2a.config.ConfigError: an unknown stage or preset.
    """
    return {setting.partition("=")[0] for setting in preset_settings(_config(_stage(name)), overrides)}


def identity(config: Any) -> dict[str, Any]:
    """What of a stage's config can change its result, by dotted name: plain values, for JSON. Paths are absolute."""
    plain = {key: value if isinstance(value, (int, str)) else str(value) for key, value in science(config).items()}
    return absolute(plain)


def input_contents(config: Any) -> dict[str, str]:
    """Digests of what is in the folders that a config names, as far as it is there: "data" and "videos".

    The same path with another data set in it is another input; looks at manifests, names, sizes and times.
    """
    return contents(config)


def is_stale(config: Any) -> bool:
    """Whether what a stage made is no longer what it would make, though its settings are the same: a page of runs that went on."""
    return page_is_stale(config)


def check_inputs(name: str, config: Any, made_before: Container[str] = ()) -> None:
    """See that what the stage reads is there, whole, and of one geometry; looks at manifests and sizes, not at every byte.

    Args:
        name: of the stage.
        config: its config.
        made_before: settings whose folders an earlier job will have made by then; they are not looked at.

    Raises:
        v2a.config.ConfigError: something is missing, damaged or does not fit; names the command that makes it.
    """
    check(name, config, made_before)


def run_stage(name: str, config: Any, context: Context) -> dict[str, float]:
    """Run a stage to its end, or until `should_stop`; its final metrics, equal on all ranks."""
    module = importlib.import_module(f"{_stage(name).package}.stage")
    metrics: dict[str, float] = module.run(config, context)
    return metrics


def _stage(name: str) -> _Stage:
    return _STAGES[choose("stage", name, _STAGES)]


def _config(stage: _Stage) -> Any:
    return importlib.import_module(f"{stage.package}.config").Config
