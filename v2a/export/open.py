"""A model by its path, be it an exported folder or a run that still trains."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from v2a.config import ConfigError
from v2a.export.errors import ModelError
from v2a.export.folder import is_model, read_config, read_weights
from v2a.export.parts import make_parts
from v2a.export.run import read_run


@dataclass(frozen=True)
class Opened:
    """A model's parts, verified.

    Attributes:
        path: as it was given.
        config: what makes a network of them.
        tensors: by name.
    """

    path: Path
    config: dict[str, Any]
    tensors: dict[str, torch.Tensor]


def open_model(path: Path, stage: str, device: torch.device) -> Opened:
    """An exported folder, or a run's last checkpoint. Runs no code of the file's.

    Args:
        path: of the folder.
        stage: whose model is wanted.
        device: where the tensors go.

    Raises:
        ModelError: neither of the two, damaged, or another stage's.
    """
    path = Path(path)
    if is_model(path):
        config = read_config(path)
        _check_stage(path, config.get("stage"), stage)
        return Opened(path, config, read_weights(path, config, device))
    run = read_run(path)
    _check_stage(path, run.stamp["stage"], stage)
    try:
        parts = make_parts(run)
    except ModelError:
        raise
    except (ConfigError, ValueError) as error:
        raise ModelError(path, f"cannot be used: {error}") from None
    return Opened(path, parts.config, {name: tensor.to(device) for name, tensor in parts.tensors.items()})


def _check_stage(path: Path, found: object, wanted: str) -> None:
    if found != wanted:
        raise ModelError(path, f"is a model of stage {found}, where one of stage {wanted} is expected")
