"""Collectives as the models and the training loop see them: a small protocol, injected by whoever launches the ranks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    import torch

Reduction = Literal["sum", "max"]


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
        self, optimizer: torch.optim.Optimizer, named_parameters: Iterable[tuple[str, torch.nn.Parameter]]
    ) -> torch.optim.Optimizer:
        """An optimizer whose `step` first averages the gradients of `named_parameters` over all ranks."""
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
        self, optimizer: torch.optim.Optimizer, named_parameters: Iterable[tuple[str, torch.nn.Parameter]]
    ) -> torch.optim.Optimizer:
        """The optimizer itself."""
        del named_parameters
        return optimizer


def check_reduction(reduction: str) -> None:
    """Raise `ValueError` unless the reduction is one of the protocol's."""
    if reduction not in ("sum", "max"):
        raise ValueError(f"expected the reduction sum or max, but got {reduction!r}")


def check_root(root: int, size: int) -> None:
    """Raise `ValueError` unless `root` is a rank."""
    if not 0 <= root < size:
        raise ValueError(f"expected a root rank from 0 to {size - 1}, but got {root}")
