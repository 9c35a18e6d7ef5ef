"""What an export is made of, whatever the stage; and which stage knows how to make its own part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from v2a.config import choose
from v2a.export.run import Run


@dataclass(frozen=True)
class Parts:
    """A stage's model.

    Attributes:
        tensors: by name, on the CPU; only what using the model needs.
        config: what makes a network of them again, JSON values; "identity" among them.
        facts: of the model, for its card: name and what it is.
        use: the card's chapter on how it is used, Markdown; {shell} and {python} stand for the folder's name.
        units: of the metrics of its stage, for the card's table.
    """

    tensors: dict[str, torch.Tensor]
    config: dict[str, Any]
    facts: dict[str, str]
    use: str
    units: str


_Maker = Callable[[Run], Parts]


def make_parts(run: Run) -> Parts:
    """The parts of a run's model.

    Args:
        run: a checkpoint of it.

    Raises:
        v2a.config.ConfigError: the stage has no model to export.
        ModelError: something that belongs to it is missing or damaged in the run's folder.
        ValueError: the weights are not those of such a model, or are not finite.
    """
    # A stage whose model can be exported is listed here, and nowhere else. Late: its module takes `Parts` from this one.
    from v2a.audio.export import audio_parts
    from v2a.vqvae.export import vqvae_parts

    makers: dict[str, _Maker] = {"vqvae": vqvae_parts, "audio": audio_parts}
    parts = makers[choose("stage with a model to export", run.stamp["stage"], makers)](run)
    spoiled = [name for name, tensor in parts.tensors.items() if not bool(torch.isfinite(tensor).all())]
    if spoiled:
        raise ValueError(f"its weights are not finite ({', '.join(spoiled[:3])}): the training went wrong")
    return parts
