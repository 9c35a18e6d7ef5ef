"""Collectives as the models and the training loop see them: a small protocol, injected by whoever launches the ranks."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    import torch

Reduction = Literal["sum", "max"]
Compression = Literal["none", "fp16"]


class Averaged(Protocol):
    """An optimizer whose gradients are averaged over ranks while the backward pass still runs."""

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """The optimizer to step, whose state is saved."""
        ...

    def average(self) -> None:
        """After the backward pass: return when every gradient is the mean over ranks. Needed before each step."""
        ...

    def stepping(self) -> AbstractContextManager[None]:
        """Around `optimizer.step()` after `average()`: the gradients are not averaged once more."""
        ...


@runtime_checkable
class Comm(Protocol):
    """Ranks that train one model together. Every rank makes the same calls in the same order, or the call never returns."""

    @property
    def rank(self) -> int:
        """This process, 0 to size - 1."""
        ...

    @property
    def size(self) -> int:
        """World size: number of ranks."""
        ...

    @property
    def local_rank(self) -> int:
        """This process among those of its node."""
        ...

    def all_reduce(self, tensor: torch.Tensor, reduction: Reduction = "sum") -> torch.Tensor:
        """Element by element sum or maximum over all ranks; a new tensor of the same shape and dtype, equal on all ranks."""
        ...

    def broadcast(self, tensor: torch.Tensor, root: int = 0) -> torch.Tensor:
        """Rank `root`'s tensor on all ranks, as a new tensor; shapes and dtypes must agree."""
        ...

    def barrier(self) -> None:
        """Return when every rank has called it."""
        ...

    def wrap_optimizer(
        self,
        optimizer: torch.optim.Optimizer,
        named_parameters: Iterable[tuple[str, torch.nn.Parameter]],
        passes: int = 1,
        compression: Compression = "none",
    ) -> Averaged:
        """The optimizer with its gradients averaged over ranks.

        Args:
            optimizer: of these parameters.
            named_parameters: all of them.
            passes: backward passes whose gradients add up before they are averaged.
            compression: of gradients on their way: "fp16" halves it, for GPUs.
        """
        ...


class LocalComm:
    """One process: every collective is the identity."""

    rank = 0
    size = 1
    local_rank = 0

    def all_reduce(self, tensor: torch.Tensor, reduction: Reduction = "sum") -> torch.Tensor:
        """A copy of the tensor."""
        check_reduction(reduction)
        return tensor.clone()

    def broadcast(self, tensor: torch.Tensor, root: int = 0) -> torch.Tensor:
        """A copy of the tensor."""
        check_root(root, self.size)
        return tensor.clone()

    def barrier(self) -> None:
        """Nothing to wait for."""

    def wrap_optimizer(
        self,
        optimizer: torch.optim.Optimizer,
        named_parameters: Iterable[tuple[str, torch.nn.Parameter]],
        passes: int = 1,
        compression: Compression = "none",
    ) -> Averaged:
        """The optimizer itself: one rank's gradient is its mean."""
        del named_parameters, passes, compression
        return _Alone(optimizer)


class _Alone:
    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer

    def average(self) -> None:
        """Nothing to wait for."""

    def stepping(self) -> AbstractContextManager[None]:
        """Nothing to leave out."""
        return nullcontext()


def check_reduction(reduction: str) -> None:
    """Raise `ValueError` unless the reduction is one of the protocol's."""
    if reduction not in ("sum", "max"):
        raise ValueError(f"expected the reduction sum or max, but got {reduction!r}")


def check_root(root: int, size: int) -> None:
    """Raise `ValueError` unless `root` is a rank."""
    if not 0 <= root < size:
        raise ValueError(f"expected a root rank from 0 to {size - 1}, but got {root}")
