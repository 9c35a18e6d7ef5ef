"""`v2a.comm.Comm` over Horovod: MPI or Gloo between the ranks, NCCL between GPUs."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from v2a.comm import Compression, Reduction, check_reduction, check_root

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
        import torch

        hvd.init()
        self._hvd, self._bool = hvd, torch.bool
        self.rank: int = hvd.rank()
        self.size: int = hvd.size()
        self.local_rank: int = hvd.local_rank()

    def all_reduce(self, tensor: torch.Tensor, reduction: Reduction = "sum") -> torch.Tensor:
        """Sum or maximum over ranks, as a new tensor."""
        check_reduction(reduction)
        operation = self._hvd.Sum if reduction == "sum" else self._hvd.Max
        reduced: torch.Tensor = self._hvd.allreduce(tensor.contiguous(), op=operation)  # Horovod refuses views
        return reduced

    def broadcast(self, tensor: torch.Tensor, root: int = 0) -> torch.Tensor:
        """Rank `root`'s tensor, as a new tensor."""
        check_root(root, self.size)
        # Horovod sends neither views nor booleans, and a flag of a model ("codebook initialised") is a boolean buffer.
        sendable = tensor.byte() if tensor.dtype == self._bool else tensor
        sent: torch.Tensor = self._hvd.broadcast(sendable.contiguous(), root_rank=root)
        return sent.to(tensor.dtype)

    def barrier(self) -> None:
        """Wait for every rank."""
        self._hvd.barrier()

    def wrap_optimizer(
        self,
        optimizer: torch.optim.Optimizer,
        named_parameters: Iterable[tuple[str, torch.nn.Parameter]],
        passes: int = 1,
        compression: Compression = "none",
    ) -> HorovodAveraged:
        """Horovod's DistributedOptimizer: gradients are averaged while the backward pass still runs."""
        wrapped = self._hvd.DistributedOptimizer(
            optimizer,
            named_parameters=list(named_parameters),
            op=self._hvd.Average,
            backward_passes_per_step=passes,
            compression=getattr(self._hvd.Compression, compression),
        )
        return HorovodAveraged(wrapped)

    def close(self) -> None:
        """End Horovod; no collective works after it."""
        self._hvd.shutdown()


class HorovodAveraged:
    """`v2a.comm.Averaged` over Horovod's DistributedOptimizer."""

    def __init__(self, wrapped: Any) -> None:
        self.optimizer: torch.optim.Optimizer = wrapped
        self._wrapped = wrapped

    def average(self) -> None:
        """Wait for Horovod's background thread."""
        self._wrapped.synchronize()

    def stepping(self) -> AbstractContextManager[None]:
        """Its `step` would else wait again."""
        context: AbstractContextManager[None] = self._wrapped.skip_synchronize()
        return context
