"""A small task with everything a real one has: a network with a statistics buffer, random draws, a feed with epochs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from v2a.comm import Comm, LocalComm
from v2a.loading.order import Draw, ShuffledBatches


class Noisy(nn.Module):
    """A network whose forward pass draws random numbers, and which counts what it saw in a buffer."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Dropout(0.2), nn.Linear(16, 1))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return self.body(values)  # type: ignore[no-any-return]


class SmallTask:
    """Learns the sum of four numbers. `spoil` makes the loss not finite at steps on ranks: {(step, rank), …}."""

    validation_sums: tuple[str, ...] = ("loss",)
    fps = 10
    sample_rate = 0

    def __init__(self, comm: Comm | None = None, spoil: set[tuple[int, int]] | None = None) -> None:
        self.model = Noisy()
        self.comm = comm or LocalComm()
        self.spoil = spoil or set()
        self.begun: torch.Tensor | None = None

    def begin(self, batches: Iterator[torch.Tensor]) -> None:
        """Keeps the first batch, and draws a random number."""
        self.begun = next(batches)
        torch.rand(1)

    def loss(self, batch: torch.Tensor, step: int) -> dict[str, torch.Tensor]:
        self.model.seen += int(self.comm.all_reduce(torch.tensor(len(batch))))
        loss = (self.model(batch).squeeze(-1) - batch.sum(-1)).square().mean()
        if (step, self.comm.rank) in self.spoil:
            loss = loss * float("nan")
        return {"loss": loss, "size": batch.abs().mean()}

    def metrics(self) -> dict[str, float]:
        return {"seen": float(self.model.seen)}

    def epoch_end(self) -> dict[str, float]:
        found = {"seen": float(self.model.seen)}
        self.model.seen.zero_()
        return found

    def validate(self, batch: torch.Tensor) -> dict[str, torch.Tensor]:
        error = (self.model(batch).squeeze(-1) - batch.sum(-1)).square()
        return {"loss": error.sum(), "clips": torch.tensor(len(batch))}

    def pictures(self, batch: torch.Tensor) -> dict[str, torch.Tensor]:
        assert len(batch) > 0
        return {"frame": torch.zeros(4, 6, 3, dtype=torch.uint8), "clip": torch.zeros(3, 4, 6, 3, dtype=torch.uint8)}

    def sounds(self, batch: torch.Tensor) -> dict[str, torch.Tensor]:
        """A stage without sound."""
        del batch
        return {}


class SmallFeed:
    """21 clips of four numbers each, in the global order of `v2a.loading`."""

    def __init__(self, comm: Comm | None = None, batch: int = 2, clips: int = 21) -> None:
        comm = comm or LocalComm()
        self._data = torch.randn(clips, 4, generator=torch.Generator().manual_seed(5))
        self._order = ShuffledBatches(clips, seed=3, batch=batch, rank=comm.rank, world=comm.size, identity="small")
        self._held_out = torch.randn(7, 4, generator=torch.Generator().manual_seed(6))[comm.rank :: comm.size]
        self.clips = batch

    def batches(self) -> Iterator[torch.Tensor]:
        for draws in self._order:
            yield self._data[[_clip(draw) for draw in draws]]

    def advance(self) -> None:
        self._order.advance()

    @property
    def epoch(self) -> float:
        return self._order.epoch + self._order.position / len(self._data)

    def validation(self) -> list[torch.Tensor]:
        return list(self._held_out.split(2))

    def state_dict(self) -> dict[str, Any]:
        return self._order.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._order.load_state_dict(state)


def _clip(draw: Draw) -> int:
    return int(draw.clip)
