"""What an export is made of, whatever the stage; and which stage knows how to make its own part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from v2a.config import choose


@dataclass(frozen=True)
class Parts:
    """A stage's model.

    Attributes:
        tensors: by name, on the CPU; only what using the model needs.
        config: what makes a network of them again, JSON values; "identity" among them.
        facts: of the model, for its card: name and what it is.
        use: the card's chapter on how it is used, Markdown; {shell} and {python} stand for the folder's name.
    """

    tensors: dict[str, torch.Tensor]
    config: dict[str, Any]
    facts: dict[str, str]
    use: str


_Maker = Callable[[Mapping[str, Any], Mapping[str, torch.Tensor]], Parts]


def make_parts(stamp: Mapping[str, Any], weights: Mapping[str, torch.Tensor]) -> Parts:
    """The parts of a run's model.

    Args:
        stamp: the run's `stage.json`.
        weights: the model's state in a checkpoint.

    Raises:
        v2a.config.ConfigError: the stage has no model to export.
        ValueError: the weights are not those of such a model, or are not finite.
    """
    # A stage whose model can be exported is listed here, and nowhere else. Late: its module takes `Parts` from this one.
    from v2a.vqvae.export import vqvae_parts

    makers: dict[str, _Maker] = {"vqvae": vqvae_parts}
    parts = makers[choose("stage with a model to export", stamp["stage"], makers)](stamp, weights)
    spoiled = [name for name, tensor in parts.tensors.items() if not bool(torch.isfinite(tensor).all())]
    if spoiled:
        raise ValueError(f"its weights are not finite ({', '.join(spoiled[:3])}): the training went wrong")
    return parts
