"""Means of what a step measures, over the steps between two records and over all ranks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
            # A resumed run's sums come from the CPU.
            self._sums[name] = self._sums[name].to(value.device) + value if name in self._sums else value

    def means(self, comm: Comm) -> dict[str, float]:
        """Mean over steps and ranks of each, and begin anew."""
        means = {}
        if self._sums:
            mine = torch.stack(list(self._sums.values())).cpu()
            totals = comm.all_reduce(mine) / (comm.size * self._steps)
            means = dict(zip(self._sums, totals.tolist(), strict=True))
        self._sums, self._steps = {}, 0
        return means

    def state_dict(self, comm: Comm) -> dict[str, object]:
        """Equal on all ranks; every rank's sums stay apart, so that a resumed run adds up what the undisturbed one would."""
        table = torch.zeros(comm.size, len(self._sums))
        for column, value in enumerate(self._sums.values()):
            table[comm.rank, column] = value.cpu()
        return {
            "names": list(self._sums),
            "sums": comm.all_reduce(table) if self._sums else table,
            "steps": self._steps,
        }

    def load_state_dict(self, state: Mapping[str, Any], comm: Comm) -> None:
        """The inverse; of another number of ranks, each takes their mean."""
        table = state["sums"].cpu()
        row = table[comm.rank] if len(table) == comm.size else table.mean(0)
        self._sums, self._steps = dict(zip(state["names"], row.unbind(), strict=True)), int(state["steps"])
