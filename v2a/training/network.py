"""Whether a checkpoint is of the network that is to go on from it."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from v2a.training.checkpoint import CheckpointError

_WAY_OUT = "go on with the run's own settings or choose another folder"


def load_state(model: torch.nn.Module, optimizer: torch.optim.Optimizer, state: Mapping[str, object]) -> None:
    """Put a checkpoint's "model" and "optimizer" into a model and its optimizer.

    Raises:
        CheckpointError: they are of another network; names the first difference.
    """
    there: Mapping[str, torch.Tensor] = state["model"]  # type: ignore[assignment]
    different = _differences(model.state_dict(), there)
    if different:
        more = f", and {len(different) - 1} more differ" if len(different) > 1 else ""
        raise CheckpointError(f"this checkpoint is of another network: {different[0]}{more}; {_WAY_OUT}")
    model.load_state_dict(there)
    try:
        optimizer.load_state_dict(state["optimizer"])  # type: ignore[arg-type]
    except ValueError as error:  # the same weights, grouped otherwise: some learn at another rate
        raise CheckpointError(f"this checkpoint is of another network: its optimizer's {error}; {_WAY_OUT}") from None


def _differences(own: Mapping[str, torch.Tensor], there: Mapping[str, torch.Tensor]) -> list[str]:
    """Of names and shapes, in the order of this network."""
    found = []
    for name, mine in own.items():
        if name not in there:
            found.append(f"it has no {name}")
        elif there[name].shape != mine.shape:
            found.append(f"its {name} is of shape {list(there[name].shape)}, this one's of {list(mine.shape)}")
    return [*found, *(f"it has {name}" for name in there if name not in own)]
