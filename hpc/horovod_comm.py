"""`v2a.comm.Comm` over Horovod: MPI or Gloo between the ranks, NCCL between GPUs."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from hpc.stall import StallLimit
from v2a.comm import Compression, Reduction, check_reduction, check_root

if TYPE_CHECKING:
    import torch

# What is set before Horovod starts, unless the user has set it (docs/training.md).
DEFAULTS = {
    # A rank that hangs makes the others wait for ever unless this is set (Horovod only warns). Longer than the slowest step
    # and checkpoint, shorter than anyone's patience.
    "HOROVOD_STALL_SHUTDOWN_TIME_SECONDS": "300",
    # Horovod's background thread asks the other ranks' every millisecond, and Open MPI waits for their answer in a loop. Measured,
    # two ranks on two busy cores: 226 of 490 ms of processor time a step went into it; 23 when it gives its turn away.
    "OMPI_MCA_mpi_yield_when_idle": "1",
}
# Horovod remembers what ranks agreed on by name, for 1,024 names, and those that it makes up are new each time. No shape in it:
# ranks that do not send alike must meet under one name to be told.
_NAMED = "v2a"
_LATER = 1.2  # times Horovod's limit: its words say which rank is missing


class HorovodComm:
    """The ranks of a Horovod job. Creating one initialises Horovod, which every rank must do.

    Raises:
        ImportError: Horovod is not built; `python -m hpc.build_horovod` builds it.
    """

    def __init__(self) -> None:
        for name, value in DEFAULTS.items():
            os.environ.setdefault(name, value)
        import horovod.torch as hvd
        import torch

        hvd.init()
        self._hvd, self._bool = hvd, torch.bool
        self.rank: int = hvd.rank()
        self.size: int = hvd.size()
        self.local_rank: int = hvd.local_rank()
        self._waiting = StallLimit(_LATER * float(os.environ["HOROVOD_STALL_SHUTDOWN_TIME_SECONDS"]), self.rank)

    def all_reduce(self, tensor: torch.Tensor, reduction: Reduction = "sum") -> torch.Tensor:
        """Sum or maximum over ranks, as a new tensor."""
        check_reduction(reduction)
        operation = self._hvd.Sum if reduction == "sum" else self._hvd.Max
        with self._waiting:
            name = f"{_NAMED}.{reduction}"
            reduced: torch.Tensor = self._hvd.allreduce(tensor.contiguous(), op=operation, name=name)  # refuses views
        return reduced

    def broadcast(self, tensor: torch.Tensor, root: int = 0) -> torch.Tensor:
        """Rank `root`'s tensor, as a new tensor."""
        check_root(root, self.size)
        # Horovod sends neither views nor booleans, and a flag of a model ("codebook initialised") is a boolean buffer.
        sendable = tensor.byte() if tensor.dtype == self._bool else tensor
        with self._waiting:
            sent: torch.Tensor = self._hvd.broadcast(sendable.contiguous(), root_rank=root, name=f"{_NAMED}.broadcast")
        return sent.to(tensor.dtype)

    def barrier(self) -> None:
        """Wait for every rank."""
        with self._waiting:
            self._hvd.barrier()

    def wrap_optimizer(
        self,
        optimizer: torch.optim.Optimizer,
        named_parameters: Iterable[tuple[str, torch.nn.Parameter]],
        passes: int = 1,
        compression: Compression = "none",
    ) -> HorovodAveraged | FlatAveraged:
        """On GPUs Horovod's DistributedOptimizer: gradients are averaged while the backward pass still runs. On CPUs, where the
        processor that would average is the one that still computes, all of them at once after it."""
        named = list(named_parameters)
        if all(parameter.device.type == "cpu" for _, parameter in named):
            return FlatAveraged(optimizer, [parameter for _, parameter in named], self._hvd, compression, self._waiting)
        return self.overlapping(optimizer, named, passes, compression)

    def overlapping(
        self,
        optimizer: torch.optim.Optimizer,
        named: list[tuple[str, torch.nn.Parameter]],
        passes: int,
        compression: Compression,
    ) -> HorovodAveraged:
        """Horovod's DistributedOptimizer, wherever the parameters are."""
        wrapped = self._hvd.DistributedOptimizer(
            optimizer,
            named_parameters=named,
            op=self._hvd.Average,
            backward_passes_per_step=passes,
            compression=getattr(self._hvd.Compression, compression),
        )
        return HorovodAveraged(wrapped, self._waiting)

    def close(self) -> None:
        """End Horovod; no collective works after it."""
        self._hvd.shutdown()


class HorovodAveraged:
    """`v2a.comm.Averaged` over Horovod's DistributedOptimizer."""

    def __init__(self, wrapped: Any, waiting: StallLimit) -> None:
        self.optimizer: torch.optim.Optimizer = wrapped
        self._wrapped, self._waiting = wrapped, waiting

    def average(self) -> None:
        """Wait for Horovod's background thread."""
        with self._waiting:
            self._wrapped.synchronize()

    def stepping(self) -> AbstractContextManager[None]:
        """Its `step` would else wait again."""
        context: AbstractContextManager[None] = self._wrapped.skip_synchronize()
        return context


class FlatAveraged:
    """`v2a.comm.Averaged` by one all-reduce of all gradients in one piece of memory, after the last backward pass.

    Nothing is copied into Horovod's fusion buffer. And the same numbers are always added in the same order: what Horovod fuses
    depends on when each gradient is ready, and with it, from three ranks on, the rounding of their sums.

    Args:
        optimizer: of these parameters.
        parameters: on the CPU; one without a gradient counts as zero, as another rank may have one.
        hvd: `horovod.torch`.
        compression: "none" or "fp16".
        waiting: for the other ranks.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        parameters: Iterable[torch.nn.Parameter],
        hvd: Any,
        compression: Compression,
        waiting: StallLimit,
    ) -> None:
        self.optimizer, self._waiting = optimizer, waiting
        self._parameters = [parameter for parameter in parameters if parameter.requires_grad]
        self._hvd, self._compression = hvd, getattr(hvd.Compression, compression)

    def average(self) -> None:
        """Replace every gradient by a part of the averaged piece."""
        import torch

        if not self._parameters:
            return
        parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in self._parameters]
        sent, how = self._compression.compress(torch.cat([part.reshape(-1) for part in parts]))
        with self._waiting:
            summed = self._hvd.allreduce_(sent, op=self._hvd.Average, name="gradients")
        averaged = self._compression.decompress(summed, how)
        pieces = averaged.split([part.numel() for part in parts])
        for parameter, piece in zip(self._parameters, pieces, strict=True):
            parameter.grad = piece.view_as(parameter)

    def stepping(self) -> AbstractContextManager[None]:
        """The optimizer averages nothing by itself."""
        return nullcontext()
