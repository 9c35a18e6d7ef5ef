"""Learning rate as a pure function of the step: nothing of it has to be saved."""

from __future__ import annotations

import math

import torch

from v2a.training.config import Train


def lr_factor(step: int, config: Train) -> float:
    """Linear warm-up, then half a cosine from 1 to `lr_final` (Loshchilov & Hutter 2017, without restarts).

    Args:
        step: 0 for the first.
        config: steps, warmup, lr_final.
    """
    if step < config.warmup:
        return (step + 1) / config.warmup
    progress = min(1.0, (step - config.warmup) / max(1, config.steps - config.warmup))
    return config.lr_final + (1 - config.lr_final) * 0.5 * (1 + math.cos(math.pi * progress))


def world_factor(world: int, scaling: str) -> float:
    """What `lr_scaling` multiplies the learning rate by at this world size."""
    return {"none": 1.0, "linear": float(world), "sqrt": math.sqrt(world)}[scaling]


def set_lr(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Each group's own "base_lr" times the factor."""
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor


def parameter_groups(model: torch.nn.Module, config: Train, world: int) -> list[dict[str, object]]:
    """Trained parameters in two groups: matrices and kernels decay, biases and scales do not.

    A parameter may name a learning rate of its own, a factor of `config.lr`, as its attribute `lr_factor` (a codebook does).
    """
    lr = config.lr * world_factor(world, config.lr_scaling)
    groups: dict[tuple[float, bool], list[torch.nn.Parameter]] = {}
    for parameter in model.parameters():
        if parameter.requires_grad:
            decays = parameter.ndim > 1 and not hasattr(
                parameter, "lr_factor"
            )  # whatever the decay: a resume may change it
            groups.setdefault((getattr(parameter, "lr_factor", 1.0), decays), []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": lr * factor,
            "base_lr": lr * factor,
            "weight_decay": config.weight_decay if decays else 0.0,
        }
        for (factor, decays), parameters in groups.items()
    ]
