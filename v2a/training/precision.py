"""Number formats: fp16 autocast with loss scaling on GPUs (T4 and V100 have no bf16), fp32 elsewhere."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from typing import Any

import torch

from v2a.training.config import Train


class Precision:
    """Autocast, and the scaler that keeps small gradients from vanishing in fp16.

    Args:
        name: "fp32", "fp16", or "auto" for fp16 on a GPU.
        device: of the model.

    Raises:
        ValueError: fp16 on a CPU, whose kernels are slower in it.
    """

    def __init__(self, name: str, device: torch.device) -> None:
        cuda = device.type == "cuda"
        if name == "fp16" and not cuda:
            raise ValueError("expected train.precision=fp32 or auto on a CPU, but got fp16, which is slower there")
        self.half = name == "fp16" or (name == "auto" and cuda)
        self._device = device
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.half)

    @property
    def can_scale_down(self) -> bool:
        """Whether gradients that are not finite may be the scale's fault, and not the model's."""
        return self.half and self.scaler.get_scale() > 1

    def autocast(self) -> AbstractContextManager[Any]:
        """Around the forward pass."""
        return torch.autocast(self._device.type, dtype=torch.float16, enabled=self.half)

    def backward(self, loss: torch.Tensor) -> None:
        """Backward pass of the scaled loss."""
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]


def pick_device(name: str, local_rank: int) -> torch.device:
    """Of this rank: its own GPU for "cuda"; "auto" for that, or the CPU where there is none; or just the one that is named.

    Raises:
        ValueError: no such device here.
    """
    found = re.fullmatch(r"auto|cpu|cuda(?::([0-9]+))?", name)
    if not found:
        raise ValueError(f"expected device=auto, cpu, cuda, or cuda:N, but got device={name}")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "cpu" or (name == "auto" and not count):
        return torch.device("cpu")
    # --gpus-per-task shows each task one device, number 0
    index = int(found[1]) if found[1] else local_rank % max(1, count)
    if index >= count:
        raise ValueError(
            f"expected a GPU for device={name}, but torch sees {count or 'none'}; device=auto takes what is there, and "
            "`python -m hpc.preflight` says what is wrong"
        )
    torch.cuda.set_device(index)
    return torch.device("cuda", index)


def reading_processes(train: Train, device: torch.device) -> int:
    """Processes that read ahead. Reading takes a thousandth of a CPU's step; it may take a good part of a GPU's."""
    if train.workers >= 0:
        return train.workers
    return 2 if device.type == "cuda" else 0
