"""`v2a.comm.Comm` over Horovod: MPI or Gloo between the ranks, NCCL between GPUs."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from v2a.comm import Reduction, check_reduction, check_root

if TYPE_CHECKING:
    import torch

# A rank that hangs makes the others wait for ever unless this is set (Horovod only warns). Longer than the slowest step
# and checkpoint, shorter than anyone's patience.
_STALL_SHUTDOWN_S = "300"


class HorovodComm:
    """The ranks of a Horovod job. Creating one initialises Horovod, which every rank must do.

    Raises:
        ImportError: Horovod is not built; `python -m hpc.build_horovod` builds it.
    """

    def __init__(self) -> None:
        os.environ.setdefault("HOROVOD_STALL_SHUTDOWN_TIME_SECONDS", _STALL_SHUTDOWN_S)
        import horovod.torch as hvd

        hvd.init()
        self._hvd = hvd
        self.rank: int = hvd.rank()
        self.size: int = hvd.size()
        self.local_rank: int = hvd.local_rank()

    def all_reduce(self, tensor: torch.Tensor, reduction: Reduction = "sum") -> torch.Tensor:
        """Sum or maximum over ranks, as a new tensor."""
        check_reduction(reduction)
        reduced: torch.Tensor = self._hvd.allreduce(tensor, op=self._hvd.Sum if reduction == "sum" else self._hvd.Max)
        return reduced

    def broadcast(self, tensor: torch.Tensor, root: int = 0) -> torch.Tensor:
        """Rank `root`'s tensor, as a new tensor."""
        check_root(root, self.size)
        sent: torch.Tensor = self._hvd.broadcast(tensor, root_rank=root)
        return sent

    def barrier(self) -> None:
        """Wait for every rank."""
        self._hvd.barrier()

    def wrap_optimizer(
        self, optimizer: torch.optim.Optimizer, named_parameters: Iterable[tuple[str, torch.nn.Parameter]]
    ) -> torch.optim.Optimizer:
        """Horovod's DistributedOptimizer: gradients are averaged while the backward pass still runs."""
        wrapped: torch.optim.Optimizer = self._hvd.DistributedOptimizer(
            optimizer, named_parameters=list(named_parameters), op=self._hvd.Average
        )
        return wrapped

    def close(self) -> None:
        """End Horovod; no collective works after it."""
        self._hvd.shutdown()
