"""The training loop, written once: a stage supplies what it trains and how one step's loss is made.

Gradients are averaged over ranks by the optimizer that `Comm` wraps; every rank starts from rank 0's weights.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from v2a.comm import Comm
from v2a.stages import Context


@dataclass(frozen=True)
class Task:
    """What a stage trains.

    Attributes:
        model: the network; its parameters are trained.
        loss: from a step number, this rank's mean loss over its share of that step's batch (a scalar).
    """

    model: nn.Module
    loss: Callable[[int], torch.Tensor]


def train(task: Task, optimizer: torch.optim.Optimizer, steps: int, context: Context) -> dict[str, float]:
    """Train for `steps` optimizer steps, or until any rank is asked to stop.

    Returns:
        "step": steps done; "stopped": 1 when it was asked to stop before the last step, else 0; "loss_first", "loss": mean
        loss over ranks of the first and the last step.

    Raises:
        FloatingPointError: the loss is not finite on some rank; raised by all ranks, with the step.
    """
    comm = context.comm
    broadcast_parameters(task.model, comm)
    optimizer = comm.wrap_optimizer(optimizer, task.model.named_parameters())
    first = last = float("nan")
    done, stopped = 0, False
    for step in range(steps):
        if _any_rank(context.should_stop(), comm):  # one rank asked to stop stops all
            stopped = True
            break
        optimizer.zero_grad()
        loss = task.loss(step)
        last = _mean_over_ranks(loss, comm)
        if not math.isfinite(last):
            raise FloatingPointError(f"the loss is {last} at step {step}; try a smaller learning rate")
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        done = step + 1
        first = last if step == 0 else first
        context.report(done, {"loss": last})
    return {"step": done, "stopped": float(stopped), "loss_first": first, "loss": last}


def broadcast_parameters(model: nn.Module, comm: Comm) -> None:
    """Give every rank rank 0's parameters and buffers."""
    with torch.no_grad():
        for tensor in [*model.parameters(), *model.buffers()]:
            tensor.copy_(comm.broadcast(tensor))


def ranks_agree(model: nn.Module, comm: Comm) -> bool:
    """Whether all parameters are equal on all ranks, bit for bit."""
    flat = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    return bool((comm.all_reduce(flat, "max") == -comm.all_reduce(-flat, "max")).all())


def _any_rank(flag: bool, comm: Comm) -> bool:
    return bool(comm.all_reduce(torch.tensor(float(flag)), "max") > 0)


def _mean_over_ranks(loss: torch.Tensor, comm: Comm) -> float:
    return float(comm.all_reduce(loss.detach().float().cpu(), "sum") / comm.size)
