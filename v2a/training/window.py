"""Means of what a step measures, over the steps between two records and over all ranks."""

from __future__ import annotations

import torch

from v2a.comm import Comm


class Window:
    """Sums on this rank since the last record. Nothing leaves the device, and no rank waits, until `means`."""

    def __init__(self) -> None:
        self._sums: dict[str, torch.Tensor] = {}
        self._steps = 0

    def add(self, scalars: dict[str, torch.Tensor]) -> None:
        """One step's."""
        self._steps += 1
        for name, scalar in scalars.items():
            value = scalar.detach().float()
            self._sums[name] = self._sums[name] + value if name in self._sums else value

    def settle(self, comm: Comm) -> None:
        """Replace this rank's sums by the mean over ranks, as a checkpoint keeps them; what comes after adds to it."""
        if self._sums:
            stacked = comm.all_reduce(torch.stack(list(self._sums.values())).cpu()) / comm.size
            self._sums = dict(zip(self._sums, stacked.unbind(), strict=True))

    def means(self, comm: Comm) -> dict[str, float]:
        """Mean over steps and ranks of each, and begin anew."""
        self.settle(comm)
        means = {name: float(value) / self._steps for name, value in self._sums.items()}
        self._sums, self._steps = {}, 0
        return means

    def state_dict(self) -> dict[str, object]:
        """After `settle`: equal on all ranks."""
        return {"sums": self._sums, "steps": self._steps}

    def load_state_dict(self, state: dict[str, object]) -> None:
        """The inverse."""
        self._sums, self._steps = dict(state["sums"]), int(state["steps"])  # type: ignore[call-overload]
